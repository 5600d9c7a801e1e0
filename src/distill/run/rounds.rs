//! On-policy steps (arXiv 2306.13649): the student writes, the teachers judge what it wrote, and it learns from that.
//!
//! It happens in rounds. At the beginning of one the student goes on with beginnings from the data, and the teachers are
//! asked about the result as about any other text; the round's steps then take some of their parts from there. Only the
//! teachers' odds are learnt of them: the student's own words are no example.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::lesson::Lessons;
use super::student::Student;
use crate::distill::data::corpus::{Corpus, Window, Writer};
use crate::distill::data::order;
use crate::distill::kernel::dropout::{mix, share};
use crate::distill::model::write::{Style, write};
use crate::distill::objective::Kind;
use crate::distill::recipe::{Recipe, TeacherRecipe};
use crate::distill::teacher::{self, Store};
use crate::engine::Cancel;

/// How the student's own words are used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RoundsRecipe {
    /// The share of a step's parts that is made of them.
    pub(crate) share: f64,
    /// Steps of a round.
    pub(crate) every: u64,
    /// Texts written in each.
    pub(crate) texts: u64,
    /// Tokens written for each at most.
    pub(crate) tokens: usize,
    /// What logits are divided by as the student writes.
    pub(crate) temperature: f64,
}

impl Default for RoundsRecipe {
    fn default() -> Self {
        Self { share: 0.5, every: 50, texts: 16, tokens: 64, temperature: 1.0 }
    }
}

impl RoundsRecipe {
    pub(crate) fn problems(&self, kind: Kind, context: usize) -> Vec<String> {
        let mut all = Vec::new();
        let mut must = |holds: bool, what: &str| {
            if !holds {
                all.push(what.to_owned());
            }
        };
        must(kind == Kind::Kd, "`on_policy` wants `objective.kind = \"kd\"` and a `[[teacher]]`");
        must((0.0..=1.0).contains(&self.share), "`on_policy.share` is a share");
        must(self.every > 0 && self.texts > 0, "`on_policy.every` and `.texts` begin at 1");
        must((1..context).contains(&self.tokens), "`on_policy.tokens` lies between 1 and `data.context`");
        must(self.temperature >= 0.0 && self.temperature.is_finite(), "`on_policy.temperature` is not negative");
        all
    }
}

/// The round that is being learnt from.
pub(crate) struct Round {
    number: u64,
    corpus: Corpus,
    teachers: Vec<Option<Store>>,
}

/// Where rounds are kept.
pub(crate) struct Rounds<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) settings: &'a RoundsRecipe,
    pub(crate) folder: &'a Path,
    /// Of the run.
    pub(crate) fingerprint: String,
    pub(crate) cancel: &'a Cancel,
    pub(crate) now: Option<Round>,
}

