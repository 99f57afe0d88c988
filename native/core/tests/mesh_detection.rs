//! Detection of failures, one rule at a time: probes, helpers, accusations, refutation, pauses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use mesh_support::real::{Alone, Person, NOW_MS};
use mesh_support::said::{accusation, people, record, sent};
use mesh_support::{message, MS, SECOND};
use swarmlet_core::mesh::{
    kind, suspicion_us, transmit_limit, Config, Message, State, MIN_ACCUSERS,
};

#[test]
fn two_accusers_make_a_suspect_and_three_an_unreachable_one() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    let victim = &all[7];
    for accuser in &all[..2] {
        alone.receive(&all[0], &accusation(accuser, victim, NOW_MS, NOW_MS));
        alone.receive(&all[0], &accusation(accuser, victim, NOW_MS, NOW_MS));
    }
    assert_eq!(alone.take_events(), ["suspect 9"]);
    // Long after: two are not enough.
    let started = alone.now.mono_us;
    while alone.now.mono_us < started + 4 * SECOND {
        alone.pass(100 * MS);
    }
    assert_eq!(alone.membership.state_of(&victim.uid), State::Suspect);
    let now = alone.now.cluster_ms;
    alone.receive(&all[0], &accusation(&all[2], victim, NOW_MS, now));
    alone.pass(10 * MS);
    assert_eq!(alone.membership.state_of(&victim.uid), State::Unreachable);
    alone.receive(&all[0], &record(victim, NOW_MS + 1, false));
    assert_eq!(alone.membership.state_of(&victim.uid), State::Alive);
    let events = alone.take_events();
    let about: Vec<_> = events.iter().filter(|event| event.contains(" 9")).collect();
    assert_eq!(about, ["unreachable 9 Members", "back 9"]);
}

#[test]
fn an_accusation_counts_only_for_its_incarnation_its_time_and_its_signer() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    let victim = &all[7];
    let stale = [
        accusation(&all[0], victim, NOW_MS - 1, NOW_MS),
        accusation(&all[0], victim, NOW_MS + 1, NOW_MS),
        accusation(&all[0], victim, NOW_MS, NOW_MS - 61_000),
        accusation(&all[0], victim, NOW_MS, NOW_MS + 61_000),
        accusation(victim, victim, NOW_MS, NOW_MS),
        accusation(&Person::new(50), victim, NOW_MS, NOW_MS),
        accusation(&all[0], &Person::new(50), NOW_MS, NOW_MS),
    ];
    for packet in &stale {
        alone.receive(&all[0], packet);
    }
    let forger = Person {
        seed: all[0].seed,
        ..all[1]
    };
    alone.receive(&all[0], &accusation(&forger, victim, NOW_MS, NOW_MS));
    assert_eq!(alone.take_events(), [""; 0]);
    assert_eq!(alone.membership.state_of(&victim.uid), State::Alive);
}

#[test]
fn who_is_accused_refutes_in_its_next_incarnation_and_says_so_first() {
    let all = people(2..=5);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    alone.receive(&all[0], &accusation(&all[1], &me, NOW_MS, NOW_MS));
    assert_eq!(
        alone.membership.member(&me.uid).unwrap().incarnation,
        NOW_MS + 1
    );
    assert_eq!(alone.membership.health(), 1);
    alone.pass(20 * MS);
    let told = sent(&mut alone);
    assert!(
        told.iter().any(|line| line.ends_with("record 1 1")),
        "{told:?}"
    );
    // The same again is old news.
    alone.receive(&all[0], &accusation(&all[2], &me, NOW_MS, NOW_MS));
    assert_eq!(
        alone.membership.member(&me.uid).unwrap().incarnation,
        NOW_MS + 1
    );
}

#[test]
fn refutations_are_few_however_many_accuse() {
    let all = people(2..=5);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    for _ in 0..1000 {
        let current = alone.membership.member(&me.uid).unwrap().incarnation;
        let doubt = message(kind::DOUBT, &[&current.to_be_bytes()]);
        alone.receive(&all[0], &doubt);
    }
    assert_eq!(alone.membership.stats().refuted, 3);
    alone.pass(1100 * MS);
    assert_eq!(
        alone.membership.stats().refuted,
        4,
        "the last one is made up for"
    );
    let greatest = message(kind::DOUBT, &[&u64::MAX.to_be_bytes()]);
    alone.pass(5 * SECOND);
    let before = alone.membership.stats().refuted;
    alone.receive(&all[0], &greatest);
    assert_eq!(
        alone.membership.stats().refuted,
        before,
        "of an incarnation that never was"
    );
}

#[test]
fn the_suspected_is_told_with_every_ping_and_ack() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    alone.receive(&all[0], &accusation(&all[0], &all[7], NOW_MS, NOW_MS));
    sent(&mut alone);
    let ping = message(kind::PING, &[&7u32.to_be_bytes(), &[0; 8]]);
    alone.receive(&all[7], &ping);
    let told = sent(&mut alone);
    assert_eq!(told[..2], ["9: ack 7", "9: doubt 0"]);
    alone.receive(&all[6], &ping);
    assert!(!sent(&mut alone).contains(&"8: doubt 0".to_owned()));
}

#[test]
fn a_doubt_is_answered_with_the_record() {
    let all = people(2..=5);
    let mut alone = Alone::among(&Person::new(1), &all);
    let doubt = message(kind::DOUBT, &[&(NOW_MS - 1).to_be_bytes()]);
    alone.receive(&all[0], &doubt);
    assert!(sent(&mut alone).contains(&"2: record 1 0".to_owned()));
    assert_eq!(
        alone.membership.stats().refuted,
        0,
        "of an older incarnation: nothing to refute"
    );
}

