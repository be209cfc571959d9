//! The components of a recommender and its file: each is found by its name, scores alone as in a block, and a new one is a
//! type and a place in a list.

use std::ops::Range;

use super::*;
use crate::cancellation::{Cancelled, Stop};
use crate::linalg::Error;
use crate::recommend::components::any::component;
use crate::recommend::components::component::{Component, Fitting, ItemInput, Scoring, Selection, UserInput, rows};
use crate::recommend::components::scores::Pairs;
use crate::recommend::components::{ComponentList, KNOWN_ITEMS, NEW_ITEMS};
use crate::recommend::error;
use crate::recommend::storage::{Section, StoredSection};

/// An encoder that is tuned by turning: what it gives depends on the snapshot.
pub(super) struct Turned;

impl Tuner<Infallible> for Turned {
    fn tune(
        &mut self,
        embeddings: &Matrix,
        snapshot: &Snapshot,
        fitted: &FittedParts,
    ) -> Result<Option<Tuned>, Infallible> {
        let mut turned = Matrix::zeros(embeddings.rows(), embeddings.columns());
        for row in 0..embeddings.rows() {
            let from = embeddings.row(row).iter().rev();
            turned.row_mut(row).iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        let mut random = Random::new(snapshot.items.len() as u64, 5);
        let factors = fitted.users.columns();
        let projection = (0..8 * factors).map(|_| random.normal() as f32).collect();
        Ok(Some(Tuned {
            center: turned.mean(),
            projection: Matrix::new(8, factors, projection),
            users: fitted.users.clone(),
            embeddings: turned,
        }))
    }
}

fn tuned(list: ComponentList) -> Recommender {
    let (shop, embeddings) = shop();
    let windows = windows(&shop, Split::Windows { days: 60 }, 3);
    let plan = Plan { components: list, ..plan(&windows) };
    match fit(&shop, &embeddings, &plan, &mut Turned, &|| false) {
        Ok(outcome) => outcome.recommender,
        Err(FitError::Fit(error)) => panic!("{error}"),
        Err(FitError::Tuner(never)) => match never {},
    }
}

/// The scores of everybody for the reference items by each component.
fn scores(recommender: &Recommender) -> Vec<(&'static str, Vec<f32>)> {
    let pairs = Pairs {
        components: &recommender.components,
        representations: &recommender.representations,
        item_batch: &recommender.reference,
    };
    let width = recommender.reference.len();
    let of = |listed: &_| {
        let mut block = vec![f32::NAN; USERS * width];
        pairs.scores_into(*listed, 0..USERS, 0..width, &mut block);
        block
    };
    recommender.components.list().all().iter().map(|listed| (listed.name(), of(listed))).collect()
}

fn bits(scores: &[f32]) -> Vec<u32> {
    scores.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn every_component_scores_alone_as_in_a_block() {
    for recommender in [fitted(Split::Windows { days: 60 }).recommender, tuned(standard())] {
        let pairs = Pairs {
            components: &recommender.components,
            representations: &recommender.representations,
            item_batch: &recommender.reference,
        };
        let width = recommender.reference.len();
        let mut alone = [0.0; 3];
        for (listed, (name, block)) in recommender.components.list().all().iter().zip(scores(&recommender)) {
            for user in 0..USERS {
                let items = [width as u32 - 1, 0, 3];
                pairs.scores_of(*listed, user, &items, &mut alone);
                for (item, score) in items.iter().zip(alone) {
                    let whole = block[user * width + *item as usize];
                    assert!(
                        whole.is_nan() && score.is_nan() || (whole - score).abs() < 1e-5,
                        "{name}, user {user}, item {item}: {whole}, {score}"
                    );
                }
            }
            let all_equal = block.iter().all(|score| *score == block[0]);
            assert_eq!(all_equal, !recommender.components.has(listed), "{name}");
        }
    }
}

#[test]
fn names_are_those_that_people_see_and_each_is_once() {
    let list = standard();
    let names = list.all().iter().map(|listed| listed.name()).collect::<Vec<_>>();
    let expected = [
        "word_profile",
        "embedding_profile",
        "text_knn",
        "hybrid_knn",
        "word_factors",
        "embedding_factors",
        "item_item",
        "fine_tuned",
        "content_popularity",
        "price",
        "picture_profile",
        "picture_knn",
        "picture_factors",
        "factors",
        "own_item_item",
        "buyers",
    ];
    assert_eq!(names, expected);
    // These are sections of the file.
    assert!(!names.contains(&"parts") && !names.contains(&"shared"));
    let not_personal = list.all().iter().filter(|listed| !listed.is_personal()).map(|listed| listed.name());
    assert_eq!(not_personal.collect::<Vec<_>>(), ["content_popularity", "price", "buyers"]);
    let seasonal = list.all().iter().filter(|listed| listed.is_seasonal()).map(|listed| listed.name());
    assert_eq!(seasonal.collect::<Vec<_>>(), ["content_popularity", "price"]);
    for (place, listed) in list.all().iter().enumerate() {
        assert_eq!((listed.place(), list.find(listed.name())), (place, Some(*listed)));
        assert!(!listed.about().is_empty());
    }
}

#[test]
fn components_are_the_same_on_disk() {
    let recommender = tuned(standard());
    let folder = tempfile::tempdir().unwrap();
    store::write(&recommender, folder.path()).unwrap();
    let read = store::read(folder.path()).unwrap();
    for ((name, before), (_, after)) in scores(&recommender).iter().zip(scores(&read)) {
        assert_eq!(bits(before), bits(&after), "{name}");
    }
    for (before, after) in [(&recommender.new, &read.new), (&recommender.old, &read.old)] {
        assert_eq!((&before.components, bits(&before.weights)), (&after.components, bits(&after.weights)));
    }
    assert_eq!(read.normalization, recommender.normalization);
    // Users who were not there are derived from what was read, the tuned encoder's vectors too.
    let histories = recommender.representations.history.gather(&[3, 8]);
    let strangers =
        |one: &Recommender| one.components.representations(histories.clone(), None, None, &|| false).unwrap();
    let (before, after) = (strangers(&recommender), strangers(&read));
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn what_was_not_fitted_ranks_nothing_and_is_not_kept() {
    // Without windows to learn from every component counts that there is: no encoder was tuned.
    let (shop, embeddings) = shop();
    let Ok(outcome) = fit(&shop, &embeddings, &plan(&[]), &mut Frozen, &|| false) else { panic!("it was not fitted") };
    let mut recommender = outcome.recommender;
    let fine_tuned = recommender.components.list().find("fine_tuned").unwrap();
    assert!(!recommender.components.has(&fine_tuned));
    assert_eq!(recommender.new.components.len(), 9);
    assert!(!recommender.new.components.contains(&fine_tuned));
    let folder = tempfile::tempdir().unwrap();
    store::write(&recommender, folder.path()).unwrap();
    assert_eq!(logits(&store::read(folder.path()).unwrap()), logits(&recommender));

    recommender.new.components[0] = fine_tuned;
    let folder = tempfile::tempdir().unwrap();
    let error = store::write(&recommender, folder.path()).unwrap_err().to_string();
    assert!(error.contains("it ranks by fine_tuned, which was not fitted"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is half written");
}

/// A component that nobody has thought of yet: the length of an item's text, the same for every user.
#[derive(Debug)]
struct TextLength {
    /// What is taken off.
    mean: f32,
}

impl Component for TextLength {
    const NAME: &'static str = "text_length";
    const ABOUT: &'static str = "how long the item's text is";

    type Users = ();
    type Items = Vec<f32>;

    fn fit(fitting: &Fitting<'_>, _: Stop<'_>) -> Result<Option<Self>, Error> {
        let terms = &fitting.fitted.parts.terms;
        Ok(Some(Self { mean: terms.stored() as f32 / terms.rows() as f32 }))
    }

    fn users(&self, _: &UserInput<'_>) {}

    fn items(&self, input: &ItemInput<'_>, _: Stop<'_>) -> Result<Vec<f32>, Cancelled> {
        Ok(input.texts.texts.iter().map(|text| text.unwrap_or_default().len() as f32 - self.mean).collect())
    }

    fn score(&self, scoring: &Scoring<'_, Self>, users: Range<usize>, items: &Selection<'_>, out: &mut [f32]) {
        for (_, out) in rows(users, items, out) {
            items.fill(out, |item| scoring.own_items[item]);
        }
    }

    fn save(&self, section: &mut Section<'_>) -> error::Result<()> {
        section.value("mean", &self.mean)
    }

    fn load(section: &StoredSection<'_>) -> error::Result<Self> {
        Ok(Self { mean: section.value("mean")? })
    }
}

#[test]
fn a_new_component_is_a_type_and_a_place_in_a_list() {
    let list = ComponentList::of(&[NEW_ITEMS, &[component::<TextLength>()]].concat(), KNOWN_ITEMS);
    let recommender = tuned(list.clone());
    let listed = list.find(TextLength::NAME).unwrap();
    // It has a weight, and scores.
    let place = recommender.new.components.iter().position(|one| *one == listed).unwrap();
    assert_eq!((place, recommender.new.weights.len()), (10, 11));
    let own = scores(&recommender).into_iter().find(|(name, _)| *name == TextLength::NAME).unwrap().1;
    assert!(own.iter().any(|score| *score != own[0]));
    // The others are what they were.
    for ((name, with), (_, without)) in scores(&recommender).iter().zip(scores(&tuned(standard()))).take(10) {
        assert_eq!(bits(with), bits(&without), "{name}");
    }
    // It is kept and read.
    let folder = tempfile::tempdir().unwrap();
    store::write(&recommender, folder.path()).unwrap();
    let read = store::read_with(folder.path(), &list).unwrap();
    assert_eq!((&read.new.components, &read.new.weights), (&recommender.new.components, &recommender.new.weights));
    for ((name, before), (_, after)) in scores(&recommender).iter().zip(scores(&read)) {
        assert_eq!(bits(before), bits(&after), "{name}");
    }
    let error = store::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it has a component 'text_length', which this version of Debut does not know"), "{error}");
    // A recommender without it is read by those who have it: it ranks nothing there.
    let folder = tempfile::tempdir().unwrap();
    store::write(&tuned(standard()), folder.path()).unwrap();
    let read = store::read_with(folder.path(), &list).unwrap();
    assert!(!read.components.has(&listed) && !read.new.components.contains(&listed));
}

/// The recommender's file with a change, read again.
fn reread(recommender: &Recommender, change: impl FnOnce(&mut serde_json::Value)) -> Result<Recommender, String> {
    let folder = tempfile::tempdir().unwrap();
    store::write(recommender, folder.path()).unwrap();
    let path = folder.path().join("recommender/recommender.json");
    let mut file = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut file);
    std::fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    store::read(folder.path()).map_err(|error| error.to_string())
}

#[test]
fn a_file_of_another_format_is_refused() {
    let recommender = fitted(Split::Windows { days: 60 }).recommender;
    let train_again = "train the model again with finetune(objective => 'recommend'";
    for (format, part) in [
        (serde_json::Value::Null, "it says no format"),
        (1.into(), "its format is 1, and this version of Debut reads 2"),
    ] {
        let error = reread(&recommender, |file| file["format"] = format).unwrap_err();
        assert!(error.contains(part) && error.contains(train_again), "{error}");
    }
    let error = reread(&recommender, |file| drop(file.as_object_mut().unwrap().remove("format"))).unwrap_err();
    assert!(error.contains("it says no format") && error.contains(train_again), "{error}");
    let error = reread(&recommender, |file| file["components"][3] = "image_neighbours".into()).unwrap_err();
    assert!(error.contains("a component 'image_neighbours'") && error.contains(train_again), "{error}");
    let error = reread(&recommender, |file| file["activity"][2] = "visits".into()).unwrap_err();
    assert!(error.contains("items, days_idle, visits") && error.contains(train_again), "{error}");
    // What the file lacks, and what it says to have and has not.
    let error = reread(&recommender, |file| drop(file["components"].as_array_mut().unwrap().pop())).unwrap_err();
    assert!(error.contains("damaged") && error.contains("it ranks by buyers, of which it has no column"), "{error}");
    let more = |file: &mut serde_json::Value| file["components"].as_array_mut().unwrap().push("fine_tuned".into());
    let error = reread(&recommender, more).unwrap_err();
    assert!(error.contains("damaged") && error.contains("components/fine_tuned/center"), "{error}");
    let without = |file: &mut serde_json::Value| {
        drop(file["values"].as_object_mut().unwrap().remove("components/content_popularity/price_scale"));
    };
    let error = reread(&recommender, without).unwrap_err();
    assert!(error.contains("damaged") && error.contains("content_popularity/price_scale is not there"), "{error}");
    let twice = |file: &mut serde_json::Value| file["components"].as_array_mut().unwrap().push("price".into());
    let error = reread(&recommender, twice).unwrap_err();
    assert!(error.contains("damaged") && error.contains("normalization/mean has 12 columns, and 13 names"), "{error}");
}

#[test]
fn columns_are_found_by_their_names() {
    let recommender = fitted(Split::Windows { days: 60 }).recommender;
    let swapped = reread(&recommender, |file| file["components"].as_array_mut().unwrap().swap(0, 5)).unwrap();
    for user in 0..USERS {
        for (one, other) in [(0, 5), (5, 0), (3, 3)] {
            assert_eq!(swapped.normalization.mean.row(user)[one], recommender.normalization.mean.row(user)[other]);
            assert_eq!(swapped.normalization.scale.row(user)[one], recommender.normalization.scale.row(user)[other]);
        }
    }
}
