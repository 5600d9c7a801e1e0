//! The student's states behind layers, beside the first teacher's.

use crate::distill::model::{Decoder, Gradients};
use crate::distill::objective::hidden::{Slopes, judge};
use crate::distill::objective::{Lesson, ObjectiveRecipe};

/// The loss of a part, and the gradients of states behind layers, for the rows of its goals as `behind` gives them; those of
/// the projections are added to `gradients`.
/// Gradients are those of the loss times `weight`.
pub(super) fn like_teacher(
    recipe: &ObjectiveRecipe,
    model: &Decoder,
    lesson: &Lesson,
    behind: &dyn Fn(usize) -> Vec<f32>,
    weight: f64,
    gradients: &mut Gradients,
) -> (f64, Vec<(usize, Vec<f32>)>) {
    let (mut sum, mut all) = (0.0, Vec::new());
    let Some(hidden) = recipe.hidden.as_ref().filter(|_| !lesson.states.is_empty()) else { return (sum, all) };
    let share = hidden.weight / hidden.pairs.len() as f64;
    for ((&[layer, _], taught), &id) in hidden.pairs.iter().zip(&lesson.states).zip(&model.helpers) {
        let projection = &model.weights[id.0];
        let Some(slope) = gradients.of(id) else { continue };
        let states = behind(layer);
        let mut d = vec![0.0; states.len()];
        let slopes = Slopes { states: &mut d, projection: slope };
        // The loss is a sum as all are, its gradient a share of the step.
        let own = judge(&projection.all(), &states, taught, projection.dims[0], share * weight, Some(slopes));
        sum += own / weight;
        all.push((layer, d));
    }
    (sum, all)
}
