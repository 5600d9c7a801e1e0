//! Evaluating a prompt and decoding an answer: the loop everything else serves.

use std::time::Instant;

use super::choose::Chooser;
use super::context::CHAT;
use super::prompt::Prompt;
use super::{DecodeError, EngineError, Queue, Worker};
use crate::chat::{Role, compact};
use crate::crash::{Doing, Step};
use crate::edits::grammar::Constraint;
use crate::engine::pieces::Pieces;
use crate::engine::speculate::{Draft, Speculator};
use crate::engine::start::Sink;
use crate::engine::{ChatRequest, CompleteRequest, Event, Job, Outcome, Stats, Stop, reuse};

/// A finished text.
pub(super) struct Written {
    pub(super) text: String,
    pub(super) stop: Stop,
    pub(super) stats: Stats,
}

impl From<Written> for Outcome {
    fn from(written: Written) -> Self {
        Self::Generated { text: written.text, stop: written.stop, stats: written.stats }
    }
}

/// One generation under way.
struct Run<'a> {
    job: &'a Job,
    request: &'a ChatRequest,
    started: Instant,
    first: Option<Instant>,
    prompt: Prompt,
    pieces: Pieces,
    chooser: Chooser,
    speculator: Option<Speculator>,
    /// What the answer may look like, with the answer so far.
    constraint: Option<Constraint>,
    /// Tokens chosen so far.
    generated: Vec<i32>,
    text: String,
    stats: Stats,
    /// Completions asked for meanwhile are served between tokens, if events get through.
    queue: Option<&'a mut Queue>,
}

impl Worker {
    pub(super) fn chat(
        &mut self,
        job: &Job,
        request: &ChatRequest,
        queue: &mut Queue,
        sink: &mut Sink,
    ) -> Result<Outcome, EngineError> {
        let n_ctx = self.context()?.n_ctx();
        let wanted = request.max_tokens.map_or(n_ctx / 4, |most| most as usize);
        let room = n_ctx - wanted.clamp(1, n_ctx / 2);
        let prompt = self.prompt(job, request, room, sink)?;
        Ok(self.generate(job, request, prompt, Some(queue), sink)?.into())
    }

    pub(super) fn complete(
        &mut self,
        job: &Job,
        request: &CompleteRequest,
        queue: &mut Queue,
        sink: &mut Sink,
    ) -> Result<Outcome, EngineError> {
        let n_ctx = self.context()?.n_ctx();
        let mut tokens = self.words.tokens(&request.prefix, true);
        let room = n_ctx.saturating_sub((request.max_tokens as usize).clamp(1, n_ctx / 2));
        // What stands nearest before the cursor matters most.
        tokens.drain(..tokens.len().saturating_sub(room));
        if tokens.is_empty() {
            return Err(EngineError::Empty);
        }
        let request = ChatRequest {
            raw: true,
            sampling: request.sampling.clone(),
            max_tokens: Some(request.max_tokens),
            stop: request.stop.clone(),
            ignore_end: request.ignore_end,
            ..ChatRequest::default()
        };
        Ok(self.generate(job, &request, Prompt { tokens, turns: Vec::new(), dropped: 0 }, Some(queue), sink)?.into())
    }

    /// Evaluates the prompt, then decodes until something ends it. The cache holds what was evaluated, also after an
    /// error or a cancellation.
    pub(super) fn generate(
        &mut self,
        job: &Job,
        request: &ChatRequest,
        prompt: Prompt,
        queue: Option<&mut Queue>,
        sink: &mut Sink,
    ) -> Result<Written, EngineError> {
        let mut run = Run {
            job,
            request,
            started: Instant::now(),
            first: None,
            pieces: Pieces::new(request.stop.iter().cloned().chain(self.stops(request))),
            chooser: Chooser::new(&request.sampling, &self.model, &prompt.tokens),
            speculator: self.spec.speculate.then(|| Speculator::new(&prompt.tokens)),
            constraint: self.constraint(request),
            stats: Stats { prompt_tokens: prompt.tokens.len() as u32, ..Stats::default() },
            prompt,
            generated: Vec::new(),
            text: String::new(),
            queue,
        };
        if !request.raw && self.template.opens_thinking() && begun(request).is_none() {
            // The prompt ends inside the block, so the answer would have only its end.
            run.tell("<think>\n".to_owned(), sink);
            if let Some(constraint) = &mut run.constraint {
                constraint.push(b"<think>\n");
            }
        }
        let tokens = run.prompt.tokens.clone();
        let stop = match self.prefill(&tokens, &mut run, sink)? {
            Some(row) => self.decode(row, &mut run, sink)?,
            None => Stop::Cancelled,
        };
        let rest = run.pieces.finish();
        run.tell(rest, sink);
        let mut stats = run.stats;
        stats.generated_tokens = run.generated.len() as u32;
        stats.context_tokens = self.cached.len() as u32;
        if let Some(first) = run.first {
            stats.first_token_ms = (first - run.started).as_secs_f64() * 1e3;
            stats.decode_tps = rate(run.generated.len().saturating_sub(1), first.elapsed().as_secs_f64());
        }
        Ok(Written { text: run.text, stop, stats })
    }

