//! Layouts and files of both versions, from fixtures: a machine has one kind, and other machines the other.

use std::path::Path;

use super::Scratch;
use crate::cgroup::{is_ours, sweep, Group, Layout, Limits, Resource};

const LIMITS: Limits = Limits {
    memory_bytes: Some(64 << 20),
    cpu_cores: Some(0.5),
    processes: Some(32),
};

/// A tree of the second version with one group `swarmlet-x`, whose files a kernel would make.
fn unified(scratch: &Scratch, controllers: &str) -> Layout {
    scratch.file("own/cgroup.controllers", controllers);
    scratch.file("own/cgroup.subtree_control", "");
    for file in [
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.max",
        "pids.max",
    ] {
        if controllers.contains(file.split('.').next().unwrap()) {
            scratch.file(&format!("own/swarmlet-x/{file}"), "");
        }
    }
    scratch.file("own/swarmlet-x/cgroup.procs", "");
    let point = scratch.path().display();
    let mounts = format!("1 0 0:1 / {point} rw - cgroup2 cgroup2 rw");
    Layout::parse(&mounts, "0::/own\n")
}

#[test]
fn a_group_of_the_second_version_gets_every_limit() {
    let scratch = Scratch::new("v2");
    let layout = unified(&scratch, "cpuset cpu io memory pids");
    let group = Group::create(&layout, Path::new("swarmlet-x"), &LIMITS)
        .unwrap()
        .unwrap();
    for resource in [Resource::Memory, Resource::Cpu, Resource::Pids] {
        assert_eq!(group.how(resource), Some("cgroup-v2"));
    }
    assert_eq!(scratch.read("own/swarmlet-x/memory.max"), "67108864");
    assert_eq!(scratch.read("own/swarmlet-x/memory.swap.max"), "0");
    assert_eq!(scratch.read("own/swarmlet-x/memory.oom.group"), "1");
    assert_eq!(scratch.read("own/swarmlet-x/cpu.max"), "50000 100000");
    assert_eq!(scratch.read("own/swarmlet-x/pids.max"), "32");
    // A plain file keeps what the shorter of two writes did not cover.
    assert!(scratch
        .read("own/cgroup.subtree_control")
        .starts_with("+pids"));
    assert_eq!(group.entrances().unwrap().len(), 1);
}

#[test]
fn without_the_memory_controller_memory_is_not_said_to_be_limited() {
    let scratch = Scratch::new("v2-no-memory");
    let layout = unified(&scratch, "cpuset cpu pids");
    let group = Group::create(&layout, Path::new("swarmlet-x"), &LIMITS)
        .unwrap()
        .unwrap();
    assert_eq!(group.how(Resource::Memory), None);
    assert_eq!(group.how(Resource::Cpu), Some("cgroup-v2"));
    assert_eq!(group.how(Resource::Pids), Some("cgroup-v2"));
}

#[test]
fn nothing_to_limit_by_leaves_no_group_behind() {
    let scratch = Scratch::new("v2-nothing");
    scratch.file("own/cgroup.controllers", "hugetlb");
    let mounts = format!(
        "1 0 0:1 / {} rw - cgroup2 cgroup2 rw",
        scratch.path().display()
    );
    let layout = Layout::parse(&mounts, "0::/own\n");
    assert!(Group::create(&layout, Path::new("swarmlet-x/one"), &LIMITS)
        .unwrap()
        .is_none());
    assert!(!scratch.path().join("own/swarmlet-x").exists());
}

#[test]
fn a_name_is_held_until_its_group_is_gone() {
    let scratch = Scratch::new("v2-held");
    let layout = unified(&scratch, "pids");
    let name = Path::new("swarmlet-x");
    let mut first = Group::create(&layout, name, &LIMITS).unwrap().unwrap();
    assert!(Group::create(&layout, name, &LIMITS).is_err());
    // Its files are no kernel's, so it cannot be removed; it is on its way out and may be taken over.
    assert!(!first.remove());
    let second = Group::create(&layout, name, &LIMITS).unwrap().unwrap();
    assert!(first.remove(), "what was taken over is no longer its own");
    assert_eq!(second.how(Resource::Pids), Some("cgroup-v2"));
}

