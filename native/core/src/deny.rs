//! The set of certificate serial numbers that are refused in every handshake (C7).

use std::collections::BTreeSet;

/// Bytes of the longest serial number (RFC 5280, section 4.1.2.2).
pub const MAX_SERIAL: usize = 20;

/// Refused serial numbers, as big-endian integers: leading zero bytes make no difference.
#[derive(Clone, Debug, Default)]
pub struct DenySet(BTreeSet<Box<[u8]>>);

impl DenySet {
    /// Adds a serial; false when it was there already or can be no serial number of a certificate.
    pub fn insert(&mut self, serial: &[u8]) -> bool {
        let number = canonical(serial);
        number.len() <= MAX_SERIAL && self.0.insert(number.into())
    }

    /// Removes a serial, as when its certificate has long expired; says whether it was there.
    pub fn remove(&mut self, serial: &[u8]) -> bool {
        self.0.remove(canonical(serial))
    }

    /// Says whether a certificate with this serial is refused.
    pub fn contains(&self, serial: &[u8]) -> bool {
        self.0.contains(canonical(serial))
    }

    /// Returns how many serials are refused.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether nothing is refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the serial number without leading zero bytes: DER writes one before a high bit, records do not.
pub fn canonical(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default()
}
