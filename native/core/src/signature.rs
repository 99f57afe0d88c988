//! Ed25519 verification (RFC 8032), strict, one at a time or many together.
//!
//! [`verify`] admits and refuses; [`verify_batch`] is for many statements that are worth less than a membership. Both
//! refuse a scalar S that is not below the group order, points that are not encoded in the one canonical way, and
//! keys or points R of small order. The difference: a batch multiplies its equation by the cofactor 8, so that its
//! verdict does not depend on what else is in it. It therefore takes a signature whose R or key has a component of
//! small order on top of a proper one, which `verify` refuses. Only the holder of the private key can make such a
//! signature, and only over a message it could have signed plainly; nobody else gains anything.

use std::collections::BTreeMap;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use crate::bytes::Reader;

/// Separates the coefficients of a batch from every other use of the hash.
const BATCH_DOMAIN: &[u8] = b"swarmlet/batch/v1\0";

/// Verifies one signature strictly.
///
/// R is computed and compared as bytes instead of being read, which refuses every other spelling of it and saves a
/// square root. A well-formed signature takes as long when it does not hold as when it does (T10).
pub fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Some((r, s))) = (key.try_into(), split(signature)) else {
        return false;
    };
    let Some(point) = read_point(key) else {
        return false;
    };
    let challenge = challenge(&r, key, message);
    let must_be = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-point, &s);
    let is_r = must_be.compress().to_bytes() == r;
    // Asked whatever the comparison said: its half microsecond would tell.
    let is_small = std::hint::black_box(must_be.is_small_order());
    is_r & !is_small
}

/// Splits a signature into R and S; `None` when S is not below the group order.
fn split(signature: &[u8]) -> Option<([u8; 32], Scalar)> {
    let mut from = Reader(signature);
    let r = from.array()?;
    let s = Option::from(Scalar::from_canonical_bytes(from.array()?))?;
    from.is_empty().then_some((r, s))
}

/// Returns k, the hash of all that is signed.
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// One signature of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Who is said to have signed, 32 bytes.
    pub key: &'a [u8],
    /// What.
    pub message: &'a [u8],
    /// The signature, 64 bytes.
    pub signature: &'a [u8],
}

/// Verifies many signatures together: true only when each of them holds. An empty batch holds.
///
/// With random z of 128 bits, 8 (sum z S) B = 8 sum z R + 8 sum (z k) A holds for a batch with a false member with a
/// chance of 2^-128. The z are a hash of the whole batch, so that who makes a batch cannot choose it to suit them.
/// Members with the same key share its term, which makes a batch of one signer cheapest.
pub fn verify_batch(items: &[Signed<'_>]) -> bool {
    batch_equation(items).is_some_and(|point| point.mul_by_cofactor().is_identity())
}

struct Member {
    r: EdwardsPoint,
    s: Scalar,
    challenge: Scalar,
    key: usize,
}

/// Returns the difference of both sides of the equation, or `None` when a member is not even well formed.
fn batch_equation(items: &[Signed<'_>]) -> Option<EdwardsPoint> {
    let mut known = BTreeMap::new();
    let mut keys = Vec::new();
    let mut members = Vec::with_capacity(items.len());
    let mut transcript = Sha512::new_with_prefix(BATCH_DOMAIN);
    for item in items {
        let key_bytes: &[u8; 32] = item.key.try_into().ok()?;
        let key = match known.get(key_bytes) {
            Some(at) => *at,
            None => {
                keys.push((read_point(key_bytes)?, Scalar::ZERO));
                known.insert(*key_bytes, keys.len() - 1);
                keys.len() - 1
            }
        };
        let member = read_member(item, key_bytes, key)?;
        transcript.update(member.challenge.as_bytes());
        transcript.update(item.signature);
        transcript.update(key_bytes);
        members.push(member);
    }
    Some(combine(&members, keys, &transcript.finalize()))
}

fn read_member(item: &Signed<'_>, key_bytes: &[u8; 32], key: usize) -> Option<Member> {
    let (r_bytes, s) = split(item.signature)?;
    let challenge = challenge(&r_bytes, key_bytes, item.message);
    let r = read_point(&r_bytes)?;
    Some(Member {
        r,
        s,
        challenge,
        key,
    })
}

/// Returns sum z R + sum (z k) A - (sum z S) B.
fn combine(members: &[Member], mut keys: Vec<(EdwardsPoint, Scalar)>, seed: &[u8]) -> EdwardsPoint {
    let mut weights = Vec::with_capacity(members.len() + keys.len() + 1);
    let mut total = Scalar::ZERO;
    for (at, member) in members.iter().enumerate() {
        let z = coefficient(seed, at as u64);
        weights.push(z);
        total += z * member.s;
        if let Some((_, sum)) = keys.get_mut(member.key) {
            *sum += z * member.challenge;
        }
    }
    weights.extend(keys.iter().map(|(_, sum)| *sum));
    weights.push(-total);
    let points = members
        .iter()
        .map(|member| member.r)
        .chain(keys.iter().map(|(point, _)| *point));
    EdwardsPoint::vartime_multiscalar_mul(weights, points.chain([ED25519_BASEPOINT_POINT]))
}

fn coefficient(seed: &[u8], at: u64) -> Scalar {
    let hash: [u8; 64] = Sha512::new()
        .chain_update(seed)
        .chain_update(at.to_be_bytes())
        .finalize()
        .into();
    // The lowest bit keeps it from being 0.
    hash.first_chunk().map_or(Scalar::ONE, |bytes| {
        Scalar::from(u128::from_le_bytes(*bytes) | 1)
    })
}

/// Reads a point that is encoded canonically and has no small order.
fn read_point(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes)
        .decompress()
        .filter(|_| is_canonical_point(bytes))?;
    (!point.is_small_order()).then_some(point)
}

/// Says whether y is below 2^255 - 19 (RFC 8032, section 5.1.3, step 1).
///
/// The other non-canonical form, x = 0 with its sign set, only exists for points of small order.
fn is_canonical_point(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    !(*low >= 0xed && middle.iter().all(|byte| *byte == 0xff) && high & 0x7f == 0x7f)
}
