//! CRC-32 as in Ethernet, gzip and PNG: it finds every damage of up to 32 neighbouring bits.

/// Returns the checksum of `bytes`. A token is short, so that no table is worth its memory.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
