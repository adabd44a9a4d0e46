//! `get pods`, `get events`, `top pods`.

use super::{Done, Failure, Io, each, in_scope, tell_missing};
use crate::agent::Usage;
use crate::agent::events::Event;
use crate::console::board::{Board, Seen};
use crate::console::clock::Age;
use crate::console::emit::Format;
use crate::console::grammar::{GetPods, Output, Scope};
use crate::console::object::{self, Listing, Options};
use crate::console::table::Table;
use crate::manifest::status::Uid;
use crate::manifest::time::{Duration, Instant};
use std::format;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::prelude::v1::*;
use std::string::ToString;

fn nothing(scope: &Scope) -> String {
    match scope {
        Scope::All => String::from("No resources found\n"),
        Scope::Namespace(namespace) => format!("No resources found in {namespace} namespace.\n"),
    }
}

pub(super) async fn pods(board: &dyn Board, get: &GetPods, io: &Io) -> Done {
    match get.output {
        Output::Table | Output::Wide => table(board, get, io).await,
        Output::Name => {
            let mut text = String::new();
            let missing = each(board, &get.scope, &get.names, &mut |seen| {
                text.push_str("pod/");
                text.push_str(seen.pod.name);
                text.push('\n');
            });
            io.out(&text).await;
            Ok(tell_missing(&missing, io).await)
        }
        Output::Yaml => objects(board, get, Format::Yaml, io).await,
        Output::Json => objects(board, get, Format::Json, io).await,
    }
}

/// One object where one was named, else a list of them.
async fn objects(board: &dyn Board, get: &GetPods, format: Format, io: &Io) -> Done {
    let mut text = String::new();
    let mut written = Ok(());
    let missing = if get.names.len() == 1 {
        each(board, &get.scope, &get.names, &mut |seen| {
            written = object::pod(seen.pod, Some(&seen.status), format, Options::default(), &mut text);
        })
    } else {
        let mut listing = Listing::new(format, Options::default(), &mut text);
        written = listing.begin();
        let missing = each(board, &get.scope, &get.names, &mut |seen| {
            written = written.and_then(|()| listing.pod(seen.pod, Some(&seen.status)));
        });
        written = written.and_then(|()| listing.finish());
        missing
    };
    written.map_err(|_| Failure(String::from("error: a pod is nested too deep to be shown")))?;
    io.out(&text).await;
    Ok(tell_missing(&missing, io).await)
}

/// The columns of a pod, and what of them counts as a change.
struct Row {
    uid: Uid,
    cells: Vec<String>,
    news: (String, String, u32),
}

fn row(seen: &Seen<'_>, all: bool, wide: bool) -> Row {
    let (status, now) = (&seen.status, seen.status.scene.now);
    let summary = status.summary();
    let ready = format!("{}/{}", summary.ready, summary.total);
    let restarts = match summary.last_restart {
        Some(last) if summary.restarts > 0 => format!("{} ({} ago)", summary.restarts, Age(now.since(last))),
        _ => summary.restarts.to_string(),
    };
    let mut cells = Vec::new();
    if all {
        cells.push(seen.pod.namespace.into());
    }
    cells.extend([
        seen.pod.name.into(),
        ready.clone(),
        summary.status.as_str().into(),
        restarts,
        Age(now.since(status.created)).to_string(),
    ]);
    if wide {
        let ip = status.ip.map_or_else(|| "<none>".into(), |ip| Ipv4Addr::from(ip).to_string());
        let held = status.gates.iter().filter(|gate| gate.holds()).count();
        let gates = match status.gates.len() {
            0 => "<none>".into(),
            all => format!("{held}/{all}"),
        };
        cells.extend([ip, status.scene.node.into(), gates]);
    }
    Row { uid: status.uid, cells, news: (ready, summary.status.as_str().into(), summary.restarts) }
}

fn headings(all: bool, wide: bool) -> Vec<&'static str> {
    let mut headings = if all { Vec::from(["NAMESPACE"]) } else { Vec::new() };
    headings.extend(["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    if wide {
        headings.extend(["IP", "NODE", "READINESS GATES"]);
    }
    headings
}

async fn table(board: &dyn Board, get: &GetPods, io: &Io) -> Done {
    let (all, wide) = (get.scope == Scope::All, get.output == Output::Wide);
    let mut table = Table::new(&headings(all, wide));
    let mut known: Vec<(Uid, (String, String, u32))> = Vec::new();
    let mut generation = board.generation();
    let mut first = true;
    loop {
        let mut rows = Vec::new();
        let missing = each(board, &get.scope, &get.names, &mut |seen| rows.push(row(seen, all, wide)));
        rows.retain(|row| !known.contains(&(row.uid, row.news.clone())));
        known.retain(|(uid, _)| board.is_there(*uid) && !rows.iter().any(|row| row.uid == *uid));
        if first && rows.is_empty() && missing.is_empty() {
            io.err(&nothing(&get.scope)).await;
        }
        let news = !rows.is_empty();
        for row in rows {
            known.push((row.uid, row.news));
            table.row(row.cells);
        }
        if news {
            let mut text = String::new();
            table.print(&mut text);
            io.out(&text).await;
            table = table.continued();
        }
        if first {
            let code = tell_missing(&missing, io).await;
            if code != 0 || !get.watch {
                return Ok(code);
            }
        }
        first = false;
        generation = board.changed(generation).await;
    }
}

