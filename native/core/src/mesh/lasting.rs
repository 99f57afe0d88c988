//! What lets a process stay a member for longer than its first credential, and than an outage of its UDP.

use super::health::MS;
use super::membership::{Membership, ME};
use super::queue::Item;
use super::statement::SignedCredential;
use super::wire::Message;
use super::{Now, World};

/// Intervals of probing between two tries of a node that UDP does not reach.
const KNOCK: u64 = 30;

impl Membership {
    /// Goes on with a newer credential of the same keys, and tells everybody of it.
    ///
    /// Returns false, and changes nothing, for any other, and while the one before has half of a life left: each
    /// costs every member a check, and every new one has to reach all before the old one ends.
    pub fn recertify(&mut self, credential: &[u8], now: Now, world: &mut dyn World) -> bool {
        self.advance(now);
        let Some(signed) = SignedCredential::parse(credential) else {
            return false;
        };
        let Some(me) = self.table.get_mut(ME) else {
            return false;
        };
        let (old, new) = (&me.credential.says, &signed.says);
        let same = (old.uid, old.signing, old.exchange) == (new.uid, new.signing, new.exchange);
        let life = new.expires_ms.saturating_sub(new.issued_ms);
        let left = old.expires_ms.saturating_sub(self.at.cluster);
        if !same || new.issued_ms <= old.issued_ms || left > life / 2 {
            return false;
        }
        me.credential = signed;
        let version = me.version;
        self.rehash(ME);
        self.tell(Item::Introduction(ME, version), true);
        self.tick(now, world);
        true
    }

    /// Asks one member for an answer, as a node that UDP did not reach: whether it does now is for the owner to see.
    pub(super) fn knock(&mut self, world: &mut dyn World) {
        let pause = KNOCK * u64::from(self.config.probe_interval_ms) * MS;
        self.timers.reconnect = self.at.run + self.rng.about(pause);
        let drawn = self.table.draw_some::<1>(1, None, &mut self.rng);
        let slot = drawn.as_slice().first();
        let Some(peer) = slot.and_then(|slot| self.table.get(*slot).map(|member| member.peer()))
        else {
            return;
        };
        self.out.clear();
        let (nonce, hash) = (self.rng.next() as u32, self.view_hash());
        self.knocked = Some(nonce);
        Message::Ping(nonce, hash).put(&mut self.out);
        self.send(peer, world);
    }
}
