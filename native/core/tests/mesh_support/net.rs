//! The network between simulated nodes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Random;

/// From when to when the nodes before `below` and the others do not hear each other, or only one side does.
#[derive(Clone, Debug)]
pub struct Cut {
    pub from: u64,
    pub until: u64,
    pub below: usize,
    /// Whether packets from the upper to the lower side get through.
    pub one_way: bool,
    /// When not 0: the cut is there and gone again in turn, each for so long.
    pub flaps: u64,
}

pub struct Net {
    /// Lost packets, thousandths.
    pub loss: u32,
    /// Packets that arrive twice, thousandths.
    pub twice: u32,
    /// Least and greatest latency in microseconds; what is between reorders packets.
    pub latency_us: (u64, u64),
    pub cuts: Vec<Cut>,
}

impl Default for Net {
    fn default() -> Self {
        Self {
            loss: 0,
            twice: 0,
            latency_us: (200, 1000),
            cuts: Vec::new(),
        }
    }
}

impl Net {
    pub fn lossy(loss: u32) -> Self {
        Self {
            loss,
            twice: 20,
            latency_us: (200, 20_000),
            cuts: Vec::new(),
        }
    }

    pub fn is_cut(&self, from: usize, to: usize, now: u64) -> bool {
        self.cuts.iter().any(|cut| {
            let during = (cut.from..cut.until).contains(&now);
            let there = cut.flaps == 0 || (now - cut.from.min(now)) / cut.flaps % 2 == 0;
            let apart = (from < cut.below) != (to < cut.below);
            during && there && apart && !(cut.one_way && to < cut.below)
        })
    }

    /// Returns how often a packet arrives.
    pub fn copies(&self, from: usize, to: usize, now: u64, random: &mut Random) -> usize {
        if self.is_cut(from, to, now) || random.chance(self.loss) {
            return 0;
        }
        1 + usize::from(random.chance(self.twice))
    }

    pub fn latency(&self, random: &mut Random) -> u64 {
        let (least, most) = self.latency_us;
        least + random.below(most - least + 1)
    }
}

pub fn addr_of(node: usize) -> SocketAddr {
    let ip = Ipv4Addr::from(0x0a00_0000 + node as u32 + 1);
    SocketAddr::new(IpAddr::V4(ip), 7946)
}

pub fn node_of(addr: &SocketAddr) -> usize {
    match addr.ip() {
        IpAddr::V4(ip) => (u32::from(ip) - 0x0a00_0001) as usize,
        IpAddr::V6(_) => usize::MAX,
    }
}
