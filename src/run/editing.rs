//! Files for the editor: read, written in one piece, compared with what was last seen. Everything blocks; it is called off
//! the terminal's thread.
//!
//! What it refuses to do: open what is no regular file or larger than [`LARGEST`], change what is no UTF-8 text, write over
//! what someone else wrote meanwhile without being told to.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ropey::Rope;
use sha2::{Digest, Sha256};

use super::files::{shown, tidy};
use super::kept;
use crate::app::editor::files::path_and_place;
use crate::app::editor::msg::{Disk, EditorMsg, FileId, Opened, Place, Stamp};
use crate::error::UserError;
use crate::size::bytes;
use crate::text::document::BOM;
use crate::text::undo::StepId;

/// The largest file that is opened, in bytes.
const LARGEST: u64 = 64 << 20;

/// A file's text as the editor holds it.
struct Loaded {
    rope: Rope,
    bom: bool,
    read_only: Option<String>,
    stamp: Stamp,
}

fn failed(path: &Path, what: &str, error: &io::Error) -> UserError {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => Some("look at its permissions and its folder's (`ls -ld`)".to_owned()),
        io::ErrorKind::StorageFull => Some("free some space; what you typed is still here".to_owned()),
        _ if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) => {
            Some("its links lead in a circle".to_owned())
        }
        _ => None,
    };
    let report = UserError::failed(format!("cannot {what} `{}`: {}", path.display(), words(error)));
    UserError { hint, ..report }
}

/// An error without the number that the system gives it.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    // our own words, which may name a file
    if error.get_ref().is_some() {
        return text;
    }
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

fn modified(metadata: &Metadata) -> u128 {
    metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_nanos())
}

/// Reads a regular file whole, within [`LARGEST`].
fn load(path: &Path) -> Result<(Vec<u8>, Stamp), UserError> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, "read", &error))?;
    let refuse =
        |why: &str, hint: &str| UserError::failed(format!("cannot open `{}`: {why}", path.display())).hint(hint);
    if metadata.is_dir() {
        return Err(refuse("it is a folder", "name a file in it, or start `zord` there"));
    }
    if !metadata.is_file() {
        return Err(refuse("it is no regular file", "the editor opens files only"));
    }
    if metadata.len() > LARGEST {
        let why = format!("it has {}, and the editor takes {}", bytes(metadata.len()), bytes(LARGEST));
        return Err(refuse(&why, "cut the part you need out of it, for example with `head` or `sed -n`"));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| failed(path, "read", &error))?;
    file.take(LARGEST + 1).read_to_end(&mut content).map_err(|error| failed(path, "read", &error))?;
    let hash = Sha256::digest(&content).into();
    let stamp = Stamp { modified: modified(&metadata), size: content.len() as u64, hash };
    Ok((content, stamp))
}

fn decode(path: &Path, content: Vec<u8>, stamp: Stamp) -> Loaded {
    let mut read_only = None;
    if content.contains(&0) {
        read_only = Some("it is binary: there are NUL bytes in it".to_owned());
    }
    let text = String::from_utf8(content).unwrap_or_else(|error| {
        read_only.get_or_insert_with(|| "it is not UTF-8 text; what is not is shown as \u{fffd}".to_owned());
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    if read_only.is_none() && rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() {
        read_only = Some("you may not write it".to_owned());
    }
    let (bom, text) = text.strip_prefix(BOM).map_or((false, text.as_str()), |rest| (true, rest));
    Loaded { rope: Rope::from_str(text), bom, read_only, stamp }
}

/// A typed path as one that can be opened.
pub(super) fn resolved(folder: &Path, path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(rest), Some(home)) => tidy(&home.join(rest)),
        _ => tidy(&folder.join(path)),
    }
}

/// Opens a file that a person named, or begins a new one.
pub(super) fn open(folder: &Path, kept: &kept::Place, path: &Path, place: Option<Place>) -> EditorMsg {
    let whole = resolved(folder, path);
    let (path, place) = match path_and_place(&path.to_string_lossy()) {
        // a file may be called like that
        (short, found @ Some(_)) if place.is_none() && fs::symlink_metadata(&whole).is_err() => {
            (resolved(folder, &short), found)
        }
        _ => (whole, place),
    };
    match try_open(folder, kept, path, place) {
        Ok(opened) => EditorMsg::Opened(Box::new(opened)),
        Err(error) => EditorMsg::Failed(error),
    }
}

