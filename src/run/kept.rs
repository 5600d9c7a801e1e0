//! What was typed and not saved, where a kill cannot reach it: one file for each, below the folder of the data. It holds
//! the whole text as it was when the first change came, then a line for each change, so that a key costs a line and not the
//! file; it is synced on a thread of its own. A lock tells whether the program that writes it still lives: the system drops
//! it with the process.
//!
//! Everything in it is checked when it is read; a line cut in half by a loss of power ends it.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ropey::Rope;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clerk::{Clerk, Work};
use super::now_ms;
use crate::app::editor::msg::{Kept, Stamp};
use crate::hex::hex;
use crate::text::change::Change;

/// Bytes of changes, beyond which the whole text is written anew if it is not larger.
const APPENDED: u64 = 1 << 20;
/// The largest file that is read back.
const LARGEST: u64 = 512 << 20;
/// Files told about at the start.
const TOLD: usize = 4;

#[derive(Serialize, Deserialize)]
struct Head {
    path: PathBuf,
    base: Option<String>,
    at: u64,
}

#[derive(Serialize, Deserialize)]
struct Whole {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Line {
    at: usize,
    cut: usize,
    put: String,
}

/// The folder of what is kept.
#[derive(Clone, Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Nothing is made by naming it.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn stem(real: &Path) -> String {
        hex(&Sha256::digest(real.as_os_str().as_encoded_bytes())[..12])
    }

    /// Files kept for a path by programs that are gone, the newest first.
    fn orphans(&self, real: &Path) -> Vec<PathBuf> {
        let stem = Self::stem(real);
        let mut found: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&stem) && name.ends_with(".jsonl") && is_orphan(&entry.path()) {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                found.push((modified.unwrap_or(std::time::UNIX_EPOCH), entry.path()));
            }
        }
        found.sort();
        found.into_iter().rev().map(|(_, path)| path).collect()
    }

    /// What was kept for a path, the newest first. What is on disk already goes.
    pub(super) fn find(&self, real: &Path, stamp: Option<Stamp>, rope: &Rope) -> Vec<Kept> {
        let kept = self.orphans(real).into_iter().filter_map(|record| {
            let (head, text) = read(&record).ok().flatten()?;
            if head.path != real {
                return None;
            }
            if text == *rope {
                let _ = fs::remove_file(&record);
                return None;
            }
            let same_base = head.base == stamp.map(|stamp| hex(&stamp.hash));
            Some(Kept { rope: text, at: head.at, same_base, record })
        });
        kept.collect()
    }

    /// Names, relative to a folder, of the files in it that something is kept for, and how many more there are.
    pub(super) fn left_in(&self, folder: &Path) -> (Vec<String>, usize) {
        let (mut names, mut more) = (Vec::new(), 0);
        let Ok(folder) = fs::canonicalize(folder) else { return (names, more) };
        for entry in fs::read_dir(&self.0).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") || !is_orphan(&path) {
                continue;
            }
            let Ok(Some(head)) = head(&path) else { continue };
            let Ok(name) = head.path.strip_prefix(&folder) else { continue };
            let name = name.display().to_string();
            match names.len() {
                _ if names.contains(&name) => {}
                0..TOLD => names.push(name),
                _ => more += 1,
            }
        }
        (names, more)
    }
}

/// Whether nobody holds its lock.
fn is_orphan(file: &Path) -> bool {
    File::open(file).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn head(file: &Path) -> io::Result<Option<Head>> {
    let mut line = String::new();
    BufReader::new(File::open(file)?.take(1 << 16)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line).ok())
}

/// The text that a file keeps, as far as it is whole.
fn read(file: &Path) -> io::Result<Option<(Head, Rope)>> {
    let content = crate::small::read(file, LARGEST)?;
    let mut lines = content.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let head = lines.next().and_then(|line| serde_json::from_slice::<Head>(line).ok());
    let whole = lines.next().and_then(|line| serde_json::from_slice::<Whole>(line).ok());
    let (Some(head), Some(whole)) = (head, whole) else { return Ok(None) };
    let mut rope = Rope::from_str(&whole.text);
    for line in lines {
        let Ok(Line { at, cut, put }) = serde_json::from_slice::<Line>(line) else { break };
        let end = at.saturating_add(cut);
        if end > rope.len_chars() {
            break;
        }
        Change::new(&rope, at..end, put).apply(&mut rope);
    }
    Ok(Some((head, rope)))
}

enum Task {
    Keep { real: PathBuf, base: Option<Stamp>, rope: Rope, changes: Vec<Change> },
    Forget(PathBuf),
    Adopted { real: PathBuf, record: PathBuf },
    SetAside(PathBuf),
}

/// The way to the thread that writes.
pub(super) struct Keeper(Clerk<Task>);

