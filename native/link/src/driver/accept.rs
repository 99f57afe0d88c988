//! Letting connections in, as many as the limits before proof allow (D1).

use std::io;
use std::sync::Arc;

use mio::{Interest, Token};
use rustls::Connection;

use super::{Driver, LISTENERS, MAX_LISTENERS};
use crate::conn::{Conn, Phase, Side};
use crate::limits::{ACCEPT_REST_MS, ACCEPT_TURNS};
use crate::listener::{Entry, Listener};
use crate::tls::{self, ServerTls};

impl Driver {
    pub(super) fn listen(&mut self, listener: Listener) {
        if self.listeners.len() < MAX_LISTENERS {
            self.listeners.push(listener);
            self.watch(self.listeners.len() - 1);
        }
    }

    pub(super) fn set_tls(&mut self, id: u32, tls: &ServerTls) {
        // The material was checked when it was made; a config that cannot be built leaves the old one.
        if let Ok(config) = tls.config(&self.shared.deny) {
            if let Some(listener) = self.listeners.iter_mut().find(|one| one.id == id) {
                listener.config = config;
            }
        }
    }

    /// Accepts what waits, until a limit is reached: then the rest waits in the kernel.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPT_TURNS {
            let Some(listener) = self.listeners.get_mut(index) else {
                return;
            };
            if !listener.places.has_room() {
                return self.unwatch(index);
            }
            let (socket, address) = match listener.socket.accept() {
                Ok(accepted) => accepted,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => return,
                Err(cause) if is_passing(&cause) => continue,
                Err(_) => {
                    // Most likely no descriptor is left: others may end before long.
                    listener.rest_until = Some(self.now + ACCEPT_REST_MS);
                    return self.unwatch(index);
                }
            };
            self.shared.stats.accepted.up();
            if listener.places.enter(address.ip()) == Entry::TooMany {
                self.shared.stats.refused_address.up();
                continue;
            }
            self.admit_socket(index, socket, address);
        }
        // There may be more, and the poll only tells of new ones.
        self.unwatch(index);
        self.watch(index);
    }

    fn admit_socket(
        &mut self,
        index: usize,
        socket: mio::net::TcpStream,
        address: std::net::SocketAddr,
    ) {
        let Some(listener) = self.listeners.get_mut(index) else {
            return;
        };
        let Ok(tls) = tls::accept(&listener.config) else {
            return listener.places.leave(address.ip());
        };
        self.shared.stats.unproven.up();
        let side = Side::Server {
            listener: listener.id,
            patience: listener.limits.handshake_ms,
        };
        let (id, now) = (self.shared.new_conn(), self.now);
        let handshake_ends = now + listener.limits.handshake_ms;
        let life_ends = now + listener.limits.unproven_ms;
        super::outbound::tune(&socket);
        let inserted = self.insert(|slot| {
            let tls = Connection::Server(tls);
            let mut conn = Conn::new(id, slot, socket, address, side, tls, Arc::default());
            conn.phase = Phase::Handshaking;
            conn.phase_ends = handshake_ends;
            conn.life_ends = Some(life_ends);
            conn
        });
        if inserted.is_err() {
            self.leave(index, address.ip());
        }
    }

    /// Counts an unproven connection out, and lets the next one in.
    pub(super) fn proven_or_gone(&mut self, conn: &Conn) {
        let Side::Server { listener: id, .. } = conn.side else {
            return;
        };
        if let Some(index) = self.listeners.iter().position(|listener| listener.id == id) {
            self.leave(index, conn.address.ip());
        } else {
            self.shared.stats.unproven.down();
        }
    }

    fn leave(&mut self, index: usize, address: std::net::IpAddr) {
        self.shared.stats.unproven.down();
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.places.leave(address);
            if listener.places.has_room() && listener.rest_until.is_none() {
                self.watch(index);
            }
        }
    }

    /// Ends the rest of listeners that ran out of descriptors.
    pub(super) fn wake_listeners(&mut self) {
        for index in 0..self.listeners.len() {
            let Some(listener) = self.listeners.get_mut(index) else {
                return;
            };
            if listener.rest_until.is_some_and(|until| until <= self.now) {
                listener.rest_until = None;
                self.watch(index);
            }
        }
    }

    fn watch(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else {
            return;
        };
        if !listener.watched {
            let token = Token(LISTENERS + index);
            let registry = self.poll.registry();
            listener.watched = registry
                .register(&mut listener.socket, token, Interest::READABLE)
                .is_ok();
            if !listener.watched {
                listener.rest_until = Some(self.now + ACCEPT_REST_MS);
            }
        }
    }

    fn unwatch(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index).filter(|one| one.watched) {
            // A socket that cannot be deregistered was not registered.
            let _: io::Result<()> = self.poll.registry().deregister(&mut listener.socket);
            listener.watched = false;
        }
    }
}

/// Says whether an error is about the connection that was to be accepted, not about this listener.
fn is_passing(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}