fn try_open(folder: &Path, kept: &kept::Place, path: PathBuf, place: Option<Place>) -> Result<Opened, UserError> {
    let name = shown(folder, &path);
    let missing = fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let (read, real) = if missing {
        let real = new_file(&path)?;
        (None, real)
    } else {
        let (content, stamp) = load(&path)?;
        let real = fs::canonicalize(&path).map_err(|error| failed(&path, "open", &error))?;
        (Some(decode(&path, content, stamp)), real)
    };
    let stamp = read.as_ref().map(|read| read.stamp);
    let (rope, bom, read_only) = read.map_or((Rope::new(), false, None), |read| (read.rope, read.bom, read.read_only));
    let kept = if read_only.is_none() { kept.find(&real, stamp, &rope) } else { Vec::new() };
    Ok(Opened { path, real, name, rope, bom, stamp, read_only, kept, place })
}

/// Where a file that is not there yet would be.
fn new_file(path: &Path) -> Result<PathBuf, UserError> {
    let refuse = |why: &str| Err(UserError::failed(format!("cannot open `{}`: {why}", path.display())));
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
        return refuse("it is a link to something that is not there");
    }
    let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else { return refuse("it names no file") };
    match fs::canonicalize(parent) {
        Ok(parent) if parent.is_dir() => Ok(parent.join(name)),
        _ => refuse("its folder is not there"),
    }
}

/// Opens the first of these that is a file inside the folder.
pub(super) fn open_named(folder: &Path, kept: &kept::Place, names: Vec<(PathBuf, Option<Place>)>) -> EditorMsg {
    let inside = |path: &Path| {
        let real = fs::canonicalize(folder.join(path)).ok()?;
        (real.starts_with(fs::canonicalize(folder).ok()?) && real.is_file()).then_some(())
    };
    let count = names.len();
    match names.into_iter().find(|(path, _)| inside(path).is_some()) {
        Some((path, place)) => open(folder, kept, &path, place),
        None => EditorMsg::Failed(
            UserError::failed(format!("none of the {count} names in the answers is a file in this folder"))
                .hint("`/open PATH` opens a file anywhere"),
        ),
    }
}

/// What became of a file since it was last seen; `None`: nothing.
pub(super) fn compare(path: &Path, seen: &Stamp) -> Option<Disk> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Disk::Gone),
        Err(error) => return Some(Disk::Unreadable(words(&error))),
    };
    if metadata.is_file() && modified(&metadata) == seen.modified && metadata.len() == seen.size {
        return None;
    }
    let (content, stamp) = match load(path) {
        Ok(loaded) => loaded,
        Err(error) => return Some(Disk::Unreadable(error.message)),
    };
    if stamp.hash == seen.hash {
        return Some(Disk::Touched(stamp));
    }
    let read = decode(path, content, stamp);
    Some(match read.read_only {
        Some(why) => Disk::Unreadable(why),
        None => Disk::Changed { rope: read.rope, bom: read.bom, stamp },
    })
}

/// What a file is, whatever was seen of it.
pub(super) fn read_again(path: &Path) -> Disk {
    compare(path, &Stamp::default()).unwrap_or(Disk::Gone)
}

/// What is to be written.
pub(super) struct Saving {
    pub(super) id: FileId,
    pub(super) path: PathBuf,
    pub(super) rope: Rope,
    pub(super) bom: bool,
    pub(super) state: StepId,
    pub(super) expected: Option<Stamp>,
    pub(super) force: bool,
}

/// Writes a file in one piece, unless it is not what is expected there.
pub(super) fn save(saving: &Saving) -> EditorMsg {
    let Saving { id, path, rope, bom, state, expected, force } = saving;
    let id = *id;
    if !force {
        let disk = match expected {
            Some(stamp) => compare(path, stamp).filter(|disk| !matches!(disk, Disk::Touched(_))),
            None => fs::symlink_metadata(path).is_ok().then(|| read_again(path)),
        };
        if let Some(disk) = disk {
            return EditorMsg::Conflict { id, disk };
        }
    }
    let mut content = Vec::with_capacity(rope.len_bytes() + BOM.len_utf8());
    if *bom {
        content.extend_from_slice(BOM.encode_utf8(&mut [0; 4]).as_bytes());
    }
    rope.chunks().for_each(|chunk| content.extend_from_slice(chunk.as_bytes()));
    let written = write(path, &content).and_then(|()| fs::metadata(path));
    match written {
        Ok(metadata) => {
            let hash = Sha256::digest(&content).into();
            let stamp = Stamp { modified: modified(&metadata), size: content.len() as u64, hash };
            EditorMsg::Saved { id, state: *state, stamp }
        }
        Err(error) => EditorMsg::SaveFailed { id, error: failed(path, "save", &error) },
    }
}

