//! The board's Ethernet: set up at boot where it is there by then, else by the agent once it comes. Nothing waits for it.

use crate::agent::Agent;
use crate::manifest::board::Network;
use crate::manifest::status::message;
use crate::sys::Error;
use crate::sys::netlink::{self, Uevents};
use core::pin::pin;
use core::time::Duration;
use smol::{Async, Timer, future};
use std::format;
use std::string::{String, ToString};

/// How long it may take to come before people are told. A USB network chip takes three seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sets it up if it is there. What was done, or what is yet to be.
pub(super) fn at_boot(network: &Network<'_>) -> Result<String, Error> {
    let name = network.interface;
    match is_there(name)? {
        true => set_up(network),
        false => {
            Ok(format!("loopback only: {name} is not there yet; nothing waits for it, and it is set up when it comes"))
        }
    }
}

/// Has the agent set it up, at once or when it comes, and tell of it when that takes long.
pub fn attend(agent: &Agent, network: Network<'static>) {
    let doer = agent.clone();
    agent.spawn(async move {
        let mut trouble = None;
        let up = take_up(&network, PATIENCE, |missing| {
            trouble = Some(message(missing));
            warn(&doer, missing);
        })
        .await;
        // A trouble that is over is none of the node's any more.
        doer.facts_mut().troubles.retain(|known| Some(known) != trouble.as_ref());
        match up {
            Ok(None) => {}
            Ok(Some(said)) => {
                let node = doer.node().name.clone();
                doer.events_mut().add_node(doer.now(), &node, false, "NetworkReady", &said);
            }
            Err(error) => warn(&doer, &format!("network: {error}")),
        }
    });
}

/// Waits for it to come, and sets it up; with what was done, where that is news. After `patience` it tells what is missing.
///
/// # Errors
/// It cannot be waited for, or the kernel refuses its address or route.
pub async fn take_up(
    network: &Network<'_>,
    patience: Duration,
    late: impl FnOnce(&str),
) -> Result<Option<String>, String> {
    let name = network.interface;
    let words = |error: Error| error.to_string();
    // Before the first look, so that nothing comes in between.
    let uevents = Uevents::listen().map_err(words)?;
    if is_there(name).map_err(words)? {
        // Init has set it up, most likely; that it is done is no news.
        return set_up(network).map(|_| None).map_err(words);
    }
    let uevents = Async::new(uevents).map_err(|error| format!("wait for {name}: {error}"))?;
    let mut comes = pin!(async {
        while !uevents.get_ref().wait_until(Duration::ZERO, || is_there(name).unwrap_or(false)) {
            uevents.readable().await.map_err(|error| format!("wait for {name}: {error}"))?;
        }
        Ok::<(), String>(())
    });
    let in_time = future::or(async { Some(comes.as_mut().await) }, async {
        Timer::after(patience).await;
        None
    });
    match in_time.await {
        Some(came) => came?,
        None => {
            let seconds = patience.as_secs();
            late(&format!(
                "network: {name} has not come up in {seconds} s: is it there, and is its driver in the list of modules?"
            ));
            comes.await?;
        }
    }
    set_up(network).map(Some).map_err(words)
}

fn is_there(interface: &str) -> Result<bool, Error> {
    Ok(netlink::Network::open()?.has(interface))
}

/// Brings it up with its address and the default route; what of it is so already stays.
fn set_up(network: &Network<'_>) -> Result<String, Error> {
    let (name, [a, b, c, d]) = (network.interface, network.address);
    let socket = netlink::Network::open()?;
    socket.up(name)?;
    socket.address(name, network.address, network.prefix)?;
    if let Some(gateway) = network.gateway {
        socket.default_route(name, gateway)?;
    }
    Ok(format!("{name} {a}.{b}.{c}.{d}/{}", network.prefix))
}

/// A trouble of the node, from now on.
fn warn(agent: &Agent, trouble: &str) {
    let node = agent.node().name.clone();
    agent.events_mut().add_node(agent.now(), &node, true, "NodeDegraded", trouble);
    agent.facts_mut().troubles.push(message(trouble));
}