/// What an event is about: `pod/web`, `job/pi`; the node's have no namespace and are shown with those of `default`.
fn object(event: &Event) -> String {
    if event.object.contains('/') {
        return event.object.clone().into();
    }
    format!("{}/{}", if event.namespace.is_empty() { "node" } else { "pod" }, event.object)
}

fn namespace(event: &Event) -> &str {
    if event.namespace.is_empty() { "default" } else { &event.namespace }
}

pub(super) async fn events(board: &dyn Board, scope: &Scope, watch: bool, io: &Io) -> Done {
    let all = *scope == Scope::All;
    let mut headings = if all { Vec::from(["NAMESPACE"]) } else { Vec::new() };
    headings.extend(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    let mut table = Table::new(&headings);
    let mut known: Vec<u64> = Vec::new();
    let mut generation = board.generation();
    let mut first = true;
    loop {
        let (now, mut news, mut marks) = (board.now(), false, Vec::new());
        board.events(&mut |event| {
            if !in_scope(scope, namespace(event)) {
                return;
            }
            let mark = mark(event);
            marks.push(mark);
            if !known.contains(&mark) {
                news = true;
                table.row(event_cells(event, all, now));
            }
        });
        known = marks;
        if news {
            let mut text = String::new();
            match io.width {
                Some(width) => table.print_within(width, &mut text),
                None => table.print(&mut text),
            }
            io.out(&text).await;
            table = table.continued();
        } else if first {
            io.err(&nothing(scope)).await;
        }
        if !watch {
            return Ok(0);
        }
        first = false;
        generation = board.changed(generation).await;
    }
}

/// Tells an event, and each repetition of it, from all others.
fn mark(event: &Event) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event.last.0, event.count, event.reason, &*event.object, &*event.container, event.message.as_str())
        .hash(&mut hasher);
    hasher.finish()
}

fn event_cells(event: &Event, all: bool, now: Instant) -> Vec<String> {
    let mut cells = Vec::new();
    if all {
        cells.push(namespace(event).into());
    }
    cells.extend([
        Age(now.since(event.last)).to_string(),
        if event.warning { "Warning".into() } else { "Normal".into() },
        event.reason.into(),
        object(event),
        event.message.as_str().into(),
    ]);
    cells
}

/// How long `top` looks, to see a rate.
const LOOK: Duration = Duration::from_millis(500);

/// A pod's usage at the beginning of that time.
struct First {
    uid: Uid,
    namespace: String,
    name: String,
    usage: Usage,
}

pub(super) async fn top(board: &dyn Board, scope: &Scope, names: &[String], io: &Io) -> Done {
    let all = *scope == Scope::All;
    let mut before = Vec::new();
    let missing = each(board, scope, names, &mut |seen| {
        let (namespace, name) = (seen.pod.namespace.into(), seen.pod.name.into());
        before.push(First { uid: seen.status.uid, namespace, name, usage: (seen.usage)() });
    });
    if before.is_empty() && missing.is_empty() {
        io.err(&nothing(scope)).await;
        return Ok(0);
    }
    let start = board.now();
    smol::Timer::after(std::time::Duration::from_millis(LOOK.0)).await;
    let elapsed = board.now().since(start).0.max(1);
    let mut headings = if all { Vec::from(["NAMESPACE"]) } else { Vec::new() };
    headings.extend(["NAME", "CPU(cores)", "MEMORY(bytes)"]);
    let mut table = Table::new(&headings);
    board.pods(&mut |seen| {
        let Some(first) = before.iter().find(|first| first.uid == seen.status.uid) else { return };
        let mut cells = if all { Vec::from([first.namespace.clone()]) } else { Vec::new() };
        cells.push(first.name.clone());
        cells.extend(usage_cells(first.usage, (seen.usage)(), elapsed));
        table.row(cells);
    });
    let mut text = String::new();
    table.print(&mut text);
    io.out(&text).await;
    Ok(tell_missing(&missing, io).await)
}

/// Thousandths of a processor, and mebibytes, as kubectl shows both.
fn usage_cells(first: Usage, second: Usage, elapsed_ms: u64) -> [String; 2] {
    let unknown = || String::from("<unknown>");
    let milli = match (first.cpu_us, second.cpu_us) {
        (Some(a), Some(b)) => Some(b.saturating_sub(a) / elapsed_ms),
        _ => None,
    };
    let cpu = milli.map_or_else(unknown, |milli| format!("{milli}m"));
    [cpu, second.memory.map_or_else(unknown, |bytes| format!("{}Mi", bytes >> 20))]
}
