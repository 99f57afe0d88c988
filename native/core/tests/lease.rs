//! The lease table against a model that looks at every node in every millisecond.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use swarmlet_core::heartbeat::{Lease, Reading};
use swarmlet_core::lease::{Change, LeaseTable, Transition};
use swarmlet_core::Uid;

const LEASES: [Lease; 4] = [
    Lease {
        heartbeat_ms: 10,
        lease_ms: 30,
    },
    Lease {
        heartbeat_ms: 11,
        lease_ms: 25,
    },
    Lease {
        heartbeat_ms: 10,
        lease_ms: 120,
    },
    Lease {
        heartbeat_ms: 40,
        lease_ms: 60,
    },
];

fn uid(node: u8) -> Uid {
    [node; 16]
}

#[derive(Clone, Debug)]
enum Step {
    Admit { node: u8, conn: u64, lease: usize },
    Beat { node: u8, health: u8 },
    Disconnect { node: u8, conn: u64 },
    Expect { node: u8, lease: usize },
    Forget { node: u8 },
    Hold { node: u8 },
    Release { node: u8 },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (node, conn, lease) = (0u8..4, 0u64..3, 0..LEASES.len());
    prop_oneof![
        2 => (node.clone(), conn.clone(), lease.clone()).prop_map(|(node, conn, lease)| Step::Admit { node, conn, lease }),
        6 => (node.clone(), 0u8..3).prop_map(|(node, health)| Step::Beat { node, health }),
        1 => (node.clone(), conn).prop_map(|(node, conn)| Step::Disconnect { node, conn }),
        1 => (node.clone(), lease).prop_map(|(node, lease)| Step::Expect { node, lease }),
        1 => node.clone().prop_map(|node| Step::Forget { node }),
        1 => node.clone().prop_map(|node| Step::Hold { node }),
        1 => node.prop_map(|node| Step::Release { node }),
        8 => (0u64..50).prop_map(|ms| Step::Wait { ms }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Standing {
    Alive,
    Suspect,
    Lost,
}

#[derive(Clone, Debug)]
struct Node {
    standing: Standing,
    conn: Option<u64>,
    lease: Lease,
    since: u64,
    health: Option<u8>,
    held: bool,
}

/// The rules of the table in `lease.rs`, applied one by one.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<u8, Node>,
    seen: Vec<(u64, u8, Change, u64)>,
}

impl Model {
    fn revive(&mut self, node: u8, now: u64) {
        let entry = self.nodes.get_mut(&node).unwrap();
        if entry.standing != Standing::Alive {
            self.seen.push((now, node, Change::Back, now - entry.since));
        }
        entry.standing = Standing::Alive;
        entry.since = now;
    }

    fn release(&mut self, node: u8, now: u64) {
        if let Some(entry) = self.nodes.get_mut(&node).filter(|entry| entry.held) {
            entry.held = false;
            entry.since = now;
        }
    }

    fn admit(&mut self, node: u8, conn: u64, lease: Lease, now: u64) {
        if let Some(entry) = self.nodes.get_mut(&node) {
            (entry.conn, entry.lease, entry.held) = (Some(conn), lease, false);
            self.revive(node, now);
            return;
        }
        let entry = Node {
            standing: Standing::Alive,
            conn: Some(conn),
            lease,
            since: now,
            health: None,
            held: false,
        };
        self.nodes.insert(node, entry);
        self.seen.push((now, node, Change::Joined, 0));
    }

    fn disconnect(&mut self, node: u8, conn: u64, now: u64) {
        if self
            .nodes
            .get(&node)
            .is_none_or(|entry| entry.conn != Some(conn))
        {
            return;
        }
        self.release(node, now);
        let entry = self.nodes.get_mut(&node).unwrap();
        entry.conn = None;
        if entry.standing == Standing::Alive {
            entry.standing = Standing::Suspect;
            self.seen
                .push((now, node, Change::Suspect, now - entry.since));
        }
    }

    /// One millisecond of silence.
    fn tick(&mut self, now: u64) {
        for (node, entry) in self.nodes.iter_mut().filter(|(_, entry)| !entry.held) {
            let silent = now - entry.since;
            let is_suspect = entry.standing == Standing::Alive
                && 2 * silent >= 5 * u64::from(entry.lease.heartbeat_ms);
            if entry.standing != Standing::Lost && silent >= u64::from(entry.lease.lease_ms) {
                entry.standing = Standing::Lost;
                self.seen.push((now, *node, Change::Lost, silent));
            } else if is_suspect {
                entry.standing = Standing::Suspect;
                self.seen.push((now, *node, Change::Suspect, silent));
            }
        }
    }
}

/// Calls `due` at the deadlines the table itself names, and nowhere else.
fn wait(table: &mut LeaseTable, now: u64, until: u64, seen: &mut Vec<(u64, u8, Change, u64)>) {
    while let Some(at) = table.next_deadline().filter(|at| *at <= until) {
        let at = at.max(now);
        table.due(at, &mut |Transition {
                                uid,
                                change,
                                age_ms,
                            }| {
            seen.push((at, uid[0], change, age_ms))
        });
        assert!(
            table.next_deadline().is_none_or(|next| next > at),
            "a deadline stays in the past"
        );
    }
}

fn run(steps: &[Step]) {
    let (mut table, mut model) = (LeaseTable::default(), Model::default());
    let mut seen: Vec<(u64, u8, Change, u64)> = Vec::new();
    let mut now = 1000;
    let note = |seen: &mut Vec<_>, now, transition: Option<Transition>| {
        seen.extend(transition.map(
            |Transition {
                 uid,
                 change,
                 age_ms,
             }| (now, uid[0], change, age_ms),
        ));
    };
    for step in steps {
        match *step {
            Step::Admit { node, conn, lease } => {
                note(
                    &mut seen,
                    now,
                    table.admit(uid(node), conn, LEASES[lease], now),
                );
                model.admit(node, conn, LEASES[lease], now);
            }
            Step::Beat { node, health } => {
                let reading = Reading {
                    health,
                    ..Reading::default()
                };
                let beat = table.heartbeat(&uid(node), &reading, now);
                note(&mut seen, now, beat.transition);
                let Some(entry) = model.nodes.get_mut(&node) else {
                    assert_eq!(beat, Default::default(), "an unknown node has no heartbeat");
                    continue;
                };
                assert_eq!(
                    beat.health,
                    (entry.health != Some(health)).then_some(health)
                );
                entry.health = Some(health);
                model.revive(node, now);
                assert_eq!(table.reading(&uid(node), now + 3), Some((3, reading)));
            }
            Step::Disconnect { node, conn } => {
                note(&mut seen, now, table.disconnected(&uid(node), conn, now));
                model.disconnect(node, conn, now);
            }
            Step::Expect { node, lease } => {
                table.expect(uid(node), LEASES[lease], now);
                model.nodes.entry(node).or_insert(Node {
                    standing: Standing::Suspect,
                    conn: None,
                    lease: LEASES[lease],
                    since: now,
                    health: None,
                    held: false,
                });
            }
            Step::Forget { node } => {
                assert_eq!(
                    table.forget(&uid(node)),
                    model.nodes.remove(&node).is_some()
                );
            }
            Step::Hold { node } => {
                table.hold(&uid(node));
                if let Some(entry) = model
                    .nodes
                    .get_mut(&node)
                    .filter(|entry| entry.conn.is_some())
                {
                    entry.held = true;
                }
            }
            Step::Release { node } => {
                table.release(&uid(node), now);
                model.release(node, now);
            }
            Step::Wait { ms } => {
                wait(&mut table, now, now + ms, &mut seen);
                (1..=ms).for_each(|after| model.tick(now + after));
                now += ms;
            }
        }
        // Of one millisecond the order among nodes is free.
        seen.sort_by_key(|(at, node, ..)| (*at, *node));
        model.seen.sort_by_key(|(at, node, ..)| (*at, *node));
        assert_eq!(seen, model.seen);
        seen.clear();
        model.seen.clear();
        assert_eq!(table.len(), model.nodes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_table_agrees_with_the_model(steps in prop::collection::vec(step(), 0..80)) {
        run(&steps);
    }
}

const USUAL: Lease = Lease {
    heartbeat_ms: 5000,
    lease_ms: 15000,
};

fn due(table: &mut LeaseTable, now: u64) -> Vec<(Change, u64)> {
    let mut seen = Vec::new();
    table.due(now, &mut |transition| {
        seen.push((transition.change, transition.age_ms))
    });
    seen
}

#[test]
fn silence_makes_suspect_then_lost_and_a_heartbeat_brings_back() {
    let mut table = LeaseTable::default();
    table.admit(uid(1), 7, USUAL, 0);
    assert_eq!(due(&mut table, 12_499), []);
    assert_eq!(due(&mut table, 12_500), [(Change::Suspect, 12_500)]);
    assert_eq!(due(&mut table, 14_999), []);
    assert_eq!(due(&mut table, 15_000), [(Change::Lost, 15_000)]);
    assert_eq!(table.next_deadline(), None, "a lost node wakes nobody");
    let back = table
        .heartbeat(&uid(1), &Reading::default(), 60_000)
        .transition
        .unwrap();
    assert_eq!((back.change, back.age_ms), (Change::Back, 60_000));
}

#[test]
fn n4_a_late_look_reports_lost_at_once() {
    let mut table = LeaseTable::default();
    table.admit(uid(1), 7, USUAL, 0);
    assert_eq!(due(&mut table, 99_000), [(Change::Lost, 99_000)]);
}

#[test]
fn after_a_restart_an_expected_node_comes_back_or_is_lost() {
    let mut table = LeaseTable::default();
    table.expect(uid(1), USUAL, 100);
    table.expect(uid(2), USUAL, 100);
    let back = table.admit(uid(1), 1, USUAL, 5000).unwrap();
    assert_eq!((back.change, back.age_ms), (Change::Back, 4900));
    assert_eq!(due(&mut table, 15_100), [(Change::Lost, 15_000)]);
}

#[test]
fn the_end_of_a_superseded_connection_means_nothing() {
    let mut table = LeaseTable::default();
    table.admit(uid(1), 1, USUAL, 0);
    assert_eq!(table.admit(uid(1), 2, USUAL, 10), None);
    assert_eq!(table.disconnected(&uid(1), 1, 20), None);
    assert_eq!(
        table.disconnected(&uid(1), 2, 30).unwrap().change,
        Change::Suspect
    );
}

#[test]
fn a_node_we_do_not_read_does_not_lapse_by_our_fault() {
    let mut table = LeaseTable::default();
    table.admit(uid(1), 1, USUAL, 0);
    table.hold(&uid(1));
    assert_eq!(due(&mut table, 1_000_000), []);
    table.release(&uid(1), 1_000_000);
    assert_eq!(due(&mut table, 1_012_499), []);
    assert_eq!(due(&mut table, 1_015_000), [(Change::Lost, 15_000)]);
}

#[test]
fn churn_does_not_fill_the_memory_with_stale_timers() {
    let mut table = LeaseTable::default();
    for round in 0..100_000u64 {
        table.admit(uid(1), round, LEASES[usize::from(round % 2 == 0)], 0);
        table.forget(&uid(1));
        table.expect(uid(2), USUAL, 0);
        table.forget(&uid(2));
    }
    assert!(table.is_empty());
    assert!(table.timers() <= 64, "{} timers are left", table.timers());
}

#[test]
fn thirty_thousand_nodes_beat_without_a_transition() {
    let mut table = LeaseTable::default();
    let uid = |node: u32| -> Uid {
        let mut uid = [0; 16];
        uid[6..10].copy_from_slice(&node.to_be_bytes());
        uid
    };
    for node in 0..30_000 {
        table.admit(uid(node), u64::from(node), USUAL, u64::from(node % 5000));
    }
    for round in 1..10u64 {
        for node in 0..30_000 {
            let now = round * 5000 + u64::from(node % 5000);
            if node % 1000 == 0 {
                table.due(round * 5000, &mut |transition| panic!("{transition:?}"));
            }
            let beat = table.heartbeat(&uid(node), &Reading::default(), now);
            assert_eq!((beat.transition, beat.health.is_some()), (None, round == 1));
        }
    }
}
