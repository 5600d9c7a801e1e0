//! Writes a file so that it is either the old one or the new one, whatever happens in between.
//!
//! The bytes go to a temporary name beside the target, are synced, and take the target's name by a rename; the folder is
//! synced after it. It refuses to make folders and to write through a name that has no file part.
//!
//! What a person edits may be known by a second name or belong to someone else: a new file under its name would be another
//! one. [`save`] writes into such a file, beside a copy of what it held.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "lab")]
mod partial;

#[cfg(all(feature = "lab", feature = "engine"))]
pub(crate) use partial::PartialFolder;
#[cfg(all(feature = "lab", any(feature = "engine", feature = "train")))]
pub(crate) use partial::replace;
#[cfg(feature = "lab")]
pub use partial::{Partial, WriteError};
#[cfg(feature = "lab")]
pub(crate) use partial::{reserve, spare};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Replaces the content of `path` by `bytes`. A link is followed, so that linked dotfiles stay links; the permissions of
/// an existing file are kept.
///
/// # Errors
/// Whatever the file system says; the target is then untouched and the temporary file gone.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let target = followed(path.as_ref())?;
    let temporary = beside(&target)?;
    let written = fill(&temporary, &target, bytes.as_ref()).and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_parent(&target)
}

/// The same for a file of a person's: one that has several names (hard links) or another owner or group than a new file
/// would have is written into, so that it stays the same file. Until that is done and synced, what it held lies in a copy
/// beside it, which a crash leaves there.
///
/// # Errors
/// Whatever the file system says; the target then holds what it held, or the error names the copy.
pub fn save(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let (target, bytes) = (followed(path.as_ref())?, bytes.as_ref());
    match fs::metadata(&target) {
        Ok(old) if old.is_file() && (old.nlink() > 1 || is_foreign(&target, &old)?) => {
            write_into(&target, &old, |file| file.write_all(bytes))
        }
        _ => write(&target, bytes),
    }
}

/// Whether a file belongs to others than a new one in its folder would.
fn is_foreign(target: &Path, old: &fs::Metadata) -> io::Result<bool> {
    let probe = beside(target)?;
    let made = create(&probe, Some(old)).and_then(|file| file.metadata());
    let _ = fs::remove_file(&probe);
    let made = made?;
    Ok((made.uid(), made.gid()) != (old.uid(), old.gid()))
}

/// Replaces what a file holds by what `write` writes, without making a new file of it.
fn write_into(target: &Path, old: &fs::Metadata, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(target)?;
    let copy = beside(target)?;
    let copied = create(&copy, Some(old)).and_then(|mut to| {
        io::copy(&mut file, &mut to)?;
        to.sync_all()?;
        sync_parent(&copy)
    });
    let written = copied.and_then(|()| overwrite(&mut file, write).or_else(|error| put_back(&mut file, &copy, error)));
    // named by the error where it is what is left
    if written.as_ref().err().is_none_or(|error| error.get_ref().is_none_or(|inner| !inner.is::<Lost>())) {
        let _ = fs::remove_file(&copy);
    }
    written
}

fn overwrite(file: &mut File, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    file.rewind()?;
    write(file)?;
    let len = file.stream_position()?;
    file.set_len(len)?;
    file.sync_all()
}

/// Gives a file that could not be written what it held; the error that matters is the first one.
fn put_back(file: &mut File, copy: &Path, error: io::Error) -> io::Result<()> {
    let back = File::open(copy).and_then(|mut from| overwrite(file, |file| io::copy(&mut from, file).map(drop)));
    match back {
        Ok(()) => Err(error),
        Err(_) => Err(io::Error::new(error.kind(), Lost { copy: copy.to_owned(), error })),
    }
}

/// A file was written in part, and what it held could not be put back.
#[derive(Debug, thiserror::Error)]
#[error("what it held is in `{}`: {error}", .copy.display())]
struct Lost {
    copy: PathBuf,
    error: io::Error,
}

