//! Checks the shape of one msgpack value before any other decoder sees it (D3).
//!
//! Every count is compared with the bytes that are really there, so that what a decoder allocates for it is bounded
//! by what was sent. Nothing here is allocated and nothing recurses. Texts are UTF-8: the decoder behind this would
//! raise an exception of another family than for everything else that can be wrong.

use std::fmt;

use crate::bytes::Reader;
use crate::Failure;

/// How deep arrays and maps may be nested.
pub const MAX_DEPTH: usize = 16;
/// How many values there may be, containers and keys included.
pub const MAX_ITEMS: usize = 16384;

/// Why bytes are not a value we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsgpackError {
    /// Nested deeper than [`MAX_DEPTH`].
    Depth,
    /// More than [`MAX_ITEMS`] values.
    Items,
    /// A length or count asks for more bytes than there are.
    Truncated,
    /// An extension type or the byte that is never used.
    Type(u8),
    /// A text is not UTF-8.
    Text,
    /// Bytes are left after the value.
    Trailing(usize),
}

impl Failure for MsgpackError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Depth => "msgpack-depth",
            Self::Items => "msgpack-items",
            Self::Truncated => "msgpack-truncated",
            Self::Type(_) => "msgpack-type",
            Self::Text => "msgpack-text",
            Self::Trailing(_) => "msgpack-trailing",
        }
    }
}

impl fmt::Display for MsgpackError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Depth => write!(out, "values are nested deeper than {MAX_DEPTH}"),
            Self::Items => write!(out, "there are more than {MAX_ITEMS} values"),
            Self::Truncated => write!(out, "a length is greater than the bytes that are there"),
            Self::Type(byte) => write!(out, "the type byte {byte:#04x} is not used here"),
            Self::Text => write!(out, "a text is not UTF-8"),
            Self::Trailing(count) => write!(out, "{count} bytes follow the value"),
        }
    }
}

impl std::error::Error for MsgpackError {}

/// What a type byte says follows.
enum Head {
    /// This many bytes that hold no values.
    Skip(usize),
    /// This many bytes of text.
    Text(usize),
    /// This many values.
    Values(usize),
}

/// Checks that `payload` is exactly one value within the limits.
///
/// # Errors
/// The first rule it breaks.
pub fn check(payload: &[u8]) -> Result<(), MsgpackError> {
    let mut from = Reader(payload);
    // How many values are still to come in each open container.
    let mut open = [0usize; MAX_DEPTH];
    let mut depth = 0;
    for _ in 0..MAX_ITEMS {
        match read_head(&mut from)? {
            Head::Skip(count) => {
                from.take(count).ok_or(MsgpackError::Truncated)?;
            }
            Head::Text(count) => {
                let text = from.take(count).ok_or(MsgpackError::Truncated)?;
                std::str::from_utf8(text).map_err(|_| MsgpackError::Text)?;
            }
            Head::Values(count) => {
                if count > from.0.len() {
                    return Err(MsgpackError::Truncated);
                }
                *open.get_mut(depth).ok_or(MsgpackError::Depth)? = count;
                depth += 1;
            }
        }
        depth = close(&mut open, depth);
        if depth == 0 {
            return match from.0.len() {
                0 => Ok(()),
                left => Err(MsgpackError::Trailing(left)),
            };
        }
    }
    Err(MsgpackError::Items)
}

/// Leaves every container that has no value to come, and counts the next value of the one around them.
fn close(open: &mut [usize; MAX_DEPTH], mut depth: usize) -> usize {
    while let Some(left) = depth.checked_sub(1).and_then(|at| open.get_mut(at)) {
        if *left > 0 {
            *left -= 1;
            return depth;
        }
        depth -= 1;
    }
    0
}

/// Reads a type byte and the length after it.
fn read_head(from: &mut Reader<'_>) -> Result<Head, MsgpackError> {
    let byte = from.u8().ok_or(MsgpackError::Truncated)?;
    let low = |mask: u8| usize::from(byte & mask);
    let head = match byte {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Some(Head::Skip(0)),
        0x80..=0x8f => Some(Head::Values(2 * low(0x0f))),
        0x90..=0x9f => Some(Head::Values(low(0x0f))),
        0xa0..=0xbf => Some(Head::Text(low(0x1f))),
        0xc4 => from.u8().map(|count| Head::Skip(count.into())),
        0xc5 => from.u16().map(|count| Head::Skip(count.into())),
        0xc6 => from.u32().map(|count| Head::Skip(count as usize)),
        0xd9 => from.u8().map(|count| Head::Text(count.into())),
        0xda => from.u16().map(|count| Head::Text(count.into())),
        0xdb => from.u32().map(|count| Head::Text(count as usize)),
        0xcc | 0xd0 => Some(Head::Skip(1)),
        0xcd | 0xd1 => Some(Head::Skip(2)),
        0xca | 0xce | 0xd2 => Some(Head::Skip(4)),
        0xcb | 0xcf | 0xd3 => Some(Head::Skip(8)),
        0xdc => from.u16().map(|count| Head::Values(count.into())),
        0xdd => from.u32().map(|count| Head::Values(count as usize)),
        0xde => from.u16().map(|count| Head::Values(2 * usize::from(count))),
        0xdf => from
            .u32()
            .map(|count| Head::Values((count as usize).saturating_mul(2))),
        0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(MsgpackError::Type(byte)),
    };
    head.ok_or(MsgpackError::Truncated)
}