    fn constraint(&self, request: &ChatRequest) -> Option<Constraint> {
        let constraint = request.constraint.clone().filter(|constraint| !constraint.is_empty())?;
        let thinks = self.template.opens_thinking() || self.words.has("<think>");
        let mut constraint = if thinks { constraint.thinking() } else { constraint };
        // a file that was changed since has another form
        if let Some(begun) = begun(request).filter(|begun| constraint.allows(begun.as_bytes())) {
            constraint.push(begun.as_bytes());
        }
        Some(constraint)
    }

    /// The template's marks that must be recognised by their spelling, as the vocabulary has no token for them. One that
    /// has a token ends an answer by that token alone: spelt out, it is what an answer about it says.
    pub(super) fn stops(&self, request: &ChatRequest) -> Vec<String> {
        let built_in = if request.raw { &[] } else { self.template.stops() };
        built_in.iter().filter(|stop| self.words.id(stop).is_none()).map(|&stop| stop.to_owned()).collect()
    }

    /// Whether an answer to the request ends with this token.
    pub(super) fn ends(&self, token: i32, request: &ChatRequest) -> bool {
        self.words.ends(token) || (!request.raw && self.marks.contains(&token))
    }

    /// Brings `tokens` into the cache, reusing what is there; gives the row of the last token's logits, or `None` when
    /// it was cancelled.
    fn prefill(&mut self, tokens: &[i32], run: &mut Run<'_>, sink: &mut Sink) -> Result<Option<usize>, EngineError> {
        let _step = Doing::now(Step::Reading);
        let started = Instant::now();
        let mut at = self.reuse(tokens)?;
        let todo = tokens.len() - at;
        let mut row = 0;
        while at < tokens.len() {
            let done = todo - (tokens.len() - at);
            sink(Event::Prefill { job: run.job.id, done: done as u32, total: todo as u32 });
            self.serve(run, sink)?;
            let in_the_way = !self.filled.is_empty();
            let context = self.context()?;
            let chunk = &tokens[at..tokens.len().min(at + context.n_batch())];
            match context.decode(chunk, at, CHAT, 1, &run.job.cancel) {
                Ok(()) => {}
                Err(DecodeError::Cancelled) => return Ok(None),
                Err(DecodeError::Full) if in_the_way => {
                    self.forget_infill();
                    continue;
                }
                Err(DecodeError::Full) => {
                    return Err(EngineError::TooLong { tokens: tokens.len(), n_ctx: context.n_ctx() });
                }
                Err(DecodeError::Broken(code)) => return Err(self.broken(code)),
            }
            self.cached.extend_from_slice(chunk);
            row = chunk.len() - 1;
            at += chunk.len();
            run.stats.prefilled_tokens += chunk.len() as u32;
        }
        if run.first.is_none() {
            run.stats.prefill_tps = rate(todo, started.elapsed().as_secs_f64());
        }
        Ok(Some(row))
    }

