//! The coordinator's leases: who is alive, who may not be, who is given up.
//!
//! | state   | what is known                                                        | becomes suspect            | becomes lost          |
//! |---------|----------------------------------------------------------------------|----------------------------|-----------------------|
//! | alive   | connected, heard of lately                                           | 2.5 intervals of silence, or disconnected | `lease_ms` of silence |
//! | suspect | silent for 2.5 intervals, or not connected (also [`LeaseTable::expect`]) | -                          | `lease_ms` of silence |
//! | lost    | silent for `lease_ms`                                                 | -                          | -                     |
//!
//! A heartbeat or an admission makes any state alive. Silence counts from the last heartbeat, admission, expectation
//! or end of a hold. A held node neither becomes suspect nor lost: its connection is not read because *we* are busy.
//!
//! A heartbeat writes two numbers and moves no timer: the timer of a node fires at the latest 2.5 intervals after it
//! was set, looks at what has happened since, and is set again. So each node has at most one live timer in a heap,
//! the hot path is one hash lookup without allocation, and a fired timer costs O(log n).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::heartbeat::{Lease, Reading};
use crate::Uid;

/// Milliseconds of the boot clock.
pub type Millis = u64;

/// How a node's standing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node that was not in the table was admitted.
    Joined,
    /// Its heartbeats are late or its connection is gone; the lease still holds.
    Suspect,
    /// Its lease lapsed.
    Lost,
    /// It was suspect or lost and is alive again.
    Back,
}

impl Change {
    /// Returns the word of the LEASE event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Suspect => "suspect",
            Self::Lost => "lost",
            Self::Back => "back",
        }
    }
}

/// A change of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub uid: Uid,
    /// Which.
    pub change: Change,
    /// For how long the node was silent before it.
    pub age_ms: Millis,
}

/// What a heartbeat changed; usually nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// `Back`, when the node was suspect or lost.
    pub transition: Option<Transition>,
    /// The health it reports, when that is news: the first report, or another value than before.
    pub health: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Alive,
    Suspect,
    Lost,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// The connection that speaks for it, while there is one.
    conn: Option<u64>,
    lease: Lease,
    /// Silence counts from here.
    since: Millis,
    /// The last reading and when it came.
    reading: Option<(Millis, Reading)>,
    held: bool,
    /// When its one live timer fires; any other timer of this node is stale.
    timer: Option<Millis>,
}

impl Entry {
    fn suspect_after(&self) -> Millis {
        suspect_after(self.lease)
    }

    /// Returns when silence changes this node, unless something is heard before.
    fn deadline(&self) -> Option<Millis> {
        if self.held {
            return None;
        }
        let lost = self.since + Millis::from(self.lease.lease_ms);
        match self.state {
            State::Alive => Some(lost.min(self.since + self.suspect_after())),
            State::Suspect => Some(lost),
            State::Lost => None,
        }
    }

    /// Moves to the state that `now` calls for, if it is another one.
    fn lapse(&mut self, now: Millis) -> Option<Change> {
        if self.deadline()? > now {
            return None;
        }
        let is_lost = now >= self.since + Millis::from(self.lease.lease_ms);
        self.state = if is_lost { State::Lost } else { State::Suspect };
        Some(if is_lost {
            Change::Lost
        } else {
            Change::Suspect
        })
    }

    /// Notes that it is heard; says for how long it was silent, when it was not alive.
    fn revive(&mut self, now: Millis) -> Option<Millis> {
        let silent = now.saturating_sub(self.since);
        self.since = self.since.max(now);
        let was = std::mem::replace(&mut self.state, State::Alive);
        (was != State::Alive).then_some(silent)
    }
}

/// Returns after how many milliseconds of silence a node is suspect: 2.5 heartbeat intervals.
pub fn suspect_after(lease: Lease) -> Millis {
    (Millis::from(lease.heartbeat_ms) * 5).div_ceil(2)
}

/// The leases of all nodes of a coordinator. Every `now` is in milliseconds of the boot clock and never goes back.
#[derive(Debug, Default)]
pub struct LeaseTable {
    nodes: HashMap<Uid, Entry, BuildHasherDefault<UidHasher>>,
    timers: BinaryHeap<Reverse<(Millis, Uid)>>,
}

impl LeaseTable {
    /// Takes connection `conn` as the voice of `uid` from now on, whatever spoke for it before.
    pub fn admit(&mut self, uid: Uid, conn: u64, lease: Lease, now: Millis) -> Option<Transition> {
        let Some(entry) = self.nodes.get_mut(&uid) else {
            self.insert(uid, State::Alive, Some(conn), lease, now);
            return Some(Transition {
                uid,
                change: Change::Joined,
                age_ms: 0,
            });
        };
        entry.conn = Some(conn);
        entry.lease = lease;
        entry.held = false;
        let silent = entry.revive(now);
        self.arm(uid, now);
        silent.map(|age_ms| Transition {
            uid,
            change: Change::Back,
            age_ms,
        })
    }

    /// Starts the lease of a node that is not connected, as if it were suspect since now.
    ///
    /// Nothing happens when the node is in the table already: what is known of it is better.
    pub fn expect(&mut self, uid: Uid, lease: Lease, now: Millis) {
        if !self.nodes.contains_key(&uid) {
            self.insert(uid, State::Suspect, None, lease, now);
        }
    }

