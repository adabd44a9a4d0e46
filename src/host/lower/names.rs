//! What names may look like (spec 7), with messages that say it.

use crate::host::read::Place;
use crate::manifest::limits;
use std::format;
use std::prelude::v1::*;

fn word(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// A DNS label (RFC 1123).
pub(super) fn is_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    let ends = bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    ends && bytes.len() <= limits::LABEL && bytes.iter().all(|b| word(*b) || *b == b'-')
}

/// A DNS subdomain (RFC 1123). Kubernetes bounds the whole and not its labels.
pub(super) fn is_subdomain(name: &str) -> bool {
    let part = |p: &str| {
        let ends = p.bytes().next().is_some_and(word) && p.bytes().last().is_some_and(word);
        ends && p.bytes().all(|b| word(b) || b == b'-')
    };
    name.len() <= limits::SUBDOMAIN && name.split('.').all(part)
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends: the name part of a label's key, or a label's value.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    ends && bytes.len() <= limits::LABEL && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// The key of a label or annotation: `name` or `example.com/name`.
pub(super) fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
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

/// The text of `place`, if it is a DNS label; else a message.
pub(super) fn label<'a>(place: &Place<'a>) -> Option<&'a str> {
    let name = place.text()?;
    if !is_label(name) {
        let rule = format!("lower-case letters, digits and -, with a letter or digit at both ends, at most {} bytes", limits::LABEL);
        place.error(format!("{} is not a DNS label (RFC 1123): {rule}", place.quoted(name)));
        return None;
    }
    Some(name)
}

/// The text of `place`, if it is a DNS subdomain; else a message.
pub(super) fn subdomain<'a>(place: &Place<'a>) -> Option<&'a str> {
    let name = place.text()?;
    if !is_subdomain(name) {
        let rule =
            format!("lower-case letters, digits, - and ., with a letter or digit at both ends of each part, at most {} bytes", limits::SUBDOMAIN);
        place.error(format!("{} is not a DNS subdomain (RFC 1123): {rule}", place.quoted(name)));
        return None;
    }
    Some(name)
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
    fn spec_7_names_follow_rfc_1123() {
        for name in ["a", "0", "web-1", &"a".repeat(63)] {
            assert!(is_label(name) && is_subdomain(name), "{name}");
        }
        for name in ["", "-", "a-", "-a", "A", "a_b", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_label(name), "{name}");
        }
        assert!(is_subdomain("web.example.com") && !is_label("web.example.com"));
        for name in ["", ".", "a..b", "a.", ".a", "a.-b", "A.b", &"a.".repeat(127)] {
            assert!(!is_subdomain(name), "{name}");
        }
    }

    #[test]
    fn keys_follow_their_own_rules() {
        assert!(is_qualified("podling.dev/pids-limit") && is_qualified("App_1"));
        assert!(!is_qualified("/a") && !is_qualified("a/") && !is_qualified("A.b/c") && !is_qualified("a/b/c"));
        assert!(is_key("index.html") && is_key(".profile") && !is_key("..data") && !is_key(".") && !is_key("a/b") && !is_key(""));
        assert!(is_env("PATH") && is_env("a.b-c") && is_env("1") && !is_env("") && !is_env("A=B") && !is_env("A\n") && !is_env("Ä"));
        assert!(is_label_value("") && is_label_value("v1.2_3") && !is_label_value("-") && !is_label_value("a b"));
    }
}
