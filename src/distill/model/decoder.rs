//! All layers, forward and backward: what is kept of the way there, and what is computed again.

use std::ops::Range;

use super::block::{Block, Kept};
use super::head;
use super::shape::Shape;
use super::weight::{Gradients, Id, Weight};
use crate::distill::kernel::matmul::Precision;
use crate::distill::kernel::rope::Rope;
use crate::distill::kernel::{norm, scale};

/// A model in memory.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(crate) shape: Shape,
    pub(crate) weights: Vec<Weight>,
    pub(crate) embeddings: Id,
    pub(crate) final_norm: Id,
    /// `None` where the embeddings take its place.
    pub(crate) output: Option<Id>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) rope: Rope,
    /// Of products with its matrices.
    pub(crate) precision: Precision,
    /// What is trained with the model and is no part of it: projections of its states.
    pub(crate) helpers: Vec<Id>,
}

/// Tokens that are computed together: documents one behind the other, none of which sees another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) tokens: Vec<u32>,
    /// Places within the documents.
    pub(crate) positions: Vec<u32>,
    pub(crate) documents: Vec<Range<usize>>,
}

impl Batch {
    /// Adds a document.
    pub(crate) fn push(&mut self, tokens: impl IntoIterator<Item = u32>) {
        let from = self.tokens.len();
        self.tokens.extend(tokens);
        let to = self.tokens.len();
        if to > from {
            self.documents.push(from..to);
            self.positions.extend(0..(to - from) as u32);
        }
    }
}

/// Whether layers are computed a second time, to keep less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Recompute {
    /// Everything that is slow to make is kept.
    None,
    /// Only each layer's input is kept; the layer is computed again in the backward pass.
    Block,
}

/// What all layers share in one pass.
pub(crate) struct Pass<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) weights: &'a [Weight],
    pub(crate) rope: &'a Rope,
    pub(crate) positions: &'a [u32],
    pub(crate) documents: &'a [Range<usize>],
    /// What dropout follows from; none outside training.
    pub(crate) dropout: Option<u64>,
    pub(crate) precision: Precision,
}

/// What a forward pass leaves for the backward one.
pub(crate) struct Trace {
    inputs: Vec<Vec<f32>>,
    kept: Vec<Option<Kept>>,
    /// Hidden states behind the last layer, not normalised.
    last: Vec<f32>,
    /// The same, normalised: what the output is computed from.
    pub(crate) normed: Vec<f32>,
}

/// What is known between the forward and the backward pass, of the rows that somebody asked for.
pub(crate) struct Halfway<'a> {
    pub(crate) head: &'a head::Head<'a>,
    /// Normalised hidden states.
    pub(crate) states: &'a [f32],
    /// Hidden states behind a layer.
    pub(crate) behind: &'a dyn Fn(usize) -> Vec<f32>,
}

/// What somebody makes of that: a value, and its gradients for the same rows.
pub(crate) struct Slopes<T> {
    pub(crate) value: T,
    /// Of the normalised hidden states.
    pub(crate) states: Vec<f32>,
    /// Of hidden states behind layers.
    pub(crate) behind: Vec<(usize, Vec<f32>)>,
}

impl Trace {
    /// Hidden states behind a layer.
    pub(crate) fn behind(&self, layer: usize) -> &[f32] {
        self.inputs.get(layer + 1).unwrap_or(&self.last)
    }
}

impl Decoder {
    pub(crate) fn pass<'a>(&'a self, batch: &'a Batch, dropout: Option<u64>) -> Pass<'a> {
        let (positions, documents) = (batch.positions.as_slice(), batch.documents.as_slice());
        let Self { shape, weights, rope, precision, .. } = self;
        Pass { shape, weights, rope, positions, documents, dropout, precision: *precision }
    }

    /// The matrix that turns hidden states into logits.
    pub(crate) fn output(&self) -> Id {
        self.output.unwrap_or(self.embeddings)
    }

