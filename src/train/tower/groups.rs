//! Short texts apart from long ones within a step: takes an encoder that is about to be trained, gives it copies that share
//! its weights, and puts each batch's texts into groups of similar length, one for each copy.
//!
//! Every text is padded to the longest of its group instead of the longest of the batch. What a product name needs is
//! half of what the longest needs, and a step's time is that of its tokens. The result is the same but for rounding:
//! padding is masked, and the loss sees all texts together.

use super::task::TowerSettings;
use crate::inference::runtime::Target;
use crate::onnx::graph::{Value, attribute_int};
use crate::train::encoder::Encoder;
use crate::train::inputs::TokenizedTexts;
use crate::train::objective::Batches;
use crate::train::parameter::Parameter;
use crate::train::step::Feed;

/// Groups on the CPU. A catalogue's product names have 1.7 times their tokens in one group, 1.06 times in four.
const GROUPS: usize = 4;

/// The groups of a training graph.
#[derive(Debug)]
pub(super) struct Groups {
    /// What is behind the inputs' names, for each group.
    suffixes: Vec<String>,
}

impl Groups {
    /// How many groups a training should have: none is ever empty. A GPU does small groups as slowly as large ones.
    pub(super) fn wanted(items: usize, settings: &TowerSettings, target: &Target) -> usize {
        let batches = Batches::count(items, settings.batch_items).max(1);
        match target {
            Target::Cpu => GROUPS.min(items / batches).max(1),
            Target::Cuda { .. } => 1,
        }
    }

    /// Gives `encoder` so many copies of itself, whose vectors together, a group behind the other, are its embeddings from
    /// now on. With dropout there is one group: what is dropped out is drawn for the whole batch.
    pub(super) fn split(encoder: &mut Encoder, parameters: &[Parameter], groups: usize) -> Self {
        let count = if encoder.drops_out() { 1 } else { groups };
        let suffixes = (0..count).map(|group| if group == 0 { String::new() } else { format!("/group{group}") });
        let suffixes = suffixes.collect::<Vec<_>>();
        if count > 1 {
            let inputs = encoder.graph.graph().input.iter().map(|info| info.name().to_owned());
            let inputs = inputs.filter(|name| parameters.iter().all(|parameter| parameter.name != *name));
            let inputs = inputs.collect::<Vec<_>>();
            let embeddings = encoder.embeddings.clone();
            let mut all = vec![embeddings.clone()];
            all.extend(suffixes[1..].iter().map(|suffix| encoder.graph.copy(&inputs, suffix, &embeddings)));
            let all = all.iter().collect::<Vec<&Value>>();
            encoder.embeddings = encoder.graph.node("Concat", &all, vec![attribute_int("axis", 0)]);
        }
        Self { suffixes }
    }

    /// What the graph reads of these texts; they are put in the order of its vectors.
    pub(super) fn feeds(&self, rows: &mut [u32], texts: &TokenizedTexts) -> Vec<Feed> {
        rows.sort_by_key(|row| texts.length(*row));
        let lengths = rows.iter().map(|row| texts.length(*row)).collect::<Vec<_>>();
        let mut feeds = Vec::new();
        let mut start = 0;
        for (end, suffix) in cuts(&lengths, self.suffixes.len()).into_iter().zip(&self.suffixes) {
            let group = texts.padded(&rows[start..end]).into_iter();
            feeds.extend(group.map(|feed| Feed { name: feed.name + suffix, ..feed }));
            start = end;
        }
        feeds
    }
}

/// Where each of `groups` groups ends, so that there are as few tokens as there can be when each text of a group is as long as
/// its last. `lengths` are ascending and not fewer than the groups.
fn cuts(lengths: &[usize], groups: usize) -> Vec<usize> {
    let count = lengths.len();
    // best[g][n]: the fewest tokens of the first n texts in g + 1 groups, and where the last of these begins.
    let mut best =
        vec![(0..=count).map(|n| (lengths[..n].last().map_or(0, |length| n * length), 0)).collect::<Vec<_>>()];
    for group in 1..groups {
        let before = &best[group - 1];
        let fewest = |n: usize| {
            let tokens = |start: usize| before[start].0 + (n - start) * lengths[n - 1];
            (group..n).map(|start| (tokens(start), start)).min().unwrap_or((usize::MAX / 2, group))
        };
        best.push((0..=count).map(fewest).collect());
    }
    let mut ends = vec![count];
    for group in (1..groups).rev() {
        ends.push(best[group][ends[ends.len() - 1]].1);
    }
    ends.reverse();
    ends
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(lengths: &[usize], ends: &[usize]) -> usize {
        let starts = std::iter::once(&0).chain(ends);
        starts.zip(ends).map(|(start, end)| (end - start) * lengths[end - 1]).sum()
    }

    #[test]
    fn texts_are_cut_where_their_lengths_jump() {
        assert_eq!(cuts(&[3, 3, 4, 9, 9, 20], 3), [3, 5, 6]);
        assert_eq!(cuts(&[5, 5, 5], 1), [3]);
        assert_eq!(cuts(&[5, 5, 5], 3), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn no_other_cuts_need_fewer_tokens(mut lengths in prop::collection::vec(1usize..30, 3..20), seed in 0usize..1000) {
            lengths.sort_unstable();
            let count = lengths.len();
            let ends = cuts(&lengths, 3);
            prop_assert!(ends[0] > 0 && ends[0] < ends[1] && ends[1] < ends[2] && ends[2] == count);
            let first = 1 + seed % (count - 2);
            let second = first + 1 + seed / 7 % (count - first - 1);
            prop_assert!(tokens(&lengths, &ends) <= tokens(&lengths, &[first, second, count]));
        }
    }
}
