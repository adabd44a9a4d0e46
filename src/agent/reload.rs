//! A new manifest is taken up by an agent that starts anew: it reads the manifest again, refuses a bad one and goes on with the old,
//! else it ends without its pods, executes itself, and adopts them ([`super::adopt`]).

use super::begin;
use super::drive::{Agent, Shutdown};
use super::verbs::Refusal;
use crate::sys::raw;
use std::ffi::{CString, OsString};
use std::fmt;
use std::format;
use std::os::unix::ffi::OsStringExt;
use std::prelude::v1::*;
use std::sync::Arc;

/// Where the manifest comes from, as its file is read.
#[derive(Clone)]
pub struct Source(pub Arc<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// What came of reading the manifest again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It is the one in force: nothing happens.
    Unchanged,
    /// It is another one, and good: this agent ends, and the next one takes it up.
    TakenUp,
}

impl Agent {
    /// Reads the manifest again, as SIGHUP asks for.
    ///
    /// # Errors
    /// It cannot be read, or cannot be used here; the one in force stays in force.
    pub fn reload(&self) -> Result<Reload, Refusal> {
        let read = || -> Result<Vec<u8>, String> {
            let source =
                self.config().source.as_ref().ok_or("this agent was given its manifest, and knows no place of it")?;
            let bytes = (source.0)()?;
            begin::check_file(&bytes, self.config().class.as_deref())?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) if bytes == self.manifest_file() => Ok(Reload::Unchanged),
            Ok(_) => {
                self.end(Shutdown::Again);
                Ok(Reload::TakenUp)
            }
            Err(why) => {
                let (now, node) = (self.now(), self.node().name.clone());
                self.events_mut().add_node(now, &node, true, "FailedReload", &format!("{why}; the one in force stays"));
                Err(Refusal::Failed(why.into()))
            }
        }
    }

    /// The same for a signal, whose sender hears nothing: the log tells.
    pub(super) fn reload_by_signal(&self) {
        match self.reload() {
            Ok(Reload::Unchanged) => log::info!("told to read the manifest again: it is the one in force"),
            Ok(Reload::TakenUp) => log::info!("told to read the manifest again: it is a new one, and is taken up"),
            Err(why) => log::error!("told to read the manifest again: {why}; the one in force stays"),
        }
    }
}

/// Executes this program anew, with the same arguments, after an agent has ended for that. Returns only where that fails.
pub fn execute_again() -> Box<str> {
    let strings = |words: Vec<OsString>| -> Vec<CString> {
        words.into_iter().filter_map(|word| CString::new(word.into_vec()).ok()).collect()
    };
    let variable = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name
    };
    let (argv, env) = (strings(std::env::args_os().collect()), strings(std::env::vars_os().map(variable).collect()));
    let errno = raw::execve(c"/proc/self/exe", &argv, &env);
    format!("execute /proc/self/exe again: {errno}").into()
}
