//! The users and items of a call: its tables in, what a recommender can score out.

pub(crate) mod items;
pub(crate) mod users;

use self::items::Assortment;
use self::users::{Audience, Others};
use crate::linalg::sparse::Csr;
use crate::recommend::model::recommender::Recommender;

/// Users x goods: what each has already, by their histories and by what the call says.
pub(crate) fn had(recommender: &Recommender, audience: &Audience<'_>, assortment: &Assortment<'_>) -> Csr {
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
