//! JPEG: takes the bytes of a file, leaves RGB in a [`Picture`].
//!
//! CMYK and YCCK become RGB as in Pillow, with the inverted inks that Adobe's programs write. A file that ends early is an
//! error: what a decoder puts in place of the rest is grey.

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::format::{Format, LARGEST_EDGE, Unreadable};
use super::picture::Picture;

/// Decodes a JPEG.
///
/// # Errors
/// It is damaged, cut off, or too large.
pub(super) fn decode(bytes: &[u8], picture: &mut Picture) -> Result<(), Unreadable> {
    let failed = |error: &dyn std::fmt::Display| Unreadable::Damaged(Format::Jpeg.name(), error.to_string());
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(LARGEST_EDGE)
        .set_max_height(LARGEST_EDGE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    if !ends(bytes) {
        return Err(Unreadable::CutOff(bytes.len()));
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| failed(&error))?;
    let Some((width, height)) = decoder.dimensions() else { return Err(failed(&"it has no size")) };
    let _turn = picture.make_room(Format::Jpeg, width, height)?;
    decoder.decode_into(&mut picture.rgb).map_err(|error| failed(&error))?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    picture.turn(orientation.unwrap_or(Orientation::NoTransforms));
    Ok(())
}

/// Whether the marker of the end stands behind the beginning of the pixels. A preview in the header has an end of its own.
fn ends(bytes: &[u8]) -> bool {
    const END: [u8; 2] = [0xff, 0xd9];
    bytes[scan(bytes).unwrap_or(2).min(bytes.len())..].windows(2).rev().any(|pair| pair == END)
}

/// Where the pixels begin: behind the segments of the header, each with its length.
fn scan(bytes: &[u8]) -> Option<usize> {
    const START_OF_SCAN: u8 = 0xda;
    let mut at = 2;
    loop {
        match bytes.get(at..)? {
            [0xff, 0xff, ..] => at += 1,
            [0xff, START_OF_SCAN, ..] => return Some(at),
            [0xff, _, high, low, ..] => at += 2 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return None,
        }
    }
}
