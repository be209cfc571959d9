//! What a person is shown of an input: takes a row of a dataset's inputs, gives the beginning of its text or a small picture.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::inference::image::thumbnail;
use crate::train::data::{InputColumn, PairColumn, PictureColumn};
use crate::train::run::top_losses::Excerpt;

/// The most characters of a text.
const CHARACTERS: usize = 200;
/// The most pixels of a picture's longer edge: sharp at half of it on a phone.
const EDGE: u32 = 160;

/// What is shown of the input in `row`.
pub(in crate::train) fn excerpt(column: &InputColumn, row: u32) -> Excerpt {
    let (text, picture) = match column {
        InputColumn::Texts(texts) => (Some((texts, row)), None),
        InputColumn::Pictures(pictures) => (None, Some((pictures, row))),
        InputColumn::Pairs(PairColumn { texts, pictures, pairs }) => {
            let [text, picture] = pairs.get(row as usize).copied().unwrap_or_default();
            (text.map(|row| (texts, row)), picture.map(|row| (pictures, row)))
        }
    };
    // A picture was decoded to be measured; where that fails now, the page has a line without it.
    let draw = |(pictures, row): (&PictureColumn, u32)| thumbnail(pictures.bytes.value(row as usize), EDGE).ok();
    Excerpt {
        text: text.map(|(texts, row)| beginning(texts.value(row as usize))),
        picture: picture.and_then(draw).map(|file| BASE64_STANDARD.encode(file)),
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
