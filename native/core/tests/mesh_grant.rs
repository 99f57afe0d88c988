//! What the coordinator grants: opened by its owner alone, whole or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use swarmlet_core::mesh::packet::MeshSecret;
use swarmlet_core::mesh::{Authority, Credential, Grant, Keyring};

const CLUSTER: [u8; 16] = [0xc1; 16];
const NODE: [u8; 16] = [0x11; 16];

fn authority(root: u8) -> Authority {
    Authority::new(&MeshSecret::new([root; 32]), CLUSTER).unwrap()
}

fn credential(secret: &MeshSecret) -> Credential {
    Credential {
        uid: NODE,
        exchange: secret.public(),
        signing: [9; 32],
        issued_ms: 1000,
        expires_ms: 2000,
    }
}

fn opened(sealed: &[u8], secret: &MeshSecret, from: &Authority) -> Option<Grant> {
    Grant::open(sealed, secret, &from.secret().public(), &CLUSTER, &NODE)
}

#[test]
fn the_owner_finds_its_credential_and_the_keys_of_the_epochs() {
    let (hub, secret) = (authority(1), MeshSecret::new([2; 32]));
    let says = credential(&secret);
    let sealed = hub.grant(&says, &[6, 7, 8], 7, [5; 12]).unwrap();
    let grant = opened(&sealed, &secret, &hub).unwrap();
    assert_eq!(grant.says, says);
    assert_eq!(grant.credential, hub.credential(&says));
    assert_eq!(grant.current, 7);
    let numbers: Vec<u64> = grant.epochs.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [6, 7, 8]);
    // A key of an epoch is compared by what follows from it.
    for (number, key) in &grant.epochs {
        assert_eq!(key.public(), hub.epoch(*number).unwrap().public());
    }
}

#[test]
fn nobody_else_opens_it() {
    let (hub, secret) = (authority(1), MeshSecret::new([2; 32]));
    let sealed = hub.grant(&credential(&secret), &[1], 1, [5; 12]).unwrap();
    let (other, another) = (MeshSecret::new([3; 32]), authority(4));
    assert!(opened(&sealed, &other, &hub).is_none());
    assert!(opened(&sealed, &secret, &another).is_none());
    let public = hub.secret().public();
    assert!(Grant::open(&sealed, &secret, &public, &[0; 16], &NODE).is_none());
    assert!(Grant::open(&sealed, &secret, &public, &CLUSTER, &[0; 16]).is_none());
    let text = sealed.windows(32).any(|part| part == hub.signing());
    assert!(!text, "nothing of it is in the clear");
}

#[test]
fn a_key_of_small_order_is_granted_nothing() {
    let mut says = credential(&MeshSecret::new([2; 32]));
    says.exchange = [0; 32];
    assert!(authority(1).grant(&says, &[1], 1, [5; 12]).is_none());
}

#[test]
fn all_keys_follow_from_the_root_and_the_cluster() {
    let (one, same) = (authority(1), authority(1));
    assert_eq!(one.signing(), same.signing());
    assert_eq!(one.secret().public(), same.secret().public());
    let elsewhere = Authority::new(&MeshSecret::new([1; 32]), [0xc2; 16]).unwrap();
    assert_ne!(one.signing(), elsewhere.signing());
    assert_ne!(
        one.epoch(1).unwrap().public(),
        one.epoch(2).unwrap().public()
    );
    assert_eq!(one.keyring().public(), one.signing());
    assert_eq!(format!("{one:?}"), "Authority(..)");
}

#[test]
fn the_seed_kept_as_a_secret_is_the_same_key() {
    let kept = Keyring::of(&MeshSecret::new([8; 32]), [0; 32], CLUSTER);
    assert_eq!(
        kept.public(),
        Keyring::new(&[8; 32], [0; 32], CLUSTER).public()
    );
}

proptest! {
    #[test]
    fn damage_anywhere_opens_nothing(at in 0usize..317, bit in 0u8..8) {
        let (hub, secret) = (authority(1), MeshSecret::new([2; 32]));
        let mut sealed = hub.grant(&credential(&secret), &[1, 2, 3], 2, [5; 12]).unwrap();
        prop_assert_eq!(sealed.len(), 317);
        sealed[at] ^= 1 << bit;
        prop_assert!(opened(&sealed, &secret, &hub).is_none());
    }

    #[test]
    fn any_bytes_are_no_grant(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(opened(&bytes, &MeshSecret::new([2; 32]), &authority(1)).is_none());
    }
}
