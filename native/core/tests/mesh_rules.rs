//! The rules of membership, one at a time: who may say what, and what follows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use mesh_support::message;
use mesh_support::real::{signed, Alone, Person, NOW_MS};
use mesh_support::said::{event, people, record, sent, verdict};
use mesh_support::SECOND;
use swarmlet_core::mesh::{kind, Config, State, Verdict, Word, MAX_BODY};

#[test]
fn alive_is_said_only_by_oneself() {
    let all = people(2..=3);
    let mut alone = Alone::among(&Person::new(1), &all);
    let impostor = Person {
        seed: all[1].seed,
        ..all[0]
    };
    alone.receive(&all[1], &record(&impostor, NOW_MS + 1, false));
    assert_eq!(
        alone.membership.member(&all[0].uid).unwrap().incarnation,
        NOW_MS
    );
    assert_eq!(alone.membership.stats().forged, 1);
    alone.receive(&all[0], &record(&all[0], NOW_MS + 1, false));
    assert_eq!(
        alone.membership.member(&all[0].uid).unwrap().incarnation,
        NOW_MS + 1
    );
}

#[test]
fn who_passes_on_a_forgery_is_not_listened_to_for_a_while() {
    let all = people(2..=4);
    let mut alone = Alone::among(&Person::new(1), &all);
    let impostor = Person {
        seed: all[1].seed,
        ..all[0]
    };
    alone.receive(&all[1], &record(&impostor, NOW_MS + 1, false));
    alone.receive(&all[1], &record(&all[2], NOW_MS + 1, false));
    assert_eq!(
        alone.membership.member(&all[2].uid).unwrap().incarnation,
        NOW_MS
    );
    let ping = message(kind::PING, &[&7u32.to_be_bytes(), &[0; 8]]);
    alone.receive(&all[1], &ping);
    assert!(
        sent(&mut alone).contains(&"3: ack 7".to_owned()),
        "probes are answered"
    );
    alone.pass(11 * SECOND);
    alone.receive(&all[1], &record(&all[2], NOW_MS + 1, false));
    assert_eq!(
        alone.membership.member(&all[2].uid).unwrap().incarnation,
        NOW_MS + 1
    );
}

#[test]
fn only_the_coordinator_says_down_and_who_it_was_comes_back() {
    let all = people(2..=3);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    let body = Verdict {
        word: Word::Down,
        subject: all[0].uid,
        bound: NOW_MS,
        until_ms: 0,
    };
    let forged = signed(&all[1].seed, kind::VERDICT, &body.body());
    alone.receive(&all[1], &message(kind::VERDICT, &[&forged]));
    assert_eq!(alone.membership.state_of(&all[0].uid), State::Alive);
    alone.pass(11 * SECOND);
    alone.take_events();
    alone.receive(&all[1], &verdict(Word::Down, &all[0], NOW_MS, 0));
    alone.receive(&all[1], &verdict(Word::Down, &all[0], NOW_MS, 0));
    assert_eq!(alone.take_events(), ["unreachable 2 Coordinator"]);
    alone.receive(&all[1], &record(&all[0], NOW_MS + 1, false));
    assert_eq!(alone.take_events(), ["back 2"]);
    alone.receive(&all[1], &verdict(Word::Down, &all[0], NOW_MS, 0));
    assert_eq!(alone.take_events(), [""; 0], "of an older incarnation");
    alone.receive(&all[1], &verdict(Word::Down, &me, NOW_MS + 5, 0));
    assert_eq!(
        alone.membership.member(&me.uid).unwrap().incarnation,
        NOW_MS + 6
    );
}

