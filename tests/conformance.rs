//! Which test proves which numbered behaviour: the table, made from the names of the tests (`spec_43_…`, several numbers in one name
//! allowed), is in `conformance.md`. `PODLING_BLESS=1 cargo test --test conformance` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The sections and their numbers. There is no 62.
const SECTIONS: &[(&str, std::ops::RangeInclusive<u32>)] = &[
    ("A. Identity and object", 1..=16),
    ("B. Shared context", 17..=30),
    ("C. Volumes", 31..=35),
    ("D. Containers", 36..=41),
    ("E. Lifecycle", 42..=53),
    ("F. Controllers", 54..=65),
    ("G. Termination", 66..=82),
    ("H. Privileged", 83..=87),
    ("I. Static pods", 88..=92),
    ("J. Resources", 93..=98),
];

/// What no test proves yet, and why. This list only ever gets shorter: a number that has a test must go.
const UNPROVEN: &[(u32, &str)] = &[
    (28, "pods have no addresses yet"),
    (29, "pods have no addresses yet"),
    (30, "no port of the board is published yet"),
    (61, "there are no Services on a board yet, and so no endpoints"),
    (92, "a board does not join a cluster yet"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Calls `found` with the text of every Rust file below `folder`.
fn walk(folder: &Path, found: &mut dyn FnMut(&Path, &str)) {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests/conformance.rs") {
            found(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}

/// The numbers in a name: `spec_43_44_restarts` proves 43 and 44.
fn numbers(name: &str) -> Vec<u32> {
    let Some(rest) = name.strip_prefix("spec_") else { return Vec::new() };
    rest.split('_').map_while(|part| part.parse().ok()).collect()
}

/// For each number the tests that prove it, as `tests/file.rs: name`.
fn proofs() -> BTreeMap<u32, BTreeSet<String>> {
    let mut proofs: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for folder in ["src", "tests"] {
        walk(&root().join(folder), &mut |path, text| {
            let file = path.strip_prefix(root()).unwrap().display().to_string();
            for name in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                for number in numbers(name) {
                    proofs.entry(number).or_default().insert(format!("{file}: {name}"));
                }
            }
        });
    }
    proofs
}

#[test]
fn the_table_of_proofs_is_complete_and_as_written() {
    let proofs = proofs();
    let mut out = String::from(
        "# Which test proves what\n\n\
         The numbered behaviours and the tests that carry their numbers in their names; `tests/conformance.rs` writes and checks this.\n",
    );
    let mut wrong = Vec::new();
    for (title, range) in SECTIONS {
        let _ = writeln!(out, "\n## {title}\n\n| spec | proven by |\n|---|---|");
        for number in range.clone().filter(|number| *number != 62) {
            let why = UNPROVEN.iter().find(|(unproven, _)| *unproven == number).map(|(_, why)| *why);
            match (proofs.get(&number), why) {
                (Some(tests), None) => {
                    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
                    let _ = writeln!(out, "| {number} | {} |", tests.join("<br>"));
                }
                (None, Some(why)) => {
                    let _ = writeln!(out, "| {number} | not yet: {why} |");
                }
                (None, None) => wrong.push(format!("spec {number} has no test")),
                (Some(_), Some(_)) => {
                    wrong.push(format!("spec {number} has a test: take it off the list of the unproven"))
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = root().join("tests/conformance.md");
    if std::env::var_os("PODLING_BLESS").is_some() {
        fs::write(&path, &out).unwrap();
    }
    let then = fs::read_to_string(&path).unwrap();
    let differs = out.lines().zip(then.lines()).find(|(now, then)| now != then);
    assert!(out == then, "tests/conformance.md is not what the tests say (PODLING_BLESS=1 writes it): {differs:?}");
}
