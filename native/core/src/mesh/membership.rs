//! The membership of one node: its parts, what a packet does, and what the owner can ask.

use std::net::SocketAddr;

use super::config::Config;
use super::detect::{Probe, Relay};
use super::health::{transmit_limit, Clock, Health, Limit, MS};
use super::log::Log;
use super::member::{Member, View};
use super::queue::{Item, Queue};
use super::rng::Rng;
use super::statement::{Record, SignedCredential, UserEvent, Word, MAX_EVENT, MAX_META};
use super::sync::Sync;
use super::table::{Slot, Table};
use super::wire::{Message, Payload};
use super::{Event, Now, Peer, State, Stats, Why, World};
use crate::Uid;

/// The slot of this node itself.
pub(super) const ME: Slot = 0;
/// Between refutations, and how many may follow at once.
const REFUTE: (u64, u64) = (1_000 * MS, 3);
/// For how long statements passed on by who passed on a forged one are not looked at.
const MUTED: u64 = 10_000 * MS;
/// Messages looked at in one packet. More than 60 pings fit and nobody sends them.
const MAX_MESSAGES: usize = 64;

/// This node, as it introduces itself.
#[derive(Clone, Copy, Debug)]
pub struct Me<'a> {
    /// Its credential with the coordinator's signature.
    pub credential: &'a [u8],
    /// Drawn at random at the start of the process.
    pub boot: [u8; 8],
    /// Where it listens.
    pub addr: SocketAddr,
    /// [`super::NO_UDP`] or 0.
    pub flags: u8,
    /// What it says about itself, at most [`MAX_META`] bytes.
    pub meta: &'a [u8],
}

/// The times of one call.
#[derive(Clone, Copy, Default)]
pub(super) struct Moment {
    /// Running time, for timers.
    pub run: u64,
    /// The caller's boot clock, for what is shown and for round trips.
    pub mono: u64,
    pub cluster: u64,
}

/// When something is due, in running time; `u64::MAX` is never.
pub(super) struct Timers {
    pub probe: u64,
    pub gossip: u64,
    /// Until the round of gossip after the next one; no time but a duration.
    pub pause: u64,
    pub reconnect: u64,
    pub join: u64,
    pub sync: u64,
    pub refute: u64,
}

/// SWIM with Lifeguard for one node.
pub struct Membership {
    pub(super) config: Config,
    pub(super) table: Table,
    pub(super) news: Queue,
    pub(super) events: Queue,
    pub(super) log: Log,
    pub(super) health: Health,
    pub(super) clock: Clock,
    pub(super) at: Moment,
    pub(super) started: u64,
    pub(super) timers: Timers,
    pub(super) probe: Option<Probe>,
    /// The number of the last try of a node that UDP does not reach.
    pub(super) knocked: Option<u32>,
    pub(super) relays: Vec<Relay>,
    pub(super) deadlines: super::suspect::Deadlines,
    pub(super) sync: Sync,
    pub(super) rng: Rng,
    pub(super) rate: Limit,
    pub(super) refutes: Limit,
    pub(super) event_number: u64,
    pub(super) stats: Stats,
    pub(super) expelled: bool,
    pub(super) out: Payload,
}

/// What one packet asks of the answer.
pub(super) struct Talk {
    pub slot: Slot,
    pub peer: Peer,
    ack: Option<u32>,
    reveal: bool,
    hash: Option<u64>,
}

