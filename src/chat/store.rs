//! Sessions in a folder: `ID.jsonl` is the journal, `ID.kv` a snapshot that can be thrown away. The only part of the
//! room that reads or writes files.
//!
//! A journal is only added to, under a lock that keeps a second program out. What cannot be read in one session never
//! hides the others; what cannot be written leaves the file readable.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::export;
use super::journal::{self, Entry, JournalError, Read, SessionId};
use super::search::Query;
use super::tree::Conversation;
use crate::error::Advise;

mod snapshots;
mod summary;
mod writer;

pub use super::search::Hit;
pub use snapshots::Snapshot;
pub use summary::Summary;
pub use writer::Writer;

/// Places a search reports; nobody reads more.
const MAX_HITS: usize = 1000;

/// Why the store cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such session.
    #[error("there is no session `{0}`")]
    NotFound(SessionId),
    /// Another program has it open.
    #[error("the session `{0}` is open in another zord")]
    Busy(SessionId),
    /// The folder or the file system cannot be written.
    #[error("cannot write `{}`: the store is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// No room is left.
    #[error("cannot write `{}`: the disk is full", .0.display())]
    Full(PathBuf),
    /// The journal cannot be used.
    #[error("cannot use `{}`", .path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why.
        #[source]
        source: JournalError,
    },
    /// Anything else.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(path.to_owned())
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(path.to_owned()),
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    fn journal(path: &Path, source: JournalError) -> Self {
        match source {
            JournalError::Read(source) => Self::io("read", path, source),
            source => Self::Journal { path: path.to_owned(), source },
        }
    }
}

impl Advise for StoreError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound(_) => Some("`zord sessions list` shows what is there".to_owned()),
            Self::Busy(_) => Some("close it there, or start a new session here".to_owned()),
            Self::ReadOnly(_) => Some(
                "the conversation goes on but is not kept; make the folder writable or set `ZORD_HOME` to one that is"
                    .to_owned(),
            ),
            Self::Full(_) => Some(
                "free some space and go on; `zord sessions remove` and `zord models remove` give some back".to_owned(),
            ),
            Self::Journal { source, .. } => source.hint(),
            Self::Io { .. } => None,
        }
    }
}

/// What a person should know about a session that was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notice {
    /// Lines that could not be used.
    pub skipped: usize,
    /// The last line was cut off, by a kill or a full disk.
    pub torn: bool,
    /// What is said from now on cannot be kept.
    pub read_only: bool,
    /// The file system knows no locks: a second program is not kept out.
    pub unlocked: bool,
}

