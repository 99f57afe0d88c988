//! Whole clusters in virtual time: nobody healthy stays dead, every broadcast reaches everybody, views converge.
//!
//! `SWARMLET_SEED=n` repeats a run; `SWARMLET_SIM_NODES=n` sets the size of the largest one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use mesh_support::keys::uid_of;
use mesh_support::net::{Cut, Net};
use mesh_support::{seed, Sim, HUB, MS, SECOND};
use swarmlet_core::mesh::{Config, State, NO_UDP};

fn cluster(seed: u64, nodes: usize, net: Net) -> Sim {
    let mut sim = Sim::new(seed, Config::default(), net);
    for _ in 0..nodes {
        sim.add(0);
    }
    sim.run(1);
    sim
}

/// Runs until everybody sees everybody alive and all know the same, once the network loses nothing any more.
fn settle(sim: &mut Sim, limit: u64) -> u64 {
    sim.net.loss = 0;
    let done = |sim: &Sim| sim.unseen() == 0 && sim.views() == 1;
    sim.until(50 * MS, limit, done).unwrap_or_else(|| {
        let recent = sim.told.iter().rev().filter(|told| told.what != "joined");
        recent.take(20).for_each(|told| println!("{told:?}"));
        let (unseen, views) = (sim.unseen(), sim.views());
        panic!("{unseen} pairs unseen, {views} views after {limit} us more")
    })
}

/// As [`settle`], while packets are lost: everybody is seen, but the views may be apart by what is on its way.
fn settle_lossy(sim: &mut Sim) -> u64 {
    let took = sim.until(50 * MS, 60 * SECOND, |sim| sim.unseen() == 0);
    took.unwrap_or_else(|| panic!("{} pairs unseen", sim.unseen()))
}

/// Waits until everybody heard an event, and checks that nobody hears it twice.
fn reach_all(sim: &mut Sim, from: usize, payload: &[u8], limit: u64) -> u64 {
    sim.broadcast(from, payload);
    let took = sim.until(10 * MS, limit, |sim| sim.deaf(payload, from) == 0);
    let took = took.unwrap_or_else(|| panic!("{} never heard it", sim.deaf(payload, from)));
    let nodes = sim.nodes.iter();
    assert!(nodes
        .filter_map(|node| node.heard.get(payload))
        .all(|heard| heard.0 == 1));
    took
}

/// Counts how often somebody was called unreachable who was there all the time.
fn false_alarms(sim: &Sim, innocent: impl Fn(usize) -> bool) -> usize {
    let alarms = sim.told.iter();
    alarms
        .filter(|told| told.what == "unreachable" && innocent(told.about))
        .count()
}

#[test]
fn a_hundred_nodes_started_together_see_each_other_in_each_of_20_runs() {
    let first = seed(100);
    for seed in first..first + 20 {
        let mut sim = cluster(seed, 100, Net::default());
        let took = sim.until(10 * MS, 1500 * MS, |sim| sim.unseen() == 0);
        assert!(took.is_some(), "seed {seed}: {} unseen", sim.unseen());
        settle(&mut sim, 10 * SECOND);
        assert_eq!(false_alarms(&sim, |_| true), 0, "seed {seed}");
    }
}

#[test]
fn every_size_and_loss_sees_all_hears_all_and_notices_a_crash() {
    let first = seed(7);
    for (nodes, loss) in [(10, 0), (10, 300), (50, 100), (100, 300), (200, 200)] {
        let mut sim = cluster(first, nodes, Net::lossy(loss));
        let seen = settle_lossy(&mut sim);
        let calm = sim.now + 6 * SECOND;
        sim.run(calm);
        let heard = reach_all(&mut sim, nodes / 2, b"hello", 30 * SECOND);
        sim.crash(1);
        let known = sim.until(50 * MS, 60 * SECOND, |sim| sim.unaware(1) == 0);
        println!("{nodes} nodes, loss {loss}: seen {seen}, heard {heard}, crash known {known:?}");
        assert!(
            known.is_some(),
            "{nodes} nodes, loss {loss}: not noticed by {}",
            sim.unaware(1)
        );
        sim.restart(1);
        settle(&mut sim, 60 * SECOND);
    }
}

