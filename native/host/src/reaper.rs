//! Reaps what init must reap: orphans that became our children.

use crate::registry;
use crate::session;
use crate::sys::{self, Wait};

/// Waits for every ended child that no [`crate::Process`] owns and returns how many there were.
///
/// Does nothing unless orphans come to us: as process 1, or as a child subreaper. A child that other code of
/// this process started and waits for itself is an ended child without an owner like any other: whoever reaps
/// orphans must start processes through this crate alone.
pub fn reap_orphans() -> usize {
    let own = std::process::id();
    if own != 1 && !sys::is_subreaper() {
        return 0;
    }
    let owned = registry::owned();
    let mut reaped = 0;
    // The kernel shows one ended child at a time, and goes on showing an owned one: then the rest is looked for.
    while let Ok(Some(pid)) = sys::peek_any() {
        if owned.contains(&pid) {
            break;
        }
        match sys::wait(pid, Wait::Reap) {
            Ok(Some(_)) => reaped += 1,
            _ => return reaped,
        }
    }
    for (pid, stat) in session::processes() {
        let ended_child = stat.state == 'Z' && stat.parent == own as i32;
        if ended_child && !owned.contains(&pid) && matches!(sys::wait(pid, Wait::Reap), Ok(Some(_)))
        {
            reaped += 1;
        }
    }
    reaped
}
