//! Reading: bytes into TLS, plaintext into frames, frames to leases or to Python.

use std::io::{self, Read};

use rustls::Connection;
use swarmlet_core::frame::{Frame, Kind};
use swarmlet_core::msgpack;
use swarmlet_core::x509::{Certificate, Role};

use super::Driver;
use crate::clock::wall_ms;
use crate::conn::{Conn, Phase, Side};
use crate::ending::{handshake_failed, session_failed, Ending};
use crate::event::{Event, Peer};
use crate::limits::{READ_TURNS, UNPROVEN_PAYLOAD};
use crate::tls::{ALPN, EXPORTER_LABEL};

impl Driver {
    /// Does what a connection's socket allows now.
    pub(super) fn advance(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        if conn.phase == Phase::Connecting && !self.connected(conn)? {
            return Ok(());
        }
        match conn.phase {
            Phase::Connecting | Phase::Handshaking | Phase::Open => {
                self.write(conn)?;
                self.read(conn)
            }
            Phase::Closing => self.write(conn),
            Phase::Lingering => {
                self.linger(conn);
                Ok(())
            }
        }
    }

    /// Reads until nothing is left or the turn is over.
    pub(super) fn read(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        let outcome = self.read_into(conn, &mut buffer);
        self.read_buffer = buffer;
        outcome?;
        if matches!(conn.phase, Phase::Handshaking | Phase::Open) {
            self.write(conn)?;
        }
        Ok(())
    }

