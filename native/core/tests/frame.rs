//! Frames: any split gives the same frames, garbage is refused, nothing is allocated for a promise (D3).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use proptest::collection::vec;
use proptest::prelude::*;
use swarmlet_core::frame::{encode, Decoder, FrameError, Kind, HEADER, MAX_PAYLOAD};
use swarmlet_core::Failure;

type Owned = (u8, u16, Vec<u8>);

const KINDS: [Kind; 6] = [
    Kind::Control,
    Kind::Heartbeat,
    Kind::HeartbeatAck,
    Kind::Lease,
    Kind::Data,
    Kind::Credit,
];

fn frame() -> impl Strategy<Value = Owned> {
    let payload =
        prop_oneof![9 => vec(any::<u8>(), 0..200), 1 => vec(any::<u8>(), 0..=MAX_PAYLOAD)];
    (prop::sample::select(KINDS.to_vec()), 1..=u16::MAX, payload).prop_map(
        |(kind, stream, mut payload)| {
            if let Some(fixed) = kind.fixed_len() {
                payload.resize(fixed, 0x5a);
            }
            (
                kind as u8,
                if kind.is_streamed() { stream } else { 0 },
                payload,
            )
        },
    )
}

fn wire(frames: &[Owned]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, stream, payload) in frames {
        encode(Kind::from_byte(*kind).unwrap(), *stream, payload, &mut out).unwrap();
    }
    out
}

/// Feeds `bytes` in pieces of the given sizes, again and again, and says how it ended.
fn decode(bytes: &[u8], sizes: &[usize]) -> (Vec<Owned>, Option<FrameError>, Decoder) {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        rest = after;
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(frame)) => {
                    frames.push((frame.kind as u8, frame.stream, frame.payload.to_vec()))
                }
                Ok(None) => break,
                Err(cause) => return (frames, Some(cause), decoder),
            }
        }
        assert!(piece.is_empty(), "None means that all input was used");
        assert!(
            decoder.allocated() <= 2 * (HEADER + MAX_PAYLOAD),
            "more than one frame is held"
        );
    }
    (frames, None, decoder)
}

proptest! {
    #[test]
    fn any_split_of_frames_gives_the_same_frames(
        frames in vec(frame(), 0..12), sizes in vec(1usize..40_000, 1..8),
    ) {
        let bytes = wire(&frames);
        let (found, cause, decoder) = decode(&bytes, &sizes);
        prop_assert_eq!(cause, None);
        prop_assert!(decoder.is_at_boundary());
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn one_byte_at_a_time_is_enough(frames in vec(frame(), 1..3)) {
        let (found, _, _) = decode(&wire(&frames), &[1]);
        prop_assert_eq!(found, frames);
    }

    #[test]
    fn garbage_ends_the_same_way_however_it_is_split(
        frames in vec(frame(), 0..4), garbage in vec(any::<u8>(), 0..64), sizes in vec(1usize..50, 1..8),
    ) {
        let mut bytes = wire(&frames);
        bytes.extend(garbage);
        let whole = decode(&bytes, &[usize::MAX]);
        let pieces = decode(&bytes, &sizes);
        prop_assert_eq!(&whole.0, &pieces.0);
        prop_assert_eq!(whole.1, pieces.1);
        prop_assert!(whole.1.is_some() || whole.2.is_at_boundary() == pieces.2.is_at_boundary());
    }

    #[test]
    fn d3_no_header_makes_the_decoder_allocate(header in any::<[u8; HEADER]>()) {
        let (_, _, decoder) = decode(&header, &[HEADER]);
        prop_assert!(decoder.allocated() <= 64, "{} bytes are held for a promise", decoder.allocated());
    }
}

fn refused(header: [u8; HEADER]) -> FrameError {
    let (frames, cause, _) = decode(&header, &[3]);
    assert!(frames.is_empty());
    cause.expect("the header is refused before its payload comes")
}

#[test]
fn d3_a_payload_over_the_limit_is_refused_by_its_header_alone() {
    let cause = refused([0, 1, 0, 1, 1, 0, 0, 0]);
    assert_eq!(
        (cause, cause.kind()),
        (FrameError::TooLarge(65537), "frame-too-large")
    );
    assert_eq!(
        refused([0xff; HEADER]),
        FrameError::TooLarge(u64::from(u32::MAX))
    );
}

#[test]
fn a_payload_at_the_limit_is_taken() {
    let frames = vec![(Kind::Data as u8, 1, vec![7; MAX_PAYLOAD])];
    assert_eq!(decode(&wire(&frames), &[16_384]).0, frames);
}

#[test]
fn unknown_kinds_flags_and_shapes_are_refused() {
    assert_eq!(refused([0, 0, 0, 0, 0, 0, 0, 0]).kind(), "frame-kind");
    assert_eq!(refused([0, 0, 0, 0, 5, 0, 0, 0]).kind(), "frame-kind");
    assert_eq!(refused([0, 0, 0, 0, 1, 1, 0, 0]).kind(), "frame-flags");
    assert_eq!(refused([0, 0, 0, 63, 2, 0, 0, 0]).kind(), "frame-shape");
    assert_eq!(refused([0, 0, 0, 5, 17, 0, 0, 1]).kind(), "frame-shape");
    assert_eq!(
        refused([0, 0, 0, 9, 1, 0, 0, 1]).kind(),
        "frame-shape",
        "control frames have stream 0"
    );
    assert_eq!(
        refused([0, 0, 0, 9, 16, 0, 0, 0]).kind(),
        "frame-shape",
        "data frames have a stream"
    );
}

#[test]
fn what_a_decoder_refuses_an_encoder_does_not_write() {
    let mut out = vec![1, 2, 3];
    for (kind, stream, length) in [
        (Kind::Data, 1, MAX_PAYLOAD + 1),
        (Kind::Data, 0, 1),
        (Kind::Control, 1, 1),
        (Kind::Lease, 0, 7),
    ] {
        assert!(encode(kind, stream, &vec![0; length], &mut out).is_err());
    }
    assert_eq!(out, [1, 2, 3], "a refusal leaves the output as it was");
}

#[test]
fn a_cut_connection_is_seen() {
    let bytes = wire(&[(Kind::Data as u8, 1, vec![1; 100])]);
    for cut in 1..bytes.len() {
        assert!(
            !decode(&bytes[..cut], &[1000]).2.is_at_boundary(),
            "cut after {cut} bytes"
        );
    }
}

#[test]
fn an_idle_decoder_gives_its_memory_back() {
    let bytes = wire(&[(Kind::Data as u8, 1, vec![1; MAX_PAYLOAD])]);
    assert!(decode(&bytes, &[1000]).2.allocated() <= 1024);
}

#[test]
fn golden_every_frame_has_the_bytes_of_the_document() {
    let vectors = common::vectors("frames.txt");
    let names: Vec<_> = vectors
        .keys()
        .filter_map(|name| name.strip_suffix(".frame"))
        .collect();
    assert_eq!(names.len(), KINDS.len());
    for name in names {
        let frame = &vectors[&format!("{name}.frame")];
        let (found, cause, _) = decode(frame, &[5]);
        assert_eq!(cause, None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].2, vectors[&format!("{name}.payload")], "{name}");
        assert_eq!(&wire(&found), frame, "{name}");
    }
}
