//! Failure F11: whatever a YAML is turned into, the compiler says something and does not panic, and what it makes a board takes.

use super::{compile, fixture};
use podling::manifest::check;
use std::fs;

/// Pseudo-random numbers that are the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// What YAML and Kubernetes make something of.
const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\n---\n",
    "\t",
    "  ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "|",
    ">-",
    "'",
    "\"",
    "# ",
    "? ",
    ",",
    "%YAML 1.2\n",
    "null",
    "~",
    "0",
    "-1",
    "99999999999",
    "1e9",
    "0x7f",
    "true",
    "$(A)",
    "$$",
    "..",
    "/",
    "\0",
    "\u{feff}",
    "\u{85}",
    "é",
    "name",
    "spec",
    "containers",
    "Secret",
    "List",
    "items",
    "128Mi",
    "1Ei",
    "ALL",
    "env",
    "valueFrom",
    "...\n",
];

/// One edit of `text`: bytes dropped, doubled, moved, or a word put in.
fn mutate(text: &mut String, random: &mut Random) {
    let at = |text: &str, random: &mut Random| {
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (a, b) = (at(text, random), at(text, random));
    let (from, near) = (a.min(b), a.max(b).min(a.min(b) + random.below(40)));
    let to = (near..=text.len()).find(|n| text.is_char_boundary(*n)).unwrap_or(from);
    match random.below(5) {
        0 => text.replace_range(from..to, ""),
        1 => {
            let piece = text[from..to].to_owned();
            text.insert_str(from, &piece);
        }
        2 => {
            let piece = text[from..to].to_owned();
            let place = at(text, random);
            text.insert_str(place, &piece);
        }
        3 => text.replace_range(from..to, WORDS[random.below(WORDS.len())]),
        _ => text.insert_str(from, WORDS[random.below(WORDS.len())]),
    }
}

#[test]
fn failure_f11_the_compiler_never_panics() {
    let names = ["full.yaml", "types.yaml", "references.yaml", "syntax.yaml", "ports.yaml"];
    let mut seeds: Vec<String> = names.iter().map(|name| fs::read_to_string(fixture(name)).unwrap()).collect();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64/pods/web.yaml");
    seeds.push(fs::read_to_string(sample).unwrap());
    for controller in ["web-statefulset", "nginx-deployment", "indexed-job", "hello-cronjob", "replication"] {
        seeds.push(fs::read_to_string(fixture(&format!("../files/{controller}.yaml"))).unwrap());
    }
    let mut random = Random(0x0070_6f64_6c69_6e67);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut text, &mut random);
        }
        let outcome = compile(&text);
        match outcome.compiled {
            Some(compiled) => {
                good += 1;
                assert_eq!(outcome.errors, 0);
                assert!(check::manifest(&compiled.body).is_ok());
            }
            None => {
                bad += 1;
                assert!(outcome.errors > 0, "refused without a word: {text:?}");
            }
        }
        assert!(
            !outcome.said.contains("the board would refuse"),
            "the compiler missed something:\n{}\n{text}",
            outcome.said
        );
    }
    assert!(good > 100 && bad > 5000, "the mutations prove nothing: {good} good, {bad} bad");
}
