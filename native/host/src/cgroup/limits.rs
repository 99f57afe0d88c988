//! What a group limits, and the files by which each version of the kernel's interface is told.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

/// One scheduling period, in microseconds; the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// The smallest share of a period the kernel takes, in microseconds.
const QUOTA_MIN_US: u64 = 1_000;

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

pub(super) const RESOURCES: [Resource; 3] = [Resource::Memory, Resource::Cpu, Resource::Pids];

impl Resource {
    pub(super) fn controller(self) -> &'static str {
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

impl Limits {
    pub(super) fn asks(&self, resource: Resource) -> bool {
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

    pub(super) fn write_unified(&self, directory: &Path, resource: Resource) -> io::Result<()> {
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

    pub(super) fn write_legacy(&self, directory: &Path, resource: Resource) -> io::Result<()> {
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

/// Writes one value to a file of a group, which must be there.
pub(super) fn put(directory: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(directory.join(file))?;
    io::Write::write_all(&mut file, value.to_string().as_bytes())
}
