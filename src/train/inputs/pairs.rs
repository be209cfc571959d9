//! The texts with pictures of a training as what the graph reads: takes both as a dataset has them and a version that reads
//! both, gives tokens, pixels and which of the two are there, of any rows.

use arrow::array::{Array, StringViewArray};

use super::pictures::Pictures;
use super::{Inputs, Reading, TokenizedTexts, View};
use crate::inference::text_and_bytes::NO_TEXT;
use crate::onnx::architectures::PIXELS;
use crate::onnx::join::{HAS_IMAGE, HAS_TEXT};
use crate::registry::ModelVersion;
use crate::train::data::PairColumn;
use crate::train::failure::{Result, Stopped};
use crate::train::step::{Feed, FeedValues};

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    /// The last one stands for a text that is missing, as where the version is scored.
    texts: TokenizedTexts,
    no_text: u32,
    pictures: Pictures,
    pairs: Vec<[Option<u32>; 2]>,
}

impl Pairs {
    /// The pairs as `version` reads them.
    ///
    /// # Errors
    /// [`Stopped::Cancelled`]; or what makes its inputs ready cannot be opened.
    pub(super) fn open(column: &PairColumn, version: &ModelVersion, reading: &Reading<'_>) -> Result<Self, Stopped> {
        let no_text = column.texts.len() as u32;
        let texts = StringViewArray::from_iter(column.texts.iter().chain([Some(NO_TEXT)]));
        Ok(Self {
            texts: TokenizedTexts::new(&texts, version, &reading.prompt, reading.max_tokens, reading.stop)?,
            no_text,
            pictures: Pictures::open(&column.pictures, version, reading.augmentation)?,
            pairs: column.pairs.clone(),
        })
    }
}

impl Inputs for Pairs {
    fn feeds(&self, rows: &[u32], view: View) -> Result<Vec<Feed>> {
        let pairs = rows.iter().map(|row| self.pairs[*row as usize]).collect::<Vec<_>>();
        let texts = pairs.iter().map(|[text, _]| text.unwrap_or(self.no_text)).collect::<Vec<_>>();
        let mut feeds = self.texts.padded(&texts);
        let pictures = pairs.iter().filter_map(|[_, picture]| *picture).collect::<Vec<_>>();
        let [channels, height, width] = self.pictures.shape();
        let mut pixels = self.pictures.feeds(&pictures, view)?;
        for feed in &mut pixels {
            if let (PIXELS, FeedValues::F32(values)) = (feed.name.as_str(), &mut feed.values) {
                *values = spread(std::mem::take(values), &pairs, channels * height * width);
                feed.shape[0] = rows.len();
            }
        }
        feeds.append(&mut pixels);
        for (part, name) in [HAS_TEXT, HAS_IMAGE].into_iter().enumerate() {
            let there = pairs.iter().map(|pair| f32::from(u8::from(pair[part].is_some()))).collect();
            feeds.push(Feed::f32(name, &[rows.len(), 1], there));
        }
        Ok(feeds)
    }
}

/// The pixels of those that have pictures, `size` numbers each, with zeros in between for those that have none.
fn spread(pixels: Vec<f32>, pairs: &[[Option<u32>; 2]], size: usize) -> Vec<f32> {
    if pixels.len() == pairs.len() * size {
        return pixels;
    }
    let mut given = pixels.chunks_exact(size);
    let mut all = vec![0.0; pairs.len() * size];
    for (slots, [_, picture]) in all.chunks_exact_mut(size).zip(pairs) {
        if let Some(pixels) = picture.and_then(|_| given.next()) {
            slots.copy_from_slice(pixels);
        }
    }
    all
}
