//! Beginning connections, writing to them, and ending them without losing what was sent last.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::net::TcpStream;
use rustls::Connection;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::Driver;
use crate::conn::{Conn, Flushed, Phase, Side};
use crate::ending::{seconds, Ending};
use crate::event::Event;
use crate::limits::{CLIENT_HANDSHAKE_MS, CLOSE_FLUSH_MS, LINGER_MS, READ_TURNS, REVOKED_FLUSH_MS};
use crate::mailbox::Dial;

impl Driver {
    pub(super) fn dial(&mut self, dial: Dial) {
        self.shared.stats.dialled.up();
        let id = dial.conn;
        if let Err(ending) = self.try_dial(dial) {
            self.shared.outboxes().remove(&id);
            self.shared.events.push(closed(id, ending));
        }
    }

    fn try_dial(&mut self, dial: Dial) -> Result<(), Ending> {
        let unconnected = |cause: io::Error| Ending::unconnected(&cause);
        let socket = begin(dial.address, dial.source).map_err(unconnected)?;
        let tls = dial
            .tls
            .start(dial.address.ip())
            .map_err(|error| Ending::new("unreachable", format!("TLS cannot start: {error}")))?;
        let outbox = self
            .shared
            .outboxes()
            .get(&dial.conn)
            .cloned()
            .unwrap_or_default();
        let phase_ends = self.now + dial.timeout_ms;
        let side = Side::Client {
            patience: dial.timeout_ms,
        };
        self.insert(|slot| {
            let tls = Connection::Client(tls);
            let mut conn = Conn::new(dial.conn, slot, socket, dial.address, side, tls, outbox);
            conn.phase_ends = phase_ends;
            conn.announced = true;
            conn.node = dial.tls.node();
            conn
        })
        .map_err(|(_, cause)| Ending::unconnected(&cause))
    }

    /// Looks whether TCP is connected; the handshake begins then.
    pub(super) fn connected(&mut self, conn: &mut Conn) -> Result<bool, Ending> {
        if let Ok(Some(cause)) | Err(cause) = conn.socket.take_error() {
            return Err(Ending::unconnected(&cause));
        }
        match conn.socket.peer_addr() {
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(cause) => return Err(Ending::unconnected(&cause)),
        }
        tune(&conn.socket);
        conn.phase = Phase::Handshaking;
        let Side::Client { patience } = conn.side else {
            return Ok(true);
        };
        let limit = patience.min(CLIENT_HANDSHAKE_MS.max(patience / 2));
        conn.side = Side::Client { patience: limit };
        conn.phase_ends = self.now + limit;
        Ok(true)
    }

    /// Writes what is queued, and closes when that was asked for and all has left.
    pub(super) fn write(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        if matches!(conn.phase, Phase::Connecting | Phase::Lingering) {
            return Ok(());
        }
        let flushed = self.flush(conn)?;
        if conn.phase == Phase::Closing && flushed == Flushed::All {
            let ending = conn.ending.take().unwrap_or_else(Ending::orderly);
            self.finish(conn, ending);
        }
        Ok(())
    }

    fn flush(&mut self, conn: &mut Conn) -> Result<Flushed, Ending> {
        let mut bytes = 0;
        let flushed = conn.flush(&mut bytes);
        self.shared.stats.bytes_out.add(bytes);
        let drained = conn.outbox.settle(conn.unwritten());
        if drained && conn.phase == Phase::Open {
            self.shared.events.push(Event::Drained { conn: conn.id });
        }
        // A connection that ends at the socket may still hold the peer's last words: those are read first.
        flushed.or_else(|cause| match conn.phase {
            Phase::Handshaking | Phase::Open if conn.readable => Ok(Flushed::Blocked),
            _ => Err(Ending::broken(&cause)),
        })
    }

    /// Ends a connection on our own account: what is queued leaves first.
    pub(super) fn close(&mut self, conn: &mut Conn, ending: Ending) {
        conn.outbox.close();
        match conn.phase {
            Phase::Connecting | Phase::Handshaking => self.end(conn, ending),
            Phase::Open => {
                self.silence(conn);
                let limit = if ending.reason == "revoked" {
                    REVOKED_FLUSH_MS
                } else {
                    CLOSE_FLUSH_MS
                };
                conn.phase = Phase::Closing;
                conn.phase_ends = self.now + limit;
                conn.ending = Some(ending);
                if let Err(ending) = self.write(conn) {
                    self.end(conn, ending);
                }
            }
            Phase::Closing | Phase::Lingering => {}
        }
    }

    /// Ends a connection that cannot go on. A reason that was given before counts.
    pub(super) fn end(&mut self, conn: &mut Conn, ending: Ending) {
        conn.outbox.close();
        let ending = conn.ending.take().unwrap_or(ending);
        if ending.reason == "protocol" && conn.phase == Phase::Open {
            self.shared.stats.protocol_errors.up();
        }
        self.silence(conn);
        match conn.phase {
            Phase::Lingering => self.remove(conn),
            Phase::Connecting => {
                self.tell_closed(conn, ending);
                self.remove(conn);
            }
            Phase::Handshaking | Phase::Open | Phase::Closing => self.finish(conn, ending),
        }
    }

