//! The files that hold what was: numbered, readable by their owner only, and never written over by another process.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Kept, LARGEST, Newest, Record, Undo, UndoError};
use crate::atomic;

/// How often a number is tried that another process takes meanwhile.
const TRIES: usize = 1000;

/// A record that can be read.
pub(super) fn read(path: &Path) -> Option<Record> {
    let bytes = crate::small::read(path, LARGEST).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// For its owner alone: it holds what was in files that may be nobody else's business.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        builder.mode(0o700);
        builder.create(folder)?;
        // one of an earlier version may be open to others
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
    }
    #[cfg(not(unix))]
    builder.create(folder)
}

impl Undo {
    /// The newest change of a folder that was not taken back.
    ///
    /// # Errors
    /// The folder of records cannot be read.
    pub fn newest(&self, folder: &Path) -> Result<Newest, UndoError> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mut newest = Newest::default();
        for path in self.names()?.into_iter().rev() {
            // an empty one is a number that another process has taken a moment ago
            if fs::metadata(&path).map_or(0, |found| found.len()) == 0 {
                continue;
            }
            match read(&path) {
                Some(record) if record.folder == folder => {
                    newest.found = Some(Kept { path, record });
                    break;
                }
                Some(_) => {}
                None => newest.broken.push(path),
            }
        }
        Ok(newest)
    }

    /// The records, oldest first.
    fn names(&self) -> Result<Vec<PathBuf>, UndoError> {
        let failed = |source| UndoError::Keep { path: self.folder.clone(), source };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Keeps a record under the next number; gives its path.
    pub(super) fn keep(&self, record: &Record, ending: &str) -> Result<PathBuf, UndoError> {
        let failed = |source| UndoError::Keep { path: self.folder.clone(), source };
        let folder = fs::canonicalize(&record.folder).unwrap_or_else(|_| record.folder.clone());
        let text = serde_json::to_vec(&Record { folder, ..record.clone() }).map_err(|error| failed(error.into()))?;
        if text.len() as u64 > LARGEST {
            return Err(UndoError::Large(text.len() as u64));
        }
        make(&self.folder).map_err(failed)?;
        let last = self.names()?.iter().rev().find_map(|path| number(path)).unwrap_or(0);
        let path = self.reserve(last, ending).map_err(failed)?;
        if let Err(error) = atomic::write(&path, text) {
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        Ok(path)
    }

    /// An empty file whose name nobody else has: what is written into it takes its permissions.
    fn reserve(&self, last: u64, ending: &str) -> io::Result<PathBuf> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        for next in (last.saturating_add(1)..).take(TRIES) {
            let path = self.folder.join(format!("{next:016}.{ending}"));
            match options.open(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn forget(&self, path: &Path) -> Result<(), UndoError> {
        fs::remove_file(path).map_err(|source| UndoError::Keep { path: path.to_owned(), source })
    }
}
