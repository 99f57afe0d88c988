//! What members say, signed by who says it: layouts, bounds, and what exactly is signed. `docs/protocol.md`, *Gossip*.
//!
//! Nothing here checks a signature. A statement is split into the signed `body` and the `signature`, and whoever acts
//! on it asks [`super::World::verify`] first.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::buf::Buf;
use super::World;
use crate::bytes::Reader;
use crate::Uid;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE: usize = 64;
/// Bytes of a credential, signature included.
pub const CREDENTIAL: usize = 97 + SIGNATURE;
/// Bytes of an accusation, signature included.
pub const ACCUSATION: usize = 48 + SIGNATURE;
/// Bytes of a verdict, signature included.
pub const VERDICT: usize = 33 + SIGNATURE;
/// The most bytes of a member's own description of itself.
pub const MAX_META: usize = 64;
/// The most bytes of a record, signature included.
pub const MAX_RECORD: usize = 54 + MAX_META + SIGNATURE;
/// The most bytes of a user event's payload.
pub const MAX_EVENT: usize = 512;
/// The flag of a member that UDP does not reach: nobody probes or accuses it.
pub const NO_UDP: u8 = 1;

const CREDENTIAL_VERSION: u8 = 1;

/// The kinds of messages in packets and bodies.
pub mod kind {
    /// Asks for an ack.
    pub const PING: u8 = 1;
    /// Answers a ping, or passes an answer on.
    pub const ACK: u8 = 2;
    /// Asks to probe another member.
    pub const PING_REQ: u8 = 3;
    /// The other member did not answer, but this one does.
    pub const NACK: u8 = 4;
    /// Tells the receiver that it is suspected.
    pub const DOUBT: u8 = 5;
    /// A credential and the record of the same member.
    pub const INTRODUCTION: u8 = 16;
    /// A member about itself.
    pub const RECORD: u8 = 17;
    /// A member about one that does not answer it.
    pub const ACCUSATION: u8 = 18;
    /// The coordinator about a member.
    pub const VERDICT: u8 = 19;
    /// A user's event.
    pub const EVENT: u8 = 20;
    /// The coordinator about a member's keys. Only ever inside an introduction.
    pub const CREDENTIAL: u8 = 21;
}

/// Splits a statement into what is signed and the signature.
pub(super) fn split(whole: &[u8]) -> Option<(&[u8], &[u8; SIGNATURE])> {
    whole.split_last_chunk()
}

/// The coordinator's word on who has which keys. Stable over renewals of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose.
    pub uid: Uid,
    /// Its X25519 public key, for packets.
    pub exchange: [u8; 32],
    /// Its Ed25519 public key, for statements.
    pub signing: [u8; 32],
    /// When it was issued, in cluster time. The newest one of a member counts.
    pub issued_ms: u64,
    /// When it ends, in cluster time.
    pub expires_ms: u64,
}

impl Credential {
    /// Returns what the coordinator signs.
    pub fn body(&self) -> [u8; CREDENTIAL - SIGNATURE] {
        crate::bytes::concat(&[
            &[CREDENTIAL_VERSION],
            &self.uid,
            &self.exchange,
            &self.signing,
            &self.issued_ms.to_be_bytes(),
            &self.expires_ms.to_be_bytes(),
        ])
    }

    /// Reads a credential with its signature.
    pub fn parse(whole: &[u8]) -> Option<Self> {
        let (body, _) = split(whole)?;
        let mut from = Reader(body);
        let version = from.u8()?;
        let made = Self {
            uid: from.array()?,
            exchange: from.array()?,
            signing: from.array()?,
            issued_ms: from.u64()?,
            expires_ms: from.u64()?,
        };
        (version == CREDENTIAL_VERSION && from.is_empty()).then_some(made)
    }
}

/// A credential and its signature, which together are [`CREDENTIAL`] bytes.
#[derive(Clone, Copy)]
pub(super) struct SignedCredential {
    pub says: Credential,
    pub signature: [u8; SIGNATURE],
}

impl SignedCredential {
    pub fn parse(whole: &[u8]) -> Option<Self> {
        let (_, signature) = split(whole)?;
        Some(Self {
            says: Credential::parse(whole)?,
            signature: *signature,
        })
    }
}

/// What a member says about itself. A higher incarnation replaces a lower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Who speaks.
    pub uid: Uid,
    /// Grows with each record; starts at the cluster time in milliseconds, so that it grows over restarts too.
    pub incarnation: u64,
    /// Drawn at random when the process started.
    pub boot: [u8; 8],
    /// Whether it says goodbye.
    pub left: bool,
    /// [`NO_UDP`] or 0. Unknown bits are kept and passed on.
    pub flags: u8,
    /// Where it is reached by UDP.
    pub addr: SocketAddr,
    /// What it says beyond that, at most [`MAX_META`] bytes, opaque here.
    pub meta: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads a record with its signature.
    pub fn parse(whole: &'a [u8]) -> Option<Self> {
        let (body, _) = split(whole)?;
        let mut from = Reader(body);
        let uid = from.array()?;
        let incarnation = from.u64()?;
        let boot = from.array()?;
        let (state, flags) = (from.u8()?, from.u8()?);
        let addr = read_addr(&mut from)?;
        let length = usize::from(from.u8()?);
        let meta = from.take(length)?;
        let sound = from.is_empty() && state <= 1 && length <= MAX_META;
        (sound && is_unicast(&addr)).then_some(Self {
            uid,
            incarnation,
            boot,
            left: state == 1,
            flags,
            addr,
            meta,
        })
    }

    /// Returns the record signed by `world`; `None` when the meta data are too long.
    pub(super) fn sign(&self, world: &mut dyn World) -> Option<Buf<MAX_RECORD>> {
        let mut out = Buf::<MAX_RECORD>::default();
        let length = u8::try_from(self.meta.len()).ok()?;
        out.push(&[&self.uid, &self.incarnation.to_be_bytes(), &self.boot]);
        out.push(&[&[u8::from(self.left), self.flags]]);
        write_addr(&mut out, &self.addr);
        let whole = self.meta.len() <= MAX_META && out.push(&[&[length], self.meta]);
        let signature = world.sign(kind::RECORD, out.as_slice());
        (whole && out.push(&[&signature])).then_some(out)
    }
}