#[test]
fn a_tombstone_voids_older_credentials_and_no_newer_ones() {
    let all = people(2..=3);
    let mut alone = Alone::among(&Person::new(1), &all);
    let gone = &all[0];
    let until = NOW_MS + 86_400_000;
    alone.receive(&all[1], &verdict(Word::Revoked, gone, NOW_MS - 1000, until));
    assert_eq!(alone.take_events(), ["removed 2 Revoked"]);
    assert_eq!(alone.membership.len(), 2);
    alone.receive(&all[1], &gone.introduction(NOW_MS + 5));
    assert_eq!(alone.membership.state_of(&gone.uid), State::Gone);
    let newer = gone.credential_of(NOW_MS - 999);
    let parts: [&[u8]; 2] = [&newer, &gone.record(NOW_MS + 6, false)];
    alone.receive(&all[1], &message(kind::INTRODUCTION, &parts));
    assert_eq!(alone.take_events(), ["joined 2"]);
}

#[test]
fn who_is_revoked_falls_silent() {
    let all = people(2..=3);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    alone.receive(&all[0], &verdict(Word::Revoked, &me, NOW_MS, NOW_MS + 1000));
    assert_eq!(alone.take_events(), ["expelled Revoked"]);
    sent(&mut alone);
    let ping = message(kind::PING, &[&7u32.to_be_bytes(), &[0; 8]]);
    alone.receive(&all[0], &ping);
    assert_eq!(alone.membership.tick(alone.now, &mut alone.world), u64::MAX);
    assert_eq!(sent(&mut alone), [""; 0]);
}

#[test]
fn a_goodbye_is_not_a_death_and_can_be_taken_back() {
    let all = people(2..=3);
    let mut alone = Alone::among(&Person::new(1), &all);
    alone.receive(&all[1], &record(&all[0], NOW_MS + 1, true));
    alone.receive(&all[1], &record(&all[0], NOW_MS, false));
    alone.receive(&all[1], &record(&all[0], NOW_MS + 1, false));
    assert_eq!(alone.take_events(), ["left 2"]);
    alone.receive(&all[1], &record(&all[0], NOW_MS + 2, false));
    assert_eq!(alone.take_events(), ["joined 2"]);
    alone.membership.leave(alone.now, &mut alone.world);
    assert_eq!(alone.membership.state_of(&Person::new(1).uid), State::Left);
    let told = sent(&mut alone);
    assert!(
        told.iter().any(|line| line.ends_with("record 1 1")),
        "{told:?}"
    );
}

