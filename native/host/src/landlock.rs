//! Landlock (Linux 5.13): which files a workload may touch, told to the kernel as an allow-list.
//!
//! The ruleset is made before the fork, where memory may be used freely; the child only enters it. The calls
//! are made directly, because what a kernel lacks must be known and reported (W3), not left out silently.
//!
//! Listed for `unsafe`: three system calls with pointers to values that live for the call.

#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const SYS_CREATE_RULESET: libc::c_long = 444;
const SYS_ADD_RULE: libc::c_long = 445;
/// `landlock_restrict_self`, which the child calls.
pub(crate) const SYS_RESTRICT_SELF: libc::c_long = 446;
const CREATE_RULESET_VERSION: libc::c_long = 1;
const RULE_PATH_BENEATH: libc::c_long = 1;

// Access rights of linux/landlock.h, in the order kernels learned them.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const ALL_OF_VERSION_1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// What a rule on a file, not a directory, may hold.
const ON_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
const SCOPE_ABSTRACT_UNIX_SOCKET: u64 = 1;
const SCOPE_SIGNAL: u64 = 1 << 1;

const READ: u64 = EXECUTE | READ_FILE | READ_DIR;
const USE_DEVICE: u64 = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV;
/// Devices without which ordinary programs fail, and that hold nothing of anyone.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// The first version that can keep a file from being truncated.
const WHOLE_SINCE: u32 = 3;
/// A directory with more names than this beside a hidden one is not opened to reading at all.
const NAMES_MAX: usize = 4096;

#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// What a workload may touch.
pub(crate) struct Access<'a> {
    /// Directories or files it may write, beside its own.
    pub(crate) writable: &'a [PathBuf],
    /// Directories whose files it may not read, unless they are writable.
    pub(crate) hidden: &'a [PathBuf],
}

/// The version of Landlock in this kernel; 0 when it is absent or switched off.
pub(crate) fn version() -> u32 {
    // SAFETY: with this flag the kernel takes no pointer.
    let answer = unsafe {
        libc::syscall(
            SYS_CREATE_RULESET,
            std::ptr::null::<RulesetAttr>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(answer).unwrap_or(0)
}

/// How files are protected by a version of Landlock, as it is reported.
pub(crate) fn describe(version: u32) -> &'static str {
    match version {
        0 => "unenforced",
        // Files outside may not be written, but they can be cut to nothing.
        1..WHOLE_SINCE => "landlock-partial",
        _ => "landlock",
    }
}

/// Makes the ruleset for `access`; `None` when this kernel has no Landlock.
pub(crate) fn ruleset(access: &Access<'_>) -> io::Result<Option<OwnedFd>> {
    let version = version();
    if version == 0 {
        return Ok(None);
    }
    let handled = handled(version);
    let ruleset = create(version, handled)?;
    let everything = handled & !(MAKE_CHAR | MAKE_BLOCK);
    for (path, rights) in readable(access.hidden) {
        allow(&ruleset, &path, rights & handled)?;
    }
    for device in DEVICES {
        allow(&ruleset, Path::new(device), USE_DEVICE & handled)?;
    }
    for path in access.writable {
        allow(&ruleset, path, everything)?;
    }
    Ok(Some(ruleset))
}

fn handled(version: u32) -> u64 {
    let since = |first: u32, right: u64| if version >= first { right } else { 0 };
    ALL_OF_VERSION_1 | since(2, REFER) | since(3, TRUNCATE) | since(5, IOCTL_DEV)
}

fn create(version: u32, handled_access_fs: u64) -> io::Result<OwnedFd> {
    let attr = RulesetAttr {
        handled_access_fs,
        handled_access_net: 0,
        // A workload signals and reaches by abstract sockets only what it started itself.
        scoped: SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL,
    };
    // A kernel refuses fields it does not know, so it is told only as much as its version has.
    let size: usize = match version {
        ..4 => 8,
        4..6 => 16,
        _ => 24,
    };
    // SAFETY: `attr` lives for the call and is at least `size` bytes long.
    let made = unsafe { libc::syscall(SYS_CREATE_RULESET, &attr as *const RulesetAttr, size, 0) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(made as i32) })
}

/// Adds a rule. What is not there, or may not even be named by us, needs none.
fn allow(ruleset: &OwnedFd, path: &Path, rights: u64) -> io::Result<()> {
    let Ok(file) = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)
    else {
        return Ok(());
    };
    let rights = if is_directory(&file) {
        rights
    } else {
        rights & ON_FILES
    };
    let attr = PathBeneathAttr {
        allowed_access: rights,
        parent_fd: file.as_raw_fd(),
    };
    // SAFETY: `attr` lives for the call and has the layout the kernel expects; both descriptors are open.
    let added = unsafe {
        libc::syscall(
            SYS_ADD_RULE,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &attr as *const PathBeneathAttr,
            0,
        )
    };
    if added < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn is_directory(file: &File) -> bool {
    file.metadata().is_ok_and(|facts| facts.is_dir())
}

/// What may be read: everything but `/dev` and what is hidden.
///
/// A rule covers all beneath it and none takes anything away, so a hidden directory is left out by naming all
/// its siblings, at each level down from the root. Names can be listed everywhere; what appears later beside a
/// hidden directory cannot be read.
pub(crate) fn readable(hidden: &[PathBuf]) -> Vec<(PathBuf, u64)> {
    let mut left_out: BTreeSet<PathBuf> = hidden
        .iter()
        .map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone()))
        .collect();
    // Raw disks and memory are files there.
    left_out.insert(PathBuf::from("/dev"));
    let mut rules = vec![(PathBuf::from("/"), READ_DIR)];
    let mut pending = vec![PathBuf::from("/")];
    while let Some(directory) = pending.pop() {
        let Ok(names) = fs::read_dir(&directory) else {
            continue;
        };
        let paths: Vec<PathBuf> = names
            .filter_map(|entry| Some(entry.ok()?.path()))
            .take(NAMES_MAX + 1)
            .collect();
        if paths.len() > NAMES_MAX {
            continue;
        }
        for path in paths {
            if left_out.contains(&path) || path.is_symlink() {
                continue;
            }
            if left_out.iter().any(|other| other.starts_with(&path)) {
                pending.push(path);
            } else {
                rules.push((path, READ));
            }
        }
    }
    rules
}
