//! A tensor with adapters in it: `W + Σ w·s·B·A` (arXiv 2106.09685), DoRA's row norms (arXiv 2402.09353), whole tensors.

use std::ops::Range;
use std::sync::Arc;

use super::Matrix;
use crate::merge::method::dot;
use crate::merge::model::{Numbers, Weight};

/// What one adapter does to a tensor.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Adds a product of two thin matrices.
    Low {
        /// A row for each row of the tensor.
        left: Matrix,
        /// A column for each column.
        right: Matrix,
        /// `alpha / r`.
        scale: f32,
        /// How much of the adapter.
        weight: f32,
        /// DoRA's length of each row.
        magnitude: Option<Vec<f32>>,
    },
    /// Replaces it.
    Whole {
        /// All of it.
        numbers: Vec<f32>,
        /// How much of the way there.
        weight: f32,
    },
}

/// Whether whole tensors make this one what another one is already.
pub(super) fn same(own: &Weight, changes: &[Change]) -> bool {
    changes.iter().all(|change| match change {
        Change::Whole { numbers, weight } => {
            *weight == 1.0 && own.elements() == numbers.len() as u64 && own.all() == *numbers
        }
        Change::Low { .. } => false,
    })
}

/// A tensor and its changes.
#[derive(Debug)]
pub(super) struct Baked {
    base: Arc<Weight>,
    changes: Vec<Change>,
    columns: usize,
    /// One whole tensor takes the place of the base, to the last bit.
    replaced: bool,
}

impl Baked {
    pub(super) fn new(base: Arc<Weight>, changes: Vec<Change>) -> Self {
        let columns = base.columns().max(1) as usize;
        let whole = |change: &&Change| matches!(change, Change::Whole { .. });
        let first = matches!(changes.first(), Some(Change::Whole { weight: 1.0, .. }));
        let replaced = first && changes.iter().filter(whole).count() == 1;
        Self { base, changes, columns, replaced }
    }

    /// A whole row, and what is added to it.
    fn row(&self, row: usize, own: &mut [f32], added: &mut [f32], work: &mut [f32]) {
        self.base.read((row * self.columns) as u64, own);
        added.fill(0.0);
        for change in &self.changes {
            match change {
                Change::Whole { numbers, weight } => {
                    let whole = &numbers[row * self.columns..(row + 1) * self.columns];
                    if self.replaced {
                        own.copy_from_slice(whole);
                        continue;
                    }
                    let places = added.iter_mut().zip(whole.iter().zip(own.iter()));
                    places.for_each(|(to, (whole, own))| *to += weight * (whole - own));
                }
                Change::Low { left, right, scale, weight, magnitude } => {
                    work.fill(0.0);
                    for (at, &factor) in left.numbers[row * left.columns..(row + 1) * left.columns].iter().enumerate() {
                        let right = &right.numbers[at * right.columns..(at + 1) * right.columns];
                        work.iter_mut().zip(right).for_each(|(to, from)| *to += factor * from);
                    }
                    work.iter_mut().for_each(|number| *number *= scale);
                    if let Some(length) = magnitude.as_ref().and_then(|lengths| lengths.get(row)) {
                        work.iter_mut().zip(own.iter()).for_each(|(number, own)| *number += own);
                        let factor = length / dot(work, work).sqrt() as f32;
                        work.iter_mut().zip(own.iter()).for_each(|(number, own)| *number = *number * factor - own);
                    }
                    added.iter_mut().zip(work.iter()).for_each(|(to, from)| *to += weight * from);
                }
            }
        }
        own.iter_mut().zip(added.iter()).for_each(|(own, added)| *own += added);
    }
}

impl Numbers for Baked {
    fn read(&self, at: u64, out: &mut [f32]) {
        let (mut own, mut added, mut work) =
            (vec![0.0; self.columns], vec![0.0; self.columns], vec![0.0; self.columns]);
        let (mut row, mut within, mut done) = (at as usize / self.columns, at as usize % self.columns, 0);
        while done < out.len() {
            let length = (self.columns - within).min(out.len() - done);
            self.row(row, &mut own, &mut added, &mut work);
            out[done..done + length].copy_from_slice(&own[within..within + length]);
            (row, within, done) = (row + 1, 0, done + length);
        }
    }

    fn forget(&self, elements: Range<u64>) {
        self.base.forget(elements);
    }
}