#[test]
fn a_kill_for_want_of_memory_is_told_by_both_versions() {
    for (file, text, expected) in [
        ("memory.events", "low 0\noom 3\noom_kill 1\n", Some(true)),
        ("memory.events", "low 0\noom_kill 0\n", Some(false)),
        (
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            Some(true),
        ),
        (
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\n",
            None,
        ),
    ] {
        let scratch = Scratch::new("oom");
        let layout = unified(&scratch, "pids");
        let group = Group::create(&layout, Path::new("swarmlet-x"), &LIMITS)
            .unwrap()
            .unwrap();
        scratch.file(&format!("own/swarmlet-x/{file}"), text);
        assert_eq!(group.out_of_memory(), expected, "{text:?}");
    }
}

#[test]
fn a_group_of_the_first_version_is_one_directory_for_each_controller() {
    let scratch = Scratch::new("v1");
    for file in [
        "memory/box/swarmlet-x/memory.limit_in_bytes",
        "memory/box/swarmlet-x/memory.memsw.limit_in_bytes",
        "cpu/swarmlet-x/cpu.cfs_period_us",
        "cpu/swarmlet-x/cpu.cfs_quota_us",
    ] {
        scratch.file(file, "");
    }
    let point = scratch.path().display();
    let mounts = format!(
        "32 31 0:30 / {point}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
         35 31 0:32 / {point}/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
         36 31 0:33 / {point}/devices rw - cgroup cgroup rw,devices\n"
    );
    let layout = Layout::parse(&mounts, "4:memory:/box\n1:cpu,cpuacct:/\n0::/\n");
    let group = Group::create(&layout, Path::new("swarmlet-x"), &LIMITS)
        .unwrap()
        .unwrap();
    assert_eq!(group.how(Resource::Memory), Some("cgroup-v1"));
    assert_eq!(group.how(Resource::Cpu), Some("cgroup-v1"));
    assert_eq!(group.how(Resource::Pids), None);
    assert_eq!(
        scratch.read("memory/box/swarmlet-x/memory.limit_in_bytes"),
        "67108864"
    );
    assert_eq!(
        scratch.read("memory/box/swarmlet-x/memory.memsw.limit_in_bytes"),
        "67108864"
    );
    assert_eq!(scratch.read("cpu/swarmlet-x/cpu.cfs_quota_us"), "50000");
}

#[test]
fn a_tree_mounted_from_below_its_root_is_found_in_a_container() {
    let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                  36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let inside = Layout::parse(mounts, "4:memory:/docker/abc\n0::/../outside\n");
    let expected = Layout::parse(
        "35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
         36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        "4:memory:/\n0::/\n",
    );
    assert_eq!(inside, expected);
}

#[test]
fn nonsense_gives_an_empty_layout() {
    for (mounts, own) in [("", ""), ("x y - z", "::"), ("1 2 3 4 5 - cgroup2", "0::/")] {
        assert_eq!(Layout::parse(mounts, own), Layout::default());
    }
}

#[test]
fn only_names_of_ours_may_be_emptied() {
    for good in ["swarmlet", "swarmlet-1/abc", "swarmlet/a/b"] {
        assert!(is_ours(Path::new(good)), "{good}");
    }
    for bad in [
        "",
        ".",
        "/",
        "/swarmlet",
        "docker",
        "docker/swarmlet",
        "swarmlet/../docker",
        "../swarmlet",
    ] {
        assert!(!is_ours(Path::new(bad)), "{bad}");
    }
}

#[test]
fn a_sweep_takes_all_groups_below_a_name() {
    let scratch = Scratch::new("sweep");
    for directory in ["own/swarmlet-x/one", "own/swarmlet-x/two", "own/other"] {
        std::fs::create_dir_all(scratch.path().join(directory)).unwrap();
    }
    let mounts = format!(
        "1 0 0:1 / {} rw - cgroup2 cgroup2 rw",
        scratch.path().display()
    );
    let layout = Layout::parse(&mounts, "0::/own\n");
    assert_eq!(sweep(&layout, Path::new("swarmlet-x")), 0);
    assert!(!scratch.path().join("own/swarmlet-x").exists());
    assert!(scratch.path().join("own/other").exists());
}
