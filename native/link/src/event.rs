//! What the engine tells, and the bounded queue in which it waits for Python.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{eventfd, EventfdFlags};
use swarmlet_core::frame::Kind;
use swarmlet_core::lease::Millis;
use swarmlet_core::Uid;

/// The most payload bytes that wait for Python, whatever the number of events.
const MAX_BYTES: usize = 32 << 20;

/// Who proved to be at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node, or `None` for a coordinator.
    pub node: Option<Uid>,
    /// Serial number of its certificate, without leading zero bytes.
    pub serial: Vec<u8>,
    /// When its certificate ends, in Unix milliseconds.
    pub not_after_ms: i64,
    /// Whether it had ended at the handshake.
    pub expired: bool,
}

/// One thing that happened. `conn` is never 0 unless said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A handshake succeeded.
    Opened {
        /// The connection.
        conn: u64,
        /// The address it is seen at.
        address: SocketAddr,
        /// Keying material that both ends, and nobody else, have.
        exporter: [u8; 32],
        /// Who it is, when it showed a certificate.
        peer: Option<Box<Peer>>,
        /// The listener it came to; 0 when it is outbound.
        listener: u32,
    },
    /// A frame that is Python's to read.
    Frame {
        /// The connection.
        conn: u64,
        /// What it carries.
        kind: Kind,
        /// Its stream.
        stream: u16,
        /// Its payload.
        payload: Box<[u8]>,
    },
    /// A connection ended.
    Closed {
        /// The connection.
        conn: u64,
        /// A stable word.
        reason: Cow<'static, str>,
        /// A sentence for a person.
        detail: String,
    },
    /// A connection whose buffer was full takes frames again.
    Drained {
        /// The connection.
        conn: u64,
    },
    /// The standing of a node changed, or (`uid` is `None`) of this one.
    Lease {
        /// The connection that speaks for it, or 0.
        conn: u64,
        /// The node.
        uid: Option<Uid>,
        /// The new standing.
        state: &'static str,
        /// Milliseconds since it was last heard.
        age_ms: Millis,
    },
    /// The mesh tells something of a member, or of this one.
    Gossip {
        /// What: a stable word.
        what: &'static str,
        /// About whom.
        uid: Uid,
        /// Who said so: a stable word, or nothing.
        why: &'static str,
        /// The payload of a user's event.
        detail: Box<[u8]>,
    },
    /// A body of anti-entropy is to be sent.
    GossipBody {
        /// Over which connection; 0 is the one to the coordinator.
        conn: u64,
        /// The body.
        body: Box<[u8]>,
    },
    /// A node reports another health than before.
    Health {
        /// The connection.
        conn: u64,
        /// The node.
        uid: Uid,
        /// The new value.
        health: u8,
    },
}

impl Event {
    fn bytes(&self) -> usize {
        match self {
            Self::Frame { payload, .. } => payload.len(),
            Self::GossipBody { body, .. } => body.len(),
            Self::Gossip { detail, .. } => detail.len(),
            _ => 0,
        }
    }
}

/// Events in order, with a descriptor that is readable while there are any.
#[derive(Debug)]
pub struct EventQueue {
    inner: Mutex<Inner>,
    signal: OwnedFd,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    bytes: usize,
    signalled: bool,
    /// An event was turned away: the engine waits for room.
    starved: bool,
    /// The engine's thread ended by a fault of its own.
    failed: bool,
}

/// What was taken from the queue.
#[derive(Debug, Default)]
pub struct Taken {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// Whether the engine waits for the room this made.
    pub made_room: bool,
    /// Whether nothing will ever follow, since the engine failed.
    pub failed: bool,
}

impl EventQueue {
    /// Makes an empty queue for `capacity` events.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let signal = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self {
            inner: Mutex::default(),
            signal,
            capacity: capacity.max(1),
        })
    }

    /// Returns the descriptor.
    pub fn fd(&self) -> RawFd {
        self.signal.as_raw_fd()
    }

    /// Adds an event of a kind whose number is bounded by other means (one per connection or node).
    pub fn push(&self, event: Event) {
        let mut inner = self.lock();
        self.add(&mut inner, event);
    }

    /// Adds an event if there is room, else gives it back.
    pub fn offer(&self, event: Event) -> Result<(), Event> {
        let mut inner = self.lock();
        if inner.events.len() >= self.capacity || inner.bytes >= MAX_BYTES {
            inner.starved = true;
            return Err(event);
        }
        self.add(&mut inner, event);
        Ok(())
    }

    /// Takes up to `limit` events.
    pub fn take(&self, limit: usize) -> Taken {
        let mut inner = self.lock();
        let count = limit.min(inner.events.len());
        let events: Vec<Event> = inner.events.drain(..count).collect();
        inner.bytes -= events.iter().map(Event::bytes).sum::<usize>();
        if inner.events.is_empty() {
            if inner.signalled && !inner.failed {
                let mut counter = [0u8; 8];
                // It can only fail when there is nothing to clear.
                let _ = rustix::io::read(&self.signal, &mut counter);
                inner.signalled = false;
            }
            // A burst's worth of slots is not kept for ever.
            if inner.events.capacity() > 1024 {
                inner.events.shrink_to(64);
            }
        }
        let has_room = inner.events.len() <= self.capacity / 2 && inner.bytes <= MAX_BYTES / 2;
        let made_room = inner.starved && has_room;
        inner.starved &= !made_room;
        Taken {
            failed: inner.failed && events.is_empty(),
            events,
            made_room,
        }
    }

    /// Notes that the engine's thread is gone for no good reason; wakes the reader.
    pub fn fail(&self) {
        let mut inner = self.lock();
        inner.failed = true;
        self.signal(&mut inner);
    }

    fn add(&self, inner: &mut Inner, event: Event) {
        inner.bytes += event.bytes();
        inner.events.push_back(event);
        self.signal(inner);
    }

    fn signal(&self, inner: &mut Inner) {
        if !inner.signalled {
            // The counter was cleared, so it cannot overflow.
            let _ = rustix::io::write(&self.signal, &1u64.to_ne_bytes());
            inner.signalled = true;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code under this lock can leave it half changed, so a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
