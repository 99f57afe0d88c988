//! Gossip on a socket: datagrams in and out of `swarmlet_core::mesh`, and what it tells as events.
//!
//! Holds no rule of the mesh. A turn reads a bounded number of datagrams, so that a flood of junk costs the link nothing
//! but the time to drop it.

mod call;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use swarmlet_core::mesh::packet::{MeshSecret, Packets, PeerKeys, MAX_PACKET};
use swarmlet_core::mesh::{
    Config, Grant, Keyring, Me, Membership, Now, Peer, Reach, Word, World, NO_UDP,
};
use swarmlet_core::Uid;

use self::call::{state_word, why_word, Call, Outside};
use crate::clock::boot_us;
use crate::event::{Event, EventQueue};
use crate::stats::Stats;

/// Datagrams read in one turn.
const TURN: usize = 16;
/// Events that wait for room in the queue; beyond that they are dropped, and that is told.
const MOST_LATE: usize = 4096;

/// Who gossips, and with what.
pub struct Gossiper {
    /// The node.
    pub uid: Uid,
    /// The cluster.
    pub cluster: Uid,
    /// Drawn at random for this process.
    pub boot: [u8; 8],
    /// Seeds what is drawn later.
    pub seed: u64,
    /// Its X25519 secret.
    pub secret: MeshSecret,
    /// What it signs with and verifies by.
    pub keyring: Keyring,
    /// What the coordinator granted.
    pub grant: Grant,
    /// How the mesh behaves.
    pub config: Config,
    /// Cluster time now, in milliseconds.
    pub cluster_ms: u64,
}

/// A member, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub uid: Uid,
    /// How: a stable word.
    pub state: &'static str,
    /// Who said so: a stable word.
    pub why: &'static str,
    /// For how long, in milliseconds.
    pub age_ms: u64,
    /// Where.
    pub address: SocketAddr,
    /// Whether UDP reaches it.
    pub udp: bool,
    /// Smoothed round trip in microseconds; 0 when never measured.
    pub rtt_us: u32,
}

/// The mesh of one process.
pub(crate) struct Gossip {
    pub socket: Option<UdpSocket>,
    address: SocketAddr,
    membership: Membership,
    packets: Packets,
    keyring: Keyring,
    outside: Outside,
    /// Boot clock in microseconds and cluster time in milliseconds, of one moment.
    base: (u64, u64),
    /// When the next tick is due, in microseconds of the boot clock.
    due: u64,
    /// More may wait on the socket.
    pub readable: bool,
    hub: bool,
    reach: Reach,
    late: VecDeque<Event>,
    lost: bool,
    datagram: Box<[u8; MAX_PACKET + 1]>,
    packet: Box<[u8; MAX_PACKET]>,
}

