//! Held-out loss: of tokens, or of preferences where the run is about them.

use super::error::RunError;
use super::lesson::Lessons;
use crate::distill::model::head::Wanted;
use crate::distill::model::{Batch, Decoder};
use crate::distill::objective::{self, Kind, Lesson, ObjectiveRecipe};

/// The mean loss over the first `windows` held-out windows; 0 for all. None where nothing in them is learnt.
///
/// # Errors
/// A file is damaged.
pub(crate) fn held_out(model: &Decoder, lessons: &Lessons<'_>, windows: u64) -> Result<Option<f64>, RunError> {
    let all = lessons.corpus.len();
    let windows = if windows == 0 { all } else { windows.min(all) };
    let mut recipe = lessons.recipe.objective.clone();
    if recipe.kind == Kind::Kd {
        recipe.kind = Kind::Sft;
    }
    let (mut sum, mut count) = (0.0, 0);
    for window in 0..windows {
        let (batch, lesson) = lessons.of(&[window], u64::MAX - 1, model.shape.vocabulary)?;
        sum += loss(model, &recipe, &batch, &lesson);
        count += lesson.size(&recipe);
    }
    Ok((count > 0).then(|| sum / count as f64))
}

fn loss(model: &Decoder, recipe: &ObjectiveRecipe, batch: &Batch, lesson: &Lesson) -> f64 {
    let states = rows(&model.states(batch), lesson, model.shape.hidden);
    objective::judge(recipe, &model.head(), &states, lesson, 1.0, Wanted::default()).whole
}

/// The rows of hidden states from which goals are predicted.
pub(crate) fn rows(states: &[f32], lesson: &Lesson, width: usize) -> Vec<f32> {
    lesson.goals.iter().flat_map(|goal| states[goal.row * width..][..width].iter().copied()).collect()
}
