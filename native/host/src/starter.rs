//! The one thread that forks, and that tidies up after workloads nobody waits for.
//!
//! A parent-death signal comes when the *thread* that forked ends. So all forks are made by this thread, which
//! lives as long as the process. It blocks all signals: they are for the threads of the interpreter.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::cgroup::Group;
use crate::child::{self, Failed, Plan};
use crate::registry;
use crate::session;
use crate::sys::{self, Wait};

/// How often what could not be removed is tried again.
const RETRY: Duration = Duration::from_millis(10);
const STACK: usize = 256 * 1024;

enum Job {
    Start(Box<Plan>, Sender<Result<i32, Failed>>),
    Tidy(Remains),
}

/// The thread's inbox and the process it belongs to: a copy made by fork has no such thread.
static STARTER: Mutex<Option<(u32, Sender<Job>)>> = Mutex::new(None);

/// Starts a plan and returns the number of the child, which is then owned.
pub(crate) fn start(plan: Plan) -> Result<i32, Failed> {
    let gone = || Failed::Fork(io::ErrorKind::BrokenPipe.into());
    let (answer, answered) = mpsc::channel();
    inbox()
        .map_err(Failed::Fork)?
        .send(Job::Start(Box::new(plan), answer))
        .map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

/// Reaps and removes what remains of a workload: at once where that is possible, else in the thread.
pub(crate) fn tidy(mut remains: Remains) {
    if !remains.tidy() {
        if let Ok(inbox) = inbox() {
            let _ = inbox.send(Job::Tidy(remains));
        }
    }
}

fn inbox() -> io::Result<Sender<Job>> {
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::process::id();
    if let Some((process, inbox)) = starter.as_ref() {
        if *process == here {
            return Ok(inbox.clone());
        }
    }
    let (inbox, jobs) = mpsc::channel();
    thread::Builder::new()
        .name("swarmlet-starter".to_owned())
        .stack_size(STACK)
        .spawn(move || work(&jobs))?;
    *starter = Some((here, inbox.clone()));
    Ok(inbox)
}

fn work(jobs: &Receiver<Job>) {
    sys::block_signals();
    let mut remains: Vec<Remains> = Vec::new();
    loop {
        let next = if remains.is_empty() {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(RETRY)
        };
        match next {
            Ok(Job::Start(plan, answer)) => {
                let mut owned = registry::owned();
                let started = child::start(&plan);
                if let Ok(pid) = started {
                    owned.insert(pid);
                }
                drop(owned);
                let _ = answer.send(started);
            }
            Ok(Job::Tidy(more)) => remains.push(more),
            Err(RecvTimeoutError::Timeout) => {}
            // The inbox is static and never dropped; ending would kill every workload.
            Err(RecvTimeoutError::Disconnected) => thread::park(),
        }
        remains.retain_mut(|left| !left.tidy());
    }
}

/// What is left of a workload: a child to reap, a group to remove.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    pub(crate) pid: Option<i32>,
    pub(crate) group: Option<Group>,
}

impl Remains {
    /// Does what can be done now; true when nothing is left.
    fn tidy(&mut self) -> bool {
        if let Some(pid) = self.pid {
            session::kill(pid, self.group.as_ref());
            // Whoever took its ending, it is gone.
            if !matches!(sys::wait(pid, Wait::Reap), Ok(None)) {
                registry::owned().remove(&pid);
                self.pid = None;
            }
        }
        if self.pid.is_none() && self.group.as_mut().is_none_or(Group::remove) {
            self.group = None;
        }
        self.pid.is_none() && self.group.is_none()
    }
}
