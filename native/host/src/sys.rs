//! The smallest questions to the kernel; safe wrappers, each around one call.
//!
//! Listed for `unsafe`: every block here calls one libc function that takes no pointer of ours or one that
//! lives for the call.

#![allow(unsafe_code)]

/// The effective user of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail, touches no memory of ours.
    unsafe { libc::geteuid() }
}
