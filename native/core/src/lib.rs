//! Decisions and formats without I/O, clock or randomness: bytes and a time in, values out.
//!
//! Every parser here reads bytes that a stranger may have sent. It checks a length before it believes it, never
//! panics, and refuses what it would not write itself. The bytes are described in `docs/protocol.md`.
#![forbid(unsafe_code)]

mod base64;
mod bytes;
pub mod claims;
mod crc32;
pub mod deny;
pub mod frame;
pub mod heartbeat;
pub mod keeper;
pub mod lease;
pub mod mesh;
pub mod msgpack;
mod role;
pub mod signature;
pub mod token;
pub mod x509;

/// The 16 bytes of a node's UUID.
pub type Uid = [u8; 16];

/// A failure with a stable slug for programs and a sentence for people.
///
/// Neither ever holds a secret.
pub trait Failure: std::fmt::Display {
    /// The slug, such as `frame-flags`.
    fn kind(&self) -> &'static str;
}
