//! Statements and messages: one layout each, bounds, and what hostile bytes get.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
mod mesh_support;

use std::collections::BTreeMap;

use mesh_support::message;
use mesh_support::real::{Alone, Person, NOW_MS};
use proptest::prelude::*;
use swarmlet_core::mesh::{
    kind, Accusation, Config, Credential, Keyring, Me, Membership, Message, Now, Record, Signer,
    UserEvent, Verdict, Word, MAX_BODY, MAX_EVENT, MAX_META, MAX_PAYLOAD, NO_UDP,
};
use swarmlet_core::Uid;

type Vectors = BTreeMap<String, Vec<u8>>;

fn array<const N: usize>(vectors: &Vectors, name: &str) -> [u8; N] {
    vectors[name].clone().try_into().unwrap()
}

fn keyring(vectors: &Vectors) -> Keyring {
    Keyring::new(
        &array(vectors, "sender.signing.seed"),
        array(vectors, "coordinator.key"),
        array(vectors, "cluster"),
    )
}

#[test]
fn golden_statements() {
    let vectors = common::vectors("mesh.txt");
    let mut keyring = keyring(&vectors);
    let credential = Credential::parse(&vectors["credential"]).unwrap();
    assert_eq!(credential.uid, array(&vectors, "sender.uid"));
    assert_eq!(
        credential.exchange,
        array(&vectors, "sender.exchange.public")
    );
    assert_eq!(credential.signing, keyring.public());
    assert_eq!(credential.issued_ms, NOW_MS - 1000);
    assert_eq!(credential.body(), vectors["credential"][..97]);
    let signer = Signer::Member(&credential.signing);
    let kinds = [
        ("credential", kind::CREDENTIAL, Signer::Coordinator),
        ("record", kind::RECORD, signer),
        ("record.left", kind::RECORD, signer),
        ("accusation", kind::ACCUSATION, signer),
        ("verdict.down", kind::VERDICT, Signer::Coordinator),
        ("verdict.removed", kind::VERDICT, Signer::Coordinator),
        ("verdict.revoked", kind::VERDICT, Signer::Coordinator),
        ("event", kind::EVENT, signer),
    ];
    for (name, kind, signer) in kinds {
        let (body, signature) = vectors[name].split_last_chunk().unwrap();
        for _ in 0..2 {
            assert!(keyring.verify(signer, kind, body, signature), "{name}");
        }
        assert!(
            !keyring.verify(signer, kind + 1, body, signature),
            "{name} as another kind"
        );
        let other = Keyring::new(&[1; 32], [2; 32], [3; 16]);
        assert!(
            !{ other }.verify(signer, kind, body, signature),
            "{name} elsewhere"
        );
        if signer != Signer::Coordinator {
            assert_eq!(&keyring.sign(kind, body), signature, "{name}");
        }
    }
}

#[test]
fn golden_fields() {
    let vectors = common::vectors("mesh.txt");
    let (sender, receiver): (Uid, Uid) = (
        array(&vectors, "sender.uid"),
        array(&vectors, "receiver.uid"),
    );
    let record = Record::parse(&vectors["record"]).unwrap();
    assert_eq!((record.uid, record.incarnation), (sender, NOW_MS));
    assert_eq!(
        (record.left, record.flags, record.meta),
        (false, 0, &b"meta"[..])
    );
    assert_eq!(record.boot, array(&vectors, "sender.boot"));
    assert_eq!(record.addr, "192.168.1.7:7946".parse().unwrap());
    let left = Record::parse(&vectors["record.left"]).unwrap();
    assert_eq!((left.left, left.flags, left.meta), (true, NO_UDP, &b""[..]));
    assert_eq!(left.addr, "[fd00::1]:7947".parse().unwrap());
    let accusation = Accusation {
        accuser: sender,
        subject: receiver,
        incarnation: NOW_MS - 5,
        at_ms: NOW_MS,
    };
    assert_eq!(Accusation::parse(&vectors["accusation"]), Some(accusation));
    assert_eq!(accusation.body(), vectors["accusation"][..48]);
    for (name, word, until_ms) in [
        ("down", Word::Down, 0),
        ("removed", Word::Removed, NOW_MS + 1),
        ("revoked", Word::Revoked, NOW_MS + 2),
    ] {
        let verdict = Verdict {
            word,
            subject: receiver,
            bound: NOW_MS,
            until_ms,
        };
        let whole = &vectors[&format!("verdict.{name}")];
        assert_eq!(Verdict::parse(whole), Some(verdict));
        assert_eq!(verdict.body(), whole[..33]);
    }
    let event = UserEvent::parse(&vectors["event"]).unwrap();
    assert_eq!(
        (event.origin, event.number, event.at_ms),
        (sender, NOW_MS + 1, NOW_MS + 2)
    );
    assert_eq!(event.payload, b"deployed");
}

