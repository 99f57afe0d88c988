//! Replays the kept corpus of the fuzz targets (`fuzz/`), each input also cut short and with bits flipped, without a fuzzer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many changed ones each input is replayed as.
const CHANGES: usize = 48;
/// The most bytes of the corpus of all targets together.
const MOST: u64 = 200_000;

fn place(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    root.join(name)
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = place("corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<_> = fuzz::TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let inputs = targets.iter().flat_map(|target| corpus(target));
    let bytes: u64 = inputs.map(|(_, input)| input.len() as u64).sum();
    assert!(bytes <= MOST, "the corpus has {bytes} bytes");
}

#[test]
fn every_kept_input_and_others_like_it_hold() {
    for (name, target) in fuzz::TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name}");
        for (path, input) in inputs {
            target(&input);
            for change in 0..CHANGES {
                let changed = change_of(&input, change);
                let run = std::panic::AssertUnwindSafe(|| target(&changed));
                let held = std::panic::catch_unwind(run).is_ok();
                assert!(held, "{}, change {change}: {changed:02x?}", path.display());
            }
        }
    }
}

/// Cuts the input, or flips a bit of it, somewhere; as far apart as there are changes.
fn change_of(input: &[u8], change: usize) -> Vec<u8> {
    let mut changed = input.to_vec();
    let at = input.len() * (change / 2) / (CHANGES / 2);
    match changed.get_mut(at).filter(|_| change % 2 == 1) {
        Some(byte) => *byte ^= 1 << (change / 2 % 8),
        None => changed.truncate(at),
    }
    changed
}
