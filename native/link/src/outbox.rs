//! What Python has queued for one connection and the engine has not written yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use swarmlet_core::frame::{self, FrameError, Kind};

/// The most bytes that wait for one connection.
pub const HIGH_WATER: usize = 256 * 1024;
/// A full connection takes frames again when this many bytes are left.
const LOW_WATER: usize = 64 * 1024;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It is queued; the engine knows that there is something.
    Queued,
    /// It is queued and the engine has to be told.
    Wake,
    /// There is no room; the engine will say when there is.
    Full,
    /// The connection is closing.
    Gone,
}

/// A bounded buffer of encoded frames.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pending: Vec<u8>,
    /// Bytes the engine took and has not written.
    in_flight: usize,
    told: bool,
    blocked: bool,
    closed: bool,
}

impl Outbox {
    /// Appends a frame.
    ///
    /// # Errors
    /// It is no frame a peer would take.
    pub fn push(&self, kind: Kind, stream: u16, payload: &[u8]) -> Result<Push, FrameError> {
        let mut inner = self.lock();
        if inner.closed {
            return Ok(Push::Gone);
        }
        let waiting = inner.pending.len() + inner.in_flight;
        if waiting + frame::HEADER + payload.len() > HIGH_WATER {
            inner.blocked = true;
            return Ok(Push::Full);
        }
        frame::encode(kind, stream, payload, &mut inner.pending)?;
        Ok(if std::mem::replace(&mut inner.told, true) {
            Push::Queued
        } else {
            Push::Wake
        })
    }

    /// Takes all that was appended.
    pub fn take(&self) -> Vec<u8> {
        let mut inner = self.lock();
        inner.told = false;
        let taken = std::mem::take(&mut inner.pending);
        inner.in_flight += taken.len();
        taken
    }

    /// Notes that of all that was taken `left` bytes are not written yet; true when a full box has room again.
    pub fn settle(&self, left: usize) -> bool {
        let mut inner = self.lock();
        inner.in_flight = left;
        let drained = inner.blocked && inner.pending.len() + left <= LOW_WATER;
        inner.blocked &= !drained;
        drained
    }

    /// Takes no more frames; what is there is still to be written.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
