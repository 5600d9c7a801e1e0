//! What files held before they were changed, kept on disk until it is wanted back: one JSON file a change, written before
//! the first file is touched, so that a kill in between loses nothing.
//!
//! It refuses to take back a change over something that was written since: then it says what differs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::diff::Diff;
use super::inside::{self, Refused};
use crate::atomic;
use crate::error::Advise;

/// Bytes of a record: two texts of every file that one change may touch.
const LARGEST: u64 = 256 << 20;

/// One file of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Relative to the folder.
    pub name: String,
    /// What it held; `None`: there was no such file.
    pub before: Option<String>,
    /// What was written.
    pub after: String,
}

/// A change as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The folder it was made in.
    pub folder: PathBuf,
    /// Milliseconds since 1970.
    pub at: u64,
    /// Its files.
    pub files: Vec<Original>,
}

/// Why something could not be written or taken back. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Nothing is kept for this folder.
    #[error("there is nothing to take back in this folder")]
    Nothing,
    /// A file was edited since.
    #[error("`{name}` was edited since")]
    Edited {
        /// The file.
        name: String,
        /// From what was written to what stands there.
        diff: Box<Diff>,
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
}

impl Advise for UndoError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Stale(_) => "`/apply` shows a diff against what stands there now".into(),
            Self::Edited { .. } => "nothing was taken back; the originals are kept".into(),
            Self::Keep { .. } => "without a place for originals nothing is written".into(),
            Self::Nothing | Self::Refused { .. } | Self::Write { .. } => return None,
        })
    }
}

