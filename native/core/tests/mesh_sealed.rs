//! Memberships over sealed packets: what an hour's capture, junk and a member left out of the epoch achieve. Nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mesh_support;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mesh_support::real::{Alone, Person, CLUSTER, NOW_MS};
use mesh_support::{seed, Random, MS, SECOND};
use swarmlet_core::mesh::packet::{Dropped, MeshSecret, Packets, PeerKeys, MAX_PACKET};
use swarmlet_core::mesh::{Config, Peer, State};

/// A node as the engine will hold it: membership, packets, signatures.
struct Node {
    person: Person,
    alone: Alone,
    packets: Packets,
    due: u64,
    dropped: BTreeMap<String, u64>,
}

type Datagram = (SocketAddr, SocketAddr, Vec<u8>);

impl Node {
    fn new(name: u8, config: Config) -> Self {
        let person = Person::new(name);
        let secret = MeshSecret::new(person.secret);
        let mut packets = Packets::new(person.uid, person.boot, CLUSTER, secret, 1000);
        packets.set_epoch(1, MeshSecret::new([1; 32]), 1);
        Self {
            person,
            alone: Alone::new(&person, config),
            packets,
            due: 0,
            dropped: BTreeMap::new(),
        }
    }

    /// Seals what the membership sent.
    fn flush(&mut self) -> Vec<Datagram> {
        let from = self.person.addr();
        let sent = std::mem::take(&mut self.alone.world.sent);
        let mut out = [0; MAX_PACKET];
        sent.into_iter()
            .filter_map(|(to, payload)| {
                let keys = keys_of(&self.alone, &to.uid)?;
                let now_ms = self.alone.now.cluster_ms;
                let sealed = self
                    .packets
                    .seal(&to.uid, &keys, now_ms, &payload, &mut out);
                let length = sealed.unwrap();
                Some((from, to.addr, out[..length].to_vec()))
            })
            .collect()
    }

    fn take(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let (alone, now_ms) = (&self.alone, self.alone.now.cluster_ms);
        let opened = self
            .packets
            .open(&mut datagram, now_ms, |uid| keys_of(alone, uid));
        match opened {
            Ok((uid, messages)) => {
                let (peer, messages) = (Peer { uid, addr: from }, messages.to_vec());
                let (now, world) = (self.alone.now, &mut self.alone.world);
                self.due = self.alone.membership.receive(peer, &messages, now, world);
            }
            Err(why) => *self.dropped.entry(format!("{why:?}")).or_default() += 1,
        }
    }
}

fn keys_of(alone: &Alone, uid: &swarmlet_core::Uid) -> Option<PeerKeys> {
    alone.membership.member(uid).map(|member| PeerKeys {
        exchange: member.exchange,
        boot: member.boot,
    })
}

struct Lan {
    nodes: Vec<Node>,
    flying: Vec<Datagram>,
    capture: Option<Vec<Datagram>>,
    us: u64,
}

impl Lan {
    /// All know all: the coordinator introduced them.
    fn new(count: u8) -> Self {
        let config = |name| Config {
            hub: name == 1,
            grace_ms: 0,
            ..Config::default()
        };
        let mut nodes: Vec<Node> = (1..=count)
            .map(|name| Node::new(name, config(name)))
            .collect();
        let seeds: Vec<u8> = (1..=count)
            .flat_map(|name| Person::new(name).introduction(NOW_MS))
            .collect();
        for node in &mut nodes {
            let (now, world) = (node.alone.now, &mut node.alone.world);
            node.due = node.alone.membership.join(&seeds, now, world);
        }
        Self {
            nodes,
            flying: Vec::new(),
            capture: None,
            us: 0,
        }
    }

    fn run(&mut self, us: u64) {
        let end = self.us + us;
        while self.us < end {
            self.us += MS;
            for (from, to, datagram) in std::mem::take(&mut self.flying) {
                let node = self.nodes.iter_mut().find(|node| node.person.addr() == to);
                node.unwrap().take(from, &datagram);
            }
            for node in &mut self.nodes {
                node.alone.now.mono_us = 1_000_000_000 + self.us;
                node.alone.now.cluster_ms = NOW_MS + self.us / 1000;
                if node.due <= node.alone.now.mono_us {
                    let (now, world) = (node.alone.now, &mut node.alone.world);
                    node.due = node.alone.membership.tick(now, world);
                }
                // The link of this test answers every question of anti-entropy with silence.
                node.alone.world.bodies.clear();
                self.flying.extend(node.flush());
            }
            if let Some(capture) = &mut self.capture {
                capture.extend(self.flying.iter().cloned());
            }
        }
    }

