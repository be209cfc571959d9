//! Who is to be offered what: takes the tables of a call, gives people and goods that a recommender can score.
//!
//! Used by `service` and `evaluate`.

use std::sync::Arc;

use arrow::array::{Array, StringArray};
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::Stats;
use debut_udfs::trainer::Table;

use super::components::{Stop, Texts};
use super::encoders::Loaded;
use super::ids::Ids;
use super::model::{Goods, People, Recommender};
use super::shop::{Columns, Items};
use super::sparse::Csr;

/// Users with their ids.
#[derive(Debug)]
pub(super) struct Audience<'a> {
    pub(super) ids: Ids,
    pub(super) people: People<'a>,
}

/// Items with their ids: first those with a history, then the others.
#[derive(Debug)]
pub(super) struct Assortment<'a> {
    pub(super) ids: Ids,
    pub(super) goods: Goods<'a>,
    /// Whether nobody has ever taken it.
    pub(super) is_new: Vec<bool>,
    /// When each was first on sale, where it was said.
    pub(super) launched: Vec<Option<i64>>,
    /// Items that were left out because there is nothing to judge them by.
    pub(super) silent: usize,
}

/// The users of a call; everybody where it names none. `None` if `stop` said so.
pub(super) fn audience<'a>(
    function: &'static str,
    recommender: &'a Recommender,
    users: Option<&Table>,
    stop: Stop<'_>,
) -> Result<Option<Audience<'a>>> {
    let Some(table) = users else {
        return Ok(Some(Audience { ids: recommender.users.clone(), people: recommender.everybody() }));
    };
    let columns = Columns::of(table);
    let (user_ids, item_ids) = (columns.ids("user_id"), columns.ids("item_id"));
    let mut rows = Vec::with_capacity(table.rows());
    for (batch, ids) in user_ids.iter().enumerate() {
        for row in 0..ids.len() {
            if ids.is_null(row) {
                let error = super::Error::NullId { function, input: "users", column: "user_id", row: rows.len() };
                return Err(DataFusionError::External(Box::new(error)));
            }
            rows.push((batch, row));
        }
    }
    let ids = Ids::sorted(recommender.users.class(), &user_ids, &mut rows).distinct();
    let own_history = !item_ids.is_empty();
    let mut histories = vec![Vec::new(); ids.len()];
    let mut unknown_items = 0usize;
    if own_history {
        for (batch, row) in rows {
            let Some(user) = ids.find_in(user_ids[batch].as_ref(), row) else { continue };
            let items = item_ids[batch].as_ref();
            if items.is_null(row) {
                continue;
            }
            let item = recommender.items.ids.find_in(items, row).and_then(|item| recommender.place(item));
            let weight = columns.number("weight", batch, row).unwrap_or(1.0) as f32;
            match item {
                Some(item) if weight > 0.0 && weight.is_finite() => histories[user as usize].push((item, weight)),
                _ => unknown_items += 1,
            }
        }
    }
    if unknown_items > 0 {
        tracing::warn!(
            "{function}: {unknown_items} rows of users have an item without a history, or no positive weight"
        );
    }
    let known = (0..ids.len()).map(|user| recommender.users.find(ids.get(user)).filter(|_| !own_history));
    let known = known.collect::<Vec<_>>();
    let histories = Csr::from_rows(recommender.known.len(), histories);
    Ok(people(recommender, &known, &histories, stop).map(|people| Audience { ids, people }))
}

/// Users by number, or by a history where there is none.
pub(super) fn people<'a>(
    recommender: &'a Recommender,
    known: &[Option<u32>],
    histories: &Csr,
    stop: Stop<'_>,
) -> Option<People<'a>> {
    let numbers = known.iter().filter_map(|user| *user).collect::<Vec<_>>();
    if numbers.len() == known.len() {
        return Some(recommender.some(&numbers));
    }
    let others = (0..known.len() as u32).filter(|user| known[*user as usize].is_none()).collect::<Vec<_>>();
    let strangers = recommender.strangers(histories.gather(&others), stop)?;
    let both = recommender.some(&numbers).join(&strangers);
    // Back in the order in which they came.
    let (mut first, mut second) = (0, numbers.len() as u32);
    let order = known.iter().map(|user| {
        let next = if user.is_some() { &mut first } else { &mut second };
        *next += 1;
        *next - 1
    });
    Some(both.gather(&order.collect::<Vec<_>>()))
}

/// The items of a call; the catalogue where it names none. `None` if `stop` said so.
pub(super) fn assortment<'a>(
    function: &'static str,
    loaded: &'a Loaded,
    items: Option<&Table>,
    only_new: bool,
    stop: Stop<'_>,
) -> Result<Option<Assortment<'a>>> {
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
    let (mut silent, mut sold_before) = (0, Vec::new());
    for item in 0..items.len() {
        let number = recommender.items.ids.find(items.ids.get(item));
        let sold = number.is_some_and(|number| recommender.sold[number as usize]);
        match number.and_then(|number| recommender.place(number)) {
            Some(_) | None if only_new && sold => {}
            Some(place) => {
                known.push(place);
                known_rows.push(item as u32);
            }
            None if items.is_silent(item) => silent += 1,
            None => {
                new_rows.push(item as u32);
                sold_before.push(sold);
            }
        }
    }
    if silent > 0 {
        tracing::warn!("{function}: {silent} items have neither a text nor a history and are left out");
    }
    let texts = new_rows.iter().map(|item| Some(items.texts.value(*item as usize))).collect::<StringArray>();
    let stats = Arc::new(Stats::default());
    let embedded = futures::executor::block_on(loaded.embed(&texts, &stats))?;
    let prices = new_rows.iter().map(|item| items.prices[*item as usize]).collect::<Vec<_>>();
    let texts = Texts { texts: &texts, embeddings: &embedded.base, tuned: Some(&embedded.tuned), prices: &prices };
    let Some(goods) = recommender.goods(&known, &texts, stop) else { return Ok(None) };
    let rows = [known_rows, new_rows].concat();
    let is_new = vec![false; known.len()].into_iter().chain(sold_before.into_iter().map(|sold| !sold)).collect();
    let launched = rows.iter().map(|item| items.launched[*item as usize]).collect();
    Ok(Some(Assortment { ids: items.ids.gather(&rows), goods, is_new, launched, silent }))
}
