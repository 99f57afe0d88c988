//! The processes of a workload: all that are in its session, or in its control group when it has one.
//!
//! A group holds everything the workload ever started. Without one, a process that makes a session of its own
//! gets away; that is the limit of what can be known.

use std::collections::BTreeSet;
use std::fs;

use crate::cgroup::Group;
use crate::sys;

/// Looks for new members at most this often while it kills them.
const ROUNDS: usize = 64;

/// A process as `/proc/PID/stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
}

impl Stat {
    /// Reads the line (proc(5)). The command's name is in parentheses and may contain anything.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut number = || fields.next()?.parse().ok();
        Some(Self {
            state,
            parent: number()?,
            group: number()?,
            session: number()?,
        })
    }
}

/// Every process there is.
pub(crate) fn processes() -> Vec<(i32, Stat)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("stat")).ok()?;
            Some((pid, Stat::parse(&String::from_utf8_lossy(&line))?))
        })
        .collect()
}

/// The living processes of the workload led by `leader`, without the leader's own process group.
fn outside_its_group(leader: i32, group: Option<&Group>) -> Vec<i32> {
    let all = processes();
    let in_control_group = group.map(Group::members).unwrap_or_default();
    all.into_iter()
        .filter(|(pid, stat)| stat.session == leader || in_control_group.contains(pid))
        .filter(|(_, stat)| stat.group != leader && stat.state != 'Z')
        .map(|(pid, _)| pid)
        .collect()
}

/// Sends a signal to the whole workload. Its leader must not have been reaped, so that the number is still its own.
pub(crate) fn signal(leader: i32, group: Option<&Group>, signal: i32) {
    let _ = sys::kill(-leader, signal);
    for pid in outside_its_group(leader, group) {
        let _ = sys::kill(pid, signal);
    }
}

/// Kills the whole workload, and what it starts meanwhile. As [`signal`], before the leader is reaped.
pub(crate) fn kill(leader: i32, group: Option<&Group>) {
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS {
        let _ = sys::kill(-leader, libc::SIGKILL);
        let mut found_new = false;
        for pid in outside_its_group(leader, group) {
            let _ = sys::kill(pid, libc::SIGKILL);
            found_new |= killed.insert(pid);
        }
        if !found_new {
            return;
        }
    }
}
