//! A batch with all that is known about it.

use super::error::RunError;
use crate::distill::data::corpus::{self, Corpus};
use crate::distill::model::Batch;
use crate::distill::objective::{Across, Chunk, Kind, Lesson, Odds, Reference, Taught};
use crate::distill::recipe::Recipe;
use crate::distill::teacher::{Said, Store};

/// Where lessons come from.
pub(crate) struct Lessons<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) corpus: &'a Corpus,
    /// In the recipe's order; none for those that no step of these lessons asks.
    pub(crate) teachers: &'a [Option<Store>],
    /// Of every window, where the objective compares answers.
    pub(crate) references: &'a [Reference],
}

impl Lessons<'_> {
    /// Pairs of layers whose states count in a step.
    fn pairs(&self, step: u64) -> usize {
        self.recipe.objective.hidden.as_ref().map_or(0, |hidden| hidden.active(step))
    }

    /// A name for the teachers that count in a step.
    pub(crate) fn phase(&self, step: u64) -> u64 {
        let active = self.recipe.teachers.iter().map(|teacher| teacher.is_active(step));
        let teachers = active.fold(0, |name, active| name << 1 | u64::from(active));
        teachers << 8 ^ self.pairs(step) as u64
    }

    /// The windows of these numbers, as they are learnt from in step `step`.
    ///
    /// # Errors
    /// A file is damaged, or tokens are not the student's.
    pub(crate) fn of(&self, windows: &[u64], step: u64, vocabulary: usize) -> Result<(Batch, Lesson), RunError> {
        let read: Result<Vec<_>, _> = windows.iter().map(|&window| self.corpus.window(window)).collect();
        let read = read.map_err(RunError::Told)?;
        let (batch, goals) = corpus::batch(&read);
        let mut first = 0;
        let places: Vec<(usize, usize)> = read
            .iter()
            .map(|window| {
                let place = (first, window.goals());
                first += place.1;
                place
            })
            .collect();
        if let Some(token) = batch.tokens.iter().find(|&&token| token as usize >= vocabulary) {
            let what = format!("the data holds the token {token}, and the student has {vocabulary}");
            return Err(RunError::Told(what));
        }
        let mut lesson = Lesson { goals, ..Lesson::default() };
        if self.recipe.objective.kind == Kind::Dpo {
            lesson.references = windows.iter().filter_map(|&at| self.references.get(at as usize).copied()).collect();
        }
        let now: Vec<_> =
            self.recipe.teachers.iter().zip(self.teachers).filter(|(teacher, _)| teacher.is_active(step)).collect();
        let sum: f64 = now.iter().map(|(teacher, _)| teacher.weight).sum();
        for (teacher, store) in now {
            let Some(store) = store else {
                return Err(RunError::Told(format!("the teacher `{}` was not asked", teacher.model.display())));
            };
            let weight = teacher.weight / sum;
            let (mut odds, mut across, mut states) = (Vec::new(), None::<Across>, Vec::new());
            for (&window, &(first, goals)) in windows.iter().zip(&places) {
                match store.window(window).map_err(RunError::Told)? {
                    Said::Odds(said, theirs) if said.len() == goals => {
                        states.resize(theirs.len(), Vec::new());
                        states.iter_mut().zip(theirs).for_each(|(all, theirs): (&mut Vec<f32>, _)| all.extend(theirs));
                        odds.extend(said.into_iter().map(|odds| known(odds, vocabulary)));
                    }
                    Said::Across(said) if said.chunks.iter().all(|chunk| fits(chunk, goals)) => {
                        let moved = said.chunks.into_iter().map(|chunk| Chunk { first: first + chunk.first, ..chunk });
                        across.get_or_insert_default().chunks.extend(moved);
                    }
                    _ => {
                        let what = format!("the teacher's store and the data have other goals in window {window}");
                        return Err(RunError::Told(what));
                    }
                }
            }
            states.truncate(self.pairs(step));
            if !states.is_empty() {
                lesson.states = states;
            }
            match across {
                Some(across) => lesson.across.push((weight, across)),
                None => lesson.taught.push(Taught { weight, odds }),
            }
        }
        Ok((batch, lesson))
    }
}

/// A teacher's file may hold tokens that the student's matrix does not; they belong to the rest.
fn known(mut odds: Odds, vocabulary: usize) -> Odds {
    let tail = &mut odds.tail;
    odds.top.retain(|&(token, p)| {
        let known = (token as usize) < vocabulary;
        *tail += if known { 0.0 } else { p };
        known
    });
    odds
}

fn fits(chunk: &Chunk, goals: usize) -> bool {
    chunk.goals > 0 && chunk.first + chunk.goals <= goals
}
