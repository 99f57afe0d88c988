//! Suspicion: accusing, counting accusers, and what happens when the time to refute is over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::health::{suspicion_us, MS};
use super::member::Suspicion;
use super::membership::Membership;
use super::queue::Item;
use super::statement::{kind, Accusation, ACCUSATION};
use super::table::Slot;
use super::wire::Message;
use super::{Event, State, Why, World};
use crate::Uid;

/// When suspicions end, soonest first: running time, slot, version of the member.
pub(super) type Deadlines = BinaryHeap<Reverse<(u64, Slot, u32)>>;

impl Membership {
    /// Accuses a member that did not answer, unless this node does so already; returns the accusation.
    pub(super) fn accuse(&mut self, slot: Slot, world: &mut dyn World) -> Option<[u8; ACCUSATION]> {
        let me = self.uid();
        let member = self.table.get(slot)?;
        let known = member.suspicion.as_ref().and_then(|suspicion| {
            let mut all = suspicion.accusations.iter();
            all.find(|(by, _)| *by == me).map(|(_, whole)| *whole)
        });
        // An accusation that goes on is made again before it lapses.
        let lasts = super::apply::ACCUSATION_MS / 2;
        let still = known.filter(|whole| {
            Accusation::parse(whole).is_some_and(|old| old.at_ms + lasts > self.at.cluster)
        });
        let young = self.at.run < u64::from(self.config.grace_ms) * MS + self.started;
        if young || still.is_some() || matches!(member.state, State::Left | State::Gone) {
            return still;
        }
        let accusation = Accusation {
            accuser: me,
            subject: member.uid,
            incarnation: member.incarnation,
            at_ms: self.at.cluster,
        };
        let body = accusation.body();
        let signature = world.sign(kind::ACCUSATION, &body);
        let whole: [u8; ACCUSATION] = crate::bytes::concat(&[&body, &signature]);
        self.stats.accused += 1;
        // Who is unreachable already is accused for the one who asked.
        if member.state != State::Unreachable {
            self.suspect(slot, me, &whole, true, world);
        }
        Some(whole)
    }

    /// Counts an accusation.
    pub(super) fn suspect(
        &mut self,
        slot: Slot,
        accuser: Uid,
        whole: &[u8; ACCUSATION],
        forward: bool,
        world: &mut dyn World,
    ) {
        let (run, members) = (self.at.run, self.table.reachable() + 1);
        let first = self
            .table
            .get(slot)
            .is_some_and(|m| m.state == State::Alive);
        if first {
            self.turn(slot, State::Suspect, Why::Members);
        }
        let Some(member) = self.table.get_mut(slot) else {
            return;
        };
        let (uid, version) = (member.uid, member.version);
        let suspicion = member.suspicion.get_or_insert_with(|| {
            Box::new(Suspicion {
                started: run,
                ..Suspicion::default()
            })
        });
        suspicion.accusations.retain(|(by, _)| *by != accuser);
        suspicion.accusations.push((accuser, *whole));
        let lasts = suspicion_us(&self.config, members, suspicion.accusations.len());
        suspicion.deadline = (suspicion.started + lasts).max(run);
        self.deadlines
            .push(Reverse((suspicion.deadline, slot, version)));
        if first {
            world.event(Event::Suspect(uid));
        }
        if forward {
            self.tell(Item::Accusation(slot, version, accuser), true);
        }
    }

    /// Ends suspicions whose time has come. Without enough accusers the member stays suspected (G3), and is told so
    /// again, in case that it never heard.
    pub(super) fn judge(&mut self, world: &mut dyn World) {
        while let Some(Reverse((deadline, slot, version))) = self.deadlines.peek().copied() {
            if deadline > self.at.run {
                break;
            }
            self.deadlines.pop();
            let needed = usize::from(self.config.accusers);
            let open = self
                .table
                .get_mut(slot)
                .filter(|member| member.version == version && member.state == State::Suspect);
            let Some(member) = open else {
                continue;
            };
            let uid = member.uid;
            let Some(suspicion) = member.suspicion.as_mut() else {
                continue;
            };
            // One that was shortened since has another entry.
            if suspicion.deadline != deadline {
                continue;
            }
            if suspicion.accusations.len() >= needed {
                self.turn(slot, State::Unreachable, Why::Members);
                world.event(Event::Unreachable(uid, Why::Members));
                continue;
            }
            let pause = u64::from(self.config.reconnect_ms) * MS;
            suspicion.pause = (suspicion.pause * 2).clamp(pause, 16 * pause);
            suspicion.deadline = self.at.run + self.rng.about(suspicion.pause);
            self.deadlines
                .push(Reverse((suspicion.deadline, slot, version)));
            self.inquire(slot, uid, world);
        }
    }

    /// Tells a suspected member again, in case that it never heard, and asks another one whether it is there: who knows
    /// better by now answers with an accusation.
    fn inquire(&mut self, slot: Slot, uid: Uid, world: &mut dyn World) {
        let nonce = self.rng.next() as u32;
        self.ping(slot, nonce, world);
        let drawn = self.table.draw_some::<1>(1, Some(slot), &mut self.rng);
        let helper = drawn.as_slice().first();
        let peer = helper.and_then(|slot| self.table.get(*slot).map(|member| member.peer()));
        if let Some(peer) = peer {
            self.out.clear();
            Message::PingReq(nonce, uid).put(&mut self.out);
            self.piggyback();
            self.send(peer, world);
        }
    }
}
