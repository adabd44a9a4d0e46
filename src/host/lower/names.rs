//! What names may look like (spec 7), with messages that say it: the board's own rules, and those that only Kubernetes has.

use crate::host::read::Place;
use crate::manifest::check::rule::{self, Rule};
use crate::manifest::limits;
use std::format;
use std::prelude::v1::*;

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends: the name part of a label's key, or a label's value.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends =
        bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    ends && bytes.len() <= limits::LABEL && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// The key of a label or annotation: `name` or `example.com/name`.
pub(super) fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => (rule::SUBDOMAIN.holds)(prefix) && is_name(name),
        None => is_name(key),
    }
}

/// The name of an environment variable: printable ASCII without `=`.
pub(super) fn is_env(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=')
}

/// The key of a ConfigMap or Secret: also the name of a file.
pub(super) fn is_key(key: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=limits::SUBDOMAIN).contains(&key.len()) && key.bytes().all(legal) && key != "." && !key.starts_with("..")
}

/// The text of `place`, if it keeps `rule`; else a message.
pub(super) fn text<'a>(place: &Place<'a>, rule: Rule) -> Option<&'a str> {
    let text = place.text()?;
    if !(rule.holds)(text) {
        place.error(format!("{} {}", place.quoted(text), rule.says));
        return None;
    }
    Some(text)
}

/// A DNS label; else a message.
pub(super) fn label<'a>(place: &Place<'a>) -> Option<&'a str> {
    text(place, rule::LABEL)
}

/// A DNS subdomain; else a message.
pub(super) fn subdomain<'a>(place: &Place<'a>) -> Option<&'a str> {
    text(place, rule::SUBDOMAIN)
}

/// The text of `place` as an absolute path without `.`, empty parts and a `/` at its end; else a message.
pub(super) fn absolute(place: &Place<'_>) -> Option<String> {
    let path = place.text()?;
    let problem = if !path.starts_with('/') {
        "is not an absolute path: it must begin with /"
    } else if path.len() > limits::PATH {
        "is longer than a path may be"
    } else if path.split('/').any(|part| part == "..") {
        "must not contain .."
    } else {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        return Some(format!("/{}", parts.join("/")));
    };
    place.error(format!("{} {problem}", place.quoted(path)));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_their_own_rules() {
        assert!(is_qualified("podling.dev/pids-limit") && is_qualified("App_1"));
        assert!(!is_qualified("/a") && !is_qualified("a/") && !is_qualified("A.b/c") && !is_qualified("a/b/c"));
        assert!(
            is_key("index.html")
                && is_key(".profile")
                && !is_key("..data")
                && !is_key(".")
                && !is_key("a/b")
                && !is_key("")
        );
        assert!(
            is_env("PATH")
                && is_env("a.b-c")
                && is_env("1")
                && !is_env("")
                && !is_env("A=B")
                && !is_env("A\n")
                && !is_env("Ä")
        );
        assert!(is_label_value("") && is_label_value("v1.2_3") && !is_label_value("-") && !is_label_value("a b"));
    }
}
