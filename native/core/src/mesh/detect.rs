//! Detection of failures: probes, direct and through helpers, and what follows when nobody answers.

use super::config::MAX_HELPERS;
use super::health::{smooth_rtt, MS};
use super::membership::{Membership, Timers, ME};
use super::rng::Rng;
use super::statement::kind;
use super::table::Slot;
use super::wire::Message;
use super::{Config, Now, Peer, World};
use crate::Uid;

/// The most probes this node does for others at a time, and for one of them.
pub(super) const MAX_RELAYS: usize = 32;
const MAX_RELAYS_EACH: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    AskedAgain,
    Helped,
}

/// The probe of this interval.
pub(super) struct Probe {
    slot: Slot,
    uid: Uid,
    nonce: u32,
    sent_mono: u64,
    started: u64,
    timeout: u64,
    ends: u64,
    stage: Stage,
    pub next: u64,
    helpers: [Uid; MAX_HELPERS as usize],
    asked: u8,
    nacks: u8,
}

/// A probe that another member asked for.
pub(super) struct Relay {
    for_whom: Peer,
    their_nonce: u32,
    slot: Slot,
    uid: Uid,
    nonce: u32,
    again: bool,
    ends: u64,
    pub next: u64,
}

impl Timers {
    pub fn first(now: Now, config: &Config, rng: &mut Rng) -> Self {
        // Nodes that were started together do not all probe at the same moment.
        let interval = u64::from(config.probe_interval_ms) * MS;
        Self {
            probe: now.mono_us + rng.below(interval as usize) as u64,
            gossip: u64::MAX,
            pause: 0,
            reconnect: now.mono_us + u64::from(config.reconnect_ms) * MS,
            join: u64::MAX,
            sync: now.mono_us + u64::from(config.sync_max_ms) * MS,
            refute: u64::MAX,
        }
    }
}

impl Membership {
    /// Does what is due. Returns when to call again, in boot-clock time.
    pub fn tick(&mut self, now: Now, world: &mut dyn World) -> u64 {
        self.advance(now);
        if !self.expelled {
            if self.at.run >= self.timers.refute {
                self.refute(world);
            }
            self.judge(world);
            self.relay(world);
            self.detect(world);
            self.gossip(world);
            self.reconnect(world);
            self.seek(world);
        }
        self.deadline()
    }

    /// Returns when the next thing is due.
    pub(super) fn deadline(&mut self) -> u64 {
        let judge = self.deadlines.peek().map_or(u64::MAX, |first| first.0 .0);
        let relay = self.relays.iter().map(|relay| relay.next).min();
        let probe = self.probe.as_ref().map_or(self.timers.probe, |p| p.next);
        let Timers {
            gossip,
            reconnect,
            join,
            sync,
            refute,
            ..
        } = self.timers;
        let times = [gossip, reconnect, join, sync, refute, judge, probe];
        let soonest = times.into_iter().chain(relay).min().unwrap_or(u64::MAX);
        let at = if self.expelled { u64::MAX } else { soonest };
        self.clock.promise(at)
    }

    /// Forgets what was under way while this node was paused: the answers may have come meanwhile.
    pub(super) fn woke(&mut self) {
        self.health.worse(1, &self.config);
        self.probe = None;
        self.relays.clear();
        let interval = u64::from(self.config.probe_interval_ms) * MS;
        self.timers.probe = self.timers.probe.max(self.at.run + interval / 4);
    }

    fn detect(&mut self, world: &mut dyn World) {
        if let Some(probe) = self.probe.take() {
            if self.at.run < probe.next {
                self.probe = Some(probe);
                return;
            }
            self.pursue(probe, world);
        }
        if self.probe.is_none() && self.at.run >= self.timers.probe {
            self.begin(world);
        }
    }