    /// Takes a heartbeat of an admitted node; one of an unknown node changes nothing.
    #[inline]
    pub fn heartbeat(&mut self, uid: &Uid, reading: &Reading, now: Millis) -> Beat {
        let Some(entry) = self.nodes.get_mut(uid) else {
            return Beat::default();
        };
        let known = entry.reading.map(|(_, before)| before.health);
        entry.reading = Some((now, *reading));
        let silent = entry.revive(now);
        let unarmed = entry.timer.is_none();
        if unarmed {
            self.arm(*uid, now);
        }
        Beat {
            transition: silent.map(|age_ms| Transition {
                uid: *uid,
                change: Change::Back,
                age_ms,
            }),
            health: (known != Some(reading.health)).then_some(reading.health),
        }
    }

    /// Notes that connection `conn` ended; nothing happens unless it is the one that speaks for `uid`.
    pub fn disconnected(&mut self, uid: &Uid, conn: u64, now: Millis) -> Option<Transition> {
        let entry = self
            .nodes
            .get_mut(uid)
            .filter(|entry| entry.conn == Some(conn))?;
        entry.conn = None;
        self.release(uid, now);
        let entry = self
            .nodes
            .get_mut(uid)
            .filter(|entry| entry.state == State::Alive)?;
        entry.state = State::Suspect;
        Some(Transition {
            uid: *uid,
            change: Change::Suspect,
            age_ms: now.saturating_sub(entry.since),
        })
    }

    /// Stops the clock of a node whose connection we have stopped reading.
    pub fn hold(&mut self, uid: &Uid) {
        if let Some(entry) = self.nodes.get_mut(uid).filter(|entry| entry.conn.is_some()) {
            entry.held = true;
        }
    }

    /// Ends a hold: the node has a whole lease again, since what it sent meanwhile was not read yet.
    pub fn release(&mut self, uid: &Uid, now: Millis) {
        if let Some(entry) = self.nodes.get_mut(uid).filter(|entry| entry.held) {
            entry.held = false;
            entry.since = entry.since.max(now);
            self.arm(*uid, now);
        }
    }

    /// Drops a node without a transition; says whether it was there.
    pub fn forget(&mut self, uid: &Uid) -> bool {
        let known = self.nodes.remove(uid).is_some();
        self.compact();
        known
    }

    /// Reports every node whose silence has lasted too long by `now`, longest overdue first.
    pub fn due(&mut self, now: Millis, report: &mut impl FnMut(Transition)) {
        while let Some(Reverse((at, uid))) = self
            .timers
            .peek()
            .copied()
            .filter(|Reverse((at, _))| *at <= now)
        {
            self.timers.pop();
            let Some(entry) = self
                .nodes
                .get_mut(&uid)
                .filter(|entry| entry.timer == Some(at))
            else {
                continue;
            };
            entry.timer = None;
            if let Some(change) = entry.lapse(now) {
                report(Transition {
                    uid,
                    change,
                    age_ms: now.saturating_sub(entry.since),
                });
            }
            self.arm(uid, now);
        }
    }

    /// Returns when [`LeaseTable::due`] is to be called next: never too late, at times too early.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Returns the age in milliseconds of the last heartbeat of a node, and its reading.
    pub fn reading(&self, uid: &Uid, now: Millis) -> Option<(Millis, Reading)> {
        let (at, reading) = self.nodes.get(uid)?.reading?;
        Some((now.saturating_sub(at), reading))
    }

    /// Returns the lease a node was given.
    pub fn lease(&self, uid: &Uid) -> Option<Lease> {
        self.nodes.get(uid).map(|entry| entry.lease)
    }

    /// Returns how many nodes are in the table.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Says whether no node is in the table.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns how many timers are kept, stale ones included.
    pub fn timers(&self) -> usize {
        self.timers.len()
    }

    fn insert(&mut self, uid: Uid, state: State, conn: Option<u64>, lease: Lease, now: Millis) {
        let entry = Entry {
            state,
            conn,
            lease,
            since: now,
            reading: None,
            held: false,
            timer: None,
        };
        self.nodes.insert(uid, entry);
        self.arm(uid, now);
    }

    /// Sets the timer of a node if it has none that fires early enough.
    ///
    /// It fires at the deadline, but within 2.5 intervals, so that a heartbeat that comes later can never call for
    /// an earlier one. A held node needs none: its release sets it.
    fn arm(&mut self, uid: Uid, now: Millis) {
        let Some(entry) = self.nodes.get_mut(&uid) else {
            return;
        };
        let Some(deadline) = entry.deadline() else {
            return;
        };
        let at = deadline.min(now + entry.suspect_after());
        if entry.timer.is_none_or(|set| set > at) {
            entry.timer = Some(at);
            self.timers.push(Reverse((at, uid)));
            self.compact();
        }
    }

    /// Drops stale timers once there are more of them than nodes, so that churn cannot fill the memory.
    fn compact(&mut self) {
        if self.timers.len() > 2 * self.nodes.len() + 64 {
            let nodes = &self.nodes;
            self.timers.retain(|Reverse((at, uid))| {
                nodes.get(uid).is_some_and(|entry| entry.timer == Some(*at))
            });
        }
    }
}

/// Mixes a UUID into a hash. UUIDs are given by the coordinator, so no one can choose them to collide.
#[derive(Debug, Default)]
struct UidHasher(u64);

impl Hasher for UidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.0 = (self.0.rotate_left(29) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        self.0 ^= self.0 >> 32;
    }
}
