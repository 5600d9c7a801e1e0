//! A large file or a folder on its way to its name: written beside it, and gone unless it is finished.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::Advise;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum WriteError {
    #[error("cannot write `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is what is read, and would be lost", path.display())]
    Input { path: PathBuf },
    #[error("cannot write `{}`: it is no file", path.display())]
    NoFile { path: PathBuf },
    #[cfg(feature = "engine")]
    #[error("cannot write into `{}`: something is there already", path.display())]
    Taken { path: PathBuf },
}

impl Advise for WriteError {
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Input { .. } | Self::NoFile { .. } => "name another file",
            #[cfg(feature = "engine")]
            Self::Taken { .. } => "name a folder that is empty or not there yet",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "nothing was left behind; make room, or name a place on another disk"
                }
                io::ErrorKind::FileTooLarge => {
                    "the file system takes no file of this size; name a place on another one"
                }
                io::ErrorKind::NotFound => "the folder must be there already",
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "name a place you may write to",
                _ => return None,
            },
        };
        Some(text.to_owned())
    }
}

/// Whether `output` is none of what is read, by whatever name.
///
/// # Errors
/// It is one of them.
pub(crate) fn spare<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<(), WriteError> {
    let place = |path: &Path| fs::metadata(path).ok().map(|facts| (facts.dev(), facts.ino()));
    let Some(taken) = place(output) else { return Ok(()) };
    if inputs.into_iter().any(|input| place(input) == Some(taken)) {
        return Err(WriteError::Input { path: output.to_owned() });
    }
    Ok(())
}

/// Asks for a whole file's room now, so that a full disk is known before the work. File systems that cannot promise room
/// only learn the length.
///
/// # Errors
/// The disk is full.
pub(crate) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.set_len(bytes),
        other => other.map_err(Into::into),
    }
}

/// A file without its name yet. Dropped unfinished, it is removed.
#[derive(Debug)]
pub struct Partial {
    target: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
}

impl Partial {
    /// Begins a file for `target`, or for what it links to. What earlier, killed runs left of the same target is removed
    /// first.
    ///
    /// # Errors
    /// The folder cannot be written to, or something that is no file has the name.
    pub fn create(target: &Path) -> Result<Self, WriteError> {
        let fault = |source| WriteError::Io { path: target.to_owned(), source };
        let real = super::followed(target).map_err(fault)?;
        let old = fs::metadata(&real).ok();
        if old.as_ref().is_some_and(|facts| !facts.is_file()) {
            return Err(WriteError::NoFile { path: target.to_owned() });
        }
        let temporary = super::beside(&real).map_err(fault)?;
        sweep(&temporary);
        let file = loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create_new(true).open(&temporary).map_err(fault)?;
            hold(&file);
            // Somebody else may have swept it away before it was held.
            if file.metadata().map_err(fault)?.nlink() > 0 {
                break file;
            }
        };
        let partial = Self { target: real, temporary, file: Some(file) };
        if let (Some(file), Some(old)) = (&partial.file, old) {
            file.set_permissions(old.permissions()).map_err(fault)?;
        }
        Ok(partial)
    }

    /// What to write to.
    ///
    /// # Errors
    /// Never before [`Partial::finish`].
    pub fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Where it lies meanwhile, for a writer that wants a name.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// As an error about the final name.
    pub fn fault(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.target.clone(), source }
    }

    /// Syncs it and gives it its name.
    ///
    /// # Errors
    /// The disk is full or the name cannot be taken; nothing is left then.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let named = match &self.file {
            Some(file) => file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.target)),
            None => Ok(()),
        };
        named.map_err(|source| self.fault(source))?;
        self.file = None;
        super::sync_parent(&self.target).map_err(|source| self.fault(source))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // The error that ended it matters, not this one.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Replaces what a file holds.
///
/// # Errors
/// The place cannot be written to; what was there stays.
#[cfg(any(feature = "engine", feature = "train"))]
pub(crate) fn replace(target: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut partial = Partial::create(target)?;
    let written = partial.file().and_then(|file| file.write_all(bytes));
    written.map_err(|source| partial.fault(source))?;
    partial.finish()
}

/// A folder without its name yet, which nothing may have. Dropped unfinished, it is removed with all that is in it.
#[cfg(feature = "engine")]
#[derive(Debug)]
pub(crate) struct PartialFolder {
    target: PathBuf,
    temporary: PathBuf,
    lock: Option<File>,
}

#[cfg(feature = "engine")]
impl PartialFolder {
    /// Begins a folder.
    ///
    /// # Errors
    /// There is one with something in it, or the place cannot be written to.
    pub(crate) fn create(target: &Path) -> Result<Self, WriteError> {
        let fault = |source| WriteError::Io { path: target.to_owned(), source };
        let real = super::followed(target).map_err(fault)?;
        let empty = || fs::read_dir(&real).is_ok_and(|mut entries| entries.next().is_none());
        if real.exists() && !empty() {
            return Err(WriteError::Taken { path: target.to_owned() });
        }
        let temporary = super::beside(&real).map_err(fault)?;
        sweep(&temporary);
        fs::create_dir(&temporary).map_err(fault)?;
        let mut folder = Self { target: real, temporary, lock: None };
        let lock = File::open(&folder.temporary).map_err(fault)?;
        hold(&lock);
        folder.lock = Some(lock);
        Ok(folder)
    }

