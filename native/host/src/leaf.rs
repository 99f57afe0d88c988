//! What a leaf certificate says, as far as a node must know it: an owned copy of what core reads.
//!
//! This judges nothing: whether a chain is trusted is decided in the TLS handshake.

use swarmlet_core::x509::Certificate;

use crate::error::{HostError, Kind};

/// The facts of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Serial number, big endian, without a leading zero.
    pub serial: Vec<u8>,
    /// Start of validity, Unix milliseconds.
    pub not_before_ms: i64,
    /// End of validity, Unix milliseconds.
    pub not_after_ms: i64,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
    /// URI subject alternative names.
    pub uris: Vec<String>,
}

impl Leaf {
    /// Reads a DER certificate that carries an Ed25519 key.
    pub fn read(der: &[u8]) -> Result<Self, HostError> {
        let read = Certificate::read(der)
            .map_err(|cause| HostError::new(Kind::CertificateDamaged, cause.to_string()))?;
        let public_key = read.ed25519_key().ok_or_else(|| {
            HostError::new(
                Kind::CertificateDamaged,
                "the certificate's key is not Ed25519",
            )
        })?;
        Ok(Self {
            serial: read.serial.to_vec(),
            not_before_ms: read.not_before_ms,
            not_after_ms: read.not_after_ms,
            public_key,
            uris: read.uris().map(str::to_owned).collect(),
        })
    }
}