    /// Makes the cache hold the longest possible beginning of `tokens`; gives its length.
    fn reuse(&mut self, tokens: &[i32]) -> Result<usize, EngineError> {
        let can_shift = self.context()?.can_shift();
        let plan = reuse::plan(&self.cached, tokens, can_shift);
        let context = self.context()?;
        let mut whole = true;
        for one in &plan.moves {
            let (from, to) = one.remove;
            whole &= context.remove(CHAT, from, Some(to));
            if whole {
                context.shift(CHAT, to, to + one.len, to - from);
            }
        }
        // Cells behind the last move keep their old places, so they must go before anything is written there.
        whole &= context.remove(CHAT, plan.kept, None);
        if !whole {
            // A partial removal may be refused; a whole sequence never is.
            context.remove(CHAT, 0, None);
            self.cached.clear();
            return Ok(0);
        }
        self.cached.clear();
        self.cached.extend_from_slice(&tokens[..plan.kept]);
        Ok(plan.kept)
    }

    pub(super) fn broken(&mut self, code: i32) -> EngineError {
        // Nothing is known of the cells any more: the next job starts afresh.
        self.context = None;
        self.cached.clear();
        self.filled.clear();
        EngineError::Decode(code)
    }

    fn choose(&mut self, row: usize, run: &mut Run<'_>) -> Result<i32, EngineError> {
        let logits = self.context.as_ref().and_then(|context| context.logits(row)).ok_or(EngineError::Logits)?;
        let chosen = match &run.constraint {
            None => run.chooser.choose(logits),
            Some(constraint) => run.chooser.choose_among(logits, &mut |token| {
                let bytes = self.words.bytes(token);
                let ends = self.ends(token, run.request);
                if bytes.is_empty() || ends {
                    return ends && constraint.may_end();
                }
                constraint.allows(&bytes)
            }),
        };
        chosen.ok_or(EngineError::Logits)
    }

    fn decode(&mut self, row: usize, run: &mut Run<'_>, sink: &mut Sink) -> Result<Stop, EngineError> {
        let _step = Doing::now(Step::Writing);
        let mut next = self.choose(row, run)?;
        run.first = Some(Instant::now());
        loop {
            if let Some(stop) = self.take(next, run, sink) {
                return Ok(stop);
            }
            if run.job.cancel.is_cancelled() {
                return Ok(Stop::Cancelled);
            }
            self.serve(run, sink)?;
            let n_ctx = self.context()?.n_ctx();
            let room = n_ctx.saturating_sub(self.cached.len());
            let mut step = if room == 0 { Err(DecodeError::Full) } else { self.step(next, room, run)? };
            if room > 0 && matches!(step, Err(DecodeError::Full)) && !self.filled.is_empty() {
                // The completions stand where the answer must go.
                self.forget_infill();
                step = self.step(next, room, run)?;
            }
            match step {
                Ok(draft) => match self.verify(&draft, run, sink)? {
                    Ok(chosen) => next = chosen,
                    Err(stop) => return Ok(stop),
                },
                Err(DecodeError::Cancelled) => return Ok(Stop::Cancelled),
                Err(DecodeError::Full) => match self.make_room(run, sink)? {
                    Some(row) => next = self.choose(row, run)?,
                    None => return Ok(Stop::Context),
                },
                Err(DecodeError::Broken(code)) => return Err(self.broken(code)),
            }
        }
    }

    /// Completions that were asked for meanwhile; the chat's cells stay as they are.
    fn serve(&mut self, run: &mut Run<'_>, sink: &mut Sink) -> Result<(), EngineError> {
        let Some(queue) = &mut run.queue else { return Ok(()) };
        while let Some(job) = queue.infill() {
            let end = self.work(&job, queue, sink);
            sink(end);
            if self.context.is_none() {
                // What it broke was this answer's context too.
                return Err(EngineError::Logits);
            }
        }
        Ok(())
    }

    /// Evaluates the chosen token with a draft behind it.
    fn step(&mut self, next: i32, room: usize, run: &mut Run<'_>) -> Result<Result<Draft, DecodeError>, EngineError> {
        let left = run.limit().saturating_sub(run.generated.len());
        let forced = run.constraint.as_ref().and_then(Constraint::forced).and_then(|text| String::from_utf8(text).ok());
        let draft = match (&mut run.speculator, forced) {
            (None, _) => Draft::default(),
            (Some(_), Some(text)) => self.costs.certain(self.words.tokens(&text, false), (room - 1).min(left)),
            (Some(speculator), None) => speculator.propose(&self.costs, (room - 1).min(left)),
        };
        let mut tokens = vec![next];
        tokens.extend_from_slice(&draft.tokens);
        let at = self.cached.len();
        let started = Instant::now();
        let done = self.context()?.decode(&tokens, at, CHAT, tokens.len(), &run.job.cancel);
        if done.is_ok() {
            self.cached.push(next);
            self.costs.learn(tokens.len(), started.elapsed().as_secs_f64() * 1e3);
        }
        Ok(done.map(|()| draft))
    }

