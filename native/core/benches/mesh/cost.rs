//! What one packet costs, in CPU time of this thread, and what one member costs in memory.

use bytes::BufMut;
use foca::{Codec, Header, Member, Message, Notification, Runtime, Timer};
use swarmlet_core::mesh::packet::{MeshSecret, Packets, PeerKeys, MAX_PACKET};
use swarmlet_core::mesh::{
    kind, Config, Event, Keyring, Me, Membership, Now, Peer, Signer, World, SIGNATURE,
};

use crate::codec::Plain;
use crate::figure;
use crate::mesh_support::keys::{uid_of, Signatures};
use crate::mesh_support::net::addr_of;
use crate::mesh_support::{message, EPOCH_MS, MS};
use crate::peer::{make, Events, Id, Node};

/// Packets measured at a time, and statements in each.
const PACKETS: usize = 20_000;
const STATEMENTS: usize = 4;

/// Nanoseconds that this thread ran.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The median of some repetitions, as thousands a CPU second.
fn thousands(mut work: impl FnMut() -> u64) -> f64 {
    let mut all: Vec<u64> = (0..5).map(|_| work()).collect();
    all.sort_unstable();
    PACKETS as f64 * 1e6 / all[2] as f64
}

/// Drops what is sent.
struct Quiet {
    signatures: Signatures,
    seal: Option<(Packets, PeerKeys)>,
}

