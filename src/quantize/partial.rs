//! A large file on its way to its name: written beside it, and gone unless it is finished.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::atomic;
use crate::error::Advise;

/// A file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

impl Advise for WriteError {
    fn hint(&self) -> Option<String> {
        let text = match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "nothing was left behind; make room, or name a place on another disk"
            }
            io::ErrorKind::FileTooLarge => "the file system takes no file of this size; name a place on another one",
            io::ErrorKind::NotFound => "the folder must be there already",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "name a place you may write to",
            _ => return None,
        };
        Some(text.to_owned())
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
    /// Begins a file for `target`. What earlier, killed runs left of the same target is removed first.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn create(target: &Path) -> Result<Self, WriteError> {
        let fault = |source| WriteError { path: target.to_owned(), source };
        if target.is_dir() {
            return Err(fault(io::ErrorKind::IsADirectory.into()));
        }
        let temporary = atomic::beside(target).map_err(fault)?;
        sweep(&temporary);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&temporary).map_err(fault)?;
        Ok(Self { target: target.to_owned(), temporary, file: Some(file) })
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
        WriteError { path: self.target.clone(), source }
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
        atomic::sync_parent(&self.target).map_err(|source| self.fault(source))
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

/// Removes files like `temporary` (`.NAME.PID-N.tmp`) whose process is gone.
fn sweep(temporary: &Path) {
    let Some((folder, name)) = temporary.parent().zip(temporary.file_name().and_then(|name| name.to_str())) else {
        return;
    };
    let Some(head) = name.rsplit_once('.').and_then(|(rest, _)| rest.rsplit_once('.')).map(|(head, _)| head) else {
        return;
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix(head)
            .and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp")?.split_once('-'))
            .and_then(|(pid, count)| pid.parse::<i32>().ok().filter(|_| count.parse::<u64>().is_ok()));
        let Some(pid) = owner.and_then(rustix::process::Pid::from_raw) else { continue };
        if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        // No process has the highest number: the kernel keeps pids below it.
        left(".m.gguf.2147483646-0.tmp");
        left(&format!(".m.gguf.{}-77.tmp", std::process::id()));
        left(".other.gguf.2147483646-0.tmp");
        left(".m.gguf.notes-0.tmp");
        drop(Partial::create(&folder.path().join("m.gguf")).unwrap());
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(!names.contains(&".m.gguf.2147483646-0.tmp".to_owned()));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_with_advice() {
        let error = Partial::create(Path::new("/nowhere/at/all/m.gguf")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write `/nowhere/at/all/m.gguf`"));
        assert!(error.hint().unwrap().contains("folder"));
    }
}
