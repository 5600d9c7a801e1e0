//! Which tensors are written: a line for each, so that a killed run can go on.
//!
//! Lines are not synced, as what a killed process wrote stays with the kernel; after a loss of power they are not believed
//! (the journal names the boot it was written in).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Options, Stats};
use crate::hex::hex;
use crate::merge::error::MergeError;
use crate::merge::plan::{Action, Plan};
use crate::small;

const NAME: &str = "journal.jsonl";
/// Bytes of a journal, at most: a line of numbers for each tensor.
const LONGEST: u64 = 1 << 30;

/// What a run is: another recipe, other inputs or another version begin anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Start {
    fingerprint: String,
    boot: String,
}

/// The journal of one run.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    done: BTreeMap<String, Stats>,
    new: bool,
}

impl Journal {
    pub(super) fn open(folder: &Path, fingerprint: &str) -> Result<Self, MergeError> {
        let path = folder.join(NAME);
        let fault = |source| MergeError::Write { path: path.clone(), source };
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let start = Start { fingerprint: fingerprint.to_owned(), boot: boot.trim().to_owned() };
        let text = small::text(&path, LONGEST).unwrap_or_default();
        let mut lines = text.lines();
        let same = lines.next().and_then(|line| serde_json::from_str::<Start>(line).ok()) == Some(start.clone());
        // A line that was torn by the kill is not whole JSON.
        let done: BTreeMap<String, Stats> = match same && !start.boot.is_empty() {
            true => lines
                .map_while(|line| serde_json::from_str::<Stats>(line).ok())
                .map(|stats| (stats.tensor.clone(), stats))
                .collect(),
            false => BTreeMap::new(),
        };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path).map_err(fault)?;
        let mut whole = serde_json::to_string(&start).unwrap_or_default() + "\n";
        for stats in done.values() {
            whole.push_str(&(serde_json::to_string(stats).unwrap_or_default() + "\n"));
        }
        file.write_all(whole.as_bytes()).map_err(fault)?;
        Ok(Self { new: done.is_empty(), path, file, done })
    }

    pub(super) fn is_new(&self) -> bool {
        self.new
    }

    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    pub(super) fn take(&mut self, tensor: &str) -> Option<Stats> {
        self.done.remove(tensor)
    }

    pub(super) fn add(&mut self, stats: &Stats) -> Result<(), MergeError> {
        let line = serde_json::to_string(stats).unwrap_or_default() + "\n";
        self.file.write_all(line.as_bytes()).map_err(|source| MergeError::Write { path: self.path.clone(), source })
    }
}

/// Takes the journal away.
pub(super) fn remove(folder: &Path) {
    let _ = std::fs::remove_file(folder.join(NAME));
}

/// Everything that decides what is written: what every tensor is told, and the files' names, lengths and times.
pub(super) fn fingerprint(plan: &Plan, options: &Options) -> Result<String, MergeError> {
    let mut hash = Sha256::new();
    let mut add = |text: String| hash.update(text.as_bytes());
    add(format!("{} {} {} {}\n", env!("CARGO_PKG_VERSION"), plan.method.name(), options.shard, options.allow_nan));
    for file in plan.models.iter().flat_map(|model| &model.files) {
        let facts = std::fs::metadata(file).map_err(|source| MergeError::Io { path: file.clone(), source })?;
        add(format!("{} {} {:?}\n", file.display(), facts.len(), facts.modified().ok()));
    }
    add(format!("{:?}\n", plan.models.iter().map(|model| &model.changes).collect::<Vec<_>>()));
    for output in &plan.outputs {
        let told = match &output.action {
            Action::Blend(told) => format!("{told:?}"),
            Action::Copy => "copy".to_owned(),
        };
        let inputs: Vec<String> =
            output.inputs.iter().map(|input| format!("{}/{}", input.model, input.weight.name)).collect();
        add(format!("{} {:?} {:?} {inputs:?} {told}\n", output.name, output.shape, output.dtype));
    }
    if let Some(vocabulary) = &plan.vocabulary {
        add(format!("{vocabulary:?}"));
    }
    Ok(hex(&hash.finalize()))
}
