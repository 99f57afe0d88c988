//! D3, counted by the allocator itself: hostile lengths make no parser allocate more than 8 times its input + 64 KiB.
//!
//! One test, so that no other thread of this process allocates meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use swarmlet_core::frame::Decoder;
use swarmlet_core::{msgpack, token, x509};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), SeqCst) + layout.size();
        PEAK.fetch_max(now, SeqCst);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), SeqCst);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Returns how many bytes `work` had allocated at most, beyond what there was before.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(SeqCst);
    PEAK.store(before, SeqCst);
    work();
    PEAK.load(SeqCst) - before
}

fn parse_all(bytes: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(1000) {
        let mut input = piece;
        while let Ok(Some(_)) = decoder.next(&mut input) {}
    }
    let _ = msgpack::check(bytes);
    let _ = x509::Certificate::read(bytes);
    let _ = token::Token::parse(bytes);
    let _ = token::decode_signed(bytes);
}

/// A small generator of pseudo-random numbers (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn d3_no_parser_allocates_what_a_length_promises() {
    let mut random = Random(0x5eed);
    let starts: [&[u8]; 9] = [
        &[0, 1, 0, 0, 16, 0, 0, 1],
        &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0x7f, 0xff, 0xff, 0xff],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x82, 0x1f, 0xff],
        &[0x9f, 0x01, 0xc4, 0x10],
        b"swarm_join_AQ",
        &[],
    ];
    for round in 0..20_000 {
        let start = starts[round % starts.len()];
        let length = (random.next() % 3000) as usize;
        let mut input = start.to_vec();
        input.extend((0..length).map(|_| random.next() as u8));
        let used = peak(|| parse_all(&input));
        assert!(
            used <= 8 * input.len() + 65536,
            "round {round}: {used} bytes for {} of input",
            input.len()
        );
    }
}