    fn begin(&mut self, world: &mut dyn World) {
        let interval = u64::from(self.config.probe_interval_ms) * MS;
        let run = self.at.run;
        let ends = run + self.health.stretch(interval);
        self.timers.probe = ends;
        if !self.talks() {
            return;
        }
        let chosen = self.table.next_probe(&mut self.rng);
        let Some((slot, uid)) =
            chosen.and_then(|slot| self.table.get(slot).map(|member| (slot, member.uid)))
        else {
            return;
        };
        let timeout = self
            .health
            .stretch(u64::from(self.config.probe_timeout_ms) * MS);
        let probe = Probe {
            slot,
            uid,
            nonce: self.rng.next() as u32,
            sent_mono: self.at.mono,
            started: run,
            timeout,
            ends,
            stage: Stage::Asked,
            next: run + timeout / 2,
            helpers: [[0; 16]; MAX_HELPERS as usize],
            asked: 0,
            nacks: 0,
        };
        self.stats.probes += 1;
        self.ping(slot, probe.nonce, world);
        self.probe = Some(probe);
    }

    /// Takes a probe that was not answered one stage further.
    fn pursue(&mut self, mut probe: Probe, world: &mut dyn World) {
        let same = self.table.get(probe.slot).map(|member| member.uid) == Some(probe.uid);
        match probe.stage {
            _ if !same => {}
            Stage::Asked => {
                self.ping(probe.slot, probe.nonce, world);
                probe.stage = Stage::AskedAgain;
                probe.next = probe.started + probe.timeout;
                self.probe = Some(probe);
            }
            Stage::AskedAgain => {
                self.ask_helpers(&mut probe, world);
                probe.stage = Stage::Helped;
                probe.next = probe.ends;
                self.probe = Some(probe);
            }
            Stage::Helped => {
                self.stats.unanswered += 1;
                let missing = probe.asked.saturating_sub(probe.nacks);
                let by = if probe.asked == 0 { 1 } else { missing };
                self.health.worse(by, &self.config);
                self.accuse(probe.slot, world);
            }
        }
    }

    pub(super) fn ping(&mut self, slot: Slot, nonce: u32, world: &mut dyn World) {
        let Some(peer) = self.table.get(slot).map(|member| member.peer()) else {
            return;
        };
        self.out.clear();
        let hash = self.view_hash();
        Message::Ping(nonce, hash).put(&mut self.out);
        self.put_doubt(slot);
        self.piggyback();
        self.send(peer, world);
    }

    fn ask_helpers(&mut self, probe: &mut Probe, world: &mut dyn World) {
        let count = usize::from(self.config.helpers);
        let drawn = self.table.draw_some::<{ MAX_HELPERS as usize }>(
            count,
            Some(probe.slot),
            &mut self.rng,
        );
        for (slot, helper) in drawn.as_slice().iter().zip(&mut probe.helpers) {
            let Some(peer) = self.table.get(*slot).map(|member| member.peer()) else {
                continue;
            };
            *helper = peer.uid;
            probe.asked += 1;
            self.out.clear();
            Message::PingReq(probe.nonce, probe.uid).put(&mut self.out);
            self.piggyback();
            self.send(peer, world);
        }
    }

    /// Takes an answer: of the probed member, of a helper, or of a member probed for another.
    pub(super) fn acked(&mut self, nonce: u32, from: Peer, world: &mut dyn World) {
        let answered = self.probe.as_ref().is_some_and(|probe| {
            let helped = probe.asked > 0 && probe.helpers.contains(&from.uid);
            probe.nonce == nonce && (probe.uid == from.uid || helped)
        });
        if self.knocked.take_if(|knock| *knock == nonce).is_some() {
            self.stats.answered += 1;
        }
        if let Some(probe) = self.probe.take_if(|_| answered) {
            self.stats.answered += 1;
            self.health.better();
            let rtt = self.at.mono.saturating_sub(probe.sent_mono);
            let member = self.table.get_mut(probe.slot);
            let first = probe.stage == Stage::Asked && probe.uid == from.uid;
            if let Some(member) = member.filter(|_| first) {
                member.rtt_us = smooth_rtt(member.rtt_us, rtt);
            }
            return;
        }
        let relayed = |relay: &Relay| relay.nonce == nonce && relay.uid == from.uid;
        while let Some(at) = self.relays.iter().position(relayed) {
            let relay = self.relays.swap_remove(at);
            self.out.clear();
            let hash = self.view_hash();
            Message::Ack(relay.their_nonce, hash).put(&mut self.out);
            self.piggyback();
            self.send(relay.for_whom, world);
        }
    }

