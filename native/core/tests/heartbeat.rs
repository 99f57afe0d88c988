//! Frames with a fixed layout: each has one encoding, and out-of-range fields are refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use proptest::prelude::*;
use swarmlet_core::heartbeat::{
    Heartbeat, HeartbeatAck, Lease, Reading, ACK_LEN, HEARTBEAT_LEN, LEASE_LEN,
};

fn numbers() -> impl Strategy<Value = [i128; 9]> {
    prop::array::uniform9(prop_oneof![any::<i128>(), -70_000i128..70_000])
}

proptest! {
    #[test]
    fn a_heartbeat_comes_back_as_it_was(seq: u32, numbers in numbers()) {
        let heartbeat = Heartbeat { seq, reading: Reading::saturating(numbers) };
        prop_assert_eq!(Heartbeat::decode(&heartbeat.encode()), Some(heartbeat));
        prop_assert_eq!(Reading::saturating(heartbeat.reading.fields()), heartbeat.reading);
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same_bytes(bytes in prop::array::uniform::<_, HEARTBEAT_LEN>(any::<u8>()), ack: [u8; ACK_LEN]) {
        if let Some(heartbeat) = Heartbeat::decode(&bytes) {
            prop_assert_eq!(heartbeat.encode(), bytes);
        }
        prop_assert_eq!(HeartbeatAck::decode(&ack).unwrap().encode(), ack);
    }

    #[test]
    fn a_lease_has_bounds(heartbeat_ms: u32, lease_ms: u32) {
        let payload = [heartbeat_ms.to_be_bytes(), lease_ms.to_be_bytes()].concat();
        let usable = heartbeat_ms >= 10 && lease_ms > heartbeat_ms && lease_ms <= 86_400_000;
        prop_assert_eq!(Lease::decode(&payload).is_some(), usable);
    }

    #[test]
    fn other_lengths_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(bytes.len() == HEARTBEAT_LEN || Heartbeat::decode(&bytes).is_none());
        prop_assert!(bytes.len() == ACK_LEN || HeartbeatAck::decode(&bytes).is_none());
        prop_assert!(bytes.len() == LEASE_LEN || Lease::decode(&bytes).is_none());
    }
}

#[test]
fn fields_out_of_range_and_padding_are_refused() {
    let good = Heartbeat {
        seq: 1,
        reading: Reading::default(),
    }
    .encode();
    assert!(Heartbeat::decode(&good).is_some());
    for (at, value) in [(4, 3), (5, 1), (8, 4)] {
        let mut bad = good;
        bad[at] = value;
        assert_eq!(Heartbeat::decode(&bad), None, "byte {at} = {value}");
    }
}

#[test]
fn golden_layouts() {
    let vectors = common::vectors("frames.txt");
    let reading = Reading {
        health: 1,
        workloads: 0x0203,
        cpu_permille: 0x0304,
        temperature_centi: -0x0506,
        memory_used: 0x0708_090a_0b0c_0d0e,
        memory_total: 0x1112_1314_1516_1718,
        disk_free: 0x2122_2324_2526_2728,
        net_rx: 0x3132_3334_3536_3738,
        net_tx: 0x4142_4344_4546_4748,
    };
    let heartbeat = Heartbeat {
        seq: 0x0102_0304,
        reading,
    };
    assert_eq!(heartbeat.encode().as_slice(), vectors["heartbeat.payload"]);
    let ack = HeartbeatAck { seq: 0x0102_0304 };
    assert_eq!(ack.encode().as_slice(), vectors["heartbeat-ack.payload"]);
    let lease = Lease {
        heartbeat_ms: 5000,
        lease_ms: 15000,
    };
    assert_eq!(lease.encode().as_slice(), vectors["lease.payload"]);
}
