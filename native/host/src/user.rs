//! Becoming another user for good: what a program that was started as root does before it does anything else.
//!
//! Listed for `unsafe`: single calls into the kernel with numbers, or with pointers to locals.

#![allow(unsafe_code)]

use std::fs;
use std::io;

use crate::error::{describe, HostError, Kind};
use crate::sys;

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// More than any kernel has; the first one it does not know ends the loop.
const CAPABILITIES_MAX: libc::c_ulong = 64;
/// "Leave this one as it is" for `setresuid` and `setresgid`.
const SAME: u32 = u32::MAX;

/// Becomes user `uid` of group `gid` with no other groups than `groups`, without any capability and without a way back.
///
/// Must come before any thread: capabilities belong to threads, and another one would keep its own. Returns what
/// could not be done and is no danger without the rest; what would leave a way back is a failure, after which the
/// process must end.
pub fn become_user(
    uid: u32,
    gid: u32,
    groups: &[u32],
    no_new_privileges: bool,
) -> Result<Vec<String>, HostError> {
    if uid == 0 || uid == SAME || gid == SAME {
        return Err(refused("this is no user to become"));
    }
    let emulated = is_emulated();
    // Unknown where /proc is not mounted; then the caller's word counts. An emulator has a thread of its own from
    // the first moment, which runs no code of ours.
    let expected = if emulated { 2 } else { 1 };
    if fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > expected) {
        return Err(refused("other threads run already"));
    }
    let mut unfinished = Vec::new();
    if emulated {
        unfinished.push("the emulator's own thread keeps its user".to_owned());
    }
    // While it is still allowed: without CAP_SETPCAP no exec can give more than the set holds, which is no more
    // than this process was started with.
    if let Err(cause) = empty_bounding_set() {
        unfinished.push(format!("emptying the bounding set: {}", describe(&cause)));
    }
    set_ids(uid, gid, groups)?;
    // A change of user empties the sets in use, but not what exec would inherit, and with some securebits nothing.
    empty_capabilities().map_err(|cause| failed("dropping capabilities", &cause))?;
    if no_new_privileges {
        give_up_new_privileges().map_err(|cause| failed("giving up new privileges", &cause))?;
    }
    // A change of user makes a process dumpable as the system's default says, so it is closed here (T11).
    sys::set_undumpable().map_err(|cause| failed("making the process undumpable", &cause))?;
    verify(uid, gid, groups)?;
    Ok(unfinished)
}

/// Says whether a user-mode emulator (qemu) runs this program: it shows the program itself as what is executed, and
/// leaves alone what the kernel says of a thread.
fn is_emulated() -> bool {
    let shown = fs::read_link("/proc/self/exe");
    let real = fs::read_link("/proc/thread-self/exe");
    matches!((shown, real), (Ok(shown), Ok(real)) if shown != real)
}

fn refused(detail: &str) -> HostError {
    HostError::new(Kind::UserUnchangeable, detail)
}

fn failed(step: &str, cause: &io::Error) -> HostError {
    HostError::new(
        Kind::UserUnchangeable,
        format!("{step}: {}", describe(cause)),
    )
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes every capability out of what an exec can ever give.
fn empty_bounding_set() -> io::Result<()> {
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: takes numbers alone.
        let held = unsafe { sys::prctl(libc::PR_CAPBSET_READ, capability, 0) };
        if held < 0 {
            break; // the kernel knows no more of them
        }
        if held > 0 {
            // SAFETY: as above.
            check(unsafe { sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) })?;
        }
    }
    Ok(())
}

fn set_ids(uid: u32, gid: u32, groups: &[u32]) -> Result<(), HostError> {
    // SAFETY: the list lives for the call and is as long as is said.
    check(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) })
        .map_err(|cause| failed("setting its groups", &cause))?;
    // SAFETY: takes numbers alone.
    check(unsafe { libc::setresgid(gid, gid, gid) })
        .map_err(|cause| failed("changing the group", &cause))?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(uid, uid, uid) })
        .map_err(|cause| failed("changing the user", &cause))
}

fn empty_capabilities() -> io::Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let none = [0_u32; 6];
    // SAFETY: header and data of version 3 are two and six words, which live for the call. Kernels before 4.3 have
    // no ambient set, which is then empty.
    unsafe {
        sys::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            0,
        );
        check(libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) as libc::c_int)
    }
}

fn give_up_new_privileges() -> io::Result<()> {
    // SAFETY: takes numbers alone.
    check(unsafe { sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0) })
}

/// Looks whether it is so, and tries to come back: the kernel's word counts, not ours.
fn verify(uid: u32, gid: u32, groups: &[u32]) -> Result<(), HostError> {
    let mut seen = [SAME; 6];
    let [ru, eu, su, rg, eg, sg] = &mut seen;
    // SAFETY: six numbers that live for both calls.
    let read = unsafe {
        check(libc::getresuid(ru, eu, su)).and_then(|()| check(libc::getresgid(rg, eg, sg)))
    };
    read.map_err(|cause| failed("reading back the user", &cause))?;
    if seen != [uid, uid, uid, gid, gid, gid] {
        return Err(refused("the kernel did not change every id"));
    }
    let mut wanted = groups.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut held = supplementary().map_err(|cause| failed("reading back the groups", &cause))?;
    held.sort_unstable();
    held.dedup();
    if held != wanted {
        return Err(refused("the kernel did not change every group"));
    }
    // SAFETY: takes numbers alone. Each must be refused.
    let came_back = unsafe {
        libc::setresuid(SAME, 0, SAME) == 0
            || libc::setresuid(0, SAME, SAME) == 0
            || (gid != 0 && libc::setresgid(SAME, 0, SAME) == 0)
            || libc::setgroups(0, std::ptr::null()) == 0
    };
    if came_back {
        return Err(refused("it could become root again"));
    }
    Ok(())
}

fn supplementary() -> io::Result<Vec<u32>> {
    // SAFETY: a size of 0 asks for the number alone and writes nothing.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    check(count)?;
    let mut groups = vec![0; count as usize];
    // SAFETY: the list has room for as many as were just counted; more is an error, not an overflow.
    let read = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    check(read)?;
    groups.truncate(read as usize);
    Ok(groups)
}
