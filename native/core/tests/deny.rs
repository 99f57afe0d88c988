//! The deny set: a serial is a number, however its bytes are written (C7).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use swarmlet_core::deny::DenySet;

#[test]
fn c7_leading_zeros_make_no_difference() {
    let mut deny = DenySet::default();
    assert!(deny.insert(&[0, 0xff, 1]));
    assert!(!deny.insert(&[0xff, 1]), "it is there already");
    assert!(deny.contains(&[0xff, 1]) && deny.contains(&[0, 0, 0xff, 1]));
    assert!(!deny.contains(&[0xff, 1, 0]));
    assert_eq!(deny.len(), 1);
    assert!(deny.remove(&[0, 0xff, 1]) && deny.is_empty());
}

#[test]
fn what_can_be_no_serial_is_not_kept() {
    let mut deny = DenySet::default();
    assert!(deny.insert(&[0xff; 20]));
    assert!(!deny.insert(&[0xff; 21]));
}
