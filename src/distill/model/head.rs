//! From hidden states to losses. Logits exist for a tile of rows at a time, and their gradients take their place.
//!
//! The matrix is unpacked in parts of the vocabulary where it is kept in 16 bits. A row is judged by whoever calls: this
//! file knows products, not losses.

use rayon::prelude::*;

use super::weight::Weight;
use crate::distill::kernel::matmul::{Old, Precision, Target, View};

/// Logits that exist at once.
pub(crate) const TILE: usize = 1 << 24;
/// Rows of the matrix that are unpacked at once.
const PART: usize = 8192;

/// Who computes the products with the matrix, where it is not the processor.
pub(crate) trait Products {
    /// Logits of some rows.
    fn logits(&self, states: &[f32], logits: &mut [f32]);

    /// Adds to `to` what follows from the logits' gradients for the rows' states, and keeps what follows for the matrix
    /// where that is asked for.
    fn back(&self, states: &[f32], slopes: &[f32], to: Option<&mut [f32]>, matrix: bool);

    /// Adds what was kept.
    fn finish(&self, gradient: &mut [f32]);
}

/// The output's matrix.
pub(crate) struct Head<'a> {
    pub(crate) weight: &'a Weight,
    pub(crate) hidden: usize,
    pub(crate) vocabulary: usize,
    pub(crate) precision: Precision,
    pub(crate) products: Option<&'a dyn Products>,
}

/// What is wanted of the gradients.
#[derive(Default)]
pub(crate) struct Wanted<'a> {
    /// Of the hidden states: added to.
    pub(crate) states: Option<&'a mut [f32]>,
    /// Of the matrix: added to.
    pub(crate) matrix: Option<&'a mut [f32]>,
}

impl Head<'_> {
    /// Hands each row's logits to `judge`, with the row's number. It gives the row's value back and, where gradients are
    /// wanted, leaves the value's gradient in the logits' place. Values come back in the order of rows.
    pub(crate) fn run<T: Send>(
        &self,
        states: &[f32],
        judge: &(impl Fn(usize, &mut [f32]) -> T + Sync),
        mut wanted: Wanted<'_>,
    ) -> Vec<T> {
        let (hidden, vocabulary) = (self.hidden, self.vocabulary);
        let tile = (TILE / vocabulary).clamp(16, 512);
        let mut values = Vec::with_capacity(states.len() / hidden);
        let mut logits = vec![0.0; tile.min(states.len() / hidden) * vocabulary];
        for (at, states) in states.chunks(tile * hidden).enumerate() {
            let rows = states.len() / hidden;
            let logits = &mut logits[..rows * vocabulary];
            let seen = View::new(states, rows, hidden);
            if let Some(products) = self.products {
                products.logits(states, logits);
            }
            for (from, to) in self.parts() {
                let matrix = self.weight.matrix(self.precision, from, to);
                let target = Target::strided(&mut logits[from..], rows, to - from, vocabulary);
                self.precision.product(target, Old::Replace, 1.0, seen, matrix.view().t());
            }
            let judged = logits.par_chunks_mut(vocabulary).enumerate();
            values.par_extend(judged.map(|(row, logits)| judge(at * tile + row, logits)));
            if wanted.states.is_none() && wanted.matrix.is_none() {
                continue;
            }
            if let Some(products) = self.products {
                let to = wanted.states.as_deref_mut().map(|all| &mut all[at * tile * hidden..][..rows * hidden]);
                products.back(states, logits, to, wanted.matrix.is_some());
            }
            for (from, to) in self.parts() {
                let gradient = View::strided(&logits[from..], rows, to - from, vocabulary);
                if let Some(states) = wanted.states.as_deref_mut() {
                    let matrix = self.weight.matrix(self.precision, from, to);
                    let target = Target::new(&mut states[at * tile * hidden..][..rows * hidden], rows, hidden);
                    self.precision.product(target, Old::Add, 1.0, gradient, matrix.view());
                }
                if let Some(all) = wanted.matrix.as_deref_mut() {
                    let target = Target::new(&mut all[from * hidden..to * hidden], to - from, hidden);
                    self.precision.product(target, Old::Add, 1.0, gradient.t(), seen);
                }
            }
        }
        if let (Some(products), Some(all)) = (self.products, wanted.matrix) {
            products.finish(all);
        }
        values
    }

    /// Rows of the matrix that the processor takes at once.
    fn parts(&self) -> Vec<(usize, usize)> {
        let vocabulary = if self.products.is_some() { 0 } else { self.vocabulary };
        (0..vocabulary).step_by(PART).map(|from| (from, (from + PART).min(vocabulary))).collect()
    }
}