impl Rounds<'_> {
    /// Makes sure that the round of step `step` is there; says whether it was written now.
    ///
    /// # Errors
    /// A teacher does not answer, or the files cannot be written.
    pub(crate) fn reach(
        &mut self,
        step: u64,
        student: &Student,
        data: &Corpus,
        tell: &mut dyn FnMut(teacher::Progress<'_>),
    ) -> Result<bool, RunError> {
        let number = step / self.settings.every;
        let begins = step.is_multiple_of(self.settings.every);
        if self.now.as_ref().is_some_and(|now| now.number == number) && !begins {
            return Ok(false);
        }
        self.now = None;
        let folder = self.place(number);
        let settings = format!("{} {number}", self.fingerprint);
        let path = folder.join("written.windows");
        // The student as it was at the round's beginning is gone; what it wrote then must be there.
        let old = if begins { None } else { Corpus::open(&path).ok().filter(|old| old.head.settings == settings) };
        let written = old.is_none();
        let corpus = match old {
            Some(corpus) => corpus,
            None => {
                let _ = std::fs::remove_dir_all(&folder);
                std::fs::create_dir_all(&folder).map_err(|source| RunError::Log { path: folder.clone(), source })?;
                self.write(number, student, data, &path, &settings)?;
                Corpus::open(&path).map_err(RunError::Told)?
            }
        };
        // A round that is begun again after its teachers were asked finds what they said.
        let steps = number * self.settings.every..(number + 1) * self.settings.every;
        let counts = |teacher: &TeacherRecipe| teacher.is_active_in(&steps);
        let (tokenizer, cancel) = (&student.tokenizer, self.cancel);
        let teachers = teacher::stores(self.recipe, &corpus, tokenizer, &folder, &counts, cancel, tell)?;
        self.now = Some(Round { number, corpus, teachers });
        Ok(written)
    }

    fn write(
        &self,
        number: u64,
        student: &Student,
        data: &Corpus,
        path: &Path,
        settings: &str,
    ) -> Result<(), RunError> {
        let room = self.recipe.data.context - self.settings.tokens;
        let seed = mix(self.recipe.seed ^ mix(number ^ SALT));
        let mut prompts = Vec::new();
        // Some windows begin with a text that is longer than there is room for.
        for i in 0..self.settings.texts * 4 {
            if prompts.len() as u64 == self.settings.texts {
                break;
            }
            let at = order::at(self.recipe.seed ^ SALT, number * self.settings.texts * 4 + i, data.len());
            prompts.extend(beginning(&data.window(at).map_err(RunError::Told)?, room, seed ^ i));
        }
        if prompts.is_empty() {
            let what = format!("no text of the data leaves room for {} tokens of the student's", self.settings.tokens);
            return Err(RunError::Told(what));
        }
        let (most, temperature) = (self.settings.tokens, self.settings.temperature);
        let style = Style { most, end: student.tokenizer.end(), temperature, seed };
        let texts = write(&student.model, &prompts, &style);
        let mut writer = Writer::create(path)?;
        for (prompt, text) in prompts.iter().zip(&texts) {
            let tokens = prompt.iter().map(|&token| (token, false)).chain(text.iter().map(|&token| (token, true)));
            writer.window();
            writer.document(&tokens.collect::<Vec<_>>())?;
        }
        writer.finish(settings)?;
        Ok(())
    }

    /// Texts of the round that part `part` of step `step` learns from; `None` where it learns from the data.
    pub(crate) fn part(&self, step: u64, part: usize) -> Option<(Lessons<'_>, Vec<u64>)> {
        let now = self.now.as_ref()?;
        let key = mix(self.recipe.seed ^ mix(step ^ SALT) ^ part as u64);
        if share(key) >= self.settings.share {
            return None;
        }
        let count = (self.recipe.optimiser.micro_batch as u64).min(now.corpus.len());
        let first = mix(key) % now.corpus.len();
        let windows = (0..count).map(|i| (first + i) % now.corpus.len()).collect();
        let (corpus, teachers) = (&now.corpus, now.teachers.as_slice());
        Some((Lessons { recipe: self.recipe, corpus, teachers, references: &[] }, windows))
    }

    /// Forgets rounds that no checkpoint can ask for any more, now that step `step` is saved.
    pub(crate) fn forget(&self, step: u64) {
        for number in (0..step / self.settings.every).rev() {
            if std::fs::remove_dir_all(self.place(number)).is_err() {
                break;
            }
        }
    }

    fn place(&self, number: u64) -> PathBuf {
        self.folder.join(format!("round-{number}"))
    }
}

/// Sets what chance decides here apart from what it decides elsewhere.
const SALT: u64 = 0x6f6e_706f_6c69_6379;

/// What the student goes on with: everything before the first answer, or the beginning of a plain text.
pub(super) fn beginning(window: &Window, room: usize, place: u64) -> Option<Vec<u32>> {
    let document = window.documents.first()?;
    let answer = document.iter().skip(1).position(|(_, learn)| *learn)? + 1;
    let len = if answer > 1 { answer } else { (document.len() as f64 * (0.25 + 0.25 * share(mix(place)))) as usize };
    let len = if answer > 1 { len } else { len.clamp(1, room) };
    (len <= room).then(|| document[..len].iter().map(|&(token, _)| token).collect())
}