impl Gossip {
    /// Begins: knows itself, and asks the coordinator for the others unless it is the coordinator.
    ///
    /// Without a socket it is a member that UDP does not reach.
    ///
    /// # Errors
    /// What of its description is not as it should be.
    pub fn new(
        who: Gossiper,
        socket: Option<UdpSocket>,
        address: SocketAddr,
    ) -> Result<Self, &'static str> {
        let Gossiper {
            uid,
            cluster,
            boot,
            seed,
            secret,
            mut keyring,
            grant,
            config,
            cluster_ms,
        } = who;
        let base = (boot_us(), cluster_ms);
        let now = at(base, base.0);
        let flags = if socket.is_some() { 0 } else { NO_UDP };
        let me = Me {
            credential: &grant.credential,
            boot,
            addr: address,
            flags,
            meta: &[],
        };
        let hub = config.hub;
        let most = config.max_members as usize;
        let reach = Reach::new(config.probe_interval_ms, base.0);
        let mut outside = Outside::default();
        let mut call = Call {
            outside: &mut outside,
            keyring: &mut keyring,
        };
        let membership = Membership::new(config, &me, seed, now, &mut call)?;
        let mut packets = Packets::new(uid, boot, cluster, secret, most);
        for (number, key) in grant.epochs {
            packets.set_epoch(number, key, grant.current);
        }
        let mut made = Self {
            readable: socket.is_some(),
            socket,
            address,
            membership,
            packets,
            keyring,
            outside,
            base,
            due: base.0,
            hub,
            reach,
            late: VecDeque::new(),
            lost: false,
            datagram: Box::new([0; MAX_PACKET + 1]),
            packet: Box::new([0; MAX_PACKET]),
        };
        if !hub {
            made.call(|membership, now, call| membership.join(&[], now, call));
        }
        Ok(made)
    }

    /// Uses these keys of epochs from now on, and the credential when its own is getting old; asks for what it missed.
    pub fn refresh(&mut self, grant: Grant, cluster_ms: u64) {
        self.base = (boot_us(), cluster_ms);
        let credential = grant.credential;
        self.call(|membership, now, call| {
            membership.recertify(&credential, now, call);
            membership.tick(now, call)
        });
        for (number, key) in grant.epochs {
            self.packets.set_epoch(number, key, grant.current);
        }
        if !self.hub {
            self.call(|membership, now, call| membership.join(&[], now, call));
        }
    }

    /// When the next tick is due, in milliseconds of the boot clock, never too early.
    pub fn deadline_ms(&self) -> u64 {
        self.due.div_ceil(1000)
    }

    /// Reads what came, lets time pass, sends and tells what follows.
    pub fn turn(&mut self, stats: &Stats, queue: &EventQueue) {
        if self.readable {
            self.read(stats);
        }
        if boot_us() >= self.due {
            self.call(Membership::tick);
        }
        self.watch_reach();
        self.flush(stats);
        self.tell(queue);
    }

    fn read(&mut self, stats: &Stats) {
        for _ in 0..TURN {
            let Some(socket) = &self.socket else {
                self.readable = false;
                return;
            };
            match socket.recv_from(&mut self.datagram[..]) {
                Ok((length, from)) => self.take(length, from, stats),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return;
                }
                // What a send met before (an unreachable host) is told here; the next read has the next datagram.
                Err(_) => stats.gossip_dropped.up(),
            }
            self.flush(stats);
        }
    }

    fn take(&mut self, length: usize, from: SocketAddr, stats: &Stats) {
        let now = at(self.base, boot_us());
        let membership = &mut self.membership;
        let Some(datagram) = self.datagram.get_mut(..length) else {
            return;
        };
        let opened = self
            .packets
            .open(datagram, now.cluster_ms, |uid| keys_of(membership, uid));
        let Ok((uid, payload)) = opened else {
            stats.gossip_dropped.up();
            return;
        };
        stats.gossip_in.up();
        let mut call = Call {
            outside: &mut self.outside,
            keyring: &mut self.keyring,
        };
        let peer = Peer { uid, addr: from };
        self.due = membership.receive(peer, payload, now, &mut call);
    }

    /// Says whether it told the others that UDP reaches it.
    fn says_udp(&self) -> bool {
        let me = self.membership.member(&self.membership.uid());
        me.is_none_or(|me| me.flags & NO_UDP == 0)
    }

    /// Tells the others, and the owner, that UDP reaches this node, or does not.
    fn say_reached(&mut self, reached: bool) {
        let address = self.address;
        let (flags, what) = if reached {
            (0, "udp")
        } else {
            (NO_UDP, "no-udp")
        };
        self.call(|membership, now, call| {
            membership.update(address, flags, &[], now, call);
            membership.tick(now, call)
        });
        self.outside.events.push(Event::Gossip {
            what,
            uid: self.membership.uid(),
            why: "itself",
            detail: Box::default(),
        });
    }

    /// Says of itself whether UDP reaches it, when that has become another thing than it said.
    fn watch_reach(&mut self) {
        if self.hub || self.socket.is_none() {
            return;
        }
        let says = self.says_udp();
        let found = self.reach.look(&self.membership.stats(), says, boot_us());
        if let Some(reached) = found {
            self.say_reached(reached);
        }
    }

    /// Takes a body of anti-entropy that came over connection `conn`; the answer is told as an event.
    pub fn receive_body(&mut self, conn: u64, body: &[u8]) {
        let mut reply = Vec::new();
        self.call(|membership, now, call| membership.receive_sync(body, now, call, &mut reply));
        if !reply.is_empty() {
            self.outside.events.push(Event::GossipBody {
                conn,
                body: reply.into(),
            });
        }
    }

    /// Says as the coordinator what became of a member.
    pub fn declare(&mut self, word: Word, subject: Uid, until_ms: u64) {
        self.call(|membership, now, call| {
            membership.declare(word, subject, until_ms, now, call);
            membership.tick(now, call)
        });
        if word != Word::Down {
            self.packets.forget(&subject);
        }
    }

    /// Tells every member an event once; false when it is too long.
    pub fn broadcast(&mut self, payload: &[u8]) -> bool {
        let mut told = false;
        self.call(|membership, now, call| {
            told = membership.broadcast(payload, now, call).is_some();
            membership.tick(now, call)
        });
        told
    }

    /// Says goodbye.
    pub fn leave(&mut self) {
        self.call(Membership::leave);
    }

    /// Returns every member, this one first.
    pub fn members(&self) -> Vec<MemberView> {
        let now = boot_us();
        let shown = self.membership.members().map(|member| MemberView {
            uid: member.uid,
            state: state_word(member.state),
            why: why_word(member.why),
            age_ms: now.saturating_sub(member.since_us) / 1000,
            address: member.addr,
            udp: member.flags & NO_UDP == 0,
            rtt_us: member.rtt_us,
        });
        shown.collect()
    }

    fn call(&mut self, act: impl FnOnce(&mut Membership, Now, &mut dyn World) -> u64) {
        let now = at(self.base, boot_us());
        let mut call = Call {
            outside: &mut self.outside,
            keyring: &mut self.keyring,
        };
        self.due = act(&mut self.membership, now, &mut call);
    }

    /// Seals and sends what was asked for. What the socket does not take is lost, as anything on the way may be.
    fn flush(&mut self, stats: &Stats) {
        let now = at(self.base, boot_us());
        for (to, start, end) in self.outside.sends.drain(..) {
            let keys = keys_of(&self.membership, &to.uid);
            let Some(((keys, payload), socket)) = keys
                .zip(self.outside.bytes.get(start..end))
                .zip(self.socket.as_ref())
            else {
                continue;
            };
            let sealed =
                self.packets
                    .seal(&to.uid, &keys, now.cluster_ms, payload, &mut self.packet);
            let packet = sealed.ok().and_then(|length| self.packet.get(..length));
            let sent = packet.and_then(|packet| socket.send_to(packet, to.addr).ok());
            if let Some(length) = sent {
                stats.gossip_out.up();
                stats.gossip_bytes_out.add(length as u64);
            }
        }
        self.outside.bytes.clear();
        self.outside.bytes.shrink_to(64 * 1024);
    }

    /// Hands events on; what finds no room waits, and when too many wait that is told in their place.
    fn tell(&mut self, queue: &EventQueue) {
        let bodies = self.outside.bodies.drain(..);
        let bodies = bodies.map(|body| Event::GossipBody { conn: 0, body });
        for event in self.outside.events.drain(..).chain(bodies) {
            if self.late.len() < MOST_LATE {
                self.late.push_back(event);
            } else {
                self.lost = true;
            }
        }
        while let Some(event) = self.late.pop_front() {
            if let Err(event) = queue.offer(event) {
                self.late.push_front(event);
                return;
            }
        }
        if self.lost {
            let missed = Event::Gossip {
                what: "missed",
                uid: [0; 16],
                why: "",
                detail: Box::default(),
            };
            self.lost = queue.offer(missed).is_err();
        }
    }
}

/// Returns what packets of a member are sealed by.
fn keys_of(membership: &Membership, uid: &Uid) -> Option<PeerKeys> {
    membership.member(uid).map(|member| PeerKeys {
        exchange: member.exchange,
        boot: member.boot,
    })
}

fn at(base: (u64, u64), mono_us: u64) -> Now {
    Now {
        mono_us,
        cluster_ms: base.1 + mono_us.saturating_sub(base.0) / 1000,
    }
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gossip(..)")
    }
}
