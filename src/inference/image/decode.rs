//! Bytes to RGB: the first frame of a picture, upright.
//!
//! Takes the bytes of a JPEG, PNG, WebP or GIF; leaves rows of RGB in a buffer that is kept from picture to picture. How much
//! a picture may take is checked on its header, before anything of its size is allocated. Colours are those of Pillow's
//! `convert("RGB")`: transparency is dropped and not blended.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, Limits};

use super::format::{Format, MOST_PIXELS, Unreadable, format};
use super::picture::Picture;
use super::{gif, jpeg};

/// The most bytes that a pixel takes while it is decoded: four channels of 16 bits.
const MOST_BYTES_PER_PIXEL: usize = 8;

impl Picture {
    /// Decodes a picture into this one.
    ///
    /// # Errors
    /// The bytes are no picture, or one that is not decoded.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        match format(bytes)? {
            Format::Jpeg => jpeg::decode(bytes, self),
            Format::Png => {
                let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits());
                self.read(Format::Png, decoder)
            }
            Format::Gif => gif::decode(bytes, self),
            Format::WebP => self.read(Format::WebP, WebPDecoder::new(Cursor::new(bytes))),
        }
    }

    fn read(&mut self, format: Format, decoder: Result<impl ImageDecoder, ImageError>) -> Result<(), Unreadable> {
        let failed = |error| unreadable(format, &error);
        let mut decoder = decoder.map_err(failed)?;
        let (width, height) = decoder.dimensions();
        let _turn = self.make_room(format, width as usize, height as usize)?;
        decoder.set_limits(limits()).map_err(failed)?;
        // Damage in what the picture says of itself is no damage of its pixels.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let color = decoder.color_type();
        if color == ColorType::Rgb8 {
            decoder.read_image(&mut self.rgb).map_err(failed)?;
        } else {
            // Nothing larger than the limits allow: the pixels were counted.
            self.stored.resize(self.width * self.height * usize::from(color.bytes_per_pixel()), 0);
            decoder.read_image(&mut self.stored).map_err(failed)?;
            if !to_rgb(color, &self.stored, &mut self.rgb) {
                return Err(Unreadable::Damaged(format.name(), format!("its pixels are {color:?}")));
            }
        }
        self.turn(orientation);
        Ok(())
    }
}

pub(super) fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some((MOST_PIXELS * MOST_BYTES_PER_PIXEL) as u64);
    limits
}

pub(super) fn unreadable(format: Format, error: &ImageError) -> Unreadable {
    match error {
        ImageError::Limits(_) => Unreadable::Memory(format.name()),
        ImageError::Decoding(_) | ImageError::IoError(_) => {
            let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
            Unreadable::Damaged(format.name(), reason)
        }
        error => Unreadable::Damaged(format.name(), error.to_string()),
    }
}

/// Pixels in RGB, as Pillow converts them: of 16 bits the upper 8, but of 16 bits of grey no more than 255. `false` if they are
/// of another kind.
fn to_rgb(color: ColorType, stored: &[u8], rgb: &mut [u8]) -> bool {
    let upper = |bytes: &[u8]| (u16::from_ne_bytes([bytes[0], bytes[1]]) >> 8) as u8;
    let pixels = rgb.chunks_exact_mut(3).zip(stored.chunks_exact(usize::from(color.bytes_per_pixel())));
    match color {
        ColorType::L8 | ColorType::La8 => pixels.for_each(|(rgb, stored)| rgb.fill(stored[0])),
        ColorType::Rgba8 => pixels.for_each(|(rgb, stored)| rgb.copy_from_slice(&stored[..3])),
        ColorType::L16 => {
            pixels.for_each(|(rgb, stored)| rgb.fill(u16::from_ne_bytes([stored[0], stored[1]]).min(255) as u8));
        }
        ColorType::La16 => pixels.for_each(|(rgb, stored)| rgb.fill(upper(stored))),
        ColorType::Rgb16 | ColorType::Rgba16 => pixels.for_each(|(rgb, stored)| {
            for (level, stored) in rgb.iter_mut().zip(stored.chunks_exact(2)) {
                *level = upper(stored);
            }
        }),
        _ => return false,
    }
    true
}