    fn unseen(&self) -> usize {
        let alive = |node: &Node| {
            let members = node.alone.membership.members();
            members
                .filter(|member| member.state == State::Alive)
                .count()
        };
        self.nodes
            .iter()
            .map(|node| self.nodes.len() - alive(node))
            .sum()
    }

    fn received(&self) -> u64 {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| node.alone.membership.stats().received)
            .sum()
    }

    /// Throws datagrams at the nodes without letting time pass, and counts what they changed or answered.
    fn throw(&mut self, datagrams: &[Datagram]) -> u64 {
        let before: Vec<u64> = self
            .nodes
            .iter()
            .map(|n| n.alone.membership.view_hash())
            .collect();
        let received = self.received();
        for (from, to, datagram) in datagrams {
            let node = self.nodes.iter_mut().find(|node| node.person.addr() == *to);
            node.unwrap().take(*from, datagram);
        }
        let answered: usize = self.nodes.iter_mut().map(|node| node.flush().len()).sum();
        let after: Vec<u64> = self
            .nodes
            .iter()
            .map(|n| n.alone.membership.view_hash())
            .collect();
        assert_eq!(before, after);
        self.received() - received + answered as u64
    }
}

#[test]
fn a_mesh_over_sealed_packets_lives_and_a_capture_of_it_is_worth_nothing() {
    let mut lan = Lan::new(12);
    lan.capture = Some(Vec::new());
    lan.run(20 * SECOND);
    assert_eq!(lan.unseen(), 0);
    assert!(lan.received() > 400);
    assert!(
        lan.nodes.iter().all(|node| node.dropped.is_empty()),
        "{:?}",
        lan.nodes[0].dropped
    );
    let capture = lan.capture.take().unwrap();
    lan.run(2 * MS);
    lan.nodes.iter_mut().for_each(|node| drop(node.flush()));
    // At once: every one is a replay. An hour later: too old besides.
    assert_eq!(lan.throw(&capture), 0);
    lan.run(3600 * MS);
    for node in &mut lan.nodes {
        node.alone.now.cluster_ms += 3_600_000;
    }
    assert_eq!(lan.throw(&capture), 0);
    let why: Vec<&str> = lan.nodes[0].dropped.keys().map(String::as_str).collect();
    assert_eq!(why, ["Replay"]);
}

#[test]
fn junk_changes_nothing_and_gets_no_answer() {
    let count = std::env::var("SWARMLET_JUNK").ok();
    let count = count
        .and_then(|text| text.parse().ok())
        .unwrap_or(100_000u64);
    let mut random = Random(seed(77));
    let mut lan = Lan::new(4);
    lan.run(3 * SECOND);
    lan.flying.clear();
    let (evil, victim) = (lan.nodes[1].person, lan.nodes[0].person);
    let mut done = 0;
    while done < count {
        let some: Vec<Datagram> = (0..1000)
            .map(|number| {
                let length = random.below(1300) as usize;
                let mut junk: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                if number % 2 == 0 && length > 34 {
                    // A header that could be true.
                    junk[..2].copy_from_slice(&[1, 1]);
                    junk[2..18].copy_from_slice(&evil.uid);
                    if number % 4 == 0 {
                        junk[18..26].copy_from_slice(&evil.boot);
                    }
                }
                (evil.addr(), victim.addr(), junk)
            })
            .collect();
        done += 1000;
        assert_eq!(lan.throw(&some), 0);
    }
    assert_eq!(lan.nodes[0].dropped.values().sum::<u64>(), done);
    lan.run(SECOND);
    assert_eq!(lan.unseen(), 0, "and the mesh goes on");
}

#[test]
fn who_is_left_out_of_the_epoch_hears_and_says_nothing_more() {
    let mut lan = Lan::new(8);
    lan.run(5 * SECOND);
    let out = 7;
    for (at, node) in lan.nodes.iter_mut().enumerate() {
        if at != out {
            node.packets.set_epoch(2, MeshSecret::new([2; 32]), 2);
            node.packets.set_epoch(3, MeshSecret::new([3; 32]), 3);
        }
    }
    lan.flying.clear();
    let before = lan.nodes[out].alone.membership.stats().received;
    lan.run(40 * SECOND);
    assert_eq!(lan.nodes[out].alone.membership.stats().received, before);
    assert!(lan.nodes[out]
        .dropped
        .keys()
        .all(|why| *why == format!("{:?}", Dropped::Epoch)));
    let uid = lan.nodes[out].person.uid;
    for node in &lan.nodes[..out] {
        assert_ne!(node.alone.membership.state_of(&uid), State::Alive);
        for other in &lan.nodes[..out] {
            assert_eq!(
                node.alone.membership.state_of(&other.person.uid),
                State::Alive
            );
        }
    }
}
