//! The mesh's turns: its socket under the poll's eye, its commands, its time.

use mio::Interest;

use super::{Driver, GOSSIP};
use crate::mailbox::GossipCommand;

impl Driver {
    /// Says whether datagrams were left unread.
    pub(super) fn gossip_waits(&self) -> bool {
        self.gossip.as_ref().is_some_and(|gossip| gossip.readable)
    }

    pub(super) fn gossip_came(&mut self) {
        if let Some(gossip) = &mut self.gossip {
            gossip.readable = true;
        }
    }

    pub(super) fn gossip_turn(&mut self) {
        if let Some(gossip) = &mut self.gossip {
            gossip.turn(&self.shared.stats, &self.shared.events);
        }
    }

    pub(super) fn gossip_command(&mut self, command: GossipCommand) {
        match command {
            GossipCommand::Start(mut gossip) => {
                if let Some(socket) = &mut gossip.socket {
                    let registry = self.poll.registry();
                    // Without the poll's eye it is as if UDP did not reach this node; the link goes on.
                    let _ = registry.register(socket, GOSSIP, Interest::READABLE);
                }
                self.gossip = Some(gossip);
            }
            GossipCommand::Stop(answer) => {
                self.gossip = None;
                // Nobody listens any more when the caller gave up waiting.
                let _ = answer.try_send(());
            }
            other => self.gossip_asked(other),
        }
    }

    fn gossip_asked(&mut self, command: GossipCommand) {
        let Some(gossip) = &mut self.gossip else {
            return;
        };
        match command {
            GossipCommand::Refresh(grant, cluster_ms) => gossip.refresh(*grant, cluster_ms),
            GossipCommand::Body(conn, body) => gossip.receive_body(conn, &body),
            GossipCommand::Declare(word, uid, until_ms) => gossip.declare(word, uid, until_ms),
            GossipCommand::Broadcast(payload, answer) => {
                let _ = answer.try_send(gossip.broadcast(&payload));
            }
            GossipCommand::Members(answer) => {
                let _ = answer.try_send(gossip.members());
            }
            GossipCommand::Leave => gossip.leave(),
            GossipCommand::Start(_) | GossipCommand::Stop(_) => {}
        }
    }
}
