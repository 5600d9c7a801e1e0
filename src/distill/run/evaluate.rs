//! Held-out loss: of tokens, or of preferences where the run is about them.

use super::error::RunError;
use super::lesson::Lessons;
use super::place::Place;
use crate::distill::model::Decoder;
use crate::distill::model::head::Wanted;
use crate::distill::objective::{self, Kind};

/// The mean loss over the first `windows` held-out windows; 0 for all. None where nothing in them is learnt.
///
/// # Errors
/// A file is damaged, or a card did not do what was asked.
pub(crate) fn held_out(
    model: &Decoder,
    place: &mut Place,
    lessons: &Lessons<'_>,
    windows: u64,
) -> Result<Option<f64>, RunError> {
    let all = lessons.corpus.len();
    let windows = if windows == 0 { all } else { windows.min(all) };
    let mut recipe = lessons.recipe.objective.clone();
    if recipe.kind == Kind::Kd {
        recipe.kind = Kind::Sft;
    }
    let (mut sum, mut count) = (0.0, 0);
    for window in 0..windows {
        let (batch, lesson) = lessons.of(&[window], u64::MAX - 1, model.shape.vocabulary)?;
        sum += place.states(model, &batch, &lesson, |head, states| {
            objective::judge(&recipe, head, states, &lesson, 1.0, Wanted::default()).whole
        })?;
        count += lesson.size(&recipe);
    }
    Ok((count > 0).then(|| sum / count as f64))
}
