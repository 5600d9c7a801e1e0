//! What is to become smaller: from logits and what is known about them to a loss and its gradient.
//!
//! | file | objective |
//! |---|---|
//! | `tokens` | the data's own next tokens (cross-entropy) |
//! | `odds` | a teacher's odds over the same vocabulary: forward and reverse KL, Jensen-Shannon |
//! | `across` | a teacher's over another one: aligned chunks (ALM), sorted odds (ULD) |
//! | `hidden` | a teacher's states behind layers |
//! | `preference` | of two answers the better one (DPO) |
//!
//! Losses are sums over what is predicted, times a weight that the caller chose, so that a step split into parts is the
//! step that was not. What this room refuses to do: know how logits are made.

use serde::{Deserialize, Serialize};

use super::data::corpus::Goal;
use super::model::head::{Head, Wanted};

mod across;
pub(crate) mod hidden;
mod odds;
mod preference;
mod tokens;

pub(crate) use across::{Across, Chunk};
pub(crate) use hidden::HiddenRecipe;
pub(crate) use odds::Odds;
pub(crate) use preference::{Reference, reference};

/// What is to become smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The data's own tokens.
    #[default]
    Sft,
    /// Teachers' odds besides.
    Kd,
    /// Of two answers the better one.
    Dpo,
}

/// How far apart two distributions are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Divergence {
    /// KL of the teacher from the student: cover all that the teacher does.
    #[default]
    Forward,
    /// KL of the student from the teacher: do nothing that the teacher does not.
    Reverse,
    /// Between them.
    JensenShannon,
}

/// How a teacher with another vocabulary is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Other {
    /// By the odds of stretches of text that both end at the same byte.
    #[default]
    Chunks,
    /// By the sizes of odds alone.
    Sorted,
}

/// The objective's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ObjectiveRecipe {
    pub(crate) kind: Kind,
    /// The teachers' share of a distillation's loss.
    pub(crate) alpha: f64,
    /// What logits are divided by before they are compared.
    pub(crate) temperature: f64,
    pub(crate) divergence: Divergence,
    /// `chunks` or `sorted`, where teachers have another vocabulary than the student.
    pub(crate) other: Other,
    /// The teacher's share of the mixture that Jensen-Shannon compares with.
    pub(crate) mixture: f64,
    /// How hard a preference is held against the reference.
    pub(crate) beta: f64,
    /// States of the first teacher besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hidden: Option<HiddenRecipe>,
}

impl Default for ObjectiveRecipe {
    fn default() -> Self {
        Self {
            kind: Kind::Sft,
            alpha: 0.5,
            temperature: 1.0,
            divergence: Divergence::Forward,
            other: Other::Chunks,
            mixture: 0.5,
            beta: 0.1,
            hidden: None,
        }
    }
}

impl ObjectiveRecipe {
    /// Layers of the first teacher whose states are learnt from.
    pub(crate) fn taught_layers(&self) -> Vec<usize> {
        self.hidden.iter().flat_map(|hidden| hidden.pairs.iter().map(|&[_, taught]| taught)).collect()
    }

    pub(crate) fn problems(&self, teachers: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                all.push(what);
            }
        };
        let positive = |x: f64| x > 0.0 && x.is_finite();
        must((0.0..=1.0).contains(&self.alpha), format!("`objective.alpha` is {}, expected a share", self.alpha));
        let t = self.temperature;
        must(positive(t), format!("`objective.temperature` is {t}, expected more than 0"));
        must(self.mixture > 0.0 && self.mixture < 1.0, "`objective.mixture` is a share between 0 and 1".to_owned());
        must(positive(self.beta), format!("`objective.beta` is {}, expected more than 0", self.beta));
        must(
            self.kind != Kind::Kd || teachers > 0,
            "`objective.kind` is `kd`, and there is no `[[teacher]]`".to_owned(),
        );
        let hidden = self.hidden.as_ref();
        must(
            hidden.is_none_or(|hidden| hidden.weight > 0.0 && hidden.weight.is_finite() && !hidden.pairs.is_empty()),
            "`objective.hidden` wants a `weight` above 0 and `pairs` of layers".to_owned(),
        );
        must(self.kind == Kind::Kd || hidden.is_none(), "`objective.hidden` goes with `kd` only".to_owned());
        must(self.kind == Kind::Kd || teachers == 0, "there are teachers, and `objective.kind` is not `kd`".to_owned());
        all
    }
}

/// What one teacher says about all goals of a batch.
pub(crate) struct Taught {
    /// Its share among the teachers that count now.
    pub(crate) weight: f64,
    pub(crate) odds: Vec<Odds>,
}

/// What is known about a batch's goals.
#[derive(Default)]
pub(crate) struct Lesson {
    pub(crate) goals: Vec<Goal>,
    pub(crate) taught: Vec<Taught>,
    /// The same of teachers with another vocabulary, with their shares.
    pub(crate) across: Vec<(f64, Across)>,
    /// What the reference thinks of each pair of answers.
    pub(crate) references: Vec<Reference>,
    /// States of the first teacher, for each pair of layers: rows of all goals.
    pub(crate) states: Vec<Vec<f32>>,
}

impl Lesson {
    /// What losses are divided by: predicted tokens, or pairs.
    pub(crate) fn size(&self, recipe: &ObjectiveRecipe) -> usize {
        if recipe.kind == Kind::Dpo { self.references.len() } else { self.goals.len() }
    }
}

/// Loss of a batch, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// What is made smaller.
    pub(crate) whole: f64,
    /// Of it, the data's own tokens; for preferences, how often the better answer is the likelier one.
    pub(crate) part: f64,
}

impl Loss {
    pub(crate) fn add(&mut self, other: Self) {
        self.whole += other.whole;
        self.part += other.part;
    }
}

/// Judges the hidden states from which the lesson's goals are predicted, one row each. Gradients are those of the loss
/// times `weight`.
pub(crate) fn judge(
    recipe: &ObjectiveRecipe,
    head: &Head<'_>,
    states: &[f32],
    lesson: &Lesson,
    weight: f64,
    wanted: Wanted<'_>,
) -> Loss {
    let gradients = wanted.states.is_some() || wanted.matrix.is_some();
    let goals = &lesson.goals;
    let losses = match recipe.kind {
        Kind::Dpo => return preference::judge(recipe, head, states, lesson, weight, wanted),
        Kind::Sft => {
            let one = |row: usize, logits: &mut [f32]| {
                let whole = tokens::judge(logits, goals[row].token, gradients.then_some(weight as f32));
                Loss { whole, part: whole }
            };
            head.run(states, &one, wanted)
        }
        Kind::Kd if !lesson.across.is_empty() && recipe.other == Other::Chunks => {
            return across::chunks(recipe, head, states, lesson, weight, wanted);
        }
        Kind::Kd if !lesson.across.is_empty() => return across::sorted(recipe, head, states, lesson, weight, wanted),
        Kind::Kd => {
            let own = weight * (1.0 - recipe.alpha);
            let weights = gradients.then_some(odds::Weights { own, taught: weight });
            let one = |row: usize, logits: &mut [f32]| {
                odds::judge(recipe, logits, goals[row].token, &lesson.taught, row, weights)
            };
            head.run(states, &one, wanted)
        }
    };
    let mut sum = Loss::default();
    losses.into_iter().for_each(|loss| sum.add(loss));
    sum
}
