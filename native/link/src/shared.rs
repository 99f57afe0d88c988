//! What the engine's thread and its callers both touch.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;
use swarmlet_core::heartbeat::Reading;
use swarmlet_core::lease::LeaseTable;

use crate::event::EventQueue;
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::stats::Stats;
use crate::verify::SharedDeny;

/// Every part has its own lock, held for a moment; nobody holds two.
#[derive(Debug)]
pub(crate) struct Shared {
    pub mailbox: Mailbox,
    pub events: EventQueue,
    pub deny: SharedDeny,
    pub stats: Stats,
    outboxes: Mutex<HashMap<u64, Arc<Outbox>>>,
    leases: Mutex<LeaseTable>,
    reading: Mutex<Option<Reading>>,
    last_conn: AtomicU64,
    last_listener: AtomicU32,
    rounds: AtomicU64,
}

impl Shared {
    pub fn new(waker: Waker, event_capacity: usize) -> io::Result<Self> {
        Ok(Self {
            mailbox: Mailbox::new(waker),
            events: EventQueue::new(event_capacity)?,
            deny: SharedDeny::default(),
            stats: Stats::default(),
            outboxes: Mutex::default(),
            leases: Mutex::default(),
            reading: Mutex::default(),
            last_conn: AtomicU64::new(0),
            last_listener: AtomicU32::new(0),
            rounds: AtomicU64::new(0),
        })
    }

    /// Returns a number no connection had before.
    pub fn new_conn(&self) -> u64 {
        self.last_conn.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns a number no listener had before.
    pub fn new_listener(&self) -> u32 {
        self.last_listener.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that the thread has gone round once more.
    pub fn went_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how often the thread has gone round.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    pub fn outboxes(&self) -> MutexGuard<'_, HashMap<u64, Arc<Outbox>>> {
        lock(&self.outboxes)
    }

    pub fn leases(&self) -> MutexGuard<'_, LeaseTable> {
        lock(&self.leases)
    }

    pub fn reading(&self) -> MutexGuard<'_, Option<Reading>> {
        lock(&self.reading)
    }
}

/// A panic under one of these locks is a fault elsewhere; what they guard is whole between two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
