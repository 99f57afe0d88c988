//! Two checksummed slots for one payload: whatever instruction a crash interrupts, one whole slot remains.
//!
//! A slot is magic (8 bytes), version (u16), generation (u64), payload length (u32), payload, and SHA-256 of
//! all before it; integers are big endian. A save writes a temporary file, syncs it, renames it over the
//! *older* slot and syncs the directory, so the newest whole slot is untouched until a newer one is on disk.
//! This file knows nothing of what a payload means.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::{HostError, Kind};
use crate::secret::scrubbed;
use crate::sys;

const VERSION: u16 = 1;
const HEADER: usize = 8 + 2 + 8 + 4;
const CHECKSUM: usize = 32;
/// Room beyond a file's length, so that reading it never moves what was read to a larger buffer.
const SPARE: usize = 64;
/// Far above any identity or journal; it bounds what a damaged length can make us read.
pub const PAYLOAD_MAX: usize = 16 * 1024 * 1024;

/// A payload; zeroed on drop, because it may hold a key.
pub type Payload = Zeroizing<Vec<u8>>;

/// What a slot file turned out to be.
#[derive(Debug)]
pub enum Reading {
    /// There is no such file.
    Missing,
    /// A file is there and is not a whole slot of this magic and version.
    Damaged {
        /// Owned by this user, and closed to everyone else.
        private: bool,
    },
    /// A whole slot.
    Whole {
        /// Which save wrote it.
        generation: u64,
        /// What was saved.
        payload: Payload,
        /// Owned by this user, and closed to everyone else.
        private: bool,
    },
}

/// Kinds of failure by which the owner of a store calls its troubles.
#[derive(Debug, Clone, Copy)]
pub struct Kinds {
    /// Neither slot is whole.
    pub damaged: Kind,
    /// A slot cannot be read.
    pub unreadable: Kind,
    /// A slot cannot be written.
    pub unwritable: Kind,
    /// Set when slots hold a secret: a slot open to others is then refused by this kind.
    pub permissions: Option<Kind>,
}

/// Two slots `a` and `b` under a directory.
#[derive(Debug)]
pub struct Slots {
    directory: PathBuf,
    magic: [u8; 8],
    kinds: Kinds,
    /// One save at a time within this process; between processes the owner of the directory locks it.
    saving: Mutex<()>,
}

impl Slots {
    /// Uses `directory`, which is made by the first save.
    pub fn new(directory: PathBuf, magic: [u8; 8], kinds: Kinds) -> Self {
        Self {
            directory,
            magic,
            kinds,
            saving: Mutex::new(()),
        }
    }

    /// A store for content that is no secret, such as a journal.
    pub fn plain(directory: PathBuf, magic: [u8; 8]) -> Self {
        let kinds = Kinds {
            damaged: Kind::SlotsDamaged,
            unreadable: Kind::SlotsUnreadable,
            unwritable: Kind::SlotsUnwritable,
            permissions: None,
        };
        Self::new(directory, magic, kinds)
    }

    /// Where the slots are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Paths of both slots.
    pub fn paths(&self) -> [PathBuf; 2] {
        [self.directory.join("a"), self.directory.join("b")]
    }

    /// Returns generation and payload of the newest whole slot, or `None` when no slot is there.
    pub fn load(&self) -> Result<Option<(u64, Payload)>, HostError> {
        let mut newest: Option<(u64, Payload)> = None;
        let mut damaged = Vec::new();
        for path in self.paths() {
            match self.read(&path)? {
                Reading::Missing => {}
                Reading::Damaged { .. } => damaged.push(path.display().to_string()),
                Reading::Whole {
                    generation,
                    payload,
                    ..
                } => {
                    if newest.as_ref().is_none_or(|(best, _)| generation > *best) {
                        newest = Some((generation, payload));
                    }
                }
            }
        }
        if newest.is_none() && !damaged.is_empty() {
            let detail = format!("not whole: {}", damaged.join(" and "));
            return Err(HostError::new(self.kinds.damaged, detail));
        }
        Ok(newest)
    }

