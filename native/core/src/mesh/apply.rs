//! What each statement changes. One that is not news costs a look-up; a signature is checked only of what would be.

use super::health::MS;
use super::log::fingerprint;
use super::member::Member;
use super::membership::{Membership, ME};
use super::queue::Item;
use super::statement::{kind, split, Credential, Record, SignedCredential, UserEvent};
use super::table::Slot;
use super::wire::Message;
use super::{Event, Signer, State, Why, World};

/// Between statements of one originator, and how many may follow at once.
pub(super) const STATEMENTS: (u64, u64) = (100 * MS, 100);
/// For how long an accusation counts, and how far ahead of cluster time anything may be.
pub(super) const ACCUSATION_MS: u64 = 60_000;

/// What became of a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    News,
    Stale,
    Orphan,
    Limited,
    Full,
    Forged,
}

impl Membership {
    /// Takes a statement; false when its signature does not hold. News is passed on when `forward` is set.
    pub(super) fn take(
        &mut self,
        statement: Message<'_>,
        forward: bool,
        world: &mut dyn World,
    ) -> bool {
        let outcome = match statement {
            Message::Introduction(keys, credential, about, record) => {
                self.take_introduction(&keys, credential, &about, record, forward, world)
            }
            Message::Record(about, record) => self.take_record(&about, record, forward, world),
            Message::Accusation(accusation, whole) => {
                self.take_accusation(&accusation, whole, forward, world)
            }
            Message::Verdict(verdict, whole) => self.take_verdict(&verdict, whole, forward, world),
            Message::Event(event, whole) => self.take_event(&event, whole, forward, world),
            _ => Outcome::Stale,
        };
        let count = match outcome {
            Outcome::News => &mut self.stats.news,
            Outcome::Stale => &mut self.stats.stale,
            Outcome::Orphan => &mut self.stats.orphans,
            Outcome::Limited => &mut self.stats.limited,
            Outcome::Full => &mut self.stats.full,
            Outcome::Forged => &mut self.stats.forged,
        };
        *count += 1;
        outcome != Outcome::Forged
    }

    fn take_introduction(
        &mut self,
        keys: &Credential,
        credential: &[u8],
        about: &Record<'_>,
        record: &[u8],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        let slot = self.table.find(&keys.uid);
        let known = slot.and_then(|slot| self.table.get(slot));
        if known.is_some_and(|member| member.credential.says.issued_ms >= keys.issued_ms) {
            return self.take_record(about, record, forward, world);
        }
        let buried = self.sync.tombstone(&keys.uid);
        let void = buried.is_some_and(|verdict| keys.issued_ms <= verdict.bound);
        if slot == Some(ME) || void || keys.expires_ms <= self.at.cluster {
            return Outcome::Stale;
        }
        if slot.is_none() && self.table.len() >= self.config.max_members as usize {
            return Outcome::Full;
        }
        let Some(signed) = SignedCredential::parse(credential) else {
            return Outcome::Forged;
        };
        let holds = holds(Signer::Coordinator, kind::CREDENTIAL, credential, world)
            && holds(Signer::Member(&keys.signing), kind::RECORD, record, world);
        if !holds {
            return Outcome::Forged;
        }
        let (slot, state) = match slot {
            Some(slot) => (slot, known.map_or(State::Gone, |member| member.state)),
            None => {
                let member = Member::new(signed, about.addr);
                (self.table.insert(member), State::Gone)
            }
        };
        if let Some(member) = self.table.get_mut(slot) {
            member.credential = signed;
        }
        self.renew(slot, state, about, record, world);
        if forward {
            let version = self.table.get(slot).map_or(0, |member| member.version);
            self.tell(Item::Introduction(slot, version), false);
        }
        Outcome::News
    }

    fn take_record(
        &mut self,
        about: &Record<'_>,
        record: &[u8],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        let Some(slot) = self.table.find(&about.uid) else {
            return Outcome::Orphan;
        };
        let run = self.at.run;
        let Some(member) = self.table.get_mut(slot) else {
            return Outcome::Orphan;
        };
        if !is_newer(about, record, member) {
            return Outcome::Stale;
        }
        let signing = member.credential.says.signing;
        if !holds(Signer::Member(&signing), kind::RECORD, record, world) {
            return Outcome::Forged;
        }
        if slot == ME {
            self.outbid(about, world);
            return Outcome::News;
        }
        let (period, burst) = STATEMENTS;
        if !member.limit.allow(run, period, burst) {
            return Outcome::Limited;
        }
        let state = member.state;
        self.renew(slot, state, about, record, world);
        if forward {
            let version = self.table.get(slot).map_or(0, |member| member.version);
            self.tell(Item::Record(slot, version), false);
        }
        Outcome::News
    }

    /// Answers a record with this node's keys that this process did not make: one of its life before, or of a twin.
    fn outbid(&mut self, about: &Record<'_>, world: &mut dyn World) {
        let Some(me) = self.me() else {
            return;
        };
        let (boot, whole) = (me.boot, me.record);
        if about.boot != boot {
            world.event(Event::Twin(about.boot));
        }
        if let Some(own) = Record::parse(whole.as_slice()) {
            let next = about.incarnation.saturating_add(1);
            self.publish(next, boot, own.left, (own.addr, own.flags, own.meta), world);
        }
    }