#[test]
fn golden_messages() {
    let vectors = common::vectors("mesh.txt");
    let mut rest = &vectors["packet.messages"][..];
    let mut next = || Message::take(&mut rest).unwrap();
    assert_eq!(next(), Message::Ping(0x0102_0304, 0x0506_0708_0910_1112));
    assert_eq!(next(), Message::Doubt(NOW_MS));
    assert_eq!(next(), Message::Unknown(99));
    assert!(matches!(next(), Message::Introduction(..)));
    assert!(matches!(next(), Message::Accusation(..)));
    assert!(rest.is_empty());
}

#[test]
fn a_membership_signs_the_golden_record_about_itself() {
    let vectors = common::vectors("mesh.txt");
    let mut world = Alone::new(&Person::new(1), Config::default()).world;
    world.keyring = keyring(&vectors);
    let me = Me {
        credential: &vectors["credential"],
        boot: array(&vectors, "sender.boot"),
        addr: "192.168.1.7:7946".parse().unwrap(),
        flags: 0,
        meta: b"meta",
    };
    let now = Now {
        mono_us: 0,
        cluster_ms: NOW_MS,
    };
    let mut made = Membership::new(Config::default(), &me, 1, now, &mut world).unwrap();
    let mut reply = Vec::new();
    let digest = [&[2][..], &[0; 257 * 8]].concat();
    made.receive_sync(&digest, now, &mut world, &mut reply);
    let parts: [&[u8]; 2] = [&vectors["credential"], &vectors["record"]];
    assert_eq!(reply[1 + 257 * 8..], message(kind::INTRODUCTION, &parts));
}

#[test]
fn bounds_of_a_record_are_kept() {
    let good = Person::new(9).record(5, false);
    let cases: [(usize, &[u8], &str); 9] = [
        (32, &[2], "state"),
        (34, &[5], "family"),
        (35, &[224, 0, 0, 1], "multicast"),
        (35, &[255, 255, 255, 255], "broadcast"),
        (35, &[0, 0, 0, 0], "unspecified"),
        (41, &[3], "meta longer than there is"),
        (41, &[1], "bytes after the meta data"),
        (41, &[255], "meta far longer"),
        (34, &[6], "another family's length"),
    ];
    for (at, bytes, what) in cases {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(Record::parse(&bad), None, "{what}");
    }
    let mut long = good[..41].to_vec();
    long.push(MAX_META as u8 + 1);
    long.extend([0; MAX_META + 1 + 64]);
    assert_eq!(Record::parse(&long), None);
}

#[test]
fn an_event_has_a_longest_payload() {
    let event = |length| vec![1; 32 + length + 64];
    assert!(UserEvent::parse(&event(MAX_EVENT)).is_some());
    assert!(UserEvent::parse(&event(MAX_EVENT + 1)).is_none());
    let mut alone = Alone::new(&Person::new(1), Config::default());
    let mut tell = |length| {
        let payload = vec![1; length];
        alone
            .membership
            .broadcast(&payload, alone.now, &mut alone.world)
    };
    assert!(tell(MAX_EVENT).is_some());
    assert!(tell(MAX_EVENT + 1).is_none());
}

#[test]
fn keys_and_record_of_an_introduction_are_of_one_member() {
    let (one, other) = (Person::new(1), Person::new(2));
    let parts: [&[u8]; 2] = [&one.credential(), &other.record(5, false)];
    let mixed = message(kind::INTRODUCTION, &parts);
    assert_eq!(Message::take(&mut &mixed[..]), None);
}