    /// Where it lies meanwhile.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// As an error about the final name.
    pub(crate) fn fault(&self, source: io::Error) -> WriteError {
        WriteError::Io { path: self.target.clone(), source }
    }

    /// Gives it its name. Files in it were synced by whoever wrote them.
    ///
    /// # Errors
    /// The name cannot be taken; nothing is left then.
    pub(crate) fn finish(mut self) -> Result<(), WriteError> {
        // An empty folder of the name gives way.
        fs::rename(&self.temporary, &self.target).map_err(|source| self.fault(source))?;
        self.lock = None;
        super::sync_parent(&self.target).map_err(|source| self.fault(source))
    }
}

#[cfg(feature = "engine")]
impl Drop for PartialFolder {
    fn drop(&mut self) {
        if self.lock.take().is_some() {
            // The error that ended it matters, not this one.
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

/// Marks a temporary file as somebody's; the mark goes with the process. A file system without marks has nothing swept.
fn hold(file: &File) {
    let _ = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
}

/// Removes files and folders like `temporary` (`.NAME.PID-N.tmp`, and what llama.cpp appends to it) that nobody holds.
fn sweep(temporary: &Path) {
    let Some((folder, name)) = temporary.parent().zip(temporary.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Some(head) = name.rsplit_once('.').and_then(|(rest, _)| rest.rsplit_once('.')).map(|(head, _)| head) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(head).and_then(|rest| rest.strip_prefix('.')?.split_once(".tmp"));
        let ours = owner
            .is_some_and(|(owner, _)| owner.split_once('-').is_some_and(|(pid, count)| number(pid) && number(count)));
        let path = entry.path();
        // The parts of a split model are held by the file whose name they begin with.
        let held = owner.map_or(path.clone(), |(owner, _)| folder.join(format!("{head}.{owner}.tmp")));
        let free = |file: File| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if ours && File::open(held).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, free) {
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_file_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m.gguf");
        fs::write(&target, "old").unwrap();
        let mut partial = Partial::create(&target).unwrap();
        partial.file().unwrap().write_all(b"half").unwrap();
        drop(partial);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        let mut partial = Partial::create(&target).unwrap();
        partial.file().unwrap().write_all(b"new").unwrap();
        partial.finish().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let left = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
        left(".m.gguf.4711-0.tmp");
        left(".m.gguf.4711-0.tmp-00001-of-00002.gguf");
        left(".m.gguf.4712-0.tmp-00001-of-00002.gguf");
        left(".other.gguf.4711-0.tmp");
        left(".m.gguf.notes-0.tmp");
        fs::create_dir_all(folder.path().join(".m.gguf.4713-1.tmp/inside")).unwrap();
        let held = Partial::create(&folder.path().join("m.gguf")).unwrap();
        fs::write(folder.path().join(format!("{}-00001-of-00002.gguf", held.path().display())), "x").unwrap();
        drop(Partial::create(&folder.path().join("m.gguf")).unwrap());
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let own = held.path().file_name().unwrap().to_string_lossy().into_owned();
        let mut want = vec![".other.gguf.4711-0.tmp".to_owned(), ".m.gguf.notes-0.tmp".to_owned(), own.clone()];
        want.push(format!("{own}-00001-of-00002.gguf"));
        want.sort();
        assert_eq!(names, want);
    }

    #[test]
    fn links_lead_to_what_is_replaced_and_what_is_no_file_is_left_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("real"), "old").unwrap();
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real", at("link")).unwrap();
        let mut partial = Partial::create(&at("link")).unwrap();
        partial.file().unwrap().write_all(b"new").unwrap();
        partial.finish().unwrap();
        assert_eq!(fs::read_to_string(at("real")).unwrap(), "new");
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::metadata(at("real")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Partial::create(Path::new("/dev/null")), Err(WriteError::NoFile { .. })));
        fs::hard_link(at("real"), at("twin")).unwrap();
        for name in ["real", "link", "twin"] {
            assert!(matches!(spare(&at(name), [at("real").as_path()]), Err(WriteError::Input { .. })), "{name}");
        }
        spare(&at("none"), [at("real").as_path()]).unwrap();
    }

    #[cfg(feature = "engine")]
    #[test]
    fn a_folder_has_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m");
        let partial = PartialFolder::create(&target).unwrap();
        fs::write(partial.path().join("a"), "x").unwrap();
        drop(partial);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(&target).unwrap();
        let partial = PartialFolder::create(&target).unwrap();
        fs::write(partial.path().join("a"), "x").unwrap();
        partial.finish().unwrap();
        assert!(target.join("a").is_file());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(PartialFolder::create(&target), Err(WriteError::Taken { .. })));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_advice() {
        let error = Partial::create(Path::new("/nowhere/at/all/m.gguf")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write `/nowhere/at/all/m.gguf`"));
        assert!(error.hint().unwrap().contains("folder"));
    }
}
