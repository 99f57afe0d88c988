//! Signatures for simulations of thousands of statements a second: a hash that the owner alone computes, by agreement.

use swarmlet_core::mesh::{kind, Credential, Signer, CREDENTIAL, SIGNATURE};
use swarmlet_core::Uid;

/// The identifier of a node of the simulation: spread like random ones, and readable back.
pub fn uid_of(node: usize) -> Uid {
    let mut uid = [0x5a; 16];
    uid[..8].copy_from_slice(
        &(node as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes(),
    );
    uid[8..].copy_from_slice(&(node as u64).to_be_bytes());
    uid
}

pub fn index_of(uid: &Uid) -> usize {
    u64::from_be_bytes(uid[8..].try_into().unwrap()) as usize
}

/// Signs and verifies, and counts.
#[derive(Default)]
pub struct Signatures {
    pub signed: u64,
    pub verified: u64,
}

impl Signatures {
    pub fn sign(&mut self, node: usize, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        self.signed += 1;
        made(&member_key(node), kind, body)
    }

    pub fn verify(
        &mut self,
        signer: Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool {
        self.verified += 1;
        let key = match signer {
            Signer::Coordinator => &[0xc0; 32],
            Signer::Member(key) => key,
        };
        made(key, kind, body) == *signature
    }

    pub fn coordinator_signs(&self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        made(&[0xc0; 32], kind, body)
    }

    pub fn credential(&self, node: usize, now_ms: u64) -> [u8; CREDENTIAL] {
        let body = Credential {
            uid: uid_of(node),
            exchange: [7; 32],
            signing: member_key(node),
            issued_ms: now_ms,
            expires_ms: now_ms + 86_400_000,
        }
        .body();
        let signature = self.coordinator_signs(kind::CREDENTIAL, &body);
        [&body[..], &signature].concat().try_into().unwrap()
    }
}

pub fn member_key(node: usize) -> [u8; 32] {
    let mut key = [1; 32];
    key[..8].copy_from_slice(&(node as u64).to_be_bytes());
    key
}

fn made(key: &[u8; 32], kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
    let mut state = u64::from(kind) ^ 0x5eed;
    for part in key.chunks(8).chain(body.chunks(8)) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        state = (state ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= state >> 29;
    }
    let mut signature = [0; SIGNATURE];
    signature[..8].copy_from_slice(&state.to_be_bytes());
    signature
}
