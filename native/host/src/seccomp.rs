//! Builds the system call filter of a workload: a deny-list, as classic BPF (seccomp(2)).
//!
//! Pure: it makes a program and installs nothing. The calls listed are ways to gain power over the machine, to
//! look into other processes, or large parts of the kernel that ordinary programs never use; they answer
//! `EPERM`. A machine that runs two instruction sets gets both tables, so that neither is a way around the
//! other; a third set may make no call at all. It is written out here because 32-bit ARM is a first-class
//! target and ready-made builders leave it out.

use libc::sock_filter;

/// Numbers of a call that an architecture does not have.
const NONE: u32 = u32::MAX;

/// A column of [`DENIED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Architecture {
    column: usize,
    /// `AUDIT_ARCH_*` of linux/audit.h.
    audit: u32,
    /// `clone`, `clone3`, `ioctl`.
    special: [u32; 3],
    /// `socket`, and `socketcall`, which hides what it is asked for behind a pointer.
    sockets: [u32; 2],
    /// x86-64 has a second numbering above this bit, by which the table would be missed.
    second_numbering: Option<u32>,
}

pub(crate) const X86_64: Architecture = Architecture {
    column: 0,
    audit: 0xc000_003e,
    special: [56, 435, 16],
    sockets: [41, NONE],
    second_numbering: Some(0x4000_0000),
};
pub(crate) const AARCH64: Architecture = Architecture {
    column: 1,
    audit: 0xc000_00b7,
    special: [220, 435, 29],
    sockets: [198, NONE],
    second_numbering: None,
};
pub(crate) const ARM: Architecture = Architecture {
    column: 2,
    audit: 0x4000_0028,
    special: [120, 435, 54],
    sockets: [281, NONE],
    second_numbering: None,
};
pub(crate) const X86: Architecture = Architecture {
    column: 3,
    audit: 0x4000_0003,
    special: [120, 435, 54],
    sockets: [359, 102],
    second_numbering: None,
};

/// Whether a workload may make sockets of this machine's own kind (`AF_UNIX`), over which services listen.
///
/// Pairs are always allowed: they are connected to nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnixSockets {
    /// As any program.
    Allowed,
    /// None: it keeps groups of ours that a container engine listens to, which is as good as being root.
    Refused,
}

/// What programs of this build's machines may be; empty where no table is known.
pub(crate) const HERE: &[Architecture] = if cfg!(any(target_arch = "x86_64", target_arch = "x86")) {
    &[X86_64, X86]
} else if cfg!(all(
    any(target_arch = "aarch64", target_arch = "arm"),
    target_endian = "little"
)) {
    &[AARCH64, ARM]
} else {
    &[]
};

/// Calls that answer `EPERM`, with their numbers on x86-64, aarch64, arm and x86 (the kernel's syscall tables).
#[rustfmt::skip]
pub(crate) const DENIED: &[(&str, [u32; 4])] = &[
    // file systems as a whole
    ("mount", [165, 40, 21, 21]),
    ("umount2", [166, 39, 52, 52]),
    ("umount", [NONE, NONE, NONE, 22]),
    ("pivot_root", [155, 41, 218, 217]),
    ("chroot", [161, 51, 61, 61]),
    ("move_mount", [429, 429, 429, 429]),
    ("open_tree", [428, 428, 428, 428]),
    ("open_tree_attr", [467, 467, 467, 467]),
    ("fsopen", [430, 430, 430, 430]),
    ("fsconfig", [431, 431, 431, 431]),
    ("fsmount", [432, 432, 432, 432]),
    ("fspick", [433, 433, 433, 433]),
    ("mount_setattr", [442, 442, 442, 442]),
    // other processes
    ("ptrace", [101, 117, 26, 26]),
    ("process_vm_readv", [310, 270, 376, 347]),
    ("process_vm_writev", [311, 271, 377, 348]),
    ("pidfd_getfd", [438, 438, 438, 438]),
    // the machine
    ("kexec_load", [246, 104, 347, 283]),
    ("kexec_file_load", [320, 294, 401, NONE]),
    ("reboot", [169, 142, 88, 88]),
    ("swapon", [167, 224, 87, 87]),
    ("swapoff", [168, 225, 115, 115]),
    ("acct", [163, 89, 51, 51]),
    // kernel code
    ("init_module", [175, 105, 128, 128]),
    ("finit_module", [313, 273, 379, 350]),
    ("delete_module", [176, 106, 129, 129]),
    // keys of the user and of the kernel
    ("keyctl", [250, 219, 311, 288]),
    ("add_key", [248, 217, 309, 286]),
    ("request_key", [249, 218, 310, 287]),
    // large parts of the kernel
    ("bpf", [321, 280, 386, 357]),
    ("perf_event_open", [298, 241, 364, 336]),
    ("userfaultfd", [323, 282, 388, 374]),
    ("io_uring_setup", [425, 425, 425, 425]),
    ("io_uring_enter", [426, 426, 426, 426]),
    ("io_uring_register", [427, 427, 427, 427]),
    // namespaces, in which limits are escaped
    ("unshare", [272, 97, 337, 310]),
    ("setns", [308, 268, 375, 346]),
    // files past their directories
    ("open_by_handle_at", [304, 265, 371, 342]),
    ("fanotify_init", [300, 262, 367, 338]),
    ("lookup_dcookie", [212, 18, 249, 253]),
    ("quotactl", [179, 60, 131, 131]),
    ("quotactl_fd", [443, 443, 443, 443]),
    // the clock and the name of the machine
    ("settimeofday", [164, 170, 79, 79]),
    ("stime", [NONE, NONE, NONE, 25]),
    ("clock_settime", [227, 112, 262, 264]),
    ("clock_settime64", [NONE, NONE, 404, 404]),
    // hardware and old machines
    ("iopl", [172, NONE, NONE, 110]),
    ("ioperm", [173, NONE, NONE, 101]),
    ("vm86", [NONE, NONE, NONE, 166]),
    ("vm86old", [NONE, NONE, NONE, 113]),
    ("modify_ldt", [154, NONE, NONE, 123]),
    ("syslog", [103, 116, 103, 103]),
    ("vhangup", [153, 58, 111, 111]),
    ("sethostname", [170, 161, 74, 74]),
    ("setdomainname", [171, 162, 121, 121]),
    ("nfsservctl", [180, 42, 169, 169]),
    ("uselib", [134, NONE, 86, 86]),
    ("_sysctl", [156, NONE, 149, 149]),
];

