//! Images of a film: takes the bytes of an animated GIF, WebP or PNG, gives some of its frames as PNG.
//!
//! Frames are put together as they are shown, each over what the one before it left. A film is decoded from its begin to the
//! last image that is wanted, one frame at a time.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, RgbaImage};

use super::decode::{limits, unreadable};
use super::format::{Format, LARGEST_EDGE, MOST_PIXELS, Unreadable, format};
use crate::inference::contain::contained;

/// At most `count` images of a film, evenly spread: the middle frame of each of `count` parts of equal length. A still picture
/// is a film of one frame, and given as it is.
///
/// # Errors
/// The reason why the bytes are no film that is decoded.
pub(crate) fn frames(film: &[u8], count: usize) -> Result<Vec<Vec<u8>>, String> {
    let decode = || decode(film, count).map_err(|error| error.to_string());
    contained(decode).unwrap_or_else(|panic| Err(format!("its decoder failed: {panic}")))
}

fn decode(film: &[u8], count: usize) -> Result<Vec<Vec<u8>>, Unreadable> {
    let format = format(film)?;
    let there = match format {
        Format::Jpeg => 1,
        Format::Gif => frames_of_gif(film)?,
        Format::Png => chunks_of_png(film).filter(|kind| *kind == b"fcTL").count(),
        Format::WebP => chunks_of_webp(film).filter(|kind| *kind == b"ANMF").count(),
    };
    if there <= 1 {
        return Ok(vec![film.to_vec()]);
    }
    let failed = |error| unreadable(format, &error);
    let bytes = Cursor::new(film);
    let frames = match format {
        Format::Gif => checked(format, GifDecoder::new(bytes))?.into_frames(),
        Format::WebP => checked(format, WebPDecoder::new(bytes))?.into_frames(),
        Format::Png | Format::Jpeg => {
            checked(format, PngDecoder::with_limits(bytes, limits()))?.apng().map_err(failed)?.into_frames()
        }
    };
    let mut wanted = spread(there, count).peekable();
    let mut images = Vec::new();
    for (place, frame) in frames.enumerate() {
        let Some(next) = wanted.peek() else { break };
        let frame = frame.map_err(failed)?;
        if place == *next {
            images.push(png(frame.into_buffer()).map_err(failed)?);
            wanted.next();
        }
    }
    if wanted.peek().is_some() {
        return Err(Unreadable::Damaged(format.name(), format!("it says that it has {there} frames, and has fewer")));
    }
    Ok(images)
}

/// The places of `count` of `there` frames, or all of them.
fn spread(there: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(there);
    (0..count).map(move |part| (2 * part + 1) * there / (2 * count))
}

/// A decoder whose frames are not too large.
fn checked<D: ImageDecoder>(format: Format, decoder: Result<D, ImageError>) -> Result<D, Unreadable> {
    let failed = |error| unreadable(format, &error);
    let mut decoder = decoder.map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    if width.saturating_mul(height) > MOST_PIXELS || width.max(height) > LARGEST_EDGE {
        return Err(Unreadable::TooLarge(format.name(), width, height));
    }
    decoder.set_limits(limits()).map_err(failed)?;
    Ok(decoder)
}

/// A frame as a file; what shines through is dropped, as where a picture is read.
fn png(frame: RgbaImage) -> Result<Vec<u8>, ImageError> {
    let frame = DynamicImage::ImageRgba8(frame).into_rgb8();
    let mut file = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive);
    encoder.write_image(&frame, frame.width(), frame.height(), ExtendedColorType::Rgb8)?;
    Ok(file)
}

/// How many frames a GIF has.
fn frames_of_gif(film: &[u8]) -> Result<usize, Unreadable> {
    let failed = |error: gif::DecodingError| Unreadable::Damaged(Format::Gif.name(), error.to_string());
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut reader = options.read_info(Cursor::new(film)).map_err(failed)?;
    let mut count = 0;
    while reader.next_frame_info().map_err(failed)?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// The kinds of the chunks of a PNG: behind eight bytes each has its length, its kind, its content and a checksum.
fn chunks_of_png(film: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    chunks(film, 8, |head| {
        let (length, kind) = head.split_first_chunk::<4>()?;
        Some((kind.first_chunk::<4>()?, 12 + u32::from_be_bytes(*length) as usize))
    })
}

/// The kinds of the chunks of a WebP: behind twelve bytes each has its kind, its length and its content, filled up to an even
/// number of bytes.
fn chunks_of_webp(film: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    chunks(film, 12, |head| {
        let (kind, rest) = head.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        Some((kind, 8 + length.next_multiple_of(2)))
    })
}

/// The kinds of chunks, of which `head` reads the kind and the bytes to the next one.
fn chunks<'a>(
    film: &'a [u8],
    begin: usize,
    head: impl Fn(&'a [u8]) -> Option<(&'a [u8; 4], usize)>,
) -> impl Iterator<Item = &'a [u8; 4]> {
    let mut rest = film.get(begin..);
    std::iter::from_fn(move || {
        let (kind, length) = head(rest?)?;
        rest = rest?.get(length..);
        Some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_evenly() {
        let places = |there, count| spread(there, count).collect::<Vec<_>>();
        assert_eq!(places(10, 1), [5]);
        assert_eq!(places(10, 5), [1, 3, 5, 7, 9]);
        assert_eq!(places(7, 3), [1, 3, 5]);
        assert_eq!(places(3, 8), [0, 1, 2]);
    }
}
