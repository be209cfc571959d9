//! What users of a call said of items: takes the tables `liked` and `disliked`, gives what that adds to logits, and what is not to be
//! offered again.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, StringArray};
use datafusion::common::{Result, exec_err};
use debut_udfs::options::Inputs;
use debut_udfs::trainer::Table;
use rayon::prelude::*;

use super::items::CallItems;
use super::users::CallUsers;
use crate::cancellation::{Stop, check};
use crate::fetch::Progress;
use crate::linalg::sparse::Csr;
use crate::recommend::components::Texts;
use crate::recommend::dataset::ids::{Id, id_in};
use crate::recommend::dataset::interactions::Columns;
use crate::recommend::model::answers::{Answer, Answers, direction};
use crate::recommend::model::recommender::{Candidates, Recommender};

/// Answers of one user, at most: their equations are solved at once.
const MOST: usize = 2000;

/// What users said.
#[derive(Debug)]
pub(crate) struct CallAnswers {
    /// What it adds to logits; `None` where nobody was asked.
    pub(crate) answers: Option<Answers>,
    /// Users x candidates: what is not to be offered again.
    disliked: Csr,
}

impl CallAnswers {
    /// What users have (users x candidates), and what they do not like.
    pub(crate) fn with_disliked(&self, had: Csr) -> Csr {
        if self.disliked.stored() == 0 {
            return had;
        }
        let rows = had.iter().zip(self.disliked.iter());
        let rows = rows.map(|((had, _), (disliked, _))| had.iter().chain(disliked).map(|item| (*item, 1.0)));
        Csr::from_rows(had.columns(), rows)
    }
}

/// An item that somebody said something of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    /// A candidate with a history, by its number among these.
    Known(u32),
    /// A candidate without one.
    New(u32),
    /// An item with a history that is no candidate, by its number among these.
    Other(u32),
}

/// What the users of a call said. What is not read is told to `notes`.
///
/// # Errors
/// A user said more than [`MOST`] things, or it was stopped.
pub(crate) fn answers(
    function: &'static str,
    recommender: &Recommender,
    inputs: &Inputs<Table>,
    users: &CallUsers<'_>,
    items: &CallItems<'_>,
    notes: &Progress<'_>,
    stop: Stop<'_>,
) -> Result<CallAnswers> {
    let candidates = &items.candidates;
    if inputs.liked.is_none() && inputs.disliked.is_none() {
        let nothing = Csr::from_rows(candidates.len(), (0..users.ids.len()).map(|_| Vec::new()));
        return Ok(CallAnswers { answers: None, disliked: nothing });
    }
    let places = items.places();
    let mut said = BTreeMap::<(u32, Said), bool>::new();
    let (mut unknown, mut both) = (0, 0);
    for (table, likes) in [(&inputs.liked, true), (&inputs.disliked, false)] {
        let Some(table) = table else { continue };
        let columns = Columns::of(table);
        for (user_ids, item_ids) in columns.ids("user_id").iter().zip(columns.ids("item_id")) {
            for row in 0..user_ids.len() {
                let Some(user) = users.ids.find_in(user_ids.as_ref(), row) else { continue };
                let Some(item) = find(recommender, candidates, &places, item_ids.as_ref(), row) else {
                    unknown += usize::from(item_ids.is_valid(row));
                    continue;
                };
                let before = said.insert((user, item), likes);
                both += usize::from(before.is_some_and(|before| before != likes));
            }
        }
    }
    if unknown > 0 {
        notes(&format!(
            "{function}: {unknown} rows of liked and disliked name an item that is not among items and has no history: nothing is known \
             of it"
        ));
    }
    if both > 0 {
        notes(&format!("{function}: {both} items are liked and disliked by the same user, and are taken for disliked"));
    }
    let mut by_user = BTreeMap::<u32, Vec<(Said, bool)>>::new();
    said.into_iter().for_each(|((user, item), likes)| by_user.entry(user).or_default().push((item, likes)));
    if let Some((user, said)) = by_user.iter().find(|(_, said)| said.len() > MOST) {
        return exec_err!(
            "{function}: user {} likes and dislikes {} items; give the last {MOST}",
            users.ids.get(*user as usize),
            said.len()
        );
    }
    let first_new = candidates.known.len() as u32;
    let disliked = (0..users.ids.len() as u32).map(|user| {
        let said = by_user.get(&user).into_iter().flatten().filter(|(_, likes)| !likes);
        let place = |item: Said| match item {
            Said::Known(place) => Some(place),
            Said::New(place) => Some(first_new + place),
            Said::Other(_) => None,
        };
        said.filter_map(|(item, _)| Some((place(*item)?, 1.0))).collect::<Vec<_>>()
    });
    let disliked = Csr::from_rows(candidates.len(), disliked);

    let (texts, embeddings) = (StringArray::new_null(0), recommender.profiles.gather(&[]));
    let none = Texts { texts: &texts, embeddings: &embeddings, tuned: None, pictures: None, prices: &[] };
    let catalogue = recommender.candidates(&(0..recommender.known.len() as u32).collect::<Vec<_>>(), &none, stop)?;
    let logits = recommender.logits(&users.user_batch, candidates, 1.0);
    let of_catalogue = recommender.logits(&users.user_batch, &catalogue, 1.0);
    let directions = by_user.into_par_iter().map(|(user, said)| {
        check(stop)?;
        let numbers =
            |pick: fn(Said) -> Option<u32>| said.iter().filter_map(|(item, _)| pick(*item)).collect::<Vec<_>>();
        let known = numbers(|item| if let Said::Known(place) = item { Some(place) } else { None });
        let new = numbers(|item| if let Said::New(place) = item { Some(place) } else { None });
        let others = numbers(|item| if let Said::Other(place) = item { Some(place) } else { None });
        // What is said is in the order of the kinds.
        let mut values = vec![0.0; said.len()];
        let (of_known, rest) = values.split_at_mut(known.len());
        let (of_new, of_others) = rest.split_at_mut(new.len());
        logits.known_of(user as usize, &known, of_known);
        logits.new_of(user as usize, &new, of_new);
        of_catalogue.known_of(user as usize, &others, of_others);
        let answers = said.iter().zip(&values).map(|((item, likes), logit)| {
            let vector = match item {
                Said::Known(place) => candidates.known.embeddings.row(*place as usize),
                Said::New(place) => candidates.new.embeddings.row(*place as usize),
                Said::Other(place) => recommender.catalogue.embeddings.row(*place as usize),
            };
            Answer { vector, logit: *logit, likes: *likes }
        });
        Ok((user, direction(&answers.collect::<Vec<_>>())))
    });
    let directions = directions.collect::<Result<Vec<_>>>()?;
    Ok(CallAnswers { answers: Some(Answers::new(users.ids.len(), directions)), disliked })
}

/// What a row's item is; `None` if nothing is known of it.
fn find(
    recommender: &Recommender,
    candidates: &Candidates<'_>,
    places: &HashMap<Id<'_>, u32>,
    ids: &dyn Array,
    row: usize,
) -> Option<Said> {
    let id = id_in(ids, row)?;
    match places.get(&id) {
        Some(place) => Some(match place.checked_sub(candidates.known.len() as u32) {
            Some(new) => Said::New(new),
            None => Said::Known(*place),
        }),
        None => recommender.place(recommender.items.ids.find(id)?).map(Said::Other),
    }
}
