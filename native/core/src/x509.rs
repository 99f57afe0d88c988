//! Reads the few fields of a certificate that decide who a peer is (RFC 5280). It verifies nothing: signatures,
//! validity and key usage are the link's work.
//!
//! Strict DER (X.690): definite, shortest lengths only, nothing left over. No recursion, no allocation.

use std::fmt;

pub use crate::role::{format_uid, parse_role, parse_uid, Role};
use crate::Failure;

/// The most bytes a certificate may have (C9).
pub const MAX_CERTIFICATE: usize = 8192;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`, `[1]` and `[2]` unique identifiers, `[3] EXPLICIT Extensions`.
const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0x81;
const CONTEXT_2: u8 = 0x82;
const CONTEXT_3: u8 = 0xa3;
/// `uniformResourceIdentifier [6] IA5String` of a GeneralName.
const GENERAL_NAME_URI: u8 = 0x86;

/// id-ce-subjectAltName, 2.5.29.17.
const OID_SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// id-ce-basicConstraints, 2.5.29.19.
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410).
const ED25519_SPKI: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why bytes are no certificate we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateError {
    /// Longer than [`MAX_CERTIFICATE`].
    TooLarge(usize),
    /// Not DER, or not a version 3 certificate; names the part.
    Malformed(&'static str),
}

impl Failure for CertificateError {
    fn kind(&self) -> &'static str {
        "certificate-damaged"
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(length) => write!(
                out,
                "a certificate of {length} bytes is over the limit of {MAX_CERTIFICATE}"
            ),
            Self::Malformed(part) => write!(out, "the {part} of the certificate cannot be read"),
        }
    }
}

impl std::error::Error for CertificateError {}

/// The parts of one certificate, borrowed from its DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Serial number, big endian, without leading zero bytes.
    pub serial: &'a [u8],
    /// Start of validity in Unix milliseconds.
    pub not_before_ms: i64,
    /// End of validity in Unix milliseconds.
    pub not_after_ms: i64,
    /// The whole SubjectPublicKeyInfo, DER: what a pin hashes.
    pub spki: &'a [u8],
    /// Whether basicConstraints say CA.
    pub is_ca: bool,
    /// Content of the subjectAltName sequence.
    names: &'a [u8],
}

type Read<T> = Result<T, CertificateError>;

impl<'a> Certificate<'a> {
    /// Reads one certificate that fills `der` exactly.
    ///
    /// # Errors
    /// It is too large, or a part of it cannot be read.
    pub fn read(der: &'a [u8]) -> Read<Self> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLarge(der.len()));
        }
        let mut outer = Der(der);
        let mut certificate = outer.expect(SEQUENCE, "outer sequence")?;
        outer.end("outer sequence")?;
        let mut body = certificate.expect(SEQUENCE, "body")?;
        certificate.expect(SEQUENCE, "signature algorithm")?;
        certificate.expect(BIT_STRING, "signature")?;
        certificate.end("signature")?;
        Self::read_body(&mut body)
    }

    fn read_body(body: &mut Der<'a>) -> Read<Self> {
        // Version 3, the only one with extensions, is the integer 2.
        if body.expect(CONTEXT_0, "version")?.0 != [INTEGER, 1, 2] {
            return Err(CertificateError::Malformed("version"));
        }
        let serial = read_serial(body.expect(INTEGER, "serial number")?.0)?;
        body.expect(SEQUENCE, "inner signature algorithm")?;
        body.expect(SEQUENCE, "issuer")?;
        let mut validity = body.expect(SEQUENCE, "validity")?;
        let not_before_ms = read_time(&mut validity)?;
        let not_after_ms = read_time(&mut validity)?;
        validity.end("validity")?;
        body.expect(SEQUENCE, "subject")?;
        let spki = body.expect_whole(SEQUENCE, "public key")?;
        body.optional(CONTEXT_1, "issuer identifier")?;
        body.optional(CONTEXT_2, "subject identifier")?;
        let mut read = Self {
            serial,
            not_before_ms,
            not_after_ms,
            spki,
            is_ca: false,
            names: &[],
        };
        if let Some(mut explicit) = body.optional(CONTEXT_3, "extensions")? {
            let extensions = explicit.expect(SEQUENCE, "extensions")?;
            explicit.end("extensions")?;
            read.read_extensions(extensions)?;
        }
        body.end("body")?;
        Ok(read)
    }

    fn read_extensions(&mut self, mut extensions: Der<'a>) -> Read<()> {
        let (mut seen_names, mut seen_constraints) = (false, false);
        while !extensions.0.is_empty() {
            let mut extension = extensions.expect(SEQUENCE, "extensions")?;
            let id = extension.expect(OID, "extensions")?.0;
            extension.optional(BOOLEAN, "extensions")?;
            let value = extension.expect(OCTET_STRING, "extensions")?;
            extension.end("extensions")?;
            // An extension may appear once (RFC 5280, section 4.2); two would let two readers see two peers.
            if id == OID_SUBJECT_ALT_NAME && !std::mem::replace(&mut seen_names, true) {
                self.names = read_names(value)?;
            } else if id == OID_BASIC_CONSTRAINTS && !std::mem::replace(&mut seen_constraints, true)
            {
                self.is_ca = read_constraints(value)?;
            } else if id == OID_SUBJECT_ALT_NAME || id == OID_BASIC_CONSTRAINTS {
                return Err(CertificateError::Malformed("extensions"));
            }
        }
        Ok(())
    }

    /// Returns the Ed25519 key, when the certificate is for one.
    pub fn ed25519_key(&self) -> Option<[u8; 32]> {
        self.spki.strip_prefix(ED25519_SPKI)?.try_into().ok()
    }

    /// Returns the URI subject alternative names in their order.
    pub fn uris(&self) -> impl Iterator<Item = &'a str> {
        let mut names = Der(self.names);
        std::iter::from_fn(move || names.any().ok())
            .filter(|(tag, _)| *tag == GENERAL_NAME_URI)
            .filter_map(|(_, text)| std::str::from_utf8(text).ok())
    }

    /// Returns the cluster id and the role, when exactly one URI names them.
    pub fn role(&self) -> Option<([u8; 16], Role)> {
        let mut ours = self.uris().filter(|uri| uri.starts_with("swarmlet://"));
        let uri = ours.next().filter(|_| ours.next().is_none())?;
        parse_role(uri)
    }
}

/// A positive integer of 1 to 20 bytes in its shortest form.
fn read_serial(content: &[u8]) -> Read<&[u8]> {
    let number = match content {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => rest,
        [1..=0x7f, ..] => content,
        _ => return Err(CertificateError::Malformed("serial number")),
    };
    if number.len() > crate::deny::MAX_SERIAL {
        return Err(CertificateError::Malformed("serial number"));
    }
    Ok(number)
}

/// Checks that each general name can be read and each URI is ASCII; returns the content of the sequence.
fn read_names(mut value: Der<'_>) -> Read<&[u8]> {
    const PART: &str = "subject alternative name";
    let names = value.expect(SEQUENCE, PART)?;
    value.end(PART)?;
    let mut rest = names;
    while !rest.0.is_empty() {
        let (tag, text) = rest.any().map_err(|()| CertificateError::Malformed(PART))?;
        if tag == GENERAL_NAME_URI && !text.iter().all(|byte| (0x21..=0x7e).contains(byte)) {
            return Err(CertificateError::Malformed(PART));
        }
    }
    Ok(names.0)
}

/// `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }`
fn read_constraints(mut value: Der<'_>) -> Read<bool> {
    const PART: &str = "basic constraints";
    let mut constraints = value.expect(SEQUENCE, PART)?;
    value.end(PART)?;
    let is_ca = match constraints.optional(BOOLEAN, PART)? {
        Some(Der([0xff])) => true,
        Some(Der([0x00])) | None => false,
        Some(_) => return Err(CertificateError::Malformed(PART)),
    };
    constraints.optional(INTEGER, PART)?;
    constraints.end(PART)?;
    Ok(is_ca)
}

/// Reads UTCTime `YYMMDDHHMMSSZ` or GeneralizedTime `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn read_time(from: &mut Der<'_>) -> Read<i64> {
    const BAD: CertificateError = CertificateError::Malformed("validity");
    let (tag, text) = from.any().map_err(|()| BAD)?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (digits, rest) = text.split_first_chunk::<2>().ok_or(BAD)?;
            let short = number(digits).ok_or(BAD)?;
            (
                if short >= 50 {
                    1900 + short
                } else {
                    2000 + short
                },
                rest,
            )
        }
        GENERALIZED_TIME => {
            let (digits, rest) = text.split_first_chunk::<4>().ok_or(BAD)?;
            (number(digits).ok_or(BAD)?, rest)
        }
        _ => return Err(BAD),
    };
    unix_ms(year, rest).ok_or(BAD)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Returns Unix milliseconds of a year and `MMDDHHMMSSZ`.
