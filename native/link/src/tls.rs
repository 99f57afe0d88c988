//! TLS as the protocol uses it: version 1.3 only, ALPN `swarmlet/1`, Ed25519, no resumption, no early data (C9).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::ring::{kx_group, sign};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, TrustAnchor};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use swarmlet_core::x509::{Certificate, Role};
use swarmlet_core::Uid;
use zeroize::Zeroizing;

use crate::verify::{ClusterId, NodeVerifier, Pin, PinVerifier, SharedDeny};

/// The application protocol both sides must name.
pub const ALPN: &[u8] = b"swarmlet/1";

/// Label of the exporter that ties a join to its connection (RFC 8446, section 7.5).
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-swarmlet-join-v1";

/// A private key and the certificates for it.
pub struct Credentials {
    /// The key as PKCS#8.
    pub pkcs8: Zeroizing<Vec<u8>>,
    /// DER certificates, leaf first.
    pub chain: Vec<Vec<u8>>,
}

/// Why material for TLS cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// No pin was given: there would be nothing to trust.
    NoPins,
    /// The cluster id is not 32 hexadecimal digits.
    ClusterId,
    /// A certificate cannot be read, or there is none.
    Certificate,
    /// The key is not the leaf's.
    Mismatch,
}

impl TlsError {
    /// Returns the stable slug.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::NoPins => "pins-missing",
            Self::ClusterId => "cluster-id",
            Self::Certificate => "certificate-damaged",
            Self::Mismatch => "identity-mismatch",
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NoPins => "a connection needs the pin of the cluster's root",
            Self::ClusterId => "a cluster id has 32 lower-case hexadecimal digits",
            Self::Certificate => "a certificate cannot be read",
            Self::Mismatch => "the certificate is not for this key",
        })
    }
}

impl std::error::Error for TlsError {}

/// Reads a cluster id; the empty text means any cluster.
pub fn parse_cluster(text: &str) -> Result<Option<ClusterId>, TlsError> {
    if text.is_empty() {
        return Ok(None);
    }
    let well_formed = text.len() == 32
        && text
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !well_formed {
        return Err(TlsError::ClusterId);
    }
    let number = u128::from_str_radix(text, 16).map_err(|_| TlsError::ClusterId)?;
    Ok(Some(number.to_be_bytes()))
}

/// What a listener shows and whom it trusts.
#[derive(Clone)]
pub struct ServerTls {
    key: Arc<CertifiedKey>,
    root: TrustAnchor<'static>,
    cluster: ClusterId,
}

impl ServerTls {
    /// Makes the TLS of a listener. The root is sent after the chain, so that a node can hash its key.
    ///
    /// # Errors
    /// The chain, the root or the cluster id cannot be used, or the key is not the leaf's.
    pub fn new(credentials: &Credentials, root: &[u8], cluster_id: &str) -> Result<Self, TlsError> {
        let cluster = parse_cluster(cluster_id)?.ok_or(TlsError::ClusterId)?;
        let mut chain = credentials.chain.clone();
        if chain.is_empty() {
            return Err(TlsError::Certificate);
        }
        if chain.last().map(Vec::as_slice) != Some(root) {
            chain.push(root.to_vec());
        }
        let root = CertificateDer::from(root);
        let anchor = webpki::anchor_from_trusted_cert(&root)
            .map_err(|_| TlsError::Certificate)?
            .to_owned();
        Ok(Self {
            key: certified(&credentials.pkcs8, &chain)?,
            root: anchor,
            cluster,
        })
    }

    /// Returns the configuration for handshakes that heed `deny`.
    pub(crate) fn config(&self, deny: &SharedDeny) -> Result<Arc<ServerConfig>, rustls::Error> {
        let verifier = NodeVerifier {
            root: self.root.clone(),
            cluster: self.cluster,
            deny: Arc::clone(deny),
        };
        let resolver = SingleCertAndKey::from(Arc::clone(&self.key));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

/// Whom an outbound connection trusts and what it shows.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    node: Option<Uid>,
}

impl ClientTls {
    /// Makes the TLS of an outbound connection. An empty `cluster_id` takes any cluster under a pinned root.
    ///
    /// # Errors
    /// There is no pin, or the identity or the cluster id cannot be used.
    pub fn new(
        pins: Vec<Pin>,
        identity: Option<&Credentials>,
        cluster_id: &str,
        now_ms: Option<i64>,
    ) -> Result<Self, TlsError> {
        if pins.is_empty() {
            return Err(TlsError::NoPins);
        }
        let verifier = PinVerifier {
            pins,
            cluster: parse_cluster(cluster_id)?,
            now_ms,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|_| TlsError::Certificate)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut node = None;
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(credentials) => {
                node = node_of(credentials);
                let key = certified(&credentials.pkcs8, &credentials.chain)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_sni = false;
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
            node,
        })
    }

    /// Returns the node this side speaks for, when it shows a certificate.
    pub(crate) fn node(&self) -> Option<Uid> {
        self.node
    }

    pub(crate) fn start(&self, peer: IpAddr) -> Result<ClientConnection, rustls::Error> {
        // The name is never sent nor judged: an address makes rustls leave SNI out.
        ClientConnection::new(Arc::clone(&self.config), ServerName::IpAddress(peer.into()))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ServerTls")
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ClientTls")
    }
}

pub(crate) fn accept(config: &Arc<ServerConfig>) -> Result<ServerConnection, rustls::Error> {
    ServerConnection::new(Arc::clone(config))
}

fn node_of(credentials: &Credentials) -> Option<Uid> {
    match Certificate::read(credentials.chain.first()?).ok()?.role()? {
        (_, Role::Node(uid)) => Some(uid),
        (_, Role::Coordinator) => None,
    }
}

fn certified(pkcs8: &[u8], chain: &[Vec<u8>]) -> Result<Arc<CertifiedKey>, TlsError> {
    if chain.is_empty() || chain.iter().any(|der| Certificate::read(der).is_err()) {
        return Err(TlsError::Certificate);
    }
    let key =
        sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8)).map_err(|_| TlsError::Mismatch)?;
    let chain = chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|_| TlsError::Mismatch)?;
    Ok(Arc::new(certified))
}

/// One key exchange, two ciphers: the fewest choices a peer can be led through. The client's order decides, so
/// a Pi without AES units gets ChaCha20.
fn provider() -> Arc<CryptoProvider> {
    let (first, second) = if has_aes() {
        (TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256)
    } else {
        (TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256)
    };
    Arc::new(CryptoProvider {
        cipher_suites: vec![first, second],
        kx_groups: vec![kx_group::X25519],
        ..rustls::crypto::ring::default_provider()
    })
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}
