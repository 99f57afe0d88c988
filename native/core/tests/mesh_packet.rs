//! Packets: only what a member made for this process, in this epoch, lately and once, is opened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use proptest::prelude::*;
use swarmlet_core::mesh::packet::{
    Dropped, MeshSecret, Packets, PeerKeys, Unsent, HEADER, MAX_AGE_MS, MAX_PACKET, OVERHEAD,
};
use swarmlet_core::mesh::{Window, MAX_PAYLOAD};
use swarmlet_core::Uid;

const CLUSTER: Uid = [0xc1; 16];
const NOW: u64 = 1_800_000_000_000;

struct Side {
    uid: Uid,
    boot: [u8; 8],
    secret: [u8; 32],
    packets: Packets,
}

impl Side {
    fn new(name: u8, boot: u8) -> Self {
        let (uid, boot, secret) = ([name; 16], [boot; 8], [name ^ 0x77; 32]);
        let mut packets = Packets::new(uid, boot, CLUSTER, MeshSecret::new(secret), 100);
        packets.set_epoch(5, MeshSecret::new([5; 32]), 5);
        Self {
            uid,
            boot,
            secret,
            packets,
        }
    }

    fn keys(&self) -> PeerKeys {
        PeerKeys {
            exchange: MeshSecret::new(self.secret).public(),
            boot: self.boot,
        }
    }

    fn seal(&mut self, to: &Side, at: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = [0; MAX_PACKET];
        let sealed = self
            .packets
            .seal(&to.uid, &to.keys(), at, payload, &mut out);
        out[..sealed.unwrap()].to_vec()
    }

    fn open(&mut self, from: &Side, at: u64, datagram: &[u8]) -> Result<Vec<u8>, Dropped> {
        let (uid, keys) = (from.uid, from.keys());
        let mut datagram = datagram.to_vec();
        let opened = self
            .packets
            .open(&mut datagram, at, |who| (*who == uid).then_some(keys));
        opened.map(|(who, messages)| {
            assert_eq!(who, uid);
            messages.to_vec()
        })
    }
}

fn pair() -> (Side, Side) {
    (Side::new(1, 11), Side::new(2, 22))
}

#[test]
fn golden_packet() {
    let vectors = common::vectors("mesh.txt");
    let get = |name: &str| vectors[name].clone();
    let array = |name: &str| <[u8; 32]>::try_from(get(name)).unwrap();
    let uid = |name: &str| Uid::try_from(get(name)).unwrap();
    let boot = |name: &str| <[u8; 8]>::try_from(get(name)).unwrap();
    let make = |who: &str| {
        let secret = MeshSecret::new(array(&format!("{who}.exchange.secret")));
        assert_eq!(secret.public(), array(&format!("{who}.exchange.public")));
        let (uid, boot) = (uid(&format!("{who}.uid")), boot(&format!("{who}.boot")));
        let mut made = Packets::new(uid, boot, self::uid_of(&vectors, "cluster"), secret, 4);
        made.set_epoch(257, MeshSecret::new(array("epoch.key")), 257);
        made
    };
    let (mut sender, mut receiver) = (make("sender"), make("receiver"));
    let keys = |who: &str| PeerKeys {
        exchange: array(&format!("{who}.exchange.public")),
        boot: boot(&format!("{who}.boot")),
    };
    let mut out = [0; MAX_PACKET];
    let payload = get("packet.messages");
    for name in ["packet.first", "packet.second"] {
        let length = sender
            .seal(
                &uid("receiver.uid"),
                &keys("receiver"),
                NOW,
                &payload,
                &mut out,
            )
            .unwrap();
        assert_eq!(out[..length], get(name), "{name}");
        let opened = receiver.open(&mut out[..length], NOW, |_| Some(keys("sender")));
        assert_eq!(opened, Ok((uid("sender.uid"), &payload[..])));
    }
}

fn uid_of(vectors: &std::collections::BTreeMap<String, Vec<u8>>, name: &str) -> Uid {
    vectors[name].clone().try_into().unwrap()
}

