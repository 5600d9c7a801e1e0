//! The parent's side: starts the child and takes its rows.

use std::io::{self, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use super::super::source::lines;
use super::MEMORY;

/// The name of the command that makes this program a child.
const COMMAND: &str = "table-child";

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
pub(in crate::distill::data) fn rows<E: From<io::Error>>(
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