fn unix_ms(year: i64, rest: &[u8]) -> Option<i64> {
    let digits = rest
        .strip_suffix(b"Z")
        .filter(|digits| digits.len() == 10)?;
    let mut pairs = digits.chunks(2).map(number);
    let mut pair = |low: i64, high: i64| {
        pairs
            .next()
            .flatten()
            .filter(|value| (low..=high).contains(value))
    };
    let month = pair(1, 12)?;
    let day = pair(1, days_in(year, month))?;
    let (hour, minute, second) = (pair(0, 23)?, pair(0, 59)?, pair(0, 59)?);
    Some(
        (((days_before(year, month) + day - 1) * 24 + hour) * 60 + minute) * 60_000 + second * 1000,
    )
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let leap_days = |before: i64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    let years = (year - 1970) * 365 + leap_days(year) - leap_days(1970);
    years
        + (1..month)
            .map(|earlier| days_in(year, earlier))
            .sum::<i64>()
}

/// Reads tag, length, value from the front of a slice.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next element: its tag and its content.
    fn any(&mut self) -> Result<(u8, &'a [u8]), ()> {
        let (tag, after_tag) = self.0.split_first().ok_or(())?;
        // Tag numbers above 30 take more bytes; no part of a certificate has one.
        if tag & 0x1f == 0x1f {
            return Err(());
        }
        let (length, content) = read_length(after_tag).ok_or(())?;
        let (value, rest) = content.split_at_checked(length).ok_or(())?;
        self.0 = rest;
        Ok((*tag, value))
    }

    fn expect(&mut self, tag: u8, part: &'static str) -> Read<Der<'a>> {
        match self.any() {
            Ok((found, value)) if found == tag => Ok(Der(value)),
            _ => Err(CertificateError::Malformed(part)),
        }
    }

    /// Takes the next element, tag and length included.
    fn expect_whole(&mut self, tag: u8, part: &'static str) -> Read<&'a [u8]> {
        let before = self.0;
        self.expect(tag, part)?;
        before
            .get(..before.len() - self.0.len())
            .ok_or(CertificateError::Malformed(part))
    }

    fn optional(&mut self, tag: u8, part: &'static str) -> Read<Option<Der<'a>>> {
        if self.0.first() == Some(&tag) {
            self.expect(tag, part).map(Some)
        } else {
            Ok(None)
        }
    }

    fn end(&self, part: &'static str) -> Read<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CertificateError::Malformed(part))
        }
    }
}

/// Reads a length of one to three bytes in its shortest form; returns it and what follows.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [short @ 0..=0x7f, rest @ ..] => Some((usize::from(*short), rest)),
        [0x81, length @ 0x80..=0xff, rest @ ..] => Some((usize::from(*length), rest)),
        [0x82, high @ 1..=0xff, low, rest @ ..] => {
            Some((usize::from(*high) << 8 | usize::from(*low), rest))
        }
        _ => None,
    }
}
