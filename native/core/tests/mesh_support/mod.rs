//! A seeded discrete-event network of memberships: virtual time, loss, duplication, reordering, partitions, pauses.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod acts;
pub mod keys;
mod look;
pub mod net;
pub mod real;
pub mod said;

use std::collections::{BTreeMap, BinaryHeap};

use keys::{uid_of, Signatures};
use net::Net;
use swarmlet_core::mesh::packet::OVERHEAD;
use swarmlet_core::mesh::{Config, Event, Me, Membership, Now, Peer, World, SIGNATURE};

pub const MS: u64 = 1000;
pub const SECOND: u64 = 1_000_000;
/// Cluster time when virtual time is 0.
pub const EPOCH_MS: u64 = 1_800_000_000_000;
/// Bytes of the headers below a packet.
const IPV4_UDP: usize = 28;
/// The coordinator's node.
pub const HUB: usize = 0;

/// Takes the seed from `SWARMLET_SEED`, or the one given, and prints it, so that a failure can be repeated.
pub fn seed(default: u64) -> u64 {
    let text = std::env::var("SWARMLET_SEED").ok();
    let seed = text.and_then(|text| text.parse().ok()).unwrap_or(default);
    println!("SWARMLET_SEED={seed}");
    seed
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub fn chance(&mut self, permille: u32) -> bool {
        self.below(1000) < u64::from(permille)
    }
}

enum Work {
    Packet(usize, Peer, Box<[u8]>),
    Body(usize, usize, Box<[u8]>),
    Wake(usize),
}

struct Due {
    at: u64,
    order: u64,
    work: Work,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

pub struct Node {
    pub membership: Option<Membership>,
    pub paused_until: u64,
    pub boots: u64,
    pub crashed_at: u64,
    wake_at: u64,
    /// Bytes and number of packets sent.
    pub sent: (u64, u64),
    /// Event numbers by payload, and when each arrived.
    pub heard: BTreeMap<Vec<u8>, (u32, u64)>,
    pub flags: u8,
}

/// One message as it is in a packet.
pub fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[kind][..], &(body.len() as u16).to_be_bytes(), &body].concat()
}

/// Something that a node was told, by whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub at: u64,
    pub node: usize,
    pub about: usize,
    pub what: &'static str,
}

pub struct Sim {
    pub now: u64,
    pub config: Config,
    pub net: Net,
    pub nodes: Vec<Node>,
    pub random: Random,
    pub told: Vec<Told>,
    pub keep_told: bool,
    pub delivered: u64,
    /// Bytes of anti-entropy over the links.
    pub carried: u64,
    pub signatures: Signatures,
    queue: BinaryHeap<Due>,
    order: u64,
}

/// What one call of a membership did.
struct Outside<'a> {
    node: usize,
    now: u64,
    sends: Vec<(Peer, Box<[u8]>)>,
    bodies: Vec<Box<[u8]>>,
    told: Option<&'a mut Vec<Told>>,
    heard: &'a mut BTreeMap<Vec<u8>, (u32, u64)>,
    signatures: &'a mut Signatures,
}

impl World for Outside<'_> {
    fn send(&mut self, to: Peer, payload: &[u8]) {
        self.sends.push((to, payload.into()));
    }

    fn sync(&mut self, body: &[u8]) {
        self.bodies.push(body.into());
    }

    fn event(&mut self, event: Event<'_>) {
        let (what, about) = match event {
            Event::Joined(uid) => ("joined", uid),
            Event::Suspect(uid) => ("suspect", uid),
            Event::Unreachable(uid, _) => ("unreachable", uid),
            Event::Back(uid) => ("back", uid),
            Event::Left(uid) => ("left", uid),
            Event::Updated(uid) => ("updated", uid),
            Event::Removed(uid, _) => ("removed", uid),
            Event::Expelled(_) => ("expelled", uid_of(self.node)),
            Event::Twin(_) => ("twin", uid_of(self.node)),
            Event::InTouch => ("in touch", uid_of(self.node)),
            Event::User(event) => {
                let heard = self.heard.entry(event.payload.to_vec()).or_default();
                heard.0 += 1;
                heard.1 = self.now;
                ("event", event.origin)
            }
        };
        if let Some(told) = &mut self.told {
            let about = keys::index_of(&about);
            let (at, node) = (self.now, self.node);
            told.push(Told {
                at,
                node,
                about,
                what,
            });
        }
    }

    fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        self.signatures.sign(self.node, kind, body)
    }

    fn verify(
        &mut self,
        signer: swarmlet_core::mesh::Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool {
        self.signatures.verify(signer, kind, body, signature)
    }
}

