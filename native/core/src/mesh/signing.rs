//! Signatures of statements: made with this node's key, checked strictly and once.

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};

use super::session::Secret;
use super::statement::SIGNATURE;
use super::Signer;
use crate::signature;
use crate::Uid;

/// Separates statements of the mesh from everything else that the key signs.
const DOMAIN: &[u8] = b"swarmlet/mesh/statement/v1\0";
/// How many signatures that held are remembered, 16 bytes each.
const REMEMBERED: usize = 4096;

/// Returns the Ed25519 public key that belongs to a seed.
pub fn public_of(seed: &Secret) -> [u8; 32] {
    SigningKey::from_bytes(seed.expose())
        .verifying_key()
        .to_bytes()
}

/// Signs one statement with a seed that is not kept for more.
pub(super) fn sign_once(seed: &Secret, cluster: &Uid, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
    let mut message = Vec::with_capacity(DOMAIN.len() + cluster.len() + 1 + body.len());
    compose(&mut message, cluster, kind, body);
    SigningKey::from_bytes(seed.expose())
        .sign(&message)
        .to_bytes()
}

fn compose(message: &mut Vec<u8>, cluster: &Uid, kind: u8, body: &[u8]) {
    message.clear();
    message.extend_from_slice(DOMAIN);
    message.extend_from_slice(cluster);
    message.push(kind);
    message.extend_from_slice(body);
}

/// The keys by which this node signs and judges statements.
pub struct Keyring {
    own: SigningKey,
    coordinator: [u8; 32],
    cluster: Uid,
    /// By the hash of everything that was verified, two places for each.
    held: Box<[[u8; 16]]>,
    message: Vec<u8>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring(..)")
    }
}

impl Keyring {
    /// Keeps a node's Ed25519 seed (who made it wipes their own copy), and the coordinator's public key.
    pub fn new(seed: &[u8; 32], coordinator: [u8; 32], cluster: Uid) -> Self {
        Self {
            own: SigningKey::from_bytes(seed),
            coordinator,
            cluster,
            held: vec![[0; 16]; REMEMBERED].into_boxed_slice(),
            message: Vec::with_capacity(1024),
        }
    }

    /// The same with a seed that is kept as a secret.
    pub fn of(seed: &Secret, coordinator: [u8; 32], cluster: Uid) -> Self {
        Self::new(seed.expose(), coordinator, cluster)
    }

    /// Returns the Ed25519 public key that belongs to the seed.
    pub fn public(&self) -> [u8; 32] {
        self.own.verifying_key().to_bytes()
    }

    /// Signs a statement.
    pub fn sign(&mut self, kind: u8, body: &[u8]) -> [u8; SIGNATURE] {
        compose(&mut self.message, &self.cluster, kind, body);
        self.own.sign(&self.message).to_bytes()
    }

    /// Says whether a statement is signed by `signer`. What held once is known by its hash.
    pub fn verify(
        &mut self,
        signer: Signer<'_>,
        kind: u8,
        body: &[u8],
        signature: &[u8; SIGNATURE],
    ) -> bool {
        let coordinator = self.coordinator;
        let key = match signer {
            Signer::Coordinator => &coordinator,
            Signer::Member(key) => key,
        };
        compose(&mut self.message, &self.cluster, kind, body);
        let hash: [u8; 32] = Sha256::new()
            .chain_update(key)
            .chain_update(signature)
            .chain_update(&self.message)
            .finalize()
            .into();
        let [a, b, c, d, ..] = hash;
        let at = u32::from_be_bytes([a, b, c, d]) as usize % (REMEMBERED / 2) * 2;
        let Some((short, places)) = hash.first_chunk::<16>().zip(self.held.get_mut(at..at + 2))
        else {
            return false;
        };
        if places.contains(short) {
            return true;
        }
        let holds = signature::verify(key, &self.message, signature);
        if let [first, second] = places {
            if holds {
                (*second, *first) = (*first, *short);
            }
        }
        holds
    }
}
