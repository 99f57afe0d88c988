//! Join tokens: their text, their signature, and the proof that their holder gives (T1, T2, T4).
//!
//! Text: `swarm_join_`, then base64url of version u8, claims length u16, claims, signature, seed, then six base64url
//! characters of the CRC-32 of all text before them. The seed leaves this file in the text of a new token only.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::bytes::Reader;
use crate::claims::{BadClaim, Claims, MAX_CLAIMS};
use crate::crc32::crc32;
use crate::{base64, signature, Failure};

/// What every token text begins with, for people and for scanners of leaked secrets.
pub const PREFIX: &str = "swarm_join_";
/// The most characters a token's text has.
pub const MAX_TEXT: usize = 1024;
/// The version of the text this code writes and reads.
pub const VERSION: u8 = 1;
/// What a token's signature covers before the claims.
pub const CLAIMS_DOMAIN: &[u8] = b"swarmlet/join/v1\0";
/// What a proof covers before the rest.
pub const PROOF_DOMAIN: &[u8] = b"swarmlet/join-proof/v1\0";

const SIGNATURE: usize = 64;
const SEED: usize = 32;
/// Bytes around the claims: version, length, signature, seed.
const AROUND: usize = 3 + SIGNATURE + SEED;
/// Characters of the checksum: 32 bits and four zero bits.
const CHECKSUM: usize = base64::encoded_len(4);
const MIN_TEXT: usize = PREFIX.len() + base64::encoded_len(AROUND) + CHECKSUM;

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It does not begin with [`PREFIX`].
    Prefix,
    /// It is too short or too long to be one; holds its length in characters.
    Length(usize),
    /// It holds a character that no token has, or bits where none may be.
    Encoding,
    /// The checksum is not that of the text.
    Checksum,
    /// It is of another version.
    Version(u8),
    /// A claim is out of bounds, or the claims are not in their one encoding.
    Claims(BadClaim),
    /// The seed is not that of the key in the claims.
    Seed,
}

impl Failure for TokenError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Prefix => "token-prefix",
            Self::Length(_) => "token-length",
            Self::Encoding => "token-encoding",
            Self::Checksum => "token-checksum",
            Self::Version(_) => "token-version",
            Self::Claims(_) => "token-claims",
            Self::Seed => "token-seed",
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => write!(out, "it does not begin with {PREFIX}"),
            Self::Length(count) => {
                write!(
                    out,
                    "it has {count} characters, a token has {MIN_TEXT} to {MAX_TEXT}"
                )
            }
            Self::Encoding => write!(out, "it holds characters that no token has"),
            Self::Checksum => write!(out, "its checksum does not match the rest"),
            Self::Version(found) => write!(out, "it has version {found}, known is {VERSION}"),
            Self::Claims(claim) => write!(out, "its claims break a rule: {claim}"),
            Self::Seed => write!(out, "its two halves are of different tokens"),
        }
    }
}

impl std::error::Error for TokenError {}

/// The one-use key of a token. It has one place on the heap, so that moving it leaves no copy behind, and is zeroed
/// there on drop; `Debug` shows nothing of it.
pub struct Seed(Box<Zeroizing<[u8; SEED]>>);

impl Seed {
    /// Makes a seed that `fill` writes in place, from a source of randomness or a file.
    ///
    /// # Errors
    /// What `fill` returns.
    pub fn fill<E>(fill: impl FnOnce(&mut [u8; SEED]) -> Result<(), E>) -> Result<Self, E> {
        let mut seed = Self(Box::new(Zeroizing::new([0; SEED])));
        fill(&mut seed.0)?;
        Ok(seed)
    }

    /// Returns the public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.with_key(|key| key.verifying_key().to_bytes())
    }

    /// Returns the text of the token with these signed claims (`claims || signature`).
    ///
    /// The signature is not judged: only the coordinator's key can do that.
    ///
    /// # Errors
    /// The claims are not in their one encoding, or are for another seed.
    pub fn assemble(&self, signed: &[u8]) -> Result<Zeroizing<String>, TokenError> {
        let (bytes, _) = split_signed(signed).ok_or(TokenError::Claims("encoding"))?;
        let claims = Claims::decode(bytes).map_err(TokenError::Claims)?;
        self.check(&claims)?;
        let mut body = Zeroizing::new(Vec::with_capacity(AROUND + bytes.len()));
        body.push(VERSION);
        body.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        body.extend_from_slice(signed);
        body.extend_from_slice(self.0.as_slice());
        let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT));
        text.push_str(PREFIX);
        base64::encode(&body, &mut text);
        let sum = checksum_of(text.as_bytes());
        text.push_str(&sum);
        Ok(text)
    }

    /// Lends the key pair and then overwrites what the work with it left on the stack.
    fn with_key<T>(&self, work: impl FnOnce(&SigningKey) -> T) -> T {
        let done = lend_key(&self.0, work);
        wipe_stack();
        done
    }

    fn check(&self, claims: &Claims) -> Result<(), TokenError> {
        let is_same: bool = self.public_key().ct_eq(&claims.key).into();
        is_same.then_some(()).ok_or(TokenError::Seed)
    }
}

/// Has a frame of its own, below the caller's, for every copy that is made of the seed.
#[inline(never)]
fn lend_key<T>(seed: &[u8; SEED], work: impl FnOnce(&SigningKey) -> T) -> T {
    work(&SigningKey::from_bytes(seed))
}

