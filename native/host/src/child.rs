//! What happens between fork and exec.
//!
//! The child of a process with threads may call only what is async-signal-safe: no allocation, no locks, nothing
//! of Rust's runtime. So all that needs memory is prepared in [`Plan`] before the fork, and the child only
//! reads it. Each step that fails is reported with its errno through a pipe that exec closes.
//!
//! Listed for `unsafe`.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::landlock;
use crate::sys;

/// How long a child may take from fork to exec; a file system that hangs is the only reason to.
const START_MS: i32 = 10_000;

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// More than any kernel has; the first one it does not know ends the loop.
const CAPABILITIES_MAX: libc::c_ulong = 64;
/// Signals are numbered from 1 to this.
const SIGNAL_MAX: libc::c_int = 64;
/// Where closing stops on a kernel that cannot mark a range, when the open ones cannot be listed either.
const DESCRIPTORS_MAX: RawFd = 1 << 16;

// 32-bit ARM kept its 16-bit calls under the plain names.
#[cfg(any(target_arch = "arm", target_arch = "x86"))]
const SYS_SET_IDS: [libc::c_long; 3] = [
    libc::SYS_setgroups32,
    libc::SYS_setresgid32,
    libc::SYS_setresuid32,
];
#[cfg(not(any(target_arch = "arm", target_arch = "x86")))]
const SYS_SET_IDS: [libc::c_long; 3] = [
    libc::SYS_setgroups,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
];

/// A step between fork and exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    Session = 1,
    Group,
    Streams,
    Directory,
    Limits,
    User,
    Capabilities,
    ParentDeath,
    NoNewPrivileges,
    Files,
    Signals,
    SystemCalls,
    Exec,
}

impl Step {
    const ALL: [Step; 13] = [
        Step::Session,
        Step::Group,
        Step::Streams,
        Step::Directory,
        Step::Limits,
        Step::User,
        Step::Capabilities,
        Step::ParentDeath,
        Step::NoNewPrivileges,
        Step::Files,
        Step::Signals,
        Step::SystemCalls,
        Step::Exec,
    ];

    /// The step in words, for a detail.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Step::Session => "making a session",
            Step::Group => "entering the control group",
            Step::Streams => "connecting the output",
            Step::Directory => "entering the directory",
            Step::Limits => "setting resource limits",
            Step::User => "changing the user",
            Step::Capabilities => "dropping capabilities",
            Step::ParentDeath => "tying it to the agent's life",
            Step::NoNewPrivileges => "giving up new privileges",
            Step::Files => "restricting files",
            Step::Signals => "resetting signals",
            Step::SystemCalls => "restricting system calls",
            Step::Exec => "starting the command",
        }
    }
}

/// Everything the child needs, made before the fork.
pub(crate) struct Plan {
    /// Paths to try in turn, as `execvp` would.
    pub(crate) candidates: Vec<CString>,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    /// The working directory, open.
    pub(crate) directory: OwnedFd,
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// `cgroup.procs` of each group to enter.
    pub(crate) entrances: Vec<OwnedFd>,
    /// Resource and its limit, soft and hard.
    pub(crate) limits: Vec<(libc::c_int, libc::rlim_t)>,
    /// User and group to become.
    pub(crate) user: Option<(u32, u32)>,
    /// Give up all groups but the own one, where that can be.
    pub(crate) drop_groups: bool,
    pub(crate) ruleset: Option<OwnedFd>,
    pub(crate) filter: Option<Vec<libc::sock_filter>>,
}

/// Why no child runs.
#[derive(Debug)]
pub(crate) enum Failed {
    /// No child was made, or it did not answer.
    Fork(io::Error),
    /// The child could not take this step.
    At(Step, io::Error),
}

/// The pointers of a plan, in the form the kernel wants them.
struct Raw {
    candidates: Vec<*const libc::c_char>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    entrances: Vec<RawFd>,
    filter: libc::sock_fprog,
    directory: RawFd,
    streams: [RawFd; 3],
    ruleset: Option<RawFd>,
    parent: libc::pid_t,
    report: RawFd,
    /// For kernels that cannot mark a range: no descriptor has this number or a higher one.
    descriptors_end: RawFd,
}

/// Starts the plan's command in a new process and returns its number once exec has succeeded.
///
/// The calling thread is the one whose death kills the child (`PR_SET_PDEATHSIG` is about threads), so it must
/// live as long as this process.
pub(crate) fn start(plan: &Plan) -> Result<i32, Failed> {
    let (read, write) = sys::pipe().map_err(Failed::Fork)?;
    let raw = Raw::new(plan, &write);
    sys::keep_ended_children();
    // SAFETY: the child calls `run` alone, which is async-signal-safe and never returns; `raw` and `plan` were
    // made before and are only read.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(Failed::Fork(io::Error::last_os_error())),
        0 => unsafe { run(&raw, plan) },
        pid => pid,
    };
    drop(write);
    match outcome(read) {
        Ok(()) => Ok(pid),
        Err(failed) => {
            discard(pid);
            Err(failed)
        }
    }
}