impl World for Quiet {
    fn send(&mut self, to: Peer, payload: &[u8]) {
        if let Some((packets, keys)) = &mut self.seal {
            let mut out = [0; MAX_PACKET];
            packets
                .seal(&to.uid, keys, EPOCH_MS, payload, &mut out)
                .unwrap();
            std::hint::black_box(&out);
        }
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
    body.extend([
        0,
        0,
        4,
        10,
        1,
        (node >> 8) as u8,
        node as u8 | 1,
        31,
        10,
        10,
    ]);
    body.extend(*b"class=edge");
    let signature = signatures.sign(node, kind::RECORD, &body);
    [&body[..], &signature].concat()
}

fn crowd(members: usize) -> (Membership, Quiet) {
    let mut world = Quiet {
        signatures: Signatures::default(),
        seal: None,
    };
    let me = Me {
        credential: &world.signatures.credential(0, EPOCH_MS),
        boot: [1; 8],
        addr: addr_of(0),
        flags: 0,
        meta: b"class=edge",
    };
    // Nobody answers here: this is about packets, not about detection.
    let config = Config {
        grace_ms: 600_000,
        probe_interval_ms: 60_000,
        ..Config::default()
    };
    let mut made = Membership::new(config, &me, 1, at(0), &mut world).unwrap();
    for node in 1..members {
        let credential = world.signatures.credential(node, EPOCH_MS);
        let record = record(node, EPOCH_MS, &mut world.signatures);
        let seed = message(kind::INTRODUCTION, &[&credential, &record]);
        made.join(&seed, at(0), &mut world);
    }
    (made, world)
}

fn at(us: u64) -> Now {
    Now {
        mono_us: us,
        cluster_ms: EPOCH_MS + us / MS,
    }
}

/// A ping with some records: those that all know, or the next incarnation of each.
fn packets(members: usize, news: u64) -> Vec<Vec<u8>> {
    let mut signatures = Signatures::default();
    let ping = message(kind::PING, &[&[7; 12]]);
    (0..PACKETS)
        .map(|number| {
            let mut packet = ping.clone();
            for place in 0..STATEMENTS {
                let turn = number * STATEMENTS + place;
                let (node, round) = (1 + turn % (members - 1), (turn / (members - 1)) as u64);
                let next = EPOCH_MS + if news > 0 { news + round } else { 0 };
                let whole = record(node, next, &mut signatures);
                packet.extend(message(kind::RECORD, &[&whole]));
            }
            packet
        })
        .collect()
}

fn ours(members: usize, news: bool, ticking: bool) -> f64 {
    let (mut made, mut world) = crowd(members);
    let mut base = u64::from(news);
    let mut us = 1;
    thousands(|| {
        let packets = packets(members, base);
        base += if news { PACKETS as u64 } else { 0 };
        let start = cpu_ns();
        for (number, packet) in packets.iter().enumerate() {
            // No originator reaches its limit.
            us += 200_000_000 / members as u64;
            let from = 1 + number % (members - 1);
            let peer = Peer {
                uid: uid_of(from),
                addr: addr_of(from),
            };
            made.receive(peer, packet, at(us), &mut world);
            if ticking {
                made.tick(at(us), &mut world);
            }
        }
        cpu_ns() - start
    })
}

/// Opens, receives, seals the answer.
fn sealed(members: usize) -> f64 {
    let (mut made, mut world) = crowd(members);
    let (mine, theirs) = ([8; 32], [9; 32]);
    let keys = |secret, boot| PeerKeys {
        exchange: MeshSecret::new(secret).public(),
        boot,
    };
    let new = |node, boot, secret| {
        let secret = MeshSecret::new(secret);
        let mut made = Packets::new(uid_of(node), boot, [3; 16], secret, 20_000);
        made.set_epoch(1, MeshSecret::new([1; 32]), 1);
        made
    };
    let mut receiver = new(0, [1; 8], mine);
    let mut senders: Vec<_> = (1..100).map(|node| new(node, [2; 8], theirs)).collect();
    world.seal = Some((new(0, [1; 8], mine), keys(theirs, [2; 8])));
    let packets = packets(members, 0);
    let (mut us, known) = (1, keys(theirs, [2; 8]));
    thousands(|| {
        let mut datagrams: Vec<_> = (0..PACKETS)
            .map(|number| {
                let mut out = [0; MAX_PACKET];
                let sender = &mut senders[number % 99];
                let to = keys(mine, [1; 8]);
                let sealed = sender.seal(&uid_of(0), &to, EPOCH_MS, &packets[number], &mut out);
                out[..sealed.unwrap()].to_vec()
            })
            .collect();
        let start = cpu_ns();
        for datagram in &mut datagrams {
            us += 5000;
            let opened = receiver.open(datagram, EPOCH_MS, |_| Some(known));
            let (uid, messages) = opened.unwrap();
            let peer = Peer {
                uid,
                addr: addr_of(1),
            };
            made.receive(peer, messages, at(us), &mut world);
        }
        cpu_ns() - start
    })
}

/// Drops what foca sends.
struct Nothing;

impl Runtime<Id> for &mut Nothing {
    fn notify(&mut self, _: Notification<'_, Id>) {}
    fn send_to(&mut self, _: Id, data: &[u8]) {
        std::hint::black_box(data);
    }
    fn submit_after(&mut self, _: Timer<Id>, _: std::time::Duration) {}
}

fn foca_crowd(members: usize) -> Node {
    let mut node = make(0, members, 1, Events::default());
    let all = (1..members as u32).map(|node| Member::alive(Id { node, life: 0 }));
    node.apply_many(all, false, &mut Nothing).unwrap();
    node
}

fn theirs(members: usize, news: bool) -> f64 {
    let mut node = foca_crowd(members);
    let mut base = 0;
    thousands(|| {
        let packets: Vec<Vec<u8>> = (0..PACKETS)
            .map(|number| {
                let id = |node: usize| Id {
                    node: node as u32,
                    life: 0,
                };
                let mut packet = Vec::new();
                let header = Header {
                    src: id(1 + number % (members - 1)),
                    src_incarnation: 0,
                    dst: id(0),
                    message: Message::Ping(7),
                };
                Plain.encode_header(&header, &mut packet).unwrap();
                packet.put_u16(STATEMENTS as u16);
                for place in 0..STATEMENTS {
                    let turn = number * STATEMENTS + place;
                    let round = base + 1 + turn / (members - 1);
                    let incarnation = if news { round as u16 } else { 0 };
                    let about = id(1 + turn % (members - 1));
                    let member = Member::new(about, incarnation, foca::State::Alive);
                    Plain.encode_member(&member, &mut packet).unwrap();
                }
                packet
            })
            .collect();
        base += PACKETS * STATEMENTS / (members - 1) + 1;
        let start = cpu_ns();
        for packet in &packets {
            node.handle_data(packet, &mut Nothing).unwrap();
        }
        cpu_ns() - start
    })
}

pub fn run() {
    println!(
        "\nthousand packets a CPU second: a ping with {STATEMENTS} statements, and its answer"
    );
    for members in [100, 1000, 10_000] {
        let known = (ours(members, false, false), theirs(members, false));
        let news = (ours(members, true, false), theirs(members, true));
        println!(
            "  {members} members: nothing new: swarmlet {:.0}, foca {:.0}; all new: swarmlet {:.0}, with rounds of \
             gossip {:.0}, foca {:.0}; swarmlet opened, nothing new, answer sealed {:.0}",
            known.0,
            known.1,
            news.0,
            ours(members, true, true),
            news.1,
            sealed(members),
        );
        for (what, (mine, theirs)) in [("nothing new", known), ("all new", news)] {
            let what = format!("gossip packets a CPU second, {members} members, {what}");
            figure(&what, "1/s", mine * 1e3, theirs * 1e3);
        }
    }
    for length in [20, 400, 1142] {
        let (seal, open) = encryption(length);
        println!("  {length} bytes of messages: sealed in {seal:.2} us, opened in {open:.2} us");
    }
    let mut keyring = Keyring::new(&[7; 32], [8; 32], [9; 16]);
    let key = keyring.public();
    let bodies: Vec<_> = (0..500u32).map(|number| number.to_be_bytes()).collect();
    let start = cpu_ns();
    let signed: Vec<_> = bodies.iter().map(|body| keyring.sign(17, body)).collect();
    let signing = cpu_ns() - start;
    let mut check = || {
        let start = cpu_ns();
        for (body, signature) in bodies.iter().zip(&signed) {
            assert!(keyring.verify(Signer::Member(&key), 17, body, signature));
        }
        (cpu_ns() - start) as f64 / 5e5
    };
    let (first, again) = (check(), check());
    println!(
        "  a signature: made in {:.1} us, checked in {first:.1} us, known from before in {again:.2} us",
        signing as f64 / 5e5
    );
}

/// Microseconds to seal and to open one packet of so many bytes of messages.
fn encryption(length: usize) -> (f64, f64) {
    let keys = |secret| PeerKeys {
        exchange: MeshSecret::new(secret).public(),
        boot: [1; 8],
    };
    let new = |node, secret| {
        let secret = MeshSecret::new(secret);
        let mut made = Packets::new(uid_of(node), [1; 8], [3; 16], secret, 10);
        made.set_epoch(1, MeshSecret::new([1; 32]), 1);
        made
    };
    let (mut sender, mut receiver) = (new(1, [8; 32]), new(2, [9; 32]));
    let (to, from, payload) = (keys([9; 32]), keys([8; 32]), vec![7; length]);
    let mut packets = vec![[0; MAX_PACKET]; PACKETS];
    let start = cpu_ns();
    let mut size = 0;
    for out in &mut packets {
        let sealed = sender.seal(&uid_of(2), &to, EPOCH_MS, &payload, out);
        size = sealed.unwrap();
    }
    let middle = cpu_ns();
    for packet in &mut packets {
        let opened = receiver.open(&mut packet[..size], EPOCH_MS, |_| Some(from));
        opened.unwrap();
    }
    let each = |ns: u64| ns as f64 / PACKETS as f64 / 1e3;
    (each(middle - start), each(cpu_ns() - middle))
}

pub fn memory() {
    let rss = || {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
    };
    let before = rss();
    let (made, world) = crowd(10_000);
    let grown = rss() - before;
    println!(
        "\nmemory: 10,000 members {:.1} MB, {:.0} bytes each",
        grown / 1e6,
        grown / 1e4
    );
    figure("memory of a member among 10,000", "bytes", grown / 1e4, "");
    drop((made, world));
}