    /// Takes word of a helper that got no answer either. When all say so, there is nothing to wait for.
    pub(super) fn nacked(&mut self, nonce: u32, from: Uid) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.nonce == nonce) {
            if let Some(helper) = probe.helpers.iter_mut().find(|uid| **uid == from) {
                *helper = [0; 16];
                probe.nacks += 1;
            }
            if probe.nacks >= probe.asked && probe.stage == Stage::Helped {
                probe.next = probe.next.min(probe.started + 2 * probe.timeout);
            }
        }
    }

    /// Probes a member for another one.
    pub(super) fn help(&mut self, nonce: u32, target: Uid, from: Peer, world: &mut dyn World) {
        let slot = self.table.find(&target).filter(|slot| *slot != ME);
        let Some(slot) = slot.filter(|_| self.relays.len() < MAX_RELAYS) else {
            return;
        };
        let theirs = self
            .relays
            .iter()
            .filter(|relay| relay.for_whom.uid == from.uid);
        if theirs.count() >= MAX_RELAYS_EACH
            || self.table.get(slot).is_none_or(|member| !member.has_udp())
        {
            return;
        }
        // Who is asked about by many is probed once for all of them: helpers are no amplifier.
        let under_way = self.relays.iter().find(|relay| relay.uid == target);
        let shared = under_way.map(|relay| (relay.nonce, relay.ends));
        let timeout = u64::from(self.config.probe_timeout_ms) * MS;
        let (own, ends) = match shared {
            Some(shared) => shared,
            None => (self.rng.next() as u32, self.at.run + timeout * 9 / 10),
        };
        let again = shared.is_some();
        self.relays.push(Relay {
            for_whom: from,
            their_nonce: nonce,
            slot,
            uid: target,
            nonce: own,
            again,
            ends,
            next: if again {
                ends
            } else {
                self.at.run + timeout / 2
            },
        });
        if !again {
            self.ping(slot, own, world);
        }
    }

    /// Asks again for others, or tells them that nobody answered. Who got no answer itself may accuse.
    fn relay(&mut self, world: &mut dyn World) {
        let run = self.at.run;
        while let Some(at) = self.relays.iter().position(|relay| relay.next <= run) {
            let mut relay = self.relays.swap_remove(at);
            let same = self.table.get(relay.slot).map(|member| member.uid) == Some(relay.uid);
            if !same {
                continue;
            }
            if !relay.again {
                self.ping(relay.slot, relay.nonce, world);
                relay.again = true;
                relay.next = relay.ends.max(run + 1);
                self.relays.push(relay);
                continue;
            }
            let accusation = match self.health.may_second(&self.config) {
                true => self.accuse(relay.slot, world),
                false => None,
            };
            self.out.clear();
            Message::Nack(relay.their_nonce).put(&mut self.out);
            if let Some(whole) = accusation {
                super::wire::put(&mut self.out, kind::ACCUSATION, &[&whole]);
            }
            self.piggyback();
            self.send(relay.for_whom, world);
        }
    }

    /// Tries one of those that are lost, so that both halves of a healed partition find each other.
    fn reconnect(&mut self, world: &mut dyn World) {
        if self.at.run < self.timers.reconnect {
            return;
        }
        let pause = u64::from(self.config.reconnect_ms) * MS;
        self.timers.reconnect = self.at.run + self.rng.about(pause);
        self.log.expire(
            self.at
                .cluster
                .saturating_sub(u64::from(self.config.event_ttl_ms)),
        );
        if !self.talks() {
            self.knock(world);
        } else if self.table.lost() > 0 {
            if let Some(slot) = self.table.draw_lost(&mut self.rng) {
                let nonce = self.rng.next() as u32;
                self.ping(slot, nonce, world);
            }
        }
    }
}
