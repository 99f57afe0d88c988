//! A node's identity: its key, the chain the cluster issued for it, and what it must remember of the cluster.
//!
//! What `meta` holds is Python's business; here it is bytes. The key leaves only as PKCS#8 inside Rust.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::error::{HostError, Kind};
use crate::keys::KeyPair;
use crate::leaf::Leaf;
use crate::slots::{self, Kinds, Payload, Reading, Slots};

/// Names the content of an identity slot.
const MAGIC: [u8; 8] = *b"SWLIDENT";
/// Names the content of the key of a join that was not answered yet.
const JOINING_MAGIC: [u8; 8] = *b"SWLJOINK";
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

/// Where a node's identity lives: two slots under one directory, and beside them the key of a join under way.
///
/// That key is on disk before it is sent: when the process ends between the cluster's verdict and the identity
/// on disk, the next run asks with the same key and is given the same answer, where a new key would find the
/// token used up.
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

    /// Saves `identity` durably and returns its generation. The key of a join under way has served.
    pub fn save(&self, identity: &Identity) -> Result<u64, HostError> {
        let generation = self.slots.save(&identity.encode())?;
        // Left behind it harms nobody: it is for one token, and that is used up.
        let _ = self.forget_joining();
        Ok(generation)
    }

    /// Returns the key with which to join by `token` (its id): the one of an earlier attempt with it that was
    /// not answered, else a new one, on disk before it is returned.
    ///
    /// A file that is damaged, open to others or for another token is replaced: nothing depends on it yet.
    pub fn joining(&self, token: &[u8; 16]) -> Result<KeyPair, HostError> {
        let path = self.joining_path();
        if let Ok(Reading::Whole {
            payload,
            private: true,
            ..
        }) = slots::read(&path, &JOINING_MAGIC)
        {
            let kept = payload.strip_prefix(token).and_then(KeyPair::from_pkcs8);
            if let Some(pair) = kept {
                return Ok(pair);
            }
        }
        let pair = KeyPair::generate()?;
        let mut payload = Zeroizing::new(Vec::with_capacity(token.len() + pair.pkcs8().len()));
        payload.extend_from_slice(token);
        payload.extend_from_slice(pair.pkcs8());
        self.slots.make_directory()?;
        slots::replace(&path, &slots::encode(&JOINING_MAGIC, 1, &payload))
            .map_err(|cause| self.slots.unwritable(&path, &cause))?;
        Ok(pair)
    }

    /// Overwrites and removes the key of a join under way, and the directory when nothing else is in it.
    pub fn forget_joining(&self) -> Result<(), HostError> {
        let path = self.joining_path();
        for path in [slots::temporary(&path), path] {
            slots::erase(&path).map_err(|cause| self.slots.unwritable(&path, &cause))?;
        }
        let _ = fs::remove_dir(self.slots.directory());
        Ok(())
    }

    /// Overwrites and removes both slots, and the key of a join under way.
    pub fn wipe(&self) -> Result<(), HostError> {
        self.slots.wipe()?;
        self.forget_joining()
    }

    fn joining_path(&self) -> PathBuf {
        self.slots.directory().join("joining")
    }
}
