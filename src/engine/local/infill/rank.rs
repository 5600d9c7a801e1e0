//! Which of the texts found are offered, and in what order.

use super::super::context::{MAX_OUTPUTS, Row};
use super::super::{DecodeError, Worker};
use super::odds::Odds;
use super::{Fill, PROMPT};
use crate::fim::syntax::{Judge, Verdict};
use crate::fim::trim;

// Chosen as the numbers of the search are.
/// A text this much less likely than the best is not scored.
const OUT_OF_REACH: f32 = 2.5;
/// What log P(candidate) counts for beside log P(suffix | candidate).
const OWN_WEIGHT: f32 = 1.5;
/// Tokens of the suffix that are scored; more of them choose no better.
pub(super) const PROBE_TOKENS: usize = 8;

/// A text that passed all rules.
pub(super) struct Finished {
    pub text: String,
    seq: i32,
    tokens: Vec<i32>,
    verdict: Verdict,
    pub score: f32,
}

impl Worker {
    /// What passes the rules, ranked.
    pub(super) fn finish(&mut self, fill: &mut Fill<'_>) -> Result<Vec<Finished>, DecodeError> {
        let site = &fill.request.site;
        let mut judge = Judge::new(site);
        let mut finished: Vec<Finished> = Vec::new();
        for candidate in &fill.candidates {
            let kept = candidate.kept.unwrap_or(0);
            let text = candidate.watch.text().get(..kept).unwrap_or_default();
            let Some(text) = trim::finish(text, site).and_then(|text| judge.shorten(&text)) else { continue };
            if finished.iter().any(|other| other.text == text) {
                continue;
            }
            finished.push(Finished {
                verdict: judge.verdict(&text),
                text,
                seq: candidate.seq,
                tokens: candidate.tokens.clone(),
                score: candidate.likelihood(),
            });
        }
        // What the grammar has no doubt about goes before what it has.
        let better = |a: &Finished, b: &Finished| b.verdict.cmp(&a.verdict).then(b.score.total_cmp(&a.score));
        finished.sort_by(better);
        let best = finished.first().map_or((Verdict::Fine, 0.0), |best| (best.verdict, best.score));
        let close = finished.partition_point(|one| one.verdict == best.0 && one.score > best.1 - OUT_OF_REACH);
        if close > 1 && !self.form.fills() && !fill.prompt.probe.is_empty() {
            let (close, rest) = finished.split_at_mut(close);
            let least = self.score(close, fill)?;
            rest.iter_mut().for_each(|one| one.score = OWN_WEIGHT * one.score + least);
            finished.sort_by(better);
        }
        // Scores say the order.
        let mut most = f32::INFINITY;
        for one in &mut finished {
            most = most.min(one.score);
            one.score = most;
        }
        Ok(finished)
    }

    /// Scores each text by its own likelihood and that of the suffix behind it; gives the lowest log P of a suffix.
    fn score(&mut self, texts: &mut [Finished], fill: &mut Fill<'_>) -> Result<f32, DecodeError> {
        let prompt = fill.tokens.len();
        // Rows to evaluate, and for each the text and the token whose odds it gives.
        let (mut rows, mut asked) = (Vec::new(), Vec::new());
        for (which, one) in texts.iter_mut().enumerate() {
            let whole = format!("{}{}", fill.prompt.held, one.text);
            let (kept, bytes) = self.covered(&one.tokens, whole.as_bytes());
            let candidate = fill.candidates.iter().find(|candidate| candidate.seq == one.seq);
            one.score = OWN_WEIGHT * candidate.map_or(0.0, |candidate| candidate.odds[..kept].iter().sum());
            // What the text has beyond whole tokens is scored together with the suffix.
            let rest = format!("{}{}", String::from_utf8_lossy(&whole.as_bytes()[bytes..]), fill.prompt.probe);
            let mut rest = self.words.tokens(&rest, false);
            rest.truncate(PROBE_TOKENS);
            // The last token before it is evaluated again: its logits are gone.
            let from = prompt + kept - 1;
            let before = if kept > 0 { one.tokens[kept - 1] } else { fill.tokens[prompt - 1] };
            let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
            context.remove(one.seq, from, None);
            let fed = std::iter::once(before).chain(rest.iter().copied());
            for (i, (token, &target)) in fed.zip(&rest).enumerate() {
                rows.push(Row { token, pos: from + i, seq: one.seq, output: true });
                asked.push((which, target));
            }
        }
        let mut suffixes = vec![0.0; texts.len()];
        let Some(context) = &mut self.context else { return Err(DecodeError::Broken(0)) };
        let most = MAX_OUTPUTS.min(context.n_batch());
        for (rows, asked) in rows.chunks(most).zip(asked.chunks(most)) {
            context.evaluate(rows.iter().copied(), &fill.job.cancel)?;
            fill.stats.generated_tokens += rows.len() as u32;
            for (row, &(which, target)) in asked.iter().enumerate() {
                suffixes[which] += Odds::new(context.logits(row).ok_or(DecodeError::Broken(0))?).of(target);
            }
        }
        texts.iter_mut().zip(&suffixes).for_each(|(one, suffix)| one.score += suffix);
        Ok(suffixes.into_iter().fold(0.0, f32::min))
    }

    /// How many of the tokens spell the beginning of `text`, and how many bytes of it.
    fn covered(&self, tokens: &[i32], text: &[u8]) -> (usize, usize) {
        let mut bytes = 0;
        for (i, &token) in tokens.iter().enumerate() {
            let piece = self.words.bytes(token);
            if !text[bytes..].starts_with(&piece) {
                return (i, bytes);
            }
            bytes += piece.len();
        }
        (tokens.len(), bytes)
    }

    /// The best text's cells go to the prompt's sequence: if it is accepted, the next prompt begins with them.
    pub(super) fn keep_best(&mut self, fill: &Fill<'_>, finished: &[Finished]) {
        let Some(best) = finished.first().filter(|_| !self.form.fills()) else { return };
        let whole = format!("{}{}", fill.prompt.held, best.text);
        let (kept, _) = self.covered(&best.tokens, whole.as_bytes());
        // The last token of a text may not have been evaluated.
        let kept = kept.saturating_sub(1);
        if kept == 0 {
            return;
        }
        if let Some(context) = &mut self.context {
            let end = fill.tokens.len() + kept;
            context.share(best.seq, PROMPT, end);
            self.filled.truncate(fill.tokens.len());
            self.filled.extend_from_slice(&best.tokens[..kept]);
        }
    }
}
