//! What a join token says: its claims, as the one msgpack array there is for them, and the bounds of each (T1).
//!
//! Claims are decoded and encoded here and nowhere else. A decoded value is encoded again and must give the very
//! bytes it came from, so that no second text can carry the same claims.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::bytes::Reader;

/// The version of the claims this code writes and reads.
pub const VERSION: u64 = 1;
/// The most bytes claims may have, so that a token's text has at most 1 KiB.
pub const MAX_CLAIMS: usize = 656;
/// The greatest number of uses.
pub const MAX_USES: u64 = 1_000_000;
/// The last second of the year 9999.
pub const MAX_TIME_S: u64 = 253_402_300_799;
/// How many claims there are.
const COUNT: u8 = 15;

/// The claims of a token, in wire order after the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The cluster it invites to.
    pub cluster_id: [u8; 16],
    /// Its name for people, 1 to 63 bytes.
    pub cluster_name: String,
    /// The token's own id.
    pub jti: [u8; 16],
    /// First 8 bytes of SHA-256 of the key that signed.
    pub kid: [u8; 8],
    /// Unix seconds.
    pub issued_s: u64,
    /// Unix seconds, after `issued_s`.
    pub expires_s: u64,
    /// One or two SHA-256 of the SubjectPublicKeyInfo of a root.
    pub ca_pins: Vec<[u8; 32]>,
    /// At most four `host:port`.
    pub endpoints: Vec<String>,
    /// From 1 to [`MAX_USES`].
    pub max_uses: u64,
    /// At most eight networks a node may come from; none means any.
    pub cidrs: Vec<String>,
    /// Classes a node may have; none means any.
    pub node_classes: Vec<String>,
    /// Capabilities a node may be granted.
    pub allow: Vec<String>,
    /// The name a node must have, as a pattern; empty means any.
    pub name_pattern: String,
    /// The public half of the token's seed.
    pub key: [u8; 32],
}

/// The claim that breaks a rule, or `encoding` for bytes that are not the one encoding of any claims.
pub type BadClaim = &'static str;

impl Claims {
    /// Returns the one encoding of these claims.
    ///
    /// # Errors
    /// A claim is out of its bounds, or all together are too long.
    pub fn encode(&self) -> Result<Vec<u8>, BadClaim> {
        self.check()?;
        let mut out = Vec::with_capacity(MAX_CLAIMS);
        out.push(0x90 | COUNT);
        write_int(&mut out, VERSION);
        write_bytes(&mut out, &self.cluster_id);
        write_text(&mut out, &self.cluster_name);
        write_bytes(&mut out, &self.jti);
        write_bytes(&mut out, &self.kid);
        write_int(&mut out, self.issued_s);
        write_int(&mut out, self.expires_s);
        write_count(&mut out, self.ca_pins.len());
        self.ca_pins
            .iter()
            .for_each(|pin| write_bytes(&mut out, pin));
        write_texts(&mut out, &self.endpoints);
        write_int(&mut out, self.max_uses);
        write_texts(&mut out, &self.cidrs);
        write_texts(&mut out, &self.node_classes);
        write_texts(&mut out, &self.allow);
        write_text(&mut out, &self.name_pattern);
        write_bytes(&mut out, &self.key);
        if out.len() > MAX_CLAIMS {
            return Err("length of all together");
        }
        Ok(out)
    }

    /// Reads the one encoding of claims.
    ///
    /// # Errors
    /// Anything that [`Claims::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadClaim> {
        if bytes.len() > MAX_CLAIMS {
            return Err("length of all together");
        }
        let mut from = Reader(bytes);
        let claims = read_claims(&mut from)
            .filter(|_| from.is_empty())
            .ok_or("encoding")?;
        if claims.encode()? != bytes {
            return Err("encoding");
        }
        Ok(claims)
    }

    fn check(&self) -> Result<(), BadClaim> {
        let rules = [
            (is_cluster_name(&self.cluster_name), "cluster name"),
            (
                self.issued_s < self.expires_s && self.expires_s <= MAX_TIME_S,
                "expiry",
            ),
            (
                matches!(self.ca_pins.len(), 1..=2) && is_set(&self.ca_pins),
                "ca pins",
            ),
            (list_fits(&self.endpoints, 4, is_endpoint), "endpoints"),
            ((1..=MAX_USES).contains(&self.max_uses), "uses"),
            (list_fits(&self.cidrs, 8, is_cidr), "networks"),
            (list_fits(&self.node_classes, 8, is_word), "node classes"),
            (list_fits(&self.allow, 8, is_word), "capabilities"),
            (
                self.name_pattern.len() <= 63 && is_visible(&self.name_pattern),
                "name pattern",
            ),
        ];
        rules
            .iter()
            .find(|(holds, _)| !holds)
            .map_or(Ok(()), |(_, claim)| Err(claim))
    }
}

