//! Leaves no copy of a key behind on the stack.
//!
//! A value that is moved leaves its bytes where it was, and a hash or a signature has its own locals: zeroing on
//! drop reaches none of these. So work with a secret is done in a deeper frame, and the stack below is
//! overwritten when it returns.

use zeroize::Zeroize;

/// Deeper than any signature or hash goes, in a build without optimisation too.
const DEPTH: usize = 48 * 1024;

/// Does `work`, whose result may not be the secret itself, and overwrites the stack it used.
pub(crate) fn scrubbed<T>(work: impl FnOnce() -> T) -> T {
    let result = deeper(work);
    overwrite();
    result
}

#[inline(never)]
fn deeper<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite() {
    let mut stack = [0xff_u8; DEPTH];
    stack.zeroize();
}
