//! GIF: takes the bytes of a file, leaves the first frame on its canvas, as RGB, in a [`Picture`].
//!
//! Where the frame leaves the canvas free it has the colour that Pillow gives it: the transparent one of the frame's palette, or
//! its first.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::format::{Format, MOST_PIXELS, Unreadable};
use super::picture::Picture;

/// Colours that an index can name.
const COLORS: usize = 256;

/// Decodes a GIF.
///
/// # Errors
/// It is damaged, has no picture, or is too large.
pub(super) fn decode(bytes: &[u8], picture: &mut Picture) -> Result<(), Unreadable> {
    let failed = |error: gif::DecodingError| Unreadable::Damaged(Format::Gif.name(), error.to_string());
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(std::num::NonZeroU64::MIN.saturating_add(MOST_PIXELS as u64)));
    let mut reader = options.read_info(Cursor::new(bytes)).map_err(failed)?;
    let canvas = [reader.width(), reader.height()].map(usize::from);
    let global = palette(reader.global_palette());
    let frame = reader.next_frame_info().map_err(failed)?.ok_or(Unreadable::NoPixels(Format::Gif.name()))?;
    let [left, top, width, height] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
    let colors = if frame.palette.is_some() { palette(frame.palette.as_deref()) } else { global };
    let free = colors[usize::from(frame.transparent.unwrap_or(0))];

    // A frame that goes beyond the canvas makes it larger.
    let canvas = [canvas[0].max(left + width), canvas[1].max(top + height)];
    let _turn = picture.make_room(Format::Gif, canvas[0], canvas[1])?;
    picture.stored.clear();
    picture.stored.resize(width * height, 0);
    reader.read_into_buffer(&mut picture.stored).map_err(failed)?;
    if (width, height) != (canvas[0], canvas[1]) {
        picture.rgb.as_chunks_mut().0.fill(free);
    }
    let rows = picture.rgb.chunks_exact_mut(3 * canvas[0]).skip(top);
    for (row, indices) in rows.zip(picture.stored.chunks_exact(width.max(1))) {
        let pixels = row[3 * left..][..3 * width].as_chunks_mut().0.iter_mut();
        pixels.zip(indices).for_each(|(pixel, index)| *pixel = colors[usize::from(*index)]);
    }
    Ok(())
}

/// The colours of a palette; those that it lacks are greys, as in Pillow.
fn palette(stored: Option<&[u8]>) -> [[u8; 3]; COLORS] {
    let mut colors = std::array::from_fn(|index| [index as u8; 3]);
    let stored = stored.unwrap_or_default().as_chunks().0;
    colors.iter_mut().zip(stored).for_each(|(color, stored)| *color = *stored);
    colors
}
