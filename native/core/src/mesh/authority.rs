//! What the coordinator gives a member so that it may gossip: a credential and the keys of epochs, sealed for it alone.
//!
//! Everything the coordinator needs for the mesh follows from one root secret, so that it is the same after a restart.
//! A grant is opened with the member's own secret; nothing between the two, and nothing written in another language,
//! ever holds a key of an epoch.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;

use super::session::{Secret, TAG};
use super::signing::{public_of, sign_once, Keyring};
use super::statement::{kind, Credential, CREDENTIAL};
use crate::bytes::Reader;
use crate::Uid;

const SIGNING: &[u8] = b"swarmlet/mesh/root/v1 signing\0";
const EXCHANGE: &[u8] = b"swarmlet/mesh/root/v1 exchange\0";
const EPOCH: &[u8] = b"swarmlet/mesh/root/v1 epoch\0";
const GRANT: &[u8] = b"swarmlet/mesh/grant/v1\0";

const NONCE: usize = 12;
/// The most epochs in a grant: the one before, the current, the next.
const MOST_EPOCHS: usize = 3;
/// Bytes of a grant besides its epochs: nonce, credential, current epoch, tag.
const FIXED: usize = NONCE + CREDENTIAL + 8 + TAG;

/// The coordinator's keys of the mesh.
pub struct Authority {
    cluster: Uid,
    signing: Secret,
    signing_public: [u8; 32],
    exchange: Secret,
    exchange_public: [u8; 32],
    epochs: Secret,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl Authority {
    /// Derives the keys of a cluster from its root secret; `None` never.
    pub fn new(root: &Secret, cluster: Uid) -> Option<Self> {
        let signing = root.derive(&cluster, &[SIGNING])?;
        let exchange = root.derive(&cluster, &[EXCHANGE])?;
        Some(Self {
            cluster,
            signing_public: public_of(&signing),
            signing,
            exchange_public: exchange.public(),
            exchange,
            epochs: root.derive(&cluster, &[EPOCH])?,
        })
    }

    /// Returns what the coordinator signs with, and verifies by: it is a member like the others.
    pub fn keyring(&self) -> Keyring {
        Keyring::of(&self.signing, self.signing_public, self.cluster)
    }

    /// Returns the Ed25519 public key that signs credentials and verdicts.
    pub fn signing(&self) -> [u8; 32] {
        self.signing_public
    }

    /// Returns the X25519 public key of the coordinator.
    pub fn exchange(&self) -> [u8; 32] {
        self.exchange_public
    }

    /// Returns the X25519 secret of the coordinator.
    pub fn secret(&self) -> Secret {
        self.exchange.clone()
    }

    /// Returns the key of an epoch; `None` never.
    pub fn epoch(&self, number: u64) -> Option<Secret> {
        self.epochs.derive(&self.cluster, &[&number.to_be_bytes()])
    }

    /// Signs a credential.
    pub fn credential(&self, says: &Credential) -> [u8; CREDENTIAL] {
        let body = says.body();
        let signature = sign_once(&self.signing, &self.cluster, kind::CREDENTIAL, &body);
        crate::bytes::concat(&[&body, &signature])
    }

    /// Seals a credential and the keys of `epochs` for its owner; `None` when its key is none.
    ///
    /// `nonce` is drawn at random for each grant.
    pub fn grant(
        &self,
        says: &Credential,
        epochs: &[u64],
        current: u64,
        nonce: [u8; NONCE],
    ) -> Option<Vec<u8>> {
        let key = grant_key(&self.exchange, &says.exchange, &self.cluster, &says.uid)?;
        let mut out = Vec::with_capacity(FIXED + epochs.len() * 40);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&self.credential(says));
        out.extend_from_slice(&current.to_be_bytes());
        for number in epochs.iter().take(MOST_EPOCHS) {
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(self.epoch(*number)?.expose());
        }
        let (_, content) = out.split_at_mut_checked(NONCE)?;
        let cipher = ChaCha20Poly1305::new(key.expose().into());
        let tag = cipher.encrypt_in_place_detached(&nonce.into(), GRANT, content);
        out.extend_from_slice(&tag.ok()?);
        Some(out)
    }
}

/// What a member was granted.
#[derive(Debug)]
pub struct Grant {
    /// Its credential, with the coordinator's signature.
    pub credential: [u8; CREDENTIAL],
    /// What that says.
    pub says: Credential,
    /// The epoch to send in.
    pub current: u64,
    /// Keys of epochs by their numbers.
    pub epochs: Vec<(u64, Secret)>,
}

impl Grant {
    /// Opens a grant; `None` when it is not for the owner of `secret`, not from the owner of `coordinator` (an X25519
    /// public key), or damaged.
    pub fn open(
        sealed: &[u8],
        secret: &Secret,
        coordinator: &[u8; 32],
        cluster: &Uid,
        uid: &Uid,
    ) -> Option<Self> {
        if sealed.len() < FIXED || sealed.len() > FIXED + MOST_EPOCHS * 40 {
            return None;
        }
        let key = grant_key(secret, coordinator, cluster, uid)?;
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
        let (content, tag) = rest.split_last_chunk::<TAG>()?;
        let mut content = zeroize::Zeroizing::new(content.to_vec());
        let cipher = ChaCha20Poly1305::new(key.expose().into());
        cipher
            .decrypt_in_place_detached(nonce.into(), GRANT, &mut content, tag.into())
            .ok()?;
        let mut from = Reader(&content);
        let credential: [u8; CREDENTIAL] = from.array()?;
        let says = Credential::parse(&credential).filter(|says| says.uid == *uid)?;
        let current = from.u64()?;
        let mut epochs = Vec::with_capacity(MOST_EPOCHS);
        while !from.is_empty() {
            epochs.push((from.u64()?, Secret::new(from.array()?)));
        }
        Some(Self {
            credential,
            says,
            current,
            epochs,
        })
    }
}

fn grant_key(own: &Secret, theirs: &[u8; 32], cluster: &Uid, uid: &Uid) -> Option<Secret> {
    own.shared(theirs)?.derive(cluster, &[GRANT, uid])
}
