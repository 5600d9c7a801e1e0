//! What is sent: turns rendered by the model's template, as many as fit, with a summary of the rest where asked.

use super::{EngineError, Worker};
use crate::chat::compact::{self, Fit};
use crate::chat::{Message, Role};
use crate::engine::start::Sink;
use crate::engine::{ChatRequest, Event, Job, JobId, Overflow, Sampling};

/// A prompt that fits.
pub(super) struct Prompt {
    /// Its tokens.
    pub(super) tokens: Vec<i32>,
    /// The turns it was made of; empty for plain text.
    pub(super) turns: Vec<Message>,
    /// How many turns of the request were left out.
    pub(super) dropped: usize,
}

/// How long a summary may get, in tokens.
const SUMMARY_TOKENS: u32 = 160;

impl Worker {
    /// Tokens of a rendered conversation, with the opening of an answer; where the last turn is the model's own, with that
    /// answer as far as it stands.
    pub(super) fn render(&self, turns: &[Message]) -> Result<Vec<i32>, EngineError> {
        let mut safe: Vec<Message> =
            turns.iter().map(|turn| Message::new(turn.role, self.words.defuse(&turn.content))).collect();
        let begun = safe.pop_if(|turn| turn.role == Role::Assistant).map(|turn| turn.content).unwrap_or_default();
        let text = self
            .template
            .render(&safe, self.words.bos(), self.words.eos(), true)
            .map_err(|error| EngineError::Template(error.to_string()))?;
        // the template has opened the thinking already
        let begun = if self.template.opens_thinking() { begun.trim_start_matches("<think>\n") } else { &begun };
        Ok(self.words.prompt(&(text + begun)))
    }

    /// The prompt of a request. `room` is how many tokens it may take; what must go is told as [`Event::Cut`].
    pub(super) fn prompt(
        &mut self,
        job: &Job,
        request: &ChatRequest,
        room: usize,
        sink: &mut Sink,
    ) -> Result<Prompt, EngineError> {
        if request.turns.iter().all(|turn| turn.content.is_empty()) {
            return Err(EngineError::Empty);
        }
        let mut fit = if request.raw {
            self.fit_raw(&request.turns, room)?
        } else {
            compact::fit(&request.turns, room, |turns| self.render(turns).map(|tokens| tokens.len()))?
        };
        if fit.is_cut() {
            let summary = self.summary(job, request, &fit, sink)?;
            if let Some(summary) = &summary {
                self.put_summary(&mut fit, summary, room)?;
            }
            let Fit { dropped: turns, trimmed_lines, earlier_lines, .. } = fit;
            sink(Event::Cut { job: job.id, turns, trimmed_lines, earlier_lines, summary });
        }
        if let Some(turn) = fit.turns.last() {
            tracing::trace!(turns = fit.turns.len(), "asked: {}", turn.content);
        }
        let tokens = if request.raw { self.raw(&fit.turns) } else { self.render(&fit.turns)? };
        match tokens.len() {
            0 => Err(EngineError::Empty),
            // A system message may be longer than any context.
            n if n > room => Err(EngineError::TooLong { tokens: n, n_ctx: room }),
            _ => Ok(Prompt { tokens, turns: fit.turns, dropped: fit.dropped }),
        }
    }

    fn raw(&self, turns: &[Message]) -> Vec<i32> {
        turns.last().map(|turn| self.words.prompt(&turn.content)).unwrap_or_default()
    }

    fn fit_raw(&self, turns: &[Message], room: usize) -> Result<Fit, EngineError> {
        let last = turns.last().cloned().into_iter().collect::<Vec<_>>();
        compact::fit(&last, room, |turns| Ok(self.raw(turns).len()))
    }

