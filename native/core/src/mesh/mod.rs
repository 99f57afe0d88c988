//! The mesh of members: who is alive, told by gossip. SWIM with Lifeguard, as a state machine without I/O.
//!
//! [`Membership`] takes what a member sent, or the time, and tells a [`World`] what to send and what happened.
//! [`packet::Packets`] turns payloads into authenticated datagrams and back. All of it is *advice*: the coordinator's
//! lease alone decides what a node may run (G5). `docs/protocol.md`, *Gossip*, has every byte; the decisions are in
//! `docs/adr/0019-gossip-accuses-the-coordinator-decides.md`.

mod apply;
mod authority;
mod buf;
mod config;
mod detect;
mod draw;
mod health;
mod lasting;
mod log;
mod member;
mod membership;
pub mod packet;
mod queue;
mod reach;
mod replay;
mod rng;
mod session;
mod signing;
mod spread;
mod statement;
mod suspect;
mod sync;
mod table;
mod verdict;
mod wire;

use std::net::SocketAddr;

pub use authority::{Authority, Grant};
pub use config::{Config, MIN_ACCUSERS};
pub use health::{suspicion_us, transmit_limit};
pub use member::View;
pub use membership::{Me, Membership};
pub use reach::Reach;
pub use replay::Window;
pub use signing::{public_of, Keyring};
pub use statement::{
    kind, Accusation, Credential, Record, UserEvent, Verdict, Word, ACCUSATION, CREDENTIAL,
    MAX_EVENT, MAX_META, MAX_RECORD, NO_UDP, SIGNATURE, VERDICT,
};
pub use sync::MAX_BODY;
pub use wire::{Message, MAX_PAYLOAD};

use crate::Uid;

/// The time of a call, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds of this machine's boot clock, for timers.
    pub mono_us: u64,
    /// Milliseconds of cluster time (signed time plus what passed since), for what others wrote.
    pub cluster_ms: u64,
}

/// A member and the address it is reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub uid: Uid,
    /// Where.
    pub addr: SocketAddr,
}

/// Who should have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer<'a> {
    /// The coordinator.
    Coordinator,
    /// The member with this Ed25519 key.
    Member(&'a [u8; 32]),
}

/// What a [`Membership`] needs of the outside. Its methods are called from within `receive`, `tick` and the others.
pub trait World {
    /// Sends messages to a member: at most [`MAX_PAYLOAD`] bytes. May fail or be lost; nobody is told.
    fn send(&mut self, to: Peer, payload: &[u8]);
    /// Sends a body of anti-entropy to the coordinator, reliably and in order.
    fn sync(&mut self, body: &[u8]);
    /// Takes note of what happened.
    fn event(&mut self, event: Event<'_>);
    /// Signs a statement of this node.
    fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE];
    /// Says whether a statement is signed by `signer`.
    fn verify(
        &mut self,
        signer: Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool;
}

/// How a member is, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing is said against it.
    Alive,
    /// Somebody got no answer from it; it may still refute.
    Suspect,
    /// Enough members accuse it, or the coordinator declared it down. It may still come back.
    Unreachable,
    /// It said goodbye.
    Left,
    /// It is no member.
    Gone,
}

/// Who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The member itself.
    Itself,
    /// Other members.
    Members,
    /// The coordinator.
    Coordinator,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// This node has the coordinator's view.
    InTouch,
    /// A new member, or one that had left.
    Joined(Uid),
    /// A member is suspected.
    Suspect(Uid),
    /// A member is unreachable.
    Unreachable(Uid, Why),
    /// A suspected or unreachable member is alive.
    Back(Uid),
    /// A member said goodbye.
    Left(Uid),
    /// A member has another address, keys, flags or description.
    Updated(Uid),
    /// The coordinator removed or revoked a member.
    Removed(Uid, Word),
    /// The coordinator removed or revoked this node; it says nothing more.
    Expelled(Word),
    /// A process with this node's keys and another boot identifier speaks.
    Twin([u8; 8]),
    /// A user's event.
    User(UserEvent<'a>),
}

/// What happened how often, since the start. Nothing here has a name or an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Payloads received.
    pub received: u64,
    /// Payloads sent.
    pub sent: u64,
    /// Bytes of payloads sent.
    pub sent_bytes: u64,
    /// Payloads of nobody known.
    pub strangers: u64,
    /// Payloads cut short, or with a message that is not what its kind says.
    pub malformed: u64,
    /// Messages of kinds of a later version.
    pub unknown: u64,
    /// Statements that changed nothing.
    pub stale: u64,
    /// Statements that changed something.
    pub news: u64,
    /// Statements about members not known.
    pub orphans: u64,
    /// Statements with a signature that does not hold.
    pub forged: u64,
    /// Statements beyond their originator's limit.
    pub limited: u64,
    /// Statements dropped because a table is full.
    pub full: u64,
    /// Probes begun.
    pub probes: u64,
    /// Probes without an answer.
    pub unanswered: u64,
    /// Answers to probes, and to tries of a node that UDP did not reach.
    pub answered: u64,
    /// Accusations this node made.
    pub accused: u64,
    /// Times this node refuted.
    pub refuted: u64,
    /// Times this node was paused.
    pub stalls: u64,
    /// Bodies of anti-entropy asked for.
    pub syncs: u64,
    /// Gossip held back by the limit of bytes a second.
    pub held_back: u64,
}
