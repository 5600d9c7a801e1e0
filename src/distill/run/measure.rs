//! How long a step takes: one is done, on windows of the data, with answers made up in the teachers' place.

use std::time::Instant;

use super::error::RunError;
use super::optimiser::{AdamW, clip};
use super::place::{Place, Task};
use super::student;
use crate::distill::data::corpus::{self, Corpus};
use crate::distill::model::Gradients;
use crate::distill::objective::{Across, Chunk, Kind, Lesson, Odds, Reference, Taught};
use crate::distill::recipe::Recipe;
use crate::distill::teacher::Look;

/// Seconds of a step: forward and backward of one part, as often as the recipe accumulates, and the optimiser's work. What
/// a first pass does once is not counted. Asking teachers comes before.
///
/// # Errors
/// The checkpoint or the data cannot be read.
pub(crate) fn seconds(recipe: &Recipe, corpus: &Corpus, teachers: &[Option<Look>]) -> Result<f64, RunError> {
    let mut student = student::build(recipe)?;
    let model = &mut student.model;
    let mut gradients = Gradients::new(&model.weights);
    let mut optimiser = AdamW::new(&model.weights);
    let windows = (recipe.optimiser.micro_batch as u64).min(corpus.len());
    let read: Result<Vec<_>, _> = (0..windows).map(|at| corpus.window(at)).collect();
    let (batch, goals) = corpus::batch(&read.map_err(RunError::Told)?);
    let lesson = made_up(recipe, goals, windows as usize, teachers, model.shape.vocabulary);
    let (mut part, mut rest) = (0.0, 0.0);
    for _ in 0..2 {
        let started = Instant::now();
        gradients.clear();
        let dropout = recipe.adapter.as_ref().is_some_and(|adapter| adapter.dropout > 0.0).then_some(1);
        let task = Task { objective: &recipe.objective, batch: &batch, lesson: &lesson, weight: 1.0, dropout };
        Place::Processor.learn(model, recipe.optimiser.recompute, &[task], &mut gradients)?;
        part = started.elapsed().as_secs_f64();
        clip(&mut gradients, recipe.optimiser.clip);
        // The same work at a rate of zero.
        optimiser.step(&recipe.optimiser, 0.0, &mut model.weights, &mut gradients);
        model.changed();
        rest = started.elapsed().as_secs_f64() - part;
    }
    Ok(part * recipe.optimiser.accumulate as f64 + rest)
}

/// A lesson that costs what the recipe's lessons cost.
fn made_up(
    recipe: &Recipe,
    goals: Vec<corpus::Goal>,
    windows: usize,
    teachers: &[Option<Look>],
    vocabulary: usize,
) -> Lesson {
    let count = goals.len();
    let mut lesson = Lesson { goals, ..Lesson::default() };
    if recipe.objective.kind == Kind::Dpo {
        lesson.references = (0..windows).map(|_| Reference { chosen: -1.0, rejected: -1.0 }).collect();
    }
    let weight = 1.0 / recipe.teachers.len().max(1) as f64;
    for (at, teacher) in recipe.teachers.iter().enumerate() {
        let top = teacher.top.min(vocabulary);
        // Servers teach their own tokens only.
        if teachers.get(at).and_then(Option::as_ref).is_some_and(|look| look.differs.is_some()) {
            let sorted = vec![0.5 / top as f32; top];
            let chunk = |first| Chunk { first, goals: 1, log: -0.5, sorted: sorted.clone() };
            lesson.across.push((weight, Across { chunks: (0..count).map(chunk).collect() }));
        } else {
            let known = (0..top as u32).map(|token| (token, 0.5 / top as f32)).collect();
            lesson.taught.push(Taught { weight, odds: vec![Odds { top: known, tail: 0.5 }; count] });
        }
    }
    if let (Some(hidden), Some(teacher)) = (&recipe.objective.hidden, teachers.first().and_then(Option::as_ref)) {
        lesson.states = vec![vec![1.0; count * teacher.wide]; hidden.pairs.len()];
    }
    lesson
}
