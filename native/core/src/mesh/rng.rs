//! Pseudo-random choices from a seed (SplitMix64): which peer, which order. Nothing secret is drawn from it.

/// A generator whose every draw follows from its seed.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Draws a number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Draws a duration between three quarters and five quarters of `middle`, so that nodes do not march in step.
    pub fn about(&mut self, middle: u64) -> u64 {
        middle - middle / 4 + self.below((middle / 2) as usize + 1) as u64
    }
}

/// Spreads every bit of the input over the output.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
