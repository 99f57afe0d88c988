//! Whether UDP works for a node in both directions, and how often it changes its mind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use swarmlet_core::mesh::{Reach, Stats};

const SECOND: u64 = 1_000_000;

/// A node that probes every second: what it counted, and what it says.
struct Node {
    reach: Reach,
    stats: Stats,
    says: bool,
    now_us: u64,
    changes: u32,
}

impl Node {
    fn new() -> Self {
        Self {
            reach: Reach::new(1000, 0),
            stats: Stats::default(),
            says: true,
            now_us: 0,
            changes: 0,
        }
    }

    /// Lets `seconds` pass; in each `happens` says what was counted.
    fn pass(&mut self, seconds: u64, mut happens: impl FnMut(u64, bool, &mut Stats)) {
        for second in 0..seconds {
            self.now_us += SECOND;
            happens(second, self.says, &mut self.stats);
            if let Some(says) = self.reach.look(&self.stats, self.says, self.now_us) {
                assert_ne!(says, self.says, "only a change is told");
                self.says = says;
                self.changes += 1;
            }
        }
    }
}

#[test]
fn a_node_that_is_answered_says_nothing_new_whatever_it_misses() {
    let mut node = Node::new();
    node.pass(10_000, |second, _, stats| {
        stats.answered += u64::from(second % 5 == 0);
        stats.unanswered += u64::from(second % 5 != 0);
        stats.refuted += u64::from(second % 30 == 0);
    });
    assert_eq!(node.changes, 0);
}

#[test]
fn six_probes_without_an_answer_are_enough_and_one_answer_brings_it_back() {
    let mut node = Node::new();
    node.pass(3, |_, _, stats| stats.answered += 1);
    node.pass(5, |_, _, stats| stats.unanswered += 1);
    assert!(node.says);
    node.pass(1, |_, _, stats| stats.unanswered += 1);
    assert!(!node.says);
    node.pass(100, |_, _, _| {});
    assert!(!node.says, "time alone changes nothing");
    node.pass(1, |_, _, stats| stats.answered += 1);
    assert!(node.says);
}

#[test]
fn who_is_answered_and_yet_accused_again_and_again_gives_in_and_tries_less_and_less_often() {
    let mut node = Node::new();
    let day = 24 * 3600;
    node.pass(day, |second, says, stats| {
        stats.answered += u64::from(second % 30 == 0);
        // Only who says that it can be reached is probed, accused, and has to refute.
        stats.refuted += u64::from(says && second % 3 == 0);
    });
    assert!(
        node.changes < 2 * 32,
        "{} changes in a day, of what would be 28,800 accusations",
        node.changes
    );
    assert!(
        node.stats.refuted < 200,
        "{} refutations",
        node.stats.refuted
    );
    let before = node.changes;
    node.pass(day, |second, _, stats| {
        stats.answered += u64::from(second % 30 == 0)
    });
    assert!(
        node.says && node.changes <= before + 1,
        "once it is left alone it is back"
    );
}

#[test]
fn a_few_disputes_in_a_long_time_are_none() {
    let mut node = Node::new();
    node.pass(100_000, |second, _, stats| {
        stats.answered += 1;
        stats.refuted += u64::from(second % 25 == 0);
    });
    assert_eq!(node.changes, 0);
}
