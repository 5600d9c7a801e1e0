//! Writes a file so that it is either the old one or the new one, whatever happens in between.
//!
//! The bytes go to a temporary name beside the target, are synced, and take the target's name by a rename; the folder is
//! synced after it. It refuses to make folders and to write through a name that has no file part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
