//! Asking a teacher: llama.cpp in a child process, several windows side by side, appended in their order to a file that a
//! later run goes on with.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::reader::Reader;
use super::store::{self, Head};
use super::{Progress, TeacherError};
use crate::distill::compare;
use crate::distill::data::corpus::Corpus;
use crate::distill::data::fim::FimRecipe;
use crate::distill::recipe::Recipe;
use crate::engine::Cancel;
use crate::error::ExitCode;
use crate::llama::child::{self, ChildError, tell};
use crate::llama::session;

/// What this program's children can do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A teacher's odds.
    Teach(Box<Job>),
    /// All that llama.cpp computes for some tokens.
    Compare(compare::watch::Job),
}

/// What a teacher is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(super) model: PathBuf,
    pub(super) corpus: PathBuf,
    pub(super) part: PathBuf,
    pub(super) head: Head,
    pub(super) temperature: f64,
    /// What draws follow from.
    pub(super) seed: u64,
    pub(super) threads: usize,
    /// The student's folder.
    pub(super) student: PathBuf,
    pub(super) fim: FimRecipe,
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
        fim: recipe.data.fim.clone(),
    };
    let all = corpus.len();
    let done = child::run(
        &Work::Teach(Box::new(job)),
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

/// Windows that were answered and wait for an earlier one, for each reader.
const AHEAD: usize = 4;

fn gather(job: &Job) -> Result<(), String> {
    let corpus = Corpus::open(&job.corpus)?;
    let io = |error: std::io::Error| format!("cannot write `{}`: {error}", job.part.display());
    let (mut file, sizes) = store::begin(&job.part, &job.head, corpus.len()).map_err(io)?;
    let begin = sizes.len() as u64;
    if begin >= corpus.len() {
        return Ok(());
    }
    session::begin();
    let mut first = Reader::open(job, &corpus)?;
    let threads = i32::try_from(job.threads).unwrap_or(1);
    let left = usize::try_from(corpus.len() - begin).unwrap_or(usize::MAX);
    let readers = session::side_by_side(threads, left, first.logits());
    let share = (threads / readers as i32).max(1);
    first.use_threads(share);
    let mut all = Vec::new();
    for _ in 1..readers {
        all.push(first.another(job, share)?);
    }
    all.push(first);
    let next = AtomicU64::new(begin);
    // A reader that is far ahead of a slower one waits for it.
    let (sender, answers) = sync_channel::<(u64, Result<Vec<u8>, String>)>(AHEAD * readers);
    let written = AtomicU64::new(begin);
    std::thread::scope(|scope| {
        for mut reader in all {
            let (sender, next, written, corpus) = (sender.clone(), &next, &written, &corpus);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= corpus.len() {
                        return;
                    }
                    while at > written.load(Ordering::Acquire) + (AHEAD * readers) as u64 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let answer = reader.answer(job, corpus, at);
                    let failed = answer.is_err();
                    if sender.send((at, answer)).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut done = begin;
        let outcome = (|| {
            for (at, answer) in &answers {
                waiting.insert(at, answer?);
                while let Some(content) = waiting.remove(&done) {
                    file.write_all(&store::framed(&content)).map_err(io)?;
                    done += 1;
                    written.store(done, Ordering::Release);
                    tell(&json!({"done": done}));
                }
            }
            file.sync_all().map_err(io)
        })();
        // Readers that wait, or are about to send, must find nobody there.
        next.store(u64::MAX / 2, Ordering::Relaxed);
        written.store(u64::MAX / 2, Ordering::Release);
        drop(answers);
        outcome
    })
}
