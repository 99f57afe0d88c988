//! The engine's calls that are about the mesh.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{sync_channel, RecvTimeoutError};

use mio::net::UdpSocket;
use swarmlet_core::mesh::{Grant, Word};
use swarmlet_core::Uid;

use crate::ending::describe;
use crate::engine::{parse, Engine, EngineError, GRACE};
use crate::gossip::{Gossip, Gossiper, MemberView};
use crate::mailbox::{Command, GossipCommand, PostError};

/// Where to gossip.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `ip:port` at which others reach this node.
    pub address: &'a str,
    /// Whether another port will do when this one is taken.
    pub movable: bool,
}

impl Engine {
    /// Begins to gossip, in place of what was; returns where, or `None` when UDP cannot reach this node there.
    ///
    /// # Errors
    /// The port is taken or forbidden, or the description is not as it should be.
    pub fn gossip_start(
        &self,
        who: Gossiper,
        place: Place<'_>,
    ) -> Result<Option<SocketAddr>, EngineError> {
        let wanted = parse(place.address)?;
        self.gossip_stop()?;
        let socket = match bind(wanted, place.movable) {
            Ok(socket) => Some(socket),
            // The cluster sees this node at an address that is another machine's: nobody gets through by UDP.
            Err(cause) if cause.kind() == io::ErrorKind::AddrNotAvailable => None,
            Err(cause) => {
                let kind = match cause.kind() {
                    io::ErrorKind::AddrInUse => "port-in-use",
                    io::ErrorKind::PermissionDenied => "port-forbidden",
                    _ => "address-unavailable",
                };
                let detail = format!("{wanted}: {}", describe(&cause));
                return Err(EngineError::new(kind, detail));
            }
        };
        let bound = socket.as_ref().map(UdpSocket::local_addr).transpose();
        let bound =
            bound.map_err(|cause| EngineError::new("address-unavailable", describe(&cause)))?;
        let gossip = Gossip::new(who, socket, bound.unwrap_or(wanted))
            .map_err(|what| EngineError::new("gossip-damaged", what))?;
        self.gossip_post(GossipCommand::Start(Box::new(gossip)))?;
        Ok(bound)
    }

    /// Uses the epochs of another grant.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_refresh(&self, grant: Grant, cluster_ms: u64) -> Result<(), EngineError> {
        self.gossip_post(GossipCommand::Refresh(Box::new(grant), cluster_ms))
    }

    /// Takes a body of anti-entropy that came over `conn`.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_body(&self, conn: u64, body: &[u8]) -> Result<(), EngineError> {
        self.gossip_post(GossipCommand::Body(conn, body.into()))
    }

    /// Says as the coordinator what became of a member.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_declare(&self, word: Word, uid: Uid, until_ms: u64) -> Result<(), EngineError> {
        self.gossip_post(GossipCommand::Declare(word, uid, until_ms))
    }

    /// Tells every member an event once; false when it is too long or there is no mesh.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_broadcast(&self, payload: &[u8]) -> Result<bool, EngineError> {
        self.gossip_ask(|answer| GossipCommand::Broadcast(payload.into(), answer))
    }

    /// Returns every member; nobody without a mesh.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_members(&self) -> Result<Vec<MemberView>, EngineError> {
        self.gossip_ask(GossipCommand::Members)
    }

    /// Says goodbye to the others.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_leave(&self) -> Result<(), EngineError> {
        self.gossip_post(GossipCommand::Leave)
    }

    /// Ends the mesh of this process and gives its port up.
    ///
    /// # Errors
    /// The engine does not keep up.
    pub fn gossip_stop(&self) -> Result<(), EngineError> {
        self.gossip_ask(GossipCommand::Stop)
    }

    fn gossip_post(&self, command: GossipCommand) -> Result<(), EngineError> {
        self.post_unless_stopped(Command::Gossip(command))
    }

    fn gossip_ask<T: Default>(
        &self,
        make: impl FnOnce(std::sync::mpsc::SyncSender<T>) -> GossipCommand,
    ) -> Result<T, EngineError> {
        let (answer, answered) = sync_channel(1);
        self.gossip_post(make(answer))?;
        match answered.recv_timeout(GRACE) {
            Ok(value) => Ok(value),
            // There is no mesh, or the thread ended with the command unread.
            Err(RecvTimeoutError::Disconnected) => Ok(T::default()),
            Err(RecvTimeoutError::Timeout) => Err(PostError::Busy.into()),
        }
    }
}

fn bind(wanted: SocketAddr, movable: bool) -> io::Result<UdpSocket> {
    match UdpSocket::bind(wanted) {
        Err(cause) if movable && cause.kind() == io::ErrorKind::AddrInUse => {
            UdpSocket::bind(SocketAddr::new(wanted.ip(), 0))
        }
        other => other,
    }
}