#[test]
fn every_truncation_of_every_message_is_refused() {
    let vectors = common::vectors("mesh.txt");
    let mut messages = vec![
        message(kind::PING, &[&[0; 12]]),
        message(kind::ACK, &[&[0; 12]]),
        message(kind::PING_REQ, &[&[0; 20]]),
        message(kind::NACK, &[&[0; 4]]),
        message(kind::DOUBT, &[&[0; 8]]),
        Person::new(3).introduction(7),
    ];
    let statements = [
        ("record", kind::RECORD),
        ("accusation", kind::ACCUSATION),
        ("verdict.down", kind::VERDICT),
    ];
    messages.extend(statements.map(|(name, kind)| message(kind, &[&vectors[name]])));
    for whole in messages {
        assert!(Message::take(&mut &whole[..]).is_some());
        for length in 0..whole.len() {
            let mut rest = &whole[..length];
            assert_eq!(
                Message::take(&mut rest),
                None,
                "{length} of {}",
                whole.len()
            );
            assert_eq!(rest.len(), length, "nothing was taken");
        }
        // And with a length that says so, for the fixed layouts.
        for length in 0..whole.len() - 3 {
            let cut = message(whole[0], &[&whole[3..3 + length]]);
            assert_eq!(
                Message::take(&mut &cut[..]),
                None,
                "{length} of kind {}",
                whole[0]
            );
        }
    }
}

/// A membership that knows two others, one of which sends.
fn listener() -> (Alone, Person) {
    let others = [Person::new(2), Person::new(3)];
    (Alone::among(&Person::new(1), &others), others[0])
}

#[test]
fn a_flipped_bit_in_a_statement_changes_nothing() {
    let newcomer = Person::new(4);
    let good = newcomer.introduction(NOW_MS);
    for bit in 0..good.len() * 8 {
        let (mut alone, sender) = listener();
        let before = alone.membership.view_hash();
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        alone.receive(&sender, &bad);
        assert_eq!(alone.membership.view_hash(), before, "bit {bit}");
        assert_eq!(alone.membership.len(), 3, "bit {bit}");
    }
    let (mut alone, sender) = listener();
    alone.receive(&sender, &good);
    assert_eq!(alone.take_events(), ["joined 4"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn junk_changes_nothing(junk in prop::collection::vec(any::<u8>(), 0..MAX_PAYLOAD)) {
        let (mut alone, sender) = listener();
        let before = alone.membership.view_hash();
        alone.receive(&sender, &junk);
        let mut reply = Vec::new();
        alone.membership.receive_sync(&junk, alone.now, &mut alone.world, &mut reply);
        prop_assert_eq!(alone.membership.view_hash(), before);
        prop_assert!(reply.len() <= MAX_BODY);
    }

    #[test]
    fn junk_of_a_known_kind_changes_nothing(
        kind in prop_oneof![1u8..6, 16u8..21],
        body in prop::collection::vec(any::<u8>(), 0..700),
    ) {
        let (mut alone, sender) = listener();
        let before = alone.membership.view_hash();
        let packet = message(kind, &[&body]);
        alone.receive(&sender, &packet);
        for sync in [3u8, 4] {
            let mut reply = Vec::new();
            let digest = if sync == 3 { vec![0; 257 * 8] } else { Vec::new() };
            let body = [&[sync][..], &digest, &packet].concat();
            alone.membership.receive_sync(&body, alone.now, &mut alone.world, &mut reply);
        }
        prop_assert_eq!(alone.membership.view_hash(), before);
    }

    #[test]
    fn what_is_parsed_encodes_to_the_same_bytes(
        credential in prop::collection::vec(any::<u8>(), 161),
        accusation in prop::collection::vec(any::<u8>(), 112),
        verdict in prop::collection::vec(any::<u8>(), 97),
        first in 0u8..5,
    ) {
        let mut credential = credential;
        credential[0] = first;
        if let Some(read) = Credential::parse(&credential) {
            prop_assert_eq!(&read.body()[..], &credential[..97]);
        }
        prop_assert_eq!(&Accusation::parse(&accusation).unwrap().body()[..], &accusation[..48]);
        let mut verdict = verdict;
        verdict[0] = first;
        if let Some(read) = Verdict::parse(&verdict) {
            prop_assert_eq!(&read.body()[..], &verdict[..33]);
        }
    }
}
