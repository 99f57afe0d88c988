//! Control groups: the only way to limit a whole session's memory, processor time and number of processes.
//!
//! Both versions are spoken, side by side where a machine mixes them. A group is asked for by name and made
//! below the group this process is in; what could be limited is reported per resource, never assumed.

mod layout;
mod limits;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

pub(crate) use layout::Layout;
pub(crate) use limits::{Limits, Resource};

use crate::sys;
use limits::RESOURCES;
use tree::{empty, kill_members, members, open_unified, remove_below};

/// The first part of the name of every group we make, so that no other can be meant.
const NAME_BEGINNING: &str = "swarmlet";

/// Groups of this process by name; held while one is made or removed, since they share the directories above them.
static GROUPS: Mutex<Groups> = Mutex::new(Groups {
    last: 0,
    named: BTreeMap::new(),
});

struct Groups {
    last: u64,
    named: BTreeMap<PathBuf, Holder>,
}

/// Who holds a name. A name may be taken over from one that is being removed, which then leaves the group alone.
#[derive(Clone, Copy)]
struct Holder {
    number: u64,
    in_use: bool,
}

/// A name that cannot be taken.
#[derive(Debug)]
pub(crate) struct InUse;

/// One directory of a group, and the one above it that is not ours to remove.
#[derive(Debug)]
struct Place {
    directory: PathBuf,
    above: PathBuf,
}

/// A group of one workload: one directory in the unified tree, or several in trees of controllers.
#[derive(Debug)]
pub(crate) struct Group {
    name: PathBuf,
    number: u64,
    places: Vec<Place>,
    limited: Vec<(Resource, &'static str)>,
}

impl Group {
    /// Makes the group `name` below our own with `limits`, emptied of what an earlier run left in it.
    ///
    /// `None` when nothing asked for can be limited by a group here. The name must have passed [`is_ours`].
    ///
    /// # Errors
    /// A group of this name is in use by this process.
    pub(crate) fn create(
        layout: &Layout,
        name: &Path,
        limits: &Limits,
    ) -> Result<Option<Self>, InUse> {
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.named.get(name).is_some_and(|holder| holder.in_use) {
            return Err(InUse);
        }
        let mut group = Self {
            name: name.to_owned(),
            number: groups.last + 1,
            places: Vec::new(),
            limited: Vec::new(),
        };
        groups.last = group.number;
        let asked: Vec<Resource> = RESOURCES
            .into_iter()
            .filter(|resource| limits.asks(*resource))
            .collect();
        group.create_unified(layout, name, limits, &asked);
        group.create_legacy(layout, name, limits, &asked);
        if group.limited.is_empty() {
            return Ok(None);
        }
        let holder = Holder {
            number: group.number,
            in_use: true,
        };
        groups.named.insert(name.to_owned(), holder);
        Ok(Some(group))
    }

    fn create_unified(
        &mut self,
        layout: &Layout,
        name: &Path,
        limits: &Limits,
        asked: &[Resource],
    ) {
        for above in &layout.unified {
            let Some(directory) = open_unified(above, name, asked) else {
                continue;
            };
            let before = self.limited.len();
            for resource in asked {
                if limits.write_unified(&directory, *resource).is_ok() {
                    self.limited.push((*resource, "cgroup-v2"));
                }
            }
            if self.limited.len() > before {
                self.add(directory, above);
                return;
            }
            remove_below(&directory, above);
        }
    }

    fn create_legacy(&mut self, layout: &Layout, name: &Path, limits: &Limits, asked: &[Resource]) {
        for resource in asked {
            if self.how(*resource).is_some() {
                continue;
            }
            let Some(above) = layout.legacy(*resource) else {
                continue;
            };
            let directory = above.join(name);
            if fs::create_dir_all(&directory).is_err() {
                continue;
            }
            empty(&directory);
            if limits.write_legacy(&directory, *resource).is_ok() {
                self.limited.push((*resource, "cgroup-v1"));
                self.add(directory, above);
            } else {
                remove_below(&directory, above);
            }
        }
    }

