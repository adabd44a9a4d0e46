//! What is printed reads back as it was.

use super::*;
use crate::console::emit::Base64;
use proptest::prelude::*;
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::string::{String, ToString};
use std::vec::Vec;

/// A tree to print.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Text(String),
    Number(i32),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

fn write(emit: &mut dyn Emit, tree: &Tree) -> fmt::Result {
    match tree {
        Tree::Text(text) => emit.text(text),
        Tree::Number(number) => emit.raw(number),
        Tree::List(items) => {
            emit.open(Kind::List)?;
            items.iter().try_for_each(|item| write(emit, item))?;
            emit.close()
        }
        Tree::Map(pairs) => {
            emit.open(Kind::Map)?;
            for (key, value) in pairs {
                emit.key(key)?;
                write(emit, value)?;
            }
            emit.close()
        }
    }
}

fn yaml(tree: &Tree) -> String {
    let mut out = String::new();
    write(&mut Yaml::new(&mut out), tree).unwrap();
    out
}

/// Reads one document; a plain scalar is a number only where it is nothing but digits and a sign.
fn read(text: &str) -> Tree {
    let mut events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    assert!(matches!(events.next(), Some(Event::StreamStart)));
    assert!(matches!(events.next(), Some(Event::DocumentStart(_))));
    let first = events.next().unwrap();
    let tree = node(&mut events, first);
    assert!(matches!(events.next(), Some(Event::DocumentEnd)));
    tree
}

/// Any other number than those that the tests write.
fn is_float(text: &str) -> bool {
    let digits = text.replace('_', "");
    !text.starts_with('_') && digits.parse::<f64>().is_ok() && digits.contains(|c: char| c.is_ascii_digit())
}

fn node<'a>(events: &mut impl Iterator<Item = Event<'a>>, event: Event<'a>) -> Tree {
    match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) => match text.parse() {
            Ok(number) => Tree::Number(number),
            Err(_) if is_float(&text) => panic!("{text} is a number"),
            Err(_) => Tree::Text(text.to_string()),
        },
        Event::Scalar(text, ..) => Tree::Text(text.to_string()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::SequenceEnd => return Tree::List(items),
                    event => items.push(node(events, event)),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut pairs = Vec::new();
            loop {
                match events.next().unwrap() {
                    Event::MappingEnd => return Tree::Map(pairs),
                    event => {
                        let Tree::Text(key) = node(events, event) else { panic!("a key is a string") };
                        let value = events.next().unwrap();
                        pairs.push((key, node(events, value)));
                    }
                }
            }
        }
        other => panic!("{other:?}"),
    }
}

fn texts() -> impl Strategy<Value = String> {
    let odd = "([-?:,\\[\\]{}#&*!|>'\"%@`~=<.0-9xeE+_ \n\t$()a-z]|\\PC|[\u{0}-\u{1f}\u{7f}-\u{a0}\u{2028}\u{feff}\u{ffff}]){0,12}";
    prop_oneof![
        odd.prop_map(String::from),
        ".{0,20}",
        "[ -~]{0,30}",
        "[-+.0-9eExob_:]{0,8}",
        "([a-z #:-]{0,6}\n){0,4}[a-z]{0,3}"
    ]
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![texts().prop_map(Tree::Text), any::<i32>().prop_map(Tree::Number)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
            prop::collection::btree_map(texts().prop_filter("no number", |t| t.len() < 200), inner, 0..4)
                .prop_map(|pairs| Tree::Map(pairs.into_iter().collect())),
        ]
    })
}

fn as_json(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Text(text) => text.clone().into(),
        Tree::Number(number) => (*number).into(),
        Tree::List(items) => items.iter().map(as_json).collect(),
        Tree::Map(pairs) => serde_json::Value::Object(pairs.iter().map(|(k, v)| (k.clone(), as_json(v))).collect()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4000, ..ProptestConfig::default() })]

    /// Whatever the strings hold, YAML gives back the same tree, and no string comes back as something else.
    #[test]
    fn yaml_reads_back_equal(tree in trees()) {
        prop_assert_eq!(read(&yaml(&tree)), tree);
    }

    #[test]
    fn json_reads_back_equal(tree in trees()) {
        let mut out = String::new();
        write(&mut Json::new(&mut out), &tree).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), as_json(&tree));
    }

    #[test]
    fn base64_is_the_common_one(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        use base64::Engine;
        let expected = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let shown = Base64(&bytes).to_string();
        prop_assert_eq!(shown.trim_matches('"'), expected);
    }

    /// A quantity says exactly the number of bytes.
    #[test]
    fn bytes_lose_nothing(number in any::<u64>(), zeros in 0u32..64) {
        let number = number >> zeros << zeros;
        let shown = Bytes(number).to_string();
        let (digits, unit) = shown.split_at(shown.find(|c: char| !c.is_ascii_digit()).unwrap_or(shown.len()));
        let power = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|u| *u == unit).unwrap();
        prop_assert_eq!(digits.parse::<u64>().unwrap() << (10 * power), number);
    }
}

/// Words and numbers that some reader of YAML takes for something else than a string are quoted; common values are not.
#[test]
fn quotes_where_they_are_needed() {
    for text in [
        "",
        "true",
        "Yes",
        "on",
        "NULL",
        "n",
        "~",
        "1",
        "-1",
        "+1",
        "0x1F",
        "0o17",
        "1_000",
        "1e3",
        "1.5",
        ".5",
        ".inf",
        "-.INF",
        ".NaN",
        "12:30:45",
        "2001-12-14",
        "2001-12-14t21:59:43.10-05:00",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "a:",
        "a ",
        " a",
        "#a",
        "'a'",
        "-",
        "--",
        "---",
        "...",
        "- -a",
        "-.5",
        "-5",
        "<<",
        "1:30",
        "0b1",
        "1_0.5e+3",
        "2001-12-14",
        "{a",
        "[a",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "%a",
        "@a",
        "`a",
    ] {
        let shown = yaml(&Tree::Map([("key".into(), Tree::Text(text.into()))].into()));
        assert!(shown.starts_with("key: \""), "{text:?} is shown as {shown}");
    }
    for text in [
        "nginx:1.25",
        "64Mi",
        "500m",
        "/bin/sh",
        "a-b.c_d",
        "echo hi; sleep 1",
        "10s",
        "$HOME",
        "1.25-alpine",
        "-c",
        "--flag=1",
        "10.0.0.1",
        "<none>",
        "./run",
        "8f1e0000-aaaa-4000-8000-000000000000",
        "80m",
    ] {
        let shown = yaml(&Tree::Map([("key".into(), Tree::Text(text.into()))].into()));
        assert_eq!(shown, std::format!("key: {text}\n"));
    }
}
