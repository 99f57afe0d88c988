//! Decisions and formats without I/O, clock or randomness.
#![forbid(unsafe_code)]
