//! "Did you mean": the known word that a typo was most likely meant to be.

/// The one of `known` nearest to `word`, if it is near enough to be worth proposing.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody mistypes a page of text; the distance is quadratic.
    if word.len() > 64 {
        return None;
    }
    let allowed = 1 + word.len() / 4;
    let distance = |name: &str| {
        if name.eq_ignore_ascii_case(word) { 0 } else { strsim::damerau_levenshtein(name, word) }
    };
    let near = known.into_iter().map(|name| (distance(name), name));
    near.filter(|(d, _)| *d <= allowed).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typos_find_their_word_and_other_words_do_not() {
        let known = ["command", "args", "image", "imagePullPolicy", "volumeMounts"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("arg", known), Some("args"));
        assert_eq!(nearest("volumemounts", known), Some("volumeMounts"));
        assert_eq!(nearest("volumesMount", known), Some("volumeMounts"));
        assert_eq!(nearest("replicas", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("", known), None);
    }
}
