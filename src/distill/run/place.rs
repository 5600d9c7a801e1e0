//! Where the arithmetic of a step happens: on the processor, or on graphics cards beside it. What is learnt, and in which
//! order, is the same.

use super::error::RunError;
use super::hidden::like_teacher;
use crate::distill::gpu::{Adapter, Cards, Part};
use crate::distill::kernel::matmul::{Precision, has_bf16};
use crate::distill::model::head::{Head, Wanted};
use crate::distill::model::{Batch, Decoder, Gradients, Halfway, Recompute, Slopes};
use crate::distill::objective::{self, Lesson, Loss, ObjectiveRecipe};
use crate::distill::recipe::Recipe;

/// Where the arithmetic of a step happens.
pub(crate) enum Place {
    Processor,
    Cards(Cards),
}

/// Why a recipe cannot be followed on this machine's processor, or on its cards.
pub(crate) fn unfit(recipe: &Recipe, on_cards: bool) -> Option<&'static str> {
    match (recipe.optimiser.precision, on_cards) {
        (Precision::F32, _) => None,
        (Precision::Bf16, true) => {
            Some("graphics cards, which are spoken to in a language (WGSL) without such numbers")
        }
        (Precision::Bf16, false) if has_bf16() => None,
        (Precision::Bf16, false) => Some("this processor, which has no products for it (AVX-512 BF16)"),
    }
}

/// A part of a step, and what is to be learnt from it.
pub(super) struct Task<'a> {
    pub(super) objective: &'a ObjectiveRecipe,
    pub(super) batch: &'a Batch,
    pub(super) lesson: &'a Lesson,
    /// What losses are multiplied by before their gradients are taken.
    pub(super) weight: f64,
    /// What dropout follows from; none where nothing is dropped.
    pub(super) dropout: Option<u64>,
}

impl Place {
    /// On these cards, or on the processor where there are none.
    ///
    /// # Errors
    /// A card cannot be opened.
    pub(super) fn open(adapters: &[Adapter]) -> Result<Self, RunError> {
        if adapters.is_empty() {
            return Ok(Self::Processor);
        }
        Cards::open(adapters).map(Self::Cards).map_err(RunError::Card)
    }

    /// To be called whenever trained weights have changed.
    pub(super) fn changed(&mut self) {
        match self {
            Self::Processor => {}
            Self::Cards(cards) => cards.changed(),
        }
    }

    /// The losses of all parts; their gradients are added.
    ///
    /// # Errors
    /// A card did not do what was asked.
    pub(super) fn learn(
        &mut self,
        model: &Decoder,
        recompute: Recompute,
        tasks: &[Task<'_>],
        gradients: &mut Gradients,
    ) -> Result<Vec<Loss>, RunError> {
        match self {
            Self::Processor => Ok(tasks.iter().map(|task| task.learn(model, recompute, gradients)).collect()),
            Self::Cards(cards) => {
                let rows: Vec<Vec<usize>> = tasks.iter().map(|task| goals(task.lesson)).collect();
                let part = |(task, rows)| {
                    let &Task { batch, dropout, .. } = task;
                    let rows: &Vec<usize> = rows;
                    Part { batch, rows, dropout }
                };
                let parts: Vec<Part<'_>> = tasks.iter().zip(&rows).map(part).collect();
                let between =
                    |at: usize, halfway: &Halfway<'_>, own: &mut Gradients| tasks[at].judge(model, halfway, own);
                cards.learn(model, &parts, &between, gradients).map_err(RunError::Card)
            }
        }
    }

    /// Hands `judge` the normalised hidden states from which the lesson's goals are predicted, one row each.
    ///
    /// # Errors
    /// A card did not do what was asked.
    pub(super) fn states<T: Send>(
        &mut self,
        model: &Decoder,
        batch: &Batch,
        lesson: &Lesson,
        judge: impl FnOnce(&Head<'_>, &[f32]) -> T + Send,
    ) -> Result<T, RunError> {
        match self {
            Self::Processor => Ok(judge(&model.head(), &rows(&model.states(batch), lesson, model.shape.hidden))),
            Self::Cards(cards) => {
                let part = Part { batch, rows: &goals(lesson), dropout: None };
                cards.states(model, &part, judge).map_err(RunError::Card)
            }
        }
    }
}

impl Task<'_> {
    fn learn(&self, model: &Decoder, recompute: Recompute, gradients: &mut Gradients) -> Loss {
        let width = model.shape.hidden;
        let trace = model.forward(self.batch, self.dropout, recompute);
        let states = rows(&trace.normed, self.lesson, width);
        let behind = |layer: usize| rows(trace.behind(layer), self.lesson, width);
        let halfway = Halfway { head: &model.head(), states: &states, behind: &behind };
        let Slopes { value, states, behind } = self.judge(model, &halfway, gradients);
        let spread = |slopes: &[f32]| {
            let mut all = vec![0.0; trace.normed.len()];
            for (goal, slope) in self.lesson.goals.iter().zip(slopes.chunks_exact(width)) {
                all[goal.row * width..][..width].copy_from_slice(slope);
            }
            all
        };
        let (d, behind) =
            (spread(&states), behind.iter().map(|(layer, slopes)| (*layer, spread(slopes))).collect::<Vec<_>>());
        model.backward(self.batch, self.dropout, trace, d, &behind, gradients);
        value
    }

    /// The loss of the part, and its gradients for the states; those of what is no layer are added.
    fn judge(&self, model: &Decoder, halfway: &Halfway<'_>, gradients: &mut Gradients) -> Slopes<Loss> {
        let mut states = vec![0.0; halfway.states.len()];
        let wanted = Wanted { states: Some(&mut states), matrix: gradients.of(model.output()) };
        let loss = objective::judge(self.objective, halfway.head, halfway.states, self.lesson, self.weight, wanted);
        let (own, behind) = like_teacher(self.objective, model, self.lesson, halfway.behind, self.weight, gradients);
        Slopes { value: Loss { whole: loss.whole + own, ..loss }, states, behind }
    }
}

fn goals(lesson: &Lesson) -> Vec<usize> {
    lesson.goals.iter().map(|goal| goal.row).collect()
}

/// The rows of hidden states from which goals are predicted.
pub(crate) fn rows(states: &[f32], lesson: &Lesson, width: usize) -> Vec<f32> {
    lesson.goals.iter().flat_map(|goal| states[goal.row * width..][..width].iter().copied()).collect()
}
