//! What a run will take, from headers alone, and how long, from one measured step.

use std::time::Instant;

use serde::Serialize;

use super::error::RunError;
use super::student::{self, kept_layers};
use crate::distill::data::corpus::{self, Corpus};
use crate::distill::model::head::{TILE, Wanted};
use crate::distill::model::{Family, Gradients, Recompute, Source};
use crate::distill::objective::{self, Kind, Lesson, ObjectiveRecipe};
use crate::distill::recipe::Recipe;

/// Bytes by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    pub(crate) weights: u64,
    pub(crate) gradients: u64,
    pub(crate) optimiser: u64,
    /// What layers leave for the backward pass.
    pub(crate) layers: u64,
    pub(crate) logits: u64,
    pub(crate) total: u64,
}

/// Sizes of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sizes {
    pub(crate) parameters: u64,
    pub(crate) trained: u64,
    /// By their numbers in the checkpoint, which has `all_layers`.
    pub(crate) layers: Vec<usize>,
    pub(crate) all_layers: usize,
    pub(crate) memory: Memory,
}

/// Reads headers and counts.
///
/// # Errors
/// The checkpoint cannot be trained.
pub(crate) fn sizes(recipe: &Recipe) -> Result<Sizes, RunError> {
    let source = Source::open(&recipe.student.path)?;
    let all = source.shape.layers;
    let layers_kept = kept_layers(recipe, all)?.unwrap_or_else(|| (0..all).collect());
    let shape = student::shape(recipe, &source.shape)?;
    let parameters = shape.parameters();
    let (hidden, q, kv) = (shape.hidden, shape.heads * shape.width, shape.keys * shape.width);
    let modules = [
        ("self_attn.q_proj", hidden, q),
        ("self_attn.k_proj", hidden, kv),
        ("self_attn.v_proj", hidden, kv),
        ("self_attn.o_proj", q, hidden),
        ("mlp.gate_proj", hidden, shape.inner),
        ("mlp.up_proj", hidden, shape.inner),
        ("mlp.down_proj", shape.inner, hidden),
    ];
    let trained = recipe.adapter.as_ref().map_or(parameters, |adapter| {
        let lengths = |outputs: usize| if adapter.dora { outputs } else { 0 };
        let one = |(_, inputs, outputs): &(&str, usize, usize)| adapter.rank * (inputs + outputs) + lengths(*outputs);
        (modules.iter().filter(|(name, ..)| adapter.takes(name)).map(one).sum::<usize>() * shape.layers) as u64
    });
    let stored = source.tensors.tensors.first().map_or(4, |tensor| tensor.dtype.size());
    let weights = recipe.adapter.as_ref().map_or(parameters * 4, |adapter| {
        let projections =
            (modules.iter().map(|(_, inputs, outputs)| inputs * outputs).sum::<usize>() * shape.layers) as u64;
        let frozen = projections as f64 * adapter.base.bits(stored) / 8.0;
        frozen as u64 + (parameters - projections) * stored + trained * 4
    });
    let raw = if shape.family == Family::Qwen3 { q + kv } else { 0 };
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
    let total = weights + gradients + optimiser + layers + logits;
    let memory = Memory { weights, gradients, optimiser, layers, logits, total };
    Ok(Sizes { parameters, trained, layers: layers_kept, all_layers: all, memory })
}

/// Seconds that a step takes, from one part of it.
///
/// # Errors
/// The checkpoint or the data cannot be read.
pub(crate) fn seconds(recipe: &Recipe, corpus: &Corpus) -> Result<f64, RunError> {
    let student = student::build(recipe)?;
    let model = &student.model;
    let mut gradients = Gradients::new(&model.weights);
    let count = (recipe.optimiser.micro_batch as u64).min(corpus.len());
    let windows: Result<Vec<_>, _> = (0..count).map(|at| corpus.window(at)).collect();
    let (batch, goals) = corpus::batch(&windows.map_err(RunError::Told)?);
    let lesson = Lesson { goals, ..Lesson::default() };
    let started = Instant::now();
    let trace = model.forward(&batch, None, recipe.optimiser.recompute);
    let states = super::place::rows(&trace.normed, &lesson, model.shape.hidden);
    let mut slopes = vec![0.0; states.len()];
    let wanted = Wanted { states: Some(&mut slopes), matrix: gradients.of(model.output()) };
    let plain = ObjectiveRecipe { kind: Kind::Sft, ..recipe.objective.clone() };
    objective::judge(&plain, &model.head(), &states, &lesson, 1.0, wanted);
    let d = vec![0.0; trace.normed.len()];
    model.backward(&batch, None, trace, d, &[], &mut gradients);
    Ok(started.elapsed().as_secs_f64() * recipe.optimiser.accumulate as f64)
}
