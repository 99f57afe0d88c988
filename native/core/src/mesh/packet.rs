//! Packets: what is on the wire is authenticated and encrypted between two members, and nothing else is answered.
//!
//! A header in the clear (version, epoch, sender, its process, sequence number), then cluster time and messages under
//! ChaCha20-Poly1305. The key belongs to this pair, this epoch and these two processes, so no member can speak as another,
//! a restart never uses a nonce twice, and who misses the next epoch reads nothing (G1, G2, G4).

use std::collections::HashMap;

use super::draw::Seeded;
use super::session::{End, Scope, ScopedKey, Secret, Session, TAG};
use crate::bytes::Reader;
use crate::Uid;

pub use super::session::Secret as MeshSecret;

/// The most bytes of a packet (G6): fits every path of the Internet that carries IPv6.
pub const MAX_PACKET: usize = 1200;
/// Bytes of the header.
pub const HEADER: usize = 34;
/// Bytes of a packet besides messages: header, time, tag.
pub const OVERHEAD: usize = HEADER + TIME + TAG;
/// The version in the first byte.
pub const VERSION: u8 = 1;
/// By how much a packet's cluster time may differ from this node's, in milliseconds.
pub const MAX_AGE_MS: u64 = 60_000;

const TIME: usize = 8;
/// How many epochs are kept: the one before, the current, the next.
const EPOCHS: usize = 3;

/// What is known of a peer: keys from its credential, process from its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerKeys {
    /// Its X25519 public key.
    pub exchange: [u8; 32],
    /// Its process, as far as is known.
    pub boot: [u8; 8],
}

/// Why a packet is dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Shorter than an empty packet, or longer than the longest.
    Length,
    /// Of another version.
    Version,
    /// Of nobody known, or of this node itself.
    Stranger,
    /// Of an epoch whose key is not here.
    Epoch,
    /// Taken before, or too far behind the newest; or of a process that ended.
    Replay,
    /// Not made by who it says, or not for this process.
    Forged,
    /// Too old or too new in cluster time.
    Age,
}

/// Why a packet is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// The payload is longer than [`super::MAX_PAYLOAD`].
    Length,
    /// There is no epoch yet.
    Epoch,
    /// The peer's key is not one.
    Key,
    /// All sequence numbers are used.
    Sequence,
}

/// Seals and opens packets of one process.
pub struct Packets {
    me: End,
    cluster: Uid,
    secret: Secret,
    /// Newest first.
    epochs: Vec<(u64, Secret)>,
    current: u64,
    sessions: Sessions,
}

/// What is kept of peers.
struct Sessions {
    known: HashMap<Uid, Session, Seeded>,
    capacity: usize,
    /// The least sequence number that no forgotten session used: a key that is derived again finds new nonces.
    floor: u64,
}

impl std::fmt::Debug for Packets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packets")
            .field("current", &self.current)
            .field("sessions", &self.sessions.known.len())
            .finish_non_exhaustive()
    }
}

impl Packets {
    /// Makes the packets of a process: who it is, drawn boot identifier, X25519 secret, and the most peers to keep
    /// keys of (about 450 bytes each).
    pub fn new(uid: Uid, boot: [u8; 8], cluster: Uid, secret: Secret, capacity: usize) -> Self {
        let seed = u64::from_be_bytes(boot);
        Self {
            me: End { uid, boot },
            cluster,
            secret,
            epochs: Vec::with_capacity(EPOCHS + 1),
            current: 0,
            sessions: Sessions {
                known: HashMap::with_hasher(Seeded(seed)),
                capacity,
                floor: 0,
            },
        }
    }

    /// Learns an epoch's key. Keys of epochs that are neither `current` nor beside it are wiped.
    pub fn set_epoch(&mut self, epoch: u64, key: Secret, current: u64) {
        self.epochs.retain(|(known, _)| *known != epoch);
        self.epochs.push((epoch, key));
        self.set_current(current);
    }

    /// Says which epoch packets are sent in from now on.
    pub fn set_current(&mut self, current: u64) {
        self.current = current;
        self.epochs
            .retain(|(known, _)| known.abs_diff(current) <= 1);
        for session in self.sessions.known.values_mut() {
            let [first, second] = &mut session.receive;
            for kept in [&mut session.send, first, second] {
                kept.take_if(|key| key.scope.epoch.abs_diff(current) > 1);
            }
        }
    }

    /// Wipes what is kept of a peer that is no member any more.
    pub fn forget(&mut self, uid: &Uid) {
        self.sessions.forget(uid);
    }

    /// Seals `payload` for a peer into `out`; returns the length of the packet.
    ///
    /// # Errors
    /// See [`Unsent`]; `out` is not to be sent then.
    pub fn seal(
        &mut self,
        to: &Uid,
        keys: &PeerKeys,
        cluster_ms: u64,
        payload: &[u8],
        out: &mut [u8; MAX_PACKET],
    ) -> Result<usize, Unsent> {
        let length = OVERHEAD + payload.len();
        let (packet, _) = out.split_at_mut_checked(length).ok_or(Unsent::Length)?;
        let scope = Scope {
            epoch: self.current,
            sender: self.me,
            receiver: End {
                uid: *to,
                boot: keys.boot,
            },
        };
        let session = self
            .sessions
            .with(&self.secret, to, keys)
            .ok_or(Unsent::Key)?;
        if session.send.as_ref().is_none_or(|key| key.scope != scope) {
            let epoch_key = find(&self.epochs, self.current).ok_or(Unsent::Epoch)?;
            session.send = ScopedKey::derive(&session.pair, epoch_key, &self.cluster, scope);
        }
        let key = session.send.as_ref().ok_or(Unsent::Key)?;
        let sequence = session.sequence;
        let next = sequence.checked_add(1).filter(|next| *next < u64::MAX);
        session.sequence = next.ok_or(Unsent::Sequence)?;
        let header = Header {
            epoch: self.current as u8,
            sender: self.me,
            sequence,
        };
        fill(packet, &header, cluster_ms, payload, key).ok_or(Unsent::Length)?;
        Ok(length)
    }

