//! Items without a history, as a call's table has them: takes their texts, prices and pictures, gives candidates; and the same items
//! with other texts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryViewArray, StringArray, UInt32Array};
use arrow::compute::take;
use datafusion::common::cast::as_binary_view_array;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::Stats;
use debut_udfs::trainer::Table;

use crate::cancellation::Stop;
use crate::recommend::components::Texts;
use crate::recommend::dataset::ids::Ids;
use crate::recommend::dataset::interactions::Items;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::model::image_model::ImageModel;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Candidates;

/// Items without a history.
#[derive(Debug)]
pub(crate) struct NewItems {
    pub(crate) texts: StringArray,
    /// The logarithms of their prices; NaN where none is known.
    pub(crate) prices: Vec<f32>,
    pictures: Option<Pictures>,
}

impl NewItems {
    /// All items of a table that have a text, whatever their history, with their ids.
    ///
    /// # Errors
    /// The table or a picture cannot be read, or it was stopped.
    pub(crate) fn with_text(
        function: &'static str,
        loaded: &Loaded,
        table: &Table,
        stop: Stop<'_>,
    ) -> Result<(Ids, Self)> {
        let (items, images) =
            Items::read(function, table).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let rows = (0..items.len() as u32).filter(|item| !items.has_no_text(*item as usize)).collect::<Vec<_>>();
        let pictures = loaded.images.as_ref().zip(images.as_ref());
        Ok((items.ids.gather(&rows), Self::of(function, &items, pictures, &rows, stop)?))
    }

    /// Items that nothing is known of but these texts.
    pub(crate) fn of_texts(texts: StringArray) -> Self {
        Self { prices: vec![f32::NAN; texts.len()], texts, pictures: None }
    }

    /// These rows of `items`; `images` are the pictures of all of them with the model that reads them.
    ///
    /// # Errors
    /// A picture cannot be read, or it was stopped.
    pub(super) fn of(
        function: &'static str,
        items: &Items,
        images: Option<(&ImageModel, &BinaryViewArray)>,
        rows: &[u32],
        stop: Stop<'_>,
    ) -> Result<Self> {
        let texts = rows.iter().map(|item| Some(items.texts.value(*item as usize))).collect();
        let prices = rows.iter().map(|item| items.prices[*item as usize]).collect();
        let pictures = match (images, &items.pictures) {
            (Some((model, images)), _) => {
                let chosen: ArrayRef = take(images, &UInt32Array::from(rows.to_vec()), None)?;
                let name = |row: usize| items.ids.get(rows[row] as usize).to_string();
                let embedding = model.embed(function, as_binary_view_array(&chosen)?, name, stop);
                Some(futures::executor::block_on(embedding)?)
            }
            (None, Some(pictures)) => Some(pictures.gather(rows)),
            (None, None) => None,
        };
        Ok(Self { texts, prices, pictures })
    }

    /// These of the items, each with another text: one may be there more than once.
    pub(crate) fn with_texts(&self, items: &[u32], texts: StringArray) -> Self {
        Self {
            texts,
            prices: items.iter().map(|item| self.prices[*item as usize]).collect(),
            pictures: self.pictures.as_ref().map(|pictures| pictures.gather(items)),
        }
    }

    /// These of the items.
    pub(crate) fn gather(&self, items: &[u32]) -> Self {
        self.with_texts(items, items.iter().map(|item| Some(self.texts.value(*item as usize))).collect())
    }

    /// What a recommender can score: these behind items with a history, by their numbers among these.
    ///
    /// # Errors
    /// A text cannot be embedded, or it was stopped.
    pub(crate) fn candidates<'a>(&self, loaded: &'a Loaded, known: &[u32], stop: Stop<'_>) -> Result<Candidates<'a>> {
        let stats = Arc::new(Stats::default());
        let embedded = futures::executor::block_on(loaded.embed(&self.texts, &stats))?;
        let texts = Texts {
            texts: &self.texts,
            embeddings: &embedded.base,
            tuned: Some(&embedded.tuned),
            pictures: self.pictures.as_ref(),
            prices: &self.prices,
        };
        Ok(loaded.recommender.candidates(known, &texts, stop)?)
    }
}
