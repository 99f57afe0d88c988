//! Leases: those the nodes hold here (server), and those this process holds elsewhere (client).

use std::collections::HashMap;

use swarmlet_core::frame::Kind;
use swarmlet_core::heartbeat::{Heartbeat, HeartbeatAck, Lease};
use swarmlet_core::keeper::Standing;
use swarmlet_core::lease::Transition;
use swarmlet_core::Uid;

use super::{Driver, MOST_BEHIND};
use crate::clock::boot_us;
use crate::conn::{Conn, Phase};
use crate::ending::Ending;
use crate::event::{Event, EventQueue};
use crate::keepers::Due;
use crate::limits::idle_ms;

/// The newest standing and health of nodes for which the event queue had no room. At most one of each per node, so
/// nodes that come and go cannot fill the memory; what is skipped is no longer true anyway.
#[derive(Debug, Default)]
pub(crate) struct Late {
    standing: HashMap<Uid, Event>,
    health: HashMap<Uid, Event>,
}

impl Driver {
    /// A connection speaks for a node from now on.
    pub(super) fn admit(&mut self, id: u64, uid: Uid, lease: Lease) {
        let (mut is_taken, mut is_stalled) = (false, false);
        self.turn(id, |driver, conn| {
            if conn.phase != Phase::Open || !conn.is_server() {
                return Ok(());
            }
            if conn.node != Some(uid) {
                return Err(Ending::protocol("its certificate is not that node's"));
            }
            if !conn.admitted {
                driver.proven_or_gone(conn);
                conn.admitted = true;
                conn.life_ends = None;
            }
            conn.last_frame = driver.now;
            conn.idle_ms = Some(idle_ms(lease.lease_ms));
            conn.push_urgent(Kind::Lease, &lease.encode());
            is_taken = true;
            is_stalled = conn.stalled;
            driver.write(conn)
        });
        // The connection may have ended while the lease frame was written.
        if !is_taken || !self.by_id.contains_key(&id) {
            return;
        }
        let older = self.by_node.insert(uid, id).filter(|older| *older != id);
        let change = self.shared.leases().admit(uid, id, lease, self.now);
        if is_stalled {
            self.shared.leases().hold(&uid);
        }
        if let Some(older) = older {
            self.shared.stats.superseded.up();
            self.turn(older, |driver, conn| {
                driver.close(
                    conn,
                    Ending::new("superseded", "the node came back on another connection"),
                );
                Ok(())
            });
        }
        self.tell_transition(change);
    }

