//! The replay window of one sender (G2): each number is taken once, and only near the greatest one.

/// How many numbers are remembered.
pub const WINDOW: u64 = 1024;
const WORDS: usize = 16;

/// Numbers taken, of the last [`WINDOW`] up to the greatest.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// One more than the greatest; 0 when none was taken.
    next: u64,
    words: [u64; WORDS],
}

impl Window {
    /// Says whether a number is new and not too old. Changes nothing: the packet may turn out to be forged.
    pub fn is_fresh(&self, number: u64) -> bool {
        if number >= self.next {
            return number < u64::MAX;
        }
        let (word, bit) = place(number);
        let near = self.next - number <= WINDOW;
        near && self.words.get(word).is_some_and(|seen| seen & bit == 0)
    }

    /// Takes a number that was fresh.
    pub fn take(&mut self, number: u64) {
        if number >= self.next {
            let ahead = (number - self.next).min(WINDOW);
            // Numbers that were never seen on the way there share their places with ones that are too old now.
            for skipped in (0..=ahead).map(|back| number - back) {
                self.set(skipped, false);
            }
            self.next = number.saturating_add(1);
        }
        self.set(number, true);
    }

    fn set(&mut self, number: u64, taken: bool) {
        let (word, bit) = place(number);
        if let Some(seen) = self.words.get_mut(word) {
            *seen = if taken { *seen | bit } else { *seen & !bit };
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let at = number % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}
