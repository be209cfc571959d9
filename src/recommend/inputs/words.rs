//! The words of texts, to be left out or added: takes a text, gives texts that differ from it by one word.

/// Words of a text that are left out in turn, at most: the first ones. A title has fewer; of a long description no single word
/// changes much, and each is an embedding.
const MOST_WORDS: usize = 64;

/// For each of the first words of a text, in their order, the word and the text without it. Words are what stands between white
/// space; a word that is there twice is left out at both places, once. Nothing of a text that has no other word.
pub(crate) fn without_each(text: &str) -> Vec<(&str, String)> {
    let words = text.split_whitespace().collect::<Vec<_>>();
    let mut left_out = Vec::<(&str, String)>::new();
    for word in words.iter().take(MOST_WORDS) {
        if left_out.iter().any(|(before, _)| before == word) {
            continue;
        }
        let rest = words.iter().filter(|other| *other != word).copied().collect::<Vec<_>>().join(" ");
        if !rest.is_empty() {
            left_out.push((word, rest));
        }
    }
    left_out
}

/// The words of other texts that are not in this one, up to `most`, in the order of the texts and of their words: without the
/// punctuation around them, and without what is no word, such as a number or a single letter.
pub(crate) fn others<'t>(text: &str, texts: impl Iterator<Item = &'t str>, most: usize) -> Vec<&'t str> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let mut seen = text.split_whitespace().map(bare).collect::<Vec<_>>();
    let mut found = Vec::new();
    for word in texts.flat_map(str::split_whitespace) {
        if found.len() == most {
            break;
        }
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_word = word.chars().nth(1).is_some() && word.chars().any(char::is_alphabetic);
        let lower = word.to_lowercase();
        if is_word && !seen.contains(&lower) {
            seen.push(lower);
            found.push(word);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_left_out_once() {
        let found = without_each("  red mug, red\tlamp ");
        let rests = found.iter().map(|(word, rest)| (*word, rest.as_str())).collect::<Vec<_>>();
        assert_eq!(rests, [("red", "mug, lamp"), ("mug,", "red red lamp"), ("lamp", "red mug, red")]);
        assert!(without_each("mug").is_empty() && without_each("mug mug").is_empty() && without_each(" ").is_empty());
        assert_eq!(without_each(&"many words ".repeat(100_000)).len(), 2);
        let long = (0..1000).map(|n| format!("w{n} ")).collect::<String>();
        assert_eq!(without_each(&long).len(), MOST_WORDS);
    }

    #[test]
    fn words_of_others_are_those_that_are_not_here() {
        let texts = ["RED Lamp (small)", "lamp 12 x mug's", ""];
        assert_eq!(others("red mug", texts.into_iter(), 10), ["Lamp", "small", "mug's"]);
        assert_eq!(others("red mug", texts.into_iter(), 2), ["Lamp", "small"]);
        assert!(others("red mug", texts.into_iter(), 0).is_empty());
        assert_eq!(others("", ["été 愛好"].into_iter(), 9), ["été", "愛好"]);
    }
}
