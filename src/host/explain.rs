//! `podling explain`: what a field is and what a board does with it, from the words of the API and the table of support.

mod api;

use super::diagnostic::alternatives;
use super::read::did_you_mean;
use super::schema::{self, Support};
use super::suggest::nearest;
use anyhow::{Context, bail};
use api::{Field, Type};
use core::fmt::Write as _;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::prelude::v1::*;
use std::{format, vec};

/// The arguments of `podling explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A kind and a way into it, as in pod.spec.containers.livenessProbe
    #[arg(value_name = "PATH", required_unless_present = "support")]
    path: Option<String>,
    /// Show the whole table of what a board honours, accepts with a warning, and refuses
    #[arg(long, conflicts_with = "path")]
    support: bool,
}

impl Args {
    /// Does it.
    pub fn run(self) -> anyhow::Result<()> {
        let text = match self.path {
            Some(path) => explain(&path)?,
            None => support(),
        };
        match io::stdout().write_all(text.as_bytes()) {
            // `podling explain … | head`
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("cannot write to standard output"),
        }
    }
}

/// What becomes of a field, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Honoured,
    /// Honoured with these values, refused with any other.
    Only(&'static [&'static str]),
    /// Accepted with a warning.
    Cluster,
    Refused(&'static str),
}

/// The reason of a refusal for which the words of the API have none.
const NOT_THERE: &str = "podling cannot do it yet";

/// Why a board refuses a field: `None` where it only cannot do it yet. The type is named as in [`schema`].
pub fn reason(of: &str, field: &str) -> Option<&'static str> {
    api::find(of)?.field(field)?.reason
}

impl State {
    /// Of a field of `of`. A type that the compiler does not read shares the fate of the fields that hold it.
    fn of(of: &Type, field: &Field) -> State {
        let refused = || State::Refused(field.reason.unwrap_or(NOT_THERE));
        match schema::tables().find(|table| table.name == of.name) {
            Some(table) => match table.field(field.name).map(|f| f.support) {
                // It is read to be refused, unless it says nothing.
                Some(Support::Read) => field.reason.map_or(State::Honoured, State::Refused),
                Some(Support::Only(values)) => State::Only(values),
                Some(Support::Cluster) => State::Cluster,
                Some(Support::NotYet) | None => refused(),
            },
            None => {
                let holders = api::all().iter().flat_map(|t| t.fields.iter().map(move |f| (t, f)));
                let mut holders = holders.filter(|(t, f)| f.type_name() == of.name && t.name != of.name);
                if holders.all(|(t, f)| State::of(t, f) == State::Cluster) { State::Cluster } else { refused() }
            }
        }
    }

    fn words(&self) -> String {
        match self {
            State::Honoured => "honoured".into(),
            State::Only(values) => format!("honoured: {}; any other value is refused", alternatives(values)),
            State::Cluster => "accepted with a warning: it means nothing on a single board".into(),
            State::Refused(why) => format!("refused: {why}"),
        }
    }
}

/// Names of kinds as kubectl takes them beside the kind itself and its plural.
const SHORT: &[(&str, &str)] = &[
    ("po", "Pod"),
    ("cm", "ConfigMap"),
    ("pvc", "PersistentVolumeClaim"),
    ("pv", "PersistentVolume"),
    ("pc", "PriorityClass"),
    ("limits", "LimitRange"),
    ("deploy", "Deployment"),
    ("rs", "ReplicaSet"),
    ("rc", "ReplicationController"),
    ("ds", "DaemonSet"),
    ("sts", "StatefulSet"),
    ("cj", "CronJob"),
];

fn kind(word: &str) -> anyhow::Result<(&'static str, &'static str)> {
    let lower = word.to_ascii_lowercase();
    let short = SHORT.iter().find(|(short, _)| *short == lower).map_or("", |(_, kind)| kind);
    let is = |name: &str| {
        name == short || name.eq_ignore_ascii_case(&lower) || format!("{name}s").eq_ignore_ascii_case(&lower)
    };
    match schema::KINDS.iter().find(|(name, _)| is(name)) {
        Some(known) => Ok(*known),
        None => {
            let hint = did_you_mean(nearest(word, schema::KINDS.iter().map(|(name, _)| *name)));
            let kinds: Vec<&str> = schema::KINDS.iter().map(|(name, _)| *name).collect();
            bail!("{word:?} is not a kind that a board takes: {} is{hint}", alternatives(&kinds))
        }
    }
}

