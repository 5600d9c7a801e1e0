//! A tensor in slabs: cut by its size alone, worked on by any number of threads, and what they found put together in order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::merge::error::MergeError;
use crate::merge::method::{Found, Tally};

/// Numbers a slab has at least.
const LEAST: u64 = 1 << 20;
/// Slabs a tensor has at most: what is kept for each of them is bounded by this.
const MOST: u64 = 64;

/// Where slabs begin and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slabs {
    elements: u64,
    size: u64,
}

impl Slabs {
    /// Slabs of whole blocks.
    pub(super) fn of(elements: u64, block: u64) -> Self {
        let size = elements.div_ceil(MOST).max(LEAST).next_multiple_of(block.max(1));
        Self { elements, size }
    }

    pub(super) fn count(&self) -> usize {
        self.elements.div_ceil(self.size).max(1) as usize
    }

    /// A slab's elements.
    pub(super) fn range(&self, at: usize) -> std::ops::Range<u64> {
        let from = at as u64 * self.size;
        from..(from + self.size).min(self.elements)
    }
}

/// Has each of `workers` take slabs until none is left or one of them fails.
pub(super) fn each<W: Send>(
    workers: &mut [W],
    count: usize,
    work: impl Fn(&mut W, usize) -> Result<(), MergeError> + Sync,
) -> Result<(), MergeError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first = Mutex::new(None);
    let labour = |worker: &mut W| {
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return;
            }
            if let Err(error) = work(worker, at) {
                stop.store(true, Ordering::Relaxed);
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                // Of several, the one of the first slab: the same whoever was faster.
                if first.as_ref().is_none_or(|(other, _)| at < *other) {
                    *first = Some((at, error));
                }
            }
        }
    };
    let most = workers.len().min(count).max(1);
    match &mut workers[..most] {
        [] => {}
        [one] => labour(one),
        [one, others @ ..] => std::thread::scope(|scope| {
            for worker in others {
                scope.spawn(|| labour(worker));
            }
            labour(one);
        }),
    }
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// Puts tallies together in the order of their slabs, whoever comes first.
#[derive(Debug, Default)]
pub(super) struct Collector {
    by_slab: bool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    next: usize,
    waiting: BTreeMap<usize, Tally>,
    found: Found,
}

impl Collector {
    pub(super) fn new(by_slab: bool) -> Self {
        Self { by_slab, inner: Mutex::default() }
    }

    pub(super) fn take(&self, slab: usize, tally: Tally) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.waiting.insert(slab, tally);
        while let Some(tally) = {
            let next = inner.next;
            inner.waiting.remove(&next)
        } {
            inner.next += 1;
            let found = &mut inner.found;
            found.sums.resize(found.sums.len().max(tally.sums.len()), 0.0);
            found.sums.iter_mut().zip(&tally.sums).for_each(|(to, more)| *to += more);
            found.counts.resize(found.counts.len().max(tally.counts.len()), 0);
            found.counts.iter_mut().zip(&tally.counts).for_each(|(to, &more)| *to += u64::from(more));
            if self.by_slab {
                let some = tally.counts.iter().enumerate().filter(|(_, count)| **count > 0);
                found.slabs.push(some.map(|(at, &count)| (at as u32, count)).collect());
            }
        }
    }

    pub(super) fn end(self) -> Found {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).found
    }
}
