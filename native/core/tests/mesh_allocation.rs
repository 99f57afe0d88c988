//! Counted by the allocator itself: the hot path of the mesh allocates nothing, hostile bytes make nothing allocate
//! what they promise, and one packet is as much work with 10,000 members as with 100.
//!
//! One test, so that no other thread of this process allocates meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use mesh_support::keys::{uid_of, Signatures};
use mesh_support::net::addr_of;
use mesh_support::{message, Random, EPOCH_MS, MS};
use swarmlet_core::mesh::packet::{MeshSecret, Packets, PeerKeys, MAX_PACKET};
use swarmlet_core::mesh::{
    kind, Config, Event, Me, Membership, Now, Peer, Signer, World, MAX_PAYLOAD, SIGNATURE,
};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        let now = NOW.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(now, SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A world that seals what is sent and forgets it.
struct Sealing {
    signatures: Signatures,
    packets: Packets,
    keys: PeerKeys,
    sent: usize,
}

impl World for Sealing {
    fn send(&mut self, to: Peer, payload: &[u8]) {
        let mut out = [0; MAX_PACKET];
        let sealed = self
            .packets
            .seal(&to.uid, &self.keys, EPOCH_MS, payload, &mut out);
        sealed.unwrap();
        self.sent += 1;
    }
    fn sync(&mut self, _: &[u8]) {}
    fn event(&mut self, _: Event<'_>) {}
    fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        self.signatures.sign(0, kind, body)
    }
    fn verify(&mut self, by: Signer<'_>, kind: u8, body: &[u8], signed: &[u8; SIGNATURE]) -> bool {
        self.signatures.verify(by, kind, body, signed)
    }
}

fn record(node: usize, incarnation: u64, signatures: &mut Signatures) -> Vec<u8> {
    let mut body = [&uid_of(node)[..], &incarnation.to_be_bytes(), &[0; 8]].concat();
    body.extend([0, 0, 4, 10, 1, (node >> 8) as u8, node as u8 | 1, 31, 10, 0]);
    let signature = signatures.sign(node, kind::RECORD, &body);
    [&body[..], &signature].concat()
}

fn crowd(members: usize) -> (Membership, Sealing, Now) {
    let exchange = MeshSecret::new([9; 32]).public();
    let mut packets = Packets::new(uid_of(0), [1; 8], [3; 16], MeshSecret::new([8; 32]), 20_000);
    packets.set_epoch(1, MeshSecret::new([1; 32]), 1);
    let mut world = Sealing {
        signatures: Signatures::default(),
        packets,
        keys: PeerKeys {
            exchange,
            boot: [0; 8],
        },
        sent: 0,
    };
    let now = Now {
        mono_us: 1,
        cluster_ms: EPOCH_MS,
    };
    let me = Me {
        credential: &world.signatures.credential(0, EPOCH_MS),
        boot: [1; 8],
        addr: addr_of(0),
        flags: 0,
        meta: b"",
    };
    // Nobody answers here, and an accusation is no every day event: it may allocate.
    let config = Config {
        grace_ms: 600_000,
        ..Config::default()
    };
    let mut made = Membership::new(config, &me, 1, now, &mut world).unwrap();
    for node in 1..members {
        let credential = world.signatures.credential(node, EPOCH_MS);
        let record = record(node, EPOCH_MS, &mut world.signatures);
        let seed = message(kind::INTRODUCTION, &[&credential, &record]);
        made.join(&seed, now, &mut world);
    }
    assert_eq!(made.len(), members);
    (made, world, now)
}

/// Counts the allocations of a thousand packets like those of every day, once they have been seen.
fn calls_of_a_day(members: usize) -> usize {
    let (mut made, mut world, mut now) = crowd(members);
    let mut counted = 0;
    for round in 0..3000u64 {
        if round == 2000 {
            counted = CALLS.load(SeqCst);
        }
        now.mono_us += 5 * MS;
        let from = 1 + (round as usize) % 50;
        let peer = Peer {
            uid: uid_of(from),
            addr: addr_of(from),
        };
        // A ping, and the wish to have another member probed.
        let mut packet = [0; 256];
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            packet[length..length + bytes.len()].copy_from_slice(bytes);
            length += bytes.len();
        };
        put(&[kind::PING, 0, 12]);
        put(&[7; 12]);
        put(&[kind::PING_REQ, 0, 20, 0, 0, 0, 1]);
        put(&uid_of(60));
        made.receive(peer, &packet[..length], now, &mut world);
        made.tick(now, &mut world);
    }
    assert!(world.sent > 3000);
    CALLS.load(SeqCst) - counted
}

#[test]
fn nothing_is_allocated_by_every_day_packets_nor_by_hostile_ones() {
    for members in [100, 10_000] {
        assert_eq!(calls_of_a_day(members), 0, "{members} members");
    }
    let (mut made, mut world, now) = crowd(100);
    let mut random = Random(0x5eed);
    let peer = Peer {
        uid: uid_of(1),
        addr: addr_of(1),
    };
    let mut reply = Vec::with_capacity(300_000);
    let kinds = [1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 99];
    for round in 0..20_000usize {
        let length = random.below(MAX_PAYLOAD as u64) as usize;
        let mut input: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        if length > 3 {
            input[0] = kinds[round % kinds.len()];
            input[1] = [0, 0, 1, 255][round % 4];
        }
        let body = [&[(round % 5) as u8][..], &input].concat();
        let before = NOW.load(SeqCst);
        PEAK.store(before, SeqCst);
        made.receive(peer, &input, now, &mut world);
        let mut datagram = [0; MAX_PACKET];
        datagram[..length].copy_from_slice(&input);
        let keys = world.keys;
        let _ = world
            .packets
            .open(&mut datagram[..length], EPOCH_MS, |uid| {
                (*uid == peer.uid).then_some(keys)
            });
        let used = PEAK.load(SeqCst) - before;
        assert!(
            used <= 4096,
            "round {round}: {used} bytes for {length} of input"
        );
        made.receive_sync(&body, now, &mut world, &mut reply);
        let used = PEAK.load(SeqCst) - before;
        assert!(used <= 65_536, "round {round}: {used} bytes for a body");
    }
}
