//! Starts a workload process: checks the wishes, prepares everything the child needs, says what was enforced.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::cgroup::{self, Group, Layout, Limits, Resource};
use crate::child::{Failed, Plan, Step};
use crate::engines;
use crate::error::{describe, HostError, Kind};
use crate::landlock::{self, Access};
use crate::process::{Applied, Process};
use crate::seccomp::{self, UnixSockets};
use crate::starter::{self, Remains};
use crate::sys;

/// Where a command without a slash is looked for when its environment names no path.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Said of a protection that nothing here gives.
pub(crate) const UNENFORCED: &str = "unenforced";
/// Said of a limit that was not asked for.
const UNLIMITED: &str = "unlimited";
/// When memory runs out, a workload is to die before the agent does (proc(5), `oom_score_adj`).
const OOM_SCORE: &str = "500";

/// What to start, and within which bounds.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The command and its arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory, the one place it may always write; given to the user it runs as.
    pub directory: PathBuf,
    /// Memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time, in processors.
    pub cpu_cores: Option<f64>,
    /// Processes and threads.
    pub max_processes: u64,
    /// Open files of each process.
    pub max_files: u64,
    /// User to run as; ours when `None`.
    pub uid: Option<u32>,
    /// Group to run as; the number of the user when `None`.
    pub gid: Option<u32>,
    /// What else it may write.
    pub writable: Vec<PathBuf>,
    /// Directories whose files it may not read, apart from its own.
    pub hidden: Vec<PathBuf>,
    /// Name of its control group, below ours; begins with `swarmlet`.
    pub cgroup: Option<PathBuf>,
    /// Sockets of container engines at other than the usual places.
    pub engines: Vec<PathBuf>,
}

/// Starts a process.
pub fn spawn(request: &Request) -> Result<Process, HostError> {
    let group = group(request)?;
    match attempt(request, group) {
        Err(Attempt::Group) => attempt(request, None).map_err(Attempt::into_error),
        other => other.map_err(Attempt::into_error),
    }
}

/// Why an attempt failed.
enum Attempt {
    /// The child could not enter its group: to be tried without.
    Group,
    Failed(HostError),
}

impl Attempt {
    fn into_error(self) -> HostError {
        match self {
            Attempt::Group => failed(Step::Group.words(), "refused"),
            Attempt::Failed(error) => error,
        }
    }
}

impl From<HostError> for Attempt {
    fn from(error: HostError) -> Self {
        Attempt::Failed(error)
    }
}

fn failed(step: &str, why: impl std::fmt::Display) -> HostError {
    HostError::new(Kind::SpawnFailed, format!("{step}: {why}"))
}

fn at(step: &'static str) -> impl Fn(io::Error) -> HostError {
    move |cause| failed(step, describe(&cause))
}

fn group(request: &Request) -> Result<Option<Group>, HostError> {
    let Some(name) = &request.cgroup else {
        return Ok(None);
    };
    if !cgroup::is_ours(name) {
        let detail = format!("{} is no name for a group of ours", name.display());
        return Err(HostError::new(Kind::SpawnFailed, detail));
    }
    let limits = Limits {
        memory_bytes: request.memory_bytes,
        cpu_cores: request.cpu_cores,
        processes: Some(request.max_processes),
    };
    Group::create(&Layout::here(), name, &limits).map_err(|cgroup::InUse| {
        let detail = format!("the control group {} is in use", name.display());
        HostError::new(Kind::SpawnFailed, detail)
    })
}

fn attempt(request: &Request, group: Option<Group>) -> Result<Process, Attempt> {
    let protection = Protection::new(request, group.as_ref())?;
    let (stdout, stdout_child) = sys::pipe().map_err(at("making a pipe"))?;
    let (stderr, stderr_child) = sys::pipe().map_err(at("making a pipe"))?;
    for end in [&stdout, &stderr] {
        sys::set_nonblocking(end).map_err(at("making a pipe"))?;
    }
    let plan = Plan {
        candidates: candidates(request)?,
        argv: texts(request.argv.iter().map(OsString::as_os_str))?,
        env: environment(&request.env)?,
        directory: directory(request)?,
        stdin: open_null().map_err(at("opening /dev/null"))?,
        stdout: stdout_child,
        stderr: stderr_child,
        entrances: match &group {
            Some(group) => group.entrances().map_err(|_| Attempt::Group)?,
            None => Vec::new(),
        },
        limits: protection.limits,
        user: user(request),
        drop_groups: protection.exposed,
        ruleset: protection.ruleset,
        filter: protection.filter,
    };
    match starter::start(plan) {
        Ok(pid) => {
            let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), OOM_SCORE);
            Process::new(pid, [stdout, stderr], protection.applied, group)
                .map_err(|cause| at("watching it")(cause).into())
        }
        Err(cause) => {
            starter::tidy(Remains { pid: None, group });
            Err(explain(request, cause))
        }
    }
}

