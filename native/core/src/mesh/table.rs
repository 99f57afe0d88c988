//! The members: slots found by identifier, the ring of those to probe, the list of those lost, and the hash of all
//! facts. Every operation takes the same time at any number of members.

use std::collections::HashMap;

use super::draw::{Drawn, Seeded};
use super::member::{Member, Place};
use super::rng::Rng;
use super::State;
use crate::Uid;

/// Into how many parts the facts are divided for comparison.
pub(super) const BUCKETS: usize = 256;

/// The number of a member in the table.
pub(super) type Slot = u32;

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

    /// Returns all slots, used or not.
    pub fn slots(&self) -> std::ops::Range<Slot> {
        0..self.slots.len() as Slot
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
