//! Bytes in place: a buffer with a capacity known when it was compiled, so that the hot path allocates nothing.

/// At most `N` bytes.
#[derive(Clone, Copy)]
pub(super) struct Buf<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Default for Buf<N> {
    fn default() -> Self {
        Self {
            len: 0,
            bytes: [0; N],
        }
    }
}

impl<const N: usize> Buf<N> {
    /// Copies a slice; `None` when it does not fit.
    pub fn copy(from: &[u8]) -> Option<Self> {
        let mut made = Self::default();
        made.push(&[from]).then_some(made)
    }

    /// Adds all parts, or nothing when they do not fit; says which.
    pub fn push(&mut self, parts: &[&[u8]]) -> bool {
        let more: usize = parts.iter().map(|part| part.len()).sum();
        if more > self.room() {
            return false;
        }
        for part in parts {
            if let Some(place) = self.bytes.get_mut(self.len..self.len + part.len()) {
                place.copy_from_slice(part);
                self.len += part.len();
            }
        }
        true
    }

    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub fn room(&self) -> usize {
        N - self.len
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }
}
