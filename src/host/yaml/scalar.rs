//! What an unquoted word means.

use std::format;

/// What the text of a scalar means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float,
    /// Everything else, and everything in quotes.
    String,
}

/// What an unquoted text means in YAML 1.1, as Kubernetes' own reader has it: `0644` is octal, and `no` is false.
pub fn meaning(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Kind::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Kind::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => return Kind::Float,
        _ => {}
    }
    if let Some(number) = integer(text) {
        return Kind::Int(number);
    }
    let float = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    let is_float = text.bytes().all(float) && text.bytes().any(|b| b.is_ascii_digit()) && text.parse::<f64>().is_ok();
    if is_float { Kind::Float } else { Kind::String }
}

/// A whole number, with YAML 1.1's prefixes and underscores.
fn integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => ("-", &plain[1..]),
        b'+' => ("", &plain[1..]),
        _ => ("", plain.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) || text.starts_with('_') {
        return None;
    }
    let (digits, radix) = match digits.as_bytes() {
        [b'0', b'x', ..] => (&digits[2..], 16),
        [b'0', b'o', ..] => (&digits[2..], 8),
        [b'0', b'b', ..] => (&digits[2..], 2),
        [b'0', _, ..] => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_they_mean_in_kubernetes() {
        assert_eq!(meaning("0644"), Kind::Int(0o644));
        assert_eq!(meaning("0o644"), Kind::Int(0o644));
        assert_eq!(meaning("420"), Kind::Int(420));
        assert_eq!(meaning("-1"), Kind::Int(-1));
        assert_eq!(meaning("0x1F"), Kind::Int(31));
        assert_eq!(meaning("1_000"), Kind::Int(1000));
        assert_eq!(meaning("0"), Kind::Int(0));
        assert_eq!(meaning("no"), Kind::Bool(false));
        assert_eq!(meaning("on"), Kind::Bool(true));
        assert_eq!(meaning("~"), Kind::Null);
        for float in ["1.5", ".5", "5.", "1e3", "-.inf", "089", "99999999999999999999"] {
            assert_eq!(meaning(float), Kind::Float, "{float}");
        }
        for string in [
            "1.2.3",
            "128Mi",
            "nope",
            "-",
            "+",
            ".",
            "0x",
            "e3",
            "_1",
            "10.0.2.15",
            "2001-01-01",
            "+-1",
            "0x-1",
            "inf",
            "nan",
        ] {
            assert_eq!(meaning(string), Kind::String, "{string}");
        }
    }
}
