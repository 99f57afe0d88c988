//! What the agent asks about this machine and this build, and how it closes itself to others.

use std::path::{Path, PathBuf};

use crate::cgroup::{self, Layout};
use crate::engines;
use crate::error::describe;
use crate::landlock;
use crate::process::Applied;
use crate::seccomp::UnixSockets;
use crate::spawn::{self, UNENFORCED};
use crate::sys;

/// What this kernel can enforce on a workload, tried and not assumed (W3).
///
/// A limit by `rlimit` holds for each process alone; `pids` by `rlimit` needs a user of the workload's own.
pub fn enforcement() -> Applied {
    let name = PathBuf::from(format!("swarmlet-probe-{}", std::process::id()));
    let [memory, cpu, pids] = cgroup::probe(&Layout::here(), &name);
    let pids_without = if sys::effective_uid() == 0 {
        "rlimit"
    } else {
        UNENFORCED
    };
    let calls = spawn::filter(UnixSockets::Allowed).map_or(UNENFORCED, |_| "seccomp");
    let engine = spawn::engine(sys::effective_uid() == 0, engines::within_reach(&[]));
    [
        ("memory", memory.unwrap_or("rlimit")),
        ("cpu", cpu.unwrap_or(UNENFORCED)),
        ("pids", pids.unwrap_or(pids_without)),
        ("files", landlock::describe(landlock::version())),
        ("syscalls", calls),
        ("engine", engine),
    ]
}

/// Ends what an earlier agent, killed before it could, left running in control groups at or below `name`.
///
/// Returns how many processes there were. A name that is not ours sweeps nothing.
pub fn sweep(name: &Path) -> usize {
    if !cgroup::is_ours(name) {
        return 0;
    }
    cgroup::sweep(&Layout::here(), name)
}

/// Keeps other processes of this user out of our memory, and our memory off the disk (T11).
///
/// Returns what could not be done. It does not give up new privileges: the agent's own helpers may need theirs.
pub fn harden() -> Vec<String> {
    [
        ("making the process undumpable", sys::set_undumpable()),
        (
            "forbidding core files",
            sys::set_limit(libc::RLIMIT_CORE as libc::c_int, 0),
        ),
    ]
    .into_iter()
    .filter_map(|(what, done)| Some(format!("{what}: {}", describe(&done.err()?))))
    .collect()
}

/// Version, target and enabled parts of this build.
pub fn build_info() -> Vec<(&'static str, String)> {
    let libc = if cfg!(target_env = "musl") {
        "musl"
    } else {
        "gnu"
    };
    let calls = if crate::seccomp::HERE.is_empty() {
        ""
    } else {
        " seccomp"
    };
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("target", format!("{}-linux-{libc}", std::env::consts::ARCH)),
        (
            "profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
        ),
        ("parts", format!("cgroup-v1 cgroup-v2 landlock{calls}")),
    ]
}