/// Overwrites the stack below the caller's frame.
///
/// A key pair is zeroed where it is dropped, but a move before that and the block a hash read leave the seed behind.
/// A test that searches the memory of a process tells whether this is enough.
#[inline(never)]
fn wipe_stack() {
    let mut used = [0u8; 16384];
    used.zeroize();
    std::hint::black_box(&used);
}

impl fmt::Debug for Seed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Seed(redacted)")
    }
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A received token, whole and in bounds. Whether its signature is good, only the coordinator can tell.
pub struct Token {
    signed: Vec<u8>,
    claims: Claims,
    seed: Seed,
}

impl Token {
    /// Reads a token's text; white space around it is ignored, and so is the mark that some editors begin a file with.
    ///
    /// # Errors
    /// See [`TokenError`]. The first rule that is broken is told, from the outside in.
    pub fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let text = text.trim_ascii();
        let coded = text
            .strip_prefix(PREFIX.as_bytes())
            .ok_or(TokenError::Prefix)?;
        if !(MIN_TEXT..=MAX_TEXT).contains(&text.len()) {
            return Err(TokenError::Length(text.len()));
        }
        if !coded
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        {
            return Err(TokenError::Encoding);
        }
        let (summed, checksum) = text
            .split_at_checked(text.len() - CHECKSUM)
            .ok_or(TokenError::Encoding)?;
        if checksum != checksum_of(summed).as_bytes() {
            return Err(TokenError::Checksum);
        }
        let coded = summed.get(PREFIX.len()..).ok_or(TokenError::Encoding)?;
        let mut body = Zeroizing::new(Vec::with_capacity(coded.len()));
        base64::decode(coded, &mut body).ok_or(TokenError::Encoding)?;
        Self::read_body(&body)
    }

    fn read_body(body: &[u8]) -> Result<Self, TokenError> {
        let mut from = Reader(body);
        let version = from.u8().ok_or(TokenError::Encoding)?;
        if version != VERSION {
            return Err(TokenError::Version(version));
        }
        let length = from.u16().ok_or(TokenError::Encoding)?;
        let signed = from
            .take(usize::from(length) + SIGNATURE)
            .ok_or(TokenError::Encoding)?;
        let seed = from
            .take(SEED)
            .filter(|_| from.is_empty())
            .ok_or(TokenError::Encoding)?;
        let claims = decode_signed(signed)?;
        let seed = Seed::fill(|place| {
            place.copy_from_slice(seed);
            Ok(())
        })?;
        seed.check(&claims)?;
        Ok(Self {
            signed: signed.to_vec(),
            claims,
            seed,
        })
    }

    /// Returns `claims || signature`: what may go over the wire.
    pub fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// Returns what the token says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Signs possession of the seed over a CSR and the exporter of this very connection (T4).
    pub fn proof(&self, csr: &[u8], exporter: &[u8; 32]) -> [u8; SIGNATURE] {
        let message = proof_message(&self.claims, &self.signed, csr, exporter);
        self.seed.with_key(|key| key.sign(&message).to_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "Token({:032x}, redacted)",
            u128::from_be_bytes(self.claims.jti)
        )
    }
}

/// Returns `claims || signature` with a key that is given as its seed.
///
/// The claims are not judged here; what no token may say is refused by [`Seed::assemble`].
pub fn sign_claims(seed: &[u8; 32], claims: &[u8]) -> Vec<u8> {
    let signature = SigningKey::from_bytes(seed).sign(&[CLAIMS_DOMAIN, claims].concat());
    [claims, &signature.to_bytes()].concat()
}

/// Reads the claims in `claims || signature` without judging the signature.
///
/// # Errors
/// [`TokenError::Claims`].
pub fn decode_signed(signed: &[u8]) -> Result<Claims, TokenError> {
    let (claims, _) = split_signed(signed).ok_or(TokenError::Claims("encoding"))?;
    Claims::decode(claims).map_err(TokenError::Claims)
}

/// Verifies the signature in `claims || signature` strictly (T2).
pub fn verify_claims(signed: &[u8], key: &[u8]) -> bool {
    split_signed(signed).is_some_and(|(claims, signature)| {
        signature::verify(key, &[CLAIMS_DOMAIN, claims].concat(), signature)
    })
}

/// Verifies a proof of possession against the key in the claims of `claims || signature`.
///
/// The signature in `signed` is for [`verify_claims`].
pub fn verify_proof(signed: &[u8], csr: &[u8], exporter: &[u8; 32], proof: &[u8]) -> bool {
    decode_signed(signed).is_ok_and(|claims| {
        let message = proof_message(&claims, signed, csr, exporter);
        signature::verify(&claims.key, &message, proof)
    })
}

fn proof_message(claims: &Claims, signed: &[u8], csr: &[u8], exporter: &[u8; 32]) -> Vec<u8> {
    [
        PROOF_DOMAIN,
        &claims.jti,
        &Sha256::digest(signed),
        &Sha256::digest(csr),
        exporter,
    ]
    .concat()
}

/// Returns the six characters that follow a token's text.
fn checksum_of(text: &[u8]) -> String {
    let mut out = String::with_capacity(CHECKSUM);
    base64::encode(&crc32(text).to_be_bytes(), &mut out);
    out
}

fn split_signed(signed: &[u8]) -> Option<(&[u8], &[u8])> {
    let claims = signed
        .len()
        .checked_sub(SIGNATURE)
        .filter(|length| *length <= MAX_CLAIMS)?;
    signed.split_at_checked(claims)
}
