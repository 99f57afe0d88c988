//! Writes one shape of certification request (RFC 2986): a common name and an Ed25519 key (RFC 8410).
//!
//! The authority takes the public key from it and nothing else (C2), so there are no extensions to write. A general DER writer or a
//! certificate library would cost more than these few lines.

/// `AlgorithmIdentifier` of Ed25519, RFC 8410 section 3: a sequence of the OID 1.3.101.112 alone.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// OID 2.5.4.3, `commonName`.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// `ub-common-name` of RFC 5280 appendix A.1; counted in bytes, as the strictest readers do.
const COMMON_NAME_MAX: usize = 64;

const INTEGER_0: [u8; 3] = [0x02, 0x01, 0x00];
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const ATTRIBUTES: u8 = 0xa0;

/// Returns the DER request for `name` and `public_key`, signed by `sign`.
///
/// A name longer than RFC 5280 allows is cut; an empty one gives the empty subject.
pub(crate) fn request(
    name: &str,
    public_key: &[u8; 32],
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Vec<u8> {
    let info = tagged(
        SEQUENCE,
        &[
            &INTEGER_0,
            &subject(name),
            &tagged(SEQUENCE, &[&ED25519, &bits(public_key)]),
            &tagged(ATTRIBUTES, &[]),
        ],
    );
    let signature = sign(&info);
    tagged(SEQUENCE, &[&info, &ED25519, &bits(&signature)])
}

fn subject(name: &str) -> Vec<u8> {
    let end = (0..=COMMON_NAME_MAX)
        .rev()
        .find(|end| name.is_char_boundary(*end));
    let name = name.get(..end.unwrap_or(0)).unwrap_or(name);
    if name.is_empty() {
        return tagged(SEQUENCE, &[]);
    }
    let value = tagged(UTF8_STRING, &[name.as_bytes()]);
    let attribute = tagged(SEQUENCE, &[&COMMON_NAME, &value]);
    tagged(SEQUENCE, &[&tagged(SET, &[&attribute])])
}

fn bits(content: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[0], content])
}

/// One DER element: tag, shortest length, the parts one after another.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 128 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let significant: Vec<u8> = bytes
            .iter()
            .copied()
            .skip_while(|byte| *byte == 0)
            .collect();
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(&significant);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}
