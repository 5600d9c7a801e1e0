//! The child's side: window by window, the base first, then each of the others against it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::stats::Row;
use super::{Kind, Tally};
use crate::device::memory::Probe;
use crate::llama::child::tell;
use crate::llama::session::{self, Session, Setup};

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

/// Tokens computed at once; no slower than more, and their logits take less.
const STEP: u32 = 128;
/// Compares; tells how many windows are done, and in the end the tallies.
pub(crate) fn compare(job: &Job) -> Result<bool, String> {
    session::begin();
    let mut setup =
        Setup { window: job.window, step: STEP, threads: job.threads, watch: None, exact: false, repack: true };
    let mut base = Session::open(&job.base, &setup)?;
    let vocabulary = base.vocabulary;
    let most = if job.chunks == 0 { usize::MAX } else { job.chunks as usize };
    let mut windows = Vec::new();
    for kind in Kind::ALL {
        let all = if kind == Kind::Fim { holes(job, &base)? } else { halves(job, kind, &base)? };
        windows.extend(all.into_iter().take(most));
    }
    if windows.is_empty() {
        return Err(format!("the texts are shorter than a window of {} tokens", job.window));
    }
    let logits = job.window as usize * vocabulary * size_of::<f32>() * (1 + job.quants.len());
    let groups = session::side_by_side(job.threads, windows.len(), logits);
    setup.threads = (job.threads / groups as i32).max(1);
    base.use_threads(setup.threads);
    let mut first = vec![base];
    for path in &job.quants {
        let other = Session::open(path, &setup)?;
        if other.vocabulary != vocabulary {
            let theirs = other.vocabulary;
            return Err(format!("`{}` has {theirs} tokens, and the base {vocabulary}", path.display()));
        }
        first.push(other);
    }
    let parameters = first.first().map(Session::parameters);
    let mut readers: Vec<Vec<Session>> = Vec::new();
    for _ in 1..groups {
        readers.push(first.iter().map(|session| session.another(&setup)).collect::<Result<_, _>>()?);
    }
    readers.push(first);

    let (next, done, all) = (AtomicUsize::new(0), AtomicUsize::new(0), windows.len());
    let scored: Vec<OnceLock<Vec<Tally>>> = windows.iter().map(|_| OnceLock::new()).collect();
    let read = |mut sessions: Vec<Session>| -> Result<(), String> {
        while let Some((window, place)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            windows.get(at).zip(scored.get(at))
        } {
            // Only this reader took this window.
            let _ = place.set(one(&mut sessions, window, setup.threads)?);
            tell(&json!({"done": done.fetch_add(1, Ordering::Relaxed) + 1, "all": all}));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = readers.into_iter().map(|sessions| scope.spawn(|| read(sessions))).collect();
        running.into_iter().try_for_each(|reader| reader.join().map_err(|_| "a reader of windows failed".to_owned())?)
    })?;
    // Added in the windows' order, so that sums do not depend on who was first.
    let mut tallies = vec![vec![Tally::default(); Kind::ALL.len()]; 1 + job.quants.len()];
    for (window, scored) in windows.iter().zip(&scored) {
        for (kinds, more) in tallies.iter_mut().zip(scored.get().into_iter().flatten()) {
            if let Some(tally) = kinds.get_mut(window.kind as usize) {
                tally.add(more);
            }
        }
    }
    tell(&json!({"tallies": tallies, "parameters": parameters}));
    Ok(true)
}

/// Tokens that are evaluated together.
struct Window {
    kind: Kind,
    tokens: Vec<i32>,
    /// What follows this one is scored.
    first: usize,
}