impl Notice {
    /// One line for the person, without a full stop; `None` when all is well. A torn last line alone is nothing to tell:
    /// at most the last second of an answer was in it.
    pub fn text(&self) -> Option<String> {
        let mut parts = Vec::new();
        match self.skipped {
            0 => {}
            1 => parts.push("1 damaged line of the session was skipped".to_owned()),
            n => parts.push(format!("{n} damaged lines of the session were skipped")),
        }
        if self.read_only {
            parts.push("the store is read-only, so what is said now is not kept".to_owned());
        }
        if self.unlocked {
            parts.push("this file system has no locks; do not open the session twice".to_owned());
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// The folder of sessions.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store in `dir`, which need not exist yet.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Where the journal of a session is.
    pub fn journal_path(&self, id: &SessionId) -> PathBuf {
        self.dir.join(format!("{id}.jsonl"))
    }

    /// Where the KV snapshot of a session is, if there is one.
    pub fn snapshot_path(&self, id: &SessionId) -> PathBuf {
        self.dir.join(format!("{id}.kv"))
    }

    /// The sessions, newest first. One that cannot be read is left out.
    ///
    /// # Errors
    /// The folder is there but cannot be read.
    pub fn list(&self) -> Result<Vec<Summary>, StoreError> {
        let mut all: Vec<Summary> =
            self.ids()?.into_iter().filter_map(|id| summary::of(&self.journal_path(&id), id)).collect();
        all.sort_by(|a, b| (b.updated, &b.id).cmp(&(a.updated, &a.id)));
        Ok(all)
    }

    fn ids(&self) -> Result<Vec<SessionId>, StoreError> {
        let folder = match fs::read_dir(&self.dir) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &self.dir, error)),
        };
        let id = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let id = SessionId::parse(name.to_str()?.strip_suffix(".jsonl")?).ok()?;
            // A pipe under that name would block who opens it.
            fs::metadata(entry.path()).ok()?.is_file().then_some(id)
        };
        Ok(folder.filter_map(|entry| id(entry.ok()?)).collect())
    }

    /// A new session. Nothing is on disk before its first message.
    ///
    /// # Errors
    /// None today; a full or read-only disk shows at the first write.
    pub fn create(&self, model: &str, now_ms: u64) -> Result<(Conversation, Writer), StoreError> {
        let id = self.free_id(now_ms);
        let at = now_ms / 1000;
        let writer = Writer::pending(self.journal_path(&id), &Entry::session(id.clone(), at, model))?;
        Ok((Conversation::new(id, model, at), writer))
    }

    fn free_id(&self, now_ms: u64) -> SessionId {
        // Two programs started in one second must not choose the same name: a random base, and what is there is passed by.
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u64(now_ms);
        let base = hasher.finish() as u32;
        let mut ids = (0..1000).map(|step| SessionId::new(now_ms, base.wrapping_add(step)));
        ids.find(|id| !self.journal_path(id).exists()).unwrap_or_else(|| SessionId::new(now_ms, base))
    }

    /// Opens a session to go on with it, and keeps other programs out while the writer lives.
    ///
    /// # Errors
    /// It is not there, open elsewhere, of a later version, or cannot be read. A session that can be read but not
    /// written is opened with [`Notice::read_only`].
    pub fn open(&self, id: &SessionId) -> Result<(Conversation, Writer, Notice), StoreError> {
        let path = self.journal_path(id);
        let (mut file, read_only) = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => (file, false),
            Err(error) if writing_refused(&error) => (self.open_to_read(id)?, true),
            Err(error) => return Err(missing_or(id, &path, error)),
        };
        let unlocked = !read_only && !lock(&file, id, &path)?;
        let read = journal::read_as(BufReader::with_capacity(1 << 16, &file), id)
            .map_err(|source| StoreError::journal(&path, source))?;
        let notice = Notice { skipped: read.skipped, torn: read.torn, read_only, unlocked };
        let writer = if read_only {
            Writer::read_only(path)
        } else {
            let length = file.seek(SeekFrom::End(0)).map_err(|source| StoreError::io("read", &path, source))?;
            let ended = ends_a_line(&mut file, length).map_err(|source| StoreError::io("read", &path, source))?;
            Writer::over(file, path, length, !ended, !unlocked)
        };
        Ok((read.conversation, writer, notice))
    }

    fn open_to_read(&self, id: &SessionId) -> Result<File, StoreError> {
        let path = self.journal_path(id);
        File::open(&path).map_err(|error| missing_or(id, &path, error))
    }

    /// Reads a session without opening it, also while another program writes it.
    ///
    /// # Errors
    /// It is not there, of a later version, or cannot be read.
    pub fn read(&self, id: &SessionId) -> Result<Read, StoreError> {
        let file = self.open_to_read(id)?;
        journal::read_as(BufReader::with_capacity(1 << 16, file), id)
            .map_err(|source| StoreError::journal(&self.journal_path(id), source))
    }

    /// Removes a session and its snapshot for good, with the note beside it and what is left of writing it.
    ///
    /// # Errors
    /// It is not there, open elsewhere, or cannot be removed.
    pub fn remove(&self, id: &SessionId) -> Result<(), StoreError> {
        let path = self.journal_path(id);
        let file = self.open_to_read(id)?;
        lock(&file, id, &path)?;
        // The snapshot first: without its journal it would be garbage that nobody finds.
        self.discard_snapshot(id)?;
        fs::remove_file(&path).map_err(|error| missing_or(id, &path, error))
    }

    /// The places where all words of `query` are in one message, sessions newest first; a session that cannot be read
    /// is left out. A blank query finds nothing.
    ///
    /// # Errors
    /// The folder is there but cannot be read.
    pub fn search(&self, query: &str) -> Result<Vec<Hit>, StoreError> {
        Ok(self.search_until(query, &|| false)?.unwrap_or_default())
    }

    /// The same, until it is not wanted any more, which is asked before each session: `None` then.
    ///
    /// # Errors
    /// As [`Store::search`].
    pub fn search_until(&self, query: &str, ends: &(dyn Fn() -> bool + Sync)) -> Result<Option<Vec<Hit>>, StoreError> {
        let Some(query) = Query::new(query) else { return Ok(Some(Vec::new())) };
        let ids = self.ids()?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let share = ids.len().div_ceil(threads).max(1);
        let look = |ids: &[SessionId]| -> Vec<(u64, Vec<Hit>)> {
            ids.iter()
                .take_while(|_| !ends())
                .filter_map(|id| {
                    let conversation = self.read(id).ok()?.conversation;
                    Some((conversation.updated(), query.hits(&conversation)))
                })
                .collect()
        };
        let mut found: Vec<(u64, Vec<Hit>)> = std::thread::scope(|scope| {
            let searches: Vec<_> = ids.chunks(share).map(|ids| scope.spawn(|| look(ids))).collect();
            searches.into_iter().flat_map(|search| search.join().unwrap_or_default()).collect()
        });
        if ends() {
            return Ok(None);
        }
        found.retain(|(_, hits)| !hits.is_empty());
        found.sort_by(|(a, x), (b, y)| (b, y.first().map(|hit| &hit.id)).cmp(&(a, x.first().map(|hit| &hit.id))));
        Ok(Some(found.into_iter().flat_map(|(_, hits)| hits).take(MAX_HITS).collect()))
    }

    /// The branch that is shown, as Markdown.
    pub fn export_markdown(conversation: &Conversation) -> String {
        export::export_markdown(conversation)
    }
}

fn missing_or(id: &SessionId, path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound(id.clone()),
        _ => StoreError::io("open", path, error),
    }
}

fn writing_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Takes the lock without waiting; `false` where the file system has none.
fn lock(file: &File, id: &SessionId, path: &Path) -> Result<bool, StoreError> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    let locked = match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(Errno::WOULDBLOCK) => return Err(StoreError::Busy(id.clone())),
        Err(Errno::NOSYS | Errno::NOTSUP | Errno::NOLCK | Errno::INVAL) => false,
        Err(error) => return Err(StoreError::io("lock", path, error.into())),
    };
    // Between opening and locking, the one who held the lock may have removed the file.
    let facts = rustix::fs::fstat(file).map_err(|error| StoreError::io("open", path, error.into()))?;
    if facts.st_nlink == 0 { Err(StoreError::NotFound(id.clone())) } else { Ok(locked) }
}

fn ends_a_line(file: &mut File, length: u64) -> io::Result<bool> {
    use std::io::Read as _;
    if length == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

#[cfg(test)]
mod tests;