fn list_fits(list: &[String], most: usize, fits: fn(&str) -> bool) -> bool {
    list.len() <= most && list.iter().all(|item| fits(item)) && is_set(list)
}

fn is_set<T: Ord>(list: &[T]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() == list.len()
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_cluster_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_word(text: &str) -> bool {
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(in_alphabet)
}

/// `host:port` or `[v6]:port`. What a host may be is judged where it is used.
fn is_endpoint(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_port = port
        .parse::<u16>()
        .is_ok_and(|number| number != 0 && number.to_string() == port);
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    text.len() <= 255
        && is_visible(text)
        && is_port
        && !host.is_empty()
        && (is_v6 || !host.contains(':'))
}

/// `address/bits` in its canonical text, no bit set after the network; IPv4 never as IPv6.
fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(count)) = (address.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let network = match address {
        IpAddr::V4(v4) => count <= 32 && u64::from(v4.to_bits()) << count & 0xffff_ffff == 0,
        IpAddr::V6(v6) => {
            count <= 128
                && v6.to_ipv4_mapped().is_none()
                && v6.to_bits().checked_shl(count).unwrap_or(0) == 0
        }
    };
    network && format!("{address}/{count}") == text
}

fn write_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_be_bytes();
    let (tag, width) = match value {
        0..=0x7f => (None, 1),
        0x80..=0xff => (Some(0xcc), 1),
        0x100..=0xffff => (Some(0xcd), 2),
        0x1_0000..=0xffff_ffff => (Some(0xce), 4),
        _ => (Some(0xcf), 8),
    };
    out.extend(tag);
    out.extend(bytes.iter().skip(8 - width));
}

/// Counts are at most 15 and byte strings at most 255 bytes: [`Claims::check`] has seen to it.
fn write_count(out: &mut Vec<u8>, count: usize) {
    out.push(0x90 | count as u8);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&[0xc4, bytes.len() as u8]);
    out.extend_from_slice(bytes);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ 0..=31 => out.push(0xa0 | short as u8),
        long => out.extend_from_slice(&[0xd9, long as u8]),
    }
    out.extend_from_slice(text.as_bytes());
}

fn write_texts(out: &mut Vec<u8>, texts: &[String]) {
    write_count(out, texts.len());
    texts.iter().for_each(|text| write_text(out, text));
}

/// Reads the values in their order; bounds are for [`Claims::check`], shortest forms for the comparison after it.
fn read_claims(from: &mut Reader<'_>) -> Option<Claims> {
    if read_count(from)? != usize::from(COUNT) || read_int(from)? != VERSION {
        return None;
    }
    Some(Claims {
        cluster_id: read_bytes(from)?,
        cluster_name: read_text(from)?,
        jti: read_bytes(from)?,
        kid: read_bytes(from)?,
        issued_s: read_int(from)?,
        expires_s: read_int(from)?,
        ca_pins: read_list(from, read_bytes)?,
        endpoints: read_list(from, read_text)?,
        max_uses: read_int(from)?,
        cidrs: read_list(from, read_text)?,
        node_classes: read_list(from, read_text)?,
        allow: read_list(from, read_text)?,
        name_pattern: read_text(from)?,
        key: read_bytes(from)?,
    })
}

fn read_int(from: &mut Reader<'_>) -> Option<u64> {
    match from.u8()? {
        small @ 0..=0x7f => Some(small.into()),
        0xcc => from.u8().map(u64::from),
        0xcd => from.u16().map(u64::from),
        0xce => from.u32().map(u64::from),
        0xcf => from.u64(),
        _ => None,
    }
}

fn read_count(from: &mut Reader<'_>) -> Option<usize> {
    let byte = from.u8()?;
    (byte & 0xf0 == 0x90).then_some(usize::from(byte & 0x0f))
}

fn read_bytes<const N: usize>(from: &mut Reader<'_>) -> Option<[u8; N]> {
    let is_right = from.u8()? == 0xc4 && usize::from(from.u8()?) == N;
    from.array().filter(|_| is_right)
}

fn read_text(from: &mut Reader<'_>) -> Option<String> {
    let length = match from.u8()? {
        short @ 0xa0..=0xbf => usize::from(short & 0x1f),
        0xd9 => usize::from(from.u8()?),
        _ => return None,
    };
    String::from_utf8(from.take(length)?.to_vec()).ok()
}

fn read_list<'a, T>(
    from: &mut Reader<'a>,
    item: fn(&mut Reader<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    (0..read_count(from)?).map(|_| item(from)).collect()
}
