//! Why a connection ended, in words: the reasons of the CLOSED event. Pure.

use std::borrow::Cow;
use std::io;

use rustls::AlertDescription;
use swarmlet_core::lease::Millis;

use crate::verify::{refusal, Refusal};

/// A stable word and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub reason: Cow<'static, str>,
    pub detail: String,
}

impl Ending {
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason: Cow::Borrowed(reason),
            detail: detail.into(),
        }
    }

    pub fn protocol(detail: impl Into<String>) -> Self {
        Self::new("protocol", detail)
    }

    /// The peer said goodbye.
    pub fn orderly() -> Self {
        Self::new("closed", "the peer closed the connection")
    }

    /// The socket failed after it was connected.
    pub fn broken(cause: &io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::TimedOut => Self::new("timed-out", "the peer stopped answering"),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::new("reset", "the peer reset the connection")
            }
            _ => Self::new("reset", describe(cause)),
        }
    }

    /// The socket could not be connected.
    pub fn unconnected(cause: &io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::ConnectionRefused => {
                Self::new("connection-refused", "nothing listens there")
            }
            io::ErrorKind::TimedOut => {
                Self::new("timed-out", "no answer to the connection request")
            }
            _ => Self::new("unreachable", describe(cause)),
        }
    }
}

/// Returns the system's words for an error, without its number.
pub(crate) fn describe(cause: &io::Error) -> String {
    let text = cause.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

/// Writes a time as people say it: `5 s`, `0.3 s`.
pub(crate) fn seconds(ms: Millis) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The first bytes a peer sent: what it is when it is none of ours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FirstBytes {
    bytes: [u8; 8],
    count: usize,
}

impl FirstBytes {
    pub fn note(&mut self, bytes: &[u8]) {
        let room = self.bytes.iter_mut().skip(self.count);
        self.count += room.zip(bytes).map(|(place, byte)| *place = *byte).count();
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns what the peer speaks, unless that looks like TLS.
    pub fn stranger(&self) -> Option<&'static str> {
        let seen = self.bytes.get(..self.count).unwrap_or_default();
        match seen {
            [] => None,
            [b'S', b'S', b'H', b'-', ..] => Some("it speaks SSH"),
            [b'H', b'T', b'T', b'P', ..] | [b'<', ..] => Some("it speaks HTTP"),
            [b'2', b'2', b'0', b' ' | b'-', ..] => Some("it speaks SMTP or FTP"),
            // A handshake or alert record of TLS 1.x.
            [20..=23, 3, ..] | [20..=23] => None,
            _ => Some("it speaks neither TLS nor anything else known here"),
        }
    }
}

const OTHER_TLS: &str = "it speaks TLS but not the swarmlet protocol";

/// Says why an outbound handshake failed.
///
/// `spoke_ours` tells whether the peer had agreed to our protocol by then.
pub(crate) fn handshake_failed(
    error: &rustls::Error,
    first: &FirstBytes,
    spoke_ours: bool,
) -> Ending {
    if let Some(stranger) = first.stranger() {
        return Ending::new("not-swarmlet", stranger);
    }
    match refusal(error) {
        // Any web server has a key that is not ours: say what it is rather than that it is an impostor.
        Some(Refusal::Pin { .. }) if !spoke_ours => Ending::new("not-swarmlet", OTHER_TLS),
        Some(refused @ Refusal::Pin { .. }) => Ending::new("pin-mismatch", refused.to_string()),
        Some(refused @ Refusal::Role(_)) => Ending::new("certificate-role", refused.to_string()),
        Some(_) if !spoke_ours => Ending::new("not-swarmlet", OTHER_TLS),
        Some(refused @ Refusal::Invalid(_)) => {
            Ending::new("certificate-invalid", refused.to_string())
        }
        None => match error {
            rustls::Error::InvalidCertificate(_) => Ending::new(
                "certificate-invalid",
                "it does not hold the key of its certificate",
            ),
            _ => Ending::new("not-swarmlet", OTHER_TLS),
        },
    }
}

/// Says why TLS failed after the handshake.
pub(crate) fn session_failed(error: &rustls::Error) -> Ending {
    let rustls::Error::AlertReceived(alert) = error else {
        return Ending::protocol(format!("broken TLS: {error}"));
    };
    let detail = match alert {
        AlertDescription::CertificateRevoked => "it was revoked",
        AlertDescription::CertificateExpired => "it has expired or is not valid yet",
        AlertDescription::UnknownCA => "it is not of this cluster",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => "it is not one the cluster takes",
        other => return Ending::new("reset", format!("the peer ended TLS with {other:?}")),
    };
    Ending::new("certificate-refused", detail)
}