/// The folder of records.
#[derive(Clone, Debug)]
pub struct Undo {
    folder: PathBuf,
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
            atomic::write(path, text)
        }
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
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
    /// the failure have their old text again.
    pub fn write(&self, record: &Record) -> Result<(), UndoError> {
        let mut paths = Vec::new();
        for file in &record.files {
            let path = inside::path(&record.folder, &file.name).map_err(refused(&file.name))?;
            let now = inside::text(&path).map_err(refused(&file.name))?;
            if now != file.before {
                return Err(UndoError::Stale(file.name.clone()));
            }
            paths.push(path);
        }
        let kept = self.keep(record)?;
        for (n, (file, path)) in record.files.iter().zip(&paths).enumerate() {
            if let Err(source) = put(path, Some(&file.after)) {
                for (file, path) in record.files.iter().zip(&paths).take(n) {
                    // the error that matters is the first one; the record stays if this one fails too
                    if put(path, file.before.as_deref()).is_err() {
                        return Err(UndoError::Write { name: file.name.clone(), source });
                    }
                }
                let _ = fs::remove_file(&kept);
                return Err(UndoError::Write { name: file.name.clone(), source });
            }
        }
        Ok(())
    }

    /// Takes the newest change in a folder back; gives it.
    ///
    /// # Errors
    /// There is none, or a file of it holds neither what was written nor what was there before: then nothing is touched.
    pub fn undo(&self, folder: &Path) -> Result<Record, UndoError> {
        let (kept, record) = self.newest(folder)?.ok_or(UndoError::Nothing)?;
        let mut back = Vec::new();
        for file in &record.files {
            let path = inside::path(&record.folder, &file.name).map_err(refused(&file.name))?;
            let now = inside::text(&path).map_err(refused(&file.name))?;
            if now == file.before {
                continue;
            }
            if now.as_deref() != Some(&file.after) {
                let diff = Diff::new(file.after.as_str(), now.unwrap_or_default());
                return Err(UndoError::Edited { name: file.name.clone(), diff: Box::new(diff) });
            }
            back.push((path, file));
        }
        for (path, file) in back {
            put(&path, file.before.as_deref())
                .map_err(|source| UndoError::Write { name: file.name.clone(), source })?;
        }
        fs::remove_file(&kept).map_err(|source| UndoError::Keep { path: kept, source })?;
        Ok(record)
    }

    /// The newest change of a folder that was not taken back, and where it is kept.
    ///
    /// # Errors
    /// The folder of records cannot be read. A record that is broken is passed over.
    pub fn newest(&self, folder: &Path) -> Result<Option<(PathBuf, Record)>, UndoError> {
        let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        for path in self.names()?.into_iter().rev() {
            let Ok(found) = fs::metadata(&path) else { continue };
            if found.len() > LARGEST {
                continue;
            }
            let read = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
            if let Some(record) = read.filter(|record| record.folder == folder) {
                return Ok(Some((path, record)));
            }
        }
        Ok(None)
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

    fn keep(&self, record: &Record) -> Result<PathBuf, UndoError> {
        let failed = |source| UndoError::Keep { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let folder = fs::canonicalize(&record.folder).unwrap_or_else(|_| record.folder.clone());
        let text = serde_json::to_vec(&Record { folder, ..record.clone() }).map_err(|error| failed(error.into()))?;
        let last = self.names()?.pop();
        let last = last.and_then(|path| path.file_stem()?.to_str()?.parse::<u64>().ok()).unwrap_or(0);
        let path = self.folder.join(format!("{:016}.json", last + 1));
        atomic::write(&path, text).map_err(failed)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        _home: tempfile::TempDir,
        folder: PathBuf,
        undo: Undo,
    }

    fn scene() -> Scene {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("project");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a.txt"), "one\n").unwrap();
        fs::write(folder.join("b.txt"), "two\n").unwrap();
        Scene { undo: Undo::at(home.path().join("state/undo")), folder, _home: home }
    }

    impl Scene {
        fn record(&self, files: &[(&str, Option<&str>, &str)]) -> Record {
            let original = |(name, before, after): &(&str, Option<&str>, &str)| Original {
                name: (*name).into(),
                before: before.map(str::to_owned),
                after: (*after).into(),
            };
            Record { folder: self.folder.clone(), at: 1, files: files.iter().map(original).collect() }
        }

        fn text(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.folder.join(name)).ok()
        }
    }

    #[test]
    fn all_files_of_a_change_come_back_also_after_a_restart() {
        let scene = scene();
        let first = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("new/c.txt", None, "3\n")]);
        scene.undo.write(&first).unwrap();
        scene.undo.write(&scene.record(&[("a.txt", Some("1\n"), "11\n")])).unwrap();
        let later = Undo::at(scene.undo.folder.clone());
        later.undo(&scene.folder).unwrap();
        assert_eq!(scene.text("a.txt").as_deref(), Some("1\n"));
        later.undo(&scene.folder).unwrap();
        assert_eq!((scene.text("a.txt").as_deref(), scene.text("new/c.txt")), (Some("one\n"), None));
        assert!(matches!(later.undo(&scene.folder), Err(UndoError::Nothing)));
    }

    #[test]
    fn a_file_edited_since_is_left_alone_with_the_others() {
        let scene = scene();
        scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("two\n"), "2\n")])).unwrap();
        fs::write(scene.folder.join("b.txt"), "mine\n").unwrap();
        let Err(UndoError::Edited { name, diff }) = scene.undo.undo(&scene.folder) else { panic!() };
        assert_eq!((name.as_str(), diff.old(), diff.proposed()), ("b.txt", "2\n", "mine\n"));
        assert_eq!((scene.text("a.txt").as_deref(), scene.text("b.txt").as_deref()), (Some("1\n"), Some("mine\n")));
        fs::write(scene.folder.join("b.txt"), "2\n").unwrap();
        scene.undo.undo(&scene.folder).unwrap();
        assert_eq!(scene.text("b.txt").as_deref(), Some("two\n"));
    }

    #[test]
    fn what_changed_since_the_diff_or_lies_outside_is_not_written() {
        let scene = scene();
        let stale = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("old\n"), "2\n")]);
        assert!(matches!(scene.undo.write(&stale), Err(UndoError::Stale(name)) if name == "b.txt"));
        let gone = scene.record(&[("c.txt", Some("three\n"), "3\n")]);
        assert!(matches!(scene.undo.write(&gone), Err(UndoError::Stale(_))), "it vanished");
        let taken = scene.record(&[("a.txt", None, "1\n")]);
        assert!(matches!(scene.undo.write(&taken), Err(UndoError::Stale(_))), "it is there by now");
        let outside = scene.record(&[("../c.txt", None, "3\n")]);
        assert!(matches!(scene.undo.write(&outside), Err(UndoError::Refused { .. })));
        assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
        assert!(scene.undo.newest(&scene.folder).unwrap().is_none(), "nothing is kept of what was not written");
    }

    #[cfg(unix)]
    #[test]
    fn a_failure_in_the_middle_writes_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let scene = scene();
        // a folder cannot be made where a file is, which also holds for whoever may write everything
        let half = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt/c.txt", None, "3\n")]);
        assert!(scene.undo.write(&half).is_err());
        assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
        assert!(scene.undo.newest(&scene.folder).unwrap().is_none());
        if rustix::process::geteuid().is_root() {
            return;
        }
        fs::set_permissions(scene.folder.join("b.txt"), fs::Permissions::from_mode(0o400)).unwrap();
        let barred = scene.record(&[("a.txt", Some("one\n"), "1\n"), ("b.txt", Some("two\n"), "2\n")]);
        assert!(matches!(scene.undo.write(&barred), Err(UndoError::Write { .. })));
        assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
    }

    #[test]
    fn broken_and_foreign_records_are_passed_over() {
        let scene = scene();
        scene.undo.write(&scene.record(&[("a.txt", Some("one\n"), "1\n")])).unwrap();
        fs::write(scene.undo.folder.join("9999999999999999.json"), "{").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(matches!(scene.undo.undo(elsewhere.path()), Err(UndoError::Nothing)));
        scene.undo.undo(&scene.folder).unwrap();
        assert_eq!(scene.text("a.txt").as_deref(), Some("one\n"));
    }
}
