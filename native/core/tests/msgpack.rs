//! The msgpack check: agrees with what an encoder writes, and refuses hostile counts, depth and types (D3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use proptest::collection::vec;
use proptest::prelude::*;
use swarmlet_core::msgpack::{check, MsgpackError, MAX_DEPTH, MAX_ITEMS};
use swarmlet_core::Failure;

#[derive(Clone, Debug)]
enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Uint),
        any::<f64>().prop_map(Value::Float),
        ".{0,80}".prop_map(Value::Text),
        vec(any::<u8>(), 0..300).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(6, 200, 20, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::List),
            vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

/// Writes a value in the width that `wide` picks, so that all forms of each type occur.
fn write(value: &Value, wide: u8, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.push(0xc0),
        Value::Bool(is) => out.push(0xc2 | u8::from(*is)),
        Value::Int(number @ -32..=127) => out.push(*number as u8),
        Value::Int(number) => tagged(0xd3, &number.to_be_bytes(), out),
        Value::Uint(number) => tagged(0xcf, &number.to_be_bytes(), out),
        Value::Float(number) if wide % 2 == 0 => tagged(0xca, &(*number as f32).to_be_bytes(), out),
        Value::Float(number) => tagged(0xcb, &number.to_be_bytes(), out),
        Value::Text(text) => {
            count(
                text.len(),
                wide,
                (0xa0, 31),
                [Some(0xd9), Some(0xda), Some(0xdb)],
                out,
            );
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            count(
                bytes.len(),
                wide,
                (0, -1),
                [Some(0xc4), Some(0xc5), Some(0xc6)],
                out,
            );
            out.extend(bytes);
        }
        Value::List(items) => {
            count(
                items.len(),
                wide,
                (0x90, 15),
                [None, Some(0xdc), Some(0xdd)],
                out,
            );
            items.iter().for_each(|item| write(item, wide, out));
        }
        Value::Map(items) => {
            count(
                items.len(),
                wide,
                (0x80, 15),
                [None, Some(0xde), Some(0xdf)],
                out,
            );
            for (key, item) in items {
                write(key, wide, out);
                write(item, wide, out);
            }
        }
    }
}

fn tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    out.extend(bytes);
}

fn count(length: usize, wide: u8, fix: (u8, i32), tags: [Option<u8>; 3], out: &mut Vec<u8>) {
    let [byte, short, long] = tags;
    match (wide % 4, byte) {
        (0, _) if (length as i32) <= fix.1 => out.push(fix.0 | length as u8),
        (0 | 1, Some(tag)) if length < 256 => tagged(tag, &[length as u8], out),
        (0..=2, _) => tagged(short.unwrap(), &(length as u16).to_be_bytes(), out),
        _ => tagged(long.unwrap(), &(length as u32).to_be_bytes(), out),
    }
}

proptest! {
    #[test]
    fn what_an_encoder_writes_is_taken(value in value(), wide: u8) {
        let mut bytes = Vec::new();
        write(&value, wide, &mut bytes);
        prop_assert_eq!(check(&bytes), Ok(()));
    }

    #[test]
    fn every_cut_is_refused(value in value(), wide: u8, at: prop::sample::Index) {
        let mut bytes = Vec::new();
        write(&value, wide, &mut bytes);
        bytes.truncate(at.index(bytes.len()));
        prop_assert_eq!(check(&bytes), Err(MsgpackError::Truncated));
    }

    #[test]
    fn what_follows_the_value_is_refused(value in value(), more in vec(any::<u8>(), 1..5)) {
        let mut bytes = Vec::new();
        write(&value, 0, &mut bytes);
        bytes.extend(&more);
        prop_assert_eq!(check(&bytes), Err(MsgpackError::Trailing(more.len())));
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..4096)) {
        let _ = check(&bytes);
    }

    #[test]
    fn mutated_values_never_panic(value in value(), at: prop::sample::Index, byte: u8) {
        let mut bytes = Vec::new();
        write(&value, 3, &mut bytes);
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = check(&bytes);
    }
}

#[test]
fn d3_depth_ends_at_sixteen() {
    let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
    assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
    assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(MsgpackError::Depth));
    assert_eq!(check(&vec![0x91; 65536]), Err(MsgpackError::Depth));
}

#[test]
fn d3_counts_are_compared_with_the_bytes_there_are() {
    for hostile in [
        &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdb, 0xff, 0xff, 0xff, 0xff],
        &[0xc6, 0xff, 0xff, 0xff, 0xff, 1],
        &[0xdc, 0xff, 0xff, 0xc0],
        &[0x82, 0xc0, 0xc0, 0xc0],
        &[],
    ] {
        assert_eq!(
            check(hostile),
            Err(MsgpackError::Truncated),
            "{hostile:02x?}"
        );
    }
}

#[test]
fn d3_the_number_of_values_has_a_limit() {
    let list = |count: usize| {
        [
            vec![0xdc, (count >> 8) as u8, count as u8],
            vec![0xc0; count],
        ]
        .concat()
    };
    assert_eq!(check(&list(MAX_ITEMS - 1)), Ok(()));
    assert_eq!(check(&list(MAX_ITEMS)), Err(MsgpackError::Items));
}

#[test]
fn extension_types_are_refused() {
    for tag in [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8] {
        let bytes = [&[tag][..], &[0; 32]].concat();
        assert_eq!(check(&bytes), Err(MsgpackError::Type(tag)));
        assert_eq!(MsgpackError::Type(tag).kind(), "msgpack-type");
    }
}

#[test]
fn texts_are_utf_8_and_byte_strings_need_not_be() {
    assert_eq!(check(&[0xa2, 0xc3, 0xa4]), Ok(()));
    for bad in [
        &[0xa1, 0xc3][..],
        &[0xd9, 1, 0xff],
        &[0xa3, 0xed, 0xa0, 0x80],
    ] {
        assert_eq!(check(bad), Err(MsgpackError::Text), "{bad:02x?}");
    }
    assert_eq!(check(&[0xc4, 1, 0xff]), Ok(()));
}
