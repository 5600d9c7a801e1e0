//! `zord engine`, which nobody types: the program starts itself so, to have the model in a process that may die. Its
//! standard input is the socket that orders come from and events go to.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::fs::{FileType, fstat};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};

use crate::engine::serve::{End, serve};
use crate::error::{ExitCode, UserError};

/// How much sooner than its parent the kernel ends this process when memory is short, of a thousand.
const SOONER: i32 = 200;
const SCORE: &str = "/proc/self/oom_score_adj";

pub(super) fn run() -> Result<ExitCode, UserError> {
    let input = std::io::stdin();
    let is_socket = fstat(&input).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::Socket);
    if !is_socket {
        return Err(UserError::usage("`zord engine` is what zord starts by itself, over a socket")
            .hint("`zord ./engine` opens a folder of that name; `zord` and `zord chat` use the model"));
    }
    let failed = |error: std::io::Error| UserError::failed(format!("cannot serve: {error}"));
    // where there is no such thing, the end of the socket tells the same
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    die_before_the_parent();
    let stream = UnixStream::from(input.as_fd().try_clone_to_owned().map_err(failed)?);
    let events = stream.try_clone().map_err(failed)?;
    match serve(std::io::BufReader::new(stream), events).map_err(failed)? {
        End::Finished => Ok(ExitCode::Done),
        End::Abandoned => {
            // llama.cpp may be at work on its own threads: nothing of it may be taken down in an orderly way
            let _ = kill_process(getpid(), Signal::KILL);
            Ok(ExitCode::Failed)
        }
    }
}

/// The screen is worth more than the model, which can be loaded again.
fn die_before_the_parent() {
    let own = std::fs::read_to_string(SCORE).ok().and_then(|score| score.trim().parse::<i32>().ok());
    // whoever may not say so dies in the order of sizes, where a model comes first too
    let _ = std::fs::write(SCORE, own.unwrap_or_default().saturating_add(SOONER).min(1000).to_string());
}