#[test]
fn a_storm_of_joins_settles() {
    let nodes = std::env::var("SWARMLET_SIM_NODES").ok();
    let nodes = nodes.and_then(|text| text.parse().ok()).unwrap_or(1000);
    let mut sim = cluster(seed(3), nodes, Net::lossy(20));
    sim.keep_told = false;
    let took = settle(&mut sim, 120 * SECOND);
    let heard = reach_all(&mut sim, nodes - 1, b"to all", 30 * SECOND);
    println!("{nodes} joined and knew all after {took} us, an event took {heard} us");
}

#[test]
fn both_sides_of_a_partition_find_each_other_again() {
    let seed = seed(11);
    let (from, until) = (20 * SECOND, 80 * SECOND);
    let cut = |one_way, flaps| Cut {
        from,
        until,
        below: 15,
        one_way,
        flaps,
    };
    for cut in [
        cut(false, 0),
        cut(true, 0),
        cut(false, 3 * SECOND),
        cut(true, 7 * SECOND),
    ] {
        let mut net = Net::lossy(10);
        net.cuts.push(cut.clone());
        let mut sim = cluster(seed, 40, net);
        sim.run(from - SECOND);
        assert_eq!(sim.unseen(), 0);
        sim.run(from + 30 * SECOND);
        if !cut.one_way && cut.flaps == 0 {
            let given_up = sim.unseen();
            assert!(
                given_up >= 700,
                "{given_up} of 750 pairs gave each other up"
            );
        }
        sim.broadcast(1, b"said on one side");
        sim.run(until);
        let took = settle(&mut sim, 60 * SECOND);
        let deaf = sim.until(SECOND, 60 * SECOND, |sim| {
            sim.deaf(b"said on one side", 1) == 0
        });
        assert!(
            deaf.is_some(),
            "{cut:?}: {} did not hear",
            sim.deaf(b"said on one side", 1)
        );
        println!("{cut:?} healed in {took} us");
    }
}

#[test]
fn who_pauses_is_missed_and_nobody_else() {
    let mut sim = cluster(seed(5), 60, Net::lossy(10));
    settle(&mut sim, 30 * SECOND);
    for round in 0..20 {
        for _ in 0..4 {
            // Only the upper half pauses: an alarm about the lower half is false.
            let node = 30 + sim.random.below(30) as usize;
            let long = SECOND / 2 + sim.random.below(8 * SECOND);
            sim.pause(node, sim.now + long);
        }
        sim.run((20 + round * 5) * SECOND);
    }
    let calm = sim.now + 10 * SECOND;
    sim.run(calm);
    settle(&mut sim, 60 * SECOND);
    assert_eq!(false_alarms(&sim, |node| node < 30), 0);
}

#[test]
fn churn_ends_in_one_view() {
    let mut sim = cluster(seed(13), 60, Net::lossy(50));
    settle(&mut sim, 30 * SECOND);
    let mut left = Vec::new();
    for second in 0..60u64 {
        let node = 1 + sim.random.below(59) as usize;
        match sim.random.below(4) {
            0 => sim.crash(node),
            1 if sim.nodes[node].membership.is_some() => {
                sim.call(node, |membership, now, world| membership.leave(now, world));
                left.push(node);
                let later = sim.now + SECOND;
                sim.run(later);
                sim.crash(node);
            }
            2 if sim.nodes[node].membership.is_none() => {
                left.retain(|gone| *gone != node);
                sim.restart(node);
            }
            _ => {
                let now = sim.now;
                sim.add(now);
            }
        }
        sim.run(sim.now.max((10 + second) * SECOND));
        sim.lapse_leases();
    }
    settle(&mut sim, 90 * SECOND);
    let gone = |sim: &Sim| {
        (1..sim.nodes.len())
            .filter(|node| sim.nodes[*node].membership.is_none())
            .map(|node| {
                if left.contains(&node) {
                    0
                } else {
                    sim.unaware(node)
                }
            })
            .sum::<usize>()
    };
    let later = sim.now + 15 * SECOND;
    sim.run(later);
    sim.lapse_leases();
    let took = sim.until(SECOND, 30 * SECOND, |sim| gone(sim) == 0);
    assert!(
        took.is_some(),
        "{} still believe in who crashed",
        gone(&sim)
    );
    for (_, membership) in sim.live() {
        for node in &left {
            assert_eq!(membership.state_of(&uid_of(*node)), State::Left);
        }
    }
}

