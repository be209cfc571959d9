//! The items of a call: takes its table, gives items that a recommender can score.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::StringArray;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::Stats;
use debut_udfs::trainer::Table;

use crate::cancellation::Stop;
use crate::recommend::components::Texts;
use crate::recommend::dataset::ids::{Id, Ids};
use crate::recommend::dataset::interactions::Items;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Candidates;

/// Items with their ids: first those with a history, then the others.
#[derive(Debug)]
pub(crate) struct CallItems<'a> {
    pub(crate) ids: Ids,
    pub(crate) candidates: Candidates<'a>,
    /// Whether nobody has ever taken it.
    pub(crate) is_new: Vec<bool>,
    /// When each was first on sale, where it was said.
    pub(crate) launched: Vec<Option<i64>>,
    /// Items that were left out because there is nothing to judge them by.
    pub(crate) without_text: usize,
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
    let items = match items {
        Some(table) => {
            read = Items::read(function, table).map_err(|error| DataFusionError::External(Box::new(error)))?;
            &read
        }
        None => &recommender.items,
    };
    let (mut known, mut known_rows, mut new_rows) = (Vec::new(), Vec::new(), Vec::new());
    let (mut without_text, mut sold_before) = (0, Vec::new());
    for item in 0..items.len() {
        let number = recommender.items.ids.find(items.ids.get(item));
        let sold = number.is_some_and(|number| recommender.sold[number as usize]);
        match number.and_then(|number| recommender.place(number)) {
            Some(_) | None if only_new && sold => {}
            Some(place) => {
                known.push(place);
                known_rows.push(item as u32);
            }
            None if items.has_no_text(item) => without_text += 1,
            None => {
                new_rows.push(item as u32);
                sold_before.push(sold);
            }
        }
    }
    if without_text > 0 {
        tracing::warn!("{function}: {without_text} items have neither a text nor a history and are left out");
    }
    let texts = new_rows.iter().map(|item| Some(items.texts.value(*item as usize))).collect::<StringArray>();
    let stats = Arc::new(Stats::default());
    let embedded = futures::executor::block_on(loaded.embed(&texts, &stats))?;
    let prices = new_rows.iter().map(|item| items.prices[*item as usize]).collect::<Vec<_>>();
    let texts = Texts { texts: &texts, embeddings: &embedded.base, tuned: Some(&embedded.tuned), prices: &prices };
    let candidates = recommender.candidates(&known, &texts, stop)?;
    let rows = [known_rows, new_rows].concat();
    let is_new = vec![false; known.len()].into_iter().chain(sold_before.into_iter().map(|sold| !sold)).collect();
    let launched = rows.iter().map(|item| items.launched[*item as usize]).collect();
    Ok(CallItems { ids: items.ids.gather(&rows), candidates, is_new, launched, without_text })
}
