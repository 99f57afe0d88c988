//! One connection: socket, TLS, frames to write. It knows how to move bytes, not what follows from them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::Connection;
use swarmlet_core::frame::{self, Decoder, Kind};
use swarmlet_core::lease::Millis;
use swarmlet_core::Uid;

use crate::ending::{Ending, FirstBytes};
use crate::event::Event;
use crate::limits::{URGENT_BYTES, WRITE_BATCH};
use crate::outbox::Outbox;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// TCP is being connected.
    Connecting,
    /// TLS is being set up.
    Handshaking,
    /// Frames flow.
    Open,
    /// Nothing is read any more; what is queued still leaves.
    Closing,
    /// Both are done, and CLOSED was told; the peer may hang up.
    Lingering,
}

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It came to a listener.
    Server {
        /// The listener's id.
        listener: u32,
        /// The time its handshake, and then its first frame, may take.
        patience: Millis,
    },
    /// We began it.
    Client {
        /// The time the handshake may take.
        patience: Millis,
    },
}

/// What is left to write after a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing.
    All,
    /// The socket takes no more for now.
    Blocked,
}

pub(crate) struct Conn {
    pub id: u64,
    pub slot: usize,
    pub socket: TcpStream,
    pub address: SocketAddr,
    pub side: Side,
    pub tls: Connection,
    pub decoder: Decoder,
    pub outbox: Arc<Outbox>,
    pub phase: Phase,
    /// When the phase has lasted too long; in `Open` see [`Conn::deadline`].
    pub phase_ends: Millis,
    /// When an unproven connection ends, whatever it does.
    pub life_ends: Option<Millis>,
    /// Longest silence between frames; `None` while there is no lease.
    pub idle_ms: Option<Millis>,
    pub last_frame: Millis,
    /// Payload bytes received while unproven.
    pub unproven_payload: usize,
    /// The node that speaks here (server), or as which we speak (client).
    pub node: Option<Uid>,
    /// Whether the node was admitted, or we were given a lease.
    pub admitted: bool,
    /// Serial number of the peer's certificate.
    pub serial: Option<Box<[u8]>>,
    pub first: FirstBytes,
    /// Events that found no room, oldest first.
    pub held: VecDeque<Event>,
    /// Whether OPENED was told or is held.
    pub announced: bool,
    /// Whether reading stopped because of `held`.
    pub stalled: bool,
    /// The socket may have bytes that were not read yet.
    pub readable: bool,
    /// The peer will send no more: read to the end.
    pub read_closed: bool,
    /// It waits in the list of connections to go on with.
    pub queued: bool,
    /// The reason to tell once `Closing` is done.
    pub ending: Option<Ending>,
    /// The time of its one live timer.
    pub timer: Option<Millis>,
    urgent: Vec<u8>,
    outgoing: Vec<u8>,
    written: usize,
}

impl Conn {
    pub fn new(
        id: u64,
        slot: usize,
        socket: TcpStream,
        address: SocketAddr,
        side: Side,
        mut tls: Connection,
        outbox: Arc<Outbox>,
    ) -> Self {
        // Our own bounds are tighter than this one, and a write must never be cut in two by it.
        tls.set_buffer_limit(None);
        Self {
            id,
            slot,
            socket,
            address,
            side,
            tls,
            decoder: Decoder::default(),
            outbox,
            phase: Phase::Connecting,
            phase_ends: 0,
            life_ends: None,
            idle_ms: None,
            last_frame: 0,
            unproven_payload: 0,
            node: None,
            admitted: false,
            serial: None,
            first: FirstBytes::default(),
            held: VecDeque::new(),
            announced: false,
            stalled: false,
            readable: false,
            read_closed: false,
            queued: false,
            ending: None,
            timer: None,
            urgent: Vec::new(),
            outgoing: Vec::new(),
            written: 0,
        }
    }

    pub fn is_server(&self) -> bool {
        matches!(self.side, Side::Server { .. })
    }

    /// Says whether no node was admitted on this inbound connection.
    pub fn is_unproven(&self) -> bool {
        self.is_server() && !self.admitted
    }

    /// Returns when to look at it again, if nothing happens before.
    pub fn deadline(&self) -> Option<Millis> {
        let phase =
            (self.phase != Phase::Open || self.awaits_first_frame()).then_some(self.phase_ends);
        let idle = self.idle_ms.map(|idle| self.last_frame + idle);
        [phase, self.life_ends, idle].into_iter().flatten().min()
    }

    /// Says whether a peer that came to us has not said anything yet.
    pub fn awaits_first_frame(&self) -> bool {
        self.is_unproven() && self.phase == Phase::Open && self.last_frame == 0
    }

    /// Queues a frame ahead of everything that waits; false when the peer does not read.
    pub fn push_urgent(&mut self, kind: Kind, payload: &[u8]) -> bool {
        self.urgent.len() < URGENT_BYTES
            && frame::encode(kind, 0, payload, &mut self.urgent).is_ok()
    }

    /// Writes as much as the socket takes; adds what was written to `bytes`.
    pub fn flush(&mut self, bytes: &mut u64) -> io::Result<Flushed> {
        loop {
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut self.socket) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => *bytes += count as u64,
                    Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Flushed::Blocked)
                    }
                    Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                    Err(cause) => return Err(cause),
                }
            }
            if !matches!(self.phase, Phase::Open | Phase::Closing) || !self.encrypt()? {
                return Ok(Flushed::All);
            }
        }
    }

    /// Returns how many bytes were taken from the outbox and did not leave.
    pub fn unwritten(&self) -> usize {
        self.outgoing.len() - self.written
    }

    /// Hands TLS the next frames; false when there are none.
    fn encrypt(&mut self) -> io::Result<bool> {
        if !self.urgent.is_empty() {
            self.tls.writer().write_all(&self.urgent)?;
            self.urgent.clear();
            return Ok(true);
        }
        if self.written == self.outgoing.len() {
            self.outgoing = self.outbox.take();
            self.written = 0;
        }
        let waiting = self.outgoing.get(self.written..).unwrap_or_default();
        let Some(batch) = waiting
            .get(..whole_frames(waiting))
            .filter(|batch| !batch.is_empty())
        else {
            return Ok(false);
        };
        self.tls.writer().write_all(batch)?;
        self.written += batch.len();
        if self.written == self.outgoing.len() {
            self.outgoing = Vec::new();
            self.written = 0;
        }
        Ok(true)
    }
}

/// Returns the length of the first whole frames of `bytes` that make up a batch: an urgent frame goes between two
/// frames, never into one.
pub(crate) fn whole_frames(bytes: &[u8]) -> usize {
    let mut end = 0;
    while end < WRITE_BATCH {
        let Some(length) = bytes.get(end..).and_then(<[u8]>::first_chunk::<4>) else {
            break;
        };
        end += frame::HEADER + u32::from_be_bytes(*length) as usize;
    }
    end.min(bytes.len())
}
