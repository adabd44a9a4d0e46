//! The house stands as it is drawn: imports go down only, `unsafe` stays in its room, files stay small, the yard stays tidy.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each floor and what it may stand on; the host also on the pure rooms of the console.
const FLOORS: &[(&str, &[&str])] = &[
    ("manifest", &[]),
    ("machine", &["manifest"]),
    ("sys", &["machine", "manifest"]),
    ("pod", &["sys", "machine", "manifest"]),
    ("agent", &["pod", "sys", "machine", "manifest"]),
    ("console", &["agent", "pod", "sys", "machine", "manifest"]),
    ("host", &["machine", "manifest"]),
];

/// What a person finds at the top of the repository.
const YARD: &[&str] = &[
    ".cargo",
    ".ci",
    ".git",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "boards",
    "rust-toolchain.toml",
    "scripts",
    "src",
    "target",
    "tests",
];

/// Lines of the longest file.
const LINES: usize = 500;

struct Source {
    /// Below `src/`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The floor that it is on; `None` for the map and the roofs.
    fn floor(&self) -> Option<&str> {
        let first = self.path.iter().next()?.to_str()?.trim_end_matches(".rs");
        FLOORS.iter().map(|(floor, _)| *floor).find(|floor| *floor == first)
    }

    /// The code of each line, with its number, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or(line)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { path: path.strip_prefix(root().join("src")).unwrap().into(), text });
            }
        }
    }
    assert!(sources.len() > 20, "src/ was not found");
    sources
}

/// The paths below the crate that a piece of code names, `use crate::{a, b::c}` taken apart.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        take_apart("", &code[at + "crate::".len()..], &mut paths);
    }
    paths
}

/// Adds the paths at the head of `code`, each below `prefix`; returns what follows them.
fn take_apart<'a>(prefix: &str, code: &'a str, paths: &mut Vec<String>) -> &'a str {
    let code = code.trim_start();
    if let Some(mut rest) = code.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if rest.is_empty() {
                return rest;
            }
            if let Some(behind) = rest.strip_prefix('}') {
                return behind;
            }
            let behind = take_apart(prefix, rest, paths);
            rest = if behind.len() < rest.len() { behind } else { &rest[1..] };
        }
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(code.len());
    let path = if prefix.is_empty() { code[..end].to_string() } else { format!("{prefix}::{}", &code[..end]) };
    match code[end..].strip_prefix("::") {
        Some(rest) => take_apart(&path, rest, paths),
        None => {
            if end > 0 {
                paths.push(path);
            }
            let rest = code[end..].trim_start();
            match rest.strip_prefix("as ") {
                Some(alias) => alias.trim_start().trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                None => &code[end..],
            }
        }
    }
}

/// The rooms of the console that do no I/O, and so serve the workstation too: those that it has without the feature `agent`.
fn pure_rooms() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("src/console/mod.rs")).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let free = lines
        .windows(2)
        .filter(|pair| !pair[0].starts_with("#[cfg("))
        .filter_map(|pair| pair[1].strip_prefix("pub mod "));
    free.map(|name| name.trim_end_matches(';').to_string()).collect()
}

/// What is wrong with the imports of a file.
fn upward(source: &Source, pure_rooms: &BTreeSet<String>) -> Vec<String> {
    let Some(floor) = source.floor() else {
        return Vec::new();
    };
    let room_of =
        |path: &mut dyn Iterator<Item = &str>| path.nth(1).unwrap_or_default().trim_end_matches(".rs").to_string();
    let is_pure = |room: String| pure_rooms.contains(&room);
    let pure = floor == "console" && is_pure(room_of(&mut source.path.iter().filter_map(|part| part.to_str())));
    let below = if pure { "host" } else { floor };
    let below = FLOORS.iter().find(|(name, _)| *name == below).unwrap().1;
    let allowed = |path: &str| {
        let first = path.split("::").next().unwrap_or_default();
        let to_pure = first == "console" && is_pure(room_of(&mut path.split("::")));
        below.contains(&first) || (first == floor && !pure) || (to_pure && ["console", "host"].contains(&floor))
    };
    let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
    let floors: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    crate_paths(&code)
        .into_iter()
        .filter(|path| floors.contains(path.split("::").next().unwrap_or_default()))
        .filter(|path| !allowed(path))
        .map(|path| format!("src/{}: crate::{path} is not below {floor}", source.path.display()))
        .collect()
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let pure = pure_rooms();
    assert!(pure.contains("grammar") && !pure.contains("session"), "{pure:?}");
    none(sources().iter().flat_map(|source| upward(source, &pure)).collect());
}

/// The reader above finds what it is there to find.
#[test]
fn an_upward_import_is_found() {
    let pure = ["table", "emit", "wire"].map(String::from).into();
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    for (path, text, faults) in [
        ("machine/pod.rs", "use crate::manifest::{pod, limits::{A, B}};", 0),
        ("machine/pod.rs", "use crate::{manifest, sys};", 1),
        ("machine/pod.rs", "use crate::{\n    manifest::pod as p,\n    agent::{a, b},\n};", 2),
        ("manifest/pod.rs", "let x = crate::machine::slot::next(y);", 1),
        ("manifest/pod.rs", "/// [`crate::machine::slot`]", 0),
        ("manifest.rs", "use crate::host;", 1),
        ("pod/init.rs", "use crate::agent::paths;", 1),
        ("agent/drive.rs", "pub(crate) fn f() {} use crate::pod::wire; use crate::agent::paths;", 0),
        ("agent/drive.rs", "use crate::console;", 1),
        ("host/build.rs", "use crate::console::table::Table; use crate::host::yaml;", 0),
        ("host/build.rs", "use crate::console::{wire, session};", 1),
        ("console/table.rs", "use crate::agent;", 1),
        ("console/table.rs", "use crate::console::{emit::Emit, session};", 1),
        ("console/session.rs", "use crate::agent;", 0),
        ("bin/podlingd.rs", "use podling::{agent, console};", 0),
    ] {
        assert_eq!(upward(&source(path, text), &pure).len(), faults, "{path}: {text}");
    }
}

#[test]
fn unsafe_code_is_below_sys_only() {
    let is_unsafe = |line: &str| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe");
    let lines = |source: &Source| {
        let path = source.path.display().to_string();
        let found = source.code().filter(|(_, line)| is_unsafe(line));
        found.map(|(n, line)| format!("src/{path}:{n}: {}", line.trim())).collect::<Vec<_>>()
    };
    none(sources().iter().filter(|source| source.floor() != Some("sys")).flat_map(lines).collect());
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut faults = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if !source.text.starts_with("//! ") {
            faults.push(format!("src/{path}: does not open with a line `//! what it is for`"));
        }
        let lines = source.text.lines().count();
        if lines > LINES {
            faults.push(format!("src/{path}: {lines} lines, of at most {LINES}"));
        }
    }
    none(faults);
}

#[test]
fn the_yard_is_tidy() {
    let names = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    none(
        names
            .filter(|name| !YARD.contains(&name.as_str()))
            .map(|name| format!("{name}: has no place at the top of the repository"))
            .collect(),
    );
}