/// Evaluates one window with each model, the base first, and scores its tokens.
fn one(sessions: &mut [Session], window: &Window, threads: i32) -> Result<Vec<Tally>, String> {
    let first = window.first;
    for session in sessions.iter_mut() {
        session.evaluate(&window.tokens, 0, first)?;
    }
    let mut rows = Vec::new();
    for (at, token) in (first..).zip(window.tokens.iter().skip(first + 1)) {
        let token = usize::try_from(*token).map_err(|error| error.to_string())?;
        let logits: Option<Vec<&[f32]>> = sessions.iter().map(|session| session.logits(at)).collect();
        rows.push((token, logits.ok_or("llama.cpp gave no logits")?));
    }
    let share = rows.len().div_ceil(threads.max(1) as usize).max(1);
    let mut tallies = vec![Tally::default(); sessions.len()];
    std::thread::scope(|scope| {
        let parts: Vec<_> = rows.chunks(share).map(|part| scope.spawn(|| score(part))).collect();
        for part in parts {
            let part = part.join().map_err(|_| "a thread that scores failed".to_owned())?;
            tallies.iter_mut().zip(&part).for_each(|(tally, more)| tally.add(more));
        }
        Ok(tallies)
    })
}

/// Scores tokens by each model's logits, the base's first.
fn score(rows: &[(usize, Vec<&[f32]>)]) -> Vec<Tally> {
    let models = rows.first().map_or(0, |(_, logits)| logits.len());
    let mut tallies = vec![Tally::default(); models];
    for (token, logits) in rows {
        let mut base = None;
        for (tally, logits) in tallies.iter_mut().zip(logits) {
            let row = Row::new(logits);
            tally.take(&row, base.as_ref(), *token);
            base.get_or_insert(row);
        }
    }
    tallies
}

/// Texts of a kind in windows, of which the second half is scored, each begun as the model wants it.
fn halves(job: &Job, kind: Kind, model: &Session) -> Result<Vec<Window>, String> {
    let mut all = Vec::new();
    for text in job.texts.iter().filter(|text| text.kind == kind) {
        all.extend(model.tokens(&text.text, all.is_empty(), false)?);
    }
    let window = |tokens: &[i32]| {
        let mut tokens = tokens.to_vec();
        if let (Some(bos), Some(first)) = (model.bos(), tokens.first_mut()) {
            *first = bos;
        }
        Window { kind, first: tokens.len() / 2, tokens }
    };
    Ok(all.chunks_exact(job.window as usize).map(window).collect())
}

/// Pieces of the code, a line or some cut out of each and put behind it in the model's own form; what was cut out is
/// scored. Nothing for a model without such a form; pieces that are longer than a window are left out.
fn holes(job: &Job, model: &Session) -> Result<Vec<Window>, String> {
    let Some([pre, suf, mid]) = model.fim() else { return Ok(Vec::new()) };
    let mut windows = Vec::new();
    for text in job.texts.iter().filter(|text| text.kind == Kind::Code) {
        let chars: Vec<char> = text.text.chars().collect();
        for (number, piece) in chars.chunks(DOCUMENT).enumerate() {
            let from = piece.len() * (3 + number % 4) / 10;
            let to = (from + HOLE / (1 + number % 3)).min(piece.len());
            let part =
                |range: std::ops::Range<usize>| -> String { piece.get(range).unwrap_or_default().iter().collect() };
            let mut tokens: Vec<i32> = model.bos().into_iter().collect();
            let mut first = 0;
            for (mark, part) in [(pre, part(0..from)), (suf, part(to..piece.len())), (mid, part(from..to))] {
                first = tokens.len();
                tokens.push(mark);
                tokens.extend(model.tokens(&part, false, false)?);
            }
            if tokens.len() <= job.window as usize && first + 1 < tokens.len() {
                windows.push(Window { kind: Kind::Fim, tokens, first });
            }
        }
    }
    Ok(windows)
}

/// Prefill and decode rates in tokens a second, and the process's peak of memory.
pub(crate) fn rate(job: &RateJob) -> Result<bool, String> {
    const PROMPT: usize = 512;
    const ANSWER: usize = 32;
    session::begin();
    let setup = Setup {
        window: (PROMPT + ANSWER) as u32,
        step: PROMPT as u32,
        threads: job.threads,
        watch: None,
        exact: false,
        repack: true,
    };
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
