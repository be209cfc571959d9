//! The users and items of a call: its tables in, what a recommender can score out.

pub(crate) mod items;
pub(crate) mod users;

use self::items::CallItems;
use self::users::{CallUsers, OtherItems};
use crate::linalg::sparse::Csr;
use crate::recommend::model::recommender::Recommender;

/// Users x candidates: what each has already, by their histories and by what the call says.
pub(crate) fn had(recommender: &Recommender, audience: &CallUsers<'_>, call_items: &CallItems<'_>) -> Csr {
    let had = recommender.had(&audience.user_batch, &call_items.candidates);
    let OtherItems { ids, owners } = &audience.others;
    if owners.stored() == 0 {
        return had;
    }
    let places = call_items.places();
    let places = (0..ids.len()).map(|item| places.get(&ids.get(item)).copied()).collect::<Vec<_>>();
    let rows = had.iter().zip(owners.iter()).map(|((known, _), (others, _))| {
        let others = others.iter().filter_map(|item| places[*item as usize]);
        known.iter().copied().chain(others).map(|item| (item, 1.0)).collect::<Vec<_>>()
    });
    Csr::from_rows(had.columns(), rows)
}
