//! The smallest requests to the kernel: safe wrappers, each around one call.
//!
//! Listed for `unsafe`: every block calls one libc function, with numbers or with pointers to values that live
//! for the call. Nothing here decides anything.

#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Numbers of a child's own descriptors start here, so that none is in the way of 0, 1 and 2.
const HIGH_DESCRIPTOR: libc::c_int = 10;

/// `CLOSE_RANGE_CLOEXEC` (Linux 5.11).
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It returned or called exit with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check_long(result: libc::c_long) -> io::Result<RawFd> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        // Descriptors and versions fit; the kernel never gives more.
        Ok(result as RawFd)
    }
}

/// Takes ownership of a descriptor the kernel has just made.
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: only called with a descriptor that a successful call returned to us alone.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// The effective user of this process.
pub fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail, touches no memory of ours.
    unsafe { libc::geteuid() }
}

/// Says whether this process may write `path` (or speak to whoever listens there), by its effective user and groups.
pub(crate) fn may_write(path: &std::path::Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: a text that ends with a zero byte and lives for the call.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
}

/// A pipe: read end, write end, both closed on exec and numbered out of a child's way.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two numbers and lives for the call.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    let (read, write) = (own(read), own(write));
    Ok((read, out_of_the_way(write)?))
}

/// The same file under a number that is not 0, 1 or 2; still closed on exec.
pub(crate) fn out_of_the_way(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() >= HIGH_DESCRIPTOR {
        return Ok(descriptor);
    }
    // SAFETY: the descriptor is open for the call; the kernel makes a new one.
    let copy = check(unsafe {
        libc::fcntl(
            descriptor.as_raw_fd(),
            libc::F_DUPFD_CLOEXEC,
            HIGH_DESCRIPTOR,
        )
    })?;
    Ok(own(copy))
}

/// Makes reads of `descriptor` return at once.
pub(crate) fn set_nonblocking(descriptor: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open for both calls, which take numbers alone.
    let flags = check(unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe {
        libc::fcntl(
            descriptor.as_raw_fd(),
            libc::F_SETFL,
            flags | libc::O_NONBLOCK,
        )
    })
    .map(drop)
}

/// Waits until `descriptor` can be read, or `milliseconds` are over; false when they are.
pub(crate) fn wait_readable(descriptor: &OwnedFd, milliseconds: i32) -> io::Result<bool> {
    let mut entry = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        // SAFETY: one entry, which lives for the call.
        match check(unsafe { libc::poll(&mut entry, 1, milliseconds) }) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|count| count > 0),
        }
    }
}

/// A descriptor that becomes readable when process `pid` ends (Linux 5.3).
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers alone.
    check_long(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(own)
}

/// An event counter at zero, closed on exec.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: takes numbers alone.
    check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }).map(own)
}

/// Adds one to an event counter.
pub(crate) fn eventfd_ring(counter: &OwnedFd) {
    let one = 1_u64.to_ne_bytes();
    // SAFETY: eight bytes that live for the call. It can only fail when the counter is full: readable anyway.
    unsafe { libc::write(counter.as_raw_fd(), one.as_ptr().cast(), one.len()) };
}

/// Marks all descriptors from `first` on to be closed by exec; false on a kernel before 5.11.
///
/// Async-signal-safe: one call, no memory.
pub(crate) fn mark_from(first: u32) -> bool {
    // SAFETY: takes numbers alone.
    let marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
    marked == 0
}

/// What to do with a child that has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// See whether it ended and leave it waiting.
    Peek,
    /// Sleep until it ended and leave it waiting.
    Sleep,
    /// Take its ending, if it ended; its number is free afterwards.
    Reap,
}

/// Asks after child `pid`; `None` while it runs.
pub(crate) fn wait(pid: i32, how: Wait) -> io::Result<Option<Ended>> {
    let options = libc::WEXITED
        | match how {
            Wait::Peek => libc::WNOHANG | libc::WNOWAIT,
            Wait::Sleep => libc::WNOWAIT,
            Wait::Reap => libc::WNOHANG,
        };
    loop {
        match waitid(libc::P_PID, pid as libc::id_t, options) {
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            other => return Ok(other?.map(|(_, ended)| ended)),
        }
    }
}

/// The number of any child that has ended, left waiting.
pub(crate) fn peek_any() -> io::Result<Option<i32>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    Ok(waitid(libc::P_ALL, 0, options)?.map(|(pid, _)| pid))
}

