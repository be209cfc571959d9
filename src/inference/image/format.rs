//! Of what format bytes are: by how they begin, as every decoder tells them.
//!
//! Takes bytes; gives the format, or what the bytes are instead, for people.

use thiserror::Error;

/// The most pixels that are decoded: 64 Mi, which in RGB are 192 MiB.
pub(super) const MOST_PIXELS: usize = 64 << 20;

/// The largest edge, which is that of JPEG: resizing takes memory for edges too.
pub(super) const LARGEST_EDGE: usize = 65_535;

/// A format that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
        }
    }
}

/// Why bytes are no picture.
#[derive(Debug, Error)]
pub(super) enum Unreadable {
    #[error("it is empty, not a picture")]
    Empty,
    #[error("it is {0}, which is not read; JPEG, PNG, WebP and GIF are")]
    Foreign(&'static str),
    #[error("it is text ('{0}'), not a picture")]
    Text(String),
    #[error("it is no picture in a known format: {0} bytes that begin with {1}")]
    Unknown(usize, String),
    #[error(
        "the {0} has {1} x {2} pixels; up to {most} megapixels and edges of {LARGEST_EDGE} are decoded",
        most = MOST_PIXELS >> 20
    )]
    TooLarge(&'static str, usize, usize),
    #[error("the {0} asks for more memory than a picture of its size takes")]
    Memory(&'static str),
    #[error("the JPEG is cut off: there is no end of the picture in its {0} bytes")]
    CutOff(usize),
    #[error("the {0} is damaged: {1}")]
    Damaged(&'static str, String),
    #[error("the {0} has no pixels")]
    NoPixels(&'static str),
}

/// Bytes that are shown where they are of no format.
const SHOWN: usize = 8;
/// Characters that are shown where they are text.
const SHOWN_TEXT: usize = 24;

/// The format of a picture.
///
/// # Errors
/// It is not one of those that are decoded; the error says what it is.
pub(super) fn format(bytes: &[u8]) -> Result<Format, Unreadable> {
    let at = |from: usize, magic: &[u8]| bytes.get(from..from + magic.len()) == Some(magic);
    match bytes {
        [] => return Err(Unreadable::Empty),
        [0xff, 0xd8, 0xff, ..] => return Ok(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => return Ok(Format::Png),
        [b'G', b'I', b'F', b'8', ..] => return Ok(Format::Gif),
        [b'R', b'I', b'F', b'F', ..] if at(8, b"WEBP") => return Ok(Format::WebP),
        _ => {}
    }
    let brand = |brands: &[&[u8; 4]]| at(4, b"ftyp") && brands.iter().any(|brand| at(8, *brand));
    let foreign = if brand(&[b"avif", b"avis"]) {
        "AVIF"
    } else if brand(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"]) {
        "HEIF"
    } else if at(4, b"ftyp") {
        "a film"
    } else if at(0, b"II*\0") || at(0, b"MM\0*") {
        "TIFF"
    } else if at(0, b"BM") && at(6, &[0; 4]) {
        "BMP"
    } else if at(0, b"\xff\x0a") || at(0, b"\0\0\0\x0cJXL ") {
        "JPEG XL"
    } else if at(0, b"\0\0\0\x0cjP  ") || at(0, b"\xff\x4f\xff\x51") {
        "JPEG 2000"
    } else if at(0, b"8BPS") {
        "Photoshop's format"
    } else if at(0, b"\0\0\x01\0") {
        "an icon"
    } else if at(0, b"%PDF") {
        "PDF"
    } else if at(0, b"PK\x03\x04") {
        "a ZIP archive"
    } else if at(0, b"\x1f\x8b") {
        "a gzip archive"
    } else {
        return Err(no_format(bytes));
    };
    Err(Unreadable::Foreign(foreign))
}

/// Text is shown as such: most often it is the page of an error under the name of a picture.
fn no_format(bytes: &[u8]) -> Unreadable {
    let begin = &bytes[..bytes.len().min(4 * SHOWN_TEXT)];
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        // A character may be cut in the middle.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&begin[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => "",
    };
    let is_text = |c: char| !c.is_control() || c.is_ascii_whitespace();
    if !text.is_empty() && text.chars().all(is_text) {
        let shown: String = text.trim().chars().take(SHOWN_TEXT).collect();
        let more = if shown.len() < bytes.len() { "..." } else { "" };
        return Unreadable::Text(shown.replace(char::is_whitespace, " ") + more);
    }
    let hex = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    Unreadable::Unknown(bytes.len(), hex)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_named() {
        for (bytes, said) in [
            (&b""[..], "it is empty"),
            (b"<html>\n<body>404 not found, sorry</body>", "it is text ('<html> <body>404 not fou...')"),
            ("caf\u{e9}".as_bytes(), "it is text ('caf\u{e9}')"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "it is AVIF, which is not read; JPEG, PNG, WebP and GIF are"),
            (b"\0\0\0\x1cftypheic", "it is HEIF"),
            (b"\0\0\0\x1cftypisom", "it is a film"),
            (b"II*\0\x08\0\0\0", "it is TIFF"),
            (b"BM\x46\0\0\0\0\0\0\0\x36", "it is BMP"),
            (b"%PDF-1.7", "it is PDF"),
            (b"\x01\x02\x03", "3 bytes that begin with 01 02 03"),
            (b"\xff", "1 bytes that begin with ff"),
        ] {
            let message = format(bytes).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        assert_eq!(format(b"RIFF\x10\0\0\0WEBPVP8 ").unwrap(), Format::WebP);
        assert!(format(b"RIFF\x10\0\0\0WAVEfmt ").is_err());
    }
}
