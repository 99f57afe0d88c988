//! Who may be at the other end: the two certificate verifiers, run inside the handshake.
//!
//! A client trusts one key, the one whose hash it was given (T3); a server trusts its own root. Names of hosts and
//! public authorities mean nothing here. Both verifiers still prove that the peer holds its key (Ed25519 only).

use std::fmt;
use std::sync::{Arc, RwLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls13_signature, WebPkiSupportedAlgorithms};
use rustls::pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use swarmlet_core::deny::DenySet;
use swarmlet_core::x509::{Certificate, Role, MAX_CERTIFICATE};
use webpki::{EndEntityCert, KeyUsage};

/// SHA-256 of a root's SubjectPublicKeyInfo.
pub type Pin = [u8; 32];

/// The 16 bytes of a cluster's id.
pub type ClusterId = [u8; 16];

/// The serials refused in every handshake, shared by all listeners of one engine.
pub type SharedDeny = Arc<RwLock<DenySet>>;

/// The most certificates a peer may present (C9): leaf, intermediate, root.
pub const MAX_CHAIN: usize = 3;

/// The cluster issues Ed25519 and nothing else, so nothing else is ever verified.
static ED25519: &[&dyn SignatureVerificationAlgorithm] = &[webpki::ring::ED25519];
static ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: ED25519,
    mapping: &[(SignatureScheme::ED25519, ED25519)],
};

/// Why a peer's certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None of the presented keys is pinned.
    Pin {
        /// The key that stood where the root belongs.
        found: String,
        /// The keys that would have been taken.
        expected: String,
    },
    /// A certificate of this cluster for another purpose.
    Role(&'static str),
    /// Too many certificates, too long ones, unreadable ones, or a path that does not hold.
    Invalid(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin { found, expected } => write!(out, "found={found} expected={expected}"),
            Self::Role(detail) => out.write_str(detail),
            Self::Invalid(detail) => out.write_str(detail),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// Returns the refusal inside a handshake error, if one of our verifiers made it.
pub fn refusal(error: &Error) -> Option<&Refusal> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            inner.downcast_ref::<Refusal>()
        }
        _ => None,
    }
}

