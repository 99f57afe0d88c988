//! How other threads speak to the engine's thread: a bounded queue of commands and a wake-up.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::Waker;
use swarmlet_core::heartbeat::Lease;
use swarmlet_core::lease::Millis;
use swarmlet_core::mesh::{Grant, Word};
use swarmlet_core::Uid;

use crate::gossip::{Gossip, MemberView};
use crate::limits::{COMMANDS, COMMAND_WAIT_MS};
use crate::listener::Listener;
use crate::tls::{ClientTls, ServerTls};

/// One thing to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Accept on a socket that is bound already.
    Listen(Box<Listener>),
    /// Use another certificate from now on.
    SetTls(u32, Box<ServerTls>),
    /// Begin a connection.
    Connect(Box<Dial>),
    /// A connection's outbox has something.
    Written(u64),
    /// Flush and close.
    Close(u64, String),
    /// A connection speaks for a node.
    Admit(u64, Uid, Lease),
    /// Cut connections whose certificate has one of these serials; answer how many.
    Cut(Vec<Vec<u8>>, SyncSender<usize>),
    /// Leases were changed by another thread: look at the clock again.
    Leases,
    /// There is something to tell of this device for the first time: nobody waits for the next heartbeat.
    FirstReading,
    /// Something for the mesh.
    Gossip(GossipCommand),
}

/// One thing for the mesh to do; without a mesh it is dropped.
#[derive(Debug)]
pub(crate) enum GossipCommand {
    /// Begin.
    Start(Box<Gossip>),
    /// Use other epochs, at this cluster time.
    Refresh(Box<Grant>, u64),
    /// Take a body of anti-entropy that came over a connection.
    Body(u64, Box<[u8]>),
    /// Say as the coordinator what became of a member, and until when its credentials are good.
    Declare(Word, Uid, u64),
    /// Tell every member; answer whether it was short enough.
    Broadcast(Box<[u8]>, SyncSender<bool>),
    /// Show every member.
    Members(SyncSender<Vec<MemberView>>),
    /// Say goodbye.
    Leave,
    /// End, and give the socket up.
    Stop(SyncSender<()>),
}

/// An outbound connection to begin.
#[derive(Debug)]
pub(crate) struct Dial {
    pub conn: u64,
    pub address: SocketAddr,
    pub source: Option<SocketAddr>,
    pub tls: ClientTls,
    pub timeout_ms: Millis,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// The engine has stopped.
    Stopped,
    /// The engine did not keep up.
    Busy,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Mailbox {
    commands: Mutex<VecDeque<Command>>,
    room: Condvar,
    waker: Waker,
    /// The engine was woken and has not looked yet.
    woken: AtomicBool,
    stopping: AtomicBool,
}

impl Mailbox {
    pub fn new(waker: Waker) -> Self {
        Self {
            commands: Mutex::default(),
            room: Condvar::new(),
            waker,
            woken: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }
    }

    /// Adds a command; waits a while for room when the engine is behind.
    pub fn post(&self, command: Command) -> Result<(), PostError> {
        let mut commands = self.lock();
        if commands.len() >= COMMANDS {
            let limit = Duration::from_millis(COMMAND_WAIT_MS);
            let is_full = |commands: &mut VecDeque<Command>| {
                commands.len() >= COMMANDS && !self.is_stopping()
            };
            commands = self
                .room
                .wait_timeout_while(commands, limit, is_full)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if self.is_stopping() {
            return Err(PostError::Stopped);
        }
        if commands.len() >= COMMANDS {
            return Err(PostError::Busy);
        }
        commands.push_back(command);
        drop(commands);
        self.wake();
        Ok(())
    }

    /// Takes every command.
    pub fn take(&self) -> VecDeque<Command> {
        // In this order a command that comes now is either taken or wakes the engine again.
        self.woken.store(false, Ordering::SeqCst);
        let taken = std::mem::take(&mut *self.lock());
        if taken.len() >= COMMANDS {
            self.room.notify_all();
        }
        taken
    }

    /// Wakes the engine once, however often it is called before the engine looks.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            // It fails only when the engine's poll is gone, and then nobody is there to be woken.
            let _: io::Result<()> = self.waker.wake();
        }
    }

    /// Tells the engine to end, and callers that it does.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.room.notify_all();
        self.wake();
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