#[test]
fn who_does_not_answer_is_accused_after_helpers_were_asked() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    alone.pass(4900 * MS);
    assert_eq!(
        alone.membership.stats().accused,
        0,
        "a newcomer accuses nobody"
    );
    sent(&mut alone);
    let events = alone.take_events();
    assert!(events.is_empty(), "{events:?}");
    for _ in 0..400 {
        alone.pass(100 * MS);
    }
    assert!(alone.membership.stats().accused > 0);
    let told = sent(&mut alone);
    assert!(told.iter().any(|line| line.contains("ping-req")));
    assert!(told.iter().any(|line| line.contains("accusation 1 ")));
    assert_eq!(alone.membership.health(), 8, "and this node doubts itself");
    let states = all.iter().map(|p| alone.membership.state_of(&p.uid));
    assert!(states.clone().any(|state| state == State::Suspect));
    assert!(
        states.clone().all(|state| state != State::Unreachable),
        "one accuser is not enough"
    );
}

#[test]
fn a_helper_probes_and_tells_what_came_of_it() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    let ask =
        |nonce: u32, target: &Person| message(kind::PING_REQ, &[&nonce.to_be_bytes(), &target.uid]);
    alone.receive(&all[0], &ask(77, &all[5]));
    let (_, ping) = alone.world.sent.last().unwrap().clone();
    let Some(Message::Ping(nonce, _)) = Message::take(&mut &ping[..]) else {
        panic!("no ping");
    };
    let ack = message(kind::ACK, &[&nonce.to_be_bytes(), &[0; 8]]);
    alone.receive(&all[6], &ack);
    sent(&mut alone);
    alone.receive(&all[5], &ack);
    assert_eq!(
        sent(&mut alone)[0],
        "2: ack 77",
        "only its own answer counts"
    );
    alone.receive(&all[0], &ask(78, &all[5]));
    alone.pass(400 * MS);
    assert!(sent(&mut alone).contains(&"2: nack 78".to_owned()));
    // One member cannot keep this node busy for itself.
    for nonce in 0..100 {
        alone.receive(&all[0], &ask(nonce, &all[5]));
    }
    alone.receive(&all[1], &ask(5, &all[5]));
    let pings = sent(&mut alone)
        .iter()
        .filter(|line| *line == "7: ping")
        .count();
    assert_eq!(pings, 1, "nor make it shout at another");
    alone.pass(400 * MS);
    let told = sent(&mut alone);
    let nacks = told.iter().filter(|line| line.contains("nack"));
    assert_eq!(nacks.count(), 5, "four for one, one for the other");
}

#[test]
fn strangers_get_no_answer() {
    let mut alone = Alone::among(&Person::new(1), &people(2..=3));
    let ping = message(kind::PING, &[&7u32.to_be_bytes(), &[0; 8]]);
    alone.receive(&Person::new(99), &ping);
    assert_eq!(sent(&mut alone), [""; 0]);
    assert_eq!(alone.membership.stats().strangers, 1);
}

#[test]
fn a_pause_of_this_node_is_not_the_fault_of_others() {
    let all = people(2..=9);
    let mut alone = Alone::among(&Person::new(1), &all);
    alone.pass(6 * SECOND);
    for accuser in &all[..4] {
        let now = alone.now.cluster_ms;
        alone.receive(&all[0], &accusation(accuser, &all[7], NOW_MS, now));
    }
    alone.take_events();
    let accused = alone.membership.stats().accused;
    alone.now.mono_us += 60 * SECOND;
    alone.now.cluster_ms += 60_000;
    alone.membership.tick(alone.now, &mut alone.world);
    assert_eq!(alone.membership.stats().stalls, 1);
    assert_eq!(alone.membership.stats().accused, accused);
    assert_eq!(
        alone.membership.state_of(&all[7].uid),
        State::Suspect,
        "it may have refuted"
    );
    alone.receive(&all[0], &record(&all[7], NOW_MS + 1, false));
    assert_eq!(alone.take_events(), ["back 9"]);
}

#[test]
fn suspicion_shrinks_with_confirmations_and_grows_with_the_cluster() {
    let config = Config::default();
    let least = |n| suspicion_us(&config, n, 4);
    for members in [1, 10, 50, 1000, 10_000] {
        let times: Vec<u64> = (1..=8).map(|k| suspicion_us(&config, members, k)).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
        assert!(times[0].abs_diff(6 * times[7]) < 10, "{times:?}");
        assert_eq!(times[3], times[7], "one more than the quorum");
    }
    assert_eq!(least(9), 600 * MS);
    assert_eq!(least(99), 1200 * MS);
    assert_eq!(least(9999), 2400 * MS);
    assert_eq!(transmit_limit(&config, 1), 8);
    assert_eq!(transmit_limit(&config, 99), 8);
    assert_eq!(transmit_limit(&config, 9999), 16);
}

#[test]
fn a_configuration_out_of_bounds_is_named() {
    assert_eq!(Config::default().check(), Ok(()));
    let fewer = Config {
        accusers: MIN_ACCUSERS - 1,
        ..Config::default()
    };
    assert_eq!(fewer.check(), Err("accusers"));
    let slow = Config {
        probe_timeout_ms: 501,
        ..Config::default()
    };
    assert_eq!(slow.check(), Err("probe_timeout_ms"));
}
