//! What the membership asks for during one call, kept to be done after it, and the words for what it tells.

use swarmlet_core::mesh::{
    Event as Said, Keyring, Peer, Signer, State, Why, Word, World, SIGNATURE,
};
use swarmlet_core::Uid;

use crate::event::Event;

/// What one call of the membership asks for, done after it.
#[derive(Default)]
pub(super) struct Outside {
    pub sends: Vec<(Peer, usize, usize)>,
    pub bytes: Vec<u8>,
    pub bodies: Vec<Box<[u8]>>,
    pub events: Vec<Event>,
}

/// The membership's world during one call.
pub(super) struct Call<'a> {
    pub outside: &'a mut Outside,
    pub keyring: &'a mut Keyring,
}

impl World for Call<'_> {
    fn send(&mut self, to: Peer, payload: &[u8]) {
        let start = self.outside.bytes.len();
        self.outside.bytes.extend_from_slice(payload);
        self.outside
            .sends
            .push((to, start, self.outside.bytes.len()));
    }

    fn sync(&mut self, body: &[u8]) {
        self.outside.bodies.push(body.into());
    }

    fn event(&mut self, event: Said<'_>) {
        let (what, uid, why, detail): (_, Uid, _, &[u8]) = match event {
            Said::InTouch => ("in-touch", [0; 16], "", &[]),
            Said::Joined(uid) => ("joined", uid, "", &[]),
            Said::Suspect(uid) => ("suspect", uid, "members", &[]),
            Said::Unreachable(uid, why) => ("unreachable", uid, why_word(why), &[]),
            Said::Back(uid) => ("back", uid, "", &[]),
            Said::Left(uid) => ("left", uid, "itself", &[]),
            Said::Updated(uid) => ("updated", uid, "itself", &[]),
            Said::Removed(uid, word) => ("removed", uid, word_word(word), &[]),
            Said::Expelled(word) => ("expelled", [0; 16], word_word(word), &[]),
            Said::Twin(_) => ("twin", [0; 16], "", &[]),
            Said::User(event) => ("event", event.origin, "", event.payload),
        };
        self.outside.events.push(Event::Gossip {
            what,
            uid,
            why,
            detail: detail.into(),
        });
    }

    fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        self.keyring.sign(kind, body)
    }

    fn verify(
        &mut self,
        signer: Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool {
        self.keyring.verify(signer, kind, body, signature)
    }
}

pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Alive => "alive",
        State::Suspect => "suspect",
        State::Unreachable => "unreachable",
        State::Left => "left",
        State::Gone => "gone",
    }
}

pub(super) fn why_word(why: Why) -> &'static str {
    match why {
        Why::Itself => "itself",
        Why::Members => "members",
        Why::Coordinator => "coordinator",
    }
}

fn word_word(word: Word) -> &'static str {
    match word {
        Word::Down => "down",
        Word::Removed => "removed",
        Word::Revoked => "revoked",
    }
}
