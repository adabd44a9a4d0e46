//! The one error of this floor: what was attempted, on what, and what the kernel said.

use rustix::io::Errno;
use std::boxed::Box;
use std::fmt;
use std::string::{String, ToString};

/// Something the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was attempted: `mount`, `open`.
    pub what: &'static str,
    /// On what: a path, a file system.
    pub subject: Box<str>,
    /// What the kernel said.
    pub errno: Errno,
}

impl Error {
    /// The error of attempting `what` on `subject`.
    pub fn new(what: &'static str, subject: impl Into<Box<str>>, errno: Errno) -> Error {
        Error { what, subject: subject.into(), errno }
    }
}

/// The words for an errno, without its number.
pub fn text(errno: i32) -> String {
    let full = std::io::Error::from_raw_os_error(errno).to_string();
    full.split(" (os error").next().unwrap_or_default().into()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.what, self.subject, text(self.errno.raw_os_error()))?;
        if self.what == "mount" && self.errno == Errno::NODEV {
            let kind = self.subject.split(' ').next().unwrap_or_default();
            write!(f, " (is {kind} built into this kernel?)")?;
        }
        Ok(())
    }
}

impl core::error::Error for Error {}

/// Names the attempt and its subject where a call fails.
pub trait Attempt<T> {
    /// This result, its error told with what was attempted and on what.
    fn attempt(self, what: &'static str, subject: &str) -> Result<T, Error>;
}

impl<T> Attempt<T> for rustix::io::Result<T> {
    fn attempt(self, what: &'static str, subject: &str) -> Result<T, Error> {
        self.map_err(|errno| Error::new(what, subject, errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_on_what_and_why() {
        let missing = Error::new("mount", "squashfs on /images/a", Errno::NODEV);
        assert_eq!(
            missing.to_string(),
            "mount squashfs on /images/a: No such device (is squashfs built into this kernel?)"
        );
        assert_eq!(Error::new("open", "/x", Errno::NOENT).to_string(), "open /x: No such file or directory");
    }
}
