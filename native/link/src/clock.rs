//! Time as the engine counts it: the boot clock, which runs through suspend and never jumps (C10).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{
    clock_gettime, timerfd_create, timerfd_settime, ClockId, Itimerspec, TimerfdClockId,
    TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use swarmlet_core::lease::Millis;

/// Returns milliseconds since boot, suspend included.
pub fn boot_ms() -> Millis {
    boot_us() / 1000
}

/// Returns microseconds since boot, suspend included.
pub fn boot_us() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000 + nanos / 1000
}

/// Returns this machine's wall clock in Unix milliseconds.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// A descriptor that becomes readable at a time of the boot clock; after a suspend too, when the usual poll
/// timeouts would sleep on.
pub struct Alarm {
    fd: OwnedFd,
    armed: Option<Millis>,
}

impl Alarm {
    /// Makes an alarm that is not set.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Boottime, flags)?;
        Ok(Self { fd, armed: None })
    }

    /// Returns the descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sets the alarm to go off at `at`, unless it does so earlier anyway.
    pub fn arm(&mut self, at: Option<Millis>) -> io::Result<()> {
        let Some(at) = at else { return Ok(()) };
        if self.armed.is_some_and(|armed| armed <= at) {
            return Ok(());
        }
        // A zero would disarm the timer instead of firing at once.
        let at_least_one = at.max(1);
        let value = Timespec {
            tv_sec: i64::try_from(at_least_one / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at_least_one % 1000 * 1_000_000).unwrap_or(0) as _,
        };
        let interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: interval,
            it_value: value,
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &spec)?;
        self.armed = Some(at);
        Ok(())
    }

    /// Takes notice that the alarm went off.
    pub fn acknowledge(&mut self) {
        let mut expirations = [0u8; 8];
        // Nothing to read means that it was set anew meanwhile: it will go off again.
        if rustix::io::read(&self.fd, &mut expirations).is_ok() {
            self.armed = None;
        }
    }
}
