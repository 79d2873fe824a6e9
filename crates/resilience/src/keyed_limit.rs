//! A limit on the concurrency of each of many callers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Limits how many operations each key runs at the same time, so that one caller cannot take the permits of all. Clones
/// share the counts.
#[derive(Clone, Debug)]
pub struct KeyedLimit {
    limit: usize,
    /// The keys with at least one permit in use.
    in_use: Arc<Mutex<HashMap<String, usize>>>,
}

/// A permit of one key; released on drop.
#[derive(Debug)]
pub struct KeyedPermit {
    all: KeyedLimit,
    key: String,
}

impl KeyedLimit {
    /// A limit of `limit` permits for each key.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            in_use: Arc::default(),
        }
    }

    /// A permit, or `None` if the key has used up its own.
    pub fn try_acquire(&self, key: &str) -> Option<KeyedPermit> {
        let mut in_use = self.in_use();
        match in_use.get_mut(key) {
            Some(count) if *count >= self.limit => return None,
            Some(count) => *count += 1,
            None => _ = in_use.insert(key.to_owned(), 1),
        }
        Some(KeyedPermit {
            all: self.clone(),
            key: key.to_owned(),
        })
    }

    fn in_use(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyedPermit {
    fn drop(&mut self) {
        let mut in_use = self.all.in_use();
        if let Some(count) = in_use.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                in_use.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_permits_and_unused_keys_cost_nothing() {
        let limit = KeyedLimit::new(2);
        let alice = [limit.try_acquire("alice"), limit.try_acquire("alice")];
        assert!(alice.iter().all(Option::is_some));
        assert!(limit.try_acquire("alice").is_none());
        assert!(limit.try_acquire("bob").is_some());
        drop(alice);
        assert!(limit.try_acquire("alice").is_some());
        assert!(limit.in_use().is_empty());
    }
}