/// Returns a pin as people compare it.
pub fn fingerprint(pin: &Pin) -> String {
    let mut text = String::from("SHA256:");
    for byte in pin {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn pin_of(spki: &[u8]) -> Pin {
    Sha256::digest(spki).into()
}

/// Checks counts and lengths before anything is parsed (C9).
fn check_shape(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Refusal> {
    let count = rest.len() + 1;
    if count > MAX_CHAIN {
        return Err(Refusal::Invalid(format!(
            "it showed {count} certificates, and {MAX_CHAIN} are the most"
        )));
    }
    let longest = rest
        .iter()
        .map(|cert| cert.len())
        .fold(leaf.len(), usize::max);
    if longest > MAX_CERTIFICATE {
        return Err(Refusal::Invalid(format!(
            "it showed a certificate of {longest} bytes, and {MAX_CERTIFICATE} are the most"
        )));
    }
    Ok(())
}

fn read<'a>(cert: &'a CertificateDer<'_>) -> Result<Certificate<'a>, Refusal> {
    Certificate::read(cert.as_ref()).map_err(|cause| Refusal::Invalid(cause.to_string()))
}

/// Returns when the last part of a path began to be valid, in Unix milliseconds.
fn beginning(leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<i64, Refusal> {
    let mut began = read(leaf)?.not_before_ms;
    for cert in rest {
        began = began.max(read(cert)?.not_before_ms);
    }
    Ok(began)
}

/// Verifies the path from `leaf` to `anchor` at `at` for `usage`.
fn check_path(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    anchor: &TrustAnchor<'_>,
    at: UnixTime,
    usage: KeyUsage,
) -> Result<(), Refusal> {
    let invalid = |cause: webpki::Error| match cause {
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            Refusal::Role("its certificate is not for this use")
        }
        other => Refusal::Invalid(explain(&other)),
    };
    let end = EndEntityCert::try_from(leaf).map_err(invalid)?;
    let anchors = std::slice::from_ref(anchor);
    end.verify_for_usage(ED25519, anchors, rest, at, usage, None, None)
        .map_err(invalid)?;
    Ok(())
}

fn explain(cause: &webpki::Error) -> String {
    match cause {
        webpki::Error::CertExpired { .. } => "a certificate of its chain has expired".into(),
        webpki::Error::CertNotValidYet { .. } => {
            "a certificate of its chain is not valid yet".into()
        }
        webpki::Error::UnknownIssuer => "its chain does not lead to the cluster's root".into(),
        other => format!("its chain does not hold: {other}"),
    }
}

/// Returns a time as the verifier takes it; before 1970 is 1970.
fn unix(ms: i64) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(
        u64::try_from(ms).unwrap_or(0),
    ))
}

/// Checks a coordinator's certificate: the pin is the only trust.
#[derive(Debug)]
pub struct PinVerifier {
    /// Roots that are trusted; never empty.
    pub pins: Vec<Pin>,
    /// The cluster it must be; `None` takes any cluster under a pinned root.
    pub cluster: Option<ClusterId>,
    /// Cluster time in Unix milliseconds, for what has expired; `None` judges no dates.
    pub now_ms: Option<i64>,
}

impl PinVerifier {
    fn check(&self, leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Refusal> {
        check_shape(leaf, rest)?;
        let root = self.pinned(leaf, rest)?;
        let anchor = webpki::anchor_from_trusted_cert(root)
            .map_err(|cause| Refusal::Invalid(explain(&cause)))?;
        check_path(
            leaf,
            rest,
            &anchor,
            self.instant(leaf, rest)?,
            KeyUsage::server_auth(),
        )?;
        match read(leaf)?.role() {
            Some((cluster, Role::Coordinator))
                if self.cluster.is_none_or(|ours| ours == cluster) =>
            {
                Ok(())
            }
            Some((_, Role::Coordinator)) => {
                Err(Refusal::Role("it is a coordinator of another cluster"))
            }
            _ => Err(Refusal::Role("it is not a coordinator")),
        }
    }

    /// Returns the one certificate above the leaf whose key is pinned.
    fn pinned<'c, 'd>(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &'c [CertificateDer<'d>],
    ) -> Result<&'c CertificateDer<'d>, Refusal> {
        let mut found = pin_of(read(leaf)?.spki);
        for cert in rest {
            found = pin_of(read(cert)?.spki);
            if self.pins.contains(&found) {
                return Ok(cert);
            }
        }
        let expected: Vec<String> = self.pins.iter().map(fingerprint).collect();
        Err(Refusal::Pin {
            found: fingerprint(&found),
            expected: expected.join(","),
        })
    }

    /// Returns when to judge the path: now, yet never before its last part began to be valid.
    ///
    /// Where no dates are to be judged that beginning is the moment itself: every path that was ever valid was valid
    /// then. Where they are, a beginning in the future tells that the node's time is behind the cluster's, which set
    /// its clock since: only a connection can tell the node so, and only the cluster's own authority could have signed it.
    fn instant(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
    ) -> Result<UnixTime, Refusal> {
        let began = beginning(leaf, rest)?;
        Ok(unix(self.now_ms.map_or(began, |now_ms| now_ms.max(began))))
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

/// Checks a node's certificate, which it may also leave out: then it may only join.
#[derive(Debug)]
pub struct NodeVerifier {
    /// The root of the cluster.
    pub root: TrustAnchor<'static>,
    /// The cluster.
    pub cluster: ClusterId,
    /// Serials that are refused.
    pub deny: SharedDeny,
}

impl NodeVerifier {
    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        check_shape(leaf, rest)?;
        let facts = read(leaf)?;
        // An expired certificate is judged at its last good moment: it may still renew (C5), and whoever reads
        // the peer's facts is told that it has expired. One that is too new is judged at its first: only the
        // cluster's own authority could have signed it, so it is this machine's clock that is behind.
        let at = now
            .max(unix(beginning(leaf, rest)?))
            .min(unix(facts.not_after_ms));
        check_path(leaf, rest, &self.root, at, KeyUsage::client_auth())?;
        match facts.role() {
            Some((cluster, Role::Node(_))) if cluster == self.cluster => {}
            _ => return Err(Refusal::Role("it is not a node of this cluster").into()),
        }
        // A poisoned lock means a thread died: nobody gets in on its account.
        let denied = self
            .deny
            .read()
            .map_or(true, |deny| deny.contains(facts.serial));
        if denied {
            return Err(CertificateError::Revoked.into());
        }
        Ok(())
    }
}

impl ClientCertVerifier for NodeVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}