    pub(crate) fn head(&self) -> head::Head<'_> {
        let Shape { hidden, vocabulary, .. } = self.shape;
        let weight = &self.weights[self.output().0];
        head::Head { weight, hidden, vocabulary, precision: self.precision, products: None }
    }

    pub(crate) fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let (width, weight) = (self.shape.hidden, &self.weights[self.embeddings.0]);
        let mut x = Vec::with_capacity(tokens.len() * width);
        for &token in tokens {
            x.extend_from_slice(&weight.part(token as usize * width, (token as usize + 1) * width));
        }
        scale(&mut x, self.shape.multipliers.embedding);
        x
    }

    /// What the output's matrix sees of the states behind the last layer.
    pub(crate) fn normed(&self, last: &[f32]) -> Vec<f32> {
        let mut normed = norm::forward(last, &self.weights[self.final_norm.0].all(), self.shape.eps);
        scale(&mut normed, self.shape.multipliers.output);
        normed
    }

    /// Turns the gradient of [`Self::normed`] into that of the states behind the last layer.
    pub(crate) fn normed_backward(&self, d: &mut [f32], last: &[f32], gradients: &mut Gradients) {
        scale(d, self.shape.multipliers.output);
        let factor = self.weights[self.final_norm.0].all();
        norm::backward(d, last, &factor, self.shape.eps, gradients.of(self.final_norm));
    }

    /// Hidden states of all positions, with what a backward pass will ask for.
    pub(crate) fn forward(&self, batch: &Batch, dropout: Option<u64>, recompute: Recompute) -> Trace {
        let pass = self.pass(batch, dropout);
        let mut x = self.embed(&batch.tokens);
        let (mut inputs, mut kept) = (Vec::new(), Vec::new());
        for block in &self.blocks {
            let (y, on_the_way) = block.forward(&pass, &x);
            inputs.push(std::mem::replace(&mut x, y));
            kept.push((recompute == Recompute::None).then_some(on_the_way));
        }
        let normed = self.normed(&x);
        Trace { inputs, kept, last: x, normed }
    }

    /// Only the normalised hidden states behind the last layer.
    pub(crate) fn states(&self, batch: &Batch) -> Vec<f32> {
        let pass = self.pass(batch, None);
        let mut x = self.embed(&batch.tokens);
        for block in &self.blocks {
            x = block.forward(&pass, &x).0;
        }
        self.normed(&x)
    }

    /// Adds to `gradients` what follows from the gradient of the normalised hidden states, and from gradients of states
    /// `behind` layers.
    pub(crate) fn backward(
        &self,
        batch: &Batch,
        dropout: Option<u64>,
        mut trace: Trace,
        mut d: Vec<f32>,
        behind: &[(usize, Vec<f32>)],
        gradients: &mut Gradients,
    ) {
        let pass = self.pass(batch, dropout);
        self.normed_backward(&mut d, &trace.last, gradients);
        trace.normed = Vec::new();
        trace.last = Vec::new();
        for (layer, block) in self.blocks.iter().enumerate().rev() {
            for (_, own) in behind.iter().filter(|(at, _)| *at == layer) {
                crate::distill::kernel::add(&mut d, own);
            }
            let (Some(x), Some(kept)) = (trace.inputs.pop(), trace.kept.pop()) else { break };
            let kept = kept.unwrap_or_else(|| block.forward(&pass, &x).1);
            d = block.backward(&pass, &x, &kept, d, gradients);
        }
        self.embed_backward(&batch.tokens, &d, gradients);
    }

    /// Adds the gradient `d` of the first layer's input to the one of the embeddings.
    pub(crate) fn embed_backward(&self, tokens: &[u32], d: &[f32], gradients: &mut Gradients) {
        let Some(gradient) = gradients.of(self.embeddings) else { return };
        let (width, by) = (self.shape.hidden, self.shape.multipliers.embedding);
        for (&token, d) in tokens.iter().zip(d.chunks_exact(width)) {
            let row = &mut gradient[token as usize * width..][..width];
            row.iter_mut().zip(d).for_each(|(to, d)| *to += d * by);
        }
    }

    /// To be called whenever weights have changed.
    pub(crate) fn changed(&mut self) {
        let Self { blocks, weights, .. } = self;
        for block in blocks {
            block.projections().into_iter().for_each(|(_, linear)| linear.measure(weights));
        }
    }

    /// The weight of a name.
    #[cfg(test)]
    pub(crate) fn find(&self, name: &str) -> Option<Id> {
        self.weights.iter().position(|weight| weight.name == name).map(Id)
    }
}
