//! A bound socket, and who may come in through it before having proved anything (D1).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use mio::net::TcpListener;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use swarmlet_core::lease::Millis;

use crate::limits::BACKLOG;

/// Limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Unproven connections; beyond them the rest waits in the kernel.
    pub max_unproven: usize,
    /// Unproven connections of one address; beyond them the rest is closed.
    pub max_per_address: usize,
    /// How long a handshake, and then the first frame, may take.
    pub handshake_ms: Millis,
    /// How long a connection may live without being admitted, whatever it does.
    pub unproven_ms: Millis,
}

/// A listening socket and its unproven connections.
#[derive(Debug)]
pub(crate) struct Listener {
    pub id: u32,
    pub socket: TcpListener,
    pub config: Arc<ServerConfig>,
    pub limits: ListenerLimits,
    /// Whether the poll tells of new connections.
    pub watched: bool,
    /// No descriptor was left: rest until then.
    pub rest_until: Option<Millis>,
    /// Who is inside without having proved anything.
    pub places: Places,
}

/// The places for unproven connections.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    most_per_address: usize,
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Whether a connection may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It may, and counts as unproven from now on.
    Admitted,
    /// Its address has too many unproven connections.
    TooMany,
}

impl Listener {
    pub fn new(
        id: u32,
        socket: TcpListener,
        config: Arc<ServerConfig>,
        limits: ListenerLimits,
    ) -> Self {
        Self {
            id,
            socket,
            config,
            limits,
            watched: false,
            rest_until: None,
            places: Places::new(limits.max_unproven, limits.max_per_address),
        }
    }
}

impl Places {
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            most_per_address,
            taken: 0,
            by_address: HashMap::new(),
        }
    }

    /// Says whether more connections may be accepted at all.
    pub fn has_room(&self) -> bool {
        self.taken < self.most
    }

    /// Counts a connection that was accepted.
    pub fn enter(&mut self, address: IpAddr) -> Entry {
        let count = self.by_address.entry(group(address)).or_default();
        if *count >= self.most_per_address {
            return Entry::TooMany;
        }
        *count += 1;
        self.taken += 1;
        Entry::Admitted
    }

    /// Counts an unproven connection that ended or proved itself.
    pub fn leave(&mut self, address: IpAddr) {
        let key = group(address);
        if let Some(count) = self.by_address.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_address.remove(&key);
            }
        }
        self.taken = self.taken.saturating_sub(1);
    }
}

/// Returns what counts as one address: a host has a whole /64 of IPv6 addresses to choose from.
pub(crate) fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Binds a socket and starts listening.
pub(crate) fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // [::] means every address of this host, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
