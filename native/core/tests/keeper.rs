//! The node's own lease, and the law of both sides together: what the node holds, the coordinator has not given up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::VecDeque;

use proptest::prelude::*;
use swarmlet_core::heartbeat::{Lease, Reading};
use swarmlet_core::keeper::{LeaseKeeper, Standing};
use swarmlet_core::lease::{Change, LeaseTable};

const USUAL: Lease = Lease {
    heartbeat_ms: 5000,
    lease_ms: 15000,
};

#[test]
fn n4_the_lease_counts_from_the_sending_of_what_was_acknowledged() {
    let mut keeper = LeaseKeeper::default();
    assert_eq!(keeper.beat(0), None, "no lease, no heartbeat");
    keeper.granted(USUAL, 1000);
    assert_eq!(keeper.beat(1000), Some(1));
    assert_eq!(keeper.acked(1, 4000), Some(Standing::Held));
    assert_eq!(keeper.next_deadline(), Some(6000));
    assert_eq!(keeper.beat(6000), Some(2));
    assert_eq!(keeper.lapse(10_999), None);
    assert_eq!(
        keeper.lapse(11_000),
        Some((Standing::Lapsed, 10_000)),
        "10 s after 1000, not after 4000"
    );
    assert_eq!(keeper.lapse(12_000), None, "said once");
    assert_eq!(keeper.acked(2, 12_000), Some(Standing::Held));
}

#[test]
fn an_acknowledgement_that_proves_nothing_changes_nothing() {
    let mut keeper = LeaseKeeper::default();
    keeper.granted(USUAL, 0);
    keeper.beat(0);
    assert_eq!(keeper.acked(2, 1), None, "it was never sent");
    assert_eq!(
        keeper.acked(1, 10_000),
        None,
        "it comes when the lease it would give is over"
    );
    keeper.beat(10_000);
    assert_eq!(keeper.acked(2, 10_001), Some(Standing::Held));
    assert_eq!(
        keeper.acked(1, 10_002),
        None,
        "an older one does not shorten the lease"
    );
    assert_eq!(keeper.lapse(19_999), None);
}

#[test]
fn the_lease_outlives_a_connection_and_the_rhythm_survives_a_pause() {
    let mut keeper = LeaseKeeper::default();
    keeper.granted(USUAL, 0);
    keeper.beat(0);
    keeper.acked(1, 1);
    keeper.disconnected();
    assert_eq!((keeper.beat(6000), keeper.is_held()), (None, true));
    keeper.granted(USUAL, 7000);
    assert_eq!(
        keeper.beat(7000),
        Some(2),
        "numbers go on, so that no old answer fits a new question"
    );
    assert_eq!(keeper.beat(40_000), Some(3));
    assert_eq!(
        keeper.beat(40_001),
        None,
        "missed heartbeats are not made up for"
    );
    assert_eq!(keeper.beat(45_000), Some(4));
}

#[test]
fn a_heartbeat_in_a_hurry_is_due_at_once_and_the_rhythm_goes_on_from_it() {
    let mut keeper = LeaseKeeper::default();
    keeper.hurry(0);
    assert_eq!(keeper.beat(0), None, "nobody is there to hear it");
    keeper.granted(USUAL, 0);
    keeper.beat(0);
    keeper.hurry(700);
    assert_eq!((keeper.beat_at(), keeper.beat(700)), (Some(700), Some(2)));
    assert_eq!(keeper.beat_at(), Some(5700));
}

/// What happens to the wire in one step of time.
#[derive(Clone, Debug)]
enum Weather {
    Fine,
    /// Nothing moves for so many milliseconds, then all that waits arrives.
    Stall(u64),
    /// What is under way is lost and the connection is made anew.
    Cut,
    /// The coordinator does not read for so many milliseconds.
    Busy(u64),
}

fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        6 => Just(Weather::Fine),
        2 => (1u64..400).prop_map(Weather::Stall),
        1 => Just(Weather::Cut),
        1 => (1u64..400).prop_map(Weather::Busy),
    ]
}

struct Pair {
    keeper: LeaseKeeper,
    table: LeaseTable,
    to_table: VecDeque<u32>,
    to_keeper: VecDeque<u32>,
    given_up: bool,
    conn: u64,
}

impl Pair {
    const UID: [u8; 16] = [9; 16];
    const LEASE: Lease = Lease {
        heartbeat_ms: 50,
        lease_ms: 150,
    };

    fn connect(&mut self, now: u64) {
        self.to_table.clear();
        self.to_keeper.clear();
        self.table.disconnected(&Self::UID, self.conn, now);
        self.conn += 1;
        self.keeper.disconnected();
        self.table.admit(Self::UID, self.conn, Self::LEASE, now);
        self.given_up = false;
        self.keeper.granted(Self::LEASE, now);
    }

    fn step(&mut self, now: u64, moves: bool, reads: bool) {
        self.keeper.lapse(now);
        self.to_table.extend(self.keeper.beat(now));
        if moves && reads {
            for seq in self.to_table.drain(..) {
                let beat = self.table.heartbeat(&Self::UID, &Reading::default(), now);
                self.given_up &= beat.transition.is_none();
                self.to_keeper.push_back(seq);
            }
        }
        if moves {
            for seq in self.to_keeper.drain(..) {
                self.keeper.acked(seq, now);
            }
        }
        let given_up = &mut self.given_up;
        self.table.due(now, &mut |transition| {
            *given_up |= transition.change == Change::Lost
        });
        assert!(
            !(self.given_up && self.keeper.is_held()),
            "both sides think they may run it at {now}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn n4_what_the_node_holds_the_coordinator_has_not_given_up(days in prop::collection::vec(weather(), 1..40)) {
        let (keeper, table) = (LeaseKeeper::default(), LeaseTable::default());
        let mut pair = Pair { keeper, table, to_table: VecDeque::new(), to_keeper: VecDeque::new(), given_up: false, conn: 0 };
        let mut now = 0;
        pair.connect(now);
        for day in days {
            let (length, moves, reads) = match day {
                Weather::Fine => (60, true, true),
                Weather::Stall(length) => (length, false, true),
                Weather::Busy(length) => (length, true, false),
                Weather::Cut => (0, true, true),
            };
            if matches!(day, Weather::Cut) {
                pair.connect(now);
            }
            if !reads {
                pair.table.hold(&Pair::UID);
            }
            for _ in 0..length {
                now += 1;
                pair.step(now, moves, reads);
            }
            pair.table.release(&Pair::UID, now);
        }
    }
}