impl Sim {
    pub fn new(seed: u64, config: Config, net: Net) -> Self {
        Self {
            now: 0,
            config,
            net,
            nodes: Vec::new(),
            random: Random(seed),
            told: Vec::new(),
            keep_told: true,
            delivered: 0,
            carried: 0,
            signatures: Signatures::default(),
            queue: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Adds a node that joins at `at`; the first one is the coordinator.
    pub fn add(&mut self, at: u64) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node {
            membership: None,
            paused_until: 0,
            boots: 0,
            crashed_at: 0,
            wake_at: u64::MAX,
            sent: (0, 0),
            heard: BTreeMap::new(),
            flags: 0,
        });
        self.push(at, Work::Wake(node));
        node
    }

    /// Starts a process: a new one after a crash has another boot identifier.
    fn start(&mut self, node: usize) {
        let mut config = self.config.clone();
        config.hub = node == HUB;
        let credential = self.signatures.credential(node, EPOCH_MS);
        let boots = self.nodes[node].boots + 1;
        self.nodes[node].boots = boots;
        self.nodes[node].heard.clear();
        let flags = self.nodes[node].flags;
        let now = self.times();
        let seed = self.random.next();
        let made = self.with(node, |_, world| {
            let me = Me {
                credential: &credential,
                boot: boots.to_be_bytes(),
                addr: net::addr_of(node),
                flags,
                meta: b"class=edge",
            };
            Membership::new(config, &me, seed, now, world).unwrap()
        });
        self.nodes[node].membership = Some(made);
        if node != HUB {
            self.call(node, |membership, now, world| {
                membership.join(&[], now, world)
            });
        }
        self.call(node, |membership, now, world| membership.tick(now, world));
    }

    pub fn times(&self) -> Now {
        Now {
            mono_us: self.now,
            cluster_ms: EPOCH_MS + self.now / MS,
        }
    }

