//! The leases this process holds as a node: when each identity's next heartbeat is due, and whether it lapsed.
//!
//! They belong to identities, not to connections: after a reconnect the lease goes on where it was (N4).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};

use swarmlet_core::heartbeat::Lease;
use swarmlet_core::keeper::{LeaseKeeper, Standing};
use swarmlet_core::lease::Millis;
use swarmlet_core::Uid;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a heartbeat with this number.
    Beat {
        /// On this connection.
        conn: u64,
        /// Its number.
        seq: u32,
    },
    /// Tell that the lease lapsed.
    Lapsed {
        /// The connection of the identity, or 0.
        conn: u64,
        /// Milliseconds since the last proof.
        age_ms: Millis,
    },
}

#[derive(Debug, Default)]
struct Entry {
    keeper: LeaseKeeper,
    conn: Option<u64>,
    /// Milliseconds by which a heartbeat may be put off.
    spread: Millis,
    /// Until when the one that is due is put off.
    put_off: Option<Millis>,
    /// When its one live timer fires.
    timer: Option<Millis>,
    /// The newest heartbeat, and when it was sent in microseconds, until it is acknowledged.
    asked: Option<(u32, u64)>,
}

impl Entry {
    /// Returns when to look at it again. Only heartbeats are put off, a lapse is told in time.
    fn deadline(&self) -> Option<Millis> {
        let beat = self.put_off.or(self.keeper.beat_at());
        match (beat, self.keeper.lapse_at()) {
            (Some(beat), Some(lapse)) => Some(beat.min(lapse)),
            (one, other) => one.or(other),
        }
    }

    /// Returns the number of the heartbeat to send now, or puts it off by `random` of its spread.
    fn beat(&mut self, now: Millis, random: u64) -> Option<u32> {
        if self.keeper.beat_at()? > now {
            return None;
        }
        let until = *self.put_off.get_or_insert(now + random % (self.spread + 1));
        if until > now {
            return None;
        }
        self.put_off = None;
        self.keeper.beat(now)
    }
}

/// What an acknowledgement told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acked {
    /// How the node's own standing changed.
    pub standing: Option<Standing>,
    /// Microseconds since the heartbeat was sent, if it is the newest and was not acknowledged before.
    pub round_us: Option<u64>,
}

/// The leases of all identities used by outbound connections.
#[derive(Debug)]
pub struct Keepers {
    nodes: HashMap<Uid, Entry>,
    timers: BinaryHeap<Reverse<(Millis, Uid)>>,
    random: u64,
}

impl Default for Keepers {
    fn default() -> Self {
        Self {
            nodes: HashMap::new(),
            timers: BinaryHeap::new(),
            // It spreads heartbeats over time; nobody is harmed by one who guesses it.
            random: RandomState::new().hash_one(0u8),
        }
    }
}

impl Keepers {
    /// Takes the intervals of a LEASE frame that came on `conn`; the first heartbeat is due at once.
    pub fn granted(&mut self, uid: Uid, conn: u64, lease: Lease, now: Millis) {
        let entry = self.nodes.entry(uid).or_default();
        entry.conn = Some(conn);
        entry.spread = Millis::from(lease.heartbeat_ms) / 10;
        entry.put_off = Some(now);
        entry.keeper.granted(lease, now);
        self.arm(uid);
    }

    /// Makes every heartbeat due at once, and puts none off.
    pub fn hurry(&mut self, now: Millis) {
        let connected: Vec<Uid> = self
            .nodes
            .iter_mut()
            .filter(|(_, entry)| entry.conn.is_some())
            .map(|(uid, entry)| {
                entry.keeper.hurry(now);
                entry.put_off = Some(now);
                *uid
            })
            .collect();
        for uid in connected {
            self.arm(uid);
        }
    }

    /// Takes an acknowledgement that came on `conn`.
    pub fn acked(&mut self, uid: &Uid, conn: u64, seq: u32, now: Millis, now_us: u64) -> Acked {
        let mine = |entry: &&mut Entry| entry.conn == Some(conn);
        let Some(entry) = self.nodes.get_mut(uid).filter(mine) else {
            return Acked::default();
        };
        let standing = entry.keeper.acked(seq, now);
        let newest = entry.asked.take_if(|(number, _)| *number == seq);
        self.arm(*uid);
        Acked {
            standing,
            round_us: newest.map(|(_, sent_us)| now_us.saturating_sub(sent_us)),
        }
    }

    /// Notes that `conn` ended: no more heartbeats, but the lease runs on.
    pub fn disconnected(&mut self, uid: &Uid, conn: u64) {
        if let Some(entry) = self
            .nodes
            .get_mut(uid)
            .filter(|entry| entry.conn == Some(conn))
        {
            entry.conn = None;
            entry.put_off = None;
            entry.keeper.disconnected();
        }
        self.arm(*uid);
    }

    /// Reports everything that is due.
    pub fn due(&mut self, now: Millis, now_us: u64, report: &mut impl FnMut(Due)) {
        while let Some(Reverse((at, uid))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            let random = self.next_random();
            let Some(entry) = self
                .nodes
                .get_mut(&uid)
                .filter(|entry| entry.timer == Some(at))
            else {
                continue;
            };
            entry.timer = None;
            if let Some((_, age_ms)) = entry.keeper.lapse(now) {
                report(Due::Lapsed {
                    conn: entry.conn.unwrap_or(0),
                    age_ms,
                });
            }
            if let Some((conn, seq)) = entry.conn.zip(entry.beat(now, random)) {
                entry.asked = Some((seq, now_us));
                report(Due::Beat { conn, seq });
            }
            self.arm(uid);
        }
    }

    /// Returns when [`Keepers::due`] is to be called next.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    fn arm(&mut self, uid: Uid) {
        let Some(entry) = self.nodes.get_mut(&uid) else {
            return;
        };
        let Some(at) = entry.deadline() else { return };
        if entry.timer.is_none_or(|set| set > at) {
            entry.timer = Some(at);
            self.timers.push(Reverse((at, uid)));
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
