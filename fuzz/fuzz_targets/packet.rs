#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| swarmlet_fuzz::gossip::packet(data));
