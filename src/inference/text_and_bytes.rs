//! Texts with pictures: the preprocessor of models that read both.
//!
//! Takes rows of a text and a picture's file, either of which may be missing; gives tokens, pixels and which of the two are
//! there. In place of a text that is missing stands another, and zeros in place of a picture: the graph multiplies the vectors
//! of both by 0.

use std::ops::Range;
use std::path::Path;

use arrow::array::StringArray;
use debut_udfs::model::{Input, Stats};
use ort::session::SessionInputValue;
use ort::value::{Outlet, Tensor as OwnedTensor, TensorElementType};

use super::Error;
use super::image::{ImagePreprocessor, Pictures};
use super::preprocessor::{ChunkSize, Prepared, Preprocessor};
use super::tensor::Tensor;
use super::tokenizer::Tokenizer;
use super::tokens::{PaddedTokens, TENSORS};
use crate::onnx::join::{HAS_IMAGE, HAS_TEXT};

/// What is tokenized in place of a text that is missing: every tokenizer makes a token of it, and not of nothing.
pub(crate) const NO_TEXT: &str = "-";

/// Makes texts and pictures ready.
#[derive(Debug)]
pub(super) struct TextAndBytes {
    texts: Tokenizer,
    pictures: ImagePreprocessor,
}

impl TextAndBytes {
    /// The preprocessor of the model version in `folder`, which reads at most `max_tokens` of a text.
    ///
    /// # Errors
    /// A file of it is gone or damaged, or asks for what is not done here.
    pub(super) fn open(model: &str, folder: &Path, max_tokens: usize) -> Result<Self, Error> {
        Ok(Self {
            texts: Tokenizer::open(model, &folder.join("tokenizer.json"), max_tokens)?,
            pictures: ImagePreprocessor::open(model, folder)?,
        })
    }
}

impl Preprocessor for TextAndBytes {
    fn makes(&self) -> String {
        format!("{}; {}; {HAS_TEXT} and {HAS_IMAGE}, float32 [batch, 1]", self.texts.makes(), self.pictures.makes())
    }

    fn tensor(&self, input: &Outlet) -> Option<Tensor> {
        if [HAS_TEXT, HAS_IMAGE].contains(&input.name()) {
            let is_float = input.dtype().tensor_type() == Some(TensorElementType::Float32);
            return is_float.then(|| Tensor::given(input));
        }
        if TENSORS.contains(&input.name()) { self.texts.tensor(input) } else { self.pictures.tensor(input) }
    }

    fn chunk(&self) -> ChunkSize {
        let (texts, pictures) = (self.texts.chunk(), self.pictures.chunk());
        ChunkSize { rows: texts.rows.min(pictures.rows), bytes: pictures.bytes }
    }

    fn prepare(
        &self,
        input: &Input,
        rows: Range<usize>,
        prompt: &str,
        cancelled: &(dyn Fn() -> bool + Sync),
        stats: &Stats,
    ) -> Box<dyn Prepared> {
        let text = |row: usize| match input {
            Input::TextAndBytes(texts, _) if input.present(row)[0] => texts.value(row),
            _ => NO_TEXT,
        };
        let texts = Input::Texts(StringArray::from_iter_values(rows.clone().map(text)));
        let tokens = self.texts.encode(&texts, 0..rows.len(), prompt, cancelled, stats);
        let tokens = PaddedTokens { tokens, padding_id: self.texts.padding_id() };
        let present = rows.clone().map(|row| input.present(row)).collect();
        let file = |row: usize| input.present(row)[1].then(|| input.row(row).1);
        let pictures = self.pictures.prepare_files(rows, file, cancelled, stats);
        let mut failures = [tokens.failures(), pictures.failures()].concat();
        failures.sort_by_key(|(row, _)| *row);
        failures.dedup_by_key(|(row, _)| *row);
        Box::new(Both { tokens, pictures, present, failures })
    }
}

/// Consecutive rows, with their tokens and their pixels.
#[derive(Debug)]
struct Both {
    tokens: PaddedTokens,
    pictures: Pictures,
    /// Of each row, whether its text and its picture are there.
    present: Vec<[bool; 2]>,
    failures: Vec<(usize, String)>,
}

impl Both {
    /// 1 where a part of a row is there, 0 where it is not.
    fn present(&self, rows: &[u32], part: usize) -> Result<SessionInputValue<'static>, ort::Error> {
        let values: Vec<f32> = rows.iter().map(|row| f32::from(u8::from(self.present[*row as usize][part]))).collect();
        Ok(OwnedTensor::from_array(([rows.len(), 1], values))?.into())
    }
}

impl Prepared for Both {
    fn rows(&self) -> usize {
        // Of a job that nobody waits for any more, not all texts are tokenized.
        self.tokens.rows().min(self.present.len())
    }

    fn length(&self, row: usize) -> usize {
        match (self.tokens.length(row), self.pictures.length(row)) {
            (0, _) | (_, 0) => 0,
            (tokens, squares) => tokens + squares,
        }
    }

    fn failures(&self) -> &[(usize, String)] {
        &self.failures
    }

    fn value<'a>(
        &'a self,
        rows: &[u32],
        longest: usize,
        tensor: &'a mut Tensor,
    ) -> Result<SessionInputValue<'a>, ort::Error> {
        match tensor.name() {
            HAS_TEXT => self.present(rows, 0),
            HAS_IMAGE => self.present(rows, 1),
            name if TENSORS.contains(&name) => {
                // Pictures are all of one length, so that the longest row has the longest text.
                let squares = rows.first().map_or(0, |row| self.pictures.length(*row as usize));
                self.tokens.value(rows, longest - squares.min(longest), tensor)
            }
            _ => self.pictures.gather(rows),
        }
    }
}