#[test]
fn a_member_without_udp_is_one_all_the_same() {
    let mut sim = cluster(seed(17), 20, Net::default());
    let deaf = sim.add(sim.now);
    sim.nodes[deaf].flags = NO_UDP;
    settle(&mut sim, 60 * SECOND);
    let later = sim.now + 60 * SECOND;
    sim.run(later);
    let sent = sim.nodes[deaf].sent.1;
    assert!((1..=8).contains(&sent), "one question in 30 s, not {sent}");
    reach_all(&mut sim, 3, b"by the link", 60 * SECOND);
    sim.crash(deaf);
    let later = sim.now + 60 * SECOND;
    sim.run(later);
    assert_eq!(
        false_alarms(&sim, |_| true),
        0,
        "only the coordinator may say so"
    );
}

#[test]
fn with_three_nodes_only_the_coordinator_declares_one_unreachable() {
    let mut sim = cluster(seed(19), 3, Net::default());
    settle(&mut sim, 30 * SECOND);
    sim.crash(2);
    let later = sim.now + 60 * SECOND;
    sim.run(later);
    for (_, membership) in sim.live() {
        assert_eq!(membership.state_of(&uid_of(2)), State::Suspect);
    }
    sim.condemn(2, false);
    let took = sim.until(10 * MS, 10 * SECOND, |sim| sim.unaware(2) == 0);
    assert!(took.is_some());
    sim.restart(2);
    settle(&mut sim, 30 * SECOND);
}

#[test]
fn who_is_condemned_wrongly_comes_back_and_who_is_revoked_does_not() {
    let mut sim = cluster(seed(23), 30, Net::default());
    settle(&mut sim, 30 * SECOND);
    sim.condemn(4, false);
    settle(&mut sim, 10 * SECOND);
    sim.condemn(5, true);
    let gone = |sim: &Sim| {
        let others = sim.live().filter(|(at, _)| *at != 5);
        others
            .filter(|(_, m)| m.state_of(&uid_of(5)) != State::Gone)
            .count()
    };
    assert!(sim
        .until(10 * MS, 10 * SECOND, |sim| gone(sim) == 0)
        .is_some());
    // Its old credential does not bring it back, whoever still has it.
    sim.crash(5);
    sim.restart(5);
    let later = sim.now + 60 * SECOND;
    sim.run(later);
    assert_eq!(gone(&sim), 0);
}

#[test]
fn one_malicious_member_of_20_evicts_nobody_in_ten_minutes() {
    let mut sim = cluster(seed(29), 20, Net::lossy(50));
    settle(&mut sim, 30 * SECOND);
    let evil = 7;
    let ends = sim.now + 600 * SECOND;
    while sim.now < ends {
        for victim in (0..20).filter(|node| *node != evil) {
            sim.slander(evil, victim);
        }
        let next = sim.now + 500 * MS;
        sim.run(next);
    }
    assert!(sim.told.iter().any(|told| told.what == "suspect"));
    assert_eq!(false_alarms(&sim, |node| node != evil), 0);
    assert_eq!(
        sim.nodes[HUB].membership.as_ref().unwrap().stats().forged,
        0
    );
    settle(&mut sim, 30 * SECOND);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut sim = cluster(seed, 30, Net::lossy(100));
        sim.run(10 * SECOND);
        let sent: Vec<_> = sim.nodes.iter().map(|node| node.sent).collect();
        (sent, sim.told)
    };
    let seed = seed(31);
    assert!(run(seed) == run(seed));
    assert!(run(seed) != run(seed + 1));
}
