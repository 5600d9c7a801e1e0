//! The child's side: window by window, the base first, then each of the others against it.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Kind, Tally};
use crate::budget::probe::Probe;
use crate::quantize::child::tell;
use crate::quantize::session::{self, Session, Setup};

/// A text with what it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Models to compare.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) base: PathBuf,
    pub(crate) quants: Vec<PathBuf>,
    pub(crate) texts: Vec<Text>,
    pub(crate) window: u32,
    /// Windows of each kind at most; 0 for all.
    pub(crate) chunks: u32,
    pub(crate) threads: i32,
}

/// A model to time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RateJob {
    pub(crate) model: PathBuf,
    pub(crate) threads: i32,
}

/// Characters of a document from which a hole is cut, and how large holes are, at most.
const DOCUMENT: usize = 1200;
const HOLE: usize = 160;

/// Compares; tells how many windows are done, and in the end the tallies.
pub(crate) fn compare(job: &Job) -> Result<bool, String> {
    session::begin();
    let setup = Setup { window: job.window, threads: job.threads, watch: None, repack: true };
    let mut base = Session::open(&job.base, &setup)?;
    let mut others = Vec::new();
    for path in &job.quants {
        let other = Session::open(path, &setup)?;
        if other.vocabulary != base.vocabulary {
            let (theirs, ours) = (other.vocabulary, base.vocabulary);
            return Err(format!("`{}` has {theirs} tokens, and the base {ours}", path.display()));
        }
        others.push(other);
    }
    let mut windows: Vec<(Kind, Vec<i32>)> = Vec::new();
    for kind in Kind::ALL {
        let tokens = tokens_of(job, kind, &base)?;
        let mut all = tokens.chunks_exact(job.window as usize).map(|window| (kind, window.to_vec()));
        match job.chunks {
            0 => windows.extend(all),
            most => windows.extend(all.by_ref().take(most as usize)),
        }
    }
    if windows.is_empty() {
        return Err(format!("the texts are shorter than a window of {} tokens", job.window));
    }
    let bos = base.bos();
    let mut tallies = vec![vec![Tally::default(); Kind::ALL.len()]; 1 + others.len()];
    let all = windows.len();
    for (done, (kind, mut window)) in windows.into_iter().enumerate() {
        if let (Some(bos), Some(first)) = (bos, window.first_mut()) {
            *first = bos;
        }
        let first = window.len() / 2;
        base.evaluate(&window, 0, first)?;
        for at in 0..=others.len() {
            if let Some(other) = at.checked_sub(1).and_then(|at| others.get_mut(at)) {
                other.evaluate(&window, 0, first)?;
            }
            let model = at.checked_sub(1).and_then(|at| others.get(at));
            let scored = score(&base, model, &window, first, job.threads);
            if let Some(tally) = tallies.get_mut(at).and_then(|kinds| kinds.get_mut(kind as usize)) {
                tally.add(&scored);
            }
        }
        tell(&json!({"done": done + 1, "all": all}));
    }
    tell(&json!({"tallies": tallies, "parameters": base.parameters()}));
    Ok(true)
}

/// A model's logits, the base's unless it is the base, and the token that came.
type Row<'a> = (&'a [f32], Option<&'a [f32]>, usize);

/// Scores the tokens behind `first`, with all threads.
fn score(base: &Session, model: Option<&Session>, window: &[i32], first: usize, threads: i32) -> Tally {
    let rows: Vec<Row<'_>> = (first..window.len().saturating_sub(1))
        .filter_map(|at| {
            let token = usize::try_from(*window.get(at + 1)?).ok()?;
            let row = base.logits(at)?;
            Some(match model {
                Some(model) => (model.logits(at)?, Some(row), token),
                None => (row, None, token),
            })
        })
        .collect();
    let share = rows.len().div_ceil(threads.max(1) as usize).max(1);
    let mut all = Tally::default();
    std::thread::scope(|scope| {
        let parts: Vec<_> = rows
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let mut tally = Tally::default();
                    part.iter().for_each(|&(row, base, token)| tally.take(row, base, token));
                    tally
                })
            })
            .collect();
        for part in parts {
            if let Ok(tally) = part.join() {
                all.add(&tally);
            }
        }
    });
    all
}

fn tokens_of(job: &Job, kind: Kind, model: &Session) -> Result<Vec<i32>, String> {
    if kind == Kind::Fim {
        return holes(job, model);
    }
    let texts = job.texts.iter().filter(|text| text.kind == kind);
    let mut tokens = Vec::new();
    for text in texts {
        tokens.extend(model.tokens(&text.text, tokens.is_empty(), false)?);
    }
    Ok(tokens)
}

/// Pieces of the code with a line or some cut out and put behind, in the model's own form; nothing for a model without one.
fn holes(job: &Job, model: &Session) -> Result<Vec<i32>, String> {
    let Some([pre, suf, mid]) = model.fim() else { return Ok(Vec::new()) };
    let mut tokens = Vec::new();
    for text in job.texts.iter().filter(|text| text.kind == Kind::Code) {
        let chars: Vec<char> = text.text.chars().collect();
        for (number, piece) in chars.chunks(DOCUMENT).enumerate() {
            let from = piece.len() * (3 + number % 4) / 10;
            let to = (from + HOLE / (1 + number % 3)).min(piece.len());
            let part =
                |range: std::ops::Range<usize>| -> String { piece.get(range).unwrap_or_default().iter().collect() };
            for (mark, part) in [(pre, part(0..from)), (suf, part(to..piece.len())), (mid, part(from..to))] {
                tokens.push(mark);
                tokens.extend(model.tokens(&part, false, false)?);
            }
        }
    }
    Ok(tokens)
}

/// Prefill and decode rates in tokens a second, and the process's peak of memory.
pub(crate) fn rate(job: &RateJob) -> Result<bool, String> {
    const PROMPT: usize = 512;
    const ANSWER: usize = 32;
    session::begin();
    let setup = Setup { window: (PROMPT + ANSWER) as u32, threads: job.threads, watch: None, repack: true };
    let mut model = Session::open(&job.model, &setup)?;
    let tokens: Vec<i32> = (0..PROMPT).map(|n| (n * 7919 % model.vocabulary.max(1)) as i32).collect();
    // The first pass pages the weights in.
    let mut rates = [0.0; 2];
    for _ in 0..2 {
        let start = Instant::now();
        model.evaluate(&tokens, 0, PROMPT - 1)?;
        rates[0] = PROMPT as f64 / start.elapsed().as_secs_f64();
    }
    let start = Instant::now();
    for at in 0..ANSWER {
        model.evaluate(&[tokens.get(at).copied().unwrap_or_default()], PROMPT + at, 0)?;
    }
    rates[1] = ANSWER as f64 / start.elapsed().as_secs_f64();
    let peak = Probe::new().resident().peak;
    tell(&json!({"prefill_tps": rates[0], "decode_tps": rates[1], "peak_rss": peak}));
    Ok(true)
}
