//! The loop: windows in a fixed order, gradients, a step; a look at held-out windows and a checkpoint now and then.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;

use super::checkpoint::{self, Kept, State};
use super::claim::{Claim, claim, forget};
use super::error::RunError;
use super::evaluate::held_out;
use super::guard::Fault;
use super::lesson::Lessons;
use super::metrics::{Line, Log, Return};
use super::optimiser::{AdamW, clip};
use super::place::{self, Place, Task};
use super::rounds::{Rounds, beginning};
use super::student::{self, Student};
use super::told::{Event, Options, Outcome};
use super::{curve, output, reference};
use crate::distill::data::order;
use crate::distill::data::prepare::{Prepared, prepare};
use crate::distill::kernel::dropout::mix;
use crate::distill::model::write::{Style, write};
use crate::distill::model::{Batch, Gradients, Weight};
use crate::distill::objective::{Kind, Lesson, Loss, ObjectiveRecipe};
use crate::distill::recipe::Recipe;
use crate::distill::teacher::{self, TeacherError};

/// What all steps share.
struct Run<'a> {
    recipe: &'a Recipe,
    options: &'a Options,
    lessons: Lessons<'a>,
    judged: Option<Lessons<'a>>,
    rounds: Option<Rounds<'a>>,
    student: Student,
    place: Place,
    optimiser: AdamW,
    gradients: Gradients,
    state: State,
    steps: u64,
    places: Places,
    log: Log,
}

/// The run's own files.
struct Places {
    last: PathBuf,
    best: PathBuf,
    metrics: PathBuf,
}

