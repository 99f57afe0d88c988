//! Where groups can be made on this machine, from the text of `/proc`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::limits::Resource;

/// Where groups can be made on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Candidates for a parent in the second version's tree, best first.
    pub(super) unified: Vec<PathBuf>,
    /// Our own directory in the first version's tree of a controller.
    pub(super) legacy: Vec<(String, PathBuf)>,
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

    pub(super) fn legacy(&self, resource: Resource) -> Option<&Path> {
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
