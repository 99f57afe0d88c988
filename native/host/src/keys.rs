//! Key pairs: a node's own, and the one with which a coordinator signs tokens.
//!
//! The private half lives in memory that is zeroed when it is dropped, and leaves this crate only as PKCS#8
//! inside Rust, for the TLS engine. `Debug` shows the public half.

use std::fmt;
use std::path::Path;

use ed25519_dalek::{Signer, SigningKey as SecretKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::csr;
use crate::error::{HostError, Kind};
use crate::secret::scrubbed;
use crate::slots::{self, Reading};

/// PKCS#8 version 1 around a 32-byte Ed25519 seed, RFC 8410 section 7.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Names the content of a token key file.
const TOKEN_KEY_MAGIC: [u8; 8] = *b"SWLTOKKY";

/// An Ed25519 key pair.
///
/// The private half stays where it was made on the heap and is zeroed there; signing makes a passing copy on a
/// stack that is overwritten.
pub struct KeyPair {
    seed: Box<Zeroizing<[u8; 32]>>,
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: [u8; 32],
}

impl KeyPair {
    /// Makes a new key pair from the system's random source.
    pub fn generate() -> Result<Self, HostError> {
        let mut seed = Box::new(Zeroizing::new([0_u8; 32]));
        getrandom::getrandom(seed.as_mut_slice()).map_err(|cause| {
            HostError::new(Kind::RandomUnavailable, format!("no random bytes: {cause}"))
        })?;
        Ok(Self::new(seed))
    }

    /// Reads the PKCS#8 form that [`KeyPair::pkcs8`] gives; `None` for any other bytes.
    pub fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let found: &[u8; 32] = bytes.strip_prefix(&PKCS8_PREFIX)?.try_into().ok()?;
        let mut seed = Box::new(Zeroizing::new([0_u8; 32]));
        seed.copy_from_slice(found);
        Some(Self::new(seed))
    }

    fn new(seed: Box<Zeroizing<[u8; 32]>>) -> Self {
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed.as_slice());
        let public_key = scrubbed(|| SecretKey::from_bytes(&seed).verifying_key().to_bytes());
        Self {
            seed,
            pkcs8,
            public_key,
        }
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// The private half as PKCS#8 version 1, for rustls; never to be handed to Python.
    pub fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// Signs `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        scrubbed(|| SecretKey::from_bytes(&self.seed).sign(message).to_bytes())
    }

    /// Returns a DER certification request (RFC 2986) for this key, with `common_name` for people to read.
    pub fn csr(&self, common_name: &str) -> Vec<u8> {
        csr::request(common_name, &self.public_key, |info| self.sign(info))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "KeyPair(public {})", hex(&self.public_key()))
    }
}

/// The coordinator's token key: one purpose, one file.
#[derive(Debug)]
pub struct SigningKey {
    pair: KeyPair,
}

impl SigningKey {
    /// Reads the key at `path`, or makes one there when nothing is.
    ///
    /// The file is checksummed like a slot. It is made under another name and linked into place, so that
    /// a crash leaves a whole key or none, and of two that make one at once the first wins for both.
    pub fn load_or_create(path: &Path) -> Result<Self, HostError> {
        if let Some(found) = Self::load(path)? {
            return Ok(found);
        }
        let pair = KeyPair::generate()?;
        let content = slots::encode(&TOKEN_KEY_MAGIC, 1, pair.pkcs8());
        match slots::create_once(path, &content) {
            Ok(true) => Ok(Self { pair }),
            Ok(false) => Self::load(path)?.ok_or_else(|| {
                HostError::new(Kind::KeyUnreadable, format!("{} went away", path.display()))
            }),
            Err(cause) => Err(HostError::from_io(Kind::KeyUnreadable, path, &cause)),
        }
    }

    fn load(path: &Path) -> Result<Option<Self>, HostError> {
        let reading = slots::read(path, &TOKEN_KEY_MAGIC)
            .map_err(|cause| HostError::from_io(Kind::KeyUnreadable, path, &cause))?;
        let damaged = || {
            HostError::new(
                Kind::KeyDamaged,
                format!("{} is not a whole key", path.display()),
            )
        };
        match reading {
            Reading::Missing => Ok(None),
            Reading::Damaged { .. } => Err(damaged()),
            Reading::Whole { private: false, .. } => Err(HostError::new(
                Kind::KeyPermissions,
                format!(
                    "{} can be read by others or belongs to another user",
                    path.display()
                ),
            )),
            Reading::Whole { payload, .. } => KeyPair::from_pkcs8(&payload)
                .map(|pair| Some(Self { pair }))
                .ok_or_else(damaged),
        }
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.pair.public_key()
    }

    /// The private half, for a crate that derives other secrets from it; never to be handed to Python.
    pub fn seed(&self) -> &[u8; 32] {
        &self.pair.seed
    }

    /// First 8 bytes of SHA-256 of the public key.
    pub fn kid(&self) -> [u8; 8] {
        let mut kid = [0_u8; 8];
        for (to, from) in kid.iter_mut().zip(Sha256::digest(self.public_key())) {
            *to = from;
        }
        kid
    }

    /// Returns `claims || signature`; the signature covers the domain prefix and the claims.
    pub fn sign_claims(&self, claims: &[u8]) -> Vec<u8> {
        scrubbed(|| swarmlet_core::token::sign_claims(&self.pair.seed, claims))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
