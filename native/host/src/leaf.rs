//! What a leaf certificate says, as far as a node must know it: serial, validity, key, URI names.
//!
//! This judges nothing: whether a chain is trusted is decided in the TLS handshake. It reads strict DER and
//! answers `None` for anything else.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `uniformResourceIdentifier` in `GeneralName`, RFC 5280 section 4.2.1.6.
const URI: u8 = 0x86;
/// `AlgorithmIdentifier` of Ed25519, RFC 8410 section 3.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// OID 2.5.29.17, `subjectAltName`.
const SUBJECT_ALT_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];

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
    /// Reads a DER certificate (RFC 5280 section 4.1) that carries an Ed25519 key.
    pub fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Der(der);
        let mut certificate = Der(outer.take(SEQUENCE)?);
        if !outer.0.is_empty() {
            return None;
        }
        let mut body = Der(certificate.take(SEQUENCE)?);
        body.optional(VERSION)?;
        let serial = body.take(INTEGER)?;
        let serial = match serial.strip_prefix(&[0]) {
            Some(rest) if !rest.is_empty() => rest,
            _ => serial,
        };
        body.take(SEQUENCE)?; // signature algorithm
        body.take(SEQUENCE)?; // issuer
        let mut validity = Der(body.take(SEQUENCE)?);
        let (not_before_ms, not_after_ms) = (time(&mut validity)?, time(&mut validity)?);
        body.take(SEQUENCE)?; // subject
        let key = body.take(SEQUENCE)?.strip_prefix(&ED25519)?;
        let public_key = Der(key)
            .take(BIT_STRING)?
            .strip_prefix(&[0])?
            .try_into()
            .ok()?;
        let mut uris = Vec::new();
        while !body.0.is_empty() {
            let (tag, content) = body.any()?;
            if tag == EXTENSIONS {
                uris = read_uris(content)?;
            }
        }
        Some(Self {
            serial: serial.to_vec(),
            not_before_ms,
            not_after_ms,
            public_key,
            uris,
        })
    }
}

fn read_uris(extensions: &[u8]) -> Option<Vec<String>> {
    let mut uris = Vec::new();
    let mut list = Der(Der(extensions).take(SEQUENCE)?);
    while !list.0.is_empty() {
        let extension = list.take(SEQUENCE)?;
        let Some(rest) = extension.strip_prefix(&SUBJECT_ALT_NAME) else {
            continue;
        };
        let mut rest = Der(rest);
        rest.optional(BOOLEAN)?;
        let mut names = Der(Der(rest.take(OCTET_STRING)?).take(SEQUENCE)?);
        while !names.0.is_empty() {
            if let (URI, text) = names.any()? {
                uris.push(String::from_utf8(text.to_vec()).ok()?);
            }
        }
    }
    Some(uris)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, RFC 5280 section 4.1.2.5.
fn time(from: &mut Der<'_>) -> Option<i64> {
    let (tag, text) = from.any()?;
    let digits = text.strip_suffix(b"Z")?;
    let mut numbers = digits.chunks_exact(2).map(|pair| match pair {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
        }
        _ => None,
    });
    let mut next = || numbers.next().flatten();
    let year = match (tag, digits.len()) {
        (UTC_TIME, 12) => next().map(|year| if year < 50 { 2000 + year } else { 1900 + year })?,
        (GENERALIZED_TIME, 14) => next()? * 100 + next()?,
        _ => return None,
    };
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    Some((((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that a leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// DER elements still to be read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        match self.any()? {
            (found, content) if found == tag => Some(content),
            _ => None,
        }
    }

    /// Passes over an element of `tag` when one is next.
    fn optional(&mut self, tag: u8) -> Option<()> {
        if self.0.first() == Some(&tag) {
            self.any()?;
        }
        Some(())
    }

    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            // Three bytes are 16 MiB: more than any certificate, and no more than a usize anywhere.
            if bytes.is_empty() || bytes.len() > 3 {
                return None;
            }
            (
                bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                rest,
            )
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}
