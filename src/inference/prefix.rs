//! The beginning of a text that is far longer than a model can read.
//!
//! Takes a text and a number of bytes; gives a beginning of about that size that a tokenizer splits like the whole.

/// What a run of characters is made of. Tokenizers split words where these change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Whitespace,
    Punctuation,
    Word,
    /// Each one is a word of its own to a word piece tokenizer, whatever stands beside it.
    Ideograph,
    /// Other punctuation, symbols and marks.
    Symbol,
}

impl Class {
    fn of(character: char) -> Self {
        if character.is_whitespace() {
            Self::Whitespace
        } else if character.is_ascii_punctuation() {
            Self::Punctuation
        } else if is_ideograph(character) {
            Self::Ideograph
        } else if character.is_alphanumeric() {
            Self::Word
        } else {
            Self::Symbol
        }
    }
}

/// The blocks of ideographs that BERT's tokenizer puts spaces around:
/// <https://github.com/google-research/bert/blob/master/multilingual.md#tokenization>.
fn is_ideograph(character: char) -> bool {
    matches!(character,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2ceaf}' | '\u{2f800}'..='\u{2fa1f}')
}

/// A beginning of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// At most as many bytes as were asked for.
    pub(crate) text: String,
    /// Nothing of the text is left but the middle of runs that were too long.
    pub(crate) complete: bool,
}

/// The first `bytes` of `text`, cut in front of whitespace where there is some in the second half.
///
/// A run of one kind of character (a word, spaces, dashes) is kept up to `longest_run` bytes and its rest left out: a
/// word piece tokenizer makes a single unknown token of such a word however long it is, and the other tokenizers fill
/// any model with tokens from the part that is kept.
pub(crate) fn prefix(text: &str, bytes: usize, longest_run: usize) -> Prefix {
    let mut kept = String::with_capacity(bytes.min(text.len()));
    let (mut class, mut run, mut boundary) = (None, 0, 0);
    for character in text.chars() {
        let size = character.len_utf8();
        let next = Class::of(character);
        if class != Some(next) {
            if next == Class::Whitespace {
                boundary = kept.len();
            }
            (class, run) = (Some(next), 0);
        }
        run += size;
        if run > longest_run {
            continue;
        }
        if kept.len() + size > bytes {
            if boundary * 2 > bytes {
                kept.truncate(boundary);
            }
            return Prefix { text: kept, complete: false };
        }
        kept.push(character);
    }
    Prefix { text: kept, complete: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, bytes: usize, longest_run: usize) -> (String, bool) {
        let Prefix { text, complete } = prefix(text, bytes, longest_run);
        (text, complete)
    }

    #[test]
    fn cuts_in_front_of_whitespace() {
        assert_eq!(cut("one two  three", 11, 100), ("one two".into(), false));
        assert_eq!(cut("one two  three", 14, 100), ("one two  three".into(), true));
    }

    #[test]
    fn cuts_a_long_word_between_characters() {
        assert_eq!(cut("a 猫猫猫猫", 9, 100), ("a 猫猫".into(), false));
    }

    #[test]
    fn shortens_runs_and_reads_on() {
        assert_eq!(cut("xxxxxxxx,     yy", 100, 3), ("xxx,   yy".into(), true));
        assert_eq!(cut("xxxxxxxx猫猫yyyy—zz", 100, 3), ("xxx猫yyy—zz".into(), true));
    }
}
