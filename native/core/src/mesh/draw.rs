//! Small helpers of the table: a few slots drawn at random, and hashing by identifier.

use std::hash::{BuildHasher, Hasher};

use super::rng::mix;
use super::table::Slot;

/// A few different slots.
pub(super) struct Drawn<const N: usize> {
    slots: [Slot; N],
    len: usize,
}

impl<const N: usize> Default for Drawn<N> {
    fn default() -> Self {
        Self {
            slots: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Drawn<N> {
    pub fn add(&mut self, slot: Slot, limit: usize, except: Option<Slot>) {
        let full = self.len >= limit || Some(slot) == except || self.as_slice().contains(&slot);
        if let Some(place) = self.slots.get_mut(self.len).filter(|_| !full) {
            *place = slot;
            self.len += 1;
        }
    }

    pub fn as_slice(&self) -> &[Slot] {
        self.slots.get(..self.len).unwrap_or_default()
    }
}

/// Hashes identifiers with a seed. They are random already, and chosen by the coordinator alone.
#[derive(Clone)]
pub(super) struct Seeded(pub u64);

impl BuildHasher for Seeded {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(self.0)
    }
}

/// The state of [`Seeded`].
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            self.0 = mix(self.0 ^ u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
