//! Pictures to pixels: the preprocessor of models that read images.
//!
//! Takes the `preprocessor_config.json` of a model version and rows of bytes; gives the graph's input `pixel_values`, float32
//! `[batch, 3, height, width]`.
//!
//! # Layout, in the order that a picture goes
//! - [`crate::registry::pictures`] reads what the model's file asks for
//! - `format`: of what format bytes are, and which are none that is read
//! - `decode` (`jpeg` and `gif` for those formats): bytes to a `picture`: RGB, upright, within limits
//! - `augment`: how a picture that is trained on is changed
//! - `resize`: RGB to the size that the graph reads
//! - `frames`: some pictures of a film; `thumbnail`: a small one for people
//! - `pixels`: many pictures, on all threads, into the tensor of a run
//!
//! The pixels are those of Pillow and of the image processors of `transformers`, within one level of 255 where a picture is
//! resized; `tests` holds that.

mod augment;
mod decode;
mod format;
mod frames;
mod gif;
mod jpeg;
mod picture;
mod pixels;
mod resize;
#[cfg(test)]
mod tests;
mod thumbnail;

pub(crate) use augment::Augmentation;
pub(crate) use frames::frames;
pub(crate) use pixels::ImagePreprocessor;
pub(super) use pixels::Pictures;
pub(crate) use thumbnail::thumbnail;
