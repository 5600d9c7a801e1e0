//! A narrower student out of a wider checkpoint: the numbers that carry least are left out.
//!
//! Of the feed-forward part, the neurons with the smallest product of the lengths of what they read and what they write;
//! of hidden states, the channels that embeddings and layers write least to. As with layers, training has to heal what
//! this breaks.

use std::cmp::Ordering;

use super::blocks::Blocks;
use super::decoder::Decoder;
use super::weight::{Id, Numbers, Weight};

/// Leaves `hidden` numbers of a state and `inner` neurons of each layer; 0 for all.
pub(crate) fn narrow(model: &mut Decoder, hidden: usize, inner: usize) {
    if inner > 0 && inner < model.shape.inner {
        narrow_inner(model, inner);
    }
    if hidden > 0 && hidden < model.shape.hidden {
        narrow_hidden(model, hidden);
    }
}

fn narrow_inner(model: &mut Decoder, inner: usize) {
    let Decoder { shape, weights, blocks, .. } = model;
    for block in blocks {
        let mut scores = vec![1.0_f64; shape.inner];
        for linear in [&block.gate, &block.up] {
            let lengths = row_squares(&weights[linear.weight.0]);
            scores.iter_mut().zip(lengths).for_each(|(score, square)| *score *= square);
        }
        let mut written = vec![0.0; shape.inner];
        add_column_squares(&weights[block.down.weight.0], &mut written);
        scores.iter_mut().zip(written).for_each(|(score, square)| *score *= square);
        let kept = largest(&scores, inner);
        for linear in [&mut block.gate, &mut block.up] {
            weights[linear.weight.0].keep(Some(&kept), None);
            linear.outputs = inner;
        }
        weights[block.down.weight.0].keep(None, Some(&kept));
        block.down.inputs = inner;
    }
    shape.inner = inner;
}

fn narrow_hidden(model: &mut Decoder, hidden: usize) {
    let Decoder { shape, weights, blocks, embeddings, output, final_norm, .. } = model;
    let mut scores = vec![0.0; shape.hidden];
    add_column_squares(&weights[embeddings.0], &mut scores);
    for block in &*blocks {
        for linear in [&block.o, &block.down] {
            let squares = row_squares(&weights[linear.weight.0]);
            scores.iter_mut().zip(squares).for_each(|(score, square)| *score += square);
        }
    }
    let kept = largest(&scores, hidden);
    for Id(at) in [Some(*embeddings), *output].into_iter().flatten() {
        weights[at].keep(None, Some(&kept));
    }
    weights[final_norm.0].keep(Some(&kept), None);
    for block in blocks {
        weights[block.input_norm.0].keep(Some(&kept), None);
        weights[block.post_norm.0].keep(Some(&kept), None);
        for linear in [&mut block.q, &mut block.k, &mut block.v, &mut block.gate, &mut block.up] {
            weights[linear.weight.0].keep(None, Some(&kept));
            linear.inputs = hidden;
        }
        for linear in [&mut block.o, &mut block.down] {
            weights[linear.weight.0].keep(Some(&kept), None);
            if let Some(bias) = linear.bias {
                weights[bias.0].keep(Some(&kept), None);
            }
            linear.outputs = hidden;
        }
    }
    shape.hidden = hidden;
}

/// Places of the largest scores, in their order.
fn largest(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let larger = |a: &usize, b: &usize| -> Ordering { scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)) };
    order.sort_by(larger);
    order.truncate(count);
    order.sort_unstable();
    order
}

fn square(x: f32) -> f64 {
    f64::from(x) * f64::from(x)
}

fn row_squares(weight: &Weight) -> Vec<f64> {
    let width = weight.dims[1];
    weight.all().chunks_exact(width).map(|row| row.iter().map(|&x| square(x)).sum()).collect()
}

fn add_column_squares(weight: &Weight, to: &mut [f64]) {
    for row in weight.all().chunks_exact(to.len()) {
        to.iter_mut().zip(row).for_each(|(to, &x)| *to += square(x));
    }
}

impl Weight {
    /// Leaves these rows and columns; `None` for all. Numbers stay as they are kept.
    fn keep(&mut self, rows: Option<&[usize]>, columns: Option<&[usize]>) {
        let width = self.dims.get(1).copied().unwrap_or(1);
        let every = |count: usize| (0..count).collect::<Vec<_>>();
        let rows = rows.map_or_else(|| every(self.dims[0]), <[usize]>::to_vec);
        let columns = columns.map_or_else(|| every(width), <[usize]>::to_vec);
        fn pick<T: Copy>(numbers: &[T], width: usize, rows: &[usize], columns: &[usize]) -> Vec<T> {
            rows.iter().flat_map(|row| columns.iter().map(move |column| numbers[row * width + column])).collect()
        }
        self.numbers = match &self.numbers {
            Numbers::F32(numbers) => Numbers::F32(pick(numbers, width, &rows, &columns)),
            Numbers::F16(bits) => Numbers::F16(pick(bits, width, &rows, &columns)),
            Numbers::Bf16(bits) => Numbers::Bf16(pick(bits, width, &rows, &columns)),
            Numbers::Blocks(blocks) => {
                let numbers = pick(&blocks.part(0, blocks.len()), width, &rows, &columns);
                Blocks::of(&numbers, blocks.base()).map_or(Numbers::F32(numbers), Numbers::Blocks)
            }
        };
        self.dims[0] = rows.len();
        if let Some(dim) = self.dims.get_mut(1) {
            *dim = columns.len();
        }
    }
}
