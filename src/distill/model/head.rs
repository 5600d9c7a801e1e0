//! From hidden states to losses. Logits exist for a tile of rows at a time, and their gradients take their place.
//!
//! The matrix is unpacked in parts of the vocabulary where it is kept in 16 bits. A row is judged by whoever calls: this
//! file knows products, not losses.

use rayon::prelude::*;

use super::weight::Weight;
use crate::distill::kernel::matmul::{Old, Target, Threads, View, product};

/// Logits that exist at once.
pub(crate) const TILE: usize = 1 << 24;
/// Rows of the matrix that are unpacked at once.
const PART: usize = 8192;

/// The output's matrix.
pub(crate) struct Head<'a> {
    pub(crate) weight: &'a Weight,
    pub(crate) hidden: usize,
    pub(crate) vocabulary: usize,
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
            for (from, to) in self.parts() {
                let matrix = self.weight.part(from * hidden, to * hidden);
                let target = Target::strided(&mut logits[from..], rows, to - from, vocabulary);
                product(target, Old::Replace, 1.0, seen, View::new(&matrix, to - from, hidden).t(), Threads::All);
            }
            let judged = logits.par_chunks_mut(vocabulary).enumerate();
            values.par_extend(judged.map(|(row, logits)| judge(at * tile + row, logits)));
            if wanted.states.is_none() && wanted.matrix.is_none() {
                continue;
            }
            for (from, to) in self.parts() {
                let gradient = View::strided(&logits[from..], rows, to - from, vocabulary);
                if let Some(states) = wanted.states.as_deref_mut() {
                    let matrix = self.weight.part(from * hidden, to * hidden);
                    let target = Target::new(&mut states[at * tile * hidden..][..rows * hidden], rows, hidden);
                    product(target, Old::Add, 1.0, gradient, View::new(&matrix, to - from, hidden), Threads::All);
                }
                if let Some(all) = wanted.matrix.as_deref_mut() {
                    let target = Target::new(&mut all[from * hidden..to * hidden], to - from, hidden);
                    product(target, Old::Add, 1.0, gradient.t(), seen, Threads::All);
                }
            }
        }
        values
    }

    fn parts(&self) -> Vec<(usize, usize)> {
        let vocabulary = self.vocabulary;
        (0..vocabulary).step_by(PART).map(|from| (from, (from + PART).min(vocabulary))).collect()
    }
}