fn waitid(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: libc::c_int,
) -> io::Result<Option<(i32, Ended)>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` has room for the answer and lives for the call.
    check(unsafe { libc::waitid(kind, id, info.as_mut_ptr(), options) })?;
    // SAFETY: zeroed bytes are a valid siginfo_t, and the kernel wrote it or left it zero.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills the child fields, or all is zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let ended = if info.si_code == libc::CLD_EXITED {
        Ended::Exited(status)
    } else {
        Ended::Signalled(status)
    };
    Ok(Some((pid, ended)))
}

/// Sends a signal to one process, or to a group when `pid` is negative; false when nothing is there to take it.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<bool> {
    // SAFETY: takes numbers alone.
    match check(unsafe { libc::kill(pid, signal) }) {
        Ok(_) => Ok(true),
        Err(cause) if cause.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(cause) => Err(cause),
    }
}

/// Soft and hard limit of a resource.
pub(crate) fn limits(resource: libc::c_int) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives for the call.
    check(unsafe { libc::getrlimit(resource as _, &mut limit) })?;
    #[allow(clippy::unnecessary_cast)] // 32 bits wide on some targets
    Ok((limit.rlim_cur as u64, limit.rlim_max as u64))
}

/// A limit in the width this target has for it.
#[allow(clippy::unnecessary_fallible_conversions)]
pub(crate) fn limit_value(value: u64) -> libc::rlim_t {
    libc::rlim_t::try_from(value).unwrap_or(libc::RLIM_INFINITY)
}

/// Sets soft and hard limit of a resource of this process.
pub(crate) fn set_limit(resource: libc::c_int, value: u64) -> io::Result<()> {
    let value = limit_value(value);
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: `limit` lives for the call.
    check(unsafe { libc::setrlimit(resource as _, &limit) }).map(drop)
}

/// `prctl(2)` with every argument in the width the kernel reads: a C function of variable arguments would take
/// narrower ones without a word, and some options want the unused ones to be zero.
///
/// # Safety
/// As of the option; an argument that is an address must be valid for what the kernel does with it.
pub(crate) unsafe fn prctl(
    option: libc::c_int,
    second: libc::c_ulong,
    third: libc::c_ulong,
) -> libc::c_int {
    const ZERO: libc::c_ulong = 0;
    // SAFETY: as promised by the caller.
    unsafe { libc::prctl(option, second, third, ZERO, ZERO) }
}

/// Closes this process to debuggers and core dumps.
pub(crate) fn set_undumpable() -> io::Result<()> {
    // SAFETY: takes numbers alone.
    check(unsafe { prctl(libc::PR_SET_DUMPABLE, 0, 0) }).map(drop)
}

/// Whether orphans below this process become its children.
pub(crate) fn is_subreaper() -> bool {
    let mut answer: libc::c_int = 0;
    let to = &mut answer as *mut libc::c_int as libc::c_ulong;
    // SAFETY: the kernel writes one int, which lives for the call.
    let asked = unsafe { prctl(libc::PR_GET_CHILD_SUBREAPER, to, 0) };
    asked == 0 && answer != 0
}

/// Whether the kernel takes system call filters: one at a null address is refused for its address, not its kind.
pub(crate) fn takes_filters() -> bool {
    // SAFETY: the kernel fails to read from null and changes nothing.
    let asked = unsafe {
        prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER as libc::c_ulong,
            0,
        )
    };
    asked < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Makes ended children wait to be asked for: one that inherits an ignored `SIGCHLD` would lose their endings.
pub(crate) fn keep_ended_children() {
    let mut current = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroed bytes are a valid sigaction; it lives for both calls; the default action is installed only
    // over "ignore", so no handler of anyone is lost.
    unsafe {
        let current = current.as_mut_ptr();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), current) == 0
            && ((*current).sa_sigaction == libc::SIG_IGN
                || (*current).sa_flags & libc::SA_NOCLDWAIT != 0)
        {
            (*current).sa_sigaction = if (*current).sa_sigaction == libc::SIG_IGN {
                libc::SIG_DFL
            } else {
                (*current).sa_sigaction
            };
            (*current).sa_flags &= !libc::SA_NOCLDWAIT;
            libc::sigaction(libc::SIGCHLD, current, std::ptr::null_mut());
        }
    }
}

/// Lets no signal be delivered to this thread; the process' other threads take them.
pub(crate) fn block_signals() {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigfillset initialises the set, which lives for both calls.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Gives an open file or directory to a user and group.
pub(crate) fn give(file: &impl AsRawFd, uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: the descriptor is open for the call.
    check(unsafe { libc::fchown(file.as_raw_fd(), uid, gid) }).map(drop)
}