    /// Lets the model write down what is left out. The old turns are still in the cache, so this costs the answer only.
    fn summary(
        &mut self,
        job: &Job,
        request: &ChatRequest,
        fit: &Fit,
        sink: &mut Sink,
    ) -> Result<Option<String>, EngineError> {
        if request.overflow != Overflow::Summarise || fit.dropped == 0 || request.raw {
            return Ok(None);
        }
        let system = usize::from(request.turns.first().is_some_and(|turn| turn.role == Role::System));
        let ask = "Summarise our conversation so far in at most 100 words: what was asked, what was decided, names of \
                   files and functions, what is still open.";
        let mut turns = request.turns[..system + fit.dropped].to_vec();
        turns.push(Message::new(Role::User, ask));
        let n_ctx = self.context()?.n_ctx();
        let room = n_ctx.saturating_sub(SUMMARY_TOKENS as usize);
        let turns = compact::fit(&turns, room, |turns| self.render(turns).map(|tokens| tokens.len()))?.turns;
        let tokens = self.render(&turns)?;
        let dropped = &request.turns[system..system + fit.dropped];
        let earlier = request.turns[..system].first().and_then(|turn| compact::parted(&turn.content).1);
        if tokens.len() > room {
            return Ok(Some(compact::outline(earlier, dropped)));
        }
        let quiet = ChatRequest {
            turns: Vec::new(),
            max_tokens: Some(SUMMARY_TOKENS),
            sampling: Sampling::default(),
            ..request.clone()
        };
        let mut no_pieces: Sink = Box::new(|_| ());
        let silent = Job { id: JobId(u64::MAX), cancel: job.cancel.clone(), work: crate::engine::Work::Release };
        let written =
            self.generate(&silent, &quiet, Prompt { tokens, turns: Vec::new(), dropped: 0 }, None, &mut no_pieces)?;
        sink(Event::Prefill { job: job.id, done: 0, total: 0 });
        let summary = crate::chat::thinking::strip(&written.text).trim().to_owned();
        // A small model may have nothing to say; what was asked is then better than nothing.
        Ok(Some(if summary.is_empty() { compact::outline(earlier, dropped) } else { summary }))
    }

    /// Puts the summary before what stays, which must then fit again.
    fn put_summary(&self, fit: &mut Fit, summary: &str, room: usize) -> Result<(), EngineError> {
        let with = with_summary(&fit.turns, summary);
        let again = compact::fit(&with, room, |turns| self.render(turns).map(|tokens| tokens.len()))?;
        if self.render(&again.turns)?.len() > room {
            // Better without it than not at all.
            return Ok(());
        }
        fit.turns = again.turns;
        fit.dropped += again.dropped;
        fit.trimmed_lines += again.trimmed_lines;
        fit.earlier_lines += again.earlier_lines;
        Ok(())
    }
}

/// The turns with the summary in the system message, in place of an earlier one: the model has read that.
fn with_summary(turns: &[Message], summary: &str) -> Vec<Message> {
    let (system, rest) = match turns.split_first() {
        Some((first, rest)) if first.role == Role::System => (compact::parted(&first.content).0, rest),
        _ => (None, turns),
    };
    let system = compact::with_summary(system, Some(summary)).map(|text| Message::new(Role::System, text));
    system.into_iter().chain(rest.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_takes_the_place_of_the_one_before_it() {
        let asked = Message::new(Role::User, "and now?");
        let with = |system: Option<&str>| {
            let turns: Vec<_> =
                system.map(|text| Message::new(Role::System, text)).into_iter().chain([asked.clone()]).collect();
            let turns = with_summary(&turns, "the second");
            assert_eq!((turns.len(), &turns[1]), (2, &asked));
            turns[0].content.clone()
        };
        let summary = "Summary of the conversation so far:\nthe second";
        assert_eq!(with(None), summary);
        assert_eq!(with(Some("be brief")), format!("be brief\n\n{summary}"));
        assert_eq!(with(Some("Summary of the conversation so far:\nthe first")), summary);
        let both = with(Some("be brief\n\nSummary of the conversation so far:\nthe first\nin two lines"));
        assert_eq!(both, format!("be brief\n\n{summary}"));
    }
}