#[test]
fn of_two_records_of_one_incarnation_all_keep_the_same() {
    let all = people(2..=3);
    let two = Person {
        boot: [0xee; 8],
        ..all[0]
    };
    let (one, other) = (
        record(&all[0], NOW_MS + 1, false),
        record(&two, NOW_MS + 1, false),
    );
    let mut hashes = [[&one, &other], [&other, &one]].map(|order| {
        let mut alone = Alone::among(&Person::new(1), &all);
        order
            .iter()
            .for_each(|packet| alone.receive(&all[1], packet));
        alone.membership.view_hash()
    });
    hashes.sort_unstable();
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn a_record_of_the_life_before_is_outbid_and_a_twin_is_told() {
    let all = people(2..=3);
    let me = Person::new(1);
    let mut alone = Alone::among(&me, &all);
    let before = Person {
        boot: [0xbb; 8],
        ..me
    };
    alone.receive(&all[0], &record(&before, NOW_MS + 100, false));
    assert_eq!(alone.take_events(), ["twin 187"]);
    assert_eq!(
        alone.membership.member(&me.uid).unwrap().incarnation,
        NOW_MS + 101
    );
}

#[test]
fn an_event_is_told_once() {
    let all = people(2..=3);
    let mut alone = Alone::among(&Person::new(1), &all);
    for _ in 0..2 {
        for number in [5, 7, 6, 80, 20, 10] {
            let text = number.to_string();
            alone.receive(&all[1], &event(&all[0], number, NOW_MS, text.as_bytes()));
        }
    }
    // 10 is more than 64 behind 80.
    assert_eq!(
        alone.take_events(),
        ["user 5", "user 7", "user 6", "user 80", "user 20"]
    );
    alone.receive(&all[1], &event(&all[0], 100, NOW_MS - 600_001, b"old"));
    alone.receive(&all[1], &event(&all[0], 101, NOW_MS + 61_000, b"early"));
    let forger = Person {
        seed: all[1].seed,
        ..all[0]
    };
    alone.receive(&all[1], &event(&forger, 102, NOW_MS, b"forged"));
    assert_eq!(alone.take_events(), [""; 0]);
}

#[test]
fn one_originator_cannot_flood() {
    let all = people(2..=3);
    let mut alone = Alone::among(&Person::new(1), &all);
    for number in 1..=1000 {
        alone.receive(&all[0], &event(&all[0], number, NOW_MS, b"spam"));
    }
    let heard = alone.take_events().len();
    assert!(heard <= 100, "{heard}");
    alone.receive(&all[0], &event(&all[1], 1, NOW_MS, b"from another"));
    assert_eq!(alone.take_events(), ["user from another"]);
}

#[test]
fn a_signature_is_checked_once() {
    let all = people(2..=4);
    let mut alone = Alone::among(&Person::new(1), &all);
    let news = record(&all[0], NOW_MS + 1, false);
    alone.world.verified = 0;
    for _ in 0..100 {
        alone.receive(&all[1], &news);
        alone.receive(&all[2], &news);
    }
    assert_eq!(alone.world.verified, 1);
}

#[test]
fn a_member_that_cannot_be_known_more_is_refused() {
    let config = Config {
        max_members: 3,
        ..Config::default()
    };
    let mut alone = Alone::new(&Person::new(1), config);
    let seeds: Vec<u8> = people(2..=9)
        .iter()
        .flat_map(|p| p.introduction(NOW_MS))
        .collect();
    alone.membership.join(&seeds, alone.now, &mut alone.world);
    assert_eq!(alone.membership.len(), 3);
    assert_eq!(alone.membership.stats().full, 6);
}

#[test]
fn a_body_is_no_longer_than_its_bound_and_brings_all_after_some() {
    let me = Person::new(1);
    let config = Config {
        hub: true,
        ..Config::default()
    };
    let mut hub = Alone::new(&me, config);
    for name in 0..2000u32 {
        let mut person = Person::new(9);
        person.uid[..4].copy_from_slice(&name.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let seeds = person.introduction(NOW_MS);
        hub.membership.join(&seeds, hub.now, &mut hub.world);
    }
    assert_eq!(hub.membership.len(), 2001);
    let mut other = Alone::new(&Person::new(2), Config::default());
    let mut rounds = 0;
    while other.membership.len() < 2002 {
        rounds += 1;
        assert!(rounds < 20, "{} known", other.membership.len());
        other.membership.join(&[], other.now, &mut other.world);
        let mut body = other.world.bodies.pop().unwrap();
        let mut to_hub = true;
        while !body.is_empty() {
            assert!(body.len() <= MAX_BODY);
            let (to, mut reply) = (if to_hub { &mut hub } else { &mut other }, Vec::new());
            to.membership
                .receive_sync(&body, to.now, &mut to.world, &mut reply);
            body = reply;
            to_hub = !to_hub;
        }
    }
    assert!(rounds > 1, "2,000 introductions are more than one body");
    assert_eq!(hub.membership.view_hash(), other.membership.view_hash());
    let longer = vec![4; MAX_BODY + 1];
    let mut reply = Vec::new();
    other
        .membership
        .receive_sync(&longer, other.now, &mut other.world, &mut reply);
    assert!(reply.is_empty());
}

#[test]
fn a_new_one_has_nothing_to_do_at_once_however_long_the_machine_has_run() {
    let mut alone = Alone::new(&Person::new(1), Config::default());
    let now = alone.now.mono_us;
    let due = alone.membership.tick(alone.now, &mut alone.world);
    assert!((now + 1..=now + SECOND).contains(&due), "{due}");
    assert_eq!(alone.world.bodies.len(), 0);
}
