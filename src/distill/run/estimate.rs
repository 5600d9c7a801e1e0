//! What a run will take, from headers alone.

use serde::Serialize;

use super::error::RunError;
use super::student::{self, kept_layers};
use crate::arch::TensorSpec;
use crate::distill::model::head::TILE;
use crate::distill::model::{Recompute, Shape, Source};
use crate::distill::recipe::Recipe;
use crate::distill::teacher::Look;

/// Bytes by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    pub(crate) weights: u64,
    pub(crate) gradients: u64,
    pub(crate) optimiser: u64,
    /// What layers leave for the backward pass.
    pub(crate) layers: u64,
    pub(crate) logits: u64,
    /// Beside the weights while the largest teacher is asked, before the training.
    pub(crate) teacher: u64,
    /// The most at any time.
    pub(crate) total: u64,
}

/// Sizes of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sizes {
    /// Of the student, rows of new tokens included.
    pub(crate) parameters: u64,
    /// With what only helps to train: adapters, projections.
    pub(crate) trained: u64,
    /// By their numbers in the checkpoint, which has `all_layers`.
    pub(crate) layers: Vec<usize>,
    pub(crate) all_layers: usize,
    pub(crate) memory: Memory,
}

/// A projection's name, inputs and outputs.
pub(super) type Projection = (String, usize, usize);

/// All projections of a model.
pub(super) fn projections(shape: &Shape) -> Vec<Projection> {
    let sizes = shape.dimensions();
    let matrix = |spec: &TensorSpec| match (spec.name, spec.shape(&sizes).as_slice()) {
        (Some(name), &[outputs, inputs]) => Some((name, inputs as usize, outputs as usize)),
        _ => None,
    };
    let modules: Vec<_> = shape.family.layer.iter().filter_map(matrix).collect();
    let layer = |layer: usize| {
        let named =
            modules.iter().map(|&(name, inputs, outputs)| (format!("model.layers.{layer}.{name}"), inputs, outputs));
        named.collect::<Vec<Projection>>()
    };
    (0..shape.layers).flat_map(layer).collect()
}

/// Reads headers and counts. `added` tokens have no row yet.
///
/// # Errors
/// The recipe asks for more than the checkpoint has.
pub(crate) fn sizes(
    recipe: &Recipe,
    source: &Source,
    added: usize,
    teachers: &[Option<Look>],
) -> Result<Sizes, RunError> {
    let all = source.shape.layers;
    let layers_kept = kept_layers(recipe, all)?.unwrap_or_else(|| (0..all).collect());
    let mut shape = student::shape(recipe, &source.shape)?;
    shape.vocabulary = shape.vocabulary.max(added);
    let parameters = shape.parameters();
    let (hidden, q, kv) = (shape.hidden, shape.heads * shape.width, shape.keys * shape.width);
    let projections = projections(&shape);
    let stored = source.tensors.tensors.first().map_or(4, |tensor| tensor.dtype.size());
    // With an adapter only the matrices in which new tokens stand are trained besides.
    let rows = if added > 0 { (shape.vocabulary * hidden * if shape.tied { 1 } else { 2 }) as u64 } else { 0 };
    let helpers = match (&recipe.objective.hidden, teachers.first().and_then(Option::as_ref)) {
        (Some(like), Some(teacher)) => (like.pairs.len() * teacher.wide * hidden) as u64,
        _ => 0,
    };
    let (trained, weights) = match &recipe.adapter {
        None => (parameters + helpers, (parameters + helpers) * 4),
        Some(adapter) => {
            let taken = projections.iter().filter(|(name, ..)| adapter.takes(name));
            let lengths = |outputs: usize| if adapter.dora { outputs } else { 0 };
            let one = |(_, inputs, outputs): &Projection| adapter.rank * (inputs + outputs) + lengths(*outputs);
            let trained = taken.map(one).sum::<usize>() as u64 + rows + helpers;
            let size = |(_, inputs, outputs): &Projection| (inputs * outputs) as u64;
            let under: u64 = projections.iter().map(size).sum();
            let frozen = (under as f64 * adapter.base.bits(stored) / 8.0) as u64 + (parameters - under - rows) * stored;
            // DoRA computes lengths of rows from whole matrices, one at a time.
            let copy = if adapter.dora { projections.iter().map(size).max().unwrap_or(0) * 4 } else { 0 };
            (trained, frozen + copy + trained * 4)
        }
    };
    let raw = if shape.family.has_head_norms() { q + kv } else { 0 };
    let kept = 2 * q + 2 * kv + hidden + 2 * shape.inner + raw;
    let tokens = recipe.optimiser.micro_batch * recipe.data.context;
    let per_token = match recipe.optimiser.recompute {
        Recompute::None => shape.layers * (hidden + kept),
        Recompute::Block => shape.layers * hidden + kept,
    };
    // The backward pass of one layer holds about as much again as the layer left.
    let layers = (tokens * (per_token + kept + shape.inner) * 4) as u64;
    let logits = (TILE.min(tokens * shape.vocabulary) * 4) as u64;
    let (gradients, optimiser) = (trained * 4, trained * 8);
    let teacher = teachers.iter().flatten().map(|teacher| teacher.size).max().unwrap_or(0);
    let total = (weights + gradients + optimiser + layers + logits).max(weights + teacher);
    let memory = Memory { weights, gradients, optimiser, layers, logits, teacher, total };
    Ok(Sizes { parameters, trained, layers: layers_kept, all_layers: all, memory })
}
