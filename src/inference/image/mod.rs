//! Pictures to pixels: the preprocessor of models that read images.
//!
//! Takes the `preprocessor_config.json` of a model version and rows of bytes; gives the graph's input `pixel_values`, float32
//! `[batch, 3, height, width]`.
//!
//! # Layout, in the order that a picture goes
//! - `config`: what the model's file asks for, as `steps`
//! - `format`: of what format bytes are, and which are none that is read
//! - `decode` (`jpeg` for that format): bytes to a `picture`: RGB, upright, within limits
//! - `augment`: how a picture that is trained on is changed
//! - `resize`: RGB to the size that the graph reads
//! - `pixels`: many pictures, on all threads, into the tensor of a run
//!
//! The pixels are those of Pillow and of the image processors of `transformers`, within one level of 255 where a picture is
//! resized; `tests` holds that.

mod augment;
mod config;
mod decode;
mod format;
mod jpeg;
mod picture;
mod pixels;
mod resize;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use augment::Augmentation;
pub(crate) use pixels::ImagePreprocessor;
