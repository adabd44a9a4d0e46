//! The hooks of a container's life: what runs after its start and before its end.

use super::drive::{Agent, Entry};
use super::{connect, effect, fail, http};
use crate::machine::effect::Event;
use crate::manifest::pod::Hook;
use crate::manifest::status::{Message, message};
use crate::sys::spawn;
use std::format;
use std::prelude::v1::*;
use std::time::Duration;

/// Runs the preStop hook, and tells its end.
pub(super) fn pre_stop(agent: &Agent, entry: &Entry, container: u8, instance: u32) {
    let hook = entry.manifest().containers.get(container.into()).and_then(|it| it.pre_stop);
    let end = move |failure| Event::PreStopEnded { container, instance, failure };
    run(agent, entry, container, hook, "PreStopHook", end);
    fail::point("preStop begun");
}

/// Runs the postStart hook, and tells its end.
pub(super) fn post_start(agent: &Agent, entry: &Entry, container: u8, instance: u32) {
    let hook = entry.manifest().containers.get(container.into()).and_then(|it| it.post_start);
    let end = move |failure| Event::PostStartEnded { container, instance, failure };
    run(agent, entry, container, hook, "PostStartHook", end);
}

fn run(
    agent: &Agent,
    entry: &Entry,
    container: u8,
    hook: Option<Hook<'static>>,
    name: &'static str,
    event: impl FnOnce(Option<Message>) -> Event + 'static,
) {
    let (uid, told) = (entry.uid(), agent.clone());
    let failed = move |why: &dyn core::fmt::Display| Some(message(&format!("{name} failed: {why}")));
    let end = move |failure: Option<Message>| told.tell(uid, event(failure));
    match hook {
        None => end(None),
        Some(Hook::Sleep(seconds)) => agent.spawn(async move {
            smol::Timer::after(Duration::from_secs(seconds.into())).await;
            end(None);
        }),
        Some(Hook::Exec(argv)) => {
            let nulls = || Ok([spawn::null()?, spawn::null()?, spawn::null()?]);
            match nulls().and_then(|stdio| effect::exec(agent, entry, container, argv, stdio)) {
                Err(why) => end(failed(&why)),
                Ok((_, ended)) => agent.spawn(async move {
                    end(match ended.recv().await {
                        Ok(Ok(exit)) if exit.success() => None,
                        Ok(Ok(exit)) => failed(&format!("exit code {}", exit.code)),
                        Ok(Err(failure)) => failed(&failure),
                        // The sandbox is gone, and the hook with it.
                        Err(_) => None,
                    });
                }),
            }
        }
        Some(Hook::HttpGet(get)) => {
            let place = connect::Place::of(entry, get.host, get.port);
            agent.spawn(async move {
                // As with kubelet, any answer will do; unlike it, this does not wait for ever.
                let asked = async { http::get(&place, &get).await };
                let late = async {
                    smol::Timer::after(HTTP_PATIENCE).await;
                    Err(String::from("no answer within a minute"))
                };
                end(smol::future::or(asked, late).await.err().and_then(|why| failed(&why)));
            });
        }
    }
}

/// How long a hook waits for an HTTP answer.
const HTTP_PATIENCE: Duration = Duration::from_secs(60);