    /// Opens a datagram in place; returns who sent it and the messages.
    ///
    /// `lookup` finds the keys of a member. Work for what is not authentic: a look-up, and for the sender of a known
    /// member at most one key derivation and one failed tag.
    ///
    /// # Errors
    /// See [`Dropped`]. Nothing is to be answered then, and the datagram's content is of no use.
    pub fn open<'a>(
        &mut self,
        datagram: &'a mut [u8],
        cluster_ms: u64,
        lookup: impl FnOnce(&Uid) -> Option<PeerKeys>,
    ) -> Result<(Uid, &'a [u8]), Dropped> {
        if datagram.len() < OVERHEAD || datagram.len() > MAX_PACKET {
            return Err(Dropped::Length);
        }
        let (head, rest) = datagram.split_at_mut(HEADER);
        let header = Header::read(head)?;
        let sender = header.sender;
        if sender.uid == self.me.uid {
            return Err(Dropped::Stranger);
        }
        let (epoch, epoch_key) = epoch_of(&self.epochs, self.current, header.epoch)?;
        let keys = lookup(&sender.uid).ok_or(Dropped::Stranger)?;
        let session = self.sessions.with(&self.secret, &sender.uid, &keys);
        let session = session.ok_or(Dropped::Stranger)?;
        if !session.is_fresh(&sender.boot, header.sequence) {
            return Err(Dropped::Replay);
        }
        let scope = Scope {
            epoch,
            sender,
            receiver: self.me,
        };
        let tagless = rest.len() - TAG;
        let (sealed, tag) = rest.split_at_mut(tagless);
        let tag: &[u8; TAG] = (&*tag).try_into().map_err(|_| Dropped::Length)?;
        let opened = session.open(scope, header.sequence, head, sealed, tag, |pair| {
            ScopedKey::derive(pair, epoch_key, &self.cluster, scope)
        });
        if !opened {
            return Err(Dropped::Forged);
        }
        let (time, messages) = sealed.split_first_chunk::<TIME>().ok_or(Dropped::Length)?;
        let time_ms = u64::from_be_bytes(*time);
        if time_ms.abs_diff(cluster_ms) > MAX_AGE_MS {
            return Err(Dropped::Age);
        }
        if !session.accept(&sender.boot, header.sequence, time_ms) {
            return Err(Dropped::Replay);
        }
        Ok((sender.uid, messages))
    }
}

/// Finds the epoch beside the current one that ends in this byte.
fn epoch_of(epochs: &[(u64, Secret)], current: u64, byte: u8) -> Result<(u64, &Secret), Dropped> {
    let near = [
        Some(current),
        current.checked_sub(1),
        current.checked_add(1),
    ];
    let epoch = near
        .into_iter()
        .flatten()
        .find(|epoch| *epoch as u8 == byte);
    let found = epoch.and_then(|epoch| Some((epoch, find(epochs, epoch)?)));
    found.ok_or(Dropped::Epoch)
}

struct Header {
    epoch: u8,
    sender: End,
    sequence: u64,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER] {
        crate::bytes::concat(&[
            &[VERSION, self.epoch],
            &self.sender.uid,
            &self.sender.boot,
            &self.sequence.to_be_bytes(),
        ])
    }

    fn read(bytes: &[u8]) -> Result<Self, Dropped> {
        let mut from = Reader(bytes);
        if from.u8() != Some(VERSION) {
            return Err(Dropped::Version);
        }
        let read = |from: &mut Reader<'_>| {
            Some(Self {
                epoch: from.u8()?,
                sender: End {
                    uid: from.array()?,
                    boot: from.array()?,
                },
                sequence: from.u64()?,
            })
        };
        read(&mut from).ok_or(Dropped::Length)
    }
}

fn find(epochs: &[(u64, Secret)], wanted: u64) -> Option<&Secret> {
    let found = epochs.iter().find(|(epoch, _)| *epoch == wanted);
    found.map(|(_, key)| key)
}

impl Sessions {
    /// Returns the session with a peer, made when there is none or the peer has another key; `None` when there is no
    /// room or the key is not one.
    fn with(&mut self, own: &Secret, uid: &Uid, keys: &PeerKeys) -> Option<&mut Session> {
        let known = self.known.get(uid).map(|session| session.exchange);
        if known != Some(keys.exchange) {
            if known.is_none() && self.known.len() >= self.capacity {
                return None;
            }
            self.forget(uid);
            let made = Session::new(own, &keys.exchange, self.floor)?;
            self.known.insert(*uid, made);
        }
        self.known.get_mut(uid)
    }

    fn forget(&mut self, uid: &Uid) {
        if let Some(session) = self.known.remove(uid) {
            self.floor = self.floor.max(session.sequence);
        }
    }
}

fn fill(
    packet: &mut [u8],
    header: &Header,
    cluster_ms: u64,
    payload: &[u8],
    key: &ScopedKey,
) -> Option<()> {
    let (head, rest) = packet.split_first_chunk_mut::<HEADER>()?;
    *head = header.bytes();
    let (tag, sealed) = rest.split_last_chunk_mut::<TAG>().map(|(a, b)| (b, a))?;
    let (time, messages) = sealed.split_first_chunk_mut::<TIME>()?;
    *time = cluster_ms.to_be_bytes();
    messages.copy_from_slice(payload);
    *tag = key.seal(header.sequence, head, sealed)?;
    Some(())
}
