//! The handle to the engine: every call returns at once and may be made from any thread.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::{sync_channel, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::{Poll, Waker};
use swarmlet_core::frame::Kind;
use swarmlet_core::heartbeat::{Lease, Reading};
use swarmlet_core::lease::Millis;
use swarmlet_core::{Failure, Uid};

use crate::clock::boot_ms;
use crate::driver::{Driver, MAX_LISTENERS, WAKE};
use crate::ending::describe;
use crate::event::Taken;
use crate::limits::STOP_MS;
use crate::listener::{bind, Listener, ListenerLimits};
use crate::mailbox::{Command, Dial, PostError};
use crate::outbox::{Outbox, Push};
use crate::shared::Shared;
use crate::tls::{ClientTls, ServerTls};

/// How long a caller waits for the thread to answer or to end, beyond what it needs.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A call that could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError {
    /// A stable slug.
    pub kind: &'static str,
    /// A sentence for a person.
    pub detail: String,
}

impl EngineError {
    pub(crate) fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.detail)
    }
}

impl std::error::Error for EngineError {}

impl From<PostError> for EngineError {
    fn from(cause: PostError) -> Self {
        match cause {
            PostError::Stopped => Self::new("engine-stopped", "the engine has stopped"),
            PostError::Busy => Self::new(
                "engine-busy",
                "the engine does not keep up with its commands",
            ),
        }
    }
}

/// An outbound connection to begin.
#[derive(Clone, Debug)]
pub struct Outbound<'a> {
    /// `ip:port` of the peer.
    pub address: &'a str,
    /// Whom to trust and what to show.
    pub tls: &'a ClientTls,
    /// How long TCP may take.
    pub timeout_ms: Millis,
    /// Local `ip` or `ip:port` to come from.
    pub source: Option<&'a str>,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    done: Receiver<()>,
}

