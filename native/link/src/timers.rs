//! When to look at which connection again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use swarmlet_core::lease::Millis;

/// A heap of times. An entry that was overtaken by an earlier one stays until its time and is then ignored by
/// whoever set it, which is cheaper than finding it.
#[derive(Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<(Millis, usize, u64)>>);

impl Timers {
    /// Adds a time for connection `conn` in `slot`.
    pub fn add(&mut self, at: Millis, slot: usize, conn: u64) {
        self.0.push(Reverse((at, slot, conn)));
    }

    /// Takes one entry whose time has come.
    pub fn pop(&mut self, now: Millis) -> Option<(Millis, usize, u64)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }

    /// Returns the earliest time.
    pub fn next(&self) -> Option<Millis> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }
}
