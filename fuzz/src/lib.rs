//! What each parser of `native/core` must hold for any bytes at all. Without a fuzzer in it: `make fuzz` drives these
//! functions by libFuzzer, and `native/core/tests/corpus.rs` replays the kept corpus in every run of the tests.
//!
//! A target fails by panicking; that nothing overflows is watched as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a finding is a panic"
)]

pub mod formats;
pub mod gossip;
pub mod members;

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by the name of their program and their corpus.
pub const TARGETS: [(&str, Target); 11] = [
    ("certificate", formats::certificate),
    ("claims", formats::claims),
    ("control", formats::control),
    ("fixed", formats::fixed),
    ("frames", formats::frames),
    ("token", formats::token),
    ("messages", gossip::messages),
    ("packet", gossip::packet),
    ("statements", gossip::statements),
    ("membership", members::membership),
    ("sync", members::sync),
];
