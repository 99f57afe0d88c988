//! Statements about another member: accusations of members, and the coordinator's verdicts.

use super::apply::{holds, Outcome, ACCUSATION_MS, STATEMENTS};
use super::membership::{Membership, ME};
use super::queue::Item;
use super::statement::{kind, Accusation, Record, Verdict, Word, VERDICT};
use super::table::Slot;
use super::wire::append;
use super::{Event, Now, Signer, State, Why, World};
use crate::Uid;

/// Tombstones are kept for so long after the credentials they void.
const TOMB_MS: u64 = 3_600_000;

impl Membership {
    /// Says as the coordinator, whose `world` signs, what became of a member; false when that is no news.
    ///
    /// `until_ms` is cluster time: when the last credential of the member ends.
    pub fn declare(
        &mut self,
        word: Word,
        subject: Uid,
        until_ms: u64,
        now: Now,
        world: &mut dyn World,
    ) -> bool {
        let bound = match word {
            Word::Down => match self.member(&subject) {
                Some(member) => member.incarnation,
                None => return false,
            },
            Word::Removed | Word::Revoked => now.cluster_ms,
        };
        let verdict = Verdict {
            word,
            subject,
            bound,
            until_ms: until_ms.saturating_add(TOMB_MS),
        };
        let body = verdict.body();
        let signature = world.sign(kind::VERDICT, &body);
        let mut message = Vec::new();
        append(&mut message, kind::VERDICT, &[&body, &signature]);
        self.announce(&message, now, world)
    }

    pub(super) fn take_accusation(
        &mut self,
        accusation: &Accusation,
        whole: &[u8],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        let (Some(accuser), Some(subject)) = (
            self.table.find(&accusation.accuser),
            self.table.find(&accusation.subject),
        ) else {
            return Outcome::Orphan;
        };
        if accuser == ME || accuser == subject || !self.is_current(accusation, subject) {
            return Outcome::Stale;
        }
        let run = self.at.run;
        let Some(member) = self.table.get_mut(accuser) else {
            return Outcome::Orphan;
        };
        let signing = member.credential.says.signing;
        if member.state == State::Left {
            return Outcome::Stale;
        }
        if !holds(Signer::Member(&signing), kind::ACCUSATION, whole, world) {
            return Outcome::Forged;
        }
        let (period, burst) = STATEMENTS;
        if !member.limit.allow(run, period, burst) {
            return Outcome::Limited;
        }
        if subject == ME {
            self.doubted(accusation.incarnation, world);
        } else if let Ok(whole) = whole.try_into() {
            self.suspect(subject, accusation.accuser, whole, forward, world);
        }
        Outcome::News
    }

    /// Says whether an accusation would count if it is signed.
    fn is_current(&self, accusation: &Accusation, subject: Slot) -> bool {
        let cluster = self.at.cluster;
        let timely = accusation.at_ms <= cluster.saturating_add(ACCUSATION_MS)
            && accusation.at_ms.saturating_add(ACCUSATION_MS) >= cluster;
        self.table.get(subject).is_some_and(|member| {
            let open = matches!(member.state, State::Alive | State::Suspect);
            let concerned = member.incarnation == accusation.incarnation && member.has_udp();
            let most = usize::from(self.config.accusers) + 1;
            let new = member.suspicion.as_ref().is_none_or(|suspicion| {
                let known = &suspicion.accusations;
                known.len() < most && known.iter().all(|(uid, _)| *uid != accusation.accuser)
            });
            open && timely && concerned && new
        })
    }

    pub(super) fn take_verdict(
        &mut self,
        verdict: &Verdict,
        whole: &[u8],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        let Ok(whole) = <&[u8; VERDICT]>::try_from(whole) else {
            return Outcome::Forged;
        };
        let slot = self.table.find(&verdict.subject);
        let member = slot.and_then(|slot| self.table.get(slot));
        let news = match (verdict.word, member) {
            (Word::Down, None) => return Outcome::Orphan,
            (Word::Down, Some(member)) => {
                let known = member.down.as_deref().and_then(|old| Verdict::parse(old));
                member.state != State::Left
                    && verdict.bound >= member.incarnation
                    && known.is_none_or(|old| verdict.bound > old.bound)
            }
            (_, member) => {
                let known = self.sync.tombstone(&verdict.subject);
                verdict.until_ms > self.at.cluster
                    && known.is_none_or(|old| verdict.bound > old.bound)
                    && member.is_none_or(|member| verdict.bound >= member.credential.says.issued_ms)
            }
        };
        if !news {
            return Outcome::Stale;
        }
        if !holds(Signer::Coordinator, kind::VERDICT, whole, world) {
            return Outcome::Forged;
        }
        match (verdict.word, slot) {
            (Word::Down, Some(slot)) => self.take_down(slot, verdict, whole, forward, world),
            (word, slot) => self.bury(word, slot, verdict, whole, forward, world),
        }
    }

    fn take_down(
        &mut self,
        slot: Slot,
        verdict: &Verdict,
        whole: &[u8; VERDICT],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        if slot == ME {
            let current = self.me().map_or(0, |me| me.incarnation);
            let next = verdict.bound.max(current);
            self.outbid_down(next, world);
            return Outcome::News;
        }
        let before = self.table.get(slot).map(|member| member.state);
        if let Some(member) = self.table.get_mut(slot) {
            member.down = Some(Box::new(*whole));
            member.version = member.version.wrapping_add(1);
        }
        self.rehash(slot);
        self.turn(slot, State::Unreachable, Why::Coordinator);
        if before != Some(State::Unreachable) {
            world.event(Event::Unreachable(verdict.subject, Why::Coordinator));
        }
        if forward {
            let version = self.table.get(slot).map_or(0, |member| member.version);
            self.tell(Item::Down(slot, version), false);
        }
        Outcome::News
    }

    fn outbid_down(&mut self, bound: u64, world: &mut dyn World) {
        let Some(me) = self.me() else {
            return;
        };
        let (boot, whole) = (me.boot, me.record);
        if let Some(own) = Record::parse(whole.as_slice()) {
            let told = (own.addr, own.flags, own.meta);
            self.stats.refuted += 1;
            self.publish(bound.saturating_add(1), boot, own.left, told, world);
        }
    }

    fn bury(
        &mut self,
        word: Word,
        slot: Option<Slot>,
        verdict: &Verdict,
        whole: &[u8; VERDICT],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        if slot == Some(ME) {
            self.expel(word, world);
            return Outcome::News;
        }
        if self.sync.tombs() >= self.config.max_members as usize {
            return Outcome::Full;
        }
        if let Some(slot) = slot {
            self.table.remove(slot);
            world.event(Event::Removed(verdict.subject, word));
        }
        let (before, after) = self.sync.bury(verdict, whole);
        self.table.fact(&verdict.subject, before, after);
        if forward {
            self.tell(Item::Tombstone(verdict.subject), true);
        }
        Outcome::News
    }
}
