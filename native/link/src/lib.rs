//! The I/O engine: sockets, TLS, timers.
#![forbid(unsafe_code)]
