//! What files held before they were changed, kept on disk until it is wanted back: one JSON file a change, written before
//! the first file is touched, so that a kill in between loses nothing.
//!
//! It refuses to take back a change over something that was written since: then it says what that would change, and a
//! person decides.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Change;
use super::diff::Diff;
use super::inside::{self, Refused};
use crate::atomic;
use crate::error::Advise;
use crate::size::bytes;

mod records;
#[cfg(test)]
mod tests;

/// Bytes of a record: two texts of every file that one change may touch.
const LARGEST: u64 = 256 << 20;

/// One file of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Relative to the folder.
    pub name: String,
    /// What it held; `None`: there was no such file.
    pub before: Option<String>,
    /// What was written; `None`: it was removed.
    pub after: Option<String>,
}

/// A change as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The folder it was made in.
    pub folder: PathBuf,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Its files.
    pub files: Vec<Original>,
    /// Folders that were made for them, the outer ones first, relative to the folder.
    #[serde(default)]
    pub made: Vec<String>,
}

/// Why something could not be written or taken back. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Nothing is kept for this folder.
    #[error("Nothing to undo in this folder")]
    Nothing,
    /// Files were edited since.
    #[error("`{}` was edited since", changes.first().map_or("", |change| change.name.as_str()))]
    Edited {
        /// The record.
        record: String,
        /// From what stands there to what stood there before.
        changes: Vec<Change>,
    },
    /// A file changed while its diff was looked at.
    #[error("`{0}` changed since the diff was made")]
    Stale(String),
    /// A name that leads nowhere allowed.
    #[error("`{name}`: {source}")]
    Refused {
        /// The file.
        name: String,
        /// Why.
        source: Refused,
    },
    /// A file cannot be written.
    #[error("cannot write `{name}`: {source}")]
    Write {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The originals cannot be kept or read.
    #[error("cannot keep originals in `{}`: {source}", path.display())]
    Keep {
        /// The folder or record.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Their record could not be read again.
    #[error("the originals take {} and at most {} are kept", bytes(*.0), bytes(LARGEST))]
    Large(u64),
}

impl Advise for UndoError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stale(_) => "`/apply` shows a diff against what stands there now".into(),
            Self::Edited { .. } => "nothing was undone; the originals are kept".into(),
            Self::Keep { .. } => "without a place for originals nothing is written".into(),
            Self::Large(_) => "accept fewer files at once".into(),
            Self::Nothing | Self::Refused { .. } | Self::Write { .. } => return None,
        })
    }
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct Undo {
    folder: PathBuf,
}

/// A record, and where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// The change.
    pub record: Record,
}

/// What was looked for among the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// The newest change of the folder that was not taken back.
    pub found: Option<Kept>,
    /// Newer records that cannot be read: whose they are is not known.
    pub broken: Vec<PathBuf>,
}

fn refused(name: &str) -> impl FnOnce(Refused) -> UndoError + '_ {
    move |source| UndoError::Refused { name: name.to_owned(), source }
}