fn read_addr(from: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip = match from.u8()? {
        4 => IpAddr::V4(Ipv4Addr::from(from.array::<4>()?)),
        6 => IpAddr::V6(Ipv6Addr::from(from.array::<16>()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, from.u16()?))
}

fn write_addr<const N: usize>(out: &mut Buf<N>, addr: &SocketAddr) {
    let port = addr.port().to_be_bytes();
    match addr.ip() {
        IpAddr::V4(ip) => out.push(&[&[4], &ip.octets(), &port]),
        IpAddr::V6(ip) => out.push(&[&[6], &ip.octets(), &port]),
    };
}

/// Says whether packets may go there: never to many hosts at once, never to an address with two spellings.
fn is_unicast(addr: &SocketAddr) -> bool {
    match addr.ip() {
        IpAddr::V4(ip) => !(ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified()),
        IpAddr::V6(ip) => {
            !(ip.is_multicast() || ip.is_unspecified() || ip.to_ipv4_mapped().is_some())
        }
    }
}

/// A member says that another one does not answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accusation {
    /// Who speaks.
    pub accuser: Uid,
    /// About whom.
    pub subject: Uid,
    /// In which incarnation of it; another one is not concerned.
    pub incarnation: u64,
    /// When, in cluster time.
    pub at_ms: u64,
}

impl Accusation {
    /// Returns what the accuser signs.
    pub fn body(&self) -> [u8; ACCUSATION - SIGNATURE] {
        crate::bytes::concat(&[
            &self.accuser,
            &self.subject,
            &self.incarnation.to_be_bytes(),
            &self.at_ms.to_be_bytes(),
        ])
    }

    /// Reads an accusation with its signature.
    pub fn parse(whole: &[u8]) -> Option<Self> {
        let (body, _) = split(whole)?;
        let mut from = Reader(body);
        let made = Self {
            accuser: from.array()?,
            subject: from.array()?,
            incarnation: from.u64()?,
            at_ms: from.u64()?,
        };
        from.is_empty().then_some(made)
    }
}

/// What the coordinator may say about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Its lease lapsed, in an incarnation up to the bound.
    Down,
    /// It left the registry: credentials issued up to the bound (cluster time) are void.
    Removed,
    /// It was revoked: as removed, and why.
    Revoked,
}

/// The coordinator's word on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is said.
    pub word: Word,
    /// About whom.
    pub subject: Uid,
    /// An incarnation or a cluster time, as the word says.
    pub bound: u64,
    /// When a tombstone may be forgotten, in cluster time: not before the credentials it voids expire.
    pub until_ms: u64,
}

impl Verdict {
    /// Returns what the coordinator signs.
    pub fn body(&self) -> [u8; VERDICT - SIGNATURE] {
        let word = match self.word {
            Word::Down => 1,
            Word::Removed => 2,
            Word::Revoked => 3,
        };
        crate::bytes::concat(&[
            &[word],
            &self.subject,
            &self.bound.to_be_bytes(),
            &self.until_ms.to_be_bytes(),
        ])
    }

    /// Reads a verdict with its signature.
    pub fn parse(whole: &[u8]) -> Option<Self> {
        let (body, _) = split(whole)?;
        let mut from = Reader(body);
        let word = match from.u8()? {
            1 => Word::Down,
            2 => Word::Removed,
            3 => Word::Revoked,
            _ => return None,
        };
        let made = Self {
            word,
            subject: from.array()?,
            bound: from.u64()?,
            until_ms: from.u64()?,
        };
        from.is_empty().then_some(made)
    }
}

/// A user's event, told to every member once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserEvent<'a> {
    /// Who speaks.
    pub origin: Uid,
    /// Its number; each of one origin is greater than those before, over restarts too.
    pub number: u64,
    /// When, in cluster time.
    pub at_ms: u64,
    /// What, at most [`MAX_EVENT`] bytes, opaque here.
    pub payload: &'a [u8],
}

impl<'a> UserEvent<'a> {
    /// Reads an event with its signature.
    pub fn parse(whole: &'a [u8]) -> Option<Self> {
        let (body, _) = split(whole)?;
        let mut from = Reader(body);
        let made = Self {
            origin: from.array()?,
            number: from.u64()?,
            at_ms: from.u64()?,
            payload: from.0,
        };
        (made.payload.len() <= MAX_EVENT).then_some(made)
    }

    /// Returns the event signed by `world`; `None` when the payload is too long.
    pub(super) fn sign(&self, world: &mut dyn World) -> Option<Box<[u8]>> {
        if self.payload.len() > MAX_EVENT {
            return None;
        }
        let mut out = Vec::with_capacity(32 + self.payload.len() + SIGNATURE);
        out.extend_from_slice(&self.origin);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.extend_from_slice(self.payload);
        let signature = world.sign(kind::EVENT, &out);
        out.extend_from_slice(&signature);
        Some(out.into_boxed_slice())
    }
}
