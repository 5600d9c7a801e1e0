//! Copies on their way into the store, and what is left of them when a program is killed. A copy is locked while it is
//! written, so that its own program is known to live; it never touches a file under a model's name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::weight;
use crate::atomic::{is_alive, writer};
use crate::cancel::Cancel;

/// A file that becomes a model when it is whole. Dropped before that, it is gone.
pub(super) struct Copy {
    file: File,
    path: PathBuf,
    settled: bool,
}

impl Copy {
    /// An empty, locked file beside the target.
    pub(super) fn new(target: &Path) -> io::Result<Self> {
        let path = crate::atomic::beside(target)?;
        let file = File::create_new(&path)?;
        // A file system without locks leaves the process's number to tell whose it is.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { file, path, settled: false })
    }

    /// Copies everything; false when cancelled.
    pub(super) fn fill(&self, from: &Path, cancel: &Cancel) -> io::Result<bool> {
        let (mut from, mut to) = (File::open(from)?, &self.file);
        let mut buffer = vec![0; 1 << 20];
        loop {
            if cancel.is_cancelled() {
                return Ok(false);
            }
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => to.write_all(buffer.get(..length).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.file.sync_all()?;
        Ok(true)
    }

    /// Gives the copy its name.
    pub(super) fn settle(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.settled = true;
        crate::atomic::sync_parent(target)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.settled {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes temporary files and folders of the store whose programs are gone; gives the bytes they took.
pub(super) fn sweep(root: &Path) -> u64 {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let left = entries
        .filter(|entry| entry.file_name().to_str().and_then(writer).is_some_and(|pid| is_left(&entry.path(), pid)));
    left.filter_map(|entry| remove(&entry.path())).sum()
}

/// Whether nobody writes it any more: it can be locked, and its process is gone. In a container every program has the
/// same few numbers; there only what is large, and so was locked, counts as left behind.
fn is_left(path: &Path, pid: i32) -> bool {
    let Ok(facts) = fs::symlink_metadata(path) else { return false };
    let gone = !is_alive(pid);
    if !facts.is_file() {
        return gone && facts.is_dir();
    }
    let locked = File::open(path).map(|file| flock(&file, FlockOperation::NonBlockingLockExclusive));
    match locked {
        Ok(Ok(())) => gone || facts.len() >= LARGE,
        Ok(Err(rustix::io::Errno::WOULDBLOCK)) | Err(_) => false,
        Ok(Err(_)) => gone,
    }
}

/// Bytes that only a copy of a model reaches; records are smaller.
const LARGE: u64 = 1 << 20;

/// Locks a file, or the unfinished files of a folder, without waiting; `None` when a program writes one of them.
pub(super) fn hold(part: &Path) -> Option<Vec<File>> {
    let facts = fs::symlink_metadata(part).ok()?;
    let files = if facts.is_dir() { unfinished(part, 2) } else { vec![part.to_owned()] };
    let lock = |file: PathBuf| {
        let file = crate::small::open(file).ok()?;
        // without locks its age alone tells
        (flock(&file, FlockOperation::NonBlockingLockExclusive) != Err(rustix::io::Errno::WOULDBLOCK)).then_some(file)
    };
    files.into_iter().map(lock).collect()
}

fn unfinished(folder: &Path, deep: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && deep > 1 => found.extend(unfinished(&path, deep - 1)),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|ending| ending == "part") => found.push(path),
            _ => {}
        }
    }
    found
}

fn remove(path: &Path) -> Option<u64> {
    let facts = fs::symlink_metadata(path).ok()?;
    if facts.is_dir() {
        let bytes = weight(path);
        return fs::remove_dir_all(path).ok().map(|()| bytes);
    }
    fs::remove_file(path).ok().map(|()| facts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number that no process has: Linux gives out fewer.
    const NOBODY: i32 = i32::MAX;

    #[test]
    fn what_a_killed_program_left_is_swept_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let me = std::process::id();
        let write = |name: String, length: usize| fs::write(root.join(name), vec![1; length]).unwrap();
        write(format!(".m.gguf.{NOBODY}-0.tmp"), 5000);
        write(format!(".m.gguf.toml.{NOBODY}-1.tmp"), 10);
        // Of a container's earlier program with our own number.
        write(format!(".old.gguf.{me}-7.tmp"), 2 << 20);
        fs::create_dir(root.join(format!(".o--r.{NOBODY}-2.tmp"))).unwrap();
        write(format!(".o--r.{NOBODY}-2.tmp/model.safetensors"), 700);
        // Somebody writes a record just now.
        write(format!(".m.gguf.toml.{me}-3.tmp"), 10);
        let kept = ["m.gguf", "m.gguf.part", ".hidden", "1-0.tmp", ".m.x-0.tmp", ".m.12-x.tmp"];
        kept.iter().for_each(|name| write((*name).into(), 3));
        let target = root.join("new.gguf");
        let copy = Copy::new(&target).unwrap();
        (&copy.file).write_all(&vec![0; 2 << 20]).unwrap();
        assert_eq!(sweep(root), 5000 + 10 + (2 << 20) + 700);
        assert!(copy.path.exists(), "a copy that is being written was removed");
        assert!(root.join(format!(".m.gguf.toml.{me}-3.tmp")).exists());
        assert!(kept.iter().all(|name| root.join(name).exists()));
        assert_eq!(sweep(root), 0);
        let path = copy.path.clone();
        drop(copy);
        assert!(!path.exists());
        assert_eq!(sweep(&root.join("nowhere")), 0);
    }

    #[test]
    fn a_copy_is_whole_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, target) = (folder.path().join("from"), folder.path().join("m.gguf"));
        fs::write(&from, vec![7; 3_000_000]).unwrap();
        let cancel = Cancel::new();
        let copy = Copy::new(&target).unwrap();
        assert!(copy.fill(&from, &cancel).unwrap());
        copy.settle(&target).unwrap();
        assert_eq!(fs::read(&target).unwrap(), fs::read(&from).unwrap());
        cancel.cancel();
        let copy = Copy::new(&target).unwrap();
        assert!(!copy.fill(&from, &cancel).unwrap());
        drop(copy);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
