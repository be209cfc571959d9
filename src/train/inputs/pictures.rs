//! The pictures of a training as what the graph reads: takes a dataset's pictures as the bytes of their files and a version's
//! `preprocessor_config.json`, gives the pixels of any rows of them. Files are held, never all pixels: a batch is decoded
//! whenever it is needed, on the threads that prepare inputs.

use super::{Inputs, View};
use crate::inference::image::{Augmentation, ImagePreprocessor};
use crate::inference::threads::preprocessor_pool;
use crate::onnx::architectures::PIXELS;
use crate::registry::ModelVersion;
use crate::train::data::PictureColumn;
use crate::train::failure::{Result, failed};
use crate::train::random::Purpose;
use crate::train::step::Feed;

/// All pictures, and how they are made ready.
#[derive(Debug)]
pub(super) struct Pictures {
    column: PictureColumn,
    preprocessor: ImagePreprocessor,
    augmentation: Augmentation,
}

impl Pictures {
    /// The pictures as `version` reads them.
    ///
    /// # Errors
    /// The version's file is gone, or asks for what is not done here.
    pub(super) fn open(column: &PictureColumn, version: &ModelVersion, augmentation: Augmentation) -> Result<Self> {
        let preprocessor = ImagePreprocessor::open(&version.reference(), &version.path).map_err(failed)?;
        Ok(Self { column: column.clone(), preprocessor, augmentation })
    }

    /// Channels, height and width of the pixels.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.preprocessor.shape()
    }
}

impl Inputs for Pictures {
    fn feeds(&self, rows: &[u32], view: View) -> Result<Vec<Feed>> {
        let changes = match view {
            View::AsIs => Vec::new(),
            View::Training { seed, epoch, batch } => {
                let mut random = Purpose::Augmentation.of_batch(seed, epoch, batch);
                rows.iter().map(|_| self.augmentation.draw(&mut random)).collect()
            }
        };
        let files = rows.iter().map(|row| self.column.bytes.value(*row as usize)).collect::<Vec<_>>();
        let pool = preprocessor_pool().map_err(failed)?;
        let pixels = pool.install(|| self.preprocessor.pixels(&files, &changes)).map_err(|(place, reason)| {
            let row = rows.get(place).and_then(|row| self.column.rows.get(*row as usize)).copied().unwrap_or_default();
            failed(Undecoded { row, reason })
        })?;
        let [channels, height, width] = self.preprocessor.shape();
        Ok(vec![Feed::f32(PIXELS, &[rows.len(), channels, height, width], pixels)])
    }
}

/// A picture that cannot be trained on.
#[derive(Debug, thiserror::Error)]
#[error(
    "the picture in row {row} of 'examples' cannot be trained on: {reason}; leave such rows out with WHERE try_embed(image, \
     model).error IS NULL"
)]
struct Undecoded {
    row: u32,
    reason: String,
}
