//! The output folder of a run: nobody else's, and nothing that is read.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::RunError;
use crate::atomic::spare;
use crate::distill::recipe::Recipe;

/// An output folder that is this run's alone.
pub(crate) struct Claim {
    /// Where the run keeps its own files.
    pub(crate) folder: PathBuf,
    /// Held as long as it lives.
    pub(crate) lock: File,
}

const LOCK: &str = "lock";

/// Takes an output folder, if it is empty, not there yet, or an earlier run's.
///
/// # Errors
/// It is something else, one of the recipe's inputs, or another run's now.
pub(crate) fn claim(recipe: &Recipe, out: &Path) -> Result<Claim, RunError> {
    let folder = out.join("run");
    let io = |source| RunError::Log { path: folder.clone(), source };
    let mut inputs: Vec<PathBuf> = recipe.data.sources.iter().map(|source| source.path.clone()).collect();
    inputs.push(recipe.student.path.clone());
    inputs.extend(recipe.adapter.iter().filter_map(|adapter| adapter.from.clone()));
    inputs.extend(recipe.teachers.iter().map(|teacher| teacher.model.clone()));
    let of = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    inputs.extend(of(&recipe.student.path));
    spare(out, inputs.iter().map(PathBuf::as_path)).map_err(|_| RunError::Input { out: out.to_owned() })?;
    let there = of(out);
    if !there.is_empty() && !folder.join(LOCK).is_file() {
        return Err(RunError::NotOurs { out: out.to_owned() });
    }
    for path in there {
        spare(&path, inputs.iter().map(PathBuf::as_path))?;
    }
    std::fs::create_dir_all(&folder).map_err(io)?;
    let lock = File::create(folder.join(LOCK)).map_err(io)?;
    let held = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    held.map_err(|_| RunError::Taken { out: out.to_owned() })?;
    Ok(Claim { folder, lock })
}

/// Everything an earlier run left in its folder, but for the lock.
///
/// # Errors
/// It cannot be removed.
pub(super) fn forget(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
