//! The one clock of the machines, and the wall clock for what is to happen at a date. Agent, pod-init and init read the same one: a pod-init's records outlive its agent.

use crate::manifest::time::Instant;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

/// Milliseconds since the board booted, suspension included (spec 103).
pub fn now() -> Instant {
    let now = clock_gettime(ClockId::Boottime);
    Instant((now.tv_sec as u64).saturating_mul(1000).saturating_add(now.tv_nsec as u64 / 1_000_000))
}

/// Seconds since 1970 by the board's wall clock, whatever that is worth.
pub fn wall() -> u64 {
    u64::try_from(clock_gettime(ClockId::Realtime).tv_sec).unwrap_or(0)
}

/// Wakes at a moment of the wall clock, and whenever that clock is set.
pub struct Alarm(OwnedFd);

impl Alarm {
    /// An alarm that is not set. Errors are the kernel's.
    pub fn new() -> rustix::io::Result<Alarm> {
        timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK).map(Alarm)
    }

    /// Sets it to `at`, in seconds since 1970; without one only a change of the clock wakes. The descriptor is readable then.
    pub fn set(&self, at: Option<u64>) -> rustix::io::Result<()> {
        /// A moment that never comes, and that every kernel can count to.
        const NEVER: i64 = 1 << 33;
        let value = Timespec { tv_sec: at.and_then(|at| i64::try_from(at).ok()).unwrap_or(NEVER), tv_nsec: 0 };
        let timer = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        match timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &timer) {
            // The clock was set since it was last looked at; the alarm is set all the same.
            Ok(_) | Err(Errno::CANCELED) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    #[test]
    fn an_alarm_wakes_at_its_time_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let ready = |seconds: i64| {
            let wait = Timespec { tv_sec: seconds, tv_nsec: 0 };
            poll(&mut [PollFd::new(&alarm, PollFlags::IN)], Some(&wait)).unwrap()
        };
        alarm.set(None).unwrap();
        assert_eq!(ready(0), 0);
        let at = wall() + 1;
        alarm.set(Some(at)).unwrap();
        assert_eq!((ready(20), wall() >= at), (1, true));
        alarm.set(None).unwrap();
        assert_eq!(ready(0), 0, "set anew, it is quiet again");
    }
}
