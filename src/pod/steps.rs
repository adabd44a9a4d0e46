//! The steps on the way to a running container, by name, and the walk over them.

use super::wire::{Failure, Step};
use crate::manifest::status::message;
use crate::sys;
use core::fmt;
use rustix::io::Errno;
use std::string::String;

/// Every step with the words for it in "VERB failed on SUBJECT".
const WORDS: [(Step, &str); 13] = [
    (Step::Order, "understanding the order"),
    (Step::Clone, "making the process"),
    (Step::Cgroup, "joining the cgroups"),
    (Step::Namespace, "entering the namespaces"),
    (Step::Root, "making the root file system"),
    (Step::SystemMounts, "mounting the system's file systems"),
    (Step::Mount, "mounting"),
    (Step::Pivot, "changing to the new root"),
    (Step::Names, "setting the host name and loopback"),
    (Step::WorkingDirectory, "entering the working directory"),
    (Step::Credentials, "taking on the user and capabilities"),
    (Step::Exec, "executing"),
    (Step::Attach, "attaching to"),
];

impl Step {
    /// What was being done.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(step, _)| *step == self).map_or("", |(_, words)| words)
    }
}

impl Failure {
    /// A step that failed on `subject`; 0 where the kernel was not asked.
    pub fn new(step: Step, errno: i32, subject: &str) -> Failure {
        Failure { step, errno, subject: message(subject) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.step.as_str(), self.subject)?;
        match self.errno {
            0 => Ok(()),
            libc::ENODEV if self.step == Step::Root => {
                write!(f, ": {} (is it built into this kernel?)", sys::error::text(self.errno))
            }
            errno => write!(f, ": {}", sys::error::text(errno)),
        }
    }
}

/// What went wrong inside a step.
#[derive(Debug)]
pub struct Broken {
    /// errno, or 0 where the kernel was not asked.
    pub errno: i32,
    /// On what.
    pub subject: String,
}

impl From<sys::Error> for Broken {
    fn from(error: sys::Error) -> Broken {
        Broken { errno: error.errno.raw_os_error(), subject: error.subject.into() }
    }
}

/// Names the subject where a call of a step fails.
pub trait On<T> {
    /// This result, its error told with its subject.
    fn on(self, subject: &str) -> Result<T, Broken>;
}

impl<T> On<T> for rustix::io::Result<T> {
    fn on(self, subject: &str) -> Result<T, Broken> {
        self.map_err(|errno: Errno| Broken { errno: errno.raw_os_error(), subject: subject.into() })
    }
}

/// Takes the steps of a named list up to the first that fails.
pub fn take<S, F: Fn(&mut S) -> Result<(), Broken>>(steps: &[(Step, F)], on: &mut S) -> Result<(), Failure> {
    steps
        .iter()
        .try_for_each(|(step, act)| act(on).map_err(|broken| Failure::new(*step, broken.errno, &broken.subject)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_failure_names_step_subject_and_errno() {
        let failure = Failure::new(Step::Mount, libc::ENOTDIR, "/data");
        assert_eq!(failure.to_string(), "mounting /data: Not a directory");
        let failure = Failure::new(Step::Root, libc::ENODEV, "overlay");
        assert_eq!(
            failure.to_string(),
            "making the root file system overlay: No such device (is it built into this kernel?)"
        );
        assert!(WORDS.iter().all(|(step, words)| step.as_str() == *words && !words.is_empty()));
    }
}
