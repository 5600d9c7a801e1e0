//! The prompt of completions in its cells: what is there already stays, and text behind the cursor moves.

use std::time::Instant;

use super::super::context::Context;
use super::super::{DecodeError, Worker};
use super::{Fill, PROMPT};
use crate::engine::reuse;

/// A suffix shorter than this is evaluated anew.
const LEAST_MOVE: usize = 24;
/// Tokens typed since a suffix was evaluated after which it is evaluated anew.
const STALE: usize = 64;

impl Worker {
    /// Brings the prompt into its sequence; gives the row of its last logits.
    pub(super) fn prompt_cells(&mut self, fill: &mut Fill<'_>) -> Result<usize, DecodeError> {
        let started = Instant::now();
        let tokens = std::mem::take(&mut fill.tokens);
        let moved = self.move_suffix(&tokens, fill);
        let done = moved.and_then(|()| {
            let kept = reuse::plan(&self.filled, &tokens, false).kept;
            self.evaluate_prompt(&tokens, kept, fill)
        });
        fill.tokens = tokens;
        let seconds = started.elapsed().as_secs_f64();
        fill.stats.prefill_tps = if seconds > 0.0 { f64::from(fill.stats.prefilled_tokens) / seconds } else { 0.0 };
        done
    }

    /// Evaluates the tokens from `from` on, where those before are in the cells already; gives the last one's row.
    fn evaluate_prompt(&mut self, tokens: &[i32], from: usize, fill: &mut Fill<'_>) -> Result<usize, DecodeError> {
        let mut at = from;
        let Ok(context) = self.context() else { return Err(DecodeError::Broken(0)) };
        if !context.remove(PROMPT, at, None) {
            context.remove(PROMPT, 0, None);
            at = 0;
        }
        self.filled.truncate(at);
        let mut row = 0;
        while at < tokens.len() {
            let Ok(context) = self.context() else { return Err(DecodeError::Broken(0)) };
            let chunk = &tokens[at..tokens.len().min(at + context.n_batch())];
            context.decode(chunk, at, PROMPT, 1, &fill.job.cancel)?;
            self.filled.extend_from_slice(chunk);
            fill.stats.prefilled_tokens += chunk.len() as u32;
            row = chunk.len() - 1;
            at += chunk.len();
        }
        Ok(row)
    }

    /// Keeps the cells of the text behind the cursor when something was typed before it.
    ///
    /// In the order prefix, suffix, middle, every key moves the suffix, and evaluating it again costs more than all the
    /// rest. Its cells are moved instead. They were made from a prefix that lacks what was typed since, which changes
    /// them little; after [`STALE`] tokens they are made anew.
    fn move_suffix(&mut self, tokens: &[i32], fill: &mut Fill<'_>) -> Result<(), DecodeError> {
        let (old, new) = (self.filled.len(), tokens.len());
        let front = reuse::plan(&self.filled, tokens, false).kept;
        let back = self.filled.iter().rev().zip(tokens.iter().rev()).take_while(|(a, b)| a == b).count();
        let back = back.min(old.min(new).saturating_sub(front));
        let typed = new - front - back.min(new - front);
        let can_shift = self.context.as_ref().is_some_and(Context::can_shift);
        self.stale += typed;
        if !self.form.fills() || !can_shift || back < LEAST_MOVE || self.stale > STALE {
            self.stale = 0;
            return Ok(());
        }
        let Some(context) = &mut self.context else { return Ok(()) };
        let aside = PROMPT + 1;
        context.remove(aside, 0, None);
        // The last token is evaluated again, for its logits.
        context.share_part(PROMPT, aside, old - back..old - 1);
        context.remove(PROMPT, front, None);
        context.shift_all(aside, new as isize - old as isize);
        self.filled.truncate(front);
        if typed > 0
            && let Err(error) = self.evaluate_prompt(&tokens[..new - back], front, fill)
        {
            if let Some(context) = &mut self.context {
                context.remove(aside, 0, None);
            }
            return Err(error);
        }
        let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
        context.share_part(aside, PROMPT, new - back..new - 1);
        context.remove(aside, 0, None);
        self.filled.extend_from_slice(&tokens[new - back..new - 1]);
        Ok(())
    }
}
