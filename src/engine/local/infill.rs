//! Filling in at a cursor: several candidates decoded side by side on one evaluated prompt, and ranked.
//!
//! The prompt's cells belong to the sequence [`PROMPT`] and stay from one request to the next; each candidate has a
//! sequence that shares them and adds its own. Candidates are the likeliest texts, found best first: wherever one is
//! decoded greedily, the tokens that nearly won are kept as places to fork, and whenever a sequence is free the
//! likeliest fork takes it. A model without fill-in-the-middle tokens sees only what stands before the cursor, so its
//! candidates are ranked by what they make of the text behind it: log P(candidate) + log P(suffix | candidate) is
//! log P(candidate | prefix, suffix) up to a constant. Of the suffix only the first tokens are looked at, and they have
//! less to say than all of it, so the first term weighs more.

use std::time::Instant;

use super::context::Row;
use super::{DecodeError, EngineError, Worker};
use crate::crash::{Doing, Step};
use crate::engine::pieces::Pieces;
use crate::engine::{Event, InfillRequest, Infilled, Job, Outcome, Sink, Stats};
use crate::fim::cache::Suggestion;
use crate::fim::prompt::{Budget, Part, Prompt, build};
use crate::fim::stop::{Mode, Watch};
use crate::fim::syntax::{Judge, Verdict};
use crate::fim::trim;

mod cells;
mod odds;
mod rank;

use odds::Odds;
use rank::PROBE_TOKENS;

/// The sequence of the prompt; candidates have the ones after it.
pub(super) const PROMPT: i32 = 1;

// Chosen on 137 of the HumanEval-infilling lines with Gemma-3-270M, for the most exact answers with the fewest rows of
// logits: on a small model with a large vocabulary a row costs as much beside others as alone.
/// A fork less likely than this never starts.
const LEAST_FORK: f32 = -2.5;
/// A candidate this much less likely than a finished one is given up.
const FAR_BEHIND: f32 = 2.0;
/// Where the likeliest text has this much of the probability there is nothing to choose.
const CERTAIN: f32 = -0.5;
/// How much less likely a fork or a candidate may be where somebody asked for other ways to go on.
const CURIOUS: f32 = 4.0;
/// Candidates among which the suffix chooses, for models that do not see it.
const CHOICE: u32 = 4;
/// The shortest prompt worth asking with, in tokens.
const LEAST_PROMPT: usize = 32;

/// One text being written.
struct Candidate {
    seq: i32,
    tokens: Vec<i32>,
    /// log P of each token.
    odds: Vec<f32>,
    pieces: Pieces,
    watch: Watch,
    /// Bytes it must still begin with.
    held: Vec<u8>,
    /// Bytes of the watched text to keep, once it is over.
    kept: Option<usize>,
}

impl Candidate {
    fn likelihood(&self) -> f32 {
        self.odds.iter().sum()
    }
}

/// A place where another token nearly won.
#[derive(Clone, Debug)]
struct Fork {
    seq: i32,
    tokens: Vec<i32>,
    odds: Vec<f32>,
}

impl Fork {
    fn likelihood(&self) -> f32 {
        self.odds.iter().sum()
    }
}

/// One request under way.
struct Fill<'a> {
    job: &'a Job,
    request: &'a InfillRequest,
    prompt: Prompt,
    tokens: Vec<i32>,
    fresh: Watch,
    /// Candidates at most.
    most: usize,
    candidates: Vec<Candidate>,
    forks: Vec<Fork>,
    /// Bytes of whole lines that were looked at while the text is written.
    told: usize,
    stats: Stats,
}

impl Fill<'_> {
    /// Tells the lines that are whole, where there are more of them than before and the file stays in order with them.
    fn tell_lines(&mut self, sink: &mut Sink) {
        let [candidate] = self.candidates.as_slice() else { return };
        let lines = candidate.watch.whole_lines();
        if self.most > 1 || candidate.kept.is_some() || lines.len() <= self.told {
            return;
        }
        self.told = lines.len();
        let site = &self.request.site;
        if let Some(text) = trim::finish(lines, site).filter(|text| Judge::new(site).verdict(text) != Verdict::Worse) {
            sink(Event::Filling { job: self.job.id, text });
        }
    }
}

