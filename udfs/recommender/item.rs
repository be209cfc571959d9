//! An item as one text, which is how `score(user, item, model)` hands items to a recommender.
//!
//! Takes a column of texts or of pictures; gives texts. A recommender reads them back with [`ItemKey::decode`]. A picture stands
//! behind a control character, so that no text is mistaken for one.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use datafusion::common::{Result, exec_err};

use crate::input::Modality;
use crate::text::text_views;

/// What stands in front of a picture, and of a text that begins with it.
const MARK: char = '\u{1}';
const PICTURE: char = 'p';
const TEXT: char = 't';

/// What an item is known by.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemKey<'a> {
    /// Its text.
    Text(&'a str),
    /// The bytes of its picture.
    Picture(Cow<'a, [u8]>),
}

impl<'a> ItemKey<'a> {
    /// The item as a text.
    pub fn encode(&self) -> String {
        match self {
            Self::Text(text) if text.starts_with(MARK) => format!("{MARK}{TEXT}{text}"),
            Self::Text(text) => (*text).to_string(),
            Self::Picture(bytes) => encode_picture(bytes),
        }
    }

    /// The item that a text stands for.
    ///
    /// # Errors
    /// The text was not made by [`Self::encode`].
    pub fn decode(text: &'a str) -> Result<Self> {
        let Some(marked) = text.strip_prefix(MARK) else { return Ok(Self::Text(text)) };
        if let Some(text) = marked.strip_prefix(TEXT) {
            return Ok(Self::Text(text));
        }
        let digits = marked.strip_prefix(PICTURE).filter(|digits| digits.is_ascii() && digits.len().is_multiple_of(2));
        let bytes = digits.map(|digits| {
            let byte = |start: usize| u8::from_str_radix(&digits[start..start + 2], 16);
            (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()
        });
        match bytes {
            Some(Ok(bytes)) => Ok(Self::Picture(bytes.into())),
            _ => exec_err!("an item is neither a text nor a picture"),
        }
    }
}

/// Two hexadecimal digits for each byte: text like any other.
fn encode_picture(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.extend([MARK, PICTURE]);
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    text
}

/// A column of items as texts: texts, or pictures.
///
/// # Errors
/// The column holds something else.
pub fn item_keys(items: &ArrayRef) -> Result<StringViewArray> {
    if Modality::of(items.data_type()) != Some(Modality::Bytes) {
        let texts = text_views(items)?;
        if texts.iter().flatten().all(|text| !text.starts_with(MARK)) {
            return Ok(texts);
        }
        let mut keys = StringViewBuilder::with_capacity(texts.len());
        texts.iter().for_each(|text| keys.append_option(text.map(|text| ItemKey::Text(text).encode())));
        return Ok(keys.finish());
    }
    let pictures = Modality::Bytes.views(items)?;
    Ok(pictures.iter().map(|picture| picture.map(encode_picture)).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, StringArray};

    use super::*;

    #[test]
    fn every_item_comes_back() {
        for text in ["", "a mug", "\u{1}", "\u{1}p00", "\u{1}t", "zoë"] {
            let key = ItemKey::Text(text).encode();
            assert_eq!(ItemKey::decode(&key).unwrap(), ItemKey::Text(text), "{key:?}");
        }
        for bytes in [&b""[..], b"\x00\xff\x89PNG"] {
            let key = ItemKey::Picture(bytes.into()).encode();
            assert_eq!(ItemKey::decode(&key).unwrap(), ItemKey::Picture(bytes.into()), "{key:?}");
        }
        assert_eq!(ItemKey::Text("a mug").encode(), "a mug");
        for broken in ["\u{1}", "\u{1}p0", "\u{1}p0g", "\u{1}pé", "\u{1}x"] {
            assert!(ItemKey::decode(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn columns_of_items_are_texts() {
        let keys = |column: ArrayRef| {
            item_keys(&column).unwrap().iter().map(|key| key.map(str::to_string)).collect::<Vec<_>>()
        };
        let text = |key: &str| Some(key.to_string());
        assert_eq!(keys(Arc::new(StringArray::from(vec![Some("a"), None]))), [text("a"), None]);
        assert_eq!(keys(Arc::new(StringArray::from(vec!["\u{1}a"]))), [text("\u{1}t\u{1}a")]);
        let pictures = BinaryArray::from(vec![Some(&b"\x01\xab"[..]), None]);
        assert_eq!(keys(Arc::new(pictures)), [text("\u{1}p01ab"), None]);
    }
}
