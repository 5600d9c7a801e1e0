//! The products with the output's matrix on a card. It stands there in parts of the vocabulary, so that no buffer is
//! larger than the least that Vulkan promises.

use std::cell::RefCell;
use std::ops::Range;

use burn_tensor::Tensor;

use super::link::Link;
use crate::distill::kernel::add;
use crate::distill::model::Weight;
use crate::distill::model::head::Products;

/// Numbers of one part of the matrix.
const PART: usize = 1 << 23;

/// The matrix.
#[derive(Debug)]
pub(super) struct Matrix {
    hidden: usize,
    vocabulary: usize,
    parts: Vec<(Range<usize>, Tensor<2>)>,
}

impl Matrix {
    pub(super) fn new(weight: &Weight, link: &Link) -> Self {
        let (vocabulary, hidden) = (weight.dims[0], weight.dims[1]);
        let rows = (PART / hidden).max(1);
        let part = |from: usize| {
            let to = (from + rows).min(vocabulary);
            let numbers = weight.part(from * hidden, to * hidden).into_owned();
            (from..to, link.up(numbers, [to - from, hidden]))
        };
        Self { hidden, vocabulary, parts: (0..vocabulary).step_by(rows).map(part).collect() }
    }
}

/// The matrix during one pass over the goals.
pub(super) struct OnCard<'a> {
    link: &'a Link,
    matrix: &'a Matrix,
    /// Sums of the parts' gradients.
    sums: RefCell<Vec<Tensor<2>>>,
}

impl<'a> OnCard<'a> {
    pub(super) fn new(link: &'a Link, matrix: &'a Matrix) -> Self {
        Self { link, matrix, sums: RefCell::new(Vec::new()) }
    }

    fn states(&self, states: &[f32]) -> Tensor<2> {
        let hidden = self.matrix.hidden;
        self.link.up(states.to_vec(), [states.len() / hidden, hidden])
    }
}

impl Products for OnCard<'_> {
    fn logits(&self, states: &[f32], logits: &mut [f32]) {
        let states = self.states(states);
        let parts = &self.matrix.parts;
        let products = parts.iter().map(|(_, part)| states.clone().matmul(part.clone().transpose())).collect();
        for ((rows, _), product) in parts.iter().zip(self.link.down(products)) {
            let lines = logits.chunks_exact_mut(self.matrix.vocabulary).zip(product.chunks_exact(rows.len()));
            lines.for_each(|(logits, product)| logits[rows.clone()].copy_from_slice(product));
        }
    }

    fn back(&self, states: &[f32], slopes: &[f32], to: Option<&mut [f32]>, matrix: bool) {
        let (hidden, vocabulary) = (self.matrix.hidden, self.matrix.vocabulary);
        let slopes = self.link.up(slopes.to_vec(), [slopes.len() / vocabulary, vocabulary]);
        let part = |rows: &Range<usize>| slopes.clone().narrow(1, rows.start, rows.len());
        if let Some(to) = to {
            let products = self.matrix.parts.iter().map(|(rows, matrix)| part(rows).matmul(matrix.clone()));
            if let Some(sum) = products.reduce(|sum, product| sum + product) {
                add(to, &self.link.down_one(sum));
            }
        }
        if matrix {
            let states = self.states(&states[..slopes.dims()[0] * hidden]);
            let mut sums = self.sums.borrow_mut();
            for (at, (rows, _)) in self.matrix.parts.iter().enumerate() {
                let own = part(rows).transpose().matmul(states.clone());
                match sums.get_mut(at) {
                    Some(sum) => *sum = sum.clone() + own,
                    None => sums.push(own),
                }
            }
        }
    }

    fn finish(&self, gradient: &mut [f32]) {
        let sums = self.sums.take();
        for ((rows, _), sum) in self.matrix.parts.iter().zip(self.link.down(sums)) {
            add(&mut gradient[rows.start * self.matrix.hidden..], &sum);
        }
    }
}