    /// Runs something with a node's world and sends what it sent.
    fn with<T>(
        &mut self,
        node: usize,
        work: impl FnOnce(Option<&mut Membership>, &mut Outside<'_>) -> T,
    ) -> T {
        let mut membership = self.nodes[node].membership.take();
        let mut world = Outside {
            node,
            now: self.now,
            sends: Vec::new(),
            bodies: Vec::new(),
            told: self.keep_told.then_some(&mut self.told),
            heard: &mut self.nodes[node].heard,
            signatures: &mut self.signatures,
        };
        let made = work(membership.as_mut(), &mut world);
        let (sends, bodies) = (world.sends, world.bodies);
        self.nodes[node].membership = membership;
        for (to, payload) in sends {
            self.transmit(node, to, payload);
        }
        for body in bodies {
            self.carry(node, HUB, body);
        }
        made
    }

    /// Calls a membership and notes when it wants to be called again.
    pub fn call(
        &mut self,
        node: usize,
        work: impl FnOnce(&mut Membership, Now, &mut dyn World) -> u64,
    ) {
        let now = self.times();
        let at = self.with(node, |membership, world| {
            membership.map_or(u64::MAX, |membership| work(membership, now, world))
        });
        let at = at.max(self.now + 1);
        if at != u64::MAX && at != self.nodes[node].wake_at {
            self.nodes[node].wake_at = at;
            self.push(at, Work::Wake(node));
        }
    }

    fn push(&mut self, at: u64, work: Work) {
        self.order += 1;
        let order = self.order;
        self.queue.push(Due { at, order, work });
    }

    fn transmit(&mut self, from: usize, to: Peer, payload: Box<[u8]>) {
        let bytes = (payload.len() + OVERHEAD + IPV4_UDP) as u64;
        self.nodes[from].sent.0 += bytes;
        self.nodes[from].sent.1 += 1;
        let target = net::node_of(&to.addr);
        let sender = Peer {
            uid: uid_of(from),
            addr: net::addr_of(from),
        };
        for _ in 0..self.net.copies(from, target, self.now, &mut self.random) {
            let at = self.now + self.net.latency(&mut self.random);
            self.push(at, Work::Packet(target, sender, payload.clone()));
        }
    }

    fn carry(&mut self, from: usize, to: usize, body: Box<[u8]>) {
        self.carried += body.len() as u64;
        if !self.net.is_cut(from, to, self.now) && !self.net.is_cut(to, from, self.now) {
            // A TLS connection: a round trip for acknowledgements that were lost, never out of order.
            let at = self.now + 2 * self.net.latency_us.1;
            self.push(at, Work::Body(from, to, body));
        }
    }

    /// Runs until virtual time `until`.
    pub fn run(&mut self, until: u64) {
        while self.queue.peek().is_some_and(|due| due.at <= until) {
            let due = self.queue.pop().unwrap();
            self.now = due.at;
            self.step(due.work);
        }
        self.now = until;
    }

    fn step(&mut self, work: Work) {
        let node = match &work {
            Work::Packet(node, ..) | Work::Wake(node) | Work::Body(_, node, _) => *node,
        };
        // A paused process finds everything in its socket buffer when it goes on.
        let resumes = self.nodes[node].paused_until;
        if resumes > self.now {
            self.push(resumes, work);
            return;
        }
        match work {
            Work::Packet(_, from, payload) => {
                self.delivered += u64::from(self.nodes[node].membership.is_some());
                self.call(node, |membership, now, world| {
                    membership.receive(from, &payload, now, world)
                });
            }
            Work::Body(from, _, body) => {
                let mut reply = Vec::new();
                self.call(node, |membership, now, world| {
                    membership.receive_sync(&body, now, world, &mut reply)
                });
                if !reply.is_empty() {
                    self.carry(node, from, reply.into());
                }
            }
            Work::Wake(_) if self.nodes[node].membership.is_none() => {
                if self.nodes[node].boots == 0 {
                    self.start(node);
                }
            }
            Work::Wake(_) if self.now >= self.nodes[node].wake_at => {
                self.nodes[node].wake_at = u64::MAX;
                self.call(node, |membership, now, world| membership.tick(now, world));
            }
            Work::Wake(_) => {}
        }
    }

    pub fn crash(&mut self, node: usize) {
        self.nodes[node].crashed_at = self.now;
        self.nodes[node].membership = None;
        self.nodes[node].wake_at = u64::MAX;
    }

    pub fn restart(&mut self, node: usize) {
        self.start(node);
    }

    pub fn pause(&mut self, node: usize, until: u64) {
        self.nodes[node].paused_until = until;
    }

    pub fn broadcast(&mut self, node: usize, payload: &[u8]) {
        let now = self.times();
        self.with(node, |membership, world| {
            membership.unwrap().broadcast(payload, now, world).unwrap()
        });
        self.call(node, |membership, now, world| membership.tick(now, world));
    }

    pub fn live(&self) -> impl Iterator<Item = (usize, &Membership)> {
        let all = self.nodes.iter().enumerate();
        all.filter_map(|(at, node)| Some((at, node.membership.as_ref()?)))
    }

    /// Runs in steps until a condition holds; the time that took, or `None` after `limit`.
    pub fn until(
        &mut self,
        step: u64,
        limit: u64,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Option<u64> {
        let start = self.now;
        while !done(self) {
            if self.now >= start + limit {
                return None;
            }
            let next = self.now + step;
            self.run(next);
        }
        Some(self.now - start)
    }
}
