//! RGB to the size that a graph reads: resized with Pillow's filters, cropped in the middle, black where nothing is.
//!
//! Takes a picture and the [`Steps`]; gives the part of it that is kept. Only that part is computed: a picture of 1 x 60,000
//! pixels would be 224 x 13,440,000 otherwise.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::format::MOST_PIXELS;
use super::picture::Picture;
use crate::registry::pictures::{Filter, Size, Steps};

/// Red, green and blue.
pub(super) const CHANNELS: usize = 3;

impl Filter {
    /// The filter, and how far it reaches in pixels; `None` for the one that is none.
    fn convolution(self) -> Option<(FilterType, f64)> {
        Some(match self {
            Self::Nearest => return None,
            Self::Lanczos => (FilterType::Lanczos3, 3.0),
            Self::Bilinear => (FilterType::Bilinear, 1.0),
            Self::Bicubic => (FilterType::CatmullRom, 2.0),
            Self::Box => (FilterType::Box, 0.5),
            Self::Hamming => (FilterType::Hamming, 1.0),
        })
    }

    /// Whether a level may come out beyond those that went in, and is cut at 0 or 255 after each direction: then it matters
    /// which direction is first.
    fn overshoots(self) -> bool {
        matches!(self, Self::Lanczos | Self::Bicubic)
    }
}

/// One edge of what is kept of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Where it begins in the resized picture.
    pub(super) from: usize,
    /// Its length.
    pub(super) length: usize,
    /// Where it begins in the output.
    pub(super) at: usize,
}

impl Span {
    /// The middle of an edge, or the whole of it in the middle of a longer one.
    fn middle(resized: usize, output: usize) -> Self {
        if resized >= output {
            Self { from: (resized - output) / 2, length: output, at: 0 }
        } else {
            Self { from: 0, length: resized, at: (output - resized).div_ceil(2) }
        }
    }
}

/// The pixel under the middle of each pixel. Pillow adds up steps, which rounds in its own way.
fn nearest(picture: &Picture, spans: [Span; 2], scale: [f64; 2], out: &mut [u8]) {
    let places = |span: Span, scale: f64, edge: usize| {
        let mut at = 0.5 * scale;
        let mut places = Vec::with_capacity(span.length);
        for place in 0..span.from + span.length {
            if place >= span.from {
                places.push((at as usize).min(edge - 1));
            }
            at += scale;
        }
        places
    };
    let [across, down] = spans;
    let (columns, rows) = (places(across, scale[0], picture.width), places(down, scale[1], picture.height));
    for (line, row) in out.chunks_exact_mut(CHANNELS * across.length).zip(rows) {
        let source = &picture.rgb[CHANNELS * picture.width * row..][..CHANNELS * picture.width];
        for (pixel, column) in line.chunks_exact_mut(CHANNELS).zip(&columns) {
            pixel.copy_from_slice(&source[CHANNELS * column..][..CHANNELS]);
        }
    }
}

/// Resizes pictures; its buffers are kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct Resized {
    resizer: Resizer,
    /// Resized in one direction.
    lines: Vec<u8>,
    /// Rows of RGB: `height.length` of `width.length` pixels.
    rgb: Vec<u8>,
}

/// The pixels of a picture that are kept, and where they belong in the output.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) rgb: &'a [u8],
    pub(super) width: Span,
    pub(super) height: Span,
    /// Bytes from one row to the next.
    pub(super) stride: usize,
}

impl Resized {
    /// What `steps` keep of a picture.
    ///
    /// # Errors
    /// The picture cannot be resized to that size.
    pub(super) fn resize<'a>(&'a mut self, picture: &'a Picture, steps: &Steps) -> Result<Kept<'a>, String> {
        let (height, width) = match steps.resize {
            None => (picture.height, picture.width),
            Some((Size::Exact([height, width]), _)) => (height, width),
            Some((Size::ShortestEdge(edge), _)) if picture.width <= picture.height => {
                (edge * picture.height / picture.width, edge)
            }
            Some((Size::ShortestEdge(edge), _)) => (edge, edge * picture.width / picture.height),
        };
        let [rows, columns] = steps.output;
        let (across, down) = (Span::middle(width, columns), Span::middle(height, rows));
        let filter = match steps.resize {
            Some((_, filter)) if (height, width) != (picture.height, picture.width) => filter,
            _ => {
                let stride = CHANNELS * picture.width;
                let first = down.from * stride + CHANNELS * across.from;
                return Ok(Kept { rgb: &picture.rgb[first..], width: across, height: down, stride });
            }
        };
        let scale = |picture: usize, resized: usize| picture as f64 / resized as f64;
        let scale = [scale(picture.width, width), scale(picture.height, height)];
        self.rgb.resize(CHANNELS * across.length * down.length, 0);
        match filter.convolution() {
            None => nearest(picture, [across, down], scale, &mut self.rgb),
            Some((convolution, radius)) => self
                .convolve(picture, [across, down], scale, convolution, radius, filter.overshoots())
                .map_err(|error| format!("it cannot be resized to {width} x {height}: {error}"))?,
        }
        Ok(Kept { rgb: &self.rgb, width: across, height: down, stride: CHANNELS * across.length })
    }

