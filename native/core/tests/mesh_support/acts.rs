//! What the coordinator and a slanderer do to a simulated cluster.

use swarmlet_core::mesh::{kind, Accusation, Peer, State, Verdict, Why, Word};

use super::keys::uid_of;
use super::{message, net, Sim, EPOCH_MS, HUB, SECOND};

impl Sim {
    /// The coordinator says of everybody whose lease lapsed that it is down.
    pub fn lapse_leases(&mut self) {
        for node in 1..self.nodes.len() {
            let lapsed = self.now >= self.nodes[node].crashed_at + 15 * SECOND;
            let hub = self.nodes[HUB].membership.as_ref().unwrap();
            let state = hub
                .member(&uid_of(node))
                .map(|member| (member.state, member.why));
            let open = matches!(state, Some((State::Alive | State::Suspect, _)))
                || matches!(state, Some((State::Unreachable, Why::Members)));
            if self.nodes[node].membership.is_none() && lapsed && open {
                self.condemn(node, false);
            }
        }
    }

    /// The coordinator says that a node is down, or revokes it.
    pub fn condemn(&mut self, node: usize, revoked: bool) {
        let uid = uid_of(node);
        let incarnation = self.nodes[HUB].membership.as_ref().unwrap().member(&uid);
        let verdict = Verdict {
            word: if revoked { Word::Revoked } else { Word::Down },
            subject: uid,
            bound: match revoked {
                true => EPOCH_MS,
                false => incarnation.unwrap().incarnation,
            },
            until_ms: EPOCH_MS + 86_400_000,
        };
        let body = verdict.body();
        let signature = self.signatures.coordinator_signs(kind::VERDICT, &body);
        let message = message(kind::VERDICT, &[&body, &signature]);
        self.call(HUB, |membership, now, world| {
            assert!(membership.announce(&message, now, world));
            membership.tick(now, world)
        });
    }

    /// A member signs that another one does not answer, and tells everybody.
    pub fn slander(&mut self, evil: usize, victim: usize) {
        let Some(view) = self.nodes[evil]
            .membership
            .as_ref()
            .unwrap()
            .member(&uid_of(victim))
        else {
            return;
        };
        let body = Accusation {
            accuser: uid_of(evil),
            subject: uid_of(victim),
            incarnation: view.incarnation,
            at_ms: self.times().cluster_ms,
        }
        .body();
        let signature = self.signatures.sign(evil, kind::ACCUSATION, &body);
        let mut packet = message(kind::ACCUSATION, &[&body, &signature]);
        packet.extend(message(kind::DOUBT, &[&view.incarnation.to_be_bytes()]));
        for node in 0..self.nodes.len() {
            let to = Peer {
                uid: uid_of(node),
                addr: net::addr_of(node),
            };
            self.transmit(evil, to, packet.clone().into());
        }
    }
}