    fn read_into(&mut self, conn: &mut Conn, buffer: &mut [u8]) -> Result<(), Ending> {
        let mut turns = 0;
        while conn.readable && matches!(conn.phase, Phase::Handshaking | Phase::Open) {
            if self.must_stall(conn) {
                return Ok(());
            }
            if turns == READ_TURNS {
                self.enqueue(conn);
                return Ok(());
            }
            turns += 1;
            match conn.socket.read(buffer) {
                Ok(0) => return Err(cut_off(conn)),
                Ok(count) => {
                    // A short read emptied the socket, and more bytes will be told; an end was told already.
                    conn.readable = count == buffer.len() || conn.read_closed;
                    self.shared.stats.bytes_in.add(count as u64);
                    self.take_bytes(conn, buffer.get(..count).unwrap_or_default())?;
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => conn.readable = false,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if conn.phase == Phase::Handshaking => return Err(cut_off(conn)),
                Err(cause) => return Err(Ending::broken(&cause)),
            }
        }
        Ok(())
    }

    fn take_bytes(&mut self, conn: &mut Conn, mut bytes: &[u8]) -> Result<(), Ending> {
        if conn.phase == Phase::Handshaking {
            conn.first.note(bytes);
        }
        while !bytes.is_empty() && matches!(conn.phase, Phase::Handshaking | Phase::Open) {
            if !matches!(conn.tls.read_tls(&mut bytes), Ok(1..)) {
                return Err(Ending::protocol("TLS records do not fit the buffer"));
            }
            let state = match conn.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // What came before the fault counts.
                    if conn.phase == Phase::Open {
                        self.take_plain(conn)?;
                    }
                    return Err(self.tls_failed(conn, &error));
                }
            };
            if conn.phase == Phase::Handshaking && !conn.tls.is_handshaking() {
                self.opened(conn)?;
            }
            if state.plaintext_bytes_to_read() > 0 {
                self.take_plain(conn)?;
            }
            if state.peer_has_closed() {
                return Err(Ending::orderly());
            }
        }
        Ok(())
    }

    fn tls_failed(&mut self, conn: &Conn, error: &rustls::Error) -> Ending {
        let stats = &self.shared.stats;
        match (conn.phase, conn.side) {
            (Phase::Handshaking, Side::Server { .. }) => {
                stats.refused_handshake.up();
                if matches!(error, rustls::Error::InvalidCertificate(_)) {
                    stats.refused_certificate.up();
                }
                Ending::protocol(format!("the handshake failed: {error}"))
            }
            (Phase::Handshaking, Side::Client { .. }) => {
                handshake_failed(error, &conn.first, speaks_ours(conn))
            }
            _ => session_failed(error),
        }
    }

    /// The handshake is done: frames may flow, and Python hears of it.
    fn opened(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        if !speaks_ours(conn) {
            self.shared.stats.refused_handshake.up();
            return Err(Ending::new(
                "not-swarmlet",
                "it speaks TLS but not the swarmlet protocol",
            ));
        }
        let peer = peer_of(&conn.tls)?;
        if let Some(peer) = peer.as_deref().filter(|_| conn.is_server()) {
            // The verifier looked a moment ago; a revocation may have come since.
            let denied = self
                .shared
                .deny
                .read()
                .map_or(true, |deny| deny.contains(&peer.serial));
            if denied {
                self.shared.stats.refused_certificate.up();
                return Err(Ending::new("revoked", ""));
            }
            conn.node = peer.node;
            conn.serial = Some(peer.serial.as_slice().into());
        }
        let exporter = conn
            .tls
            .export_keying_material([0u8; 32], EXPORTER_LABEL, None)
            .map_err(|error| Ending::protocol(format!("no exporter: {error}")))?;
        self.shared.stats.handshakes.up();
        conn.phase = Phase::Open;
        let listener = match conn.side {
            Side::Server { listener, patience } => {
                conn.phase_ends = self.now + patience;
                listener
            }
            Side::Client { .. } => 0,
        };
        conn.announced = true;
        let address =
            std::net::SocketAddr::new(conn.address.ip().to_canonical(), conn.address.port());
        self.tell(
            conn,
            Event::Opened {
                conn: conn.id,
                address,
                exporter,
                peer,
                listener,
            },
        );
        Ok(())
    }

    fn take_plain(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        let mut plain = std::mem::take(&mut self.plain_buffer);
        let mut decoder = std::mem::take(&mut conn.decoder);
        let mut outcome = Ok(());
        while outcome.is_ok() {
            // No more plaintext is told as WouldBlock, an end as 0; both are seen by the caller.
            let count = match conn.tls.reader().read(&mut plain) {
                Ok(0) | Err(_) => break,
                Ok(count) => count,
            };
            let mut input = plain.get(..count).unwrap_or_default();
            outcome = loop {
                match decoder.next(&mut input) {
                    Ok(Some(frame)) => {
                        if let Err(ending) = self.take_frame(conn, &frame) {
                            break Err(ending);
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(cause) => break Err(Ending::protocol(cause.to_string())),
                }
            };
        }
        conn.decoder = decoder;
        self.plain_buffer = plain;
        outcome
    }

    fn take_frame(&mut self, conn: &mut Conn, frame: &Frame<'_>) -> Result<(), Ending> {
        self.shared.stats.frames_in.up();
        conn.last_frame = self.now;
        if conn.is_unproven() {
            conn.unproven_payload += frame.payload.len();
            if conn.unproven_payload > UNPROVEN_PAYLOAD {
                return Err(Ending::protocol(
                    "more was sent than an unadmitted peer may send",
                ));
            }
        }
        match (frame.kind, conn.is_server()) {
            (Kind::Control, _) => {
                msgpack::check(frame.payload)
                    .map_err(|cause| Ending::protocol(cause.to_string()))?;
            }
            (Kind::Data | Kind::Credit, _) if conn.is_unproven() => {
                return Err(Ending::protocol("a stream before admission"));
            }
            (Kind::Data | Kind::Credit, _) => {}
            (Kind::Heartbeat, true) => return self.take_heartbeat(conn, frame.payload),
            (Kind::HeartbeatAck, false) => return self.take_ack(conn, frame.payload),
            (Kind::Lease, false) => return self.take_lease(conn, frame.payload),
            (kind, _) => return Err(Ending::protocol(format!("a {kind:?} frame from this side"))),
        }
        let payload = frame.payload.into();
        let event = Event::Frame {
            conn: conn.id,
            kind: frame.kind,
            stream: frame.stream,
            payload,
        };
        self.tell(conn, event);
        Ok(())
    }

    /// Tells an event of a connection, or holds it behind those that found no room.
    pub(super) fn tell(&mut self, conn: &mut Conn, event: Event) {
        let refused = if conn.held.is_empty() {
            self.shared.events.offer(event).err()
        } else {
            Some(event)
        };
        if let Some(event) = refused {
            if conn.held.is_empty() {
                self.waiting.push_back(conn.id);
            }
            conn.held.push_back(event);
        }
    }

    /// Says whether reading must stop because Python does not keep up: one event may wait, and heartbeats go on
    /// until there is a second one.
    fn must_stall(&mut self, conn: &mut Conn) -> bool {
        if conn.held.len() < 2 {
            return false;
        }
        if !conn.stalled {
            conn.stalled = true;
            self.shared.stats.stalls.up();
            if let Some(uid) = conn.node.filter(|_| conn.is_server() && conn.admitted) {
                self.shared.leases().hold(&uid);
            }
        }
        true
    }

    /// Delivers what was held as far as there is room now, and reads on.
    pub(super) fn deliver(&mut self) {
        while let Some(orphan) = self.orphans.front_mut() {
            let is_empty = offer_all(&self.shared.events, orphan);
            if !is_empty {
                return;
            }
            self.orphans.pop_front();
        }
        if !self.deliver_late() {
            return;
        }
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else {
                return;
            };
            let mut is_empty = true;
            self.turn(id, |driver, conn| {
                is_empty = offer_all(&driver.shared.events, &mut conn.held);
                if is_empty {
                    driver.unstall(conn)
                } else {
                    Ok(())
                }
            });
            if !is_empty {
                return self.waiting.push_front(id);
            }
        }
    }

    fn unstall(&mut self, conn: &mut Conn) -> Result<(), Ending> {
        if !std::mem::take(&mut conn.stalled) {
            return Ok(());
        }
        conn.last_frame = self.now;
        if let Some(uid) = conn.node.filter(|_| conn.is_server() && conn.admitted) {
            self.shared.leases().release(&uid, self.now);
        }
        self.read(conn)
    }

    /// Gives a connection another turn before the next wait.
    fn enqueue(&mut self, conn: &mut Conn) {
        if !std::mem::replace(&mut conn.queued, true) {
            self.ready.push_back(conn.id);
        }
    }
}

