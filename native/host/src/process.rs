//! A running workload process: how it is watched, signalled and reaped.

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::cgroup::Group;
use crate::registry;
use crate::session;
use crate::starter::{self, Remains};
use crate::sys::{self, Ended, Wait};

/// How each protection was put on a process, by the field names of the node's profile.
pub type Applied = [(&'static str, &'static str); 6];

/// A spawned process, leader of its own session. Only this waits for it.
///
/// When it ends, whatever it left in its session or control group is killed, before it is reaped and its number
/// can mean another process. Dropped while it runs, all of it is killed, and reaped by a thread of this crate.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    exit: OwnedFd,
    output: Mutex<[Output; 2]>,
    applied: Applied,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Output {
    Ours(OwnedFd),
    Handed(RawFd),
}

#[derive(Debug)]
struct State {
    ended: Option<Ending>,
    out_of_memory: Option<bool>,
    group: Option<Group>,
}

/// How a process ended, as far as anyone can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// As the kernel says.
    Known(Ended),
    /// Something else in this process waited for it.
    Lost,
}

impl Process {
    pub(crate) fn new(
        pid: i32,
        [stdout, stderr]: [OwnedFd; 2],
        applied: Applied,
        group: Option<Group>,
    ) -> io::Result<Self> {
        match watch(pid) {
            Ok(exit) => Ok(Self {
                pid,
                exit,
                output: Mutex::new([Output::Ours(stdout), Output::Ours(stderr)]),
                applied,
                state: Mutex::new(State {
                    ended: None,
                    out_of_memory: None,
                    group,
                }),
            }),
            Err(cause) => {
                let pid = Some(pid);
                starter::tidy(Remains { pid, group });
                Err(cause)
            }
        }
    }

    /// Its process number, which is also that of its session.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A descriptor that is readable once the process ended. It stays ours.
    pub fn exit_fd(&self) -> RawFd {
        self.exit.as_raw_fd()
    }

    /// Hands over the read end of its standard output; the caller closes it.
    pub fn stdout_fd(&self) -> RawFd {
        self.hand_over(0)
    }

    /// Hands over the read end of its standard error; the caller closes it.
    pub fn stderr_fd(&self) -> RawFd {
        self.hand_over(1)
    }

    fn hand_over(&self, stream: usize) -> RawFd {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = output.get_mut(stream) else {
            return -1;
        };
        let handed = match std::mem::replace(slot, Output::Handed(-1)) {
            Output::Ours(descriptor) => descriptor.into_raw_fd(),
            Output::Handed(descriptor) => descriptor,
        };
        *slot = Output::Handed(handed);
        handed
    }

    /// What was really enforced on it.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Returns `None` while it runs, else how it ended.
    pub fn poll(&self) -> Option<Ending> {
        let mut state = self.state();
        if state.ended.is_none() {
            match sys::wait(self.pid, Wait::Peek) {
                Ok(None) => {}
                Ok(Some(ended)) => self.bury(&mut state, Ending::Known(ended)),
                Err(_) => self.bury(&mut state, Ending::Lost),
            }
        }
        state.ended
    }

    /// Whether something of it was killed for want of memory; `None` when nobody can tell, or while it runs.
    pub fn out_of_memory(&self) -> Option<bool> {
        self.state().out_of_memory
    }

    /// Signals all of it; false when it is gone.
    pub fn signal(&self, number: i32) -> bool {
        let state = self.state();
        if state.ended.is_some() || !matches!(sys::wait(self.pid, Wait::Peek), Ok(None)) {
            return false;
        }
        if number == libc::SIGKILL {
            session::kill(self.pid, state.group.as_ref());
        } else {
            session::signal(self.pid, state.group.as_ref(), number);
        }
        true
    }

    /// Kills what the leader left, and only then reaps it: until then its number can be nobody else's.
    fn bury(&self, state: &mut State, ending: Ending) {
        if ending != Ending::Lost {
            session::kill(self.pid, state.group.as_ref());
            let _ = sys::wait(self.pid, Wait::Reap);
        }
        registry::owned().remove(&self.pid);
        state.out_of_memory = state.group.as_ref().and_then(Group::out_of_memory);
        state.ended = Some(ending);
        let group = state.group.take();
        starter::tidy(Remains { pid: None, group });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.poll().is_none() {
            let group = self.state().group.take();
            let pid = Some(self.pid);
            starter::tidy(Remains { pid, group });
        }
    }
}

/// A descriptor that becomes readable when `pid` ends, without reaping it.
fn watch(pid: i32) -> io::Result<OwnedFd> {
    sys::pidfd_open(pid).or_else(|_| watch_by_thread(pid))
}

/// For kernels before 5.3: a thread that sleeps until the process ends, and then rings.
pub(crate) fn watch_by_thread(pid: i32) -> io::Result<OwnedFd> {
    let bell = sys::eventfd()?;
    let ringing = bell.try_clone()?;
    thread::Builder::new()
        .name("swarmlet-watch".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || {
            sys::block_signals();
            let _ = sys::wait(pid, Wait::Sleep);
            sys::eventfd_ring(&ringing);
        })?;
    Ok(bell)
}
