//! A table of bounded size that forgets what is old.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use crate::source::Time;

/// Entries in two generations, of which the older one is forgotten as a whole: nothing has to be noted
/// of an entry that is taken out, and nearly all are at once.
pub struct Generations<K, V> {
    young: FxHashMap<K, V>,
    old: FxHashMap<K, V>,
    /// When the young generation began.
    since: Time,
    keep: u64,
    max: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// Of at most `max` entries each. An entry is kept for `keep` nanoseconds at least, and at most twice
    /// as long; for less where they are too many.
    pub fn new(keep: u64, max: usize) -> Self {
        let (young, old) = (FxHashMap::default(), FxHashMap::default());
        Self { young, old, since: Time::default(), keep, max }
    }

    /// Puts an entry in at `now`.
    pub fn insert(&mut self, key: K, value: V, now: Time) {
        self.expire(now);
        if self.young.len() >= self.max {
            self.age(now);
        }
        self.young.insert(key, value);
    }

    /// An entry, if it is there.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Forgets what is too old at `now`.
    pub fn expire(&mut self, now: Time) {
        if now.0.saturating_sub(self.since.0) > self.keep {
            self.age(now);
        }
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn age(&mut self, now: Time) {
        self.since = now;
        // The old table keeps its room, to be the next young one.
        self.old.clear();
        std::mem::swap(&mut self.young, &mut self.old);
    }
}
