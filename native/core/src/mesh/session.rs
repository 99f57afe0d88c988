//! Keys of a pair: X25519 once, HKDF for each epoch and process, nothing of it ever printed.

use chacha20poly1305::aead::{AeadInPlace, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use curve25519_dalek::montgomery::MontgomeryPoint;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::replay::Window;
use crate::Uid;

/// Separates these keys from every other use of the secrets.
const INFO: &[u8] = b"swarmlet/mesh/packet/v1\0";
/// Bytes of an authentication tag.
pub(super) const TAG: usize = 16;

/// 32 secret bytes: wiped when dropped, never printed, compared by nobody.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Keeps secret bytes. Who made them wipes their own copy.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the X25519 public key that belongs to this secret.
    pub fn public(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(*self.0).to_bytes()
    }

    /// Derives another secret for one purpose (RFC 5869); `None` never, as 32 bytes are few.
    pub(super) fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Option<Self> {
        let mut made = Self::new([0; 32]);
        Hkdf::<Sha256>::new(Some(salt), &self.0[..])
            .expand_multi_info(info, &mut made.0[..])
            .ok()?;
        Some(made)
    }

    /// Lets the bytes be used, by who keeps no copy of them.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the X25519 secret shared with the owner of `public` (RFC 7748); `None` when that key is of small order
    /// and the secret would be known to everybody.
    pub(super) fn shared(&self, public: &[u8; 32]) -> Option<Self> {
        let mut bytes = MontgomeryPoint(*public).mul_clamped(*self.0).to_bytes();
        let sound = bytes.iter().fold(0, |all, byte| all | byte) != 0;
        let made = sound.then(|| Self::new(bytes));
        bytes.zeroize();
        made
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub uid: Uid,
    pub boot: [u8; 8],
}

/// What a key is good for: one epoch, one pair of processes, one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub epoch: u64,
    pub sender: End,
    pub receiver: End,
}

/// A key and what it is good for.
#[derive(Clone)]
pub(super) struct ScopedKey {
    pub scope: Scope,
    key: Secret,
}

impl ScopedKey {
    /// Derives the key (RFC 5869): the epoch's key is the salt, the pair's secret the input.
    pub fn derive(pair: &Secret, epoch_key: &Secret, cluster: &Uid, scope: Scope) -> Option<Self> {
        let mut key = Secret::new([0; 32]);
        let epoch = scope.epoch.to_be_bytes();
        let info: [&[u8]; 7] = [
            INFO,
            cluster,
            &epoch,
            &scope.sender.uid,
            &scope.receiver.uid,
            &scope.sender.boot,
            &scope.receiver.boot,
        ];
        Hkdf::<Sha256>::new(Some(&epoch_key.0[..]), &pair.0[..])
            .expand_multi_info(&info, &mut key.0[..])
            .ok()?;
        Some(Self { scope, key })
    }

    /// Encrypts in place and returns the tag.
    pub fn seal(&self, sequence: u64, header: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG]> {
        let cipher = ChaCha20Poly1305::new((&*self.key.0).into());
        let sealed = cipher.encrypt_in_place_detached(&nonce(sequence).into(), header, bytes);
        sealed.ok().map(Into::into)
    }

    /// Decrypts in place; false, and nothing decrypted, when the tag is wrong.
    pub fn open(&self, sequence: u64, header: &[u8], bytes: &mut [u8], tag: &[u8; TAG]) -> bool {
        let cipher = ChaCha20Poly1305::new((&*self.key.0).into());
        let (nonce, tag) = (nonce(sequence).into(), tag.into());
        cipher
            .decrypt_in_place_detached(&nonce, header, bytes, tag)
            .is_ok()
    }
}

/// The sequence number, of which each is used once with a key.
fn nonce(sequence: u64) -> [u8; 12] {
    crate::bytes::concat(&[&[0; 4], &sequence.to_be_bytes()])
}

/// What is kept of one peer.
pub(super) struct Session {
    /// The key of the peer that `pair` was made with.
    pub exchange: [u8; 32],
    pub pair: Secret,
    pub send: Option<ScopedKey>,
    pub sequence: u64,
    /// Keys by which the peer sent lately: of this epoch and another.
    pub receive: [Option<ScopedKey>; 2],
    /// The process of the peer that was heard last, and what it sent.
    pub boot: Option<[u8; 8]>,
    pub window: Window,
    pub newest_ms: u64,
}

impl Session {
    /// Begins with a sequence number that no key of this peer was used with.
    pub fn new(own: &Secret, exchange: &[u8; 32], sequence: u64) -> Option<Self> {
        Some(Self {
            exchange: *exchange,
            pair: own.shared(exchange)?,
            send: None,
            sequence,
            receive: [None, None],
            boot: None,
            window: Window::default(),
            newest_ms: 0,
        })
    }

    /// Says whether a packet may be one that was not taken yet.
    pub fn is_fresh(&self, boot: &[u8; 8], sequence: u64) -> bool {
        self.boot.as_ref() != Some(boot) || self.window.is_fresh(sequence)
    }

    /// Takes note of an authentic packet; false when it is of a process that ended.
    ///
    /// Boot identifiers have no order, but cluster time has: a packet of another process must be newer than all of
    /// the one before.
    pub fn accept(&mut self, boot: &[u8; 8], sequence: u64, time_ms: u64) -> bool {
        if self.boot.as_ref() != Some(boot) {
            if self.boot.is_some() && time_ms <= self.newest_ms {
                return false;
            }
            self.boot = Some(*boot);
            self.window = Window::default();
            self.newest_ms = 0;
        }
        self.window.take(sequence);
        self.newest_ms = self.newest_ms.max(time_ms);
        true
    }

    /// Decrypts with the key of this scope, which is kept when it is new and opened something.
    pub fn open(
        &mut self,
        scope: Scope,
        sequence: u64,
        header: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG],
        derive: impl FnOnce(&Secret) -> Option<ScopedKey>,
    ) -> bool {
        let mut kept = self.receive.iter().flatten();
        if let Some(key) = kept.find(|key| key.scope == scope) {
            return key.open(sequence, header, bytes, tag);
        }
        let key = derive(&self.pair).filter(|key| key.open(sequence, header, bytes, tag));
        let opened = key.is_some();
        if let Some(key) = key {
            let [first, second] = &mut self.receive;
            *second = first.take();
            *first = Some(key);
        }
        opened
    }
}
