//! Direct preference optimisation (arXiv 2305.18290): of two answers the better one shall have become likelier than the
//! other, compared with a reference.

use super::{Lesson, Loss, ObjectiveRecipe, tokens};
use crate::distill::model::head::{Head, Wanted};

/// Log-probabilities of a pair's answers under the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reference {
    pub(crate) chosen: f64,
    pub(crate) rejected: f64,
}

/// Documents come in pairs, the better first. Logits are computed twice: what a row's gradient is multiplied by follows
/// from all rows of its pair.
pub(super) fn judge(
    recipe: &ObjectiveRecipe,
    head: &Head<'_>,
    states: &[f32],
    lesson: &Lesson,
    weight: f64,
    wanted: Wanted<'_>,
) -> Loss {
    let goals = &lesson.goals;
    let sums = answers(head, states, lesson);
    let mut loss = Loss::default();
    let mut slopes = vec![0.0; sums.len()];
    for (pair, reference) in lesson.references.iter().enumerate() {
        let margin = (sums[2 * pair] - reference.chosen) - (sums[2 * pair + 1] - reference.rejected);
        let x = recipe.beta * margin;
        // −ln σ(x), without overflow
        loss.whole += if x > 0.0 { (-x).exp().ln_1p() } else { x.exp().ln_1p() - x };
        loss.part += f64::from(u8::from(margin > 0.0));
        let slope = recipe.beta / (1.0 + x.exp());
        slopes[2 * pair] = slope;
        slopes[2 * pair + 1] = -slope;
    }
    if wanted.states.is_some() || wanted.matrix.is_some() {
        let one = |row: usize, logits: &mut [f32]| {
            let goal = goals[row];
            tokens::judge(logits, goal.token, Some((weight * slopes[goal.document]) as f32))
        };
        head.run(states, &one, wanted);
    }
    loss
}

/// The log-probability of each document's goals.
fn answers(head: &Head<'_>, states: &[f32], lesson: &Lesson) -> Vec<f64> {
    let goals = &lesson.goals;
    let one = |row: usize, logits: &mut [f32]| tokens::judge(logits, goals[row].token, None);
    let documents = goals.iter().map(|goal| goal.document + 1).max().unwrap_or(0).max(2 * lesson.references.len());
    let mut sums = vec![0.0; documents];
    for (goal, loss) in goals.iter().zip(head.run(states, &one, Wanted::default())) {
        sums[goal.document] -= loss;
    }
    sums
}

/// What a model thinks of pairs, to be a reference later.
pub(crate) fn reference(head: &Head<'_>, states: &[f32], lesson: &Lesson) -> Vec<Reference> {
    let pair = |sums: &[f64]| Reference { chosen: sums[0], rejected: sums[1] };
    answers(head, states, lesson).chunks_exact(2).map(pair).collect()
}
