//! Asking a teacher: llama.cpp in a child process, one document at a time, windows appended to a file that a later run
//! goes on with.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keep::{drawn, top};
use super::layers::Layers;
use super::store::{self, Head};
use super::{Progress, TeacherError, align};
use crate::distill::compare;
use crate::distill::data::corpus::{Corpus, Window};
use crate::distill::data::tokenizer::Tokenizer;
use crate::distill::kernel::dropout::{mix, share};
use crate::distill::kernel::math;
use crate::distill::objective::Chunk;
use crate::distill::recipe::Recipe;
use crate::engine::Cancel;
use crate::error::ExitCode;
use crate::quantize::child::{self, ChildError, tell};
use crate::quantize::session::{self, Session, Setup};

/// What this program's children can do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A teacher's odds.
    Teach(Job),
    /// All that llama.cpp computes for some tokens.
    Compare(compare::watch::Job),
}

/// What a teacher is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    model: PathBuf,
    corpus: PathBuf,
    part: PathBuf,
    head: Head,
    temperature: f64,
    /// What draws follow from.
    seed: u64,
    threads: usize,
    /// The student's folder.
    student: PathBuf,
}

/// Asks for whatever the file beside `path` does not hold yet, and gives it its name.
pub(super) fn ask(
    recipe: &Recipe,
    model: &Path,
    head: &Head,
    corpus: &Corpus,
    path: &Path,
    cancel: &Cancel,
    told: &mut dyn FnMut(Progress<'_>),
) -> Result<(), TeacherError> {
    let part = path.with_extension("odds.part");
    let wrong = |what: String| TeacherError::Told { path: model.to_owned(), what };
    let io = |error: std::io::Error| wrong(format!("cannot write `{}`: {error}", part.display()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let job = Job {
        model: model.to_owned(),
        corpus: corpus.path.clone(),
        part: part.clone(),
        head: head.clone(),
        temperature: recipe.objective.temperature,
        seed: recipe.seed,
        threads: if recipe.threads == 0 { cores } else { recipe.threads },
        student: recipe.student.path.clone(),
    };
    let all = corpus.len();
    let done = child::run(
        &Work::Teach(job),
        cancel,
        |value| {
            if let Some(done) = value.get("done").and_then(serde_json::Value::as_u64) {
                told(Progress { teacher: model, done, all });
            }
        },
        |_| (),
    );
    match done {
        Err(ChildError::Interrupted) => return Err(TeacherError::Interrupted),
        Err(error) => return Err(wrong(crate::error::chain(&error))),
        Ok(()) => {}
    }
    let mut file = OpenOptions::new().read(true).write(true).open(&part).map_err(io)?;
    let sizes = store::held(&file, head, all).map_err(io)?;
    if sizes.len() as u64 != all {
        return Err(wrong(format!("it answered for {} of {all} windows", sizes.len())));
    }
    store::complete(&mut file, &sizes).map_err(io)?;
    std::fs::rename(&part, path).and_then(|()| crate::atomic::sync_parent(path)).map_err(io)
}

/// The longest job read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Does one job of the process `parent` and ends.
pub(crate) fn serve(parent: u32) -> ExitCode {
    child::serve(parent, LONGEST, |work| match work {
        Work::Teach(job) => gather(&job).map(|()| true),
        Work::Compare(job) => compare::watch::serve(&job).map(|()| true),
    })
}

fn gather(job: &Job) -> Result<(), String> {
    let corpus = Corpus::open(&job.corpus)?;
    let io = |error: std::io::Error| format!("cannot write `{}`: {error}", job.part.display());
    let (mut file, sizes) = store::begin(&job.part, &job.head, corpus.len()).map_err(io)?;

    session::begin();
    // A token of another vocabulary may stand for less of a text.
    let longest = if job.head.same { corpus.head.longest } else { 2 * corpus.head.longest + 64 };
    let window = u32::try_from(longest.max(32)).map_err(|_| "a document is too long".to_owned())?;
    let threads = i32::try_from(job.threads).unwrap_or(1);
    let mut layers = Layers::new(job.head.states.clone());
    let watch = (!job.head.states.is_empty()).then(|| layers.watch());
    let setup = Setup { window, step: window.min(512), threads, watch, exact: true, repack: true };
    let mut session = Session::open(&job.model, &setup)?;
    let pieces = if job.head.same { Vec::new() } else { pieces(&job.student)? };
    for at in sizes.len() as u64..corpus.len() {
        let window = corpus.window(at)?;
        let content = if !job.head.same {
            job.head.pack_chunks(&window_chunks(&mut session, &window, &pieces, job)?)
        } else if job.head.draws > 0 {
            let (draws, start) = (job.head.draws, mix(job.seed ^ mix(at)));
            let draw = |goal: usize, logits: &[f32]| drawn(logits, draws, job.temperature, share(start ^ goal as u64));
            let (odds, states) = window_odds(&mut session, &mut layers, &window, &job.head, draw)?;
            [job.head.pack_states(&states), job.head.pack_draws(&odds)].concat()
        } else {
            let keep = |_: usize, logits: &[f32]| top(logits, job.head.top as usize, job.temperature);
            let (odds, states) = window_odds(&mut session, &mut layers, &window, &job.head, keep)?;
            [job.head.pack_states(&states), job.head.pack(&odds)].concat()
        };
        let bytes = store::framed(&content);
        file.write_all(&bytes).map_err(io)?;
        tell(&json!({"done": at + 1}));
    }
    file.sync_all().map_err(io)
}

/// The bytes of the student's tokens.
fn pieces(student: &Path) -> Result<Vec<Vec<u8>>, String> {
    let tokenizer = Tokenizer::open(student, "", &[]).map_err(|error| crate::error::chain(&error))?;
    tokenizer.bytes().ok_or_else(|| "the student's vocabulary is not byte-level".to_owned())
}

/// What `keep` leaves of the logits of every goal, by its number in the window; and the states of the layers wanted.
fn window_odds<T>(
    session: &mut Session,
    layers: &mut Layers,
    window: &Window,
    head: &Head,
    keep: impl Fn(usize, &[f32]) -> T,
) -> Result<(Vec<T>, Vec<Vec<f32>>), String> {
    let mut all = Vec::new();
    let mut states = vec![Vec::new(); head.states.len()];
    for document in &window.documents {
        let tokens: Vec<i32> = document.iter().map(|&(token, _)| token.cast_signed()).collect();
        session.evaluate(&tokens, 0, 0)?;
        let seen = layers.take();
        for at in (1..document.len()).filter(|&at| document[at].1) {
            let logits = session.logits(at - 1).ok_or("llama.cpp gave no logits")?;
            all.push(keep(all.len(), logits));
            for (layer, states) in head.states.iter().zip(&mut states) {
                let row = seen.get(layer).and_then(|rows| rows.get((at - 1) * head.wide..at * head.wide));
                states.extend_from_slice(row.ok_or_else(|| format!("the teacher has no layer {layer}"))?);
            }
        }
    }
    Ok((all, states))
}

/// Chunks of a window's documents, with goals counted from the window's first.
fn window_chunks(session: &mut Session, window: &Window, pieces: &[Vec<u8>], job: &Job) -> Result<Vec<Chunk>, String> {
    let mut all = Vec::new();
    let mut before = 0;
    for document in &window.documents {
        document_chunks(session, document, pieces, job, before, &mut all)?;
        before += document.iter().skip(1).filter(|(_, learn)| *learn).count();
    }
    Ok(all)
}

fn document_chunks(
    session: &mut Session,
    document: &[(u32, bool)],
    pieces: &[Vec<u8>],
    job: &Job,
    before: usize,
    all: &mut Vec<Chunk>,
) -> Result<(), String> {
    let piece = |token: u32| pieces.get(token as usize).map(Vec::as_slice).unwrap_or_default();
    let bytes: Vec<u8> = document.iter().flat_map(|&(token, _)| piece(token)).copied().collect();
    // A document that was split may begin or end within a character.
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    let mut tokens = session.tokens(text, true, false)?;
    tokens.truncate(session.window);
    if tokens.len() < 2 {
        return Ok(());
    }
    let lengths = lengths(session, &tokens, text);
    session.evaluate(&tokens, 0, 0)?;
    let ours: Vec<usize> = document.iter().map(|&(token, _)| piece(token).len()).collect();
    // Goals up to each token.
    let mut count = before;
    let goals: Vec<Option<usize>> = document
        .iter()
        .enumerate()
        .map(|(at, &(_, learn))| {
            let goal = (at > 0 && learn).then_some(count);
            count += usize::from(goal.is_some());
            goal
        })
        .collect();
    for stretch in align::stretches(&ours, &lengths) {
        let known: Option<Vec<usize>> = goals[stretch.ours].iter().copied().collect();
        let Some(known) = known.filter(|_| stretch.theirs.start > 0) else { continue };
        let mut log = 0.0;
        let mut sorted = Vec::new();
        for at in stretch.theirs.clone() {
            let row = session.logits(at - 1).ok_or("llama.cpp gave no logits")?;
            let whole = math::softmax(&mut row.to_vec());
            log += row[tokens[at] as usize] - whole;
            if at == stretch.theirs.start {
                sorted = top(row, job.head.top as usize, 1.0).into_iter().map(|(_, log)| log.exp()).collect();
            }
        }
        all.push(Chunk { first: known[0], goals: known.len(), log, sorted });
    }
    Ok(())
}

/// How many bytes of the text each token stands for, up to where they do not spell it.
fn lengths(session: &Session, tokens: &[i32], text: &str) -> Vec<usize> {
    let mut rest = text.as_bytes();
    let mut lengths = Vec::with_capacity(tokens.len());
    for &token in tokens {
        let piece = session.piece(token);
        // Some tokenizers put a space before the first word.
        let spelt: &[u8] = if rest.len() == text.len() && !rest.starts_with(&piece) {
            piece.strip_prefix(b" ").unwrap_or(&piece)
        } else {
            &piece
        };
        let Some(left) = rest.strip_prefix(spelt) else { break };
        lengths.push(spelt.len());
        rest = left;
    }
    lengths
}
