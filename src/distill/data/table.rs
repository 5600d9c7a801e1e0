//! Parquet files, read in a process of its own whose memory is bounded.
//!
//! A table of a few kilobytes can stand for gigabytes in more ways than its reader knows to count (pages, dictionaries, runs,
//! prefixes), so its memory is what is bounded. The child is this program again; each row comes as a line of JSON.

use std::io::{self, Write};
use std::path::Path;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value as Json, json};

use super::parquet;
use crate::error::ExitCode;

// A test is another program and cannot be its own child: it reads tables itself.
#[cfg(not(test))]
mod child;

#[cfg(not(test))]
pub(super) use child::rows;
#[cfg(test)]
pub(super) use parquet::rows;

/// Addresses the child may have, its own program included.
const MEMORY: u64 = 3 << 29;

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
