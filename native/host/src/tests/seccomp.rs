//! The filter, run by a small interpreter of its own: what each call of each machine is answered.

use libc::sock_filter;

use crate::seccomp::{program, Architecture, UnixSockets, AARCH64, ARM, DENIED, HERE, X86, X86_64};

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const AUDIT: [(Architecture, u32); 4] = [
    (X86_64, 0xc000_003e),
    (AARCH64, 0xc000_00b7),
    (ARM, 0x4000_0028),
    (X86, 0x4000_0003),
];

/// Runs classic BPF over a `seccomp_data`, as the kernel does.
fn run(program: &[sock_filter], number: u32, audit: u32, arguments: [u64; 2]) -> u32 {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&audit.to_le_bytes());
    data[16..24].copy_from_slice(&arguments[0].to_le_bytes());
    data[24..32].copy_from_slice(&arguments[1].to_le_bytes());
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let step = program[at];
        at += 1;
        match step.code {
            0x20 => {
                let from = step.k as usize;
                accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            0x05 => at += step.k as usize,
            0x15 => {
                at += usize::from(if accumulator == step.k {
                    step.jt
                } else {
                    step.jf
                })
            }
            0x35 => {
                at += usize::from(if accumulator >= step.k {
                    step.jt
                } else {
                    step.jf
                })
            }
            0x45 => {
                at += usize::from(if accumulator & step.k != 0 {
                    step.jt
                } else {
                    step.jf
                })
            }
            0x06 => return step.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

type Machine = (Vec<sock_filter>, Vec<(Architecture, u32)>);

fn both() -> [Machine; 2] {
    [
        (
            program(&[X86_64, X86], UnixSockets::Allowed).unwrap(),
            vec![AUDIT[0], AUDIT[3]],
        ),
        (
            program(&[AARCH64, ARM], UnixSockets::Allowed).unwrap(),
            vec![AUDIT[1], AUDIT[2]],
        ),
    ]
}

#[test]
fn exactly_the_listed_calls_are_refused_on_every_machine() {
    for (column, (architecture, audit)) in AUDIT.into_iter().enumerate() {
        let program = program(&[architecture], UnixSockets::Allowed).unwrap();
        let [clone, clone3, ioctl] = match column {
            0 => [56, 435, 16],
            1 => [220, 435, 29],
            _ => [120, 435, 54],
        };
        for number in 0..600 {
            let listed = DENIED.iter().any(|(_, numbers)| numbers[column] == number);
            let expected = match number {
                _ if listed => REFUSE,
                _ if number == clone3 => UNKNOWN,
                _ => ALLOW,
            };
            assert_eq!(
                run(&program, number, audit, [0, 0]),
                expected,
                "call {number} in column {column}"
            );
            assert!(!listed || ![clone, clone3, ioctl].contains(&number));
        }
    }
}

#[test]
fn both_instruction_sets_of_a_machine_are_filtered_and_no_third() {
    for (program, sets) in both() {
        for (architecture, audit) in &sets {
            let alone = crate::seccomp::program(&[*architecture], UnixSockets::Allowed).unwrap();
            for number in 0..600 {
                assert_eq!(
                    run(&program, number, *audit, [0, 0]),
                    run(&alone, number, *audit, [0, 0])
                );
            }
        }
        assert_eq!(run(&program, 0, 0x8000_0016, [0, 0]), REFUSE);
    }
}

#[test]
fn a_process_may_be_cloned_but_no_namespace_made() {
    for (program, sets) in both() {
        for (architecture, audit) in sets {
            let clone = if architecture == X86_64 {
                56
            } else if architecture == AARCH64 {
                220
            } else {
                120
            };
            let thread = 0x003d_0f00;
            assert_eq!(run(&program, clone, audit, [thread, 0]), ALLOW);
            for bit in [17, 25, 26, 27, 28, 29, 30] {
                assert_eq!(
                    run(&program, clone, audit, [thread | 1 << bit, 0]),
                    REFUSE,
                    "bit {bit}"
                );
            }
        }
    }
}

#[test]
fn typing_into_a_terminal_is_refused_and_other_requests_are_not() {
    for (program, sets) in both() {
        for (architecture, audit) in sets {
            let ioctl = if architecture == X86_64 {
                16
            } else if architecture == AARCH64 {
                29
            } else {
                54
            };
            assert_eq!(run(&program, ioctl, audit, [0, 0x5412]), REFUSE);
            assert_eq!(run(&program, ioctl, audit, [0, 0x541c]), REFUSE);
            // The kernel looks at the low half alone, so must the filter.
            assert_eq!(
                run(&program, ioctl, audit, [0, 0xffff_ffff_0000_5412]),
                REFUSE
            );
            assert_eq!(run(&program, ioctl, audit, [0, 0x5413]), ALLOW);
        }
    }
}

#[test]
fn the_second_numbering_of_x86_64_is_no_way_around() {
    let program = program(&[X86_64, X86], UnixSockets::Allowed).unwrap();
    for (_, numbers) in DENIED {
        assert_eq!(
            run(&program, 0x4000_0000 | numbers[0], AUDIT[0].1, [0, 0]),
            REFUSE
        );
    }
}

#[test]
fn every_program_fits_in_the_kernel() {
    for (program, _) in both() {
        assert!(program.len() < 4096, "{} instructions", program.len());
    }
    assert!(program(&[], UnixSockets::Allowed).is_none());
}

/// The table is written by hand for four machines; the C library knows the numbers of the one this runs on.
#[test]
fn the_table_agrees_with_the_c_library() {
    let here = HERE.first().unwrap();
    let column = AUDIT.iter().position(|(known, _)| known == here).unwrap();
    let expected = [
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("pivot_root", libc::SYS_pivot_root),
        ("chroot", libc::SYS_chroot),
        ("move_mount", libc::SYS_move_mount),
        ("open_tree", libc::SYS_open_tree),
        ("fsopen", libc::SYS_fsopen),
        ("fsconfig", libc::SYS_fsconfig),
        ("fsmount", libc::SYS_fsmount),
        ("fspick", libc::SYS_fspick),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("ptrace", libc::SYS_ptrace),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("process_vm_writev", libc::SYS_process_vm_writev),
        ("pidfd_getfd", libc::SYS_pidfd_getfd),
        ("kexec_load", libc::SYS_kexec_load),
        ("reboot", libc::SYS_reboot),
        ("swapon", libc::SYS_swapon),
        ("swapoff", libc::SYS_swapoff),
        ("acct", libc::SYS_acct),
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("bpf", libc::SYS_bpf),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("io_uring_register", libc::SYS_io_uring_register),
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("quotactl", libc::SYS_quotactl),
        ("settimeofday", libc::SYS_settimeofday),
        ("clock_settime", libc::SYS_clock_settime),
        ("syslog", libc::SYS_syslog),
        ("vhangup", libc::SYS_vhangup),
        ("sethostname", libc::SYS_sethostname),
        ("setdomainname", libc::SYS_setdomainname),
    ];
    for (name, number) in expected {
        let (_, numbers) = DENIED.iter().find(|(listed, _)| *listed == name).unwrap();
        assert_eq!(libc::c_long::from(numbers[column]), number, "{name}");
    }
}

/// `socket` of each machine, and what 32-bit x86 may use instead.
#[test]
fn sockets_of_this_machine_are_refused_where_an_engine_would_answer_and_others_are_not() {
    let machines = [
        (X86_64, 41, 0),
        (AARCH64, 198, 1),
        (ARM, 281, 2),
        (X86, 359, 3),
    ];
    for (architecture, socket, column) in machines {
        let audit = AUDIT[column].1;
        let open = program(&[architecture], UnixSockets::Allowed).unwrap();
        let closed = program(&[architecture], UnixSockets::Refused).unwrap();
        let (unix, inet) = (libc::AF_UNIX as u64, libc::AF_INET6 as u64);
        assert_eq!(run(&open, socket, audit, [unix, 1]), ALLOW);
        assert_eq!(run(&closed, socket, audit, [unix, 1]), REFUSE);
        assert_eq!(run(&closed, socket, audit, [1 << 32 | unix, 1]), REFUSE);
        assert_eq!(run(&closed, socket, audit, [inet, 1]), ALLOW);
    }
    let closed = program(&[X86], UnixSockets::Refused).unwrap();
    assert_eq!(run(&closed, 102, AUDIT[3].1, [1, 0]), REFUSE);
}
