//! Vectors in memory: takes keys and vectors, keeps those that are asked for most within a number of bytes.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::key::Key;

/// Bytes that an entry takes besides its numbers: the key, the allocation, and its place in the table.
const ENTRY: usize = 96;

/// A vector and the number of tokens that it was made of.
type Entry = (u32, Arc<[f32]>);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Entry> for Bytes {
    fn weight(&self, _key: &Key, (_, values): &Entry) -> u64 {
        (ENTRY + size_of_val::<[f32]>(values)) as u64
    }
}

/// The vectors.
#[derive(Debug)]
pub(super) struct Memory(Cache<Key, Entry, Bytes>);

impl Memory {
    /// Room for `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let entries = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).max(1);
        Self(Cache::with_weighter(entries, bytes, Bytes))
    }

    /// Copies a vector into `values` and gives its tokens, if it is there.
    pub(super) fn get(&self, key: &Key, values: &mut [f32]) -> Option<u32> {
        let (tokens, found) = self.0.get(key)?;
        (found.len() == values.len()).then(|| {
            values.copy_from_slice(&found);
            tokens
        })
    }

    /// Keeps a vector.
    pub(super) fn insert(&self, key: Key, tokens: u32, values: &[f32]) {
        self.0.insert(key, (tokens, values.into()));
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_gives_what_it_was_given() {
        let memory = Memory::new(1 << 20);
        let key = |n: u32| blake3::hash(&n.to_le_bytes()).as_bytes()[..16].try_into().unwrap_or_default();
        for n in 0..10_000 {
            memory.insert(key(n), n, &[n as f32; 384]);
            assert!(memory.bytes() <= 1 << 20, "{}", memory.bytes());
        }
        let mut values = [0.0; 384];
        let mut found = 0;
        for n in 0..10_000 {
            if let Some(tokens) = memory.get(&key(n), &mut values) {
                assert!(tokens == n && values.iter().all(|value| *value == n as f32));
                found += 1;
            }
        }
        assert!(found > 300, "{found}");
        assert_eq!(memory.get(&key(9_999), &mut [0.0; 3]), None);
        memory.clear();
        assert_eq!((0..10_000).find_map(|n| memory.get(&key(n), &mut values)), None);
    }
}
