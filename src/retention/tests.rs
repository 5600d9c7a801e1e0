use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::*;
use crate::chat::Role;
use crate::chat::journal::Entry;
use crate::chat::store::Writer;
use crate::chat::tree::NodeId;

/// A number that no process has: Linux gives out fewer.
const NOBODY: i32 = i32::MAX;
const DAY: u64 = 24 * 60 * 60;

/// The time at which all of these tests happen.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

struct Home {
    paths: Paths,
    _folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { paths: Paths::under(folder.path().to_owned()), _folder: folder }
    }

    fn sweep(&self) -> Swept {
        sweep(&self.paths, now())
    }

    fn holding(&self, category: Category) -> Holding {
        let mut found = holdings(&self.paths).into_iter().filter(|holding| holding.category == category);
        found.next().unwrap()
    }
}

/// A file of this length, written so many seconds ago. Its bytes take no room on the disk.
fn put(path: PathBuf, length: u64, seconds: u64) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(&path).unwrap();
    file.set_len(length).unwrap();
    file.set_modified(now() - Duration::from_secs(seconds)).unwrap();
    path
}

fn conversation(paths: &Paths, seconds: u64) -> (SessionId, Writer) {
    let (conversation, mut writer) = Store::at(paths.sessions()).create("m", seconds * 1000).unwrap();
    let (id, text, attachments) = (NodeId(0), "hi".to_owned(), Vec::new());
    writer.write(&Entry::Node { id, parent: None, role: Role::User, text, attachments, at: 5 }).unwrap();
    (conversation.id().clone(), writer)
}

/// Snapshot and note of a session.
fn snapshot(paths: &Paths, id: &SessionId, length: u64, days: u64) -> [PathBuf; 2] {
    let file = Store::at(paths.sessions()).snapshot_path(id);
    [put(file.clone(), length, days * DAY), put(file.with_added_extension("json"), 10, days * DAY)]
}

fn there(files: &[PathBuf]) -> Vec<bool> {
    files.iter().map(|file| file.exists()).collect()
}

#[test]
fn snapshots_go_by_age_and_cap_and_those_of_open_or_removed_sessions_as_is_right() {
    let home = Home::new();
    let paths = &home.paths;
    let closed = |at| conversation(paths, at).0;
    let [recent, large, small, old] = [1, 2, 3, 4].map(closed);
    let (open, writer) = conversation(paths, 5);
    let gone = SessionId::parse("gone").unwrap();
    let held = snapshot(paths, &open, 10, 400);
    let kept = snapshot(paths, &recent, 3 << 30, 1);
    let dropped = [
        snapshot(paths, &large, 2 << 30, 2),
        snapshot(paths, &small, 10, 3),
        snapshot(paths, &old, 10, 31),
        snapshot(paths, &gone, 10, 1),
    ]
    .concat();
    assert_eq!(home.holding(Category::Snapshots).count, 6);
    assert_eq!(home.sweep().count, 4);
    assert!(there(&held).iter().all(|there| *there), "another program has this one open");
    assert_eq!(there(&kept), [true; 2], "the newest stays, whatever it takes");
    assert_eq!(there(&dropped), [false; 8]);
    assert_eq!(Store::at(paths.sessions()).list().unwrap().len(), 5, "no journal is swept");
    drop(writer);
    assert_eq!(home.sweep().count, 1);
    assert!(there(&held).iter().all(|there| !there));
}

#[test]
fn what_a_killed_program_was_writing_goes_after_an_hour_and_what_a_living_one_writes_stays() {
    let home = Home::new();
    let (sessions, undo) = (home.paths.sessions(), home.paths.undo());
    let (id, _) = conversation(&home.paths, 1);
    let torn = put(sessions.join(format!("{id}.kv.part")), 10, 2 * 3600);
    let dead = put(undo.join(format!(".0001.json.{NOBODY}-0.tmp")), 10, 2 * 3600);
    let fresh = put(undo.join(format!(".0002.json.{NOBODY}-0.tmp")), 10, 60);
    let alive = put(undo.join(format!(".0003.json.{}-0.tmp", std::process::id())), 10, 2 * 3600);
    let copy = put(home.paths.models().join(format!(".m.gguf.{NOBODY}-0.tmp")), 5000, 0);
    assert_eq!(home.sweep(), Swept { count: 2, bytes: 5020 });
    assert_eq!(there(&[torn, dead, copy, fresh, alive]), [false, false, false, true, true]);
}