fn explain(request: &Request, cause: Failed) -> Attempt {
    let (step, cause) = match cause {
        Failed::Fork(cause) => return at("making a process")(cause).into(),
        Failed::At(Step::Group, _) => return Attempt::Group,
        Failed::At(step, cause) => (step, cause),
    };
    let command = request
        .argv
        .first()
        .map(|word| word.to_string_lossy().into_owned());
    let command = command.unwrap_or_default();
    let error = match (step, cause.raw_os_error()) {
        (Step::Exec, Some(libc::ENOENT)) => HostError::new(
            Kind::CommandNotFound,
            format!("{command} or the interpreter it names does not exist"),
        ),
        (Step::Exec, Some(libc::EACCES | libc::EPERM)) => HostError::new(
            Kind::CommandForbidden,
            format!("{command} may not be executed"),
        ),
        (Step::Exec, Some(libc::ENOEXEC)) => failed(&command, "not a program for this machine"),
        _ => at(step.words())(cause),
    };
    error.into()
}

/// What is put on a process, and how it is called in reports.
struct Protection {
    limits: Vec<(libc::c_int, libc::rlim_t)>,
    ruleset: Option<OwnedFd>,
    filter: Option<Vec<libc::sock_filter>>,
    /// Whether our groups, where it keeps them, open a container engine to it.
    exposed: bool,
    applied: Applied,
}

impl Protection {
    fn new(request: &Request, group: Option<&Group>) -> Result<Self, HostError> {
        let by_group = |resource| group.and_then(|group| group.how(resource));
        let files = request
            .max_files
            .min(hard_limit(libc::RLIMIT_NOFILE as libc::c_int));
        let mut limits = vec![
            (libc::RLIMIT_CORE as libc::c_int, 0),
            (libc::RLIMIT_NOFILE as libc::c_int, sys::limit_value(files)),
        ];
        let memory = match (request.memory_bytes, by_group(Resource::Memory)) {
            (None, _) => UNLIMITED,
            (Some(_), Some(how)) => how,
            (Some(bytes), None) => {
                // Data, not address space: many runtimes reserve far more addresses than they use.
                let bytes = bytes.min(hard_limit(libc::RLIMIT_DATA as libc::c_int));
                limits.push((libc::RLIMIT_DATA as libc::c_int, sys::limit_value(bytes)));
                "rlimit"
            }
        };
        let cpu = match (request.cpu_cores, by_group(Resource::Cpu)) {
            (None, _) => UNLIMITED,
            (Some(_), how) => how.unwrap_or(UNENFORCED),
        };
        let pids = match (by_group(Resource::Pids), own_user(request)) {
            (Some(how), _) => how,
            (None, true) => {
                let most = request
                    .max_processes
                    .min(hard_limit(libc::RLIMIT_NPROC as libc::c_int));
                limits.push((libc::RLIMIT_NPROC as libc::c_int, sys::limit_value(most)));
                "rlimit"
            }
            // The limit counts all processes of a user, so it would be spent by the agent's other ones.
            (None, false) => UNENFORCED,
        };
        let ruleset = ruleset(request)?;
        let files = ruleset
            .as_ref()
            .map_or(UNENFORCED, |_| landlock::describe(landlock::version()));
        let exposed = !own_user(request) && engines::within_reach(&request.engines);
        let filter = filter(if exposed {
            UnixSockets::Refused
        } else {
            UnixSockets::Allowed
        });
        let calls = filter.as_ref().map_or(UNENFORCED, |_| "seccomp");
        Ok(Self {
            limits,
            ruleset,
            filter,
            exposed,
            applied: [
                ("memory", memory),
                ("cpu", cpu),
                ("pids", pids),
                ("files", files),
                ("syscalls", calls),
                ("engine", engine(own_user(request), exposed)),
            ],
        })
    }
}