/// Where the links of a path end, whether a file is there or not.
///
/// # Errors
/// The links lead in a circle.
pub(crate) fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // as many as Linux follows
    for _ in 0..40 {
        match (fs::canonicalize(&path), fs::read_link(&path)) {
            (Ok(whole), _) => return Ok(whole),
            (Err(_), Ok(link)) => path = path.parent().unwrap_or(Path::new("")).join(link),
            (Err(_), Err(_)) => return Ok(path),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

/// The process that made a temporary name (`.NAME.PID-NUMBER.tmp`, see [`beside`]); `None` for any other name.
pub(crate) fn writer(name: &str) -> Option<i32> {
    let (_, numbers) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (pid, number) = numbers.split_once('-')?;
    number.parse::<u64>().ok()?;
    pid.parse().ok().filter(|pid| *pid > 0)
}

/// Whether a process of this number is there.
pub(crate) fn is_alive(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid);
    // Somebody else's process may not be signalled, and lives.
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// A name in the same folder that no other writer uses.
///
/// # Errors
/// `InvalidInput` when the path has no file part.
pub fn beside(target: &Path) -> io::Result<PathBuf> {
    let name =
        target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    // A long name is cut: the temporary one has to fit in 255 bytes too.
    hidden.push(name.to_string_lossy().chars().take(40).collect::<String>());
    hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Ok(target.with_file_name(hidden))
}

/// Makes a rename in the target's folder last through a loss of power, where the file system can.
///
/// # Errors
/// A failed sync; file systems that cannot sync folders (FUSE on Android) are no error.
pub fn sync_parent(target: &Path) -> io::Result<()> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Ok(folder) = File::open(parent) else { return Ok(()) };
    match folder.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

fn fill(temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = fs::metadata(target).ok();
    let mut file = create(temporary, old.as_ref())?;
    file.write_all(bytes)?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()
}

/// An empty file, never open to more people than the one it will replace.
fn create(temporary: &Path, old: Option<&fs::Metadata>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if let Some(old) = old {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(old.permissions().mode() & 0o600);
    }
    options.open(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_content_replaces_the_old_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        assert!(write(&path, "new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write(folder.path().join(".."), "x").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_replaces_a_private_file_is_private_from_its_first_byte() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (target, temporary) = (folder.path().join("key"), folder.path().join("temporary"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
        let mode = || fs::metadata(&temporary).unwrap().permissions().mode() & 0o777;
        create(&temporary, Some(&fs::metadata(&target).unwrap())).unwrap();
        assert_eq!(mode(), 0o600);
        fs::remove_file(&temporary).unwrap();
        fill(&temporary, &target, b"new").unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_file_with_two_names_is_written_under_both() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for content in ["longer than what was there before", "short", ""] {
            fs::write(&one, "what was there").unwrap();
            let _ = fs::remove_file(&other);
            fs::hard_link(&one, &other).unwrap();
            save(&one, content).unwrap();
            assert_eq!(fs::read_to_string(&other).unwrap(), content);
            assert_eq!(fs::metadata(&one).unwrap().ino(), fs::metadata(&other).unwrap().ino());
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no copy is left");
        }
        // a file with one name is replaced as ever
        fs::remove_file(&other).unwrap();
        let before = File::open(&one).unwrap().metadata().unwrap().ino();
        let held = File::open(&one).unwrap();
        save(&one, "new").unwrap();
        assert_ne!(fs::metadata(&one).unwrap().ino(), before);
        drop(held);
        save(folder.path().join("made"), "new").unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("made")).unwrap(), "new");
    }

    #[test]
    fn what_a_file_held_lies_beside_it_while_it_is_written_and_is_put_back_when_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        fs::write(&target, "what it held").unwrap();
        let names = || -> Vec<_> { fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect() };
        let old = fs::metadata(&target).unwrap();
        let failed = write_into(&target, &old, |file| {
            file.write_all(b"half")?;
            let beside: Vec<_> = names().into_iter().filter(|path| *path != target).collect();
            assert_eq!(beside.len(), 1);
            assert_eq!(fs::read_to_string(&beside[0]).unwrap(), "what it held");
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), names().len()), ("what it held", 1));
        // where it cannot be put back, the copy stays and is named
        let failed = write_into(&target, &old, |file| {
            file.write_all(b"half")?;
            *file = File::open(&target)?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let copy = names().into_iter().find(|path| *path != target).unwrap();
        assert!(failed.unwrap_err().to_string().contains(&copy.display().to_string()));
        assert_eq!(fs::read_to_string(copy).unwrap(), "what it held");
    }

    #[test]
    fn a_file_of_another_group_or_owner_is_foreign() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "x").unwrap();
        let own = fs::metadata(&path).unwrap();
        assert!(!is_foreign(&path, &own).unwrap());
        // the root folder's file system is the system's, or else we are
        let (root, ours) = (fs::metadata("/").unwrap(), rustix::process::geteuid().as_raw());
        assert_eq!(is_foreign(&path, &root).unwrap(), (root.uid(), root.gid()) != (ours, own.gid()));
        if std::os::unix::fs::chown(&path, Some(12345), None).is_ok() {
            save(&path, "new").unwrap();
            assert_eq!(fs::metadata(&path).unwrap().uid(), 12345);
            assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_permissions_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("link");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&real).unwrap();
        std::os::unix::fs::symlink("link", folder.path().join("other")).unwrap();
        write(folder.path().join("other"), "again").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "again", "where the links lead, though nothing is there");
        std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
        assert!(write(folder.path().join("circle"), "x").is_err());
    }
}