fn terminated(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain(std::iter::once(ptr::null()))
        .collect()
}

impl Raw {
    fn new(plan: &Plan, report: &OwnedFd) -> Self {
        let filter = plan.filter.as_deref().unwrap_or_default();
        Self {
            candidates: terminated(&plan.candidates),
            argv: terminated(&plan.argv),
            env: terminated(&plan.env),
            entrances: plan.entrances.iter().map(AsRawFd::as_raw_fd).collect(),
            filter: libc::sock_fprog {
                len: filter.len() as u16,
                filter: filter.as_ptr().cast_mut(),
            },
            directory: plan.directory.as_raw_fd(),
            streams: [&plan.stdin, &plan.stdout, &plan.stderr].map(AsRawFd::as_raw_fd),
            ruleset: plan.ruleset.as_ref().map(AsRawFd::as_raw_fd),
            parent: std::process::id() as libc::pid_t,
            report: report.as_raw_fd(),
            descriptors_end: descriptors_end(),
        }
    }
}

/// One more than the highest open descriptor, and some for what other threads open meanwhile (which is closed on
/// exec anyway, being opened so). Where the kernel marks a range it is not asked for.
fn descriptors_end() -> RawFd {
    if sys::mark_from(u32::MAX) {
        return 0;
    }
    let highest = fs::read_dir("/proc/self/fd").ok().and_then(|entries| {
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok())
            .max()
    });
    highest.map_or(DESCRIPTORS_MAX, |highest| highest.saturating_add(64))
}

/// Waits for exec, which closes the pipe, or for the report of a step that failed.
fn outcome(read: OwnedFd) -> Result<(), Failed> {
    match sys::wait_readable(&read, START_MS) {
        Ok(true) => {}
        Ok(false) => return Err(Failed::Fork(io::ErrorKind::TimedOut.into())),
        Err(cause) => return Err(Failed::Fork(cause)),
    }
    let mut report = Vec::with_capacity(5);
    File::from(read)
        .read_to_end(&mut report)
        .map_err(Failed::Fork)?;
    let Some((step, errno)) = report.split_first_chunk::<1>() else {
        return Ok(());
    };
    let step = Step::ALL.into_iter().find(|known| [*known as u8] == *step);
    let errno = errno
        .first_chunk::<4>()
        .map(|bytes| i32::from_ne_bytes(*bytes));
    Err(match (step, errno) {
        (Some(step), Some(errno)) => Failed::At(step, io::Error::from_raw_os_error(errno)),
        _ => Failed::Fork(io::ErrorKind::InvalidData.into()),
    })
}

/// Ends a child that never became the command.
fn discard(pid: i32) {
    let _ = sys::kill(pid, libc::SIGKILL);
    let _ = sys::wait(pid, sys::Wait::Sleep);
    let _ = sys::wait(pid, sys::Wait::Reap);
}

/// The child. Takes every step in order and becomes the command.
///
/// # Safety
/// Only in a freshly forked child. All pointers and descriptors in `raw` must be valid there; they are, since
/// the child has a copy of the parent's memory and descriptors.
unsafe fn run(raw: &Raw, plan: &Plan) -> ! {
    // SAFETY: direct calls into the kernel or async-signal-safe libc functions (signal-safety(7)), with pointers
    // into `raw` and `plan` or to locals.
    unsafe {
        must(raw, Step::Session, libc::setsid());
        for entrance in &raw.entrances {
            // "0" is whoever writes it.
            let written = libc::write(*entrance, c"0".as_ptr().cast(), 1);
            must(raw, Step::Group, written as libc::c_int);
        }
        for (stream, from) in (0..).zip(&raw.streams) {
            must(raw, Step::Streams, libc::dup2(*from, stream));
        }
        libc::umask(0o077);
        must(raw, Step::Directory, libc::fchdir(raw.directory));
        for (resource, value) in &plan.limits {
            let limit = libc::rlimit {
                rlim_cur: *value,
                rlim_max: *value,
            };
            must(raw, Step::Limits, libc::setrlimit(*resource as _, &limit));
        }
        drop_bounding_set();
        if let Some((uid, gid)) = plan.user {
            become_user(raw, uid, gid);
        } else if plan.drop_groups {
            // Takes a privilege; without it the filter keeps the workload from the engine.
            let [setgroups, ..] = SYS_SET_IDS;
            libc::syscall(setgroups, 0, ptr::null::<libc::gid_t>());
        }
        drop_capabilities(raw);
        // A change of user clears this setting, so it comes after.
        let tied = sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0);
        must(raw, Step::ParentDeath, tied);
        if libc::getppid() != raw.parent {
            // The agent died before the tie was made.
            libc::_exit(127);
        }
        let given_up = sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0);
        must(raw, Step::NoNewPrivileges, given_up);
        if let Some(ruleset) = raw.ruleset {
            let entered = libc::syscall(landlock::SYS_RESTRICT_SELF, ruleset, 0);
            must(raw, Step::Files, entered as libc::c_int);
        }
        reset_signals(raw);
        close_on_exec(raw);
        if raw.filter.len > 0 {
            let filtered = sys::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER as libc::c_ulong,
                &raw.filter as *const libc::sock_fprog as libc::c_ulong,
            );
            must(raw, Step::SystemCalls, filtered);
        }
        execute(raw)
    }
}

