//! The newest user events, for who missed them: the same set at all nodes that heard the same events.

use sha2::{Digest, Sha256};

use super::statement::{split, UserEvent};
use crate::Uid;

/// How many are kept.
pub(super) const KEPT: usize = 64;

struct Kept {
    at_ms: u64,
    origin: Uid,
    number: u64,
    hash: u64,
    whole: Box<[u8]>,
}

/// Events ordered by when they were made.
#[derive(Default)]
pub(super) struct Log {
    kept: Vec<Kept>,
    hash: u64,
}

impl Log {
    /// Keeps an event; the oldest goes when there are too many.
    pub fn keep(&mut self, event: &UserEvent<'_>, whole: &[u8]) {
        let hash = fingerprint(whole);
        let kept = Kept {
            at_ms: event.at_ms,
            origin: event.origin,
            number: event.number,
            hash,
            whole: whole.into(),
        };
        let order = |kept: &Kept| (kept.at_ms, kept.origin, kept.number);
        let at = self
            .kept
            .partition_point(|other| order(other) < order(&kept));
        if at == 0 && self.kept.len() >= KEPT {
            return;
        }
        self.kept.insert(at, kept);
        self.hash = self.hash.wrapping_add(hash);
        if self.kept.len() > KEPT {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let old = self.kept.remove(0);
        self.hash = self.hash.wrapping_sub(old.hash);
    }

    /// Forgets what was made before `since_ms`.
    pub fn expire(&mut self, since_ms: u64) {
        while self.kept.first().is_some_and(|old| old.at_ms < since_ms) {
            self.drop_oldest();
        }
    }

    /// Returns an event with its signature.
    pub fn get(&self, origin: &Uid, number: u64) -> Option<&[u8]> {
        let mut newest_first = self.kept.iter().rev();
        newest_first
            .find(|kept| kept.number == number && kept.origin == *origin)
            .map(|kept| &*kept.whole)
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().map(|kept| &*kept.whole)
    }

    /// Returns a hash of all that is kept, in whichever order it came.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// Returns 8 bytes of the SHA-256 of what is signed in a statement; never 0, which stands for none.
pub(super) fn fingerprint(whole: &[u8]) -> u64 {
    let body = split(whole).map_or(whole, |(body, _)| body);
    let hash: [u8; 32] = Sha256::digest(body).into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}
