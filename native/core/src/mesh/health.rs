//! How well this node itself does, and how long a suspected member has: the arithmetic of Lifeguard (Dadgar and
//! others, 2018), with two additions: a clock that stands still while the process does, and a limit on news.

use super::config::Config;

/// Microseconds in a millisecond.
pub(super) const MS: u64 = 1000;

/// The time by which timers run: it leaves out the time for which this process was paused.
///
/// A node that wakes up has heard nothing for a while, and would blame everybody else for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    last: u64,
    lost: u64,
    promised: Option<u64>,
}

impl Clock {
    /// Takes the boot-clock time; returns the running time and whether this node was paused.
    pub fn advance(&mut self, mono_us: u64, stall_ms: u32) -> (u64, bool) {
        let now = mono_us.max(self.last);
        self.last = now;
        let latest = self
            .promised
            .map(|at| at.saturating_add(u64::from(stall_ms) * MS));
        let stalled = latest.filter(|latest| now > *latest);
        if let Some(latest) = stalled {
            self.lost += now - latest;
            self.promised = Some(now);
        }
        (now - self.lost, stalled.is_some())
    }

    /// Notes when the owner will call again, and returns it in boot-clock time.
    pub fn promise(&mut self, running: u64) -> u64 {
        let at = running.saturating_add(self.lost);
        self.promised = Some(at);
        at
    }
}

/// The local health score: 0 is well; each step makes this node slower to judge others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health(u8);

impl Health {
    pub fn worse(&mut self, by: u8, config: &Config) {
        self.0 = self.0.saturating_add(by).min(config.health_max);
    }

    pub fn better(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    pub fn score(self) -> u8 {
        self.0
    }

    /// Stretches a duration by 1 + score.
    pub fn stretch(self, duration: u64) -> u64 {
        duration.saturating_mul(u64::from(self.0) + 1)
    }

    /// Says whether this node does well enough to accuse at the request of another.
    pub fn may_second(self, config: &Config) -> bool {
        self.0 <= config.health_max / 2
    }
}

/// How long a member stays suspected, in microseconds, with so many members and distinct accusers.
///
/// With one accuser `suspicion_factor` times the least; each further one shortens it by a logarithmic step, down to
/// the least when there is one more than the quorum.
pub fn suspicion_us(config: &Config, members: usize, accusers: usize) -> u64 {
    let tens = ((members + 1) as f64).log10().max(1.0);
    let least = f64::from(config.suspicion_ms) * tens;
    let most = least * f64::from(config.suspicion_factor);
    let enough = f64::from(config.accusers) + 1.0;
    let share = ((accusers.max(1) as f64).ln() / enough.ln()).min(1.0);
    ((most - (most - least) * share) * MS as f64) as u64
}

/// How often one statement is sent: `retransmit` times the decimal logarithm of the number of members, rounded up. A
/// small cluster counts as one of 100: with few senders, chance weighs more.
pub fn transmit_limit(config: &Config, members: usize) -> usize {
    let tens = ((members + 1) as f64).log10().max(2.0);
    (f64::from(config.retransmit) * tens).ceil() as usize
}

/// A limit on how often something may happen, with room for a burst; one number (a leaky bucket as a meter).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit(u64);

impl Limit {
    /// Says whether it may happen now, and counts it when it may.
    pub fn allow(&mut self, now: u64, period: u64, burst: u64) -> bool {
        self.spend(now, period, period * burst)
    }

    /// As [`Limit::allow`], for a cost in microseconds and as much of it as may be owed.
    pub fn spend(&mut self, now: u64, cost: u64, credit: u64) -> bool {
        let owed = self.0.max(now);
        let allowed = owed + cost <= now.saturating_add(credit);
        if allowed {
            self.0 = owed + cost;
        }
        allowed
    }
}

/// Smooths round trips: an eighth of each new one.
pub(super) fn smooth_rtt(known_us: u32, sample_us: u64) -> u32 {
    let sample = sample_us.min(60_000_000);
    let mixed = match u64::from(known_us) {
        0 => sample.max(1),
        known => (known * 7 + sample) / 8,
    };
    u32::try_from(mixed).unwrap_or(u32::MAX)
}
