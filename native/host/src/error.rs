//! The one failure type of this crate: a stable kind and a sentence for a person.
//!
//! A detail never carries a secret: it names paths, steps and the operating system's own words.

use std::fmt;
use std::io;
use std::path::Path;

/// What went wrong, as a closed list; each has a slug that Python maps to its catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The system gave no random bytes.
    RandomUnavailable,
    /// A key file exists and cannot be read or made.
    KeyUnreadable,
    /// A key file is not whole.
    KeyDamaged,
    /// A key file can be read by others or belongs to another user.
    KeyPermissions,
    /// The leaf certificate is not for this key.
    IdentityMismatch,
    /// A certificate cannot be read.
    CertificateDamaged,
    /// Something is there and nothing of it is a whole identity.
    IdentityDamaged,
    /// Identity files can be read by others or belong to another user.
    IdentityPermissions,
    /// Identity files cannot be read.
    IdentityUnreadable,
    /// Identity files cannot be written.
    IdentityUnwritable,
    /// Both slots are there and neither is whole.
    SlotsDamaged,
    /// Slots cannot be read.
    SlotsUnreadable,
    /// Slots cannot be written.
    SlotsUnwritable,
    /// No space or no quota is left.
    DiskFull,
    /// The file system is read-only.
    ReadOnly,
    /// The command is not there.
    CommandNotFound,
    /// The command is there and may not be run.
    CommandForbidden,
    /// The working directory is not there.
    DirectoryMissing,
    /// A workload could not be started for another reason; the detail names the step.
    SpawnFailed,
    /// This process cannot become another user, or could come back.
    UserUnchangeable,
}

impl Kind {
    /// The stable slug.
    pub fn slug(self) -> &'static str {
        match self {
            Kind::RandomUnavailable => "random-unavailable",
            Kind::KeyUnreadable => "key-unreadable",
            Kind::KeyDamaged => "key-damaged",
            Kind::KeyPermissions => "key-permissions",
            Kind::IdentityMismatch => "identity-mismatch",
            Kind::CertificateDamaged => "certificate-damaged",
            Kind::IdentityDamaged => "identity-damaged",
            Kind::IdentityPermissions => "identity-permissions",
            Kind::IdentityUnreadable => "identity-unreadable",
            Kind::IdentityUnwritable => "identity-unwritable",
            Kind::SlotsDamaged => "slots-damaged",
            Kind::SlotsUnreadable => "slots-unreadable",
            Kind::SlotsUnwritable => "slots-unwritable",
            Kind::DiskFull => "disk-full",
            Kind::ReadOnly => "read-only",
            Kind::CommandNotFound => "command-not-found",
            Kind::CommandForbidden => "command-forbidden",
            Kind::DirectoryMissing => "directory-missing",
            Kind::SpawnFailed => "spawn-failed",
            Kind::UserUnchangeable => "user-unchangeable",
        }
    }
}

/// A failure of this crate.
#[derive(Debug, Clone)]
pub struct HostError {
    /// What it is, for machines.
    pub kind: Kind,
    /// What it is, for people: lower case, no final period, no secret.
    pub detail: String,
}

impl HostError {
    /// Makes a failure.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// Makes a failure about `path` from what the system said; a full or read-only disk keeps its own kind.
    pub fn from_io(kind: Kind, path: &Path, cause: &io::Error) -> Self {
        let kind = match cause.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT) => Kind::DiskFull,
            Some(libc::EROFS) => Kind::ReadOnly,
            _ => kind,
        };
        Self::new(kind, format!("{}: {}", path.display(), describe(cause)))
    }
}

/// The system's words for a failure, without Rust's trailing number and without a capital letter.
pub(crate) fn describe(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.kind.slug(), self.detail)
    }
}

impl std::error::Error for HostError {}
