//! Who is to be offered what: takes the tables of a call, gives people and goods that a recommender can score.
//!
//! Used by `service` and `evaluate`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, StringArray};
use datafusion::common::{DataFusionError, Result};
use debut_udfs::model::Stats;
use debut_udfs::trainer::Table;

use super::components::{Stop, Texts};
use super::encoders::Loaded;
use super::ids::{Id, Ids};
use super::model::{Goods, People, Recommender};
use super::shop::{Columns, Items};
use super::sparse::Csr;
use crate::fetch::Progress;

/// Users with their ids.
#[derive(Debug)]
pub(super) struct Audience<'a> {
    pub(super) ids: Ids,
    pub(super) people: People<'a>,
    /// What the call says that they have beside what is in their histories: items that are new to the model, say.
    others: Others,
}

/// Items that some users have and that are in no history.
#[derive(Debug)]
struct Others {
    ids: Ids,
    /// Users x these items.
    owners: Csr,
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

/// The users of a call; everybody where it names none. What is not read is told to `notes`. `None` if `stop` said so.
pub(super) fn audience<'a>(
    function: &'static str,
    recommender: &'a Recommender,
    users: Option<&Table>,
    notes: &Progress<'_>,
    stop: Stop<'_>,
) -> Result<Option<Audience<'a>>> {
    let Some(table) = users else {
        let nothing = Others::none(recommender, recommender.users.len());
        let people = recommender.everybody();
        return Ok(Some(Audience { ids: recommender.users.clone(), people, others: nothing }));
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
    let (mut others, mut other_owners) = (Vec::new(), Vec::new());
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
                // It says nothing of what they like, but they have it.
                _ => {
                    others.push((batch, row));
                    other_owners.push((user, batch, row));
                }
            }
        }
    }
    if !others.is_empty() {
        notes(&format!(
            "{function}: {} rows of users have an item that the model knows no history of, or no positive weight: they say nothing \
             of what a user likes, and the item is not offered to the user",
            others.len()
        ));
    }
    let other_ids = Ids::sorted(recommender.items.ids.class(), &item_ids, &mut others).distinct();
    let mut owners = vec![Vec::new(); ids.len()];
    for (user, batch, row) in other_owners {
        owners[user as usize].extend(other_ids.find_in(item_ids[batch].as_ref(), row).map(|item| (item, 1.0)));
    }
    let others = Others { owners: Csr::from_rows(other_ids.len(), owners), ids: other_ids };
    let known = (0..ids.len()).map(|user| recommender.users.find(ids.get(user)).filter(|_| !own_history));
    let known = known.collect::<Vec<_>>();
    let histories = Csr::from_rows(recommender.known.len(), histories);
    Ok(people(recommender, &known, &histories, stop).map(|people| Audience { ids, people, others }))
}

/// Users x goods: what each has already, by their histories and by what the call says.
pub(super) fn had(recommender: &Recommender, audience: &Audience<'_>, assortment: &Assortment<'_>) -> Csr {
    let had = recommender.had(&audience.people, &assortment.goods);
    let Others { ids, owners } = &audience.others;
    if owners.stored() == 0 {
        return had;
    }
    let places = assortment.places();
    let places = (0..ids.len()).map(|item| places.get(&ids.get(item)).copied()).collect::<Vec<_>>();
    let rows = had.iter().zip(owners.iter()).map(|((known, _), (others, _))| {
        let others = others.iter().filter_map(|item| places[*item as usize]);
        known.iter().copied().chain(others).map(|item| (item, 1.0)).collect::<Vec<_>>()
    });
    Csr::from_rows(had.columns(), rows)
}

impl Others {
    fn none(recommender: &Recommender, users: usize) -> Self {
        let owners = Csr::from_rows(0, (0..users).map(|_| Vec::new()));
        Self { ids: Ids::empty(recommender.items.ids.class()), owners }
    }
}

impl Assortment<'_> {
    /// The number of each id.
    pub(super) fn places(&self) -> HashMap<Id<'_>, u32> {
        (0..self.ids.len()).map(|place| (self.ids.get(place), place as u32)).collect()
    }
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