/// What keeps a workload from a container engine of this machine.
pub(crate) fn engine(own_user: bool, exposed: bool) -> &'static str {
    match (own_user, exposed) {
        (true, _) => "own user",
        (false, false) => "out of reach",
        (false, true) => filter(UnixSockets::Refused).map_or(UNENFORCED, |_| "no unix sockets"),
    }
}

fn hard_limit(resource: libc::c_int) -> u64 {
    sys::limits(resource).map_or(u64::MAX, |(_, hard)| hard)
}

/// Whether it runs as a user other than ours.
fn own_user(request: &Request) -> bool {
    request.uid.is_some_and(|uid| uid != sys::effective_uid())
}

fn user(request: &Request) -> Option<(u32, u32)> {
    match (request.uid, request.gid) {
        (Some(uid), gid) => Some((uid, gid.unwrap_or(uid))),
        (None, Some(gid)) => Some((sys::effective_uid(), gid)),
        (None, None) => None,
    }
}

fn ruleset(request: &Request) -> Result<Option<OwnedFd>, HostError> {
    let mut writable = vec![request.directory.clone()];
    writable.extend(request.writable.iter().cloned());
    let access = Access {
        writable: &writable,
        hidden: &request.hidden,
    };
    landlock::ruleset(&access)
        .and_then(|ruleset| ruleset.map(sys::out_of_the_way).transpose())
        .map_err(at(Step::Files.words()))
}

/// The system call filter, where there is one for this machine and a kernel to take it.
pub(crate) fn filter(unix: UnixSockets) -> Option<Vec<libc::sock_filter>> {
    seccomp::program(seccomp::HERE, unix).filter(|_| sys::takes_filters())
}

/// Opens the working directory and gives it to the user it is for.
fn directory(request: &Request) -> Result<OwnedFd, HostError> {
    let path = &request.directory;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open(path)
        .map_err(|cause| match cause.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {
                let detail = format!("{}: {}", path.display(), describe(&cause));
                HostError::new(Kind::DirectoryMissing, detail)
            }
            _ => at(Step::Directory.words())(cause),
        })?;
    if let (true, Some((uid, gid))) = (own_user(request), user(request)) {
        sys::give(&opened, uid, gid).map_err(at("giving it its directory"))?;
    }
    sys::out_of_the_way(opened.into()).map_err(at(Step::Directory.words()))
}

fn open_null() -> io::Result<OwnedFd> {
    sys::out_of_the_way(File::open("/dev/null")?.into())
}

/// Where the command may be, in order: as it is when it has a slash, else in each directory of its path.
fn candidates(request: &Request) -> Result<Vec<CString>, HostError> {
    let command = match request.argv.first() {
        Some(command) if !command.is_empty() => Path::new(command),
        _ => {
            return Err(HostError::new(
                Kind::CommandNotFound,
                "no command was given",
            ))
        }
    };
    if command.as_os_str().as_bytes().contains(&b'/') {
        return texts(std::iter::once(command.as_os_str()));
    }
    let path = request.env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
    let paths: Vec<PathBuf> = path
        .as_bytes()
        .split(|byte| *byte == b':')
        // A nameless directory would be the working one, where a workload's data lies.
        .filter(|directory| !directory.is_empty())
        .map(|directory| Path::new(OsStr::from_bytes(directory)).join(command))
        .collect();
    texts(paths.iter().map(|path| path.as_os_str()))
}

fn texts<'a>(words: impl Iterator<Item = &'a OsStr>) -> Result<Vec<CString>, HostError> {
    words
        .map(|word| {
            CString::new(word.as_bytes())
                .map_err(|_| HostError::new(Kind::SpawnFailed, "an argument contains a zero byte"))
        })
        .collect()
}

fn environment(variables: &[(OsString, OsString)]) -> Result<Vec<CString>, HostError> {
    variables
        .iter()
        .map(|(name, value)| {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(HostError::new(
                    Kind::SpawnFailed,
                    "the name of a variable is empty or contains =",
                ));
            }
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
                .map_err(|_| HostError::new(Kind::SpawnFailed, "a variable contains a zero byte"))
        })
        .collect()
}
