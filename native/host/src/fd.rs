//! Reads a secret from a descriptor that somebody else opened.
//!
//! Listed for `unsafe`: the one block calls `read` with a buffer of ours that outlives the call.

#![allow(unsafe_code)]

use std::io;

use zeroize::Zeroizing;

/// Reads `fd` to its end; the descriptor stays open.
///
/// The buffer has its whole room from the beginning, so that the secret is never copied, and is zeroed when it
/// is dropped.
///
/// # Errors
/// What the kernel says, or `InvalidData` when there are more than `limit` bytes.
pub fn read_secret(fd: i32, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0_u8; limit + 1]);
    let mut used = 0;
    while let Some(room) = buffer.get_mut(used..).filter(|room| !room.is_empty()) {
        // SAFETY: `room` is writable for its whole length and lives until `read` returns.
        let count = unsafe { libc::read(fd, room.as_mut_ptr().cast(), room.len()) };
        match usize::try_from(count) {
            Ok(0) => {
                buffer.truncate(used);
                return Ok(buffer);
            }
            Ok(count) => used += count,
            Err(_) => {
                let cause = io::Error::last_os_error();
                if cause.kind() != io::ErrorKind::Interrupted {
                    return Err(cause);
                }
            }
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it holds more than {limit} bytes"),
    ))
}
