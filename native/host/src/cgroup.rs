//! Control groups: the only way to limit a whole session's memory, processor time and number of processes.
//!
//! Both versions are spoken, side by side where a machine mixes them. A group is asked for by name and made
//! below the group this process is in; what could be limited is reported per resource, never assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// One scheduling period, in microseconds; the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// The smallest share of a period the kernel takes, in microseconds.
const QUOTA_MIN_US: u64 = 1_000;
/// How long what an earlier run left in a group may take to die.
const EMPTYING: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(2);
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

/// A resource that a group limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Bytes of memory.
    Memory,
    /// Processor time.
    Cpu,
    /// Number of processes and threads.
    Pids,
}

const RESOURCES: [Resource; 3] = [Resource::Memory, Resource::Cpu, Resource::Pids];

impl Resource {
    fn controller(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::Cpu => "cpu",
            Resource::Pids => "pids",
        }
    }
}

/// What a workload may use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// Bytes, swap included.
    pub(crate) memory_bytes: Option<u64>,
    /// Processors' worth of time.
    pub(crate) cpu_cores: Option<f64>,
    /// Processes and threads.
    pub(crate) processes: Option<u64>,
}

/// Where groups can be made on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Candidates for a parent in the second version's tree, best first.
    unified: Vec<PathBuf>,
    /// Our own directory in the first version's tree of a controller.
    legacy: Vec<(String, PathBuf)>,
}

impl Layout {
    /// Reads the layout of this machine; an empty one when there is none.
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Combines mounts (proc(5), `mountinfo`) with the groups this process is in (cgroups(7)).
    pub(crate) fn parse(mountinfo: &str, own: &str) -> Self {
        let mut layout = Self::default();
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            let own_path = |wanted: Option<&str>| {
                own.lines().find_map(|line| {
                    let (_, rest) = line.split_once(':')?;
                    let (controllers, path) = rest.split_once(':')?;
                    let here = match wanted {
                        Some(name) => controllers.split(',').any(|found| found == name),
                        None => controllers.is_empty(),
                    };
                    here.then(|| mount.directory(path))
                })
            };
            if mount.kind == "cgroup2" {
                let mut parents: Vec<PathBuf> = own_path(None).into_iter().collect();
                let root = PathBuf::from(mount.point);
                if !parents.contains(&root) {
                    parents.push(root);
                }
                layout.unified = parents;
            } else if mount.kind == "cgroup" {
                for controller in mount.options.split(',') {
                    if let Some(directory) = own_path(Some(controller)) {
                        layout.legacy.push((controller.to_owned(), directory));
                    }
                }
            }
        }
        layout
    }

    fn legacy(&self, resource: Resource) -> Option<&Path> {
        self.legacy
            .iter()
            .find(|(controller, _)| controller == resource.controller())
            .map(|(_, directory)| directory.as_path())
    }
}

/// One line of `mountinfo`.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (first, second) = line.split_once(" - ")?;
        let mut first = first.split(' ').skip(3);
        let mut second = second.split(' ');
        Some(Self {
            root: first.next()?,
            point: first.next()?,
            kind: second.next()?,
            options: second.nth(1)?,
        })
    }

    /// Where the group `path` is found. In a container the tree may be mounted from below its root.
    fn directory(&self, path: &str) -> PathBuf {
        let below = Path::new(path)
            .strip_prefix(self.root)
            .unwrap_or(Path::new(""));
        if below
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            Path::new(self.point).join(below)
        } else {
            PathBuf::from(self.point)
        }
    }
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

impl Limits {
    fn asks(&self, resource: Resource) -> bool {
        match resource {
            Resource::Memory => self.memory_bytes.is_some(),
            Resource::Cpu => self.cpu_cores.is_some(),
            Resource::Pids => self.processes.is_some(),
        }
    }

    /// Microseconds of processor time a period.
    fn quota_us(&self) -> u64 {
        // A conversion from float saturates, and gives 0 for what is no number.
        ((self.cpu_cores.unwrap_or(0.0) * PERIOD_US as f64) as u64).max(QUOTA_MIN_US)
    }

    fn write_unified(&self, directory: &Path, resource: Resource) -> io::Result<()> {
        match resource {
            Resource::Memory => {
                put(directory, "memory.max", self.memory_bytes.unwrap_or(0))?;
                // Not every kernel has these two; the limit itself holds without them.
                let _ = put(directory, "memory.swap.max", 0);
                let _ = put(directory, "memory.oom.group", 1);
                Ok(())
            }
            Resource::Cpu => {
                let text = format!("{} {PERIOD_US}", self.quota_us());
                put(directory, "cpu.max", text)
            }
            Resource::Pids => put(directory, "pids.max", self.processes.unwrap_or(0)),
        }
    }

    fn write_legacy(&self, directory: &Path, resource: Resource) -> io::Result<()> {
        match resource {
            Resource::Memory => {
                let bytes = self.memory_bytes.unwrap_or(0);
                // The limit with swap may not be below the one without, so a larger old one must go first.
                let _ = put(directory, "memory.memsw.limit_in_bytes", -1);
                put(directory, "memory.limit_in_bytes", bytes)?;
                let _ = put(directory, "memory.memsw.limit_in_bytes", bytes);
                Ok(())
            }
            Resource::Cpu => {
                put(directory, "cpu.cfs_period_us", PERIOD_US)?;
                put(directory, "cpu.cfs_quota_us", self.quota_us())
            }
            Resource::Pids => put(directory, "pids.max", self.processes.unwrap_or(0)),
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

/// Makes `below` under `parent` in the unified tree with what controllers are to be had there.
///
/// Controllers are handed down level by level; a level that holds processes of its own hands down none
/// (except the root), and then this is not the place.
fn open_unified(parent: &Path, below: &Path, asked: &[Resource]) -> Option<PathBuf> {
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

/// Writes one value to a file of a group, which must be there.
fn put(directory: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(directory.join(file))?;
    io::Write::write_all(&mut file, value.to_string().as_bytes())
}

fn members(directory: &Path) -> Vec<i32> {
    let own = std::process::id() as i32;
    fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.trim().parse().ok())
        .filter(|pid| *pid > 1 && *pid != own)
        .collect()
}

fn kill_members(directory: &Path) -> bool {
    let _ = put(directory, "cgroup.kill", 1);
    let found = members(directory);
    for pid in &found {
        let _ = sys::kill(*pid, libc::SIGKILL);
    }
    found.is_empty()
}

/// Waits until a group that was there before is empty.
fn empty(directory: &Path) {
    let deadline = Instant::now() + EMPTYING;
    while !kill_members(directory) && Instant::now() < deadline {
        thread::sleep(PAUSE);
    }
}

/// Removes `directory` and what is empty between it and `above`; false while it is still there.
fn remove_below(directory: &Path, above: &Path) -> bool {
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
