//! Adds entries to a journal. One write a line, so that a kill tears at most the last one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{StoreError, lock, writing_refused};
use crate::chat::journal::{Entry, SessionId};

/// Entries kept back before the first message; more is a fault of the caller, and the first write shows it.
const MAX_PENDING: usize = 64 << 20;

/// The end of a journal. The lock on it is held until this is dropped.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    target: Target,
    /// The file ends in the middle of a line.
    torn: bool,
    unsynced: bool,
}

#[derive(Debug)]
enum Target {
    /// No file yet; what will be its beginning.
    Pending {
        lines: String,
    },
    Open {
        file: File,
        length: u64,
        locked: bool,
    },
    ReadOnly,
}

impl Writer {
    pub(super) fn pending(path: PathBuf, header: &Entry) -> Result<Self, StoreError> {
        let lines = header.line().map_err(|source| StoreError::journal(&path, source))?;
        Ok(Self { path, target: Target::Pending { lines }, torn: false, unsynced: false })
    }

    pub(super) fn read_only(path: PathBuf) -> Self {
        Self { path, target: Target::ReadOnly, torn: false, unsynced: false }
    }

    pub(super) fn over(file: File, path: PathBuf, length: u64, torn: bool, locked: bool) -> Self {
        Self { path, target: Target::Open { file, length, locked }, torn, unsynced: false }
    }

    /// Adds an entry and hands it to the system, where a kill of this program cannot reach it.
    ///
    /// # Errors
    /// The disk is full, the store is read-only, the entry is absurdly large. The journal stays readable, the entry is
    /// not in it, and it may be written again.
    pub fn write(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let line = entry.line().map_err(|source| StoreError::journal(&self.path, source))?;
        match &mut self.target {
            Target::ReadOnly => Err(StoreError::ReadOnly(self.path.clone())),
            Target::Open { .. } => self.add(&line),
            Target::Pending { lines } if !matches!(entry, Entry::Node { .. }) => {
                if lines.len() + line.len() > MAX_PENDING {
                    return Err(StoreError::Full(self.path.clone()));
                }
                lines.push_str(&line);
                Ok(())
            }
            Target::Pending { lines } => {
                let beginning = format!("{lines}{line}");
                let (file, locked) = create(&self.path)?;
                self.target = Target::Open { file, length: 0, locked };
                self.add(&beginning).inspect_err(|_| {
                    // Begun again with the next message; an empty file would be a session without a word.
                    let lines = beginning.strip_suffix(line.as_str()).unwrap_or_default().to_owned();
                    self.target = Target::Pending { lines };
                    self.torn = false;
                    let _ = std::fs::remove_file(&self.path);
                })
            }
        }
    }

    fn add(&mut self, lines: &str) -> Result<(), StoreError> {
        let Target::Open { file, length, locked } = &mut self.target else { return Ok(()) };
        let text = if self.torn { format!("\n{lines}") } else { lines.to_owned() };
        if let Err(source) = file.write_all(text.as_bytes()) {
            // Half a line may be there. Nobody else adds to a locked file, so it can be cut back to what it was;
            // where that fails, the next write begins on a fresh line.
            if !(*locked && file.set_len(*length).is_ok()) {
                self.torn = true;
            }
            return Err(StoreError::io("write", &self.path, source));
        }
        *length += text.len() as u64;
        self.torn = false;
        self.unsynced = true;
        Ok(())
    }

    /// Hands what was written to the disk, where a power cut cannot reach it; cheap when nothing was written.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        let Target::Open { file, .. } = &self.target else { return Ok(()) };
        if self.unsynced {
            file.sync_data().map_err(|source| StoreError::io("write", &self.path, source))?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// A new journal that only this program may write and only this user may read.
fn create(path: &Path) -> Result<(File, bool), StoreError> {
    let failed = |source: io::Error| match source {
        source if writing_refused(&source) => StoreError::ReadOnly(path.to_owned()),
        source => StoreError::io("create", path, source),
    };
    if let Some(dir) = path.parent() {
        private_folder(dir).map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(failed)?;
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let id = SessionId::parse(name).map_err(|source| StoreError::journal(path, source))?;
    let locked = lock(&file, &id, path)?;
    // The name must survive a power cut, too; a folder that cannot be synced is no reason to lose the session.
    if let Some(dir) = path.parent()
        && let Ok(dir) = File::open(dir)
    {
        let _ = dir.sync_all();
    }
    Ok((file, locked))
}

fn private_folder(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
