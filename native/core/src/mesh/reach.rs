//! Whether UDP works for this node, in both directions, judged by what came of its own packets. Pure.
//!
//! What arrives proves one direction only. An answer to a probe of its own proves both; that the others keep calling it
//! unreachable while it is well proves that theirs do not get through, as behind a firewall that lets answers in and nobody
//! else. A node that would be accused and refute for ever says that UDP does not reach it, and is left in peace: its
//! connection is where it lives. It tries again later, each time less soon.

use super::Stats;

/// Probes in a row that nobody answered, after which UDP does not work.
const SILENT: u64 = 6;
/// Refutations within [`WINDOW`] after which it does not work either.
const DISPUTED: u64 = 4;
/// Intervals of probing in which refutations are counted.
const WINDOW: u64 = 60;
/// Intervals to keep to it after the first dispute, and at most; each further one doubles them.
const HOLD: u64 = 30;
const MOST_HOLD: u64 = 3600;

/// What has become of this node's packets so far.
#[derive(Clone, Debug)]
pub struct Reach {
    interval_us: u64,
    /// Counters of [`Stats`] when the last probe was answered.
    answered: u64,
    unanswered: u64,
    /// When the window of refutations began, and how many there had been.
    since_us: u64,
    refuted: u64,
    hold: u64,
    until_us: u64,
}

impl Reach {
    /// Begins at `now_us` of the boot clock, for a node that probes every `interval_ms`.
    pub fn new(interval_ms: u32, now_us: u64) -> Self {
        Self {
            interval_us: u64::from(interval_ms) * 1000,
            answered: 0,
            unanswered: 0,
            since_us: now_us,
            refuted: 0,
            hold: HOLD,
            until_us: 0,
        }
    }

    /// Takes what was counted until `now_us`; returns what has to be said of UDP from now on, when that is another thing
    /// than `says`.
    pub fn look(&mut self, stats: &Stats, says: bool, now_us: u64) -> Option<bool> {
        let news = stats.answered > self.answered;
        if news {
            (self.answered, self.unanswered) = (stats.answered, stats.unanswered);
        }
        if !says {
            let works = news && now_us >= self.until_us;
            if works {
                self.begin_window(stats, now_us);
            }
            return works.then_some(true);
        }
        if now_us.saturating_sub(self.since_us) >= WINDOW * self.interval_us {
            self.begin_window(stats, now_us);
            let calm = now_us.saturating_sub(self.until_us) >= MOST_HOLD * self.interval_us;
            self.hold = if calm { HOLD } else { self.hold };
        }
        let silent = stats.unanswered.saturating_sub(self.unanswered) >= SILENT;
        let disputed = stats.refuted.saturating_sub(self.refuted) >= DISPUTED;
        if disputed {
            self.until_us = now_us.saturating_add(self.hold * self.interval_us);
            self.hold = (self.hold * 2).min(MOST_HOLD);
        }
        (silent || disputed).then_some(false)
    }

    fn begin_window(&mut self, stats: &Stats, now_us: u64) {
        self.since_us = now_us;
        self.refuted = stats.refuted;
        self.unanswered = stats.unanswered;
    }
}