    /// Says goodbye, tells of the end and leaves the peer a moment to read it.
    fn finish(&mut self, conn: &mut Conn, ending: Ending) {
        let said_goodbye = conn.phase != Phase::Handshaking;
        conn.phase = Phase::Lingering;
        if said_goodbye {
            conn.tls.send_close_notify();
        }
        self.tell_closed(conn, ending);
        let mut bytes = 0;
        // A handshake that failed has left its alert in TLS: it leaves here too.
        let flushed = conn.flush(&mut bytes);
        self.shared.stats.bytes_out.add(bytes);
        let is_shut = flushed.is_ok() && conn.socket.shutdown(Shutdown::Write).is_ok();
        conn.phase_ends = self.now + LINGER_MS;
        conn.life_ends = None;
        conn.idle_ms = None;
        if is_shut {
            conn.readable = true;
            self.linger(conn);
        } else {
            self.remove(conn);
        }
    }

    /// Reads and forgets what the peer still sends: closing with unread bytes would reset the connection, and
    /// the peer could lose our last words.
    pub(super) fn linger(&mut self, conn: &mut Conn) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let mut hung_up = false;
        for _ in 0..READ_TURNS {
            match conn.socket.read(&mut buffer) {
                Ok(0) => hung_up = true,
                Ok(_) => continue,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => hung_up = cause.kind() != io::ErrorKind::WouldBlock,
            }
            break;
        }
        self.read_buffer = buffer;
        if hung_up {
            self.remove(conn);
        }
    }

    /// A connection's time is up, in whatever it was doing.
    pub(super) fn overdue(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        if conn.deadline().is_none_or(|at| at > self.now) {
            return Ok(());
        }
        let is_slow = conn.is_unproven() && matches!(conn.phase, Phase::Handshaking | Phase::Open);
        if is_slow {
            self.shared.stats.refused_slow.up();
        }
        match (conn.phase, conn.side) {
            // Nothing was promised to a stranger that is too slow, and it keeps no descriptor a moment longer.
            (Phase::Lingering, _) | (Phase::Handshaking, Side::Server { .. }) => {
                self.remove(conn);
                Ok(())
            }
            (Phase::Connecting, Side::Client { patience }) => Err(Ending::new(
                "timed-out",
                format!("no answer within {}", seconds(patience)),
            )),
            (Phase::Handshaking, Side::Client { patience }) if conn.first.is_empty() => {
                // A busy coordinator looks like this too: what it has no room for waits in its kernel.
                Err(Ending::new(
                    "silent",
                    format!("it said nothing for {}", seconds(patience)),
                ))
            }
            (Phase::Handshaking, Side::Client { patience }) => Err(match conn.first.stranger() {
                Some(stranger) => Ending::new("not-swarmlet", stranger),
                None => {
                    let detail = format!("the handshake took longer than {}", seconds(patience));
                    Ending::new("timed-out", detail)
                }
            }),
            (Phase::Open, _) if conn.stalled && conn.admitted => {
                // It is we who do not read.
                conn.last_frame = self.now;
                Ok(())
            }
            (Phase::Open, _) => Err(Ending::new("timed-out", "the peer was silent for too long")),
            _ => Err(Ending::new("timed-out", "the peer was too slow")),
        }
    }

    /// Notes that nobody speaks here any more.
    fn silence(&mut self, conn: &Conn) {
        if conn.admitted {
            self.node_gone(conn);
        }
    }

    /// Tells that a connection ended, once, after everything it still had to tell.
    pub(super) fn tell_closed(&mut self, conn: &mut Conn, ending: Ending) {
        self.shared.outboxes().remove(&conn.id);
        if !std::mem::take(&mut conn.announced) {
            return;
        }
        let event = closed(conn.id, ending);
        let mut held = std::mem::take(&mut conn.held);
        if held.is_empty() {
            self.shared.events.push(event);
            return;
        }
        // Python has not heard of a stranger whose OPENED is still here, and need not: nothing grows with them.
        let unheard_of = conn.is_server() && matches!(held.front(), Some(Event::Opened { .. }));
        if !unheard_of {
            held.push_back(event);
            self.orphans.push_back(held);
        }
    }

    /// Forgets a connection; its socket closes when its turn is over.
    pub(super) fn remove(&mut self, conn: &mut Conn) {
        if self.by_id.remove(&conn.id).is_none() {
            return;
        }
        // Closing the socket takes it out of the poll too.
        let _: io::Result<()> = self.poll.registry().deregister(&mut conn.socket);
        self.shared.stats.connections.down();
        if conn.is_unproven() {
            self.proven_or_gone(conn);
        }
    }
}

pub(super) fn closed(conn: u64, ending: Ending) -> Event {
    Event::Closed {
        conn,
        reason: ending.reason,
        detail: ending.detail,
    }
}

/// Starts connecting without waiting.
fn begin(address: SocketAddr, source: Option<SocketAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&source.into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        // EINPROGRESS has no kind of its own; both mean that the answer comes later.
        Err(cause) if is_in_progress(&cause) => {}
        Err(cause) => return Err(cause),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn is_in_progress(cause: &io::Error) -> bool {
    cause.kind() == io::ErrorKind::WouldBlock
        || cause.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// Sets what every connection wants; none of it is worth failing for.
pub(super) fn tune(socket: &TcpStream) {
    let _: io::Result<()> = socket.set_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    let _: io::Result<()> = SockRef::from(socket).set_tcp_keepalive(&keepalive);
}
