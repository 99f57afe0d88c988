//! Frames: an 8-byte header (payload length u32, kind u8, flags u8, stream u16, big endian) and a payload.
//!
//! The decoder hands out frames that lie in the caller's read buffer without copying them; only a frame that is
//! split between two reads is gathered in a buffer of its own, which grows with the bytes that have really arrived,
//! never with the length that was promised (D3), and is given back when nothing is left in it.

use std::fmt;

use crate::Failure;

/// Bytes of a frame header.
pub const HEADER: usize = 8;
/// The most bytes a payload may have.
pub const MAX_PAYLOAD: usize = 65536;
/// What the decoder may keep allocated between frames.
const KEPT: usize = 1024;

/// What a frame carries. The value is the byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// One msgpack map: `swarmlet/link/messages.py`.
    Control = 1,
    /// A node's reading: [`crate::heartbeat::Heartbeat`].
    Heartbeat = 2,
    /// Its answer: [`crate::heartbeat::HeartbeatAck`].
    HeartbeatAck = 3,
    /// Intervals for a node: [`crate::heartbeat::Lease`].
    Lease = 4,
    /// Raw bytes of a stream.
    Data = 16,
    /// Bytes (u32) the receiver of a stream is ready to take on top of those before.
    Credit = 17,
}

impl Kind {
    /// Returns the kind with this byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Control),
            2 => Some(Self::Heartbeat),
            3 => Some(Self::HeartbeatAck),
            4 => Some(Self::Lease),
            16 => Some(Self::Data),
            17 => Some(Self::Credit),
            _ => None,
        }
    }

    /// Returns the payload length that every frame of this kind has, if they all have the same.
    pub const fn fixed_len(self) -> Option<usize> {
        match self {
            Self::Heartbeat => Some(crate::heartbeat::HEARTBEAT_LEN),
            Self::HeartbeatAck => Some(crate::heartbeat::ACK_LEN),
            Self::Lease => Some(crate::heartbeat::LEASE_LEN),
            Self::Credit => Some(4),
            Self::Control | Self::Data => None,
        }
    }

    /// Says whether frames of this kind belong to a numbered stream; all others have stream 0.
    pub const fn is_streamed(self) -> bool {
        matches!(self, Self::Data | Self::Credit)
    }
}

/// A frame that was decoded; the payload lies in the read buffer or in the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: Kind,
    /// The stream it belongs to; 0 unless [`Kind::is_streamed`].
    pub stream: u16,
    /// The payload, of the right length for its kind.
    pub payload: &'a [u8],
}

/// Why bytes are no frame. The connection they came on cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The payload is, or claims to be, longer than [`MAX_PAYLOAD`].
    TooLarge(u64),
    /// There is no kind with this byte.
    Kind(u8),
    /// Flags are reserved and must be 0.
    Flags(u8),
    /// The payload length is not that of its kind, or its kind may not have this stream.
    Shape(Kind, u16, usize),
}

impl Failure for FrameError {
    fn kind(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "frame-too-large",
            Self::Kind(_) => "frame-kind",
            Self::Flags(_) => "frame-flags",
            Self::Shape(..) => "frame-shape",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(length) => {
                write!(
                    out,
                    "a payload of {length} bytes is over the limit of {MAX_PAYLOAD}"
                )
            }
            Self::Kind(byte) => write!(out, "there is no frame kind {byte}"),
            Self::Flags(byte) => write!(out, "the reserved flags are {byte:#04x}, not 0"),
            Self::Shape(kind, stream, length) => {
                write!(
                    out,
                    "a frame of kind {kind:?} cannot have {length} bytes on stream {stream}"
                )
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// A header whose every field was checked.
#[derive(Clone, Copy)]
struct Header {
    kind: Kind,
    stream: u16,
    length: usize,
}

impl Header {
    fn check(kind: Kind, stream: u16, length: usize) -> Result<Self, FrameError> {
        if length > MAX_PAYLOAD {
            return Err(FrameError::TooLarge(length as u64));
        }
        let fits = kind.fixed_len().is_none_or(|fixed| fixed == length);
        if !fits || kind.is_streamed() != (stream != 0) {
            return Err(FrameError::Shape(kind, stream, length));
        }
        Ok(Self {
            kind,
            stream,
            length,
        })
    }

    #[inline]
    fn parse(bytes: &[u8; HEADER]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, kind, flags, s0, s1] = *bytes;
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length as usize > MAX_PAYLOAD {
            return Err(FrameError::TooLarge(u64::from(length)));
        }
        let known = Kind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        if flags != 0 {
            return Err(FrameError::Flags(flags));
        }
        Self::check(known, u16::from_be_bytes([s0, s1]), length as usize)
    }

    fn frame<'a>(self, payload: &'a [u8]) -> Frame<'a> {
        Frame {
            kind: self.kind,
            stream: self.stream,
            payload,
        }
    }
}