    /// Pillow resizes across and then down, unless that makes the picture wider and lower; the library does the other first.
    /// The faster order is taken where both give the same.
    fn convolve(
        &mut self,
        picture: &Picture,
        [across, down]: [Span; 2],
        [x, y]: [f64; 2],
        filter: FilterType,
        radius: f64,
        overshoots: bool,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Self { resizer, lines, rgb } = self;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
        // Rounding must not leave the picture by the last of its digits.
        let window = |span: Span, scale: f64, edge: usize| {
            let length = (span.length as f64 * scale).min(edge as f64);
            ((span.from as f64 * scale).min(edge as f64 - length), length)
        };
        let ((left, wide), (top, high)) = (window(across, x, picture.width), window(down, y, picture.height));
        // Edges of pictures and of models are below 2^16.
        let source = ImageRef::new(picture.width as u32, picture.height as u32, &picture.rgb, PixelType::U8x3)?;
        let columns = across.length as u32;
        let mut target = Image::from_slice_u8(columns, down.length as u32, rgb, PixelType::U8x3)?;

        let reach = radius * y.max(1.0) + 1.0;
        let first = (top - reach).floor().max(0.0);
        let rows = (top + high + reach).ceil().min(picture.height as f64) - first;
        // What lies between the two directions; a very long picture would make much of it.
        let (then_down, then_across) = (across.length * rows as usize, picture.width * down.length);
        let across_first = if overshoots { x >= 1.0 || y <= 1.0 } else { then_down <= then_across };
        if (across_first && then_down <= MOST_PIXELS) || then_across > MOST_PIXELS {
            lines.resize(CHANNELS * then_down, 0);
            let mut between = Image::from_slice_u8(columns, rows as u32, lines, PixelType::U8x3)?;
            resizer.resize(&source, &mut between, &options.crop(left, first, wide, rows))?;
            resizer.resize(&between, &mut target, &options.crop(0.0, top - first, across.length as f64, high))?;
        } else {
            resizer.resize(&source, &mut target, &options.crop(left, top, wide, high))?;
        }
        Ok(())
    }

    /// Gives back what a large picture took.
    pub(super) fn trim(&mut self, most: usize) {
        if self.lines.capacity() > most {
            self.lines = Vec::new();
        }
        if self.resizer.size_of_internal_buffers() > most {
            self.resizer.reset_internal_buffers();
            self.resizer = Resizer::new();
        }
    }
}

impl Kept<'_> {
    /// Writes the pixels into a tensor of `[3, height, width]`, each level as its number.
    pub(super) fn write(&self, steps: &Steps, out: &mut [f32]) {
        let [rows, columns] = steps.output;
        let is_whole = self.width.length == columns && self.height.length == rows;
        for (channel, (plane, levels)) in out.chunks_exact_mut(rows * columns).zip(&steps.levels).enumerate() {
            if !is_whole {
                plane.fill(levels[0]);
            }
            let lines = plane.chunks_exact_mut(columns).skip(self.height.at).take(self.height.length);
            for (line, source) in lines.zip(self.rgb.chunks(self.stride)) {
                let line = &mut line[self.width.at..][..self.width.length];
                for (number, pixel) in line.iter_mut().zip(source.chunks_exact(CHANNELS)) {
                    *number = levels[usize::from(pixel[channel])];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_where_transformers_finds_it() {
        for (resized, output, from, length, at) in
            [(10, 4, 3, 4, 0), (9, 4, 2, 4, 0), (4, 4, 0, 4, 0), (4, 9, 0, 4, 3), (1, 4, 0, 1, 2)]
        {
            assert_eq!(Span::middle(resized, output), Span { from, length, at }, "{resized} in {output}");
        }
    }
}
