//! A persistent hash map: a clone costs nothing, and a change copies only the way to what it changes.
//!
//! A trie over the bits of the keys' hashes, five a level. Whoever holds a clone keeps seeing what it was.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, LazyLock};

/// Keyed at random in every process: keys come from users.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

const BITS: u32 = 5;

/// A map whose clones share what they have in common.
#[derive(Debug)]
pub struct Map<K, V> {
    root: Option<Arc<Node<K, V>>>,
    len: usize,
}

/// A set is a map to nothing.
pub type Set<K> = Map<K, ()>;

#[derive(Debug, Clone)]
enum Node<K, V> {
    /// Keys of one hash; nearly always one.
    Leaf(u64, Vec<(K, V)>),
    /// The children whose bits are set, in order.
    Branch(u32, Vec<Arc<Node<K, V>>>),
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { root: None, len: 0 }
    }
}

/// The bit of a hash at a level, and how many children come before it.
fn place(bitmap: u32, hash: u64, shift: u32) -> (u32, usize) {
    let bit = 1 << (hash >> shift & 31);
    (bit, (bitmap & (bit - 1)).count_ones() as usize)
}

impl<K, V> Map<K, V> {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Keys and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut waiting: Vec<&Node<K, V>> = self.root.as_deref().into_iter().collect();
        let mut leaf = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some((k, v)) = leaf.next() {
                    return Some((k, v));
                }
                match waiting.pop()? {
                    Node::Leaf(_, pairs) => leaf = pairs.iter(),
                    Node::Branch(_, children) => waiting.extend(children.iter().map(Arc::as_ref)),
                }
            }
        })
    }
    /// Keys, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(k, _)| k)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Map<K, V> {
    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = HASHER.hash_one(key);
        let mut node = self.root.as_deref()?;
        let mut shift = 0;
        loop {
            match node {
                Node::Leaf(h, pairs) => {
                    return pairs.iter().find(|(k, _)| *h == hash && k.borrow() == key).map(|(_, v)| v);
                }
                Node::Branch(bitmap, children) => {
                    let (bit, i) = place(*bitmap, hash, shift);
                    if bitmap & bit == 0 {
                        return None;
                    }
                    node = &children[i];
                    shift += BITS;
                }
            }
        }
    }

    /// Whether there is such a key.
    pub fn contains<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Puts a value, and tells the one that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = HASHER.hash_one(&key);
        let old = match &mut self.root {
            Some(root) => insert(root, hash, 0, key, value),
            None => {
                self.root = Some(Arc::new(Node::Leaf(hash, vec![(key, value)])));
                None
            }
        };
        self.len += usize::from(old.is_none());
        old
    }

    /// Takes a key out, and tells what its value was.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let hash = HASHER.hash_one(key);
        // Looked for first, so that nothing is copied for a key that is not there.
        self.get(key)?;
        let (old, empty) = remove(self.root.as_mut()?, hash, 0, key);
        if empty {
            self.root = None;
        }
        self.len -= usize::from(old.is_some());
        old
    }

    /// Changes the value of a key in place; one that was not there begins empty.
    pub fn change<R>(&mut self, key: K, with: impl FnOnce(&mut V) -> R) -> R
    where
        V: Default,
    {
        let mut value = self.get(&key).cloned().unwrap_or_default();
        let out = with(&mut value);
        self.insert(key, value);
        out
    }
}

fn insert<K: Hash + Eq + Clone, V: Clone>(
    node: &mut Arc<Node<K, V>>,
    hash: u64,
    shift: u32,
    key: K,
    value: V,
) -> Option<V> {
    if let Node::Leaf(other, _) = &**node
        && *other != hash
    {
        // Two hashes in one place: a level more tells them apart, or the next does.
        let (bit, _) = place(0, *other, shift);
        *node = Arc::new(Node::Branch(bit, vec![node.clone()]));
    }
    match Arc::make_mut(node) {
        Node::Leaf(_, pairs) => match pairs.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                pairs.push((key, value));
                None
            }
        },
        Node::Branch(bitmap, children) => {
            let (bit, i) = place(*bitmap, hash, shift);
            if *bitmap & bit != 0 {
                return insert(&mut children[i], hash, shift + BITS, key, value);
            }
            *bitmap |= bit;
            children.insert(i, Arc::new(Node::Leaf(hash, vec![(key, value)])));
            None
        }
    }
}

/// Takes a key out; also tells whether nothing is left of the node.
fn remove<K: Clone + Borrow<Q>, V: Clone, Q: Eq + ?Sized>(
    node: &mut Arc<Node<K, V>>,
    hash: u64,
    shift: u32,
    key: &Q,
) -> (Option<V>, bool) {
    match Arc::make_mut(node) {
        Node::Leaf(_, pairs) => {
            let old = pairs.iter().position(|(k, _)| k.borrow() == key).map(|i| pairs.swap_remove(i).1);
            (old, pairs.is_empty())
        }
        Node::Branch(bitmap, children) => {
            let (bit, i) = place(*bitmap, hash, shift);
            if *bitmap & bit == 0 {
                return (None, false);
            }
            let (old, empty) = remove(&mut children[i], hash, shift + BITS, key);
            if empty {
                children.remove(i);
                *bitmap &= !bit;
            }
            (old, children.is_empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn does_what_a_map_does_and_leaves_its_clones_alone() {
        let (mut ours, mut theirs) = (Map::default(), HashMap::new());
        let mut state = 7u64;
        let mut kept = Vec::new();
        for step in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = state >> 52;
            if state >> 20 & 3 == 0 {
                assert_eq!(ours.remove(&key), theirs.remove(&key));
            } else {
                assert_eq!(ours.insert(key, step), theirs.insert(key, step));
            }
            assert_eq!(ours.len(), theirs.len());
            if step % 5000 == 0 {
                kept.push((ours.clone(), theirs.clone()));
            }
        }
        kept.push((ours, theirs));
        for (ours, theirs) in kept {
            assert!(theirs.iter().all(|(k, v)| ours.get(k) == Some(v)));
            assert_eq!(ours.iter().map(|(k, v)| (*k, *v)).collect::<HashMap<_, _>>(), theirs);
        }
    }
}