/// In one piece; where the folder takes no new files but the file may be written, over what is there.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    match crate::atomic::save(path, content) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mut file = File::options().write(true).truncate(true).open(path).map_err(|_| error)?;
            file.write_all(content)?;
            file.sync_all()
        }
        done => done,
    }
}

/// Writes a text to a file that is not there yet.
pub(super) fn save_as(folder: &Path, id: FileId, path: &Path, rope: Rope, bom: bool, state: StepId) -> EditorMsg {
    let path = resolved(folder, path);
    let real = match new_file(&path) {
        Ok(real) if fs::symlink_metadata(&path).is_err() => real,
        Ok(_) => {
            let message = format!("cannot save as `{}`: it is there already", shown(folder, &path));
            let error = UserError::failed(message).hint("choose another name; a file that is open is saved with Alt-S");
            return EditorMsg::SaveFailed { id, error };
        }
        Err(error) => return EditorMsg::SaveFailed { id, error },
    };
    let saving = Saving { id, path: path.clone(), rope, bom, state, expected: None, force: false };
    match save(&saving) {
        EditorMsg::Saved { stamp, .. } => {
            let (name, rope) = (shown(folder, &path), Rope::new());
            let (read_only, kept, place) = (None, Vec::new(), None);
            let opened = Opened { path, real, name, rope, bom, stamp: Some(stamp), read_only, kept, place };
            EditorMsg::SavedAs { id, state, opened: Box::new(opened) }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, kept::Place) {
        let folder = tempfile::tempdir().unwrap();
        let kept = kept::Place::at(folder.path().join("kept"));
        (folder, kept)
    }

    fn opened(folder: &Path, kept: &kept::Place, name: &str) -> Opened {
        match open(folder, kept, Path::new(name), None) {
            EditorMsg::Opened(opened) => *opened,
            other => panic!("{other:?}"),
        }
    }

    fn refused(folder: &Path, kept: &kept::Place, name: &str) -> String {
        match open(folder, kept, Path::new(name), None) {
            EditorMsg::Failed(error) => error.message,
            other => panic!("{other:?}"),
        }
    }

    fn saving(opened: &Opened, rope: Rope) -> Saving {
        let (path, bom, expected) = (opened.path.clone(), opened.bom, opened.stamp);
        Saving { id: FileId(1), path, rope, bom, state: 1, expected, force: false }
    }

    #[test]
    fn any_text_is_saved_as_it_was_read() {
        let (folder, kept) = place();
        for content in ["", "a", "a\n", "a\r\nb\nc\r", "\u{feff}a\r\n", "\u{feff}", "中\u{2028}文\u{85}\n"] {
            let path = folder.path().join("a.txt");
            fs::write(&path, content).unwrap();
            let opened = opened(folder.path(), &kept, "a.txt");
            fs::remove_file(&path).unwrap();
            let mut saving = saving(&opened, opened.rope.clone());
            saving.force = true;
            assert!(matches!(save(&saving), EditorMsg::Saved { .. }));
            assert_eq!(fs::read(&path).unwrap(), content.as_bytes());
        }
    }

    #[cfg(unix)]
    #[test]
    fn saving_keeps_mode_and_link_and_refuses_what_changed() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, kept) = place();
        let (real, link) = (folder.path().join("real.sh"), folder.path().join("link.sh"));
        fs::write(&real, "one\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o751)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let opened = opened(folder.path(), &kept, "link.sh");
        let EditorMsg::Saved { stamp, .. } = save(&saving(&opened, Rope::from_str("two\n"))) else { panic!() };
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            (fs::read_to_string(&real).unwrap().as_str(), fs::metadata(&real).unwrap().permissions().mode() & 0o777),
            ("two\n", 0o751)
        );
        assert!(compare(&link, &stamp).is_none());
        fs::write(&real, "somebody else\n").unwrap();
        let mut again = saving(&opened, Rope::from_str("three\n"));
        again.expected = Some(stamp);
        assert!(matches!(save(&again), EditorMsg::Conflict { disk: Disk::Changed { .. }, .. }));
        assert_eq!(fs::read_to_string(&real).unwrap(), "somebody else\n");
        fs::remove_file(&real).unwrap();
        assert!(matches!(compare(&link, &stamp), Some(Disk::Gone)));
    }

    #[test]
    fn a_file_with_two_names_is_saved_under_both() {
        let (folder, kept) = place();
        fs::write(folder.path().join("a.txt"), "one\n").unwrap();
        fs::hard_link(folder.path().join("a.txt"), folder.path().join("b.txt")).unwrap();
        let opened = opened(folder.path(), &kept, "a.txt");
        assert!(matches!(save(&saving(&opened, Rope::from_str("two\n"))), EditorMsg::Saved { .. }));
        assert_eq!(fs::read_to_string(folder.path().join("b.txt")).unwrap(), "two\n");
    }

    #[test]
    fn what_was_only_touched_is_not_a_change() {
        let (folder, kept) = place();
        let path = folder.path().join("a.txt");
        fs::write(&path, "same\n").unwrap();
        let stamp = opened(folder.path(), &kept, "a.txt").stamp.unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(matches!(compare(&path, &stamp), Some(Disk::Touched(_))));
    }

    #[test]
    fn what_is_no_text_is_read_only_and_what_is_no_file_is_refused() {
        let (folder, kept) = place();
        fs::write(folder.path().join("logo.png"), b"\x89PNG\0\0").unwrap();
        fs::write(folder.path().join("latin.txt"), b"caf\xe9\n").unwrap();
        File::create(folder.path().join("huge.log")).unwrap().set_len(200 << 20).unwrap();
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        assert!(opened(folder.path(), &kept, "logo.png").read_only.unwrap().contains("binary"));
        assert!(opened(folder.path(), &kept, "latin.txt").read_only.unwrap().contains("UTF-8"));
        assert!(refused(folder.path(), &kept, "huge.log").contains("200"));
        assert!(refused(folder.path(), &kept, ".").contains("folder"));
        assert!(refused(folder.path(), &kept, "/dev/zero").contains("no regular file"));
        refused(folder.path(), &kept, "loop");
        assert!(refused(folder.path(), &kept, "dangling").contains("link"));
        assert!(refused(folder.path(), &kept, "no/such/folder.rs").contains("folder"));
        assert!(opened(folder.path(), &kept, "new.rs").stamp.is_none());
    }

    #[test]
    fn a_text_goes_to_a_new_name_and_never_over_another_file() {
        let (folder, kept) = place();
        let save_as = |name: &str| save_as(folder.path(), FileId(1), Path::new(name), Rope::from_str("x"), true, 1);
        let EditorMsg::SavedAs { opened: file, .. } = save_as("new.txt") else { panic!() };
        assert_eq!((file.name.as_str(), fs::read(&file.path).unwrap().as_slice()), ("new.txt", "\u{feff}x".as_bytes()));
        fs::write(folder.path().join("there"), "old").unwrap();
        for name in ["new.txt", "there", ".", "no/folder"] {
            assert!(matches!(save_as(name), EditorMsg::SaveFailed { .. }), "{name}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("there")).unwrap(), "old");
        let mut late = saving(&opened(folder.path(), &kept, "late.txt"), Rope::from_str("mine"));
        fs::write(folder.path().join("late.txt"), "theirs").unwrap();
        assert!(matches!(save(&late), EditorMsg::Conflict { disk: Disk::Changed { .. }, .. }));
        late.force = true;
        assert!(matches!(save(&late), EditorMsg::Saved { .. }));
    }

    #[test]
    fn a_name_with_a_colon_is_tried_whole_first() {
        let (folder, kept) = place();
        fs::write(folder.path().join("foo"), "1\n2\n3\n").unwrap();
        assert_eq!(opened(folder.path(), &kept, "foo:2").place, Some(Place { line: 2, column: 1 }));
        assert_eq!(opened(folder.path(), &kept, "foo#L2-L3").place, Some(Place { line: 2, column: 1 }));
        assert_eq!(opened(folder.path(), &kept, "foo:2-3").name, "foo");
        fs::write(folder.path().join("foo:2"), "other").unwrap();
        assert_eq!(opened(folder.path(), &kept, "foo:2").rope, "other");
    }

    #[test]
    fn a_name_from_an_answer_stays_inside() {
        let (folder, kept) = place();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join("outside.rs"), "").unwrap();
        fs::write(inner.join("a.rs"), "").unwrap();
        std::os::unix::fs::symlink("../outside.rs", inner.join("way_out.rs")).unwrap();
        let names = |all: &[&str]| all.iter().map(|name| (PathBuf::from(name), None)).collect();
        assert!(matches!(open_named(&inner, &kept, names(&["../outside.rs", "way_out.rs"])), EditorMsg::Failed(_)));
        let EditorMsg::Opened(opened) = open_named(&inner, &kept, names(&["way_out.rs", "a.rs"])) else { panic!() };
        assert_eq!(opened.name, "a.rs");
    }
}
