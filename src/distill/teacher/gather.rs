//! Asking a teacher: llama.cpp in a child process, one document at a time, windows appended to a file that a later run
//! goes on with.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::store::{self, Head};
use super::{Progress, TeacherError};
use crate::distill::data::corpus::{Corpus, Window};
use crate::distill::kernel::math;
use crate::engine::Cancel;
use crate::error::ExitCode;
use crate::quantize::child::{self, ChildError, tell};
use crate::quantize::session::{self, Session, Setup};

/// What a child is asked.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    model: PathBuf,
    corpus: PathBuf,
    part: PathBuf,
    head: Head,
    temperature: f64,
    threads: usize,
}

/// Asks for whatever the file beside `path` does not hold yet, and gives it its name.
pub(super) fn ask(
    model: &Path,
    head: &Head,
    corpus: &Corpus,
    path: &Path,
    threads: usize,
    cancel: &Cancel,
    told: &mut dyn FnMut(Progress<'_>),
) -> Result<(), TeacherError> {
    let part = path.with_extension("odds.part");
    let wrong = |what: String| TeacherError::Told { path: model.to_owned(), what };
    let io = |error: std::io::Error| wrong(format!("cannot write `{}`: {error}", part.display()));
    let temperature = head.temperature.parse().unwrap_or(1.0);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let job = Job {
        model: model.to_owned(),
        corpus: corpus.path.clone(),
        part: part.clone(),
        head: head.clone(),
        temperature,
        threads: if threads == 0 { cores } else { threads },
    };
    let all = corpus.len();
    let done = child::run(
        &job,
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
    let sizes = held(&file, head, corpus).map_err(wrong)?;
    if sizes.len() as u64 != all {
        return Err(wrong(format!("it answered for {} of {all} windows", sizes.len())));
    }
    store::complete(&mut file, &sizes).map_err(io)?;
    std::fs::rename(&part, path).and_then(|()| crate::atomic::sync_parent(path)).map_err(io)
}

/// Sizes of the windows that a file holds whole, from the first on.
fn held(file: &File, head: &Head, corpus: &Corpus) -> Result<Vec<usize>, String> {
    let mut sizes = Vec::new();
    let mut file = std::io::BufReader::with_capacity(1 << 20, file);
    file.seek(SeekFrom::Start(store::first())).map_err(|error| error.to_string())?;
    for at in 0..corpus.len() {
        let mut bytes = vec![0; head.window(goals(&corpus.window(at)?))];
        if file.read_exact(&mut bytes).is_err() || head.unpack(&bytes).is_none() {
            break;
        }
        sizes.push(bytes.len());
    }
    Ok(sizes)
}

fn goals(window: &Window) -> usize {
    window.documents.iter().map(|document| document.iter().skip(1).filter(|(_, learn)| *learn).count()).sum()
}

/// The child's side.
pub(crate) fn serve() -> ExitCode {
    // A parent that was killed must not leave a child behind.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let mut text = String::new();
    let read = std::io::stdin().lock().take(1 << 20).read_to_string(&mut text);
    let job = read.map_err(|error| error.to_string()).and_then(|_| {
        serde_json::from_str::<Job>(&text).map_err(|error| format!("this command is for the program itself: {error}"))
    });
    match job.and_then(|job| gather(&job)) {
        Ok(()) => ExitCode::Done,
        Err(message) => {
            tell(&json!({"error": message}));
            ExitCode::Failed
        }
    }
}

fn gather(job: &Job) -> Result<(), String> {
    let corpus = Corpus::open(&job.corpus)?;
    let io = |error: std::io::Error| format!("cannot write `{}`: {error}", job.part.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&job.part).map_err(io)?;
    let old = Head::read(&file).is_some_and(|head| head == job.head);
    let sizes = if old { held(&file, &job.head, &corpus)? } else { Vec::new() };
    if !old {
        file.set_len(0).and_then(|()| file.write_all(&job.head.bytes()?)).map_err(io)?;
    }
    let end = store::first() + sizes.iter().map(|&size| size as u64).sum::<u64>();
    file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(io)?;

    session::begin();
    let window = u32::try_from(corpus.head.longest.max(32)).map_err(|_| "a document is too long".to_owned())?;
    let threads = i32::try_from(job.threads).unwrap_or(1);
    let setup = Setup { window, threads, watch: None, repack: true };
    let mut session = Session::open(&job.model, &setup)?;
    for at in sizes.len() as u64..corpus.len() {
        let odds = window_odds(&mut session, &corpus.window(at)?, job)?;
        file.write_all(&job.head.pack(&odds)).map_err(io)?;
        tell(&json!({"done": at + 1}));
    }
    file.sync_all().map_err(io)
}

fn window_odds(session: &mut Session, window: &Window, job: &Job) -> Result<Vec<Vec<(u32, f32)>>, String> {
    let mut all = Vec::new();
    for document in &window.documents {
        let tokens: Vec<i32> = document.iter().map(|&(token, _)| token.cast_signed()).collect();
        session.evaluate(&tokens, 0, 0)?;
        for at in (1..document.len()).filter(|&at| document[at].1) {
            let logits = session.logits(at - 1).ok_or("llama.cpp gave no logits")?;
            all.push(top(logits, job.head.top as usize, job.temperature));
        }
    }
    Ok(all)
}

/// The likeliest tokens with the logarithms of their odds, the likeliest first.
fn top(logits: &[f32], count: usize, temperature: f64) -> Vec<(u32, f32)> {
    let cooled: Vec<f32> = logits.iter().map(|&x| (f64::from(x) / temperature) as f32).collect();
    let whole = math::softmax(&mut cooled.clone());
    let mut all: Vec<(u32, f32)> = cooled.iter().enumerate().map(|(id, &x)| (id as u32, x - whole)).collect();
    let higher = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < all.len() {
        all.select_nth_unstable_by(count, higher);
        all.truncate(count);
    }
    all.sort_unstable_by(higher);
    all
}
