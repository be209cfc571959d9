//! `gaps(...)`: takes a recommender, gives pairs of words that the same users want and no item has, with the buyers to be expected of each.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::common::Result;
use debut_udfs::gaps::{self, GapsOptions};
use debut_udfs::recommender::Request;

use super::lists::{list, list_of_structs};
use crate::background::Listener;
use crate::cancellation::{Stop, check};
use crate::linalg::dense::Matrix;
use crate::recommend::inputs::new_items::NewItems;
use crate::recommend::inputs::word_pairs::{WordPair, Words};
use crate::recommend::model::expected_buyers::expected_buyers;
use crate::recommend::model::loaded::Loaded;
use crate::recommend::model::recommender::Recommender;

/// Pairs whose buyers are asked for, at most: those that are least by chance.
const MOST_PAIRS: usize = 1000;
/// Items that are compared with all others to say how near items are to each other.
const COMPARED: usize = 400;
/// Items that speak for a row, at most.
const PURCHASES: usize = 5;

/// The rows of `gaps`.
pub(super) fn rows(request: &Request<GapsOptions>, loaded: &Loaded, listener: &Listener<RecordBatch>) -> Result<()> {
    let recommender = loaded.recommender.as_ref();
    let stop = || listener.is_gone();
    let histories = &recommender.representations.history;
    let texts = (0..recommender.known.len() as u32).map(|known| recommender.known_text(known));
    let catalogue = 0..recommender.items.len() as u32;
    let unsold = catalogue.filter(|item| recommender.place(*item).is_none());
    let unsold = unsold.map(|item| recommender.items.texts.value(item as usize));
    let words = Words::of(texts, unsold, histories);
    let mut pairs = words.pairs(histories, &stop)?;
    pairs.truncate(MOST_PAIRS);
    if pairs.is_empty() {
        return Ok(());
    }
    let text = |pair: &WordPair| pair.words.map(|word| words.words[word as usize].as_str()).join(" ");
    let items = NewItems::of_texts(pairs.iter().map(|pair| Some(text(pair))).collect());
    let candidates = items.candidates(loaded, &[], &stop)?;
    let users = recommender.everybody();
    let buyers = expected_buyers(&recommender.logits(&users, &candidates, 1.0).new_items(), &stop)?;
    let mut order = (0..pairs.len()).collect::<Vec<_>>();
    order.sort_by(|one, other| buyers[*other].total_cmp(&buyers[*one]).then(one.cmp(other)));

    let catalogue = &recommender.catalogue.embeddings;
    let near = usual_similarity(catalogue, &stop)?;
    let (mut found, mut used) = (Vec::new(), vec![false; words.words.len()]);
    for place in order {
        if found.len() == request.options.k {
            break;
        }
        check(&stop)?;
        let pair = pairs[place];
        if pair.words.iter().any(|word| used[*word as usize]) {
            continue;
        }
        let (item, similarity) = nearest(&candidates.new.embeddings.gather(&[place as u32]), catalogue, None);
        if similarity < near {
            pair.words.iter().for_each(|word| used[*word as usize] = true);
            let purchases = words.bought(pair, histories, PURCHASES);
            found.push(Gap { pair, buyers: buyers[place], nearest: item, similarity, purchases });
        }
    }
    listener.send(batch(&found, &words, recommender, request));
    Ok(())
}

/// A row.
struct Gap {
    pair: WordPair,
    buyers: f64,
    /// By number among the items with a history, as those below.
    nearest: u32,
    similarity: f32,
    /// Items and how many of the users who want both words have each.
    purchases: Vec<(u32, u32)>,
}

/// The median of how similar items are to the one that is nearest to them; of many items, every so many.
fn usual_similarity(items: &Matrix, stop: Stop<'_>) -> Result<f32> {
    let step = items.rows().div_ceil(COMPARED).max(1);
    let mut similarities = Vec::new();
    for item in (0..items.rows() as u32).step_by(step) {
        check(stop)?;
        similarities.push(nearest(&items.gather(&[item]), items, Some(item)).1);
    }
    similarities.sort_by(f32::total_cmp);
    Ok(similarities.get(similarities.len() / 2).copied().unwrap_or(f32::INFINITY))
}

/// The item that is nearest to a vector (a matrix of one row), and its cosine; all of them of length one.
fn nearest(vector: &Matrix, items: &Matrix, but: Option<u32>) -> (u32, f32) {
    let similarities = vector.times_transposed(items);
    let others = (0..).zip(similarities.values()).filter(|(item, _)| Some(*item) != but);
    others.fold(
        (0, f32::NEG_INFINITY),
        |best, (item, similarity)| {
            if *similarity > best.1 { (item, *similarity) } else { best }
        },
    )
}

fn batch(
    gaps: &[Gap],
    words: &Words,
    recommender: &Recommender,
    request: &Request<GapsOptions>,
) -> Result<RecordBatch> {
    let schema = gaps::schema(request.ids);
    let field = |name: &str| Ok::<_, arrow::error::ArrowError>(schema.field_with_name(name)?.data_type().clone());
    let item = |known: u32| recommender.known[known as usize];
    let both = gaps.iter().flat_map(|gap| gap.pair.words.map(|word| words.words[word as usize].as_str()));
    let bought = || gaps.iter().flat_map(|gap| gap.purchases.iter());
    let users = bought().map(|(_, users)| i64::from(*users)).collect::<Int64Array>();
    let bought_items = recommender.items.ids.array(bought().map(|(known, _)| item(*known)));
    let lengths = gaps.iter().map(|gap| gap.purchases.len());
    let columns: Vec<ArrayRef> = vec![
        Arc::new((1..=gaps.len() as i64).collect::<Int64Array>()),
        list(&field("words")?, gaps.iter().map(|_| 2), Arc::new(StringArray::from_iter_values(both)))?,
        Arc::new(gaps.iter().map(|gap| gap.buyers).collect::<Float64Array>()),
        Arc::new(gaps.iter().map(|gap| gap.pair.users as i64).collect::<Int64Array>()),
        Arc::new(gaps.iter().map(|gap| gap.pair.expected).collect::<Float64Array>()),
        recommender.items.ids.array(gaps.iter().map(|gap| item(gap.nearest))),
        Arc::new(StringArray::from_iter_values(gaps.iter().map(|gap| recommender.known_text(gap.nearest)))),
        Arc::new(gaps.iter().map(|gap| gap.similarity).collect::<Float32Array>()),
        list_of_structs(&field("purchases")?, lengths, vec![bought_items, Arc::new(users)])?,
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
