//! What a person may ask for: the keys of a recipe, their defaults, and what they may be.
//!
//! Every key stands here once; `zord-distill check` prints them all as they count.

use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::data::recipe::DataRecipe;
use super::model::Base;
use super::model::adapter::AdapterRecipe;
use super::objective::{Divergence, ObjectiveRecipe};
use super::run::optimiser::OptimiserRecipe;
use super::run::rounds::RoundsRecipe;
use super::run::schedule::ScheduleRecipe;
use crate::lang;

mod read;

pub use read::RecipeError;
pub(crate) use read::{read, read_with_problems, text, whole_text};

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    /// What everything random follows from.
    #[serde(default)]
    pub(crate) seed: u64,
    /// Threads; 0 for one a core.
    #[serde(default)]
    pub(crate) threads: usize,
    pub(crate) student: StudentRecipe,
    #[serde(default)]
    pub(crate) tokens: TokensRecipe,
    pub(crate) data: DataRecipe,
    #[serde(default)]
    pub(crate) objective: ObjectiveRecipe,
    /// Who teaches.
    #[serde(default, rename = "teacher", skip_serializing_if = "Vec::is_empty")]
    pub(crate) teachers: Vec<TeacherRecipe>,
    /// Without it all steps are made of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_policy: Option<RoundsRecipe>,
    #[serde(default)]
    pub(crate) optimiser: OptimiserRecipe,
    #[serde(default)]
    pub(crate) schedule: ScheduleRecipe,
    /// Without it all weights are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) adapter: Option<AdapterRecipe>,
    #[serde(default)]
    pub(crate) evaluation: EvaluationRecipe,
    #[serde(default)]
    pub(crate) safety: SafetyRecipe,
}

/// Whom to teach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudentRecipe {
    /// A Hugging Face folder, or `hf:owner/repo`.
    pub(crate) path: PathBuf,
    /// Keep so many layers, both ends and evenly spread between; 0 for all.
    #[serde(default)]
    pub(crate) layers: usize,
    /// Or keep these.
    #[serde(default)]
    pub(crate) keep_layers: Vec<usize>,
    /// Keep so many numbers of a hidden state, those that carry most; 0 for all.
    #[serde(default)]
    pub(crate) hidden: usize,
    /// Keep so many neurons of each feed-forward part; 0 for all.
    #[serde(default)]
    pub(crate) inner: usize,
}

/// What the vocabulary lacks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokensRecipe {
    /// New tokens; each begins as the mean of what it was split into.
    pub(crate) add: Vec<String>,
}

/// One teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeacherRecipe {
    /// A GGUF file, or what servers call their model.
    pub(crate) model: PathBuf,
    /// Addresses of servers that run it (vLLM, llama-server), all asked at once; their key is `ZORD_TEACHER_KEY`.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
    /// Its share among the teachers.
    #[serde(default = "one")]
    pub(crate) weight: f64,
    /// Odds kept for each token; the rest is one sum.
    #[serde(default = "thirty_two")]
    pub(crate) top: usize,
    /// Draw so many tokens by its odds instead, which has no bias (arXiv 2503.16870); 0 to keep the likeliest.
    #[serde(default)]
    pub(crate) draws: u16,
    /// From this step on; with `until`, an order of teachers.
    #[serde(default)]
    pub(crate) from: u64,
    /// Up to this step; 0 for the end.
    #[serde(default)]
    pub(crate) until: u64,
}

impl TeacherRecipe {
    /// Whether it counts in a step.
    pub(crate) fn is_active(&self, step: u64) -> bool {
        self.is_active_in(&(step..step + 1))
    }

    /// Whether it counts in any of some steps.
    pub(crate) fn is_active_in(&self, steps: &Range<u64>) -> bool {
        steps.end > self.from && (self.until == 0 || steps.start < self.until)
    }
}

impl Default for TeacherRecipe {
    fn default() -> Self {
        let (weight, top) = (one(), thirty_two());
        Self { model: PathBuf::new(), servers: Vec::new(), weight, top, draws: 0, from: 0, until: 0 }
    }
}

fn one() -> f64 {
    1.0
}

fn thirty_two() -> usize {
    32
}

/// When and on what the student is judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EvaluationRecipe {
    /// Steps between looks at the held-out windows; 0 only before and after.
    pub(crate) every: u64,
    /// Windows looked at; 0 for all.
    pub(crate) windows: u64,
    /// Tokens that the student writes at each look; 0 for none.
    pub(crate) sample: usize,
    /// Stop after so many looks without a better loss; 0 never.
    pub(crate) patience: u64,
}

impl Default for EvaluationRecipe {
    fn default() -> Self {
        Self { every: 0, windows: 64, sample: 32, patience: 0 }
    }
}

/// What is done against bad luck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SafetyRecipe {
    /// Steps between checkpoints; 0 only at the end and when interrupted.
    pub(crate) checkpoint_every: u64,
    /// A loss above the running mean by so many deviations is a spike; 0 for none.
    pub(crate) spike: f64,
    /// Go back to the last checkpoint after so many spikes or NaNs in a row.
    pub(crate) patience: u64,
    /// Give up after so many returns.
    pub(crate) returns: u64,
}

impl Default for SafetyRecipe {
    fn default() -> Self {
        Self { checkpoint_every: 100, spike: 6.0, patience: 3, returns: 3 }
    }
}

impl Recipe {
    /// Windows of a step.
    pub(crate) fn batch(&self) -> u64 {
        (self.optimiser.micro_batch * self.optimiser.accumulate) as u64
    }

