//! Files of variables (`fileKeyRef`), in the form that Kubernetes takes: a part of what a POSIX shell takes, and with the same meaning.
//!
//! A variable is `NAME='value'`, with nothing after it on its line; in the quotes everything stands for itself, line ends included.
//! Space around the name is ignored, and so are blank lines and those that begin with `#`.

/// That a file has another form, and in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
}

/// The value of a variable; where it is set more than once, the last one, as in a shell.
///
/// # Errors
/// The file is not in this form, wherever that is.
pub fn find<'t>(text: &'t str, name: &str) -> Result<Option<&'t str>, Malformed> {
    let (mut found, mut rest) = (None, text);
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(found);
        }
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        }
        let malformed = Malformed { line: 1 + text[..text.len() - rest.len()].matches('\n').count() };
        let (key, value, after) = variable(rest).ok_or(malformed)?;
        if key == name {
            found = Some(value);
        }
        rest = after;
    }
}

/// The variable at the start of a text, and what follows its line.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let (key, rest) = text.split_once('=')?;
    let key = key.trim_end_matches(SPACE);
    let (value, rest) = rest.trim_start_matches(SPACE).strip_prefix('\'')?.split_once('\'')?;
    let (end, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let is_name = !key.is_empty() && !key.contains(|c: char| c.is_ascii_whitespace() || c == '\'' || c == '"');
    (is_name && end.trim_ascii().is_empty()).then_some((key, value, after))
}

/// What may stand around names and values.
const SPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn env_files_are_a_strict_part_of_a_shells() {
        let text = "# comment\n\nA='1'\n  B = 'two words # here'  \r\n\nMULTI='line1\nline2'\n#A='2'\nEMPTY=''\nC='\"$HOME\"\\n'\nB='last'";
        let value = |name| find(text, name).unwrap();
        assert_eq!((value("A"), value("B"), value("MULTI")), (Some("1"), Some("last"), Some("line1\nline2")));
        assert_eq!((value("EMPTY"), value("C"), value("#A")), (Some(""), Some("\"$HOME\"\\n"), None));
        assert_eq!((find("", "A"), find("\n# only\n", "A")), (Ok(None), Ok(None)));
        for wrong in [
            "A=1",
            "A=\"1\"",
            "A='1''2'",
            "A='1'$B",
            "A='1' # no",
            "A='1",
            "A",
            "='1'",
            "export A='1'",
            "A\n='1'",
            "A=\n'1'",
            "A\u{a0}='1'\nB=2",
        ] {
            let text = std::format!("OK='x'\n\n{wrong}\n");
            assert!(find(&text, "OK").is_err_and(|it| it.line >= 3), "{wrong}: {:?}", find(&text, "OK"));
        }
        assert_eq!(find("OK='x\ny'\nA=1\n", "OK"), Err(Malformed { line: 3 }));
    }
}