/// Puts one file into a state; makes the folders above a new one.
fn put(path: &Path, text: Option<&str>) -> io::Result<()> {
    match text {
        Some(text) => {
            if let Some(above) = path.parent() {
                fs::create_dir_all(above)?;
            }
            // a file that its owner may not write is not replaced by one that happens to have its name
            match fs::OpenOptions::new().write(true).open(path) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            atomic::save(path, text)
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// The folders that have to be made for a file, the outer ones first.
fn missing(root: &Path, path: &Path) -> Vec<String> {
    let above = path.ancestors().skip(1).take_while(|above| above.starts_with(root) && !above.exists());
    let mut names: Vec<String> = above.map(|above| inside::shown(root, above)).collect();
    names.reverse();
    names
}

/// Takes folders away that were made, as far as they are empty.
fn unmake(record: &Record) {
    for name in record.made.iter().rev() {
        // one that holds something else by now stays
        let _ = inside::path(&record.folder, name).map(fs::remove_dir);
    }
}

impl Undo {
    /// Nothing is made until something is kept.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a change: all of its files, or none. Each must still hold what the change says it held.
    ///
    /// # Errors
    /// A file changed meanwhile, lies outside, or cannot be written; the originals cannot be kept. Files written before
    /// the failure have their old text again, and the folders made for them are gone.
    pub fn write(&self, record: &Record) -> Result<(), UndoError> {
        let paths = fresh(record)?;
        let root = fs::canonicalize(&record.folder).unwrap_or_else(|_| record.folder.clone());
        let mut made: Vec<String> = paths.iter().flat_map(|path| missing(&root, path)).collect();
        made.sort_by_key(|name| name.matches('/').count());
        made.dedup();
        let record = Record { made, ..record.clone() };
        let kept = self.keep(&record, "json")?;
        match put_all(&record, &paths) {
            Ok(()) => Ok(()),
            Err((error, restored)) => {
                unmake(&record);
                if restored {
                    let _ = fs::remove_file(&kept);
                }
                Err(error)
            }
        }
    }

    /// Takes the newest change in a folder back; gives it, and newer records that cannot be read. A file that vanished is
    /// made again.
    ///
    /// # Errors
    /// There is none, or files of it were edited since: then nothing is touched.
    pub fn undo(&self, folder: &Path) -> Result<(Record, Vec<PathBuf>), UndoError> {
        let Newest { found, broken } = self.newest(folder)?;
        let Kept { path: kept, record } = found.ok_or(UndoError::Nothing)?;
        let (mut back, mut edited) = (Vec::new(), false);
        for file in &record.files {
            let path = inside::path(&record.folder, &file.name).map_err(refused(&file.name))?;
            let now = inside::text(&path).map_err(refused(&file.name))?;
            if now != file.before {
                edited |= now.is_some() && now != file.after;
                back.push((path, file, now));
            }
        }
        if edited {
            let change = |(_, file, now): (PathBuf, &Original, Option<String>)| Change {
                name: file.name.clone(),
                new: now.is_none(),
                gone: file.before.is_none(),
                diff: Diff::new(now.unwrap_or_default(), file.before.clone().unwrap_or_default()),
            };
            let changes = back.into_iter().map(change).filter(|change| !change.diff.hunks().is_empty()).collect();
            let record = kept.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(UndoError::Edited { record, changes });
        }
        for (path, file, _) in back {
            put(&path, file.before.as_deref())
                .map_err(|source| UndoError::Write { name: file.name.clone(), source })?;
        }
        unmake(&record);
        self.forget(&kept)?;
        Ok((record, broken))
    }

    /// Writes what a person took of the way back over files that were edited since; the record named is done with then.
    /// What stood there is kept beside the records: its place is given.
    ///
    /// # Errors
    /// As [`Undo::write`].
    pub fn take_back(&self, named: &str, record: &Record) -> Result<PathBuf, UndoError> {
        let old = self.folder.join(Path::new(named).file_name().unwrap_or_default());
        let paths = fresh(record)?;
        let kept = self.keep(record, "taken")?;
        put_all(record, &paths).map_err(|(error, _)| error)?;
        if let Some(done) = records::read(&old) {
            unmake(&done);
        }
        self.forget(&old)?;
        Ok(kept)
    }

    /// Forgets the newest change in a folder; gives it.
    ///
    /// # Errors
    /// There is none, or its record cannot be removed.
    pub fn drop_newest(&self, folder: &Path) -> Result<Record, UndoError> {
        let Kept { path, record } = self.newest(folder)?.found.ok_or(UndoError::Nothing)?;
        self.forget(&path)?;
        Ok(record)
    }
}

/// The paths of a change's files, each of which holds what the change says it held.
fn fresh(record: &Record) -> Result<Vec<PathBuf>, UndoError> {
    let mut paths = Vec::new();
    for file in &record.files {
        let path = inside::path(&record.folder, &file.name).map_err(refused(&file.name))?;
        let now = inside::text(&path).map_err(refused(&file.name))?;
        if now != file.before {
            return Err(UndoError::Stale(file.name.clone()));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// Writes all files, or puts back those that were written: and whether that could be done.
fn put_all(record: &Record, paths: &[PathBuf]) -> Result<(), (UndoError, bool)> {
    for (n, (file, path)) in record.files.iter().zip(paths).enumerate() {
        let Err(source) = put(path, file.after.as_deref()) else { continue };
        let written = record.files.iter().zip(paths).take(n);
        // the error that matters is the first one; the record stays if one of these fails too
        let restored = written.map(|(file, path)| put(path, file.before.as_deref())).all(|done| done.is_ok());
        return Err((UndoError::Write { name: file.name.clone(), source }, restored));
    }
    Ok(())
}