    /// Returns the slots that exist and are not whole.
    pub fn damaged(&self) -> Result<Vec<PathBuf>, HostError> {
        let mut found = Vec::new();
        for path in self.paths() {
            if matches!(self.read(&path)?, Reading::Damaged { .. }) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Writes `payload` over the slot that is not the newest whole one; returns its generation once it is on disk.
    ///
    /// When no slot is whole, damaged ones are first moved aside to `a.damaged` and `b.damaged`.
    pub fn save(&self, payload: &[u8]) -> Result<u64, HostError> {
        if payload.len() > PAYLOAD_MAX {
            let detail = format!("{} bytes are more than a slot holds", payload.len());
            return Err(HostError::new(self.kinds.unwritable, detail));
        }
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_directory()?;
        let [a, b] = self.paths();
        let (first, second) = (self.generation_at(&a)?, self.generation_at(&b)?);
        if first.is_none() && second.is_none() {
            self.keep_damaged()?;
        }
        let generation = first.max(second).unwrap_or(0).saturating_add(1);
        // `None` orders below any generation, so a missing or damaged slot is written before a whole one.
        let target = if first <= second { &a } else { &b };
        let content = encode(&self.magic, generation, payload);
        replace(target, &content).map_err(|cause| self.unwritable(target, &cause))?;
        Ok(generation)
    }

    /// Overwrites and removes both slots, and what crashes or damage left beside them.
    ///
    /// Overwriting is a best effort (flash and copy-on-write file systems keep old blocks); removal is not.
    pub fn wipe(&self) -> Result<(), HostError> {
        let _one = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in self.paths() {
            for path in [temporary(&slot), kept(&slot), slot] {
                erase(&path).map_err(|cause| self.unwritable(&path, &cause))?;
            }
        }
        match sync_directory(&self.directory) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                Err(self.unwritable(&self.directory, &cause))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> Result<Reading, HostError> {
        let reading = read(path, &self.magic)
            .map_err(|cause| HostError::from_io(self.kinds.unreadable, path, &cause))?;
        match (&reading, self.kinds.permissions) {
            (
                Reading::Whole { private: false, .. } | Reading::Damaged { private: false },
                Some(kind),
            ) => {
                let detail = format!(
                    "{} can be read by others or belongs to another user",
                    path.display()
                );
                Err(HostError::new(kind, detail))
            }
            _ => Ok(reading),
        }
    }

    /// The generation of a whole slot. A slot that cannot be read counts as one to be replaced.
    fn generation_at(&self, path: &Path) -> Result<Option<u64>, HostError> {
        match read(path, &self.magic) {
            Ok(Reading::Whole { generation, .. }) => Ok(Some(generation)),
            Ok(_) => Ok(None),
            Err(cause) => Err(HostError::from_io(self.kinds.unreadable, path, &cause)),
        }
    }

    /// Makes the directory, closed to others, unless it is there.
    pub(crate) fn make_directory(&self) -> Result<(), HostError> {
        if self.directory.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .and_then(|()| self.directory.parent().map_or(Ok(()), sync_directory))
            .map_err(|cause| self.unwritable(&self.directory, &cause))
    }

    fn keep_damaged(&self) -> Result<(), HostError> {
        for path in self.paths() {
            match fs::rename(&path, kept(&path)) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(self.unwritable(&path, &cause))
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The failure to write `path`, by this store's kinds.
    pub(crate) fn unwritable(&self, path: &Path, cause: &io::Error) -> HostError {
        HostError::from_io(self.kinds.unwritable, path, cause)
    }
}

/// Returns the bytes of a slot.
pub(crate) fn encode(magic: &[u8; 8], generation: u64, payload: &[u8]) -> Payload {
    let mut out = Zeroizing::new(Vec::with_capacity(HEADER + payload.len() + CHECKSUM));
    out.extend_from_slice(magic);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    let checksum = scrubbed(|| Sha256::digest(out.as_slice()));
    out.extend_from_slice(&checksum);
    out
}

/// Returns generation and payload of a whole slot's bytes.
fn decode<'a>(magic: &[u8; 8], content: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let (body, checksum) = content.split_at_checked(content.len().checked_sub(CHECKSUM)?)?;
    if scrubbed(|| Sha256::digest(body)).as_slice() != checksum {
        return None;
    }
    let rest = body
        .strip_prefix(magic)?
        .strip_prefix(&VERSION.to_be_bytes())?;
    let (generation, rest) = rest.split_first_chunk::<8>()?;
    let (length, payload) = rest.split_first_chunk::<4>()?;
    (payload.len() == u32::from_be_bytes(*length) as usize)
        .then_some((u64::from_be_bytes(*generation), payload))
}

/// Reads the slot file at `path`. Bytes that a failing disk will not give count as damage.
pub(crate) fn read(path: &Path, magic: &[u8; 8]) -> io::Result<Reading> {
    // A fifo or a link put in a slot's place must neither block nor lead elsewhere.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Reading::Missing),
        Err(cause) if cause.raw_os_error() == Some(libc::ELOOP) => {
            return Ok(Reading::Damaged { private: true })
        }
        Err(cause) => return Err(cause),
    };
    let facts = file.metadata()?;
    let private = facts.mode() & 0o077 == 0 && facts.uid() == sys::effective_uid();
    let damaged = Reading::Damaged { private };
    let most = (HEADER + PAYLOAD_MAX + CHECKSUM) as u64;
    if !facts.is_file() || facts.len() > most {
        return Ok(damaged);
    }
    let mut content = Zeroizing::new(Vec::with_capacity(facts.len() as usize + SPARE));
    if let Err(cause) = file.take(most).read_to_end(&mut content) {
        return match cause.raw_os_error() {
            Some(libc::EIO) => Ok(damaged),
            _ => Err(cause),
        };
    }
    Ok(match decode(magic, &content) {
        Some((generation, payload)) => Reading::Whole {
            generation,
            payload: Zeroizing::new(payload.to_vec()),
            private,
        },
        None => damaged,
    })
}

/// Puts `content` at `path` by way of a synced temporary file and a rename, then syncs the directory.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let put = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if let Err(cause) = put {
        let _ = fs::remove_file(&temporary);
        return Err(cause);
    }
    path.parent().map_or(Ok(()), sync_directory)
}

/// Puts `content` at `path` unless something is there already; false when something was.
pub(crate) fn create_once(path: &Path, content: &[u8]) -> io::Result<bool> {
    let mut tag = [0_u8; 8];
    getrandom::getrandom(&mut tag).map_err(io::Error::from)?;
    let temporary = beside(path, &format!(".{:016x}.new", u64::from_be_bytes(tag)));
    let linked = write_new(&temporary, content).and_then(|()| fs::hard_link(&temporary, path));
    let _ = fs::remove_file(&temporary);
    match linked {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory).map(|()| true),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let make = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
    };
    // What a crash left behind under this name was never a slot.
    let mut file = make().or_else(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| make()),
        _ => Err(cause),
    })?;
    file.write_all(content)?;
    file.sync_all()
}

/// Overwrites and removes what is at `path`, if anything is.
pub(crate) fn erase(path: &Path) -> io::Result<()> {
    overwrite(path);
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

fn overwrite(path: &Path) {
    let opened = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let Ok(mut file) = opened else { return };
    let length = file
        .metadata()
        .map_or(0, |facts| if facts.is_file() { facts.len() } else { 0 });
    let zeros = vec![0_u8; length.min((PAYLOAD_MAX + HEADER + CHECKSUM) as u64) as usize];
    let _ = file.write_all(&zeros).and_then(|()| file.sync_all());
}

/// Makes names in `directory` durable. File systems that cannot sync a directory say `EINVAL`: no more can be done there.
fn sync_directory(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    match File::open(directory)?.sync_all() {
        Err(cause) if cause.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        other => other,
    }
}

/// Where the next content of `path` is written before it takes its place.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    beside(path, ".new")
}

fn kept(path: &Path) -> PathBuf {
    beside(path, ".damaged")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