/// Reports a failed step and ends the child.
unsafe fn must(raw: &Raw, step: Step, result: libc::c_int) {
    if result < 0 {
        // SAFETY: as of `run`.
        unsafe { fail(raw, step, errno()) }
    }
}

unsafe fn errno() -> libc::c_int {
    // SAFETY: libc keeps errno of this thread at the address it gives.
    unsafe { *libc::__errno_location() }
}

unsafe fn fail(raw: &Raw, step: Step, errno: libc::c_int) -> ! {
    let [a, b, c, d] = errno.to_ne_bytes();
    let report = [step as u8, a, b, c, d];
    // SAFETY: five bytes of a local; less than a pipe takes at once.
    unsafe {
        libc::write(raw.report, report.as_ptr().cast(), report.len());
        libc::_exit(127)
    }
}

/// Capabilities no exec can bring back. Needs a capability itself; without it there are none to drop.
unsafe fn drop_bounding_set() {
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: takes numbers alone.
        if unsafe { sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) } < 0 {
            break;
        }
    }
}

unsafe fn become_user(raw: &Raw, uid: u32, gid: u32) {
    let [setgroups, setresgid, setresuid] = SYS_SET_IDS;
    // SAFETY: takes numbers, and a null list of no groups. Called directly: libc's wrappers would try to tell
    // the other threads, which this copy of the process does not have.
    unsafe {
        let none = libc::syscall(setgroups, 0, ptr::null::<libc::gid_t>());
        must(raw, Step::User, none as libc::c_int);
        must(
            raw,
            Step::User,
            libc::syscall(setresgid, gid, gid, gid) as libc::c_int,
        );
        must(
            raw,
            Step::User,
            libc::syscall(setresuid, uid, uid, uid) as libc::c_int,
        );
    }
}

/// Empties every set. With no_new_privs, exec gives none back, not to root either (capabilities(7)).
unsafe fn drop_capabilities(raw: &Raw) {
    let header: [u32; 2] = [CAPABILITY_VERSION_3, 0];
    let none = [0_u32; 6];
    // SAFETY: header and data of version 3 are two and six words, which live for the call.
    unsafe {
        sys::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            0,
        );
        let emptied = libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr());
        must(raw, Step::Capabilities, emptied as libc::c_int);
    }
}

/// The size of the kernel's signal set, which is not libc's.
const SIGNAL_SET_BYTES: usize = 8;

/// Gives every signal its default and lets all through: an interpreter ignores some, our thread blocks all.
unsafe fn reset_signals(raw: &Raw) {
    // SAFETY: the kernel reads at most as many bytes of an action as there are here, and zeros are the default
    // action with an empty mask in every layout of it; a set is emptied before use; both are locals.
    unsafe {
        // The kernel's own call, since libc refuses the two or three signals that it keeps for itself, and those
        // may be ignored too. Two signals cannot be set; that is no error here.
        let default = [0_u64; 8];
        let none: *const libc::c_void = ptr::null();
        for signal in 1..=SIGNAL_MAX {
            libc::syscall(
                libc::SYS_rt_sigaction,
                libc::c_long::from(signal),
                default.as_ptr(),
                none,
                SIGNAL_SET_BYTES,
            );
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        let reset = libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        must(raw, Step::Signals, reset);
    }
}

/// Marks everything but 0, 1 and 2 to be closed by exec; the report must be open until then.
unsafe fn close_on_exec(raw: &Raw) {
    if sys::mark_from(3) {
        return;
    }
    for descriptor in 3..raw.descriptors_end {
        // SAFETY: takes numbers alone.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Tries each candidate as `execvp` would; returns only through [`fail`].
unsafe fn execute(raw: &Raw) -> ! {
    let mut worst = libc::ENOENT;
    for candidate in &raw.candidates {
        if candidate.is_null() {
            break;
        }
        // SAFETY: all three are terminated arrays or strings that outlive the call.
        unsafe {
            libc::execve(*candidate, raw.argv.as_ptr(), raw.env.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => worst = libc::EACCES,
                other => fail(raw, Step::Exec, other),
            }
        }
    }
    // SAFETY: as of `run`.
    unsafe { fail(raw, Step::Exec, worst) }
}