impl Keeper {
    /// Starts the thread; `failed` is called on it, once for each time that writing begins to fail.
    pub(super) fn start(place: Place, failed: impl Fn(String) + Send + 'static) -> Self {
        Self(Clerk::start("kept", Shelf { place, writers: HashMap::new(), told: false, failed }))
    }

    pub(super) fn keep(&self, real: PathBuf, base: Option<Stamp>, rope: Rope, changes: Vec<Change>) {
        self.0.hand(Task::Keep { real, base, rope, changes });
    }

    pub(super) fn forget(&self, real: PathBuf) {
        self.0.hand(Task::Forget(real));
    }

    pub(super) fn adopted(&self, real: PathBuf, record: PathBuf) {
        self.0.hand(Task::Adopted { real, record });
    }

    pub(super) fn set_aside(&self, record: PathBuf) {
        self.0.hand(Task::SetAside(record));
    }

    /// Waits until everything is written, at most `patience`.
    pub(super) fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}

/// A file that is being written, locked.
struct Writer {
    path: PathBuf,
    file: File,
    whole: u64,
    appended: u64,
}

/// What the thread has: the files being written, and whether failing was told.
struct Shelf<F> {
    place: Place,
    writers: HashMap<PathBuf, Writer>,
    told: bool,
    failed: F,
}

impl<F: Fn(String) + Send + 'static> Work<Task> for Shelf<F> {
    fn take(&mut self, task: Task) {
        match task {
            Task::Keep { real, base, rope, changes } => {
                match keep(&self.place, &mut self.writers, &real, base, &rope, &changes) {
                    Ok(()) => self.told = false,
                    Err(error) => {
                        self.writers.remove(&real);
                        if !std::mem::replace(&mut self.told, true) {
                            (self.failed)(format!("what you type is not kept against a kill: {error}"));
                        }
                    }
                }
            }
            Task::Forget(real) => {
                if let Some(writer) = self.writers.remove(&real) {
                    let _ = fs::remove_file(writer.path);
                }
            }
            // only when the text is in a record of ours, which may have taken the place of the other
            Task::Adopted { real, record } => {
                if self.writers.get(&real).is_some_and(|writer| writer.path != record) {
                    let _ = fs::remove_file(record);
                }
            }
            Task::SetAside(record) => set_aside(&record),
        }
    }
}

fn keep(
    place: &Place,
    writers: &mut HashMap<PathBuf, Writer>,
    real: &Path,
    base: Option<Stamp>,
    rope: &Rope,
    changes: &[Change],
) -> io::Result<()> {
    if let Some(writer) = writers.get_mut(real)
        && writer.appended < APPENDED.max(writer.whole)
    {
        let mut lines = Vec::new();
        for Change { at, cut, put } in changes {
            serde_json::to_writer(&mut lines, &Line { at: *at, cut: cut.chars().count(), put: put.clone() })?;
            lines.push(b'\n');
        }
        writer.file.write_all(&lines)?;
        writer.appended += lines.len() as u64;
        return writer.file.sync_data();
    }
    let older = writers.get(real).map(|writer| writer.path.clone());
    let writer = begin(place, real, base, rope, older.as_deref())?;
    writers.insert(real.to_owned(), writer);
    Ok(())
}

/// Turns a record into a file that holds its text.
fn set_aside(record: &Path) {
    if let Ok(Some((_, text))) = read(record)
        && crate::atomic::write(record.with_extension("txt"), text.to_string()).is_ok()
    {
        let _ = fs::remove_file(record);
    }
}

