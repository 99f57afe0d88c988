//! Joining, and anti-entropy with the coordinator: who has another view asks for what it missed, over the link.
//!
//! `ask` (a hash) is answered by `digest` (257 hashes), that by `items` with the asker's digest, and that by `items`.
//! Equal hashes are answered at once. Facts travel: records, tombstones, verdicts, recent events; and with a
//! record the accusations that go with it, which are not part of the hash.

use std::collections::HashMap;

use super::draw::Seeded;
use super::health::MS;
use super::member::Member;
use super::membership::Membership;
use super::statement::{kind, SignedCredential, Verdict, VERDICT};
use super::table::{Slot, BUCKETS};
use super::wire::{append, Message};
use super::{Event, Now, State, World};
use crate::bytes::Reader;
use crate::Uid;

/// The most bytes of a body (G6).
pub const MAX_BODY: usize = 256 * 1024;
/// Room that a body needs for one member with everything that is said about it.
const LARGEST: usize = 2048;

const ASK: u8 = 1;
const DIGEST: u8 = 2;
const TRADE: u8 = 3;
const ITEMS: u8 = 4;

/// Where this node stands in it.
pub(super) struct Sync {
    tombs: HashMap<Uid, (Verdict, [u8; VERDICT], u64), Seeded>,
    /// Attempts to join so far, until the coordinator answered.
    joining: Option<u32>,
    /// Since when, in running time, the view differs from those of others.
    differs: Option<u64>,
    /// When it may ask again.
    not_before: u64,
    pause: u64,
    /// How often it asks again soon after joining, for those that joined at the same time.
    settling: u32,
}

/// How often, with pauses that begin at half of that between attempts to join, and double.
const SETTLE: u32 = 3;

impl Default for Sync {
    fn default() -> Self {
        Self {
            tombs: HashMap::with_hasher(Seeded(0)),
            joining: None,
            differs: None,
            not_before: 0,
            pause: 0,
            settling: SETTLE,
        }
    }
}

impl Sync {
    pub fn tombstone(&self, uid: &Uid) -> Option<&Verdict> {
        self.tombs.get(uid).map(|(verdict, ..)| verdict)
    }

    pub fn tombstone_bytes(&self, uid: &Uid) -> Option<&[u8]> {
        self.tombs.get(uid).map(|(_, whole, _)| &whole[..])
    }

    pub fn tombs(&self) -> usize {
        self.tombs.len()
    }

    /// Keeps a tombstone; returns the hash of the one before and its own.
    pub fn bury(&mut self, verdict: &Verdict, whole: &[u8; VERDICT]) -> (u64, u64) {
        let hash = super::log::fingerprint(whole);
        let before = self.tombs.insert(verdict.subject, (*verdict, *whole, hash));
        (before.map_or(0, |(_, _, hash)| hash), hash)
    }
}

impl Membership {
    /// Joins: takes introductions as the coordinator sent them, and asks it for everything until it answers.
    ///
    /// `seeds` are messages one after another; an empty slice will do.
    pub fn join(&mut self, seeds: &[u8], now: Now, world: &mut dyn World) -> u64 {
        self.advance(now);
        self.take_all(seeds, world);
        self.sync.joining = Some(0);
        self.timers.join = self.at.run;
        self.tick(now, world)
    }

    /// Compares a peer's hash with this node's.
    pub(super) fn compare(&mut self, hash: u64) {
        if hash == self.view_hash() {
            self.sync.differs = None;
            self.sync.pause = 0;
            let late = self.at.run + u64::from(self.config.sync_max_ms) * MS;
            let settled = self.sync.joining.is_none() && self.sync.settling >= SETTLE;
            if settled && self.talks() {
                self.timers.sync = late;
            }
            return;
        }
        if self.sync.differs.is_none() && !self.config.hub {
            self.sync.differs = Some(self.at.run);
            let patience = self.rng.about(u64::from(self.config.sync_patience_ms) * MS);
            let at = (self.at.run + patience).max(self.sync.not_before);
            self.timers.sync = self.timers.sync.min(at);
        }
    }

