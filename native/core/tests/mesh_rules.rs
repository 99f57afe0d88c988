//! The rules of membership, one at a time: who may say what, and what follows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use mesh_support::real::{coordinator, signed, Alone, Person, NOW_MS};
use mesh_support::{message, MS, SECOND};
use swarmlet_core::mesh::{
    kind, suspicion_us, transmit_limit, Accusation, Config, Message, State, UserEvent, Verdict,
    Word, MAX_BODY, MIN_ACCUSERS,
};

fn people(range: std::ops::RangeInclusive<u8>) -> Vec<Person> {
    range.map(Person::new).collect()
}

fn accusation(by: &Person, subject: &Person, incarnation: u64, at_ms: u64) -> Vec<u8> {
    let body = Accusation {
        accuser: by.uid,
        subject: subject.uid,
        incarnation,
        at_ms,
    };
    let whole = signed(&by.seed, kind::ACCUSATION, &body.body());
    message(kind::ACCUSATION, &[&whole])
}

fn verdict(word: Word, subject: &Person, bound: u64, until_ms: u64) -> Vec<u8> {
    let body = Verdict {
        word,
        subject: subject.uid,
        bound,
        until_ms,
    };
    let whole = signed(&coordinator(), kind::VERDICT, &body.body());
    message(kind::VERDICT, &[&whole])
}

fn event(by: &Person, number: u64, at_ms: u64, payload: &[u8]) -> Vec<u8> {
    let body = [
        &by.uid[..],
        &number.to_be_bytes(),
        &at_ms.to_be_bytes(),
        payload,
    ]
    .concat();
    let whole = signed(&by.seed, kind::EVENT, &body);
    assert!(UserEvent::parse(&whole).is_some());
    message(kind::EVENT, &[&whole])
}

fn record(of: &Person, incarnation: u64, left: bool) -> Vec<u8> {
    message(kind::RECORD, &[&of.record(incarnation, left)])
}

/// Everything that was sent, message by message.
fn sent(alone: &mut Alone) -> Vec<String> {
    let packets = std::mem::take(&mut alone.world.sent);
    let mut found = Vec::new();
    for (to, packet) in packets {
        let mut rest = &packet[..];
        while !rest.is_empty() {
            let name = match Message::take(&mut rest).unwrap() {
                Message::Ping(..) => "ping".to_owned(),
                Message::Ack(nonce, _) => format!("ack {nonce}"),
                Message::PingReq(_, target) => format!("ping-req {}", target[0]),
                Message::Nack(nonce) => format!("nack {nonce}"),
                Message::Doubt(incarnation) => format!("doubt {}", incarnation - NOW_MS),
                Message::Introduction(keys, ..) => format!("introduction {}", keys.uid[0]),
                Message::Record(about, _) => {
                    format!("record {} {}", about.uid[0], about.incarnation - NOW_MS)
                }
                Message::Accusation(a, _) => {
                    format!("accusation {} {}", a.accuser[0], a.subject[0])
                }
                Message::Verdict(..) => "verdict".to_owned(),
                Message::Event(..) => "event".to_owned(),
                Message::Unknown(kind) => format!("unknown {kind}"),
            };
            found.push(format!("{}: {name}", to.uid[0]));
        }
    }
    found
}

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
