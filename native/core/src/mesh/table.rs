//! The members: slots found by identifier, the ring of those to probe, the list of those lost, and the hash of all
//! facts. Every operation takes the same time at any number of members.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;

use super::buf::Buf;
use super::health::Limit;
use super::rng::{mix, Rng};
use super::statement::{ACCUSATION, CREDENTIAL, MAX_RECORD, NO_UDP, VERDICT};
use super::{Peer, State, Why};
use crate::Uid;

/// Into how many parts the facts are divided for comparison.
pub(super) const BUCKETS: usize = 256;

/// The number of a member in the table.
pub(super) type Slot = u32;

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
enum Place {
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
    pub exchange: [u8; 32],
    pub signing: [u8; 32],
    pub issued_ms: u64,
    pub expires_ms: u64,
    pub credential: [u8; CREDENTIAL],
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
    place: Place,
    hash: u64,
}

impl Member {
    pub fn new(uid: Uid, addr: SocketAddr) -> Self {
        Self {
            uid,
            state: State::Gone,
            why: Why::Itself,
            since: 0,
            incarnation: 0,
            boot: [0; 8],
            flags: 0,
            addr,
            exchange: [0; 32],
            signing: [0; 32],
            issued_ms: 0,
            expires_ms: 0,
            credential: [0; CREDENTIAL],
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
}

/// All members.
pub(super) struct Table {
    slots: Vec<Member>,
    free: Vec<Slot>,
    index: HashMap<Uid, Slot, Seeded>,
    ring: Vec<Slot>,
    /// What of the ring was probed in this round.
    cursor: usize,
    lost: Vec<Slot>,
    buckets: Box<[u64; BUCKETS]>,
    total: u64,
}

impl Table {
    pub fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: HashMap::with_hasher(Seeded(seed)),
            ring: Vec::new(),
            cursor: 0,
            lost: Vec::new(),
            buckets: Box::new([0; BUCKETS]),
            total: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns how many others can be probed: alive or suspected, and reached by UDP.
    pub fn reachable(&self) -> usize {
        self.ring.len()
    }

    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    pub fn find(&self, uid: &Uid) -> Option<Slot> {
        self.index.get(uid).copied()
    }

    pub fn get(&self, slot: Slot) -> Option<&Member> {
        self.slots.get(slot as usize)
    }

    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.slots.get_mut(slot as usize)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.slots
            .iter()
            .filter(|member| member.state != State::Gone)
    }

    /// Returns how many slots there are, used or not.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Returns all slots, beginning with one of them.
    pub fn from(&self, slot: usize) -> impl Iterator<Item = &Member> {
        let (before, after) = self.slots.split_at_checked(slot).unwrap_or_default();
        after.iter().chain(before)
    }

    pub fn insert(&mut self, mut member: Member) -> Slot {
        let uid = member.uid;
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    member.version = place.version.wrapping_add(1);
                    *place = member;
                }
                slot
            }
            None => {
                self.slots.push(member);
                (self.slots.len() - 1) as Slot
            }
        };
        self.index.insert(uid, slot);
        slot
    }

    /// Forgets a member.
    pub fn remove(&mut self, slot: Slot) {
        self.unlist(slot);
        self.rehash(slot, 0);
        if let Some(member) = self.get_mut(slot) {
            let uid = member.uid;
            member.state = State::Gone;
            member.version = member.version.wrapping_add(1);
            member.down = None;
            member.suspicion = None;
            if self.index.remove(&uid).is_some() {
                self.free.push(slot);
            }
        }
    }

    /// Puts a member's facts into the hash of the view in place of what was there of it.
    pub fn rehash(&mut self, slot: Slot, hash: u64) {
        if let Some(member) = self.slots.get_mut(slot as usize) {
            let (uid, before) = (member.uid, member.hash);
            member.hash = hash;
            self.fact(&uid, before, hash);
        }
    }

    /// Replaces the hash of a fact about `uid`; 0 stands for none.
    pub fn fact(&mut self, uid: &Uid, before: u64, after: u64) {
        let change = after.wrapping_sub(before);
        self.total = self.total.wrapping_add(change);
        let [first, ..] = *uid;
        if let Some(bucket) = self.buckets.get_mut(usize::from(first)) {
            *bucket = bucket.wrapping_add(change);
        }
    }

    pub fn hash(&self) -> u64 {
        self.total
    }

    pub fn buckets(&self) -> &[u64; BUCKETS] {
        &self.buckets
    }

    /// Puts a slot into the list that its state belongs to.
    pub fn relist(&mut self, slot: Slot, me: Slot) {
        let wanted = self
            .get(slot)
            .filter(|member| slot != me && member.has_udp())
            .map(|member| member.state);
        let place = self.get(slot).map(|member| member.place);
        match (wanted, place) {
            (Some(State::Alive | State::Suspect), Some(Place::Ring(_)))
            | (Some(State::Unreachable), Some(Place::Lost(_))) => {}
            (Some(State::Alive | State::Suspect), _) => {
                self.unlist(slot);
                self.ring.push(slot);
                self.place(slot, Place::Ring((self.ring.len() - 1) as u32));
            }
            (Some(State::Unreachable), _) => {
                self.unlist(slot);
                self.lost.push(slot);
                self.place(slot, Place::Lost((self.lost.len() - 1) as u32));
            }
            _ => self.unlist(slot),
        }
    }

    fn place(&mut self, slot: Slot, place: Place) {
        if let Some(member) = self.get_mut(slot) {
            member.place = place;
        }
    }

    fn unlist(&mut self, slot: Slot) {
        match self.get(slot).map(|member| member.place) {
            Some(Place::Ring(at)) => {
                let mut at = at as usize;
                if at < self.cursor {
                    self.cursor -= 1;
                    self.swap_ring(at, self.cursor);
                    at = self.cursor;
                }
                self.swap_ring(at, self.ring.len().saturating_sub(1));
                self.ring.pop();
            }
            Some(Place::Lost(at)) if (at as usize) < self.lost.len() => {
                self.lost.swap_remove(at as usize);
                if let Some(moved) = self.lost.get(at as usize).copied() {
                    self.place(moved, Place::Lost(at));
                }
            }
            _ => {}
        }
        self.place(slot, Place::Nowhere);
    }

    fn swap_ring(&mut self, a: usize, b: usize) {
        if a.max(b) >= self.ring.len() {
            return;
        }
        self.ring.swap(a, b);
        for at in [a, b] {
            if let Some(slot) = self.ring.get(at).copied() {
                self.place(slot, Place::Ring(at as u32));
            }
        }
    }

    /// Returns the next member to probe: each once in a round, in an order that is new in every round.
    ///
    /// The shuffle (Fisher and Yates) takes one step a call; who joins in the middle of a round has its place in it.
    pub fn next_probe(&mut self, rng: &mut Rng) -> Option<Slot> {
        if self.cursor >= self.ring.len() {
            self.cursor = 0;
        }
        let rest = self.ring.len() - self.cursor;
        let chosen = self.cursor + rng.below(rest);
        (rest > 0).then(|| self.swap_ring(self.cursor, chosen));
        let slot = self.ring.get(self.cursor).copied();
        self.cursor += 1;
        slot
    }

    /// Draws one that can be reached.
    pub fn draw(&self, rng: &mut Rng) -> Option<Slot> {
        self.ring.get(rng.below(self.ring.len())).copied()
    }

    /// Draws `count` different ones that can be reached, or all when there are fewer.
    pub fn draw_some<const N: usize>(
        &self,
        count: usize,
        except: Option<Slot>,
        rng: &mut Rng,
    ) -> Drawn<N> {
        let mut drawn = Drawn::default();
        let length = self.ring.len();
        if length <= 2 * count + 1 {
            let from = rng.below(length);
            let turned = self.ring.iter().cycle().skip(from).take(length);
            turned.for_each(|slot| drawn.add(*slot, count, except));
            return drawn;
        }
        for _ in 0..4 * count {
            if let Some(slot) = self.draw(rng) {
                drawn.add(slot, count, except);
            }
        }
        drawn
    }

    /// Draws one that is lost.
    pub fn draw_lost(&self, rng: &mut Rng) -> Option<Slot> {
        self.lost.get(rng.below(self.lost.len())).copied()
    }
}

/// A few different slots.
pub(super) struct Drawn<const N: usize> {
    slots: [Slot; N],
    len: usize,
}

impl<const N: usize> Default for Drawn<N> {
    fn default() -> Self {
        Self {
            slots: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Drawn<N> {
    fn add(&mut self, slot: Slot, limit: usize, except: Option<Slot>) {
        let full = self.len >= limit || Some(slot) == except || self.as_slice().contains(&slot);
        if let Some(place) = self.slots.get_mut(self.len).filter(|_| !full) {
            *place = slot;
            self.len += 1;
        }
    }

    pub fn as_slice(&self) -> &[Slot] {
        self.slots.get(..self.len).unwrap_or_default()
    }
}

/// Hashes identifiers with a seed. They are random already, and chosen by the coordinator alone.
#[derive(Clone)]
pub(super) struct Seeded(pub u64);

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The state of [`Seeded`].
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.0 = mix(self.0 ^ u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
