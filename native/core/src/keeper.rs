//! The node's side of its lease: when to send heartbeats, and whether the lease is still held.
//!
//! The lease counts from the moment the last *acknowledged* heartbeat was *sent* (N4): the coordinator heard it no
//! earlier than that, so it gives the node up no earlier than `lease_ms` after it. The node itself gives up after two
//! thirds of that (10 s of 15 s), which leaves the last third for ending what must not run twice.

use crate::heartbeat::Lease;
use crate::lease::Millis;

/// How many heartbeats may wait for their acknowledgement; older ones are of no use to the lease.
const IN_FLIGHT: usize = 8;

/// How the node's own standing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first acknowledgement since start or since a lapse.
    Held,
    /// Nothing was acknowledged for too long.
    Lapsed,
}

impl Standing {
    /// Returns the word of the LEASE event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Lapsed => "lapsed",
        }
    }
}

/// The lease of this node. It outlives connections: a new one may renew what an old one earned.
#[derive(Debug, Default)]
pub struct LeaseKeeper {
    lease: Option<Lease>,
    /// When the next heartbeat is to be sent; `None` while not connected.
    beat_at: Option<Millis>,
    seq: u32,
    sent: [Option<(u32, Millis)>; IN_FLIGHT],
    /// When the last acknowledged heartbeat was sent, while the lease is held.
    held_since: Option<Millis>,
}

impl LeaseKeeper {
    /// Takes the intervals of a LEASE frame; the first heartbeat is due at once.
    pub fn granted(&mut self, lease: Lease, now: Millis) {
        self.lease = Some(lease);
        self.beat_at = Some(now);
    }

    /// Makes the next heartbeat due at once, because there is something to tell; not while not connected.
    pub fn hurry(&mut self, now: Millis) {
        self.beat_at = self.beat_at.map(|at| at.min(now));
    }

    /// Stops sending heartbeats; the lease runs on.
    pub fn disconnected(&mut self) {
        self.beat_at = None;
    }

    /// Returns the number of the heartbeat to send now, if one is due, and notes its sending.
    ///
    /// Call it when the frame can be written at once: the lease counts from `now`.
    pub fn beat(&mut self, now: Millis) -> Option<u32> {
        let lease = self.lease?;
        let due = self.beat_at.filter(|at| *at <= now)?;
        let interval = Millis::from(lease.heartbeat_ms);
        // Keeps the rhythm after a late call, but sends no burst for the beats that were missed.
        let next = due + interval;
        self.beat_at = Some(if next > now { next } else { now + interval });
        self.seq = self.seq.wrapping_add(1);
        self.sent.rotate_right(1);
        if let Some(slot) = self.sent.first_mut() {
            *slot = Some((self.seq, now));
        }
        Some(self.seq)
    }

    /// Takes an acknowledgement; one for a heartbeat that was never sent or long ago changes nothing.
    pub fn acked(&mut self, seq: u32, now: Millis) -> Option<Standing> {
        let sent_at = self
            .sent
            .iter()
            .flatten()
            .find(|(number, _)| *number == seq)?
            .1;
        let before = self.held_since;
        if before.is_some_and(|since| since >= sent_at) || sent_at + self.patience()? <= now {
            return None;
        }
        self.held_since = Some(sent_at);
        before.is_none().then_some(Standing::Held)
    }

    /// Says that the lease lapsed, once, when it did by `now`; with it the age of the last proof.
    pub fn lapse(&mut self, now: Millis) -> Option<(Standing, Millis)> {
        let since = self.held_since?;
        if now < since + self.patience()? {
            return None;
        }
        self.held_since = None;
        Some((Standing::Lapsed, now.saturating_sub(since)))
    }

    /// Returns when [`LeaseKeeper::beat`] or [`LeaseKeeper::lapse`] has something to say.
    pub fn next_deadline(&self) -> Option<Millis> {
        match (self.beat_at, self.lapse_at()) {
            (Some(beat), Some(lapse)) => Some(beat.min(lapse)),
            (one, other) => one.or(other),
        }
    }

    /// Returns when the next heartbeat is due; `None` while not connected.
    pub fn beat_at(&self) -> Option<Millis> {
        self.beat_at
    }

    /// Returns when the lease lapses unless something is acknowledged before; `None` while it is not held.
    pub fn lapse_at(&self) -> Option<Millis> {
        Some(self.held_since? + self.patience()?)
    }

    /// Says whether the lease is held, as of the last call.
    pub fn is_held(&self) -> bool {
        self.held_since.is_some()
    }

    /// Returns how long the node holds on after the sending of an acknowledged heartbeat: two thirds of the lease.
    fn patience(&self) -> Option<Millis> {
        self.lease.map(|lease| Millis::from(lease.lease_ms) * 2 / 3)
    }
}
