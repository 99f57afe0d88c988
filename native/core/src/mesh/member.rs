//! What is kept of one member.

use std::net::SocketAddr;

use super::buf::Buf;
use super::health::Limit;
use super::statement::{split, Record, SignedCredential, ACCUSATION, MAX_RECORD, NO_UDP, VERDICT};
use super::{Peer, State, Why};
use crate::Uid;

/// A member, as shown.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who.
    pub uid: Uid,
    /// How.
    pub state: State,
    /// Who said so.
    pub why: Why,
    /// Since when, in microseconds of this machine's boot clock.
    pub since_us: u64,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its process.
    pub boot: [u8; 8],
    /// Where.
    pub addr: SocketAddr,
    /// Its flags.
    pub flags: u8,
    /// Its description of itself.
    pub meta: &'a [u8],
    /// Its X25519 public key.
    pub exchange: [u8; 32],
    /// Smoothed round trip in microseconds; 0 when never measured.
    pub rtt_us: u32,
}

/// Accusations of one member that count now.
#[derive(Default)]
pub(super) struct Suspicion {
    pub started: u64,
    pub deadline: u64,
    /// Between inquiries when the accusers are too few.
    pub pause: u64,
    pub accusations: Vec<(Uid, [u8; ACCUSATION])>,
}

/// Where a slot stands in one of the two lists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Ring(u32),
    Lost(u32),
}

/// One member.
pub(super) struct Member {
    pub uid: Uid,
    pub state: State,
    pub why: Why,
    /// When the state began, in the caller's boot-clock microseconds.
    pub since: u64,
    pub incarnation: u64,
    pub boot: [u8; 8],
    pub flags: u8,
    pub addr: SocketAddr,
    pub credential: SignedCredential,
    pub record: Buf<MAX_RECORD>,
    pub down: Option<Box<[u8; VERDICT]>>,
    pub suspicion: Option<Box<Suspicion>>,
    /// Changes with every new record, so that what was queued or timed for an older one is dropped.
    pub version: u32,
    pub rtt_us: u32,
    pub limit: Limit,
    pub muted_until: u64,
    /// The greatest number of an event of this member, and which of the 64 up to it were taken.
    pub events: (u64, u64),
    pub place: Place,
    pub hash: u64,
}

impl Member {
    pub fn new(credential: SignedCredential, addr: SocketAddr) -> Self {
        Self {
            uid: credential.says.uid,
            state: State::Gone,
            why: Why::Itself,
            since: 0,
            incarnation: 0,
            boot: [0; 8],
            flags: 0,
            addr,
            credential,
            record: Buf::default(),
            down: None,
            suspicion: None,
            version: 0,
            rtt_us: 0,
            limit: Limit::default(),
            muted_until: 0,
            events: (0, 0),
            place: Place::Nowhere,
            hash: 0,
        }
    }

    pub fn has_udp(&self) -> bool {
        self.flags & NO_UDP == 0
    }

    pub fn peer(&self) -> Peer {
        Peer {
            uid: self.uid,
            addr: self.addr,
        }
    }

    /// Says whether the event of this number was taken, or is so old that nobody knows.
    pub fn took_event(&self, number: u64) -> bool {
        let (top, seen) = self.events;
        let age = top.checked_sub(number);
        age.is_some_and(|age| age >= 64 || seen >> age & 1 == 1)
    }

    /// Notes that the event of this number was taken.
    pub fn take_event(&mut self, number: u64) {
        let (top, seen) = &mut self.events;
        if number > *top {
            let shift = number - *top;
            *seen = if shift < 64 { *seen << shift } else { 0 };
            *top = number;
        }
        if let Some(bit) = u32::try_from(*top - number)
            .ok()
            .and_then(|age| 1u64.checked_shl(age))
        {
            *seen |= bit;
        }
    }

    pub fn view(&self) -> View<'_> {
        let record = Record::parse(self.record.as_slice());
        View {
            uid: self.uid,
            state: self.state,
            why: self.why,
            since_us: self.since,
            incarnation: self.incarnation,
            boot: self.boot,
            addr: self.addr,
            flags: self.flags,
            meta: record.map_or(&[], |record| record.meta),
            exchange: self.credential.says.exchange,
            rtt_us: self.rtt_us,
        }
    }

    /// Returns the signed part of the record, for comparison.
    pub fn record_body(&self) -> &[u8] {
        split(self.record.as_slice()).map_or(&[], |(body, _)| body)
    }
}