impl Membership {
    /// Makes the membership of a node that knows only itself.
    ///
    /// # Errors
    /// The name of a field of the configuration out of its bounds, or `credential` or `meta`.
    pub fn new(
        config: Config,
        me: &Me<'_>,
        seed: u64,
        now: Now,
        world: &mut dyn World,
    ) -> Result<Self, &'static str> {
        config.check()?;
        let credential = SignedCredential::parse(me.credential).ok_or("credential")?;
        if me.meta.len() > MAX_META {
            return Err("meta");
        }
        let mut made = Self::empty(config, Rng::new(seed), now);
        let mut myself = Member::new(credential, me.addr);
        myself.state = State::Alive;
        myself.since = now.mono_us;
        made.table.insert(myself);
        made.advance(now);
        let told = (me.addr, me.flags, me.meta);
        made.publish(now.cluster_ms, me.boot, false, told, world);
        Ok(made)
    }

    /// Makes one that knows nobody, not even itself.
    fn empty(config: Config, mut rng: Rng, now: Now) -> Self {
        Self {
            table: Table::new(rng.next()),
            news: Queue::new(config.max_members as usize + 256),
            events: Queue::new(256),
            log: Log::default(),
            health: Health::default(),
            clock: Clock::default(),
            at: Moment::default(),
            started: now.mono_us,
            timers: Timers::first(now, &config, &mut rng),
            probe: None,
            knocked: None,
            relays: Vec::with_capacity(super::detect::MAX_RELAYS),
            deadlines: super::suspect::Deadlines::default(),
            sync: Sync::default(),
            rate: Limit::default(),
            refutes: Limit::default(),
            event_number: now.cluster_ms,
            stats: Stats::default(),
            expelled: false,
            out: Payload::default(),
            config,
            rng,
        }
    }

    /// Takes the messages of one packet from `from`. Returns when [`Membership::tick`] is due, in boot-clock time.
    ///
    /// The sender is authenticated and `from.addr` is where the packet came from; the answer goes there.
    pub fn receive(&mut self, from: Peer, payload: &[u8], now: Now, world: &mut dyn World) -> u64 {
        self.advance(now);
        self.stats.received += 1;
        let slot = self.table.find(&from.uid).filter(|slot| *slot != ME);
        let Some(slot) = slot.filter(|_| !self.expelled) else {
            self.stats.strangers += 1;
            return self.deadline();
        };
        let mut talk = Talk {
            slot,
            peer: from,
            ack: None,
            reveal: false,
            hash: None,
        };
        let mut rest = payload;
        for _ in 0..MAX_MESSAGES {
            if rest.is_empty() {
                break;
            }
            let Some(message) = Message::take(&mut rest) else {
                self.stats.malformed += 1;
                break;
            };
            if !self.hear(message, &mut talk, world) {
                break;
            }
        }
        self.answer(&talk, world);
        self.deadline()
    }

    /// Takes one message; false when the rest of the packet is not worth looking at.
    fn hear(&mut self, message: Message<'_>, talk: &mut Talk, world: &mut dyn World) -> bool {
        match message {
            Message::Ping(nonce, hash) => {
                talk.ack = Some(nonce);
                talk.hash = Some(hash);
            }
            Message::Ack(nonce, hash) => {
                talk.hash = Some(hash);
                self.acked(nonce, talk.peer, world);
            }
            Message::PingReq(nonce, target) => self.help(nonce, target, talk.peer, world),
            Message::Nack(nonce) => self.nacked(nonce, talk.peer.uid),
            Message::Doubt(incarnation) => {
                talk.reveal = true;
                self.doubted(incarnation, world);
            }
            Message::Unknown(_) => self.stats.unknown += 1,
            statement => return self.listen(statement, talk.slot, world),
        }
        true
    }

    /// Takes a statement that a member passed on; false, and not listening for a while, when it is forged.
    fn listen(&mut self, statement: Message<'_>, slot: Slot, world: &mut dyn World) -> bool {
        let run = self.at.run;
        if self.table.get(slot).is_some_and(|m| m.muted_until > run) {
            return false;
        }
        let sound = self.take(statement, true, world);
        if let Some(member) = self.table.get_mut(slot).filter(|_| !sound) {
            member.muted_until = run + MUTED;
        }
        sound && !self.expelled
    }

    fn answer(&mut self, talk: &Talk, world: &mut dyn World) {
        if let Some(hash) = talk.hash {
            self.compare(hash);
        }
        if self.expelled || (talk.ack.is_none() && !talk.reveal) {
            return;
        }
        self.out.clear();
        if let Some(nonce) = talk.ack {
            let hash = self.view_hash();
            Message::Ack(nonce, hash).put(&mut self.out);
        }
        self.put_doubt(talk.slot);
        if talk.reveal {
            self.put_record(ME);
        }
        self.piggyback();
        self.send(talk.peer, world);
    }

    /// Says goodbye. The owner goes on ticking for about a second, so that everybody hears it. Who comes back does so
    /// with another `Membership`.
    pub fn leave(&mut self, now: Now, world: &mut dyn World) -> u64 {
        self.advance(now);
        self.update_record(true, None, world);
        self.timers.gossip = self.at.run;
        self.tick(now, world)
    }

    /// Announces another address, flags or description of this node.
    ///
    /// Returns false, and changes nothing, when `meta` is too long.
    pub fn update(
        &mut self,
        addr: SocketAddr,
        flags: u8,
        meta: &[u8],
        now: Now,
        world: &mut dyn World,
    ) -> bool {
        self.advance(now);
        let told = meta.len() <= MAX_META;
        let told = told && self.update_record(false, Some((addr, flags, meta)), world);
        if !self.talks() {
            // Only the coordinator tells it anything now, and only when asked.
            self.timers.sync = self.at.run;
        }
        told
    }

    /// Tells every member an event once.
    ///
    /// Returns its number, or `None` when the payload is longer than [`MAX_EVENT`].
    pub fn broadcast(&mut self, payload: &[u8], now: Now, world: &mut dyn World) -> Option<u64> {
        self.advance(now);
        if payload.len() > MAX_EVENT || self.expelled {
            return None;
        }
        self.event_number += 1;
        let event = UserEvent {
            origin: self.uid(),
            number: self.event_number,
            at_ms: self.at.cluster,
            payload,
        };
        let whole = event.sign(world)?;
        if let Some(me) = self.table.get_mut(ME) {
            me.take_event(event.number);
        }
        self.log.keep(&event, &whole);
        self.tell(Item::Event(event.origin, event.number), false);
        Some(event.number)
    }

    /// Takes a statement from a trusted place, such as a verdict that the coordinator just signed, and passes it on.
    pub fn announce(&mut self, message: &[u8], now: Now, world: &mut dyn World) -> bool {
        self.advance(now);
        let mut rest = message;
        match Message::take(&mut rest) {
            Some(statement) if rest.is_empty() => self.take(statement, true, world),
            _ => false,
        }
    }

    /// Takes note of the time.
    pub(super) fn advance(&mut self, now: Now) {
        let (run, stalled) = self.clock.advance(now.mono_us, self.config.stall_ms);
        self.at = Moment {
            run,
            mono: now.mono_us,
            cluster: now.cluster_ms,
        };
        if stalled {
            self.stats.stalls += 1;
            self.woke();
        }
    }

    /// Answers somebody who suspects this node: with the next incarnation, unless that was done already.
    pub(super) fn doubted(&mut self, incarnation: u64, world: &mut dyn World) {
        let current = self.me().map_or(0, |me| me.incarnation);
        let (period, burst) = REFUTE;
        if incarnation != current {
            return;
        }
        if !self.refutes.allow(self.at.run, period, burst) {
            self.timers.refute = self.timers.refute.min(self.at.run + period);
            return;
        }
        self.refute(world);
    }

    /// Says that this node is alive, in its next incarnation.
    pub(super) fn refute(&mut self, world: &mut dyn World) {
        self.timers.refute = u64::MAX;
        self.health.worse(1, &self.config);
        self.stats.refuted += 1;
        self.update_record(false, None, world);
    }

    /// Publishes the next record of this node; what is `None` stays as it was.
    pub(super) fn update_record(
        &mut self,
        left: bool,
        told: Option<(SocketAddr, u8, &[u8])>,
        world: &mut dyn World,
    ) -> bool {
        let Some(me) = self.me() else {
            return false;
        };
        let (whole, next, boot) = (me.record, me.incarnation.saturating_add(1), me.boot);
        let Some(record) = Record::parse(whole.as_slice()) else {
            return false;
        };
        let told = told.unwrap_or((record.addr, record.flags, record.meta));
        self.publish(next, boot, left || record.left, told, world)
    }

    /// Signs a record of this node, installs and announces it.
    pub(super) fn publish(
        &mut self,
        incarnation: u64,
        boot: [u8; 8],
        left: bool,
        (addr, flags, meta): (SocketAddr, u8, &[u8]),
        world: &mut dyn World,
    ) -> bool {
        let record = Record {
            uid: self.uid(),
            incarnation,
            boot,
            left,
            flags,
            addr,
            meta,
        };
        let Some(whole) = record.sign(world) else {
            return false;
        };
        let state = if left { State::Left } else { State::Alive };
        self.install(ME, &record, whole.as_slice());
        self.turn(ME, state, Why::Itself);
        let version = self.me().map_or(0, |me| me.version);
        self.tell(Item::Record(ME, version), true);
        true
    }

    pub(super) fn me(&self) -> Option<&Member> {
        self.table.get(ME)
    }

    /// Returns who this node is.
    pub fn uid(&self) -> Uid {
        self.me().map_or([0; 16], |me| me.uid)
    }

    /// Returns a hash of all facts: equal at two nodes that know the same.
    pub fn view_hash(&self) -> u64 {
        self.table.hash().wrapping_add(self.log.hash())
    }

    /// Returns how many members are known, this node included, whatever their state.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Says whether nobody is known; never so.
    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Returns every member, this node first.
    pub fn members(&self) -> impl Iterator<Item = View<'_>> {
        self.table.iter().map(Member::view)
    }

    /// Returns one member.
    pub fn member(&self, uid: &Uid) -> Option<View<'_>> {
        let slot = self.table.find(uid)?;
        self.table.get(slot).map(Member::view)
    }

    /// Returns how a member is; [`State::Gone`] when it is none.
    pub fn state_of(&self, uid: &Uid) -> State {
        let member = self.table.find(uid).and_then(|slot| self.table.get(slot));
        member.map_or(State::Gone, |member| member.state)
    }

    /// Returns the local health score, 0 when well.
    pub fn health(&self) -> u8 {
        self.health.score()
    }

    /// Returns what happened how often.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns how often one statement is sent at this size.
    pub(super) fn limit(&self) -> usize {
        transmit_limit(&self.config, self.table.reachable() + 1)
    }

    /// Says whether this node was removed or revoked.
    pub fn is_expelled(&self) -> bool {
        self.expelled
    }

    /// Returns whether UDP reaches this node, and it therefore probes and gossips.
    pub(super) fn talks(&self) -> bool {
        !self.expelled && self.me().is_some_and(Member::has_udp)
    }

    pub(super) fn expel(&mut self, word: Word, world: &mut dyn World) {
        if !self.expelled {
            self.expelled = true;
            world.event(Event::Expelled(word));
        }
    }
}