impl Worker {
    pub(super) fn infill(
        &mut self,
        job: &Job,
        request: &InfillRequest,
        sink: &mut Sink,
    ) -> Result<Outcome, EngineError> {
        let _step = Doing::now(Step::Completing);
        let started = Instant::now();
        let mut fill = self.prepare(job, request)?;
        let done = self.prompt_cells(&mut fill).and_then(|first| self.candidates(first, &mut fill, started, sink));
        let finished = match done {
            Ok(()) => self.finish(&mut fill),
            Err(error) => Err(error),
        };
        let mut infilled = Infilled { method: self.form.name().to_owned(), ..Infilled::default() };
        match finished {
            Ok(finished) => {
                self.keep_best(&fill, &finished);
                let finished = finished.into_iter();
                infilled.alternatives =
                    finished.map(|finished| Suggestion { text: finished.text, score: finished.score }).collect();
            }
            Err(DecodeError::Cancelled) => infilled.cancelled = true,
            Err(DecodeError::Full) => {
                self.forget_infill();
                let used = self.cached.len();
                return Err(EngineError::NoRoom { used, cells: self.context()?.n_cells() });
            }
            Err(DecodeError::Broken(code)) => return Err(self.broken(code)),
        }
        if let Some(context) = &mut self.context {
            for seq in 1..=fill.most as i32 {
                context.remove(PROMPT + seq, 0, None);
            }
        }
        infilled.stats = fill.stats;
        infilled.stats.context_tokens = self.cached.len() as u32;
        infilled.ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(Outcome::Infilled(infilled))
    }

    /// Lets go of the cells of completions.
    pub(super) fn forget_infill(&mut self) {
        self.filled.clear();
        if let Some(context) = &mut self.context {
            for seq in PROMPT..=InfillRequest::SEQUENCES as i32 {
                context.remove(seq, 0, None);
            }
        }
    }

    fn prepare<'a>(&mut self, job: &'a Job, request: &'a InfillRequest) -> Result<Fill<'a>, EngineError> {
        let (cells, used) = (self.context()?.n_cells(), self.cached.len());
        let least = if self.form.fills() { 1 } else { CHOICE };
        let planned = self.spec.plan.n_seq.saturating_sub(PROMPT as u32 + 1).max(1);
        let most = request.alternatives.clamp(least, InfillRequest::MOST).min(planned) as usize;
        let beside = most * (request.max_tokens as usize + PROBE_TOKENS);
        let room = cells.saturating_sub(used + beside).min(request.prompt_tokens as usize);
        if room < LEAST_PROMPT {
            return Err(EngineError::NoRoom { used, cells });
        }
        let words = &self.words;
        let mut count = |text: &str| words.tokens(text, false).len();
        let prompt = build(&self.form, &request.site, &request.chunks, Budget::new(room), &mut count);
        let mut tokens = words.tokens("", true);
        for part in &prompt.parts {
            match part {
                Part::Text(text) => tokens.extend(words.tokens(text, false)),
                Part::Control(token) => tokens.push(*token),
            }
        }
        if tokens.is_empty() {
            return Err(EngineError::Empty);
        }
        if tokens.len() + beside + used > cells {
            return Err(EngineError::NoRoom { used, cells });
        }
        Ok(Fill {
            job,
            request,
            stats: Stats { prompt_tokens: tokens.len() as u32, ..Stats::default() },
            most,
            fresh: Watch::new(&request.site, Mode::of(&request.site)),
            prompt,
            tokens,
            candidates: Vec::new(),
            forks: Vec::new(),
            told: 0,
        })
    }

    /// Decodes until every candidate is over and no fork is worth another one.
    fn candidates(
        &mut self,
        row: usize,
        fill: &mut Fill<'_>,
        started: Instant,
        sink: &mut Sink,
    ) -> Result<(), DecodeError> {
        let held = fill.prompt.held.clone().into_bytes();
        let fresh = Candidate {
            seq: PROMPT + 1,
            tokens: Vec::new(),
            odds: Vec::new(),
            pieces: Pieces::default(),
            watch: fill.fresh.clone(),
            held,
            kept: None,
        };
        let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
        context.share(PROMPT, fresh.seq, fill.tokens.len());
        fill.candidates.push(fresh);
        self.extend(0, row, fill)?;
        fill.stats.first_token_ms = started.elapsed().as_secs_f64() * 1e3;
        let decoding = Instant::now();
        loop {
            prune(&mut fill.candidates, FAR_BEHIND + curious(fill.request));
            self.fork(fill)?;
            let live: Vec<usize> = (0..fill.candidates.len()).filter(|&i| fill.candidates[i].kept.is_none()).collect();
            if live.is_empty() {
                break;
            }
            let rows: Vec<Row> =
                live.iter().filter_map(|&i| last_row(&fill.candidates[i], fill.tokens.len())).collect();
            let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
            context.evaluate(rows.into_iter(), &fill.job.cancel)?;
            for (row, &i) in live.iter().enumerate() {
                self.extend(i, row, fill)?;
            }
            fill.tell_lines(sink);
        }
        let seconds = decoding.elapsed().as_secs_f64();
        fill.stats.decode_tps = if seconds > 0.0 { f64::from(fill.stats.generated_tokens) / seconds } else { 0.0 };
        Ok(())
    }

