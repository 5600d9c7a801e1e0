//! Work with llama.cpp's insides in a process of its own: an abort there ends that process, and is told with its last
//! words.
//!
//! The child is this program again, with a job as JSON on its stdin. Answers come as JSON lines on its stdout, llama.cpp's
//! log on its stderr.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::engine::Cancel;
use crate::error::{Advise, ExitCode};

/// Lines of the log that are kept for the case of an abort.
const LAST: usize = 8;
/// The longest line kept, in characters.
const LONGEST: usize = 400;
const TICK: Duration = Duration::from_millis(50);

/// The name of the command that makes this program a child.
pub const COMMAND: &str = "llama-child";

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ChildError {
    #[error("cannot start this program again: {0}")]
    Start(std::io::Error),
    #[error("llama.cpp ended the work with signal {signal}{}", words(last))]
    Aborted { signal: i32, last: Vec<String> },
    #[error("llama.cpp refused{}", words(last))]
    Refused { last: Vec<String> },
    #[error("{message}{}", words(last))]
    Told { message: String, last: Vec<String> },
    #[error("interrupted; nothing was written")]
    Interrupted,
}

impl Advise for ChildError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Aborted { signal: 9, .. } => {
                "the system was short of memory; less of it is needed with fewer threads"
            }
            Self::Aborted { .. } => "nothing was written; `ZORD_LOG=debug` shows all that llama.cpp said",
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn code(&self) -> ExitCode {
        if matches!(self, Self::Interrupted) { ExitCode::Interrupted } else { ExitCode::Failed }
    }
}

fn words(last: &[String]) -> String {
    if last.is_empty() { String::new() } else { format!(":\n  {}", last.join("\n  ")) }
}

enum Heard {
    Answer(String),
    Log(String),
    Over,
}

/// Runs a job. `answer` is given each line of stdout, `log` each line of llama.cpp's log.
///
/// # Errors
/// As [`ChildError`].
pub fn run(
    job: &impl Serialize,
    cancel: &Cancel,
    mut answer: impl FnMut(Value),
    mut log: impl FnMut(&str),
) -> Result<(), ChildError> {
    let mut child = start(job).map_err(ChildError::Start)?;
    let (sender, heard) = channel();
    let out = child.stdout.take().map(|pipe| listen(pipe, sender.clone(), Heard::Answer));
    let err = child.stderr.take().map(|pipe| listen(pipe, sender, Heard::Log));
    let mut open = usize::from(out.is_some()) + usize::from(err.is_some());
    let mut last = VecDeque::new();
    let mut told = None;
    while open > 0 {
        match heard.recv_timeout(TICK) {
            Ok(Heard::Answer(line)) => match serde_json::from_str::<Value>(&line) {
                Ok(value) if value.get("error").is_some() => {
                    told = value.get("error").and_then(Value::as_str).map(str::to_owned);
                }
                Ok(value) => answer(value),
                Err(_) => {}
            },
            Ok(Heard::Log(line)) => {
                tracing::debug!(target: "llama", "{line}");
                log(&line);
                if !line.trim().is_empty() {
                    last.push_back(line.trim().chars().take(LONGEST).collect::<String>());
                    if last.len() > LAST {
                        last.pop_front();
                    }
                }
            }
            Ok(Heard::Over) => open -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if cancel.is_cancelled() {
            // It may be gone already, which is as well.
            let _ = child.kill();
        }
    }
    let status = child.wait().map_err(ChildError::Start)?;
    let last: Vec<String> = last.into();
    let wrong = |line: &&String| ["error", "fail", "ERROR", "ASSERT"].iter().any(|word| line.contains(word));
    // Where the sources were built is nobody's business.
    let short = |line: &String| line.rsplit_once("/llama.cpp/").map_or(line.as_str(), |(_, place)| place).to_owned();
    let wrong: Vec<String> = last.iter().filter(wrong).map(short).collect();
    let last = if wrong.is_empty() { last } else { wrong.clone() };
    match (status.success(), status.signal(), told) {
        _ if cancel.is_cancelled() => Err(ChildError::Interrupted),
        (_, _, Some(message)) => Err(ChildError::Told { message, last: wrong }),
        (true, ..) => Ok(()),
        (false, Some(signal), _) => Err(ChildError::Aborted { signal, last }),
        (false, None, _) => Err(ChildError::Refused { last }),
    }
}

/// The child's side: does one job of the process `parent`, which is at most so many bytes `long`, and ends.
pub(crate) fn serve<W: DeserializeOwned>(
    parent: u32,
    long: u64,
    work: impl FnOnce(W) -> Result<bool, String>,
) -> ExitCode {
    // A parent that was killed must not leave a child behind that writes gigabytes.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now.is_some_and(|now| now != parent) {
        return ExitCode::Failed;
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(long).read_to_string(&mut text);
    let job = read.map_err(|error| error.to_string()).and_then(|_| {
        serde_json::from_str::<W>(&text).map_err(|error| format!("this command is for the program itself: {error}"))
    });
    match job.and_then(work) {
        Ok(true) => ExitCode::Done,
        Ok(false) => ExitCode::Failed,
        Err(message) => {
            tell(&json!({"error": message}));
            ExitCode::Failed
        }
    }
}

fn start(job: &impl Serialize) -> std::io::Result<Child> {
    // The running program itself, even if its file was replaced meanwhile by an update.
    let own = std::path::Path::new("/proc/self/exe");
    let program = if own.exists() { own.to_owned() } else { std::env::current_exe()? };
    let mut command = Command::new(program);
    // A debugger's report of an abort would push llama.cpp's own words out.
    command.arg(COMMAND).arg(std::process::id().to_string()).env("GGML_NO_BACKTRACE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        let text = serde_json::to_vec(job).map_err(std::io::Error::other)?;
        // A child that died at once says why by its status.
        let _ = pipe.write_all(&text);
    }
    Ok(child)
}

fn listen(
    pipe: impl Read + Send + 'static,
    to: Sender<Heard>,
    wrap: fn(String) -> Heard,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            line.clear();
            if to.send(wrap(text)).is_err() {
                return;
            }
        }
        let _ = to.send(Heard::Over);
    })
}

/// Says something to the parent.
pub fn tell(value: &Value) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone ends the child by its own means.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}
