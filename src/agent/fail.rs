//! Numbered failpoints: in debug builds, and only where a test asks for it, the agent kills itself at the n-th of them (failure F1).

#[cfg(debug_assertions)]
mod armed {
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::string::String;

    /// The variable that arms one: the number of passes after which the agent dies.
    const VARIABLE: &str = "PODLING_FAIL_AT";
    static PASSED: AtomicU32 = AtomicU32::new(0);

    pub(in crate::agent) fn point(name: &str) {
        let wanted = std::env::var(VARIABLE).ok().and_then(|n: String| n.parse::<u32>().ok());
        if wanted == Some(PASSED.fetch_add(1, Ordering::Relaxed) + 1) {
            log::info!("failpoint {name}");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

#[cfg(debug_assertions)]
pub(super) use armed::point;

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) fn point(_name: &str) {}
