//! Things that are loaded at most once and then shared.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place for one value; whoever loads it holds its lock, so that the others wait for the result.
type Slot<V> = Arc<Mutex<Option<Arc<V>>>>;

/// Values by key. Loading one key does not hold up another.
#[derive(Debug)]
pub(crate) struct Pool<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

impl<K, V> Default for Pool<K, V> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Hash + Eq, V> Pool<K, V> {
    /// The value of `key`; calls `load` if there is none. Concurrent callers of the same key wait for one load.
    ///
    /// # Errors
    /// Those of `load`. Nothing is kept then: the next caller tries again.
    pub(crate) fn get_or_load<E>(&self, key: K, load: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let slot = Arc::clone(lock(&self.slots).entry(key).or_default());
        let mut value = lock(&slot);
        if let Some(value) = &*value {
            return Ok(Arc::clone(value));
        }
        let loaded = Arc::new(load()?);
        *value = Some(Arc::clone(&loaded));
        Ok(loaded)
    }

    /// Forgets the values whose keys match. Those in use live on until their users are done.
    pub(crate) fn evict(&self, matches: impl Fn(&K) -> bool) {
        let mut evicted = Vec::new();
        lock(&self.slots).retain(|key, slot| {
            let keep = !matches(key);
            if !keep {
                evicted.push(Arc::clone(slot));
            }
            keep
        });
        // Dropped here, with the map unlocked: dropping a model waits for its thread.
        drop(evicted);
    }
}

/// A panic while the lock was held leaves a map or a slot that is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn concurrent_callers_load_once() {
        let pool = Pool::<&str, usize>::default();
        let (loads, start) = (AtomicUsize::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let value = pool.get_or_load("a", || Ok::<_, ()>(loads.fetch_add(1, Ordering::SeqCst)));
                    assert_eq!(*value.unwrap(), 0);
                });
            }
        });
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failed_load_is_tried_again() {
        let pool = Pool::default();
        assert_eq!(pool.get_or_load("a", || Err::<u8, _>("no")), Err("no"));
        assert_eq!(pool.get_or_load("a", || Ok::<_, &str>(7)), Ok(Arc::new(7)));
    }

    #[test]
    fn evicted_values_are_freed_and_loaded_anew() {
        let pool = Pool::default();
        let first = pool.get_or_load("a", || Ok::<_, ()>(1)).unwrap();
        pool.get_or_load("b", || Ok::<_, ()>(2)).unwrap();
        pool.evict(|key| *key == "a");
        assert_eq!(Arc::strong_count(&first), 1);
        assert_eq!(*pool.get_or_load("a", || Ok::<_, ()>(3)).unwrap(), 3);
        assert_eq!(*pool.get_or_load("b", || Ok::<_, ()>(4)).unwrap(), 2);
    }
}
