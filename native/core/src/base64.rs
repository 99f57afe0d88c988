//! Base64 with the URL alphabet and no padding (RFC 4648, section 5), strict.
//!
//! Digits are computed, not looked up: a table would leave traces of a seed in the cache.

/// Returns how many characters `count` bytes become.
pub(crate) const fn encoded_len(count: usize) -> usize {
    count.div_ceil(3) * 4 - (3 - count % 3) % 3
}

/// Appends the characters of `bytes` to `out`.
pub(crate) fn encode(bytes: &[u8], out: &mut String) {
    for chunk in bytes.chunks(3) {
        let word = [0, 1, 2].iter().fold(0u32, |word, at| {
            word << 8 | u32::from(chunk.get(*at).copied().unwrap_or(0))
        });
        let digits =
            [word >> 18, word >> 12, word >> 6, word].map(|digit| to_char((digit & 63) as u8));
        out.extend(
            digits
                .iter()
                .take(chunk.len() + 1)
                .map(|digit| char::from(*digit)),
        );
    }
}

/// Appends the bytes that `text` stands for to `out`, which must have room, so that it never moves.
///
/// `None` when a character is not of the alphabet, when the length is one that no bytes have, or when bits that
/// no byte needs are not zero: each sequence of bytes has exactly one text.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bad = 0u8;
    for chunk in text.chunks(4) {
        let mut word = 0u32;
        for at in 0..4 {
            let digit = chunk.get(at).map_or(0, |character| from_char(*character));
            bad |= digit;
            word = word << 6 | u32::from(digit & 63);
        }
        let [_, first, second, third] = word.to_be_bytes();
        let (used, spare) = match chunk.len() {
            4 => (3, 0),
            3 => (2, third),
            2 => (1, second | third),
            _ => return None,
        };
        bad |= u8::from(spare != 0) << 7;
        out.extend([first, second, third].iter().take(used));
    }
    (bad & 0x80 == 0).then_some(())
}

/// All ones when `low <= value <= high`, else 0; the arguments are below 256.
fn mask(value: u8, low: u8, high: u8) -> i16 {
    let (value, low, high) = (i16::from(value), i16::from(low), i16::from(high));
    !((value - low) >> 15) & !((high - value) >> 15)
}

fn to_char(digit: u8) -> u8 {
    let shift = mask(digit, 0, 25) & 65
        | mask(digit, 26, 51) & 71
        | mask(digit, 52, 61) & -4
        | mask(digit, 62, 62) & -17
        | mask(digit, 63, 63) & 32;
    (i16::from(digit) + shift) as u8
}

/// Returns the digit, or a value with the highest bit set when the character is none.
fn from_char(character: u8) -> u8 {
    let upper = mask(character, b'A', b'Z');
    let lower = mask(character, b'a', b'z');
    let number = mask(character, b'0', b'9');
    let dash = mask(character, b'-', b'-');
    let line = mask(character, b'_', b'_');
    let shift = upper & -65 | lower & -71 | number & 4 | dash & 17 | line & -32;
    let digit = (i16::from(character) + shift) & 63;
    let valid = upper | lower | number | dash | line;
    (digit | (!valid & 0x80)) as u8
}

#[cfg(test)]
mod tests;