    pub(super) fn take_heartbeat(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Ending> {
        let Some(uid) = conn.node.filter(|_| conn.admitted) else {
            return Err(Ending::protocol("a heartbeat before admission"));
        };
        let beat =
            Heartbeat::decode(payload).ok_or_else(|| Ending::protocol("a malformed heartbeat"))?;
        self.shared.stats.heartbeats_in.up();
        let news = self
            .shared
            .leases()
            .heartbeat(&uid, &beat.reading, self.now);
        let ack = HeartbeatAck { seq: beat.seq };
        // A peer that does not read its acknowledgements loses its lease by its own count.
        conn.push_urgent(Kind::HeartbeatAck, &ack.encode());
        self.tell_transition(news.transition);
        if let Some(health) = news.health {
            let event = Event::Health {
                conn: conn.id,
                uid,
                health,
            };
            tell_or_keep(&mut self.late.health, &self.shared.events, uid, event);
        }
        Ok(())
    }

    pub(super) fn take_lease(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Ending> {
        let lease = Lease::decode(payload).ok_or_else(|| Ending::protocol("a malformed lease"))?;
        let uid = conn
            .node
            .ok_or_else(|| Ending::protocol("a lease for a peer without identity"))?;
        conn.admitted = true;
        conn.idle_ms = Some(idle_ms(lease.lease_ms));
        self.keepers.granted(uid, conn.id, lease, self.now);
        Ok(())
    }

    pub(super) fn take_ack(&mut self, conn: &mut Conn, payload: &[u8]) -> Result<(), Ending> {
        let ack = HeartbeatAck::decode(payload)
            .ok_or_else(|| Ending::protocol("a malformed acknowledgement"))?;
        let Some(uid) = conn.node.filter(|_| conn.admitted) else {
            return Err(Ending::protocol("an acknowledgement without a heartbeat"));
        };
        let acked = self
            .keepers
            .acked(&uid, conn.id, ack.seq, self.now, boot_us());
        if let Some(round_us) = acked.round_us {
            self.shared.stats.heartbeats_acked.up();
            self.shared.stats.heartbeats_acked_us.add(round_us);
        }
        if let Some(Standing::Held) = acked.standing {
            self.tell_standing(conn.id, Standing::Held, 0);
        }
        Ok(())
    }

    /// An admitted connection ended.
    pub(super) fn node_gone(&mut self, conn: &Conn) {
        let Some(uid) = conn.node else { return };
        if !conn.is_server() {
            return self.keepers.disconnected(&uid, conn.id);
        }
        if self.by_node.get(&uid) == Some(&conn.id) {
            self.by_node.remove(&uid);
        }
        let change = self.shared.leases().disconnected(&uid, conn.id, self.now);
        self.tell_transition(change);
    }

    /// Does what is due: heartbeats, and leases that lapsed.
    pub(super) fn tenure_passed(&mut self) {
        let mut lapsed = Vec::new();
        // After a pause of this process the heartbeats of the pause lie in the sockets: they are read first.
        if self.behind == 0 || self.behind > MOST_BEHIND {
            self.shared
                .leases()
                .due(self.now, &mut |change| lapsed.push(change));
        }
        for change in lapsed {
            self.tell_transition(Some(change));
        }
        let mut due = Vec::new();
        self.keepers
            .due(self.now, boot_us(), &mut |one| due.push(one));
        for one in due {
            match one {
                Due::Beat { conn, seq } => self.beat(conn, seq),
                Due::Lapsed { conn, age_ms } => self.tell_standing(conn, Standing::Lapsed, age_ms),
            }
        }
    }

    fn beat(&mut self, id: u64, seq: u32) {
        let reading = self.shared.reading().unwrap_or_default();
        self.turn(id, |driver, conn| {
            if conn.phase == Phase::Open
                && conn.push_urgent(Kind::Heartbeat, &Heartbeat { seq, reading }.encode())
            {
                driver.shared.stats.heartbeats_out.up();
            }
            driver.write(conn)
        });
    }

    /// Cuts every inbound connection whose certificate has one of these serials.
    pub(super) fn cut(&mut self, serials: &[Vec<u8>]) -> usize {
        let mut denied = swarmlet_core::deny::DenySet::default();
        for serial in serials {
            denied.insert(serial);
        }
        let is_denied = |conn: &Conn| {
            conn.phase == Phase::Open
                && conn
                    .serial
                    .as_deref()
                    .is_some_and(|serial| denied.contains(serial))
        };
        let ids: Vec<u64> = self
            .slots
            .iter()
            .flatten()
            .filter(|conn| is_denied(conn))
            .map(|conn| conn.id)
            .collect();
        for id in &ids {
            self.shared.stats.revoked.up();
            self.turn(*id, |driver, conn| {
                driver.close(conn, Ending::new("revoked", "its certificate was revoked"));
                Ok(())
            });
        }
        ids.len()
    }

    fn tell_transition(&mut self, change: Option<Transition>) {
        let Some(Transition {
            uid,
            change,
            age_ms,
        }) = change
        else {
            return;
        };
        let conn = self.by_node.get(&uid).copied().unwrap_or(0);
        let event = Event::Lease {
            conn,
            uid: Some(uid),
            state: change.as_str(),
            age_ms,
        };
        tell_or_keep(&mut self.late.standing, &self.shared.events, uid, event);
    }

    fn tell_standing(&mut self, conn: u64, standing: Standing, age_ms: u64) {
        let event = Event::Lease {
            conn,
            uid: None,
            state: standing.as_str(),
            age_ms,
        };
        // Bounded by the identities of this process: they may always be told.
        self.shared.events.push(event);
    }

    /// Tells late news as far as there is room; true when none is left.
    pub(super) fn deliver_late(&mut self) -> bool {
        let Late { standing, health } = &mut self.late;
        deliver_from(standing, &self.shared.events) && deliver_from(health, &self.shared.events)
    }
}

/// Tells an event, or keeps it in place of an older one about the same node.
fn tell_or_keep(late: &mut HashMap<Uid, Event>, events: &EventQueue, uid: Uid, event: Event) {
    let refused = if late.contains_key(&uid) {
        Some(event)
    } else {
        events.offer(event).err()
    };
    if let Some(event) = refused {
        late.insert(uid, event);
    }
}

fn deliver_from(late: &mut HashMap<Uid, Event>, events: &EventQueue) -> bool {
    while let Some(key) = late.keys().next().copied() {
        let Some(event) = late.remove(&key) else {
            return true;
        };
        if let Err(event) = events.offer(event) {
            late.insert(key, event);
            return false;
        }
    }
    true
}
