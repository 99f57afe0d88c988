//! What can be seen of a simulated cluster from outside.

use swarmlet_core::mesh::{Membership, State};
use swarmlet_core::Uid;

use super::keys::uid_of;
use super::Sim;

impl Sim {
    /// Counts pairs of live nodes of which the first does not see the second alive. A suspicion is none yet.
    pub fn unseen(&self) -> usize {
        let uids: Vec<Uid> = self.live().map(|(at, _)| uid_of(at)).collect();
        let sees = |membership: &Membership, uid: &Uid| {
            matches!(membership.state_of(uid), State::Alive | State::Suspect)
        };
        self.live()
            .map(|(_, m)| uids.iter().filter(|uid| !sees(m, uid)).count())
            .sum()
    }

    /// Counts live nodes that do not hold `about` for unreachable.
    pub fn unaware(&self, about: usize) -> usize {
        let uid = uid_of(about);
        let unaware = self
            .live()
            .filter(|(_, m)| m.state_of(&uid) != State::Unreachable);
        unaware.count()
    }

    /// Counts different views among the live nodes.
    pub fn views(&self) -> usize {
        let hashes: std::collections::BTreeSet<u64> =
            self.live().map(|(_, m)| m.view_hash()).collect();
        hashes.len()
    }

    /// Counts live nodes that did not hear an event.
    pub fn deaf(&self, payload: &[u8], origin: usize) -> usize {
        let all = self.live().filter(|(at, _)| *at != origin);
        all.filter(|(at, _)| !self.nodes[*at].heard.contains_key(payload))
            .count()
    }
}
