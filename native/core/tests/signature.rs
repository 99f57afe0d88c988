//! Ed25519: strict on vectors that fool careless verifiers, and batches that agree with it (T2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use proptest::prelude::*;
use swarmlet_core::signature::{verify, verify_batch, Signed};

#[test]
fn t2_every_vector_gets_its_verdicts() {
    let vectors = common::vectors("signatures.txt");
    let good = part(&vectors, "good-1");
    let names: Vec<_> = vectors
        .keys()
        .filter_map(|name| name.strip_suffix(".verdicts"))
        .collect();
    assert!(names.len() >= 90, "{} vectors", names.len());
    for name in names {
        let case = part(&vectors, name);
        let [one, batch] = vectors[&format!("{name}.verdicts")][..] else {
            panic!("{name}")
        };
        assert_eq!(
            verify(case.key, case.message, case.signature),
            one == 1,
            "{name} alone"
        );
        assert_eq!(verify_batch(&[case]), batch == 1, "{name} as a batch");
        assert_eq!(
            verify_batch(&[good, case, good]),
            batch == 1,
            "{name} in a batch"
        );
        assert_eq!(
            verify_batch(&[case, case, case]),
            batch == 1,
            "{name} three times"
        );
    }
}

/// The library's own strict verification, which this code does not use. It reads unreduced keys.
fn library_takes(item: &Signed<'_>) -> bool {
    let (Ok(key), Ok(signature)) = (item.key.try_into(), Signature::from_slice(item.signature))
    else {
        return false;
    };
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(item.message, &signature).is_ok())
}

#[test]
fn t2_the_librarys_strict_verification_agrees() {
    let vectors = common::vectors("signatures.txt");
    for name in vectors
        .keys()
        .filter_map(|name| name.strip_suffix(".verdicts"))
    {
        let case = part(&vectors, name);
        assert_eq!(
            library_takes(&case),
            verify(case.key, case.message, case.signature),
            "{name}"
        );
    }
}

fn part<'a>(vectors: &'a std::collections::BTreeMap<String, Vec<u8>>, name: &str) -> Signed<'a> {
    Signed {
        key: &vectors[&format!("{name}.key")],
        message: &vectors[&format!("{name}.message")],
        signature: &vectors[&format!("{name}.signature")],
    }
}

/// Signatures by `signers` keys in turn.
fn signed(count: usize, signers: u8) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    (0..count)
        .map(|number| {
            let key = SigningKey::from_bytes(&[number as u8 % signers; 32]);
            let message = format!("statement {number}").into_bytes();
            let signature = key.sign(&message).to_vec();
            (key.verifying_key().to_bytes().to_vec(), message, signature)
        })
        .collect()
}

fn refer(owned: &[(Vec<u8>, Vec<u8>, Vec<u8>)]) -> Vec<Signed<'_>> {
    owned
        .iter()
        .map(|(key, message, signature)| Signed {
            key,
            message,
            signature,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn t2_a_batch_holds_when_all_hold_and_fails_when_one_fails(
        count in 1usize..80, signers in 1u8..8, which: prop::sample::Index, part in 0usize..3, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let mut items = signed(count, signers);
        prop_assert!(verify_batch(&refer(&items)));
        let (key, message, signature) = &mut items[which.index(count)];
        let damaged = [key, message, signature][part].as_mut_slice();
        damaged[at.index(damaged.len())] ^= 1 << bit;
        prop_assert!(!verify_batch(&refer(&items)));
        for item in refer(&items) {
            prop_assert_eq!(verify(item.key, item.message, item.signature), library_takes(&item));
        }
        prop_assert!(items.iter().any(|(key, message, signature)| !verify(key, message, signature)));
    }

    #[test]
    fn t2_swapped_messages_are_refused(count in 2usize..40, signers in 1u8..4) {
        let mut items = signed(count, signers);
        let first = items[0].1.clone();
        items[0].1 = std::mem::replace(&mut items[count - 1].1, first);
        prop_assert!(!verify_batch(&refer(&items)));
    }

    #[test]
    fn random_bytes_never_panic(key in prop::collection::vec(any::<u8>(), 0..40), signature in prop::collection::vec(any::<u8>(), 0..70)) {
        prop_assert!(!verify(&key, b"message", &signature));
        let item = Signed { key: &key, message: b"message", signature: &signature };
        prop_assert!(!verify_batch(&[item]));
    }
}

#[test]
fn an_empty_batch_holds() {
    assert!(verify_batch(&[]));
}