    /// Adds the likeliest next token to a candidate, and remembers those that nearly won.
    fn extend(&mut self, i: usize, row: usize, fill: &mut Fill<'_>) -> Result<(), DecodeError> {
        let Some(logits) = self.context.as_ref().and_then(|context| context.logits(row)) else {
            return Err(DecodeError::Broken(0));
        };
        let odds = Odds::new(logits);
        let candidate = &mut fill.candidates[i];
        let wanted = if fill.most > 1 { fill.most + 1 } else { 1 };
        let words = &self.words;
        let best: Vec<(f32, i32)> = if candidate.held.is_empty() {
            odds.best(wanted)
        } else {
            // What was held back from the prompt must come first.
            let fits = |token: i32| Prompt::allows(&candidate.held, &words.bytes(token));
            odds.best_where(wanted, fits)
        };
        let Some((&(chance, token), others)) = best.split_first() else {
            candidate.kept = Some(candidate.watch.end(false));
            return Ok(());
        };
        let so_far = candidate.likelihood();
        let least = LEAST_FORK - curious(fill.request);
        for &(chance, token) in others {
            if so_far + chance > least && !self.is_end(token) {
                let tokens = candidate.tokens.iter().copied().chain([token]).collect();
                let odds = candidate.odds.iter().copied().chain([chance]).collect();
                fill.forks.push(Fork { seq: candidate.seq, tokens, odds });
            }
        }
        fill.stats.generated_tokens += 1;
        self.take_infill(i, token, chance, fill);
        Ok(())
    }

    fn is_end(&self, token: i32) -> bool {
        self.words.ends(token) || self.form.ends().contains(&token)
    }

    /// A token becomes part of a candidate, which may end it.
    fn take_infill(&self, i: usize, token: i32, chance: f32, fill: &mut Fill<'_>) {
        let most = fill.request.max_tokens as usize;
        let candidate = &mut fill.candidates[i];
        if self.is_end(token) {
            candidate.kept = Some(candidate.watch.end(false));
            return;
        }
        candidate.tokens.push(token);
        candidate.odds.push(chance);
        let bytes = self.words.bytes(token);
        let held = candidate.held.len().min(bytes.len());
        candidate.held.drain(..held);
        let text = candidate.pieces.push(&bytes[held..]);
        candidate.kept = candidate.watch.push(&text);
        if candidate.kept.is_none() && candidate.tokens.len() >= most {
            candidate.kept = Some(candidate.watch.end(true));
        }
    }

    /// Gives free sequences to the likeliest forks.
    fn fork(&mut self, fill: &mut Fill<'_>) -> Result<(), DecodeError> {
        let first = &fill.candidates[0];
        if first.kept.is_some() && first.likelihood() > CERTAIN + curious(fill.request) {
            fill.forks.clear();
            fill.candidates.iter_mut().filter(|one| one.kept.is_none()).for_each(|one| one.kept = Some(0));
        }
        while fill.candidates.len() < fill.most {
            let best = fill.forks.iter().enumerate().max_by(|a, b| a.1.likelihood().total_cmp(&b.1.likelihood()));
            let Some((at, _)) = best else { break };
            let fork = fill.forks.swap_remove(at);
            let seq = PROMPT + 1 + fill.candidates.len() as i32;
            let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
            // The token that forks is not evaluated yet; those before it are.
            context.share(fork.seq, seq, fill.tokens.len() + fork.tokens.len() - 1);
            fill.candidates.push(Candidate {
                seq,
                tokens: Vec::new(),
                odds: Vec::new(),
                pieces: Pieces::default(),
                watch: fill.fresh.clone(),
                held: fill.prompt.held.clone().into_bytes(),
                kept: None,
            });
            let i = fill.candidates.len() - 1;
            for (&token, &chance) in fork.tokens.iter().zip(&fork.odds) {
                self.take_infill(i, token, chance, fill);
            }
            fill.stats.generated_tokens += 1;
            if fill.candidates[i].watch.text().trim().is_empty() && fill.candidates[i].kept.is_some() {
                // An empty line is no alternative; its sequence is free again.
                fill.candidates.pop();
            }
        }
        Ok(())
    }
}

/// [`CURIOUS`] if more than the best text is asked for.
fn curious(request: &InfillRequest) -> f32 {
    if request.alternatives > 1 { CURIOUS } else { 0.0 }
}

/// Ends candidates that a finished one is far ahead of.
fn prune(candidates: &mut [Candidate], far: f32) {
    let best = candidates.iter().filter(|one| one.kept.is_some()).map(Candidate::likelihood).reduce(f32::max);
    let Some(best) = best else { return };
    for one in candidates.iter_mut().filter(|one| one.kept.is_none() && one.likelihood() < best - far) {
        one.kept = Some(0);
    }
}

/// The row that evaluates a candidate's last token.
fn last_row(candidate: &Candidate, prompt: usize) -> Option<Row> {
    let token = *candidate.tokens.last()?;
    Some(Row { token, pos: prompt + candidate.tokens.len() - 1, seq: candidate.seq, output: true })
}
