//! How news spreads: on every probe and its answer, in rounds while there is any, at once when it is new.

use super::health::MS;
use super::membership::{Membership, ME};
use super::queue::{Item, Written};
use super::statement::{kind, SignedCredential};
use super::table::Slot;
use super::wire::{put, Message, Payload};
use super::{Peer, State, World};

impl Membership {
    /// Queues something to be told; news waits only for a moment.
    pub(super) fn tell(&mut self, item: Item, pressing: bool) {
        match item {
            Item::Event(..) => self.events.push(item, pressing),
            _ => self.news.push(item, pressing),
        }
        self.wake_gossip();
    }

    pub(super) fn wake_gossip(&mut self) {
        self.timers.pause = 2 * u64::from(self.config.urgent_delay_ms.max(1)) * MS;
        let soon = self.at.run + u64::from(self.config.urgent_delay_ms) * MS;
        self.timers.gossip = self.timers.gossip.min(soon);
    }

    /// Fills the packet under construction with what is to be told.
    pub(super) fn piggyback(&mut self) {
        let limit = self.limit();
        let (table, log, sync) = (&self.table, &self.log, &self.sync);
        let mut write = |item: &Item, out: &mut Payload, size: usize| {
            if out.len() >= size {
                return Written::NoRoom;
            }
            write_item(item, table, log, sync, out)
        };
        let out = &mut self.out;
        // An event that begins within their share may end beyond it: the longest one gets through too.
        let share = match self.news.is_empty() {
            true => super::MAX_PAYLOAD,
            false => out.len() + usize::from(self.config.event_bytes),
        };
        self.events.pack(out, share, limit, &mut write);
        self.news.pack(out, super::MAX_PAYLOAD, limit, &mut write);
    }

    pub(super) fn put_record(&mut self, slot: Slot) {
        if let Some(member) = self.table.get(slot) {
            put(&mut self.out, kind::RECORD, &[member.record.as_slice()]);
        }
    }

    pub(super) fn put_introduction(&mut self, slot: Slot) {
        if let Some(member) = self.table.get(slot) {
            let SignedCredential { says, signature } = &member.credential;
            let parts: [&[u8]; 3] = [&says.body(), signature, member.record.as_slice()];
            put(&mut self.out, kind::INTRODUCTION, &parts);
        }
    }

    /// Tells a suspected member that it is one: nobody has more reason to hear it (Lifeguard's buddy system).
    pub(super) fn put_doubt(&mut self, slot: Slot) {
        let doubted = self
            .table
            .get(slot)
            .filter(|member| matches!(member.state, State::Suspect | State::Unreachable));
        if let Some(member) = doubted {
            Message::Doubt(member.incarnation).put(&mut self.out);
        }
    }

    /// Sends the packet under construction.
    pub(super) fn send(&mut self, to: Peer, world: &mut dyn World) {
        self.stats.sent += 1;
        self.stats.sent_bytes += self.out.len() as u64;
        world.send(to, self.out.as_slice());
    }

    /// Does a round of gossip when one is due.
    pub(super) fn gossip(&mut self, world: &mut dyn World) {
        if self.at.run < self.timers.gossip {
            return;
        }
        let idle = self.news.is_empty() && self.events.is_empty();
        if idle || self.table.reachable() == 0 || !self.talks() {
            self.timers.gossip = u64::MAX;
            return;
        }
        // News goes out in rounds that double their distance: soon to most, and later once more to who was away. A
        // backlog goes on as fast as the limit of bytes allows.
        let backlog = self.news.len() + self.events.len();
        let packets = (1 + backlog / 4).min(usize::from(self.config.burst));
        let pause = self.timers.pause;
        self.timers.gossip = self.at.run + self.rng.about(pause);
        if packets == 1 {
            let most = u64::from(self.config.gossip_interval_ms) * MS;
            self.timers.pause = (2 * pause).min(most);
        }
        let fanout = usize::from(self.config.fanout);
        let drawn = self.table.draw_some::<16>(fanout, None, &mut self.rng);
        for slot in drawn.as_slice() {
            for _ in 0..packets {
                if !self.gossip_to(*slot, world) {
                    break;
                }
            }
        }
    }

    fn gossip_to(&mut self, slot: Slot, world: &mut dyn World) -> bool {
        let peer = match self.table.get(slot) {
            Some(member) if slot != ME => member.peer(),
            _ => return false,
        };
        let second = 1_000 * MS;
        let cost = super::MAX_PAYLOAD as u64 * second / u64::from(self.config.rate_bytes);
        if !self.rate.spend(self.at.run, cost, second / 2) {
            self.stats.held_back += 1;
            return false;
        }
        self.out.clear();
        self.put_doubt(slot);
        let start = self.out.len();
        self.piggyback();
        let told = self.out.len() > start;
        if told {
            self.send(peer, world);
        }
        told
    }
}

fn write_item(
    item: &Item,
    table: &super::table::Table,
    log: &super::log::Log,
    sync: &super::sync::Sync,
    out: &mut Payload,
) -> Written {
    let member = |slot: &Slot, version: &u32| {
        table
            .get(*slot)
            .filter(|member| member.version == *version && member.state != State::Gone)
    };
    let fits = match item {
        Item::Introduction(slot, version) => member(slot, version).map(|member| {
            let SignedCredential { says, signature } = &member.credential;
            let parts: [&[u8]; 3] = [&says.body(), signature, member.record.as_slice()];
            put(out, kind::INTRODUCTION, &parts)
        }),
        Item::Record(slot, version) => {
            member(slot, version).map(|member| put(out, kind::RECORD, &[member.record.as_slice()]))
        }
        Item::Accusation(slot, version, accuser) => member(slot, version)
            .and_then(|member| member.suspicion.as_ref())
            .and_then(|known| known.accusations.iter().find(|(uid, _)| uid == accuser))
            .map(|(_, whole)| put(out, kind::ACCUSATION, &[whole])),
        Item::Down(slot, version) => member(slot, version)
            .and_then(|member| member.down.as_ref())
            .map(|whole| put(out, kind::VERDICT, &[&**whole])),
        Item::Tombstone(uid) => sync
            .tombstone_bytes(uid)
            .map(|whole| put(out, kind::VERDICT, &[whole])),
        Item::Event(origin, number) => log
            .get(origin, *number)
            .map(|whole| put(out, kind::EVENT, &[whole])),
    };
    match fits {
        Some(true) => Written::Yes,
        Some(false) => Written::NoRoom,
        None => Written::Stale,
    }
}