    fn add(&mut self, directory: PathBuf, above: &Path) {
        let above = above.to_owned();
        self.places.push(Place { directory, above });
    }

    /// How a resource is limited, as it is reported; `None` when it is not.
    pub(crate) fn how(&self, resource: Resource) -> Option<&'static str> {
        self.limited
            .iter()
            .find(|(limited, _)| *limited == resource)
            .map(|(_, how)| *how)
    }

    /// Opens what a process writes to, to enter the group.
    pub(crate) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        self.places
            .iter()
            .map(|place| {
                let file = OpenOptions::new()
                    .write(true)
                    .open(place.directory.join("cgroup.procs"))?;
                sys::out_of_the_way(file.into())
            })
            .collect()
    }

    /// The processes in the group.
    pub(crate) fn members(&self) -> Vec<i32> {
        self.places
            .first()
            .map(|place| members(&place.directory))
            .unwrap_or_default()
    }

    /// Whether the kernel killed something in the group for want of memory; `None` when it does not say.
    pub(crate) fn out_of_memory(&self) -> Option<bool> {
        self.places.iter().find_map(|place| {
            ["memory.events", "memory.oom_control"]
                .iter()
                .find_map(|file| {
                    let text = fs::read_to_string(place.directory.join(file)).ok()?;
                    text.lines().find_map(|line| {
                        let count = line.strip_prefix("oom_kill ")?;
                        Some(count.trim() != "0")
                    })
                })
        })
    }

    /// Kills what is left in the group and removes it; false when it is to be tried again.
    pub(crate) fn remove(&mut self) -> bool {
        let mut groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
        match groups.named.get_mut(&self.name) {
            Some(holder) if holder.number == self.number => holder.in_use = false,
            _ => self.places.clear(),
        }
        self.places.retain(|place| {
            kill_members(&place.directory);
            !remove_below(&place.directory, &place.above)
        });
        if !self.places.is_empty() {
            return false;
        }
        groups
            .named
            .retain(|_, holder| holder.number != self.number);
        true
    }
}

/// A group that nobody handed on holds no process any more.
impl Drop for Group {
    fn drop(&mut self) {
        // One that never came to be is dropped where the names are still locked.
        if !self.places.is_empty() {
            self.remove();
        }
    }
}

/// Kills everything in the groups at and below `name`, removes them, and returns how many processes there were.
///
/// For what an agent that was killed left behind; groups in use by this process are not spared.
pub(crate) fn sweep(layout: &Layout, name: &Path) -> usize {
    let _one = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let legacy = layout.legacy.iter().map(|(_, above)| above);
    let mut killed = BTreeSet::new();
    for above in layout.unified.iter().chain(legacy) {
        sweep_directory(&above.join(name), &mut killed);
        remove_below(&above.join(name), above);
    }
    killed.len()
}

fn sweep_directory(directory: &Path, killed: &mut BTreeSet<i32>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sweep_directory(&entry.path(), killed);
        }
    }
    killed.extend(members(directory));
    empty(directory);
    let _ = fs::remove_dir(directory);
}

/// What groups can limit here, found by making one and removing it.
pub(crate) fn probe(layout: &Layout, name: &Path) -> [Option<&'static str>; 3] {
    let limits = Limits {
        memory_bytes: Some(64 * 1024 * 1024),
        cpu_cores: Some(1.0),
        processes: Some(64),
    };
    match Group::create(layout, name, &limits) {
        Ok(Some(mut group)) => {
            let found = RESOURCES.map(|resource| group.how(resource));
            group.remove();
            found
        }
        Ok(None) | Err(InUse) => [None; 3],
    }
}

/// Whether a name is one of ours to use: what is in a group of that name is killed when it is made.
pub(crate) fn is_ours(name: &Path) -> bool {
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let first = name.components().next();
    plain
        && first.is_some_and(|part| {
            part.as_os_str()
                .to_string_lossy()
                .starts_with(NAME_BEGINNING)
        })
}
