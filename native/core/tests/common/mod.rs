//! Reads the golden vectors: lines of `name = hex`, the same files that the Python tests read.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;

pub fn vectors(file: &str) -> BTreeMap<String, Vec<u8>> {
    let path = format!("{}/../../tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"));
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, hex) = line.split_once(" =").expect("name = hex");
            (name.to_owned(), unhex(hex.trim()))
        })
        .collect()
}

pub fn unhex(hex: &str) -> Vec<u8> {
    assert!(hex.len() % 2 == 0, "odd number of hex digits");
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
