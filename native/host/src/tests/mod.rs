//! Tests of parts that need no Python: filters, layouts, file rules, session lines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod cgroup;
mod keys;
mod landlock;
mod process;
mod seccomp;
mod session;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Held while a scratch directory lives: the names of control groups are held once for the whole process, and
/// tests that use the same ones would take them from each other.
static ALONE: Mutex<()> = Mutex::new(());

/// A directory that is removed with its content when the test ends. One exists at a time.
pub(crate) struct Scratch(PathBuf, #[allow(dead_code)] MutexGuard<'static, ()>);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let path = std::env::temp_dir().join(format!("swarmlet-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(fs::canonicalize(path).unwrap(), alone)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes a file, and the directories above it.
    pub(crate) fn file(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
