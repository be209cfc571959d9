//! The users of a call: takes its table, gives users that a recommender can score.

use arrow::array::Array;
use datafusion::common::{DataFusionError, Result};
use debut_udfs::trainer::Table;

use crate::cancellation::{Cancelled, Stop};
use crate::fetch::Progress;
use crate::linalg::sparse::Csr;
use crate::recommend::Error;
use crate::recommend::dataset::ids::Ids;
use crate::recommend::dataset::interactions::Columns;
use crate::recommend::model::recommender::{Recommender, UserBatch};

/// Users with their ids.
#[derive(Debug)]
pub(crate) struct CallUsers<'a> {
    pub(crate) ids: Ids,
    pub(crate) user_batch: UserBatch<'a>,
    /// What the call says that they have beside what is in their histories: items that are new to the model, say.
    pub(super) others: OtherItems,
}

/// Items that some users have and that are in no history.
#[derive(Debug)]
pub(super) struct OtherItems {
    pub(super) ids: Ids,
    /// Users x these items.
    pub(super) owners: Csr,
}

/// The users of a call; everybody where it names none. What is not read is told to `notes`.
pub(crate) fn call_users<'a>(
    function: &'static str,
    recommender: &'a Recommender,
    users: Option<&Table>,
    notes: &Progress<'_>,
    stop: Stop<'_>,
) -> Result<CallUsers<'a>> {
    let Some(table) = users else {
        let nothing = OtherItems::none(recommender, recommender.users.len());
        let user_batch = recommender.everybody();
        return Ok(CallUsers { ids: recommender.users.clone(), user_batch, others: nothing });
    };
    let columns = Columns::of(table);
    let (user_ids, item_ids) = (columns.ids("user_id"), columns.ids("item_id"));
    let mut rows = Vec::with_capacity(table.rows());
    for (batch, ids) in user_ids.iter().enumerate() {
        for row in 0..ids.len() {
            if ids.is_null(row) {
                let error = Error::NullId { function, input: "users", column: "user_id", row: rows.len() };
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
    let others = OtherItems { owners: Csr::from_rows(other_ids.len(), owners), ids: other_ids };
    let known = (0..ids.len()).map(|user| recommender.users.find(ids.get(user)).filter(|_| !own_history));
    let known = known.collect::<Vec<_>>();
    let histories = Csr::from_rows(recommender.known.len(), histories);
    let user_batch = user_batch(recommender, &known, &histories, stop)?;
    Ok(CallUsers { ids, user_batch, others })
}

impl OtherItems {
    fn none(recommender: &Recommender, users: usize) -> Self {
        let owners = Csr::from_rows(0, (0..users).map(|_| Vec::new()));
        Self { ids: Ids::empty(recommender.items.ids.class()), owners }
    }
}

/// Users by number, or by a history where there is none.
pub(crate) fn user_batch<'a>(
    recommender: &'a Recommender,
    known: &[Option<u32>],
    histories: &Csr,
    stop: Stop<'_>,
) -> Result<UserBatch<'a>, Cancelled> {
    let numbers = known.iter().filter_map(|user| *user).collect::<Vec<_>>();
    if numbers.len() == known.len() {
        return Ok(recommender.some(&numbers));
    }
    let others = (0..known.len() as u32).filter(|user| known[*user as usize].is_none()).collect::<Vec<_>>();
    let cold_start_users = recommender.cold_start_users(histories.gather(&others), stop)?;
    let both = recommender.some(&numbers).join(&cold_start_users);
    // Back in the order in which they came.
    let (mut first, mut second) = (0, numbers.len() as u32);
    let order = known.iter().map(|user| {
        let next = if user.is_some() { &mut first } else { &mut second };
        *next += 1;
        *next - 1
    });
    Ok(both.gather(&order.collect::<Vec<_>>()))
}
