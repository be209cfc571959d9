//! The items of a call: takes its table, gives items that a recommender can score.

use std::collections::HashMap;

use arrow::array::Array;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::trainer::Table;

use super::new_items::NewItems;
use crate::cancellation::Stop;
use crate::recommend::dataset::ids::{Id, Ids};
use crate::recommend::dataset::interactions::Items;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Candidates;

/// Items with their ids: first those with a history, then the others.
#[derive(Debug)]
pub(crate) struct CallItems<'a> {
    pub(crate) ids: Ids,
    pub(crate) candidates: Candidates<'a>,
    /// Those without a history, as they were read.
    pub(crate) unsold: NewItems,
    /// Whether nobody has ever taken it.
    pub(crate) is_new: Vec<bool>,
    /// When each was first on sale, where it was said.
    pub(crate) launched: Vec<Option<i64>>,
    /// Items that were left out because there is nothing to judge them by, and what they lack.
    pub(crate) left_out: (usize, &'static str),
}

impl CallItems<'_> {
    /// The number of each id.
    pub(crate) fn places(&self) -> HashMap<Id<'_>, u32> {
        (0..self.ids.len()).map(|place| (self.ids.get(place), place as u32)).collect()
    }
}

/// The items of a call; the catalogue where it names none.
pub(crate) fn call_items<'a>(
    function: &'static str,
    loaded: &'a Loaded,
    items: Option<&Table>,
    only_new: bool,
    stop: Stop<'_>,
) -> Result<CallItems<'a>> {
    let recommender = loaded.recommender.as_ref();
    let read;
    let (items, images) = match items {
        Some(table) => {
            let found = Items::read(function, table).map_err(|error| DataFusionError::External(Box::new(error)))?;
            read = found.0;
            (&read, found.1)
        }
        None => (&recommender.items, None),
    };
    // Pictures say nothing to a model that was trained without.
    let pictures = loaded.images.as_ref().zip(images);
    let has_picture = match (&pictures, &items.pictures) {
        (Some((_, images)), _) => (0..images.len()).map(|item| images.is_valid(item)).collect(),
        (None, Some(pictures)) => pictures.has(),
        (None, None) => vec![false; items.len()],
    };
    let (mut known, mut known_rows, mut new_rows) = (Vec::new(), Vec::new(), Vec::new());
    let (mut without_content, mut sold_before) = (0, Vec::new());
    for (item, has_picture) in has_picture.into_iter().enumerate() {
        let number = recommender.items.ids.find(items.ids.get(item));
        let sold = number.is_some_and(|number| recommender.sold[number as usize]);
        match number.and_then(|number| recommender.place(number)) {
            Some(_) | None if only_new && sold => {}
            Some(place) => {
                known.push(place);
                known_rows.push(item as u32);
            }
            None if items.has_no_text(item) && !has_picture => without_content += 1,
            None => {
                new_rows.push(item as u32);
                sold_before.push(sold);
            }
        }
    }
    let lacks = match loaded.images {
        Some(_) => "items have neither a text nor a picture nor a history",
        None => "items have neither a text nor a history",
    };
    if without_content > 0 {
        tracing::warn!("{function}: {without_content} {lacks} and are left out");
    }
    let pictures = pictures.as_ref().map(|(model, images)| (*model, images));
    let unsold = NewItems::of(function, items, pictures, &new_rows, stop)?;
    let candidates = unsold.candidates(loaded, &known, stop)?;
    let rows = [known_rows, new_rows].concat();
    let is_new = vec![false; known.len()].into_iter().chain(sold_before.into_iter().map(|sold| !sold)).collect();
    let launched = rows.iter().map(|item| items.launched[*item as usize]).collect();
    let left_out = (without_content, lacks);
    Ok(CallItems { ids: items.ids.gather(&rows), candidates, unsold, is_new, launched, left_out })
}
