//! The narrow doors to other rooms that the terminal interface needs and that are not built yet on this branch. Each
//! body marked `CONNECT` is replaced by a call; until then it answers with an error that the person sees.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::app::msg::{Gauge, Offer};
use crate::engine::{Facts, Sampling};
use crate::error::Report;
use crate::paths::Paths;

/// How far a download is: bytes so far, and in all where known.
pub type Progress = Box<dyn FnMut(u64, Option<u64>) + Send>;

/// The models in the store and those of the catalogue, the ones for this device first. May block.
///
/// # Errors
/// When the store cannot be read.
pub fn offers(_paths: &Paths) -> Result<Vec<Offer>, Report> {
    // CONNECT: models (catalogue, store) and budget (what fits)
    Err(Report::failed("the catalogue is not connected").hint("start with `zord --model FILE`"))
}

/// Downloads a model of the catalogue (or `hf:owner/repo/file`) into the store and gives its name. Runs on the terminal's
/// runtime; `cancel` is looked at between chunks.
///
/// # Errors
/// Whatever the download meets; when cancelled the part that came is kept for later.
pub async fn pull(_paths: &Paths, name: &str, _cancel: Arc<AtomicBool>, _progress: Progress) -> Result<String, Report> {
    // CONNECT: models::pull
    Err(Report::failed(format!("`{name}` cannot be downloaded from here"))
        .hint(format!("leave with /quit and run `zord models pull {name}`")))
}

/// Verifies a GGUF file, links or copies it into the store and gives its name. May block.
///
/// # Errors
/// When the file is no model or the store cannot be written.
pub fn add(_paths: &Paths, file: &Path) -> Result<String, Report> {
    // CONNECT: models::add
    Ok(file.display().to_string())
}

/// A preset's values for a model.
pub fn sampling(_preset: &str, _facts: Option<&Facts>) -> Sampling {
    // CONNECT: engine::presets
    Sampling::default()
}

/// The memory in use now, and its budget; `None` where it cannot be read. Takes well under a millisecond.
pub fn gauge(budget: u64) -> Option<Gauge> {
    // CONNECT: budget::watch
    let status = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = status.split_whitespace().nth(1)?.parse().ok()?;
    Some(Gauge { used: pages * rustix::param::page_size() as u64, budget })
}

/// Whether memory is so short that something must be given back now.
pub fn pressed() -> bool {
    // CONNECT: budget::watch
    false
}

/// The last run ended (or this one is about to end) in good order.
pub fn ended_well(_paths: &Paths) {
    // CONNECT: whoever writes the note of unclean ends
}