    /// Chooses at each place of the draft as if it had not been there; goes on as long as it agrees.
    fn verify(&mut self, draft: &Draft, run: &mut Run<'_>, sink: &mut Sink) -> Result<Result<i32, Stop>, EngineError> {
        let mut accepted = 0;
        let end = loop {
            let chosen = self.choose(accepted, run)?;
            if draft.tokens.get(accepted) != Some(&chosen) {
                break Ok(chosen);
            }
            accepted += 1;
            self.cached.push(chosen);
            if let Some(stop) = self.take(chosen, run, sink) {
                break Err(stop);
            }
        };
        run.stats.drafted_tokens += draft.tokens.len() as u32;
        run.stats.accepted_tokens += accepted as u32;
        if let Some(speculator) = &mut run.speculator {
            speculator.learn(draft, accepted);
        }
        if accepted < draft.tokens.len() {
            let kept = self.cached.len();
            if !self.context()?.remove(CHAT, kept, None) {
                run.speculator = None;
                let tokens = self.cached.clone();
                self.context()?.remove(CHAT, 0, None);
                self.cached.clear();
                if self.prefill(&tokens, run, sink)?.is_none() {
                    return Ok(Err(Stop::Cancelled));
                }
            }
        }
        Ok(end)
    }

    /// A token becomes part of the answer; says when it was the last.
    fn take(&mut self, token: i32, run: &mut Run<'_>, sink: &mut Sink) -> Option<Stop> {
        if !run.request.ignore_end && self.ends(token, run.request) {
            return Some(Stop::End);
        }
        run.generated.push(token);
        if let Some(speculator) = &mut run.speculator {
            speculator.push(token);
        }
        let bytes = self.words.bytes(token);
        if let Some(constraint) = &mut run.constraint {
            constraint.push(&bytes);
        }
        let text = run.pieces.push(&bytes);
        run.tell(text, sink);
        if run.pieces.stopped() {
            return Some(Stop::Text);
        }
        (run.generated.len() >= run.limit()).then_some(Stop::Length)
    }

    /// The context is full in the middle of an answer: older turns go, and the answer continues where it was.
    /// `None` when there is nothing left to give.
    fn make_room(&mut self, run: &mut Run<'_>, sink: &mut Sink) -> Result<Option<usize>, EngineError> {
        let n_ctx = self.context()?.n_ctx();
        let room = (n_ctx * 3 / 4).saturating_sub(run.generated.len());
        if run.request.raw || room == 0 {
            return Ok(None);
        }
        let fit = compact::fit(&run.prompt.turns, room, |turns| self.render(turns).map(|tokens| tokens.len()))?;
        if (fit.dropped == 0 && fit.earlier_lines == 0) || fit.trimmed_lines > 0 {
            return Ok(None);
        }
        let mut tokens = self.render(&fit.turns)?;
        tokens.extend_from_slice(&run.generated);
        run.prompt.dropped += fit.dropped;
        run.prompt.turns = fit.turns;
        let (turns, earlier_lines) = (run.prompt.dropped, fit.earlier_lines);
        sink(Event::Cut { job: run.job.id, turns, trimmed_lines: 0, earlier_lines, summary: None });
        self.prefill(&tokens, run, sink)
    }
}

impl Run<'_> {
    fn limit(&self) -> usize {
        self.request.max_tokens.map_or(usize::MAX, |most| most as usize)
    }

    fn tell(&mut self, text: String, sink: &mut Sink) {
        if !text.is_empty() {
            self.text.push_str(&text);
            sink(Event::Piece { job: self.job.id, text });
        }
    }
}

/// What stands of the answer already.
fn begun(request: &ChatRequest) -> Option<&str> {
    let last = request.turns.last().filter(|turn| !request.raw && turn.role == Role::Assistant);
    last.map(|turn| turn.content.as_str())
}

fn rate(tokens: usize, seconds: f64) -> f64 {
    if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 }
}
