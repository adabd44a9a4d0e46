//! The compiler: what a YAML means on a board, what is said of a wrong one, and that nothing makes it panic.

mod cli;
mod confine;
mod explain;
mod fields;
mod jobs;
mod kinds;
mod meaning;
mod messages;
mod mutation;
mod probes;
mod ranges;
mod real;
mod streams;
mod volumes;

use podling::host::boards::{self, BoardFile};
use podling::host::diagnostic::{Diagnostics, Severity, Sources};
use podling::host::lower::{self, Compiled};
use std::path::PathBuf;
use std::sync::LazyLock;

/// The repository's own board.
fn board() -> BoardFile {
    BOARD.clone()
}

static BOARD: LazyLock<BoardFile> =
    LazyLock::new(|| boards::load(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/qemu-virt-aarch64")).unwrap());

/// The path of a file of `tests/yaml`.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/yaml").join(name)
}

/// What became of one source.
struct Outcome {
    compiled: Option<Compiled>,
    /// Everything that was said, as a person sees it.
    said: String,
    errors: usize,
    warnings: usize,
}

/// Compiles `text` as the file `pods.yaml`.
fn compile(text: &str) -> Outcome {
    compile_for(text, &BOARD)
}

fn compile_for(text: &str, board: &BoardFile) -> Outcome {
    let mut sources = Sources::default();
    sources.add("pods.yaml", text);
    let diagnostics = Diagnostics::default();
    let compiled = lower::compile(&sources, board, &diagnostics);
    Outcome {
        compiled,
        said: diagnostics.render(&sources),
        errors: diagnostics.count(Severity::Error),
        warnings: diagnostics.count(Severity::Warning),
    }
}

impl Outcome {
    /// The body, where nothing was wrong.
    #[track_caller]
    fn body(self) -> Vec<u8> {
        assert_eq!(self.errors, 0, "{}", self.said);
        self.compiled.expect("no error and no manifest").body
    }

    /// Exactly one error, and it says `part`.
    #[track_caller]
    fn refused(&self, part: &str) {
        assert!(self.compiled.is_none(), "compiled, and should say: {part}");
        assert!(self.said.contains(part), "expected: {part}\n{}", self.said);
        assert_eq!(self.errors, 1, "{}", self.said);
    }
}

/// A pod with one container; `spec` and `container` are more lines of either, in YAML's flow style.
fn pod(spec: &str, container: &str) -> String {
    let comma = |more: &str| {
        if more.is_empty() { String::new() } else { format!(", {more}") }
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {{hostNetwork: true, containers: [{{name: app, image: busybox{}}}]{}}}\n",
        comma(container),
        comma(spec)
    )
}