/// Owner of every socket.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no descriptor or thread left.
    pub fn new(event_capacity: usize) -> Result<Self, EngineError> {
        Self::start(event_capacity)
            .map_err(|cause| EngineError::new("engine-start", describe(&cause)))
    }

    fn start(event_capacity: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let shared = Arc::new(Shared::new(waker, event_capacity)?);
        let driver = Driver::new(poll, Arc::clone(&shared))?;
        let (told, done) = sync_channel(1);
        let owned = Arc::clone(&shared);
        let handle = std::thread::Builder::new()
            .name("swarmlet-io".into())
            .spawn(move || {
                run(driver, &owned);
                // Nobody listens when the engine was dropped without waiting.
                let _ = told.try_send(());
            })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(Thread { handle, done })),
        })
    }

    /// Returns a descriptor that is readable while events wait.
    pub fn event_fd(&self) -> RawFd {
        self.shared.events.fd()
    }

    /// Takes up to `limit` events.
    ///
    /// # Errors
    /// The thread ended by a fault of its own.
    pub fn poll(&self, limit: usize) -> Result<Taken, EngineError> {
        let taken = self.shared.events.take(limit);
        if taken.made_room {
            self.shared.mailbox.wake();
        }
        if taken.failed {
            return Err(EngineError::new(
                "engine-stopped",
                "the engine ended by a fault of its own",
            ));
        }
        Ok(taken)
    }

    /// Binds `address` and accepts; returns the listener and the address it got.
    ///
    /// # Errors
    /// The address is taken, forbidden, not of this host, or no address.
    pub fn listen(
        &self,
        address: &str,
        tls: &ServerTls,
        limits: ListenerLimits,
        reuse_port: bool,
    ) -> Result<(u32, SocketAddr), EngineError> {
        let wanted = parse(address)?;
        let failed = |cause: io::Error| {
            let kind = match cause.kind() {
                io::ErrorKind::AddrInUse => "port-in-use",
                io::ErrorKind::PermissionDenied => "port-forbidden",
                _ => "address-unavailable",
            };
            EngineError::new(kind, format!("{wanted}: {}", describe(&cause)))
        };
        let socket = bind(wanted, reuse_port).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?;
        let config = tls
            .config(&self.shared.deny)
            .map_err(|error| EngineError::new("certificate-damaged", error.to_string()))?;
        let id = self.shared.new_listener();
        if id as usize > MAX_LISTENERS {
            return Err(EngineError::new(
                "address-unavailable",
                "there are too many listeners",
            ));
        }
        let listener = Listener::new(id, socket, config, limits);
        self.shared
            .mailbox
            .post(Command::Listen(Box::new(listener)))?;
        Ok((id, bound))
    }

    /// Uses `tls` for handshakes that begin from now on.
    ///
    /// # Errors
    /// The engine has stopped.
    pub fn set_tls(&self, listener: u32, tls: &ServerTls) -> Result<(), EngineError> {
        Ok(self
            .shared
            .mailbox
            .post(Command::SetTls(listener, Box::new(tls.clone())))?)
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// An address cannot be read, or the engine has stopped.
    pub fn connect(&self, outbound: &Outbound<'_>) -> Result<u64, EngineError> {
        let address = parse(outbound.address)?;
        let source = outbound.source.map(parse_source).transpose()?;
        let conn = self.shared.new_conn();
        self.shared
            .outboxes()
            .insert(conn, Arc::new(Outbox::default()));
        let dial = Dial {
            conn,
            address,
            source,
            tls: outbound.tls.clone(),
            timeout_ms: outbound.timeout_ms,
        };
        if let Err(cause) = self.shared.mailbox.post(Command::Connect(Box::new(dial))) {
            self.shared.outboxes().remove(&conn);
            return Err(cause.into());
        }
        Ok(conn)
    }

    /// Queues a frame; false when the connection is full or gone.
    ///
    /// # Errors
    /// It is no frame a peer would take, or the engine does not keep up.
    pub fn send(
        &self,
        conn: u64,
        kind: Kind,
        stream: u16,
        payload: &[u8],
    ) -> Result<bool, EngineError> {
        let Some(outbox) = self.shared.outboxes().get(&conn).cloned() else {
            return Ok(false);
        };
        let pushed = outbox
            .push(kind, stream, payload)
            .map_err(|cause| EngineError::new(cause.kind(), cause.to_string()))?;
        match pushed {
            Push::Full | Push::Gone => return Ok(false),
            Push::Queued => {}
            Push::Wake => match self.shared.mailbox.post(Command::Written(conn)) {
                Err(PostError::Stopped) => return Ok(false),
                other => other?,
            },
        }
        self.shared.stats.frames_out.up();
        Ok(true)
    }

    /// Flushes, says goodbye and closes a connection, which then ends for `reason`.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn close(&self, conn: u64, reason: &str) -> Result<(), EngineError> {
        if let Some(outbox) = self.shared.outboxes().get(&conn) {
            outbox.close();
        }
        self.post_unless_stopped(Command::Close(conn, reason.to_owned()))
    }

    /// Lets a connection speak for a node.
    ///
    /// # Errors
    /// The intervals cannot be used, or the engine does not keep up.
    pub fn admit(
        &self,
        conn: u64,
        node: Uid,
        heartbeat_ms: u32,
        lease_ms: u32,
    ) -> Result<(), EngineError> {
        let lease = usable(heartbeat_ms, lease_ms)?;
        self.post_unless_stopped(Command::Admit(conn, node, lease))
    }

    /// Starts the lease of a node that is not connected yet.
    ///
    /// # Errors
    /// The lease cannot be used, or the engine does not keep up.
    pub fn expect(&self, node: Uid, lease_ms: u32) -> Result<(), EngineError> {
        let lease = usable(lease_ms / 3, lease_ms)?;
        self.shared.leases().expect(node, lease, boot_ms());
        self.post_unless_stopped(Command::Leases)
    }

    /// Drops a node's lease without an event.
    pub fn forget(&self, node: &Uid) {
        self.shared.leases().forget(node);
    }

    /// Returns the age and the content of each node's last heartbeat.
    pub fn readings(&self, nodes: &[Uid]) -> Vec<Option<(Millis, Reading)>> {
        let leases = self.shared.leases();
        let now = boot_ms();
        nodes.iter().map(|node| leases.reading(node, now)).collect()
    }

    /// Sets what the next heartbeats carry; the first time they are due at once.
    ///
    /// Reading a device takes longer than connecting it, so the heartbeat that begins a session may have gone out
    /// with nothing in it.
    pub fn set_reading(&self, reading: Reading) {
        let before = self.shared.reading().replace(reading);
        if before.is_none() {
            // An engine that has stopped, or is far behind, has no heartbeat to bring forward.
            let _: Result<(), EngineError> = self.post_unless_stopped(Command::FirstReading);
        }
    }

    /// Refuses certificates with these serials from now on and cuts live connections; returns how many were cut.
    ///
    /// # Errors
    /// The engine does not keep up. The serials are refused all the same.
    pub fn deny(&self, serials: Vec<Vec<u8>>) -> Result<usize, EngineError> {
        {
            let mut deny = self
                .shared
                .deny
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for serial in &serials {
                deny.insert(serial);
            }
        }
        let (answer, answered) = sync_channel(1);
        match self.shared.mailbox.post(Command::Cut(serials, answer)) {
            Err(PostError::Stopped) => return Ok(0),
            other => other?,
        }
        match answered.recv_timeout(GRACE) {
            Ok(count) => Ok(count),
            // The thread ended with the command unread: nothing is connected any more.
            Err(RecvTimeoutError::Disconnected) => Ok(0),
            Err(RecvTimeoutError::Timeout) => Err(PostError::Busy.into()),
        }
    }

    /// Refuses these serials no more, as when their certificates ended long ago; returns how many were refused.
    pub fn forgive(&self, serials: &[Vec<u8>]) -> usize {
        let mut deny = self
            .shared
            .deny
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        serials.iter().filter(|serial| deny.remove(serial)).count()
    }

    /// Wakes the thread and returns how often it has gone round. A number that is the same at the next call,
    /// a while later, says that the thread hangs or is gone: an idle one goes round because of this call.
    pub fn rounds(&self) -> u64 {
        let rounds = self.shared.rounds();
        self.shared.mailbox.wake();
        rounds
    }

    /// Returns every counter with its name.
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        self.shared.stats.list()
    }

    /// Closes everything and ends the thread; later calls do nothing.
    pub fn stop(&self) {
        self.shared.mailbox.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Thread { handle, done }) = thread else {
            return;
        };
        // A thread that does not end in time is left behind: waiting for ever would help nobody.
        if done.recv_timeout(Duration::from_millis(STOP_MS) + GRACE)
            != Err(RecvTimeoutError::Timeout)
        {
            let _ = handle.join();
        }
    }

    pub(crate) fn post_unless_stopped(&self, command: Command) -> Result<(), EngineError> {
        match self.shared.mailbox.post(command) {
            Err(PostError::Stopped) => Ok(()),
            other => Ok(other?),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the thread; a fault in it is told to whoever polls, and to nobody else.
fn run(mut driver: Driver, shared: &Shared) {
    let outcome = catch_unwind(AssertUnwindSafe(|| driver.run()));
    let failed = !matches!(outcome, Ok(Ok(())));
    shared.mailbox.stop();
    shared.outboxes().clear();
    if failed {
        shared.events.fail();
    }
}

fn usable(heartbeat_ms: u32, lease_ms: u32) -> Result<Lease, EngineError> {
    Lease::new(heartbeat_ms, lease_ms).ok_or_else(|| {
        let detail =
            format!("a heartbeat of {heartbeat_ms} ms does not go with a lease of {lease_ms} ms");
        EngineError::new("lease-intervals", detail)
    })
}

pub(crate) fn parse(address: &str) -> Result<SocketAddr, EngineError> {
    address.parse().map_err(|_| {
        EngineError::new(
            "address-unavailable",
            format!("{address:?} is not an ip:port"),
        )
    })
}

fn parse_source(source: &str) -> Result<SocketAddr, EngineError> {
    source
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, 0))
        .or_else(|_| parse(source))
}