#[test]
fn the_longest_payload_makes_the_longest_packet() {
    let (mut a, mut b) = pair();
    let payload = vec![7; MAX_PAYLOAD];
    let packet = a.seal(&b, NOW, &payload);
    assert_eq!(packet.len(), MAX_PACKET);
    assert_eq!(b.open(&a, NOW, &packet), Ok(payload));
    let (mut out, keys) = ([0; MAX_PACKET], b.keys());
    let longer = [0; MAX_PAYLOAD + 1];
    let refused = a.packets.seal(&b.uid, &keys, NOW, &longer, &mut out);
    assert_eq!(refused, Err(Unsent::Length));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let (mut a, mut b) = pair();
    let packet = a.seal(&b, NOW, b"some messages");
    for bit in 0..packet.len() * 8 {
        let mut bad = packet.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(b.open(&a, NOW, &bad).is_err(), "bit {bit}");
    }
    for length in 0..packet.len() {
        assert!(
            b.open(&a, NOW, &packet[..length]).is_err(),
            "{length} bytes"
        );
    }
    let longer = [&packet[..], &[0]].concat();
    assert_eq!(b.open(&a, NOW, &longer), Err(Dropped::Forged));
    assert_eq!(b.open(&a, NOW, &[1; MAX_PACKET + 1]), Err(Dropped::Length));
    assert!(
        b.open(&a, NOW, &packet).is_ok(),
        "none of that spoiled the packet itself"
    );
}

#[test]
fn a_packet_is_taken_once() {
    let (mut a, mut b) = pair();
    let packets: Vec<_> = (0..1500)
        .map(|n: u32| a.seal(&b, NOW, &n.to_be_bytes()))
        .collect();
    assert!(b.open(&a, NOW, &packets[1100]).is_ok());
    assert_eq!(b.open(&a, NOW, &packets[1100]), Err(Dropped::Replay));
    assert_eq!(
        b.open(&a, NOW, &packets[76]),
        Err(Dropped::Replay),
        "1,024 behind"
    );
    assert!(b.open(&a, NOW, &packets[77]).is_ok());
    for number in (78..1100).rev().chain(1101..1500) {
        assert!(b.open(&a, NOW, &packets[number]).is_ok(), "{number}");
    }
    for packet in &packets {
        assert_eq!(b.open(&a, NOW, packet), Err(Dropped::Replay));
    }
}

#[test]
fn age_is_judged_in_cluster_time() {
    let (mut a, mut b) = pair();
    let packet = a.seal(&b, NOW, b"x");
    assert_eq!(b.open(&a, NOW + MAX_AGE_MS + 1, &packet), Err(Dropped::Age));
    assert_eq!(b.open(&a, NOW - MAX_AGE_MS - 1, &packet), Err(Dropped::Age));
    assert!(b.open(&a, NOW + MAX_AGE_MS, &packet).is_ok());
}

#[test]
fn strangers_and_this_node_itself_are_not_heard() {
    let (mut a, mut b) = pair();
    let packet = a.seal(&b, NOW, b"x");
    let nobody = |_: &Uid| None;
    let mut copy = packet.clone();
    let refused = b.packets.open(&mut copy, NOW, nobody);
    assert_eq!(refused, Err(Dropped::Stranger));
    let mut copy = packet.clone();
    let reflected = a.packets.open(&mut copy, NOW, |_| Some(b.keys()));
    assert_eq!(reflected, Err(Dropped::Stranger));
}

#[test]
fn no_member_speaks_as_another() {
    let (mut a, mut b) = pair();
    let mut evil = Side::new(3, 33);
    // It has the epoch's key and everybody's public keys, and writes a's name into the header.
    let mut packet = evil.seal(&b, NOW, b"x");
    packet[2..18].copy_from_slice(&a.uid);
    packet[18..26].copy_from_slice(&a.boot);
    assert_eq!(b.open(&a, NOW, &packet), Err(Dropped::Forged));
    // What a made for b says nothing to evil.
    let for_b = a.seal(&b, NOW, b"x");
    assert_eq!(evil.open(&a, NOW, &for_b), Err(Dropped::Forged));
}