/// A field or a whole kind, laid out as kubectl does. `path` begins with the kind.
pub fn explain(path: &str) -> anyhow::Result<String> {
    let mut words = path.split('.');
    let (kind, version) = kind(words.next().unwrap_or_default())?;
    let mut here = api::find(kind).with_context(|| format!("nothing is written about {kind}"))?;
    let mut field: Option<(&Type, &Field)> = None;
    let mut name: &str = here.name;
    let mut inner = Some(here);
    for word in words {
        // As kubectl, without the index or key of an element.
        let word = word.split('[').next().unwrap_or_default();
        let Some(of) = inner else { bail!("{name} has no fields that are explained here") };
        let Some(found) = of.field(word) else {
            let hint = did_you_mean(nearest(word, of.fields.iter().map(|f| f.name)));
            bail!("{name} has no field {word:?}{hint}");
        };
        (here, name) = (of, found.name);
        field = Some((of, found));
        inner = api::find(found.type_name());
    }
    let mut out = format!("KIND:       {kind}\nVERSION:    {version}\n\n");
    if let Some((of, field)) = field {
        let _ =
            writeln!(out, "FIELD: {} <{}>{}", field.name, field.kind, if field.required { " -required-" } else { "" });
        if let Some(default) = field.default {
            let _ = writeln!(out, "DEFAULT: {default}");
        }
        let _ = writeln!(out, "STATE: {}\n", State::of(of, field).words());
    }
    out.push_str("DESCRIPTION:\n");
    match field {
        Some((_, field)) => paragraph(&mut out, field.text),
        None => paragraph(&mut out, here.text),
    }
    if let Some(inner) = inner {
        if field.is_some() {
            paragraph(&mut out, inner.text);
        }
        out.push_str("\nFIELDS:\n");
        for field in &inner.fields {
            let required = if field.required { " -required-" } else { "" };
            let _ = writeln!(out, "  {}\t<{}>{required}", field.name, field.kind);
            paragraph(&mut out, field.text);
            match State::of(inner, field) {
                State::Honoured => {}
                state => paragraph(&mut out, &format!("({})", state.words())),
            }
            out.push('\n');
        }
    }
    Ok(out)
}

/// The width of a terminal that everyone has.
const WIDTH: usize = 80;

/// `text`, indented and broken into lines.
fn paragraph(out: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length <= WIDTH {
            out.push(' ');
            column += 1;
        } else {
            out.push_str(if column > 0 { "\n    " } else { "    " });
            column = 4;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}

/// The whole table of support, in Markdown.
pub fn support() -> String {
    let mut out = String::from(
        "# What a board does with each field\n\n\
         `podling explain --support` writes this from the tables that `podling build` goes by. A field that is not here is one\n\
         that Kubernetes does not have, and refused as a mistake.\n\n",
    );
    let states: Vec<State> = api::all().iter().flat_map(|t| t.fields.iter().map(move |f| State::of(t, f))).collect();
    let count = |like: fn(&State) -> bool| states.iter().filter(|s| like(s)).count();
    let _ = writeln!(
        out,
        "{} fields are honoured, {} more with the values that are named, {} are accepted with a warning since they speak to a\n\
         cluster, {} are refused.\n",
        count(|s| *s == State::Honoured),
        count(|s| matches!(s, State::Only(_))),
        count(|s| *s == State::Cluster),
        count(|s| matches!(s, State::Refused(_))),
    );
    kinds(&mut out);
    for of in api::all() {
        let _ =
            writeln!(out, "\n## {}\n\n{}\n\n| field | type | what becomes of it |\n|---|---|---|", of.name, of.text);
        for field in &of.fields {
            let _ = writeln!(out, "| {} | {} | {} |", field.name, field.kind, State::of(of, field).words());
        }
    }
    out
}

fn kinds(out: &mut String) {
    out.push_str("## Kinds\n\n| kind | version | what becomes of it |\n|---|---|---|\n");
    for (kind, version) in schema::KINDS {
        let _ = writeln!(out, "| {kind} | {version} | honoured |");
    }
    for (kind, why) in schema::CLUSTER_KINDS {
        let _ = writeln!(out, "| {kind} | | accepted with a warning: {why} |");
    }
    out.push_str(
        "| of a group that is not Kubernetes' own | | accepted with a warning: nobody on a board acts on it |\n",
    );
    for (kind, why) in schema::OTHER_KINDS {
        let _ = writeln!(out, "| {kind} | | refused: {why} |");
    }
}

/// What does not fit together between the words of the API and the tables that the compiler goes by; empty where all does.
pub fn gaps() -> Vec<String> {
    let mut gaps = vec![];
    for table in schema::tables() {
        let Some(of) = api::find(table.name) else {
            gaps.push(format!("api.txt has no section for {}", table.name));
            continue;
        };
        let known: BTreeSet<&str> = of.fields.iter().map(|f| f.name).collect();
        let read: BTreeSet<&str> = table.fields.iter().map(|f| f.name).collect();
        gaps.extend(read.difference(&known).map(|f| format!("api.txt has no words for {}.{f}", table.name)));
        gaps.extend(known.difference(&read).map(|f| format!("schema.rs has no entry for {}.{f}", table.name)));
    }
    gaps.extend(
        schema::KINDS.iter().filter(|(k, _)| api::find(k).is_none()).map(|(k, _)| format!("no words for the kind {k}")),
    );
    gaps
}
