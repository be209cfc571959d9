//! What a person is shown of an input: takes a row of a dataset's inputs, gives the beginning of its text or a small picture.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::inference::image::thumbnail;
use crate::train::data::InputColumn;
use crate::train::run::top_losses::Excerpt;

/// The most characters of a text.
const CHARACTERS: usize = 200;
/// The most pixels of a picture's longer edge: sharp at half of it on a phone.
const EDGE: u32 = 160;

/// What is shown of the input in `row`.
pub(in crate::train) fn excerpt(column: &InputColumn, row: u32) -> Excerpt {
    let row = row as usize;
    match column {
        InputColumn::Texts(texts) => Excerpt { text: Some(beginning(texts.value(row))), picture: None },
        InputColumn::Pictures(pictures) => {
            // It was decoded to be measured; where that fails now, the page has a line without a picture.
            let picture = thumbnail(pictures.bytes.value(row), EDGE).ok();
            Excerpt { text: None, picture: picture.map(|file| BASE64_STANDARD.encode(file)) }
        }
    }
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(beginning("tee für zwei"), "tee für zwei");
        let cut = beginning(&"ü".repeat(500));
        assert_eq!(cut, format!("{}…", "ü".repeat(200)));
    }
}