/// Moves events into the queue while there is room; true when none is left.
fn offer_all(
    queue: &crate::event::EventQueue,
    events: &mut std::collections::VecDeque<Event>,
) -> bool {
    while let Some(event) = events.pop_front() {
        if let Err(event) = queue.offer(event) {
            events.push_front(event);
            return false;
        }
    }
    true
}

fn speaks_ours(conn: &Conn) -> bool {
    conn.tls.alpn_protocol() == Some(ALPN)
}

/// The socket ended without a goodbye.
fn cut_off(conn: &Conn) -> Ending {
    if conn.phase != Phase::Handshaking {
        return Ending::new("reset", "the connection ended without a goodbye");
    }
    match conn.first.stranger() {
        Some(stranger) => Ending::new("not-swarmlet", stranger),
        None => Ending::new(
            "reset",
            "the peer closed the connection during the handshake",
        ),
    }
}

/// Returns what the peer's certificate says; it was verified in the handshake.
fn peer_of(tls: &Connection) -> Result<Option<Box<Peer>>, Ending> {
    let Some(leaf) = tls.peer_certificates().and_then(<[_]>::first) else {
        return Ok(None);
    };
    let facts =
        Certificate::read(leaf.as_ref()).map_err(|cause| Ending::protocol(cause.to_string()))?;
    let node = match facts.role() {
        Some((_, Role::Node(uid))) => Some(uid),
        _ => None,
    };
    let is_node = node.is_some();
    let ended = i128::from(facts.not_after_ms) < i128::from(wall_ms());
    Ok(Some(Box::new(Peer {
        node,
        serial: facts.serial.to_vec(),
        not_after_ms: facts.not_after_ms,
        expired: is_node && ended,
    })))
}