    /// Asks the coordinator, when that is due.
    pub(super) fn seek(&mut self, world: &mut dyn World) {
        let run = self.at.run;
        if let Some(attempt) = self.sync.joining.filter(|_| run >= self.timers.join) {
            let pause = (u64::from(self.config.join_retry_ms) * MS) << attempt.min(4);
            self.sync.joining = Some(attempt.saturating_add(1));
            self.timers.join = run + self.rng.about(pause);
            self.introduce(world);
            self.ask(world);
        }
        if run < self.timers.sync {
            return;
        }
        self.prune();
        let least = u64::from(self.config.sync_min_ms) * MS;
        let most = u64::from(self.config.sync_max_ms) * MS;
        let thousands = (self.table.len() as u64).div_ceil(1000).max(1);
        self.sync.pause = (self.sync.pause * 2).clamp(least, most);
        let pause = (self.sync.pause * thousands).min(most);
        self.sync.not_before = run + self.rng.about(pause);
        self.sync.differs = None;
        self.timers.sync = match self.talks() {
            true => run + most,
            false => run + self.rng.about((4 * least).min(most)),
        };
        if !self.config.hub {
            self.ask(world);
        }
    }

    fn ask(&mut self, world: &mut dyn World) {
        self.stats.syncs += 1;
        let hash = self.view_hash().to_be_bytes();
        let body: [u8; 9] = crate::bytes::concat(&[&[ASK], &hash]);
        world.sync(&body);
    }

    /// Tells a few of those it knows about itself, in case they know it already.
    fn introduce(&mut self, world: &mut dyn World) {
        let drawn = self.table.draw_some::<4>(3, None, &mut self.rng);
        for slot in drawn.as_slice() {
            let Some(peer) = self.table.get(*slot).map(|member| member.peer()) else {
                continue;
            };
            self.out.clear();
            let (nonce, hash) = (self.rng.next() as u32, self.view_hash());
            Message::Ping(nonce, hash).put(&mut self.out);
            self.put_introduction(super::membership::ME);
            self.send(peer, world);
        }
    }

    /// Forgets tombstones whose credentials have expired by themselves.
    fn prune(&mut self) {
        let cluster = self.at.cluster;
        let table = &mut self.table;
        self.sync.tombs.retain(|uid, (verdict, _, hash)| {
            let keep = verdict.until_ms > cluster;
            if !keep {
                table.fact(uid, *hash, 0);
            }
            keep
        });
    }

    /// Takes a body that came over the link, and writes the answer into `reply`; nothing when there is none.
    ///
    /// Returns when [`Membership::tick`] is due. A body longer than [`MAX_BODY`], or not understood, changes nothing.
    pub fn receive_sync(
        &mut self,
        body: &[u8],
        now: Now,
        world: &mut dyn World,
        reply: &mut Vec<u8>,
    ) -> u64 {
        self.advance(now);
        reply.clear();
        if body.len() <= MAX_BODY && !self.expelled {
            let read = self.read_sync(body, world, reply);
            self.stats.malformed += u64::from(read.is_none());
        }
        self.deadline()
    }

