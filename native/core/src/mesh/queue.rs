//! Statements waiting to be told: those told least often first, each a number of times that grows with log n.

use std::collections::VecDeque;

use super::table::Slot;
use super::wire::Payload;
use crate::Uid;

/// What is to be told. The bytes are where they are kept; what was replaced there meanwhile is not told any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Keys and record of a member, in this version of it.
    Introduction(Slot, u32),
    /// The record of a member, in this version of it.
    Record(Slot, u32),
    /// One of the accusations of a member, in this version of it.
    Accusation(Slot, u32, Uid),
    /// That a member is down, in this version of it.
    Down(Slot, u32),
    /// That a member is none any more.
    Tombstone(Uid),
    /// A user event.
    Event(Uid, u64),
}

/// What became of an item that was to be written into a packet.
pub(super) enum Written {
    Yes,
    NoRoom,
    Stale,
}

/// Items by how often they were told.
pub(super) struct Queue {
    levels: Vec<VecDeque<Item>>,
    told: Vec<(usize, Item)>,
    len: usize,
    capacity: usize,
}

/// The most levels: 16 times log10 of the most members.
const LEVELS: usize = 81;
/// How many items of one level may not fit before the next level is tried.
const MISSES: usize = 3;

impl Queue {
    pub fn new(capacity: usize) -> Self {
        Self {
            levels: vec![VecDeque::new(); LEVELS],
            told: Vec::with_capacity(64),
            len: 0,
            capacity,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds an item, first of all others when it is `pressing`. When full, what was told most often is dropped.
    pub fn push(&mut self, item: Item, pressing: bool) {
        if self.len >= self.capacity {
            let fullest = self.levels.iter_mut().rev().find(|level| !level.is_empty());
            if fullest.and_then(VecDeque::pop_front).is_some() {
                self.len -= 1;
            }
        }
        if let Some(level) = self.levels.first_mut() {
            if pressing {
                level.push_front(item);
            } else {
                level.push_back(item);
            }
            self.len += 1;
        }
    }

    /// Writes as much as fits into `out`, up to `size` bytes of it, and counts it as told; what was told `limit` times
    /// is dropped.
    pub fn pack(
        &mut self,
        out: &mut Payload,
        size: usize,
        limit: usize,
        mut write: impl FnMut(&Item, &mut Payload, usize) -> Written,
    ) {
        let levels = limit.clamp(1, LEVELS);
        for (times, level) in self.levels.iter_mut().enumerate() {
            let mut misses = 0;
            for _ in 0..level.len() {
                if misses == MISSES {
                    break;
                }
                let Some(item) = level.pop_front() else {
                    break;
                };
                match write(&item, out, size) {
                    Written::Yes => {
                        self.len -= 1;
                        self.told.push((times + 1, item));
                    }
                    Written::NoRoom => {
                        misses += 1;
                        level.push_back(item);
                    }
                    Written::Stale => self.len -= 1,
                }
            }
        }
        while let Some((times, item)) = self.told.pop() {
            if let Some(level) = self.levels.get_mut(times).filter(|_| times < levels) {
                level.push_back(item);
                self.len += 1;
            }
        }
    }
}