/// Appends one frame to `out`.
///
/// # Errors
/// What a decoder would refuse; `out` is then unchanged.
pub fn encode(
    kind: Kind,
    stream: u16,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let header = Header::check(kind, stream, payload.len())?;
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&(header.length as u32).to_be_bytes());
    out.extend_from_slice(&[kind as u8, 0]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// An incremental decoder of one direction of one connection.
///
/// ```
/// # use swarmlet_core::frame::{encode, Decoder, Kind};
/// let mut wire = Vec::new();
/// encode(Kind::Data, 7, b"hello", &mut wire)?;
/// let mut decoder = Decoder::default();
/// let mut input = wire.as_slice();
/// while let Some(frame) = decoder.next(&mut input)? {
///     assert_eq!(frame.payload, b"hello");
/// }
/// # Ok::<(), swarmlet_core::frame::FrameError>(())
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame that is not complete yet, header included.
    partial: Vec<u8>,
    /// `partial` was handed out as a frame and is to be emptied by the next call.
    handed_out: bool,
}

impl Decoder {
    /// Returns the next frame of `input`, moving `input` past what was used.
    ///
    /// `None` means that all of `input` was used and the next frame is not complete; call again with the bytes
    /// that follow. After an error the decoder must not be used again.
    ///
    /// # Errors
    /// The header breaks a rule; its payload was neither awaited nor kept.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'s>>, FrameError> {
        if self.handed_out {
            self.handed_out = false;
            self.partial.clear();
        }
        if !self.partial.is_empty() {
            return self.resume(input);
        }
        if let Some((head, rest)) = input.split_first_chunk::<HEADER>() {
            let header = Header::parse(head)?;
            if let Some((payload, after)) = rest.split_at_checked(header.length) {
                *input = after;
                return Ok(Some(header.frame(payload)));
            }
        }
        self.keep(input);
        Ok(None)
    }

    /// Says whether the input so far ends between two frames; a connection that closes elsewhere was cut.
    pub fn is_at_boundary(&self) -> bool {
        self.handed_out || self.partial.is_empty()
    }

    /// Returns how many bytes the decoder holds allocated.
    pub fn allocated(&self) -> usize {
        self.partial.capacity()
    }

    /// Keeps what is left of the input, which is less than one frame.
    #[cold]
    fn keep(&mut self, input: &mut &[u8]) {
        if input.is_empty() && self.partial.capacity() > KEPT {
            self.partial = Vec::new();
        }
        self.partial.extend_from_slice(input);
        *input = &[];
    }

    /// Goes on with a frame of which some bytes came with an earlier input.
    #[cold]
    fn resume(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
        if !self.fill(HEADER, input) {
            return Ok(None);
        }
        let Some(head) = self.partial.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let header = Header::parse(head)?;
        if !self.fill(HEADER + header.length, input) {
            return Ok(None);
        }
        self.handed_out = true;
        Ok(self
            .partial
            .get(HEADER..)
            .map(|payload| header.frame(payload)))
    }

    /// Moves bytes from `input` until `partial` has `wanted` of them; says whether it has.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let missing = wanted.saturating_sub(self.partial.len());
        let (used, rest) = input.split_at_checked(missing).unwrap_or((input, &[]));
        self.partial.extend_from_slice(used);
        *input = rest;
        self.partial.len() >= wanted
    }
}
