//! A node's identity: its key, the chain the cluster issued for it, and what it must remember of the cluster.
//!
//! What `meta` holds is Python's business; here it is bytes. The key leaves only as PKCS#8 inside Rust.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::error::{HostError, Kind};
use crate::keys::KeyPair;
use crate::leaf::Leaf;
use crate::slots::{Kinds, Payload, Slots};

/// Names the content of an identity slot.
const MAGIC: [u8; 8] = *b"SWLIDENT";
/// A chain is leaf, intermediate, root; a rotation of the root adds one cross-signed.
const CHAIN_MAX: usize = 8;

/// A key, its certificate chain (DER, leaf first) and opaque `meta`.
#[derive(Clone)]
pub struct Identity {
    pkcs8: Zeroizing<Vec<u8>>,
    chain: Vec<Vec<u8>>,
    meta: Vec<u8>,
    leaf: Leaf,
    generation: u64,
}

impl Identity {
    /// Binds `chain` to `key`; refuses a leaf that is for another key.
    pub fn create(key: &KeyPair, chain: Vec<Vec<u8>>, meta: Vec<u8>) -> Result<Self, HostError> {
        if chain.len() > CHAIN_MAX {
            let detail = format!("a chain of {} certificates is too long", chain.len());
            return Err(HostError::new(Kind::CertificateDamaged, detail));
        }
        let first = chain
            .first()
            .ok_or_else(|| HostError::new(Kind::CertificateDamaged, "the chain is empty"))?;
        let leaf = Leaf::read(first)?;
        if leaf.public_key != key.public_key() {
            return Err(HostError::new(
                Kind::IdentityMismatch,
                "the certificate is not for this key",
            ));
        }
        Ok(Self {
            pkcs8: key.pkcs8().clone(),
            chain,
            meta,
            leaf,
            generation: 0,
        })
    }

    /// The same identity with other `meta`.
    pub fn with_meta(&self, meta: Vec<u8>) -> Self {
        Self {
            meta,
            ..self.clone()
        }
    }

    /// The private key as PKCS#8, for rustls; never to be handed to Python.
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// The chain, DER, leaf first.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// What Python keeps with it.
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// What the leaf certificate says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The slot generation it was read from; 0 before it was ever saved.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Key, chain and meta, each after its length (u32, big endian), the chain after its count (u8).
    fn encode(&self) -> Payload {
        let parts = || {
            let chain = self.chain.iter().map(Vec::as_slice);
            std::iter::once(self.pkcs8.as_slice())
                .chain(chain)
                .chain(std::iter::once(self.meta.as_slice()))
        };
        let length: usize = parts().map(|part| part.len() + 4).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(length + 1));
        out.push(self.chain.len() as u8);
        for part in parts() {
            out.extend_from_slice(&(part.len() as u32).to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    fn decode(generation: u64, payload: &[u8]) -> Option<Self> {
        let (count, mut rest) = payload.split_first()?;
        let mut take = || -> Option<&[u8]> {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = after;
            Some(part)
        };
        let key = KeyPair::from_pkcs8(take()?)?;
        let mut chain = Vec::new();
        for _ in 0..*count {
            chain.push(take()?.to_vec());
        }
        let meta = take()?.to_vec();
        if !rest.is_empty() {
            return None;
        }
        let identity = Self::create(&key, chain, meta).ok()?;
        Some(Self {
            generation,
            ..identity
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "Identity(uris {:?}, generation {})",
            self.leaf.uris, self.generation
        )
    }
}

/// Where a node's identity lives: two slots under one directory.
#[derive(Debug)]
pub struct IdentityStore {
    slots: Slots,
}

impl IdentityStore {
    /// Uses `directory`, which is made by the first save.
    pub fn new(directory: PathBuf) -> Self {
        let kinds = Kinds {
            damaged: Kind::IdentityDamaged,
            unreadable: Kind::IdentityUnreadable,
            unwritable: Kind::IdentityUnwritable,
            permissions: Some(Kind::IdentityPermissions),
        };
        Self {
            slots: Slots::new(directory, MAGIC, kinds),
        }
    }

    /// Returns the newest whole identity, or `None` when there is none.
    pub fn load(&self) -> Result<Option<Identity>, HostError> {
        let Some((generation, payload)) = self.slots.load()? else {
            return Ok(None);
        };
        // The checksum held, so only a foreign writer can make this fail.
        let identity = Identity::decode(generation, &payload).ok_or_else(|| {
            let [a, b] = self.slots.paths();
            let detail = format!("no identity in {} and {}", a.display(), b.display());
            HostError::new(Kind::IdentityDamaged, detail)
        })?;
        Ok(Some(identity))
    }

    /// Returns the slots that exist and are not whole.
    pub fn damaged(&self) -> Result<Vec<PathBuf>, HostError> {
        self.slots.damaged()
    }

    /// Saves `identity` durably and returns its generation.
    pub fn save(&self, identity: &Identity) -> Result<u64, HostError> {
        self.slots.save(&identity.encode())
    }

    /// Overwrites and removes both slots.
    pub fn wipe(&self) -> Result<(), HostError> {
        self.slots.wipe()
    }
}
