//! The huge pages of this machine: what it has, and how it gets some.

use super::Error;
use super::error::Attempt;
use crate::manifest::huge::{HugePages, PageSize};
use rustix::io::Errno;
use std::format;
use std::fs;
use std::string::String;

/// The file with the number of pages of a size.
fn file(size: PageSize) -> String {
    format!("/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages", size.bytes() >> 10)
}

fn count(size: PageSize) -> u32 {
    fs::read_to_string(file(size)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

/// All that there are, those in use among them.
pub fn there() -> HugePages {
    PageSize::ALL.into_iter().fold(HugePages::NONE, |all, size| all.with(size, count(size)))
}

/// Has the kernel set so many pages aside: early, while memory still lies together.
///
/// # Errors
/// It has no pages of this size, or found memory for fewer: those it keeps.
pub fn reserve(size: PageSize, pages: u32) -> Result<(), Error> {
    let subject = || format!("{pages} pages of {}", size.quantity());
    let written = fs::write(file(size), format!("{pages}"));
    written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)).attempt("set aside", &subject())?;
    match count(size) {
        there if there >= pages => Ok(()),
        there => Err(Error::new("set aside", format!("{} (there is room for {there})", subject()), Errno::NOMEM)),
    }
}
