use std::process::Command;

use crate::process::watch_by_thread;
use crate::sys::{self, Ended, Wait};

/// Kernels before 5.3 have no pidfd: there the bell must ring and the ending still be there to take.
#[test]
#[allow(clippy::zombie_processes)] // it is reaped by hand: that is what is tested
fn the_fallback_for_old_kernels_rings_and_reaps_nothing() {
    let child = Command::new("/bin/sh")
        .args(["-c", "exit 7"])
        .spawn()
        .unwrap();
    let pid = child.id() as i32;
    let bell = watch_by_thread(pid).unwrap();
    assert!(sys::wait_readable(&bell, 10_000).unwrap());
    assert_eq!(sys::wait(pid, Wait::Reap).unwrap(), Some(Ended::Exited(7)));
}