/// `CLONE_NEW*` of linux/sched.h, but for `CLONE_NEWTIME`, whose bit means a signal in `clone`.
const NEW_NAMESPACES: u32 =
    0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000;
/// `TIOCSTI` and `TIOCLINUX`: typing into a terminal for its user.
const TERMINAL_TYPING: [u32; 2] = [0x5412, 0x541c];

// Offsets in `struct seccomp_data`; the low half of an argument comes first on these machines.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

const ALLOW: sock_filter = plain(RETURN, libc::SECCOMP_RET_ALLOW);
const REFUSE: sock_filter = plain(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
/// As if the kernel did not know the call: the C library then falls back to `clone`, whose flags can be seen.
const UNKNOWN: sock_filter = plain(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);

const fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Goes on with the next instruction when the test holds, else passes over `otherwise` instructions.
const fn unless(code: u16, k: u32, otherwise: u8) -> sock_filter {
    sock_filter {
        code,
        jt: 0,
        jf: otherwise,
        k,
    }
}

/// Returns the program for these architectures; `None` when there is none to filter.
pub(crate) fn program(
    architectures: &[Architecture],
    unix: UnixSockets,
) -> Option<Vec<sock_filter>> {
    if architectures.is_empty() {
        return None;
    }
    let mut out = vec![plain(LOAD, ARCHITECTURE)];
    for architecture in architectures {
        let section = section(architecture, unix);
        out.push(sock_filter {
            code: JUMP_EQUAL,
            jt: 1,
            jf: 0,
            k: architecture.audit,
        });
        out.push(plain(JUMP, section.len() as u32));
        out.extend(section);
    }
    out.push(REFUSE);
    Some(out)
}

fn section(architecture: &Architecture, unix: UnixSockets) -> Vec<sock_filter> {
    let [clone, clone3, ioctl] = architecture.special;
    let mut out = vec![plain(LOAD, NUMBER)];
    if let Some(first) = architecture.second_numbering {
        out.extend([unless(JUMP_AT_LEAST, first, 1), REFUSE]);
    }
    for (_, numbers) in DENIED {
        match numbers.get(architecture.column) {
            Some(number) if *number != NONE => out.extend([unless(JUMP_EQUAL, *number, 1), REFUSE]),
            _ => {}
        }
    }
    out.extend([unless(JUMP_EQUAL, clone3, 1), UNKNOWN]);
    out.extend([
        unless(JUMP_EQUAL, clone, 4),
        plain(LOAD, ARGUMENT_0),
        unless(JUMP_ANY_BIT, NEW_NAMESPACES, 1),
        REFUSE,
        ALLOW,
    ]);
    if unix == UnixSockets::Refused {
        let [socket, socketcall] = architecture.sockets;
        if socketcall != NONE {
            out.extend([unless(JUMP_EQUAL, socketcall, 1), REFUSE]);
        }
        out.extend([
            unless(JUMP_EQUAL, socket, 4),
            plain(LOAD, ARGUMENT_0),
            unless(JUMP_EQUAL, libc::AF_UNIX as u32, 1),
            REFUSE,
            ALLOW,
        ]);
    }
    let [type_in, type_linux] = TERMINAL_TYPING;
    out.extend([
        unless(JUMP_EQUAL, ioctl, 5),
        plain(LOAD, ARGUMENT_1),
        unless(JUMP_EQUAL, type_in, 1),
        REFUSE,
        unless(JUMP_EQUAL, type_linux, 1),
        REFUSE,
        ALLOW,
    ]);
    out
}
