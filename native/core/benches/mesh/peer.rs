//! foca 1.0 in the same network: identities renew themselves, the LAN configuration for the size, events as custom
//! broadcasts.

use std::cell::RefCell;
use std::collections::{BTreeSet, BinaryHeap};
use std::num::{NonZeroU32, NonZeroUsize};
use std::rc::Rc;
use std::time::Duration;

use foca::{BroadcastHandler, Config, Foca, Identity, Invalidates, Member};
use foca::{Notification, Runtime, Timer};
use rand::rngs::SmallRng;
use rand::SeedableRng;

use crate::codec::{Broken, Plain};
use crate::mesh_support::net::Net;
use crate::mesh_support::{Random, MS};

/// A node and which of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    pub node: u32,
    pub life: u16,
}

impl Identity for Id {
    type Addr = u32;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            node: self.node,
            life: self.life.wrapping_add(1),
        })
    }

    fn addr(&self) -> u32 {
        self.node
    }

    fn win_addr_conflict(&self, other: &Self) -> bool {
        self.life > other.life
    }
}

/// Takes each event once; what it took can be seen from outside.
#[derive(Clone, Default)]
pub struct Events(Rc<RefCell<BTreeSet<u64>>>);

/// The key of an event.
pub struct Number(u64);

impl Invalidates for Number {
    fn invalidates(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl BroadcastHandler<Id> for Events {
    type Key = Number;
    type Error = Broken;

    fn receive_item(&mut self, data: &[u8], _: Option<&Id>) -> Result<Option<Number>, Broken> {
        let number = u64::from_be_bytes(data.try_into().map_err(|_| Broken)?);
        Ok(self.0.borrow_mut().insert(number).then_some(Number(number)))
    }
}

pub type Node = Foca<Id, Plain, SmallRng, Events>;

pub fn make(node: u32, size: usize, seed: u64, events: Events) -> Node {
    let mut config = Config::new_lan(NonZeroU32::new(size as u32).unwrap());
    config.max_packet_size = NonZeroUsize::new(1200).unwrap();
    let id = Id { node, life: 0 };
    let rng = SmallRng::seed_from_u64(seed ^ u64::from(node));
    Foca::with_custom_broadcast(id, config, rng, Plain, events)
}

enum Work {
    Packet(Box<[u8]>),
    Timer(Timer<Id>),
    Join,
}

struct Due {
    at: u64,
    order: u64,
    node: usize,
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

/// What one call did.
#[derive(Default)]
struct Outside {
    sends: Vec<(Id, Box<[u8]>)>,
    timers: Vec<(Timer<Id>, Duration)>,
    down: Vec<usize>,
}

impl Runtime<Id> for &mut Outside {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        if let Notification::MemberDown(id) = notification {
            self.down.push(id.node as usize);
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.sends.push((to, data.into()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((event, after));
    }
}

/// A network of foca.
pub struct FocaSim {
    pub now: u64,
    pub nodes: Vec<Option<Node>>,
    heard: Vec<Events>,
    pub sent: (u64, u64),
    /// About whom somebody said that it is down.
    pub down: Vec<usize>,
    paused: Vec<u64>,
    net: Net,
    random: Random,
    queue: BinaryHeap<Due>,
    order: u64,
}

impl FocaSim {
    /// Starts all at once; they announce themselves to the first one until they know somebody.
    pub fn started(seed: u64, size: usize, net: Net) -> Self {
        let heard = vec![(); size]
            .iter()
            .map(|()| Events::default())
            .collect::<Vec<_>>();
        let nodes = heard.iter().enumerate();
        let mut sim = Self {
            now: 0,
            nodes: nodes
                .map(|(node, events)| Some(make(node as u32, size, seed, events.clone())))
                .collect(),
            heard,
            sent: (0, 0),
            down: Vec::new(),
            paused: vec![0; size],
            net,
            random: Random(seed),
            queue: BinaryHeap::new(),
            order: 0,
        };
        (1..size).for_each(|node| sim.push(0, node, Work::Join));
        sim
    }

    /// Starts a cluster in which everybody knows everybody already.
    pub fn acquainted(seed: u64, size: usize, net: Net) -> Self {
        let mut sim = Self::started(seed, size, net);
        sim.queue.clear();
        let all = |_| (0..size as u32).map(|node| Member::alive(Id { node, life: 0 }));
        for node in 0..size {
            sim.call(node, |foca, world| {
                foca.apply_many(all(()).filter(|m| m.id().node != node as u32), true, world)
                    .unwrap();
            });
        }
        sim
    }

    fn push(&mut self, at: u64, node: usize, work: Work) {
        self.order += 1;
        let order = self.order;
        self.queue.push(Due {
            at,
            order,
            node,
            work,
        });
    }

    fn call(&mut self, node: usize, work: impl FnOnce(&mut Node, &mut Outside)) {
        let mut world = Outside::default();
        if let Some(foca) = &mut self.nodes[node] {
            work(foca, &mut world);
        }
        self.down.extend(world.down);
        for (to, data) in world.sends {
            self.sent.0 += data.len() as u64 + 28;
            self.sent.1 += 1;
            let target = to.node as usize;
            for _ in 0..self.net.copies(node, target, self.now, &mut self.random) {
                let at = self.now + self.net.latency(&mut self.random);
                self.push(at, target, Work::Packet(data.clone()));
            }
        }
        for (timer, after) in world.timers {
            self.push(
                self.now + after.as_micros() as u64,
                node,
                Work::Timer(timer),
            );
        }
    }

    pub fn run(&mut self, until: u64) {
        while self.queue.peek().is_some_and(|due| due.at <= until) {
            let due = self.queue.pop().unwrap();
            self.now = due.at;
            let node = due.node;
            if self.paused[node] > self.now {
                self.push(self.paused[node], node, due.work);
                continue;
            }
            match due.work {
                // Errors are those of stale timers and packets of former lives.
                Work::Packet(data) => self.call(node, |foca, world| {
                    let _ = foca.handle_data(&data, world);
                }),
                Work::Timer(timer) => self.call(node, |foca, world| {
                    let _ = foca.handle_timer(timer, world);
                }),
                Work::Join => {
                    let alone = self.nodes[node]
                        .as_ref()
                        .is_some_and(|f| f.num_members() == 0);
                    if alone {
                        self.call(node, |foca, world| {
                            foca.announce(Id { node: 0, life: 0 }, world).unwrap();
                        });
                        self.push(self.now + 500 * MS, node, Work::Join);
                    }
                }
            }
        }
        self.now = until;
    }

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

    pub fn pause(&mut self, node: usize, until: u64) {
        self.paused[node] = until;
    }

    pub fn crash(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    pub fn broadcast(&mut self, node: usize, number: u64) {
        self.call(node, |foca, world| {
            foca.add_broadcast(&number.to_be_bytes()).unwrap();
            foca.broadcast(world).unwrap();
        });
    }

    pub fn deaf(&self, number: u64) -> usize {
        let all = self.heard.iter();
        all.filter(|events| !events.0.borrow().contains(&number))
            .count()
    }

    pub fn unseen(&self) -> usize {
        let live = self.nodes.iter().flatten();
        live.map(|foca| self.nodes.len() - 1 - foca.num_members())
            .sum()
    }

    pub fn unaware(&self, node: usize) -> usize {
        let live = self.nodes.iter().flatten();
        live.filter(|foca| foca.iter_members().any(|m| m.id().node == node as u32))
            .count()
    }
}
