//! A picture in RGB, and the room that it takes.
//!
//! Takes the size that a header says; gives room for the pixels, if they are not too many, and turns them upright.

use std::mem::take;
use std::sync::{Mutex, PoisonError};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::format::{Format, LARGEST_EDGE, MOST_PIXELS, Unreadable};

/// Of pictures with more pixels than this, one is decoded at a time in the whole process.
const LARGE_PIXELS: usize = 16 << 20;

/// Buffers that grew past this are not kept for the next picture.
const KEPT_BYTES: usize = 16 << 20;

static LARGE: Mutex<()> = Mutex::new(());

/// A picture, and room for what it is made of.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Rows of RGB, from the top.
    pub(super) rgb: Vec<u8>,
    /// Pixels as they were stored, where that is not RGB.
    pub(super) stored: Vec<u8>,
}

impl Picture {
    /// Makes room for a picture of this size; gives the permit to decode it, which is held until it is decoded.
    ///
    /// # Errors
    /// It has no pixels, or more than are decoded.
    pub(super) fn make_room(
        &mut self,
        format: Format,
        width: usize,
        height: usize,
    ) -> Result<Option<impl Drop + use<>>, Unreadable> {
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err(Unreadable::NoPixels(format.name()));
        }
        if pixels > MOST_PIXELS || width.max(height) > LARGEST_EDGE {
            return Err(Unreadable::TooLarge(format.name(), width, height));
        }
        let turn = (pixels > LARGE_PIXELS).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
        (self.width, self.height) = (width, height);
        self.rgb.resize(3 * pixels, 0);
        Ok(turn)
    }

    /// Turns the picture as the camera was held.
    pub(super) fn turn(&mut self, orientation: Orientation) {
        if orientation == Orientation::NoTransforms {
            return;
        }
        // Edges are below 2^16.
        let (width, height) = (self.width as u32, self.height as u32);
        let Some(rgb) = RgbImage::from_raw(width, height, take(&mut self.rgb)) else { return };
        let mut picture = DynamicImage::ImageRgb8(rgb);
        picture.apply_orientation(orientation);
        (self.width, self.height) = (picture.width() as usize, picture.height() as usize);
        self.rgb = picture.into_bytes();
    }

    /// Gives back the memory of a large picture.
    pub(super) fn trim(&mut self) {
        for buffer in [&mut self.rgb, &mut self.stored] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }
}