#[test]
fn undo_records_and_declined_drafts_have_ages_and_caps() {
    let home = Home::new();
    for (folder, ending, most) in [(home.paths.undo(), "json", 512), (home.paths.unsaved(), "txt", 64_u64)] {
        let file =
            |name: &str, mib: u64, days: u64| put(folder.join(format!("{name}.{ending}")), mib << 20, days * DAY);
        let kept = [file("5", 1, 0), file("4", most - 1, 1), file("2", 0, 89)];
        let dropped = [file("3", 1, 2), file("1", 0, 91)];
        assert_eq!(home.sweep().count, 2, "{ending}");
        assert_eq!((there(&kept), there(&dropped)), (vec![true; 3], vec![false; 2]), "{ending}");
    }
}

#[test]
fn what_a_person_typed_and_has_not_seen_again_is_never_swept() {
    let home = Home::new();
    let draft = put(home.paths.unsaved().join("a-1-0.jsonl"), 1 << 30, 4000 * DAY);
    let half = put(home.paths.unsaved().join(format!(".a-1-1.jsonl.{NOBODY}-0.tmp")), 10, 4000 * DAY);
    let message = put(home.paths.unsent().join(format!("b.{NOBODY}")), 1 << 30, 4000 * DAY);
    assert_eq!(home.sweep(), Swept::default());
    assert_eq!(there(&[draft, half, message]), [true; 3]);
    for category in [Category::Drafts, Category::Unsent] {
        let oldest = Some(1_800_000_000 - 4000 * DAY);
        assert_eq!(home.holding(category), Holding { category, count: 1, bytes: 1 << 30, oldest });
    }
}

#[test]
fn downloads_that_nobody_goes_on_with_are_dropped() {
    let home = Home::new();
    let models = home.paths.models();
    let part = |name: &str, days| put(models.join(name), 100, days * DAY);
    let waits = part("waits.gguf.part", 29);
    let runs = part("runs.gguf.part", 31);
    let lock = File::open(&runs).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let left = [part("left.gguf.part", 31), part("left.gguf.part.toml", 31), part("o--r.part/a.safetensors", 31)];
    let held = part("o--s.part/deep/a.part", 31);
    let inner = File::open(&held).unwrap();
    flock(&inner, FlockOperation::NonBlockingLockExclusive).unwrap();
    for folder in ["o--r.part", "o--s.part/deep", "o--s.part"] {
        File::open(models.join(folder)).unwrap().set_modified(now() - Duration::from_secs(31 * DAY)).unwrap();
    }
    assert_eq!(home.holding(Category::Downloads).count, 5);
    assert_eq!(home.sweep(), Swept { count: 2, bytes: 200 });
    assert_eq!(there(&[waits, runs, held]), [true; 3]);
    assert_eq!(there(&left), [false; 3]);
    drop((lock, inner));
    assert_eq!(home.sweep().count, 2, "their programs ended");
}

#[test]
fn suggestions_that_nobody_used_for_long_go() {
    let home = Home::new();
    let file = put(home.paths.suggestions(), 100, 89 * DAY);
    assert_eq!(home.sweep(), Swept::default());
    put(file.clone(), 100, 91 * DAY);
    assert_eq!(home.holding(Category::Suggestions).count, 1);
    assert_eq!(home.sweep(), Swept { count: 1, bytes: 100 });
    assert!(!file.exists());
}

#[test]
fn a_removed_session_leaves_nothing_of_its_own() {
    let home = Home::new();
    let (removed, writer) = conversation(&home.paths, 1);
    let (other, _) = conversation(&home.paths, 2);
    let of_other = snapshot(&home.paths, &other, 10, 0);
    let sessions = home.paths.sessions();
    let own = [
        snapshot(&home.paths, &removed, 10, 0).to_vec(),
        vec![put(sessions.join(format!("{removed}.kv.part")), 10, 0)],
        vec![put(sessions.join(format!(".{removed}.kv.json.{NOBODY}-0.tmp")), 10, 0)],
    ]
    .concat();
    fs::create_dir_all(home.paths.last()).unwrap();
    let note = |name: &str, id: &SessionId| {
        let path = home.paths.last().join(name);
        fs::write(&path, id.as_str()).unwrap();
        path
    };
    let (mine, theirs) = (note("a", &removed), note("b", &other));
    let undo = put(home.paths.undo().join("1.json"), 10, 0);
    assert!(matches!(remove_session(&home.paths, &removed), Err(StoreError::Busy(_))));
    assert!(there(&own).iter().all(|there| *there) && mine.exists(), "it is open elsewhere: nothing is touched");
    drop(writer);
    remove_session(&home.paths, &removed).unwrap();
    assert_eq!(there(&own), vec![false; own.len()]);
    assert_eq!(there(&of_other), [true; 2]);
    assert!(!mine.exists() && theirs.exists() && undo.exists());
    let left = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(left(&sessions), 3, "the other's journal, snapshot and note");
}
