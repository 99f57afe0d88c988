//! Directories of groups: made, emptied and removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::limits::{put, Resource};
use crate::sys;

/// How long what an earlier run left in a group may take to die.
const EMPTYING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);

/// Makes `below` under `parent` in the unified tree with what controllers are to be had there.
///
/// Controllers are handed down level by level; a level that holds processes of its own hands down none
/// (except the root), and then this is not the place.
pub(super) fn open_unified(parent: &Path, below: &Path, asked: &[Resource]) -> Option<PathBuf> {
    let offered = fs::read_to_string(parent.join("cgroup.controllers")).ok()?;
    let wanted: Vec<Resource> = asked
        .iter()
        .copied()
        .filter(|resource| {
            offered
                .split_whitespace()
                .any(|name| name == resource.controller())
        })
        .collect();
    if wanted.is_empty() {
        return None;
    }
    let mut directory = parent.to_owned();
    for part in below.components() {
        for resource in &wanted {
            let _ = put(
                &directory,
                "cgroup.subtree_control",
                format!("+{}", resource.controller()),
            );
        }
        directory.push(part);
        match fs::create_dir(&directory) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
                remove_below(&directory, parent);
                return None;
            }
            _ => {}
        }
    }
    empty(&directory);
    Some(directory)
}

pub(super) fn members(directory: &Path) -> Vec<i32> {
    let own = std::process::id() as i32;
    fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .filter(|pid| *pid > 1 && *pid != own)
        .collect()
}

pub(super) fn kill_members(directory: &Path) -> bool {
    let _ = put(directory, "cgroup.kill", 1);
    let found = members(directory);
    for pid in &found {
        let _ = sys::kill(*pid, libc::SIGKILL);
    }
    found.is_empty()
}

/// Waits until a group that was there before is empty.
pub(super) fn empty(directory: &Path) {
    let deadline = Instant::now() + EMPTYING;
    while !kill_members(directory) && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }
}

/// Removes `directory` and what is empty between it and `above`; false while it is still there.
pub(super) fn remove_below(directory: &Path, above: &Path) -> bool {
    let gone = match fs::remove_dir(directory) {
        Ok(()) => true,
        Err(cause) => cause.kind() == io::ErrorKind::NotFound,
    };
    let mut between = directory.parent();
    while let Some(path) = between.filter(|path| *path != above && path.starts_with(above)) {
        if fs::remove_dir(path).is_err() {
            break;
        }
        between = path.parent();
    }
    gone
}
