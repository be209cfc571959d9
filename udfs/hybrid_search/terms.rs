//! The terms of a text: takes a text, gives its words in small letters.
//!
//! A term is a longest run of letters and digits, in any script, as Unicode has them: `AB-12/3` is `ab`, `12` and `3`, in a text and
//! in a query alike, so that a code is found however it is written. There is no stemming: `mugs` does not find `mug`.

/// Calls `each` with every term of `text`, in their order; `term` is where they are built.
pub(crate) fn for_each(text: &str, term: &mut String, mut each: impl FnMut(&str)) {
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        term.clear();
        if word.is_ascii() {
            term.push_str(word);
            term.make_ascii_lowercase();
        } else {
            term.extend(word.chars().flat_map(char::to_lowercase));
        }
        each(term);
    }
}

/// The different terms of a query, in the order of their first appearance.
pub(crate) fn distinct(query: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for_each(query, &mut String::new(), |term| {
        if !terms.iter().any(|known| known == term) {
            terms.push(term.to_owned());
        }
    });
    terms
}

/// How often each of `terms` is in `text`, into `counts`; gives the number of all terms of the text.
pub(crate) fn count(text: &str, terms: &[String], term: &mut String, counts: &mut Vec<u32>) -> usize {
    counts.clear();
    counts.resize(terms.len(), 0);
    let mut length = 0;
    for_each(text, term, |term| {
        length += 1;
        if let Some(at) = terms.iter().position(|wanted| wanted == term) {
            counts[at] += 1;
        }
    });
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_letters_and_digits_in_any_script() {
        assert_eq!(
            distinct("AB-12/3, ab  Zoë's Čaj 猫カフェ №5"),
            ["ab", "12", "3", "zoë", "s", "čaj", "猫カフェ", "5"]
        );
        assert_eq!(distinct(" -/ "), Vec::<String>::new());
        let (mut term, mut counts) = (String::new(), Vec::new());
        assert_eq!(count("Red mug, RED tea-mug red", &distinct("red mug cup"), &mut term, &mut counts), 6);
        assert_eq!(counts, [3, 2, 0]);
    }
}
