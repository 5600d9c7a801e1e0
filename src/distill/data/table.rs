//! Parquet files, read in a process of its own whose memory is bounded.
//!
//! A table of a few kilobytes can stand for gigabytes in more ways than its reader knows to count (pages, dictionaries, runs,
//! prefixes), so its memory is what is bounded. The child is this program again; each row comes as a line of JSON.

#![cfg_attr(test, allow(dead_code, reason = "a test is another program and reads tables itself"))]

use std::io::{self, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value as Json, json};

use super::parquet;
use super::source::lines;
use crate::error::ExitCode;

/// The name of the command that makes this program a child.
pub(crate) const COMMAND: &str = "table-child";
/// Addresses the child may have, its own program included.
const MEMORY: u64 = 3 << 29;

/// The child, which does not outlive this value.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Hands every row to `each`, with its number from 1 and the share of rows read with it, or what is wrong with it.
///
/// # Errors
/// The file cannot be read in the memory it may take, or whatever `each` says.
pub(super) fn rows<E: From<io::Error>>(
    path: &Path,
    mut each: impl FnMut(usize, f64, Result<Json, String>) -> Result<(), E>,
) -> Result<(), E> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg(path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut reader = Reader(command.spawn()?);
    let Some(out) = reader.0.stdout.take() else { return Err(io::Error::other("its rows cannot be read").into()) };
    let mut told = None;
    lines(&mut BufReader::with_capacity(1 << 18, out), |number, _, line| {
        let row = line.and_then(|line| serde_json::from_str::<Json>(line).map_err(|error| error.to_string()));
        let mut row = match row {
            Ok(row) => row,
            Err(what) => return each(number, 0.0, Err(what)),
        };
        if let Some(what) = row["error"].as_str() {
            told = Some(what.to_owned());
            return Ok(());
        }
        each(number, row["read"].as_f64().unwrap_or(0.0), Ok(row["row"].take()))
    })?;
    let status = reader.0.wait()?;
    let beyond = || format!("it cannot be read in {} MiB of memory ({status})", MEMORY >> 20);
    match told {
        Some(what) => Err(io::Error::other(what).into()),
        None if status.success() => Ok(()),
        None => Err(io::Error::other(beyond()).into()),
    }
}

/// The child: rows on stdout.
pub(crate) fn serve(path: &Path) -> ExitCode {
    let bound = |resource, most| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        // Where there are no such limits, the reader's own checks are all there is.
        let _ = setrlimit(resource, limit);
    };
    bound(Resource::As, MEMORY);
    bound(Resource::Core, 0);
    let mut out = io::BufWriter::with_capacity(1 << 18, io::stdout().lock());
    let mut write = |line: &Json| {
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")
    };
    let done = parquet::rows::<io::Error>(path, |_, read, row| match row {
        Ok(row) => write(&json!({"read": read, "row": row})),
        Err(what) => Err(io::Error::other(what)),
    });
    let told = done.as_ref().map_or_else(|error| write(&json!({"error": error.to_string()})), |()| Ok(()));
    let flushed = out.flush();
    if done.is_ok() && told.is_ok() && flushed.is_ok() { ExitCode::Done } else { ExitCode::Failed }
}
