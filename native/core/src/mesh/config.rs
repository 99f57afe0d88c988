//! Every parameter of the mesh: what it means, its unit, its bounds, and how to choose it.

/// The least number of distinct accusers that make a member unreachable (G3). It is no parameter.
pub const MIN_ACCUSERS: u8 = 3;
/// The most helpers of a probe, and one less than the most accusers kept for one member.
pub const MAX_HELPERS: u8 = 8;

/// How the mesh of one node behaves. All nodes of a cluster should have the same, and need not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Milliseconds from one probe to the next; 100 to 60,000. A crash is noticed after about one and a half of it,
    /// and idle traffic is inversely proportional to it: about 4 packets an interval for each node, at any cluster
    /// size. Multiplied by 1 + health score while this node is slow.
    pub probe_interval_ms: u32,
    /// Milliseconds a probed member has to answer before helpers are asked, and as long again for their answers; 10
    /// to half of `probe_interval_ms`. The 99.9th percentile of the round trip, with room for a busy device.
    pub probe_timeout_ms: u32,
    /// Members that are asked to probe one that does not answer; 1 to 8. Each of them that gets no answer either may
    /// accuse, so 3 make the quorum of accusers in one interval.
    pub helpers: u8,
    /// The greatest local health score; 0 to 16. 0 turns local health awareness off.
    pub health_max: u8,
    /// Distinct accusers that make a member unreachable; 3 to 8 (G3). With fewer other members than that, only the
    /// coordinator says so.
    pub accusers: u8,
    /// Milliseconds after its start for which this node accuses nobody; 0 to 600,000. Those that have not heard of it
    /// yet do not answer it: as long as its introduction takes to reach everyone, with room.
    pub grace_ms: u32,
    /// Milliseconds a suspected member has to refute when all confirmations are there, for each factor of ten in the
    /// number of members; 10 to 60,000. Several times what a broadcast needs to reach everyone.
    pub suspicion_ms: u32,
    /// How many times longer it has with a single accuser; 1 to 20.
    pub suspicion_factor: u8,
    /// Most milliseconds between rounds of gossip while there is something to tell; 10 to 10,000. Rounds begin close
    /// together and double their distance up to this.
    pub gossip_interval_ms: u32,
    /// Milliseconds that news waits for more news before it is forwarded; 0 to `gossip_interval_ms`. Longer saves
    /// packets, shorter saves as much on every hop of a broadcast.
    pub urgent_delay_ms: u32,
    /// Members told in a round; 1 to 16. Three reach everyone in log4(n) hops.
    pub fanout: u8,
    /// Times the decimal logarithm of the number of members: how often each node sends one statement; 1 to 16. Four
    /// reach everyone with a third of all packets lost, seldom needing anti-entropy.
    pub retransmit: u8,
    /// Packets to one member in one round while much is new; 1 to 32.
    pub burst: u8,
    /// Bytes of a packet that user events get before membership news; 0 to 1,000. Membership has the rest for
    /// itself, and either may use what the other leaves.
    pub event_bytes: u16,
    /// Bytes of gossip a second, apart from probes, that this node sends at most; 10,000 to 100,000,000.
    pub rate_bytes: u32,
    /// Milliseconds between probes of members thought unreachable, one of them at a time; 100 to 600,000. Heals
    /// partitions: after one, each node tries this often.
    pub reconnect_ms: u32,
    /// Milliseconds between attempts to join, doubling up to 16 times as long; 50 to 60,000.
    pub join_retry_ms: u32,
    /// Milliseconds for which the view may differ from a peer's before this node asks the coordinator for what it
    /// missed; 100 to 600,000. Longer than a broadcast takes.
    pub sync_patience_ms: u32,
    /// Least milliseconds between two of those requests, doubling while they do not help, and multiplied by
    /// the number of members in thousands; 100 to 600,000.
    pub sync_min_ms: u32,
    /// Milliseconds after which it asks even when nothing seems to differ; `sync_min_ms` to 86,400,000.
    pub sync_max_ms: u32,
    /// Milliseconds for which a user event is taken; 1,000 to 3,600,000. Who was cut off for longer misses it.
    pub event_ttl_ms: u32,
    /// Milliseconds by which a timer may be late before this node assumes that it was paused; 10 to 10,000.
    pub stall_ms: u32,
    /// The most members, itself included; 2 to 100,000. About 600 bytes each.
    pub max_members: u32,
    /// Whether this is the coordinator, which passes on what it learns by anti-entropy.
    pub hub: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            probe_interval_ms: 1000,
            probe_timeout_ms: 300,
            helpers: 3,
            health_max: 8,
            accusers: MIN_ACCUSERS,
            grace_ms: 5000,
            suspicion_ms: 600,
            suspicion_factor: 6,
            gossip_interval_ms: 200,
            urgent_delay_ms: 10,
            fanout: 3,
            retransmit: 4,
            burst: 8,
            event_bytes: 400,
            rate_bytes: 512 * 1024,
            reconnect_ms: 2000,
            join_retry_ms: 500,
            sync_patience_ms: 1500,
            sync_min_ms: 2000,
            sync_max_ms: 300_000,
            event_ttl_ms: 600_000,
            stall_ms: 250,
            max_members: 20_000,
            hub: false,
        }
    }
}

impl Config {
    /// Checks every bound; the name of the first field that is outside of its own.
    pub fn check(&self) -> Result<(), &'static str> {
        let half = self.probe_interval_ms / 2;
        let bounds = [
            ("probe_interval_ms", self.probe_interval_ms, 100, 60_000),
            ("probe_timeout_ms", self.probe_timeout_ms, 10, half),
            ("helpers", self.helpers.into(), 1, MAX_HELPERS.into()),
            ("health_max", self.health_max.into(), 0, 16),
            (
                "accusers",
                self.accusers.into(),
                MIN_ACCUSERS.into(),
                MAX_HELPERS.into(),
            ),
            ("grace_ms", self.grace_ms, 0, 600_000),
            ("suspicion_ms", self.suspicion_ms, 10, 60_000),
            ("suspicion_factor", self.suspicion_factor.into(), 1, 20),
            ("gossip_interval_ms", self.gossip_interval_ms, 10, 10_000),
            (
                "urgent_delay_ms",
                self.urgent_delay_ms,
                0,
                self.gossip_interval_ms,
            ),
            ("fanout", self.fanout.into(), 1, 16),
            ("retransmit", self.retransmit.into(), 1, 16),
            ("burst", self.burst.into(), 1, 32),
            ("event_bytes", self.event_bytes.into(), 0, 1000),
            ("rate_bytes", self.rate_bytes, 10_000, 100_000_000),
            ("reconnect_ms", self.reconnect_ms, 100, 600_000),
            ("join_retry_ms", self.join_retry_ms, 50, 60_000),
            ("sync_patience_ms", self.sync_patience_ms, 100, 600_000),
            ("sync_min_ms", self.sync_min_ms, 100, 600_000),
            (
                "sync_max_ms",
                self.sync_max_ms,
                self.sync_min_ms,
                86_400_000,
            ),
            ("event_ttl_ms", self.event_ttl_ms, 1000, 3_600_000),
            ("stall_ms", self.stall_ms, 10, 10_000),
            ("max_members", self.max_members, 2, 100_000),
        ];
        let wrong = bounds
            .iter()
            .find(|(_, value, low, high)| value < low || value > high);
        wrong.map_or(Ok(()), |(name, ..)| Err(name))
    }
}
