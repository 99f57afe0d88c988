//! The engine's thread: waits for sockets, commands and time, and lets each connection take a turn.
//!
//! `accept` lets connections in, `inbound` reads them, `outbound` begins, writes and ends them, `tenure` keeps
//! leases. A connection is taken out of its slot while it has its turn, so each part may use the rest freely.

mod accept;
mod gossip;
mod inbound;
mod outbound;
mod tenure;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use mio::event::Event as Readiness;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;
use swarmlet_core::lease::Millis;
use swarmlet_core::Uid;

use crate::clock::{boot_ms, Alarm};
use crate::conn::Conn;
use crate::ending::Ending;
use crate::event::Event;
use crate::gossip::Gossip;
use crate::keepers::Keepers;
use crate::limits::{PLAIN_BUFFER, READ_BUFFER, STOP_MS};
use crate::listener::Listener;
use crate::mailbox::Command;
use crate::shared::Shared;
use crate::timers::Timers;

/// Tokens of the poll: the wake-up, the alarm, gossip, listeners, and from `CONNS` on the slots of connections.
pub(crate) const WAKE: Token = Token(0);
const ALARM: Token = Token(1);
const GOSSIP: Token = Token(2);
const LISTENERS: usize = 3;
pub(crate) const MAX_LISTENERS: usize = 1024;
const CONNS: usize = LISTENERS + MAX_LISTENERS;
/// Sockets looked at in one round.
const READINESS: usize = 1024;
/// Rounds for which a backlog may put off the judging of silence.
const MOST_BEHIND: u32 = 64;

/// State of the thread.
pub(crate) struct Driver {
    poll: Poll,
    shared: Arc<Shared>,
    alarm: Alarm,
    now: Millis,
    listeners: Vec<Listener>,
    slots: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    by_id: HashMap<u64, usize>,
    /// The connection that speaks for a node (server).
    by_node: HashMap<Uid, u64>,
    timers: Timers,
    keepers: Keepers,
    gossip: Option<Box<Gossip>>,
    /// Connections whose turn ended before they did.
    ready: VecDeque<u64>,
    /// Connections that hold events for which there was no room.
    waiting: VecDeque<u64>,
    /// Events of connections that ended meanwhile.
    orphans: VecDeque<VecDeque<Event>>,
    /// The last news of nodes for which there was no room.
    late: tenure::Late,
    /// Rounds in a row that left sockets unread.
    behind: u32,
    stop_at: Option<Millis>,
    read_buffer: Vec<u8>,
    plain_buffer: Vec<u8>,
}