    fn read_sync(&mut self, body: &[u8], world: &mut dyn World, reply: &mut Vec<u8>) -> Option<()> {
        let mut from = Reader(body);
        match from.u8()? {
            ASK if from.u64()? == self.view_hash() => reply.push(ITEMS),
            ASK => {
                reply.push(DIGEST);
                self.write_digest(reply);
            }
            DIGEST => {
                let theirs = Digest::read(&mut from)?;
                reply.push(TRADE);
                self.write_digest(reply);
                self.write_items(&theirs, reply);
            }
            TRADE => {
                let theirs = Digest::read(&mut from)?;
                self.take_all(from.0, world);
                reply.push(ITEMS);
                self.write_items(&theirs, reply);
            }
            ITEMS => {
                let before = self.stats.news;
                self.take_all(from.0, world);
                if self.sync.joining.take().is_some() {
                    self.timers.join = u64::MAX;
                    self.sync.settling = 0;
                    world.event(Event::InTouch);
                }
                self.settle();
                // There is more where that came from.
                if is_full(body) && self.stats.news > before {
                    self.timers.sync = self.at.run;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn settle(&mut self) {
        if self.sync.settling < SETTLE && !self.config.hub {
            let pause = (u64::from(self.config.join_retry_ms) * MS / 2) << self.sync.settling;
            self.sync.settling += 1;
            let at = self.at.run + self.rng.about(pause);
            self.timers.sync = self.timers.sync.min(at);
        }
    }

    /// Takes statements that came in a body. Only the coordinator passes them on: the others asked it, as all do.
    fn take_all(&mut self, messages: &[u8], world: &mut dyn World) {
        let mut rest = messages;
        while !rest.is_empty() {
            let Some(message) = Message::take(&mut rest) else {
                self.stats.malformed += 1;
                return;
            };
            if self.expelled || !self.take(message, self.config.hub, world) {
                return;
            }
        }
    }

    fn write_digest(&self, out: &mut Vec<u8>) {
        let buckets = self.table.buckets().iter();
        for hash in buckets.chain([&self.log.hash()]) {
            out.extend_from_slice(&hash.to_be_bytes());
        }
    }

    /// Writes all facts of the parts in which the other side differs, as far as a body has room.
    ///
    /// It begins with any part, so that what had no room has it the next time.
    fn write_items(&mut self, theirs: &Digest<'_>, out: &mut Vec<u8>) {
        if theirs.events() != Some(self.log.hash()) {
            for whole in self.log.iter() {
                append(out, kind::EVENT, &[whole]);
            }
        }
        let mut differing = [false; BUCKETS];
        for (at, flag) in differing.iter_mut().enumerate() {
            *flag = theirs.bucket(at) != self.table.buckets().get(at).copied();
        }
        let differs = |uid: &Uid| {
            let [first, ..] = *uid;
            differing.get(usize::from(first)).is_some_and(|flag| *flag)
        };
        for (uid, (_, whole, _)) in &self.sync.tombs {
            if differs(uid) && !is_full(out) {
                append(out, kind::VERDICT, &[whole]);
            }
        }
        // Part after part, so that what was sent whole differs no more the next time.
        let turn = self.rng.next() as u8;
        let mut chosen: Vec<(u8, Slot)> = (self.table.slots())
            .filter_map(|slot| self.table.get(slot).map(|member| (slot, member)))
            .filter(|(_, member)| member.state != State::Gone && differs(&member.uid))
            .map(
                |(
                    slot,
                    Member {
                        uid: [first, ..], ..
                    },
                )| (first.wrapping_add(turn), slot),
            )
            .collect();
        chosen.sort_unstable();
        for (_, slot) in chosen {
            if is_full(out) {
                break;
            }
            self.write_member(slot, out);
        }
    }

    fn write_member(&self, slot: Slot, out: &mut Vec<u8>) {
        let Some(member) = self.table.get(slot) else {
            return;
        };
        let SignedCredential { says, signature } = &member.credential;
        let parts: [&[u8]; 3] = [&says.body(), signature, member.record.as_slice()];
        append(out, kind::INTRODUCTION, &parts);
        if let Some(whole) = &member.down {
            append(out, kind::VERDICT, &[&**whole]);
        }
        for (_, whole) in member.suspicion.iter().flat_map(|known| &known.accusations) {
            append(out, kind::ACCUSATION, &[whole]);
        }
    }

    /// Returns what is left to tell: whether this node's news has been passed on.
    pub fn is_quiet(&self) -> bool {
        self.news.is_empty() && self.events.is_empty()
    }
}

/// Says whether a body has no room for one more member.
fn is_full(body: &[u8]) -> bool {
    body.len() + LARGEST > MAX_BODY
}

/// The other side's hashes: of each part of the members, and of the events.
struct Digest<'a>(&'a [u8]);

impl<'a> Digest<'a> {
    fn read(from: &mut Reader<'a>) -> Option<Self> {
        from.take((BUCKETS + 1) * 8).map(Self)
    }

    fn bucket(&self, at: usize) -> Option<u64> {
        let bytes = self.0.get(at * 8..)?.first_chunk::<8>()?;
        Some(u64::from_be_bytes(*bytes))
    }

    fn events(&self) -> Option<u64> {
        self.bucket(BUCKETS)
    }
}
