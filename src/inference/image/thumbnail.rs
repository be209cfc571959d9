//! Small pictures for people: takes the bytes of a picture, gives a JPEG of it that is as large as a thumbnail.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbImage};

use super::picture::Picture;
use crate::inference::contain::contained;

/// Of a JPEG, from 1 to 100.
const QUALITY: u8 = 80;

/// A picture as a JPEG whose longer edge is at most `edge` pixels. A smaller picture keeps its size.
///
/// # Errors
/// The reason why the bytes are no picture that is decoded.
pub(crate) fn thumbnail(bytes: &[u8], edge: u32) -> Result<Vec<u8>, String> {
    contained(|| draw(bytes, edge)).unwrap_or_else(|panic| Err(format!("its decoder failed: {panic}")))
}

fn draw(bytes: &[u8], edge: u32) -> Result<Vec<u8>, String> {
    let mut picture = Picture::default();
    picture.decode(bytes).map_err(|error| error.to_string())?;
    // Edges are below 2^16.
    let (width, height) = (picture.width as u32, picture.height as u32);
    let rgb = RgbImage::from_raw(width, height, picture.rgb).ok_or("it has fewer pixels than it says")?;
    let small = match DynamicImage::ImageRgb8(rgb) {
        large if width.max(height) > edge => large.thumbnail(edge, edge),
        small => small,
    };
    let small = small.into_rgb8();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, QUALITY)
        .write_image(&small, small.width(), small.height(), ExtendedColorType::Rgb8)
        .map_err(|error| error.to_string())?;
    Ok(file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io::Cursor;

    use image::ImageFormat;

    use super::*;

    fn size_of(file: &[u8]) -> (usize, usize) {
        let mut picture = Picture::default();
        picture.decode(file).unwrap();
        (picture.width, picture.height)
    }

    #[test]
    fn a_thumbnail_is_small_and_has_the_shape_and_colours_of_its_picture() {
        let draw = |width, height| {
            let mut file = Cursor::new(Vec::new());
            let red = RgbImage::from_pixel(width, height, image::Rgb([200, 30, 30]));
            red.write_to(&mut file, ImageFormat::Png).unwrap();
            thumbnail(file.get_ref(), 96).unwrap()
        };
        assert_eq!(size_of(&draw(960, 480)), (96, 48));
        assert_eq!(size_of(&draw(20, 30)), (20, 30));
        assert_eq!(size_of(&draw(5_000, 1)), (96, 1));
        let mut picture = Picture::default();
        picture.decode(&draw(960, 480)).unwrap();
        assert!(picture.rgb.chunks(3).all(|pixel| pixel.iter().zip([200, 30, 30]).all(|(a, b)| a.abs_diff(b) <= 3)));
    }

    #[test]
    fn what_is_no_picture_says_why() {
        assert!(thumbnail(b"no picture", 96).unwrap_err().contains("text"));
    }
}