    /// Installs a newer record of another member and tells what it changed.
    fn renew(
        &mut self,
        slot: Slot,
        before: State,
        about: &Record<'_>,
        record: &[u8],
        world: &mut dyn World,
    ) {
        let differs = self.table.get(slot).is_some_and(|member| {
            let old = Record::parse(member.record.as_slice());
            old.is_some_and(|old| {
                (old.addr, old.flags, old.boot, old.meta)
                    != (about.addr, about.flags, about.boot, about.meta)
            })
        });
        self.install(slot, about, record);
        let (state, event) = match (before, about.left) {
            (State::Gone, true) => (State::Left, None),
            (State::Left, true) => (State::Left, None),
            (_, true) => (State::Left, Some(Event::Left(about.uid))),
            (State::Gone | State::Left, false) => (State::Alive, Some(Event::Joined(about.uid))),
            (State::Suspect | State::Unreachable, false) => {
                (State::Alive, Some(Event::Back(about.uid)))
            }
            (State::Alive, false) => (State::Alive, differs.then_some(Event::Updated(about.uid))),
        };
        self.turn(slot, state, Why::Itself);
        if let Some(event) = event {
            world.event(event);
        }
        if differs && matches!(event, Some(Event::Back(_))) {
            world.event(Event::Updated(about.uid));
        }
    }

    /// Puts a record in the place of the one before, and forgets what was said about that.
    pub(super) fn install(&mut self, slot: Slot, about: &Record<'_>, record: &[u8]) {
        let Some(stored) = super::buf::Buf::copy(record) else {
            return;
        };
        if let Some(member) = self.table.get_mut(slot) {
            member.incarnation = about.incarnation;
            member.boot = about.boot;
            member.flags = about.flags;
            member.addr = about.addr;
            member.record = stored;
            member.version = member.version.wrapping_add(1);
            member.down = None;
            member.suspicion = None;
        }
        self.rehash(slot);
    }

    /// Counts a member's facts into the view's hash: what is signed, not the signatures, of which one signer can make
    /// many for the same words.
    pub(super) fn rehash(&mut self, slot: Slot) {
        let hash = self.table.get(slot).map_or(0, |member| {
            let down = member
                .down
                .as_ref()
                .map_or(0, |whole| fingerprint(&**whole));
            let issued = super::rng::mix(member.credential.says.issued_ms);
            fingerprint(member.record.as_slice())
                .wrapping_add(down)
                .wrapping_add(issued)
        });
        self.table.rehash(slot, hash);
    }

    /// Gives a member another state.
    pub(super) fn turn(&mut self, slot: Slot, state: State, why: Why) {
        let was_alone = self.table.reachable() == 0;
        let mono = self.at.mono;
        if let Some(member) = self.table.get_mut(slot) {
            if member.state != state {
                member.state = state;
                member.since = mono;
            }
            member.why = why;
            // What made it unreachable is told on: others may not have heard all of it.
            if !matches!(state, State::Suspect | State::Unreachable) {
                member.suspicion = None;
            }
        }
        self.table.relist(slot, ME);
        if was_alone && self.table.reachable() > 0 {
            self.wake_gossip();
        }
    }

    fn take_event(
        &mut self,
        event: &UserEvent<'_>,
        whole: &[u8],
        forward: bool,
        world: &mut dyn World,
    ) -> Outcome {
        let Some(slot) = self.table.find(&event.origin) else {
            return Outcome::Orphan;
        };
        let (run, cluster) = (self.at.run, self.at.cluster);
        let ttl = u64::from(self.config.event_ttl_ms);
        let timely = event.at_ms.saturating_add(ttl) >= cluster
            && event.at_ms <= cluster.saturating_add(ACCUSATION_MS);
        let Some(member) = self.table.get_mut(slot).filter(|_| timely) else {
            return Outcome::Stale;
        };
        if slot == ME || member.took_event(event.number) {
            return Outcome::Stale;
        }
        let signing = member.credential.says.signing;
        if !holds(Signer::Member(&signing), kind::EVENT, whole, world) {
            return Outcome::Forged;
        }
        let (period, burst) = STATEMENTS;
        if !member.limit.allow(run, period, burst) {
            return Outcome::Limited;
        }
        member.take_event(event.number);
        self.log.keep(event, whole);
        world.event(Event::User(*event));
        if forward {
            self.tell(Item::Event(event.origin, event.number), false);
        }
        Outcome::News
    }
}

/// Says whether a record replaces what is known of a member: a higher incarnation does. Of two with the same one, which
/// only a faulty or malicious member signs, all nodes keep the same: a goodbye, else the greater bytes.
fn is_newer(about: &Record<'_>, record: &[u8], member: &Member) -> bool {
    if about.incarnation != member.incarnation {
        return about.incarnation > member.incarnation;
    }
    let left = member.state == State::Left;
    let body = split(record).map_or(&[][..], |(body, _)| body);
    (about.left, body) > (left, member.record_body())
}

pub(super) fn holds(signer: Signer<'_>, kind: u8, whole: &[u8], world: &mut dyn World) -> bool {
    split(whole).is_some_and(|(body, signature)| world.verify(signer, kind, body, signature))
}
