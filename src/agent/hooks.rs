//! The hooks of a container's life: what runs after its start and before its end.

use super::connect::Place;
use super::drive::{Agent, Entry};
use super::effect::{self, Ended, Streams};
use super::{fail, http};
use crate::machine::effect::Event;
use crate::manifest::pod::Hook;
use crate::manifest::probe::HttpGet;
use crate::manifest::status::message;
use crate::sys::spawn;
use std::format;
use std::prelude::v1::*;
use std::time::Duration;

/// How long a hook waits for an HTTP answer.
const HTTP_PATIENCE: Duration = Duration::from_secs(60);

/// Which hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// `lifecycle.postStart`.
    PostStart,
    /// `lifecycle.preStop`.
    PreStop,
}

/// A hook on its way.
enum Work {
    Nothing,
    Failed(String),
    Sleep(Duration),
    Program(Ended),
    Ask(Place, HttpGet<'static>),
}

/// Runs a hook, and tells its end.
pub(super) fn run(agent: &Agent, entry: &Entry, container: u8, instance: u32, which: Which) {
    let (uid, told) = (entry.uid(), agent.clone());
    let it = entry.manifest().containers.get(container.into()).unwrap_or_default();
    let (name, hook) = match which {
        Which::PostStart => ("PostStartHook", it.post_start),
        Which::PreStop => ("PreStopHook", it.pre_stop),
    };
    let work = match hook {
        None => Work::Nothing,
        Some(Hook::Sleep(seconds)) => Work::Sleep(Duration::from_secs(seconds.into())),
        Some(Hook::HttpGet(get)) => Work::Ask(Place::of(entry, get.host, get.port), get),
        Some(Hook::Exec(argv)) => {
            let nulls = || Ok([spawn::null()?, spawn::null()?, spawn::null()?]);
            match nulls().and_then(|stdio| effect::exec(agent, entry, container, argv, Streams::Files(stdio))) {
                Ok(begun) => Work::Program(begun.ended),
                Err(why) => Work::Failed(format!("{why}")),
            }
        }
    };
    agent.spawn(async move {
        let failure = finish(work).await.err().map(|why| message(&format!("{name} failed: {why}")));
        told.tell(
            uid,
            match which {
                Which::PostStart => Event::PostStartEnded { container, instance, failure },
                Which::PreStop => Event::PreStopEnded { container, instance, failure },
            },
        );
    });
    fail::point("hook begun");
}

/// Waits for a hook's end; `Err` says how it failed.
async fn finish(work: Work) -> Result<(), String> {
    match work {
        Work::Nothing => Ok(()),
        Work::Failed(why) => Err(why),
        Work::Sleep(span) => {
            smol::Timer::after(span).await;
            Ok(())
        }
        Work::Program(ended) => match ended.recv().await {
            Ok(Ok(exit)) if exit.success() => Ok(()),
            Ok(Ok(exit)) => Err(format!("exit code {}", exit.code)),
            Ok(Err(failure)) => Err(format!("{failure}")),
            // The sandbox is gone, and the hook with it.
            Err(_) => Ok(()),
        },
        Work::Ask(place, get) => {
            // As with kubelet, any answer will do; unlike it, this does not wait for ever.
            let late = async {
                smol::Timer::after(HTTP_PATIENCE).await;
                Err(String::from("no answer within a minute"))
            };
            smol::future::or(http::get(&place, &get), late).await.map(drop)
        }
    }
}