    /// What keys may be, as far as it follows from the recipe alone.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut must = |holds: bool, what: String| {
            if !holds {
                all.push(what);
            }
        };
        let share = |x: f64| (0.0..=1.0).contains(&x);
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let data = &self.data;
        must(!data.sources.is_empty(), "`data.source` is empty: name a file of JSON lines or a folder".to_owned());
        must(
            (8..=131_072).contains(&data.context),
            format!("`data.context` is {}, expected 8 to 131072", data.context),
        );
        must(
            share(data.near_duplicates),
            format!("`data.near_duplicates` is {}, expected a share", data.near_duplicates),
        );
        must(self.threads <= 1024, format!("`threads` is {}, expected at most 1024", self.threads));
        let fim = &data.fim;
        must([fim.rate, fim.spm, fim.lines].into_iter().all(share), "`data.fim` wants shares from 0 to 1".to_owned());
        must(
            share(data.validation) && data.validation < 1.0,
            format!("`data.validation` is {}, expected a share below 1", data.validation),
        );
        let o = &self.optimiser;
        must(o.rate > 0.0 && o.rate < 1.0, format!("`optimiser.rate` is {}, expected more than 0, below 1", o.rate));
        must(
            o.micro_batch >= 1 && o.accumulate >= 1,
            "`optimiser.micro_batch` and `.accumulate` begin at 1".to_owned(),
        );
        must(positive(o.eps), format!("`optimiser.eps` is {}, expected more than 0", o.eps));
        must(self.batch() <= 65_536, format!("a step has {} windows, expected 65536 at most", self.batch()));
        must(
            o.clip >= 0.0 && o.weight_decay >= 0.0,
            "`optimiser.clip` and `.weight_decay` are not negative".to_owned(),
        );
        let betas = [o.beta1, o.beta2];
        must(betas.iter().all(|&b| (0.0..1.0).contains(&b)), "`optimiser.beta1` and `.beta2` lie below 1".to_owned());
        let s = &self.schedule;
        must(s.steps > 0 || s.epochs > 0.0, "`schedule.steps` and `.epochs` are both 0".to_owned());
        must(share(s.floor) && share(s.decay), "`schedule.floor` and `.decay` are shares".to_owned());
        if let Some(adapter) = &self.adapter {
            must((1..=1024).contains(&adapter.rank), format!("`adapter.rank` is {}, expected 1 to 1024", adapter.rank));
            must(positive(adapter.alpha), format!("`adapter.alpha` is {}, expected more than 0", adapter.alpha));
            let rate = adapter.dropout;
            must((0.0..1.0).contains(&rate), format!("`adapter.dropout` is {rate}, expected a share below 1"));
            must(!(adapter.dora && rate > 0.0), "`adapter.dora` cannot be combined with `adapter.dropout`".to_owned());
        }
        must(
            self.tokens.add.is_empty() || self.teachers.is_empty(),
            "`tokens.add` cannot be combined with teachers, who do not know the new tokens".to_owned(),
        );
        must(
            self.tokens.add.is_empty() || self.adapter.as_ref().is_none_or(|adapter| adapter.base == Base::Stored),
            "`tokens.add` with an adapter wants `adapter.base = \"stored\"`: its base is written with the new rows"
                .to_owned(),
        );
        must(self.tokens.add.iter().all(|token| !token.is_empty()), "`tokens.add` holds an empty text".to_owned());
        let mut tokens: Vec<&String> = self.tokens.add.iter().collect();
        tokens.sort_unstable();
        if let Some(twice) = tokens.windows(2).find(|pair| pair[0] == pair[1]) {
            must(false, format!("`tokens.add` names `{}` twice", twice[0]));
        }
        let student = &self.student;
        must(
            student.layers == 0 || student.keep_layers.is_empty(),
            "`student.layers` and `student.keep_layers` say the same thing: leave one out".to_owned(),
        );
        let smaller = student.layers > 0 || !student.keep_layers.is_empty() || student.hidden > 0 || student.inner > 0;
        must(
            !smaller || self.adapter.is_none(),
            "`[adapter]` cannot be combined with a smaller student, which would be nowhere on disk: make that first"
                .to_owned(),
        );
        must(self.safety.spike >= 0.0, "`safety.spike` is not negative".to_owned());
        all.extend(self.objective.problems(self.teachers.len()));
        if let Some(rounds) = &self.on_policy {
            all.extend(rounds.problems(self.objective.kind, self.data.context));
        }
        for teacher in &self.teachers {
            let name = teacher.model.display();
            if !positive(teacher.weight) || !(1..=1024).contains(&teacher.top) {
                all.push(format!("the teacher `{name}` wants a `weight` above 0 and a `top` from 1 to 1024"));
            }
            if !teacher.servers.is_empty() && teacher.draws > 0 {
                all.push(format!(
                    "the teacher `{name}` is a server, which gives its likeliest tokens and cannot take `draws`"
                ));
            }
            if teacher.draws > 0 && self.objective.divergence != Divergence::Forward {
                all.push(format!("`draws` of the teacher `{name}` go with `objective.divergence = \"forward\"` only"));
            }
        }
        let hidden = self.objective.hidden.is_some();
        if hidden && self.teachers.first().is_some_and(|teacher| !teacher.servers.is_empty()) {
            all.push(
                "`objective.hidden` wants a file as the first teacher: servers do not show their states".to_owned(),
            );
        }
        for source in &data.sources {
            for end in &source.extensions {
                if end.starts_with('.') {
                    all.push(format!(
                        "`{end}` in `extensions` begins with a dot; known ones: {}",
                        lang::corpus_extensions().collect::<Vec<_>>().join(", ")
                    ));
                }
            }
        }
        all
    }
}
