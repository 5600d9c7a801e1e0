//! The child's side: a job from stdin, done with llama.cpp's insides.

use std::io::Read;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::child::tell;
use super::imatrix::gather;
use super::measure::lockstep;
use super::shrink::native;
use crate::error::ExitCode;

/// The longest job read, in bytes: texts of [`super::TEXTS`], written as JSON.
const LONGEST: u64 = 6 * super::TEXTS + (1 << 20);

/// What a child can do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Another file type.
    Quantize(native::Job),
    /// Sums of a matrix's inputs.
    Imatrix(gather::Job),
    /// Models against their base.
    Compare(lockstep::Job),
    /// How fast a model is.
    Rate(lockstep::RateJob),
}

/// Does one job of the process `parent` and ends.
pub(crate) fn serve(parent: u32) -> ExitCode {
    // A parent that was killed must not leave a child behind that writes gigabytes.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now.is_some_and(|now| now != parent) {
        return ExitCode::Failed;
    }
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST).read_to_string(&mut text);
    let work = read.map_err(|error| error.to_string()).and_then(|_| {
        serde_json::from_str::<Work>(&text).map_err(|error| format!("this command is for the program itself: {error}"))
    });
    let done = work.and_then(|work| match work {
        Work::Quantize(job) => native::quantize(&job),
        Work::Imatrix(job) => gather::gather(&job),
        Work::Compare(job) => lockstep::compare(&job),
        Work::Rate(job) => lockstep::rate(&job),
    });
    match done {
        Ok(true) => ExitCode::Done,
        Ok(false) => ExitCode::Failed,
        Err(message) => {
            tell(&json!({"error": message}));
            ExitCode::Failed
        }
    }
}
