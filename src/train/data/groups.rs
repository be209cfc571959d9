//! Which texts belong to whom: a set of texts for each user, or for each anchor.

/// A set of texts for each group, all in one list: the texts of group `g` are `texts[offsets[g]..offsets[g + 1]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    offsets: Vec<u32>,
    texts: Vec<u32>,
}

impl Groups {
    /// The sets that `members` make, given as (group, text) in any order, each any number of times; groups are numbered
    /// below `count`.
    pub(crate) fn new(mut members: Vec<(u32, u32)>, count: usize) -> Self {
        members.sort_unstable();
        members.dedup();
        let mut offsets = vec![0; count + 1];
        for (group, _) in &members {
            offsets[*group as usize + 1] += 1;
        }
        for group in 0..count {
            offsets[group + 1] += offsets[group];
        }
        Self { offsets, texts: members.into_iter().map(|(_, text)| text).collect() }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts of a group, ascending.
    pub fn of(&self, group: u32) -> &[u32] {
        let at = |index: usize| self.offsets.get(index).copied().unwrap_or_default() as usize;
        self.texts.get(at(group as usize)..at(group as usize + 1)).unwrap_or_default()
    }

    /// Whether a text is in a group.
    pub fn contains(&self, group: u32, text: u32) -> bool {
        self.of(group).binary_search(&text).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_each_text_once() {
        let groups = Groups::new(vec![(2, 5), (0, 9), (2, 1), (2, 5)], 4);
        assert_eq!(groups.len(), 4);
        assert_eq!(
            [groups.of(0), groups.of(1), groups.of(2), groups.of(3), groups.of(9)],
            [&[9][..], &[], &[1, 5], &[], &[]]
        );
        assert!(groups.contains(2, 5) && !groups.contains(1, 5) && !Groups::default().contains(0, 0));
    }
}
