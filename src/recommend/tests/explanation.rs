//! Explanations: the shares of a logit leave nothing over, and what a history adds to a score is what the score loses without it.

use super::components::Turned;
use super::*;
use crate::recommend::components::attribution::Attribution;
use crate::recommend::components::parts::als::FoldIn;
use crate::recommend::components::scores::Pairs;
use crate::recommend::dataset::pictures::Pictures;
use crate::recommend::model::explainer::Explainer;
use crate::recommend::model::explanation::{BASELINE, BOOST};
use crate::recommend::model::recommender::Candidates;

/// A recommender with all components, pictures and a tuned encoder among them.
fn whole() -> Recommender {
    let (mut shop, embeddings) = shop();
    let pictured = (0..ITEMS as u32).filter(|item| item % 3 > 0).collect::<Vec<_>>();
    shop.items.pictures = Some(Pictures::new(ITEMS, &pictured, embeddings.gather(&pictured)));
    let windows = windows(&shop, Split::Windows { days: 60 }, 3);
    match fit(&shop, &embeddings, &plan(&windows), &mut Turned, &|| false) {
        Ok(outcome) => outcome.recommender,
        Err(FitError::Fit(error)) => panic!("{error}"),
        Err(FitError::Tuner(never)) => match never {},
    }
}

/// What is launched: the first has no text, the second no picture, the third a price.
fn with_launches(recommender: &Recommender, check: impl Fn(&Candidates<'_>)) {
    let (texts, embeddings) = launches();
    let texts = texts.iter().enumerate().map(|(item, text)| text.filter(|_| item > 0).or(Some("")));
    let texts = texts.collect::<StringArray>();
    let pictured = (0..16).filter(|item| *item != 1).collect::<Vec<u32>>();
    let pictures = Pictures::new(16, &pictured, embeddings.gather(&pictured));
    let prices = (0..16).map(|item| if item == 2 { 0.5 } else { f32::NAN }).collect::<Vec<_>>();
    let texts = Texts {
        texts: &texts,
        embeddings: &embeddings,
        tuned: Some(&embeddings),
        pictures: Some(&pictures),
        prices: &prices,
    };
    let known = (0..recommender.known.len() as u32).step_by(3).collect::<Vec<_>>();
    check(&recommender.candidates(&known, &texts, &|| false).unwrap());
}

#[test]
fn the_shares_of_a_logit_leave_nothing_over() {
    let recommender = whole();
    with_launches(&recommender, |candidates| {
        let everybody = recommender.everybody();
        let logits = recommender.logits(&everybody, candidates, 3.0);
        let explainer = Explainer::new(&recommender, logits);
        let (width, first_new) = (logits.items(), candidates.known.len());
        let mut row = vec![0.0; width];
        for user in [0, 17, 79] {
            logits.scores_into(user..user + 1, 0..width, &mut row);
            let known = explainer.known_items(user, &(0..first_new as u32).collect::<Vec<_>>());
            let new = explainer.new_items(user, &(0..16).collect::<Vec<_>>());
            let rows = known.shares.values().chunks_exact(known.features.len());
            let rows = rows.chain(new.shares.values().chunks_exact(new.features.len()));
            for (item, (shares, logit)) in rows.zip(&row).enumerate() {
                let sum = shares.iter().map(|share| f64::from(*share)).sum::<f64>();
                assert!((sum - f64::from(*logit)).abs() < 1e-5, "user {user}, item {item}: {sum} and {logit}");
            }
            assert_eq!((known.features[0], *new.features.last().unwrap()), (BASELINE, BOOST));
            assert!(!known.features.contains(&BOOST) && known.features.len() > 4 && new.features.len() > 5);
            // Every item begins with the same.
            let first = new.shares.row(0)[0];
            assert!((0..16).all(|item| new.shares.row(item)[0] == first));
        }
    });
}

#[test]
fn what_a_history_adds_to_a_score_is_what_it_loses_without_it() {
    let recommender = whole();
    let histories = &recommender.representations.history;
    let everybody = histories.iter().map(|(items, values)| items.iter().copied().zip(values.iter().copied()));
    let nobody = std::iter::once(Vec::new());
    let rows = everybody.map(Iterator::collect).chain(nobody).collect::<Vec<Vec<_>>>();
    let strangers = recommender.cold_start_users(Csr::from_rows(recommender.known.len(), rows), &|| false).unwrap();
    let components = &recommender.components;
    let fold_in = FoldIn::new(components.parts.item_factors.as_ref(), &components.parts.settings.als);
    with_launches(&recommender, |candidates| {
        let mut tried = 0;
        for (items, listed) in [
            (candidates.known.as_ref(), components.list().known_items()),
            (&candidates.new, components.list().new_items()),
        ] {
            let pairs = Pairs { components, representations: &strangers.representations, item_batch: items };
            let numbers = (0..items.len() as u32).collect::<Vec<_>>();
            for component in listed.iter().filter(|component| component.is_personal()) {
                assert!(components.has(component), "{component} was not fitted");
                let (mut score, mut without) = (vec![0.0; items.len()], vec![0.0; items.len()]);
                pairs.scores_of(*component, USERS, &numbers, &mut without);
                for user in [0, 33, 79] {
                    pairs.scores_of(*component, user, &numbers, &mut score);
                    let history = strangers.representations.history.row(user);
                    let mut attribution = Attribution::new(&numbers, history, components.parts.item_factors.columns());
                    let weights = score.iter().map(|score| if score.is_nan() { 0.0 } else { 2.0 }).collect::<Vec<_>>();
                    pairs.attribute(*component, user, &weights, &mut attribution);
                    let purchases = attribution.finish(&fold_in);
                    for item in 0..items.len() {
                        let found = purchases.row(item).iter().map(|share| f64::from(*share)).sum::<f64>();
                        let wanted = 2.0 * f64::from(score[item] - without[item]);
                        let wanted = if wanted.is_nan() { 0.0 } else { wanted };
                        assert!(
                            (found - wanted).abs() < 1e-4 * wanted.abs().max(1.0),
                            "{component}, user {user}, item {item}: {found}, not {wanted}"
                        );
                        tried += usize::from(wanted.abs() > 1e-3);
                    }
                }
            }
        }
        assert!(tried > 500, "{tried} scores of more than nothing");
    });
}

#[test]
fn what_a_user_bought_of_the_theme_speaks_for_an_item_of_the_theme() {
    let recommender = whole();
    with_launches(&recommender, |candidates| {
        let everybody = recommender.everybody();
        let explainer = Explainer::new(&recommender, recommender.logits(&everybody, candidates, 1.0));
        let (mut right, mut all) = (0, 0);
        for user in 0..USERS {
            let history = recommender.representations.history.row(user).0;
            // The launches of theme `t` are 4t to 4t + 3.
            let explanation = explainer.new_items(user, &[4 * (user as u32 % 4) + 2]);
            assert!(!explanation.features.contains(&BOOST), "a boost of 1 adds nothing");
            let best = (0..history.len())
                .max_by(|a, b| explanation.purchases.row(0)[*a].total_cmp(&explanation.purchases.row(0)[*b]));
            let Some(best) = best else { continue };
            all += 1;
            right += usize::from(recommender.known[history[best] as usize] as usize % 4 == user % 4);
        }
        assert!(all > 70 && right * 20 > all * 19, "{right} of {all}");
    });
}
