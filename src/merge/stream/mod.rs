//! From a plan to files: tensor by tensor, in slabs on all cores, in memory that does not grow with the model.
//!
//! The result lies under a hidden name beside its place until all of it is written and synced. A run that was killed leaves
//! it there with a journal, and the same command goes on with the tensor it was at.

use std::path::{Path, PathBuf};

use super::error::MergeError;
use super::plan::{Output, Plan};
use crate::device::free_space;
use crate::engine::Cancel;
use crate::size::bytes;
use crate::weights::safetensors::write::{Layout, NewTensor, PYTORCH};

mod journal;
mod slabs;
mod stats;
mod work;

pub use stats::Stats;

use journal::Journal;
use work::Crew;

/// The most bytes of tensors in a file, unless it is said otherwise.
pub const SHARD: u64 = 5_000_000_000;

/// How a merge is carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder to write.
    pub output: PathBuf,
    /// Threads.
    pub threads: usize,
    /// The most bytes of tensors in a file.
    pub shard: u64,
    /// Whether weights that are no finite numbers are merged too.
    pub allow_nan: bool,
    /// Bytes that are written there afterwards, which the disk must have room for too.
    pub more: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// Facts of every tensor, in the plan's order.
    pub stats: Vec<Stats>,
    /// Files of weights, by name.
    pub files: Vec<String>,
    /// The folder, still under its hidden name: [`Done::finish`] gives it its own.
    pub folder: PathBuf,
    /// Tensors that an earlier run had written.
    pub resumed: usize,
}

/// Writes all tensors; `show` is told bytes done and all.
///
/// # Errors
/// As [`MergeError`]; nothing has the final name then.
pub fn run(
    plan: &Plan,
    options: &Options,
    cancel: &Cancel,
    show: impl FnMut(u64, u64) + Send,
) -> Result<Done, MergeError> {
    if !plan.problems.is_empty() {
        return Err(MergeError::Problems(plan.problems.clone()));
    }
    free(&options.output)?;
    let folder = hidden(&options.output)?;
    let spec = |output: &Output| {
        let Output { name, dtype, shape, .. } = output;
        NewTensor { name: name.clone(), dtype: *dtype, shape: shape.clone() }
    };
    let tensors: Vec<NewTensor> = plan.outputs.iter().map(spec).collect();
    let layout = Layout::new(&tensors, options.shard, PYTORCH);
    let write = |source| MergeError::Write { path: folder.clone(), source };
    std::fs::create_dir_all(&folder).map_err(write)?;
    room(&folder, layout.bytes() + options.more, &layout)?;
    let mut journal = Journal::open(&folder, &journal::fingerprint(plan, options)?)?;
    let files = layout.create(&folder, journal.is_new())?;
    let resumed = journal.done();
    let mut crew = Crew::new(options.threads, cancel, options.allow_nan, plan.output_bytes(), show);
    let mut stats = Vec::with_capacity(plan.outputs.len());
    for (output, place) in plan.outputs.iter().zip(&layout.places) {
        if let Some(done) = journal.take(&output.name) {
            crew.skip(output.bytes());
            stats.push(done);
            continue;
        }
        let done = crew.tensor(plan, output, &files[place.file], place.offset);
        let done = done.inspect_err(|error| {
            if error.is_of_the_numbers() {
                // Going on would end here again.
                let _ = std::fs::remove_dir_all(&folder);
            }
        })?;
        journal.add(&done)?;
        stats.push(done);
    }
    drop(journal);
    layout.finish(&folder, &files)?;
    Ok(Done { stats, files: layout.names, folder, resumed })
}

impl Done {
    /// Gives the folder its name.
    ///
    /// # Errors
    /// The name was taken meanwhile.
    pub fn finish(self, output: &Path) -> Result<(), MergeError> {
        let fault = |source| MergeError::Write { path: output.to_owned(), source };
        journal::remove(&self.folder);
        if output.is_dir() {
            // Empty, or `free` would have refused it.
            std::fs::remove_dir(output).map_err(fault)?;
        }
        std::fs::rename(&self.folder, output).map_err(fault)?;
        crate::atomic::sync_parent(output).map_err(fault)
    }
}

/// Whether a result may take this place: nothing is there, or an empty folder.
fn free(output: &Path) -> Result<(), MergeError> {
    let taken = match std::fs::read_dir(output) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => output.exists(),
    };
    // A link would have to be followed to where it may lead nowhere.
    if taken || output.is_symlink() { Err(MergeError::Exists { path: output.to_owned() }) } else { Ok(()) }
}

/// The hidden name beside a place.
fn hidden(output: &Path) -> Result<PathBuf, MergeError> {
    let named = output.file_name().map(|name| format!(".{}.partial", name.to_string_lossy()));
    named.map(|name| output.with_file_name(name)).ok_or_else(|| MergeError::Write {
        path: output.to_owned(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "the path names no folder"),
    })
}

/// Whether the disk has room for what is not there yet.
fn room(folder: &Path, all: u64, layout: &Layout) -> Result<(), MergeError> {
    let Some(free) = free_space(folder) else { return Ok(()) };
    let there: u64 =
        layout.names.iter().filter_map(|name| std::fs::metadata(folder.join(name)).ok()).map(|f| f.len()).sum();
    let need = all.saturating_sub(there);
    if need <= free {
        return Ok(());
    }
    if there == 0 {
        let _ = std::fs::remove_dir(folder);
    }
    Err(MergeError::Space { folder: folder.to_owned(), need: bytes(need), free: bytes(free) })
}
