//! The users and items of a call: its tables in, what a recommender can score out.

pub(crate) mod answers;
pub(crate) mod items;
pub(crate) mod new_items;
pub(crate) mod users;
pub(crate) mod word_pairs;
pub(crate) mod words;

use datafusion::common::Result;
use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;

use self::items::{CallItems, call_items};
use self::users::{CallUsers, OtherItems, call_users};
use crate::cancellation::Stop;
use crate::fetch::Progress;
use crate::linalg::sparse::Csr;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Recommender;

/// The users and items of a call of `function`. What is not read of them is told to `notes`.
///
/// # Errors
/// A table cannot be read, the texts or pictures of the items cannot be embedded, or it was stopped.
pub(crate) fn read<'a>(
    function: &'static str,
    loaded: &'a Loaded,
    inputs: &Inputs<Table>,
    only_new: bool,
    notes: &Progress<'_>,
    stop: Stop<'_>,
) -> Result<(CallUsers<'a>, CallItems<'a>)> {
    let users = call_users(function, &loaded.recommender, inputs.users.as_ref(), notes, stop)?;
    Ok((users, call_items(function, loaded, inputs.items.as_ref(), only_new, stop)?))
}

/// Users x candidates: what each has already, by their histories and by what the call says.
pub(crate) fn had(recommender: &Recommender, users: &CallUsers<'_>, items: &CallItems<'_>) -> Csr {
    let had = recommender.had(&users.user_batch, &items.candidates);
    let OtherItems { ids, owners } = &users.others;
    if owners.stored() == 0 {
        return had;
    }
    let places = items.places();
    let places = (0..ids.len()).map(|item| places.get(&ids.get(item)).copied()).collect::<Vec<_>>();
    let rows = had.iter().zip(owners.iter()).map(|((known, _), (others, _))| {
        let others = others.iter().filter_map(|item| places[*item as usize]);
        known.iter().copied().chain(others).map(|item| (item, 1.0)).collect::<Vec<_>>()
    });
    Csr::from_rows(had.columns(), rows)
}