/// Writes the whole text to a new file, in place of an older one of ours.
fn begin(place: &Place, real: &Path, base: Option<Stamp>, rope: &Rope, older: Option<&Path>) -> io::Result<Writer> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(&place.0)?;
    let stem = Place::stem(real);
    // a name of its own each time: what another program left is not written over
    let own = |n: u32| place.0.join(format!("{stem}-{}-{n}.jsonl", now_ms() / 1000));
    let path =
        older.map_or_else(|| (0..).map(own).find(|path| !path.exists()).unwrap_or_else(|| own(0)), Path::to_owned);
    let temporary = crate::atomic::beside(&path)?;
    let mut options = OpenOptions::new();
    options.create_new(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    let mut content = Vec::new();
    let head = Head { path: real.to_owned(), base: base.map(|stamp| hex(&stamp.hash)), at: now_ms() / 1000 };
    serde_json::to_writer(&mut content, &head)?;
    content.push(b'\n');
    serde_json::to_writer(&mut content, &Whole { text: rope.to_string() })?;
    content.push(b'\n');
    let written = file.write_all(&content).and_then(|()| file.sync_data());
    // file systems without locks (some on phones) still keep the text; two programs at once then share its name
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    written.and_then(|()| fs::rename(&temporary, &path)).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    Ok(Writer { path, file, whole: content.len() as u64, appended: 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn place() -> (tempfile::TempDir, Place) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path().join("kept"));
        (folder, place)
    }

    fn change(rope: &mut Rope, at: usize, len: usize, put: &str) -> Change {
        let change = Change::new(rope, at..at + len, put);
        change.apply(rope);
        change
    }

    #[test]
    fn a_living_program_keeps_what_is_its_own() {
        let (folder, place) = place();
        let real = folder.path().join("a.rs");
        let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
        keeper.keep(real.clone(), None, Rope::from_str("mine"), Vec::new());
        assert!(keeper.0.settle(PATIENCE));
        assert!(place.find(&real, None, &Rope::new()).is_empty(), "its lock is held");
        keeper.finish(PATIENCE);
        let [kept] = &place.find(&real, None, &Rope::new())[..] else { panic!() };
        assert!(kept.rope == "mine" && kept.same_base);
        assert_eq!(place.left_in(folder.path()), (vec!["a.rs".to_owned()], 0));
        assert!(place.find(&real, None, &Rope::from_str("mine")).is_empty(), "it is on disk already");
        assert_eq!(place.left_in(folder.path()), (Vec::new(), 0));
    }

    #[test]
    fn what_other_programs_left_goes_only_when_it_was_dealt_with() {
        let (folder, place) = place();
        let real = folder.path().join("a.rs");
        for text in ["first", "second"] {
            let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
            keeper.keep(real.clone(), None, Rope::from_str(text), Vec::new());
            keeper.finish(PATIENCE);
        }
        let found = |texts: &[&str]| {
            let mut found: Vec<String> =
                place.find(&real, None, &Rope::new()).iter().map(|kept| kept.rope.to_string()).collect();
            found.sort();
            assert_eq!(found, texts);
        };
        found(&["first", "second"]);
        let record =
            place.find(&real, None, &Rope::new()).into_iter().find(|kept| kept.rope == "first").unwrap().record;
        let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
        keeper.adopted(real.clone(), record.clone());
        keeper.finish(PATIENCE);
        found(&["first", "second"]);
        let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
        keeper.keep(real.clone(), None, Rope::from_str("third"), Vec::new());
        keeper.adopted(real.clone(), record);
        keeper.finish(PATIENCE);
        found(&["second", "third"]);
        let record =
            place.find(&real, None, &Rope::new()).into_iter().find(|kept| kept.rope == "second").unwrap().record;
        let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
        keeper.keep(real.clone(), None, Rope::from_str("fourth"), Vec::new());
        keeper.set_aside(record.clone());
        keeper.forget(real.clone());
        keeper.finish(PATIENCE);
        found(&["third"]);
        assert_eq!(fs::read_to_string(record.with_extension("txt")).unwrap(), "second");
    }

    #[test]
    fn a_line_cut_in_half_ends_what_is_read() {
        let (folder, place) = place();
        let real = folder.path().join("a.rs");
        let mut rope = Rope::from_str("one");
        let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
        keeper.keep(real.clone(), None, rope.clone(), Vec::new());
        let changes = vec![change(&mut rope, 3, 0, " two"), change(&mut rope, 7, 0, " three")];
        keeper.keep(real.clone(), None, rope.clone(), changes);
        keeper.finish(PATIENCE);
        let file = place.orphans(&real).remove(0);
        let content = fs::read(&file).unwrap();
        fs::write(&file, &content[..content.len() - 3]).unwrap();
        assert_eq!(place.find(&real, None, &Rope::new())[0].rope, "one two");
        for garbage in [&b"{}\n"[..], b"\xff\n\xff\n", b""] {
            fs::write(&file, garbage).unwrap();
            assert!(place.find(&real, None, &Rope::new()).is_empty());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn a_killed_session_loses_nothing(edits in proptest::collection::vec((0usize..40, 0usize..6, "[a-z\n\"\\\\中]{0,9}"), 1..30)) {
            let (folder, place) = place();
            let real = folder.path().join("a.rs");
            let mut rope = Rope::from_str("fn main() {}\r\n");
            let keeper = Keeper::start(place.clone(), |why| panic!("{why}"));
            for (at, len, put) in edits {
                let at = at.min(rope.len_chars());
                let changes = vec![change(&mut rope, at, len, &put)];
                keeper.keep(real.clone(), None, rope.clone(), changes);
            }
            keeper.finish(PATIENCE);
            let kept = place.find(&real, None, &Rope::from_str("\u{0}"));
            prop_assert_eq!(kept.into_iter().map(|kept| kept.rope).collect::<Vec<_>>(), [rope]);
        }
    }
}
