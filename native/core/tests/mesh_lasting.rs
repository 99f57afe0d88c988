//! What lets a process stay a member for weeks: newer credentials, and a way back after UDP did not reach it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use mesh_support::message;
use mesh_support::real::{Alone, Person, NOW_MS};
use mesh_support::said::{people, sent};
use mesh_support::SECOND;
use swarmlet_core::mesh::{kind, Config, State, NO_UDP};

const DAY_MS: u64 = 86_400_000;

#[test]
fn a_newer_credential_is_told_and_lets_who_comes_later_know_an_old_process() {
    let all = people(2..=3);
    let me = Person::new(1);
    let mut teller = Alone::among(&me, &all[..1]);
    teller.pass(SECOND);
    // The first one ended while the process went on; nobody who comes now takes an introduction with it.
    teller.now.cluster_ms = NOW_MS + 2 * DAY_MS;
    let newer = me.credential_until(NOW_MS + DAY_MS, NOW_MS + 8 * DAY_MS);
    let (now, world) = (teller.now, &mut teller.world);
    assert!(teller.membership.recertify(&newer, now, world));
    let mut late = Alone::new(&all[1], Config::default());
    late.now.cluster_ms = teller.now.cluster_ms;
    let seed = all[0].credential_until(NOW_MS + DAY_MS, NOW_MS + 8 * DAY_MS);
    let seed = message(kind::INTRODUCTION, &[&seed, &all[0].record(NOW_MS, false)]);
    late.membership.join(&seed, late.now, &mut late.world);
    late.receive(&all[0], &me.introduction(NOW_MS + 5));
    assert_eq!(late.membership.state_of(&me.uid), State::Gone);
    teller.world.sent.clear();
    teller.pass(SECOND);
    let told = std::mem::take(&mut teller.world.sent);
    for (_, payload) in told {
        late.receive(&all[0], &payload);
    }
    assert_eq!(late.membership.state_of(&me.uid), State::Alive);
}

#[test]
fn a_credential_with_half_a_life_or_of_other_keys_is_kept() {
    let me = Person::new(1);
    let mut alone = Alone::new(&me, Config::default());
    let before = alone.membership.view_hash();
    let stranger = Person {
        seed: [9; 32],
        ..me
    };
    let refused = [
        me.credential_until(NOW_MS, NOW_MS + DAY_MS),
        me.credential_until(NOW_MS - 1000, NOW_MS + 8 * DAY_MS),
        stranger.credential_until(NOW_MS, NOW_MS + 8 * DAY_MS),
        Person::new(2).credential_until(NOW_MS, NOW_MS + 8 * DAY_MS),
        vec![0; 3],
    ];
    for credential in refused {
        assert!(!alone
            .membership
            .recertify(&credential, alone.now, &mut alone.world));
    }
    assert_eq!(alone.membership.view_hash(), before);
}

#[test]
fn a_node_that_udp_does_not_reach_goes_on_asking_and_says_nothing_else() {
    let all = people(2..=4);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    let (now, world) = (alone.now, &mut alone.world);
    let addr = me.addr();
    assert!(alone.membership.update(addr, NO_UDP, b"hi", now, world));
    alone.world.bodies.clear();
    alone.pass(20 * SECOND);
    assert!(
        alone.world.bodies.len() > 1,
        "only the coordinator tells it anything now"
    );
    alone.world.sent.clear();
    alone.pass(300 * SECOND);
    // Its attempts to join introduce it; the rest is what it asks without.
    let said = sent(&mut alone);
    let count = |what: &str| said.iter().filter(|one| one.ends_with(what)).count();
    let (pings, others) = (count("ping"), count("introduction 1"));
    assert_eq!(pings + others, said.len(), "{said:?}");
    assert!(
        (5..=20).contains(&(pings - others)),
        "one in 30 s: {said:?}"
    );
}
