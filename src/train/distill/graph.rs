//! A student as an ONNX graph: takes its vectors and which pairs have one, gives a graph of lookups and one sum.
//!
//! Pairs are found exactly and by additions alone, in a sparse table of (first token, second token) whose rows are laid over
//! each other where they leave room: the entry of a pair is at `offsets[first] + second`, and `owners` says whose it is.
//! Tarjan and Yao, "Storing a sparse table", 1979, section 2, <https://doi.org/10.1145/359168.359175>.

use std::collections::BTreeMap;

use super::features::Features;
use crate::onnx::graph::{Dim, GraphBuilder, Value, attribute_int};
use crate::onnx::proto::{DataType, ModelProto};

/// The output: one vector a text, not normalised.
pub(super) const OUTPUT: &str = "sentence_embedding";

/// No token owns the entry.
const NOBODY: i64 = -1;

/// The graph of the student whose vectors, `[features, dimension]`, are `table`.
pub(super) fn build(features: &Features, table: &[f32], dimension: usize) -> ModelProto {
    let mut graph = GraphBuilder::new("static");
    let dims = [Dim::Named("batch"), Dim::Named("sequence")];
    let ids = graph.input("input_ids", DataType::Int64, &dims);
    let mask = graph.input("attention_mask", DataType::Int64, &dims);
    // Behind all others stands a vector of zeros: that of padding, and of pairs that have none.
    let mut values = table.to_vec();
    values.resize((features.len() + 1) * dimension, 0.0);
    let vectors = graph.tensor_f32("vectors", &[features.len() + 1, dimension], &values);
    let nothing = graph.scalar_i64(features.len() as i64);
    let is_token = graph.cast(&mask, DataType::Bool);
    let mut chosen = graph.node("Where", &[&is_token, &ids, &nothing], vec![]);
    if !features.pairs().is_empty() {
        let pairs = pairs(&mut graph, [&ids, &is_token, &nothing], features);
        chosen = graph.node("Concat", &[&chosen, &pairs], vec![attribute_int("axis", 1)]);
    }
    let gathered = graph.gather(&vectors, &chosen, 0);
    let axes = graph.list_i64(&[1]);
    let sum = graph.node("ReduceSum", &[&gathered, &axes], vec![attribute_int("keepdims", 0)]);
    graph.rename(&sum, OUTPUT);
    graph.output(OUTPUT, DataType::Float, &[Dim::Named("batch"), Dim::Fixed(dimension)]);
    graph.finish()
}

/// The numbers of the vectors of neighbouring `ids`, `[batch, sequence - 1]`.
fn pairs(graph: &mut GraphBuilder, [ids, is_token, nothing]: [&Value; 3], features: &Features) -> Value {
    let SparseTable { offsets, owners, entries } = SparseTable::of(features);
    let (start, second_place, axis) = (graph.list_i64(&[0]), graph.list_i64(&[1]), graph.list_i64(&[1]));
    let (last, end) = (graph.list_i64(&[-1]), graph.list_i64(&[i64::MAX]));
    let first = graph.node("Slice", &[ids, &start, &last, &axis], vec![]);
    let second = graph.node("Slice", &[ids, &second_place, &end, &axis], vec![]);
    let is_pair = graph.node("Slice", &[is_token, &second_place, &end, &axis], vec![]);
    let offsets = graph.tensor_i64("pairs/offsets", &[offsets.len()], &offsets);
    let owners = graph.tensor_i64("pairs/owners", &[owners.len()], &owners);
    let entries = graph.tensor_i64("pairs/entries", &[entries.len()], &entries);
    let offset = graph.gather(&offsets, &first, 0);
    let place = graph.add(&offset, &second);
    let owner = graph.gather(&owners, &place, 0);
    let is_listed = graph.node("Equal", &[&owner, &first], vec![]);
    let is_listed = graph.node("And", &[&is_listed, &is_pair], vec![]);
    let entry = graph.gather(&entries, &place, 0);
    graph.node("Where", &[&is_listed, &entry, nothing], vec![])
}

/// Pairs by their first and second token.
#[derive(Debug)]
struct SparseTable {
    /// Of each first token, where its row begins.
    offsets: Vec<i64>,
    /// Whose each entry is.
    owners: Vec<i64>,
    /// The number of the vector.
    entries: Vec<i64>,
}

impl SparseTable {
    fn of(features: &Features) -> Self {
        let tokens = features.tokens();
        let mut rows = BTreeMap::<u32, Vec<(u32, i64)>>::new();
        for (number, (first, second)) in (tokens as i64..).zip(features.pairs()) {
            rows.entry(*first).or_default().push((*second, number));
        }
        // The fullest rows first, as long as there is room anywhere.
        let mut rows = rows.into_iter().collect::<Vec<_>>();
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.len()));
        let mut table = Self { offsets: vec![0; tokens], owners: vec![NOBODY; tokens], entries: vec![0; tokens] };
        for (first, row) in rows {
            let fits = |offset: &usize| {
                let owner = |second: u32| table.owners.get(offset + second as usize);
                row.iter().all(|(second, _)| owner(*second).is_none_or(|owner| *owner == NOBODY))
            };
            let offset = (0..=table.owners.len()).find(fits).unwrap_or(table.owners.len());
            // Whatever the second token: the entry is there.
            let size = table.owners.len().max(offset + tokens);
            table.owners.resize(size, NOBODY);
            table.entries.resize(size, 0);
            table.offsets[first as usize] = offset as i64;
            for (second, number) in row {
                table.owners[offset + second as usize] = i64::from(first);
                table.entries[offset + second as usize] = number;
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::features::Pair;
    use super::*;

    fn find(table: &SparseTable, (first, second): Pair) -> Option<i64> {
        let place = table.offsets[first as usize] as usize + second as usize;
        (table.owners[place] == i64::from(first)).then(|| table.entries[place])
    }

    proptest! {
        #[test]
        fn a_pair_is_found_if_and_only_if_it_is_listed(pairs in prop::collection::btree_set((0u32..12, 0u32..12), 0..80)) {
            let features = Features::new(12, pairs.iter().copied().collect());
            let table = SparseTable::of(&features);
            for pair in (0..12).flat_map(|first| (0..12).map(move |second| (first, second))) {
                let wanted = features.pairs().iter().position(|listed| *listed == pair).map(|place| 12 + place as i64);
                prop_assert_eq!(find(&table, pair), wanted);
            }
        }
    }
}