#[test]
fn the_epoch_before_and_the_next_are_heard_and_no_other() {
    let (mut a, mut b) = pair();
    let old = a.seal(&b, NOW, b"five");
    let key = |epoch: u64| MeshSecret::new([epoch as u8; 32]);
    a.packets.set_epoch(6, key(6), 6);
    let new = a.seal(&b, NOW, b"six");
    assert_eq!(
        b.open(&a, NOW, &new),
        Err(Dropped::Epoch),
        "its key is not here yet"
    );
    b.packets.set_epoch(6, key(6), 5);
    assert!(b.open(&a, NOW, &new).is_ok(), "the next");
    b.packets.set_current(6);
    assert!(b.open(&a, NOW, &old).is_ok(), "the one before");
    let older = a.seal(&b, NOW, b"six again");
    a.packets.set_epoch(7, key(7), 7);
    b.packets.set_epoch(7, key(7), 7);
    b.packets.set_epoch(8, key(8), 8);
    assert_eq!(b.open(&a, NOW, &older), Err(Dropped::Epoch));
    // Who was left out of epoch 8 is not understood any more, once 7 is over.
    b.packets.set_epoch(9, key(9), 9);
    let left_out = a.seal(&b, NOW, b"seven");
    assert_eq!(b.open(&a, NOW, &left_out), Err(Dropped::Epoch));
}

#[test]
fn after_a_restart_the_life_before_is_not_heard() {
    let (mut a, mut b) = pair();
    let before: Vec<_> = (0..3).map(|_| a.seal(&b, NOW, b"old")).collect();
    assert!(b.open(&a, NOW, &before[0]).is_ok());
    let mut again = Side::new(1, 12);
    let hello = again.seal(&b, NOW + 500, b"new");
    assert!(b.open(&again, NOW + 500, &hello).is_ok());
    assert_eq!(b.open(&a, NOW + 501, &before[1]), Err(Dropped::Replay));
    assert!(b.open(&again, NOW + 501, &hello).is_err());
    // And a receiver that restarted understands nothing of what its life before was told.
    let mut reborn = Side::new(2, 23);
    assert_eq!(reborn.open(&a, NOW, &before[2]), Err(Dropped::Forged));
}

#[test]
fn a_nonce_is_not_used_twice_even_when_a_peer_was_forgotten() {
    let (mut a, b) = pair();
    let first = a.seal(&b, NOW, b"same words");
    a.packets.forget(&b.uid);
    let second = a.seal(&b, NOW, b"same words");
    assert_ne!(first[HEADER..], second[HEADER..]);
    assert_ne!(first[26..34], second[26..34]);
}

#[test]
fn keys_of_small_order_are_refused() {
    let (mut a, b) = pair();
    let mut keys = b.keys();
    keys.exchange = [0; 32];
    let mut out = [0; MAX_PACKET];
    let refused = a.packets.seal(&b.uid, &keys, NOW, b"x", &mut out);
    assert_eq!(refused, Err(Unsent::Key));
}

#[test]
fn secrets_are_never_printed() {
    let (a, _) = pair();
    let text = format!("{:?} {:?}", MeshSecret::new([0x41; 32]), a.packets);
    assert!(
        text.contains("Secret(..)") && !text.contains("65") && !text.contains("[1"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn a_packet_comes_back_as_it_was(payload in prop::collection::vec(any::<u8>(), 0..MAX_PAYLOAD)) {
        let (mut a, mut b) = pair();
        let packet = a.seal(&b, NOW, &payload);
        prop_assert_eq!(packet.len(), payload.len() + OVERHEAD);
        prop_assert_eq!(b.open(&a, NOW, &packet), Ok(payload));
    }

    #[test]
    fn junk_is_dropped(mut junk in prop::collection::vec(any::<u8>(), 0..1300), named: bool) {
        let (a, mut b) = pair();
        if named && junk.len() >= HEADER {
            junk[0] = 1;
            junk[1] = 5;
            junk[2..18].copy_from_slice(&a.uid);
        }
        prop_assert!(b.open(&a, NOW, &junk).is_err());
    }

    #[test]
    fn the_window_takes_each_number_once(numbers in prop::collection::vec(0u64..3000, 1..400)) {
        let mut window = Window::default();
        let mut taken = std::collections::BTreeSet::new();
        for number in numbers {
            let greatest: u64 = taken.last().copied().unwrap_or(0);
            let expected = !taken.contains(&number) && number + 1024 > greatest;
            prop_assert_eq!(window.is_fresh(number), expected, "{} of {}", number, greatest);
            if expected {
                window.take(number);
                taken.insert(number);
            }
        }
    }

    #[test]
    fn the_window_stands_jumps(numbers in prop::collection::vec(any::<u64>(), 1..50)) {
        let mut window = Window::default();
        for number in numbers {
            if window.is_fresh(number) {
                window.take(number);
                prop_assert!(!window.is_fresh(number));
            }
        }
    }
}