/// Follows a recipe, from where an earlier run of it stopped.
///
/// # Errors
/// As [`RunError`]. What a checkpoint held before stays.
pub(crate) fn train(
    recipe: &Recipe,
    out: &Path,
    options: &Options,
    tell: &mut dyn FnMut(&Event<'_>),
) -> Result<Outcome, RunError> {
    if let Some(what) = place::unfit(recipe, !options.cards.is_empty()) {
        return Err(RunError::Unfit(what));
    }
    let Claim { folder, lock } = claim(recipe, out)?;
    let interrupted = || options.cancel.is_cancelled();
    let fingerprint = checkpoint::fingerprint(recipe);
    let places = ["last.safetensors", "best.safetensors", "metrics.jsonl"].map(|name| folder.join(name));
    let [last, best, metrics] = places;
    if options.fresh {
        forget(&folder).map_err(|source| RunError::Log { path: folder.clone(), source })?;
    }
    let found = if last.is_file() { Some(checkpoint::state(&last)?) } else { None };
    // Before anything is made anew: what is there may be all that the other run needs.
    if found.as_ref().is_some_and(|found| found.recipe != fingerprint) {
        return Err(RunError::Other { out: out.to_owned() });
    }
    let student = student::build(recipe)?;
    if found.as_ref().is_some_and(|found| found.student != student.fingerprint) {
        return Err(RunError::OtherStudent { out: out.to_owned() });
    }
    let mut place = Place::open(&options.cards)?;
    let pairs = recipe.objective.kind == Kind::Dpo;
    let Prepared { train, validation, tally } =
        prepare(&recipe.data, pairs, recipe.seed, &student.tokenizer, &folder, &interrupted)?;
    tell(&Event::Data { head: &train.head, tally: tally.as_ref(), notices: student.tokenizer.told().collect() });

    let mut asked = |progress: teacher::Progress<'_>| tell(&Event::Teacher(progress));
    let (all, cancel) = (|_: &_| true, &options.cancel);
    let teachers = teacher::stores(recipe, &train, &student.tokenizer, &folder, &all, cancel, &mut asked)?;
    let silent = teacher::silent::notices(recipe, &train, &teachers).map_err(RunError::Told)?;
    silent.iter().for_each(|notice| tell(&Event::Told(notice)));
    let mut reference = |corpus, name: &str| {
        let known = format!("{fingerprint} {}", student.fingerprint);
        reference::of(&student.model, &mut place, &known, corpus, &folder.join(name), &interrupted)
    };
    let references = if pairs { reference(&train, "train.reference")? } else { Vec::new() };
    let lessons = Lessons { recipe, corpus: &train, teachers: &teachers, references: &references };
    let references = match &validation {
        Some(corpus) if pairs => reference(corpus, "validation.reference")?,
        _ => Vec::new(),
    };
    let judged = validation.as_ref().map(|corpus| Lessons { recipe, corpus, teachers: &[], references: &references });
    let rounds = recipe.on_policy.as_ref().map(|settings| {
        let (fingerprint, cancel) = (fingerprint.clone(), &options.cancel);
        Rounds { recipe, settings, folder: &folder, fingerprint, cancel, now: None }
    });
    let mut student = student;
    let mut optimiser = AdamW::new(&student.model.weights);
    let steps = recipe.schedule.steps(train.len(), recipe.batch());
    let mut state = State::new(fingerprint.clone(), train.head.content.clone(), student.fingerprint.clone());
    if let Some(found) = found {
        if found.data != train.head.content {
            return Err(RunError::Changed { out: out.to_owned() });
        }
        state = checkpoint::read(&last, &mut student.model, Some(&mut optimiser))?;
        tell(&Event::Resumed { step: state.step, steps });
    }
    place.changed();
    let log = Log::open(&metrics, state.step, state.returns)?;
    let gradients = Gradients::new(&student.model.weights);
    let places = Places { last, best, metrics };
    let mut run = Run {
        recipe,
        options,
        lessons,
        judged,
        rounds,
        student,
        place,
        optimiser,
        gradients,
        state,
        steps,
        places,
        log,
    };
    let begun = run.state.step;
    let outcome = run.follow(tell)?;
    // What a run that was at its end had written stands.
    if !outcome.interrupted && (outcome.steps > begun || !output::is_whole(out)) {
        output::begin(out)?;
        output::write(&run.student, recipe, out)?;
        curve::draw(&run.places.metrics, &folder)?;
        output::card(recipe, &train.head, &teachers, &outcome, out)?;
    }
    drop(lock);
    Ok(outcome)
}

impl Run<'_> {
    fn follow(&mut self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<Outcome, RunError> {
        if self.state.before.is_none() {
            self.state.before = self.look()?.map(Kept);
        }
        let end = self.options.max_steps.map_or(self.steps, |most| most.min(self.steps));
        let (mut tokens, begun) = (self.state.tokens, Instant::now());
        let at_start = self.state.tokens;
        let every = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        let mut saved = self.state.step;
        while self.state.step < end && !self.has_stalled() {
            if self.options.cancel.is_cancelled() {
                self.save()?;
                tell(&Event::Saved { step: self.state.step });
                return Ok(Outcome { interrupted: true, ..self.outcome(begun, at_start) });
            }
            match self.reach_round(tell) {
                // The top of the loop saves what there is.
                Err(RunError::Teacher(TeacherError::Interrupted)) => continue,
                other => other?,
            }
            let started = Instant::now();
            let Some(mut line) = self.step()? else {
                tokens = self.state.tokens;
                tell(&Event::Returned { step: self.state.step });
                continue;
            };
            line.tokens_per_s = (self.state.tokens - tokens) as f64 / started.elapsed().as_secs_f64();
            tokens = self.state.tokens;
            if line.fault.is_none() && every(self.recipe.evaluation.every, self.state.step) {
                line.val_loss = self.look()?;
                line.sample = self.sample()?;
                self.judge(line.val_loss)?;
            }
            self.log.add(&line);
            tell(&Event::Step { line: &line, steps: self.steps });
            if line.fault.is_none() && every(self.recipe.safety.checkpoint_every, self.state.step) {
                self.save()?;
                saved = self.state.step;
            }
        }
        if saved != self.state.step || !self.places.last.is_file() {
            self.save()?;
        }
        let mut outcome = self.outcome(begun, at_start);
        outcome.val_loss_after = self.look()?;
        let better = |best: &Kept| outcome.val_loss_after.is_none_or(|after| after.is_nan() || best.0 < after);
        if let Some(best) = self.state.best.filter(better).filter(|_| self.places.best.is_file()) {
            checkpoint::read(&self.places.best, &mut self.student.model, None)?;
            outcome.val_loss_after = Some(best.0);
        }
        Ok(outcome)
    }

    fn outcome(&self, begun: Instant, at_start: u64) -> Outcome {
        let loss = |kept: Option<Kept>| kept.map(|kept| kept.0);
        Outcome {
            steps: self.state.step,
            tokens: self.state.tokens,
            loss_first: loss(self.state.loss_first),
            loss_last: loss(self.state.loss_last),
            val_loss_before: loss(self.state.before),
            val_loss_after: None,
            tokens_per_s: (self.state.tokens - at_start) as f64 / begun.elapsed().as_secs_f64().max(1e-9),
            peak_rss: crate::device::memory::Probe::new().resident().peak,
            interrupted: false,
        }
    }

    /// Has the student write, where a round begins.
    fn reach_round(&mut self, tell: &mut dyn FnMut(&Event<'_>)) -> Result<(), RunError> {
        let (step, data) = (self.state.step, self.lessons.corpus);
        let Some(rounds) = &mut self.rounds else { return Ok(()) };
        if rounds.reach(step, &self.student, data, &mut |progress| tell(&Event::Teacher(progress)))? {
            tell(&Event::Wrote { step });
        }
        Ok(())
    }

    /// One step; `None` where the run went back to a checkpoint instead.
    fn step(&mut self) -> Result<Option<Line>, RunError> {
        let batch = self.recipe.batch();
        let all = self.lessons.corpus.len();
        let windows: Vec<u64> = (0..batch).map(|i| order::at(self.recipe.seed, self.state.cursor + i, all)).collect();
        let cursor = self.state.cursor + batch;
        let vocabulary = self.student.model.shape.vocabulary;
        let step = self.state.step;
        let part = |(at, windows): (usize, &[u64])| {
            let own = self.rounds.as_ref().and_then(|rounds| rounds.part(step, at));
            let (lessons, windows) =
                own.as_ref().map_or((&self.lessons, windows), |(own, texts)| (own, texts.as_slice()));
            let (batch, lesson) = lessons.of(windows, step, vocabulary)?;
            Ok((batch, lesson, own.is_some()))
        };
        let parts = windows.chunks(self.recipe.optimiser.micro_batch).enumerate().map(part);
        let parts: Vec<(Batch, Lesson, bool)> = parts.collect::<Result<_, RunError>>()?;
        let size = |own: Option<bool>| -> f64 {
            let counted = parts.iter().filter(|part| own.is_none_or(|own| part.2 == own));
            counted.map(|(_, lesson, _)| lesson.size(&self.recipe.objective)).sum::<usize>().max(1) as f64
        };
        let (weight, of_data) = (1.0 / size(None), 1.0 / size(Some(false)));
        // Of the student's own words only what teachers say is learnt.
        let taught = ObjectiveRecipe { alpha: 1.0, ..self.recipe.objective.clone() };
        self.gradients.clear();
        let drops = self.recipe.adapter.as_ref().is_some_and(|adapter| adapter.dropout > 0.0);
        let (mut tasks, mut tokens) = (Vec::with_capacity(parts.len()), 0);
        for (at, (batch, lesson, own)) in parts.iter().enumerate() {
            let objective = if *own { &taught } else { &self.recipe.objective };
            let key = mix(self.recipe.seed ^ mix(self.state.cursor + at as u64));
            tasks.push(Task { objective, batch, lesson, weight, dropout: drops.then_some(key) });
            tokens += batch.tokens.len() as u64;
        }
        let recompute = self.recipe.optimiser.recompute;
        let losses = self.place.learn(&self.student.model, recompute, &tasks, &mut self.gradients)?;
        let mut loss = Loss::default();
        for (one, (.., own)) in losses.into_iter().zip(&parts) {
            loss.add(Loss { part: if *own { 0.0 } else { one.part }, ..one });
        }
        let (loss, part) = (loss.whole * weight, loss.part * of_data);
        let norm = clip(&mut self.gradients, self.recipe.optimiser.clip);
        self.state.guard.enter(self.lessons.phase(step));
        let fault = self.state.guard.look(loss, norm, self.recipe.safety.spike);
        if let Some(fault) = fault
            && self.state.guard.bad >= self.recipe.safety.patience
        {
            self.go_back(fault, cursor)?;
            return Ok(None);
        }
        let rate = self.recipe.optimiser.rate * self.recipe.schedule.share(step, self.steps);
        self.state.cursor = cursor;
        self.state.tokens += tokens;
        self.state.step += 1;
        if fault.is_none() {
            self.optimiser.steps = self.state.updates;
            self.state.updates += 1;
            let weights = &mut self.student.model.weights;
            self.optimiser.step(&self.recipe.optimiser, rate, weights, &mut self.gradients);
            self.student.model.changed();
            self.place.changed();
            self.state.loss_first = self.state.loss_first.or(Some(Kept(loss)));
            self.state.loss_last = Some(Kept(loss));
        }
        let part = (self.recipe.objective.kind != Kind::Sft).then_some(part);
        let (step, tokens) = (self.state.step, self.state.tokens);
        Ok(Some(Line { step, loss, part, rate, norm, tokens, fault, ..Line::default() }))
    }

    /// Back to the last checkpoint, or to the beginning; the windows that led here are not taken again.
    fn go_back(&mut self, fault: Fault, cursor: u64) -> Result<(), RunError> {
        let (times, returns, from) = (self.state.guard.bad, self.state.returns, self.state.step);
        if returns >= self.recipe.safety.returns {
            let what = if fault == Fault::Spike { "far above what it was" } else { "NaN or infinite" };
            return Err(RunError::Diverged { what, times, step: from, returns });
        }
        let (recipe, data) = (self.state.recipe.clone(), self.state.data.clone());
        let (before, best, student) = (self.state.before, self.state.best, self.state.student.clone());
        if self.places.last.is_file() {
            self.state = checkpoint::read(&self.places.last, &mut self.student.model, Some(&mut self.optimiser))?;
        } else {
            self.student = student::build(self.recipe)?;
            self.optimiser = AdamW::new(&self.student.model.weights);
            self.state = State { before, ..State::new(recipe, data, student) };
        }
        // The best weights so far are those of the file, whichever way led there.
        self.state.best = best;
        self.place.changed();
        self.state.cursor = cursor;
        self.state.returns = returns + 1;
        self.state.guard.bad = 0;
        let told = Return { step: self.state.step, returned_from: from, returns: self.state.returns, fault };
        self.log = Log::back(&self.places.metrics, &told)?;
        Ok(())
    }

    fn look(&mut self) -> Result<Option<f64>, RunError> {
        let windows = self.recipe.evaluation.windows;
        let (model, place) = (&self.student.model, &mut self.place);
        let look = |lessons| held_out(model, place, lessons, windows);
        Ok(self.judged.as_ref().map(look).transpose()?.flatten())
    }

    /// What the student writes after the beginning of a held-out text.
    fn sample(&self) -> Result<Option<String>, RunError> {
        let tokens = self.recipe.evaluation.sample.min(self.recipe.data.context / 2);
        let Some(judged) = self.judged.as_ref().filter(|_| tokens > 0) else { return Ok(None) };
        let window = judged.corpus.window(0).map_err(RunError::Told)?;
        let prompt = beginning(&window, self.recipe.data.context - tokens, 0);
        let style = Style { most: tokens, end: self.student.tokenizer.end(), temperature: 0.0, seed: 0 };
        let write = |prompt| write(&self.student.model, &[prompt], &style).pop();
        Ok(prompt.and_then(write).map(|text| self.student.tokenizer.text(&text)))
    }

    /// Whether the held-out loss has not become better for as long as the recipe waits.
    fn has_stalled(&self) -> bool {
        let patience = self.recipe.evaluation.patience;
        patience > 0 && self.state.stale >= patience
    }

    /// Keeps the weights where the held-out loss is the best so far.
    fn judge(&mut self, loss: Option<f64>) -> Result<(), RunError> {
        let Some(loss) = loss else { return Ok(()) };
        if loss.is_finite() && self.state.best.is_none_or(|best| loss < best.0) {
            self.state.best = Some(Kept(loss));
            self.state.stale = 0;
            checkpoint::write(&self.places.best, &self.state, &self.student.model, None)?;
        } else {
            self.state.stale += 1;
        }
        Ok(())
    }

    /// # Errors
    /// It cannot be written, or weights are no numbers any more: the checkpoint before is worth more then.
    fn save(&self) -> Result<(), RunError> {
        let whole = |weight: &Weight| weight.all().par_iter().all(|x| x.is_finite());
        if !self.student.model.weights.iter().filter(|weight| weight.trained).all(whole) {
            let (step, returns) = (self.state.step, self.state.returns);
            return Err(RunError::Diverged { what: "NaN or infinite in the weights", times: 1, step, returns });
        }
        checkpoint::write(&self.places.last, &self.state, &self.student.model, Some(&self.optimiser))?;
        if let Some(rounds) = &self.rounds {
            rounds.forget(self.state.step);
        }
        Ok(())
    }
}