impl Driver {
    pub fn new(poll: Poll, shared: Arc<Shared>) -> io::Result<Self> {
        let alarm = Alarm::new()?;
        let fd = alarm.fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), ALARM, Interest::READABLE)?;
        Ok(Self {
            poll,
            shared,
            alarm,
            now: boot_ms(),
            listeners: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            by_node: HashMap::new(),
            timers: Timers::default(),
            keepers: Keepers::default(),
            gossip: None,
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            orphans: VecDeque::new(),
            late: tenure::Late::default(),
            behind: 0,
            stop_at: None,
            read_buffer: vec![0; READ_BUFFER],
            plain_buffer: vec![0; PLAIN_BUFFER],
        })
    }

    /// Runs until told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let mut readiness = Events::with_capacity(READINESS);
        loop {
            let busy = !self.ready.is_empty() || self.gossip_waits();
            let timeout = busy.then_some(std::time::Duration::ZERO);
            match self.poll.poll(&mut readiness, timeout) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now = boot_ms();
            self.note_backlog(readiness.iter().count());
            // Commands first: what a peer sent in answer to one must not be judged before it.
            self.commands();
            for event in &readiness {
                self.on_ready(event);
            }
            self.go_on();
            self.gossip_turn();
            self.deliver();
            self.time_passed();
            if self.is_done() {
                return Ok(());
            }
            self.arm()?;
            self.shared.went_round();
        }
    }

    /// Notes whether there is more to read than one round takes: then nobody may be called silent yet.
    fn note_backlog(&mut self, sockets: usize) {
        let is_behind = sockets >= READINESS || !self.ready.is_empty();
        self.behind = if is_behind { self.behind + 1 } else { 0 };
    }

    fn on_ready(&mut self, event: &Readiness) {
        match event.token() {
            WAKE => {}
            ALARM => self.alarm.acknowledge(),
            GOSSIP => self.gossip_came(),
            Token(token) if token < CONNS => {
                self.accept(token - LISTENERS);
            }
            Token(token) => {
                let slot = token - CONNS;
                let (reads, ends) = (
                    event.is_readable(),
                    event.is_read_closed() || event.is_error(),
                );
                self.turn_of_slot(slot, |driver, conn| {
                    conn.readable |= reads || ends;
                    conn.read_closed |= ends;
                    driver.advance(conn)
                });
            }
        }
    }

    fn commands(&mut self) {
        for command in self.shared.mailbox.take() {
            self.command(command);
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Listen(listener) => self.listen(*listener),
            Command::SetTls(listener, tls) => self.set_tls(listener, &tls),
            Command::Connect(dial) => self.dial(*dial),
            Command::Written(id) => self.turn(id, |driver, conn| driver.write(conn)),
            Command::Close(id, reason) => self.turn(id, |driver, conn| {
                driver.close(
                    conn,
                    Ending {
                        reason: reason.into(),
                        detail: String::new(),
                    },
                );
                Ok(())
            }),
            Command::Admit(id, uid, lease) => self.admit(id, uid, lease),
            Command::Cut(serials, answer) => {
                // Nobody listens any more when the caller gave up waiting; the cut stands.
                let _ = answer.try_send(self.cut(&serials));
            }
            Command::Leases => {}
            Command::FirstReading => self.keepers.hurry(self.now),
            Command::Gossip(command) => self.gossip_command(command),
        }
    }

    /// Gives another turn to connections that had more to do than one takes.
    fn go_on(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else {
                return;
            };
            self.turn(id, |driver, conn| {
                conn.queued = false;
                driver.advance(conn)
            });
        }
    }

    fn time_passed(&mut self) {
        while let Some((at, slot, id)) = self.timers.pop(self.now) {
            let is_live = |conn: &Conn| conn.id == id && conn.timer == Some(at);
            if self
                .slots
                .get(slot)
                .and_then(Option::as_deref)
                .is_some_and(is_live)
            {
                self.turn_of_slot(slot, |driver, conn| {
                    conn.timer = None;
                    driver.overdue(conn)
                });
            }
        }
        self.tenure_passed();
        self.wake_listeners();
        self.stop_passed();
    }

    /// Closes everything once the engine is told to stop.
    fn stop_passed(&mut self) {
        if self.stop_at.is_some() || !self.shared.mailbox.is_stopping() {
            return;
        }
        self.stop_at = Some(self.now + STOP_MS);
        self.listeners.clear();
        let ids: Vec<u64> = self.by_id.keys().copied().collect();
        for id in ids {
            self.turn(id, |driver, conn| {
                driver.close(conn, Ending::new("stopped", ""));
                Ok(())
            });
        }
    }

    fn is_done(&mut self) -> bool {
        let Some(stop_at) = self.stop_at else {
            return false;
        };
        if self.now < stop_at && !self.by_id.is_empty() {
            return false;
        }
        let ids: Vec<u64> = self.by_id.keys().copied().collect();
        for id in ids {
            self.turn(id, |driver, conn| {
                driver.tell_closed(conn, Ending::new("stopped", ""));
                driver.remove(conn);
                Ok(())
            });
        }
        for command in self.shared.mailbox.take() {
            if let Command::Connect(dial) = command {
                self.shared.outboxes().remove(&dial.conn);
                self.shared
                    .events
                    .push(outbound::closed(dial.conn, Ending::new("stopped", "")));
            }
        }
        // Nothing will make room any more, and nothing told may be lost.
        for event in std::mem::take(&mut self.orphans).into_iter().flatten() {
            self.shared.events.push(event);
        }
        true
    }

    fn arm(&mut self) -> io::Result<()> {
        let rests = self
            .listeners
            .iter()
            .filter_map(|listener| listener.rest_until);
        let leases = self.shared.leases().next_deadline();
        let times = [
            self.timers.next(),
            self.keepers.next_deadline(),
            self.gossip.as_ref().map(|gossip| gossip.deadline_ms()),
            leases,
            self.stop_at,
        ];
        self.alarm
            .arm(times.into_iter().flatten().chain(rests).min())
    }

    /// Lets connection `id` have its turn, if it is still there.
    fn turn(&mut self, id: u64, act: impl FnOnce(&mut Self, &mut Conn) -> Result<(), Ending>) {
        if let Some(slot) = self.by_id.get(&id).copied() {
            self.turn_of_slot(slot, act);
        }
    }

    fn turn_of_slot(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut Self, &mut Conn) -> Result<(), Ending>,
    ) {
        let Some(mut conn) = self.slots.get_mut(slot).and_then(Option::take) else {
            return;
        };
        if let Err(ending) = act(self, &mut conn) {
            self.end(&mut conn, ending);
        }
        // A connection that was removed during its turn is gone from the index.
        if self.by_id.get(&conn.id) != Some(&slot) {
            self.free.push(slot);
            return;
        }
        self.schedule(&mut conn);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(conn);
        }
    }

    /// Sets the timer of a connection if it has none that fires early enough.
    fn schedule(&mut self, conn: &mut Conn) {
        // Never now: a connection whose deadline stays in the past must not keep the clock from going on.
        let Some(at) = conn.deadline().map(|at| at.max(self.now + 1)) else {
            return;
        };
        if conn.timer.is_none_or(|set| set > at) {
            conn.timer = Some(at);
            self.timers.add(at, conn.slot, conn.id);
        }
    }

    /// Puts a connection in a slot of its own and under the poll's eye.
    fn insert(&mut self, make: impl FnOnce(usize) -> Conn) -> Result<(), (Box<Conn>, io::Error)> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        let mut conn = Box::new(make(slot));
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(CONNS + slot);
        if let Err(cause) = self
            .poll
            .registry()
            .register(&mut conn.socket, token, interest)
        {
            self.free.push(slot);
            return Err((conn, cause));
        }
        self.by_id.insert(conn.id, slot);
        self.shared
            .outboxes()
            .insert(conn.id, Arc::clone(&conn.outbox));
        self.shared.stats.connections.up();
        self.schedule(&mut conn);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(conn);
        }
        Ok(())
    }
}
