//! Messages inside a packet or a body: kind, length, bytes; unknown kinds are skipped.

use super::buf::Buf;
use super::statement::{kind, Accusation, Credential, Record, UserEvent, Verdict, CREDENTIAL};
use crate::bytes::Reader;
use crate::Uid;

/// The most bytes of messages in a packet: a packet of 1,200 without header, time and tag.
pub const MAX_PAYLOAD: usize = super::packet::MAX_PACKET - super::packet::OVERHEAD;
/// Bytes before each message.
pub(super) const MESSAGE_HEADER: usize = 3;

/// Messages being collected for one packet.
pub(super) type Payload = Buf<MAX_PAYLOAD>;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Answer this number. With the hash of the sender's view.
    Ping(u32, u64),
    /// The answer. With the hash of the sender's view.
    Ack(u32, u64),
    /// Probe that member and tell me under this number.
    PingReq(u32, Uid),
    /// It did not answer.
    Nack(u32),
    /// I suspect you, in this incarnation of yours.
    Doubt(u64),
    /// A member's keys and its record; both whole, with signatures.
    Introduction(Credential, &'a [u8], Record<'a>, &'a [u8]),
    /// A member's record, and whole with signature.
    Record(Record<'a>, &'a [u8]),
    /// An accusation, and whole.
    Accusation(Accusation, &'a [u8]),
    /// A verdict, and whole.
    Verdict(Verdict, &'a [u8]),
    /// An event, and whole.
    Event(UserEvent<'a>, &'a [u8]),
    /// A kind of a later version.
    Unknown(u8),
}

impl<'a> Message<'a> {
    /// Takes one message from the front of `bytes`; `None` when it is cut short or not what its kind says.
    pub fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let kind = from.u8()?;
        let length = from.u16()?;
        let body = from.take(usize::from(length))?;
        let made = Self::parse(kind, body)?;
        *bytes = from.0;
        Some(made)
    }

    fn parse(kind: u8, body: &'a [u8]) -> Option<Self> {
        match kind {
            kind::INTRODUCTION => {
                let (credential, record) = body.split_at_checked(CREDENTIAL)?;
                let (keys, about) = (Credential::parse(credential)?, Record::parse(record)?);
                (keys.uid == about.uid)
                    .then_some(Self::Introduction(keys, credential, about, record))
            }
            kind::RECORD => Some(Self::Record(Record::parse(body)?, body)),
            kind::ACCUSATION => Some(Self::Accusation(Accusation::parse(body)?, body)),
            kind::VERDICT => Some(Self::Verdict(Verdict::parse(body)?, body)),
            kind::EVENT => Some(Self::Event(UserEvent::parse(body)?, body)),
            kind::PING..=kind::DOUBT => Self::short(kind, body),
            _ => Some(Self::Unknown(kind)),
        }
    }

    /// Reads what is not signed. Bytes after the known ones belong to a later version.
    fn short(kind: u8, body: &'a [u8]) -> Option<Self> {
        let mut from = Reader(body);
        Some(match kind {
            kind::PING => Self::Ping(from.u32()?, from.u64()?),
            kind::ACK => Self::Ack(from.u32()?, from.u64()?),
            kind::PING_REQ => Self::PingReq(from.u32()?, from.array()?),
            kind::NACK => Self::Nack(from.u32()?),
            _ => Self::Doubt(from.u64()?),
        })
    }

    /// Adds the message; says whether it fitted.
    pub(super) fn put<const N: usize>(&self, out: &mut Buf<N>) -> bool {
        match self {
            Self::Ping(nonce, hash) => put(
                out,
                kind::PING,
                &[&nonce.to_be_bytes(), &hash.to_be_bytes()],
            ),
            Self::Ack(nonce, hash) => {
                put(out, kind::ACK, &[&nonce.to_be_bytes(), &hash.to_be_bytes()])
            }
            Self::PingReq(nonce, target) => {
                put(out, kind::PING_REQ, &[&nonce.to_be_bytes(), target])
            }
            Self::Nack(nonce) => put(out, kind::NACK, &[&nonce.to_be_bytes()]),
            Self::Doubt(incarnation) => put(out, kind::DOUBT, &[&incarnation.to_be_bytes()]),
            Self::Introduction(_, credential, _, record) => {
                put(out, kind::INTRODUCTION, &[credential, record])
            }
            Self::Record(_, whole) => put(out, kind::RECORD, &[whole]),
            Self::Accusation(_, whole) => put(out, kind::ACCUSATION, &[whole]),
            Self::Verdict(_, whole) => put(out, kind::VERDICT, &[whole]),
            Self::Event(_, whole) => put(out, kind::EVENT, &[whole]),
            Self::Unknown(_) => false,
        }
    }
}

/// Adds a message made of parts; says whether it fitted.
pub(super) fn put<const N: usize>(out: &mut Buf<N>, kind: u8, parts: &[&[u8]]) -> bool {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let Ok(length16) = u16::try_from(length) else {
        return false;
    };
    if MESSAGE_HEADER + length > out.room() {
        return false;
    }
    out.push(&[&[kind], &length16.to_be_bytes()]) && parts.iter().all(|part| out.push(&[part]))
}

/// As [`put`], for bodies of anti-entropy.
pub(super) fn append(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if let Ok(length) = u16::try_from(length) {
        out.push(kind);
        out.extend_from_slice(&length.to_be_bytes());
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }
}
