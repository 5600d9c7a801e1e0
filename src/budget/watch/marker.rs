//! A file that says "running", held locked: who finds one without its lock knows that its owner was killed, or crashed
//! if it says so.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::crash::Step;

const ENDING: &str = "running";
/// Before the number of tokens in a marker.
const CONTEXT: &str = "context ";
/// More stands in no marker.
const LONGEST: u64 = 4096;
/// Files looked at; a folder with more is somebody else's.
const MOST: usize = 256;

/// How an earlier process ended that did not end as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclean {
    /// It crashed, at this step; `None`: it was killed.
    pub crashed: Option<Step>,
    /// Tokens of context it had; `None`: no model was loaded.
    pub n_ctx: Option<u32>,
}

/// This process's marker. Dropping it without [`Marker::clear`] leaves the file behind, as a kill does.
#[derive(Debug)]
pub struct Marker {
    path: PathBuf,
    /// Holds the lock, which the kernel releases however the process ends.
    file: File,
}

impl Marker {
    /// Marks this process as running in `folder` (made if need be); also tells how an earlier one ended uncleanly, and
    /// takes its marker away, so that it is told once. Other running processes are left alone.
    ///
    /// # Errors
    /// The folder cannot be written, or its file system has no locks.
    pub fn set(folder: &Path) -> io::Result<(Self, Option<Unclean>)> {
        fs::create_dir_all(folder)?;
        let unclean = sweep(folder);
        // Locked before it gets its final name: another process must never see it without its lock.
        let id = std::process::id();
        let (new, path) = (folder.join(format!("{id}.new")), folder.join(format!("{id}.{ENDING}")));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&new)?;
        file.lock()?;
        file.write_all(format!("{id}\n").as_bytes())?;
        fs::rename(&new, &path)?;
        Ok((Self { path, file }, unclean))
    }

    /// The open file, for whoever must write there in a hurry.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Remembers the context in use.
    pub fn note_context(&self, n_ctx: u32) {
        // without it the next start says less, no more
        let _ = (&self.file).write_all(format!("{CONTEXT}{n_ctx}\n").as_bytes());
    }

    /// The process ends as it should.
    pub fn clear(&self) {
        // A marker that cannot be removed costs a needless notice at the next start, no more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes markers whose owner is gone; how it ended, if there were any: a crash is worth telling most.
fn sweep(folder: &Path) -> Option<Unclean> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MOST);
    let paths = entries.map(|entry| entry.path());
    let markers = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    let left = markers.filter(|path| is_abandoned(path)).filter_map(|path| {
        let unclean = read(&path);
        fs::remove_file(&path).is_ok().then_some(unclean)
    });
    left.max_by_key(|unclean| (unclean.crashed.is_some(), unclean.n_ctx))
}

fn read(path: &Path) -> Unclean {
    let mut text = Vec::new();
    // what cannot be read says nothing
    let _ = File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut text));
    let mut unclean = Unclean::default();
    for line in String::from_utf8_lossy(&text).lines() {
        unclean.crashed = Step::from_mark(line).or(unclean.crashed);
        unclean.n_ctx = line.strip_prefix(CONTEXT).and_then(|tokens| tokens.parse().ok()).or(unclean.n_ctx);
    }
    unclean
}

fn is_abandoned(path: &Path) -> bool {
    // Opening a device or pipe that someone put there could block or worse.
    if !fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file()) {
        return false;
    }
    let Ok(file) = File::open(path) else { return false };
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_end_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert_eq!(unclean, None);
        marker.clear();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert_eq!(unclean, None);
        marker.clear();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_marker_left_behind_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        // What a killed process leaves: the file, and no lock on it.
        fs::write(folder.path().join("4194305.running"), "4194305\n").unwrap();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert_eq!(unclean, Some(Unclean::default()));
        marker.clear();
        assert_eq!(Marker::set(folder.path()).unwrap().1, None);
    }

    #[test]
    fn a_crash_is_told_from_a_kill_and_the_context_is_known() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("4194303.running"), "4194303\ncontext 1024\n").unwrap();
        fs::write(folder.path().join("4194304.running"), "4194304\ncontext 4096\ncontext 8192\ncrashed writing\n")
            .unwrap();
        fs::write(folder.path().join("4194305.running"), b"\xff\ncontext many\n").unwrap();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert_eq!(unclean, Some(Unclean { crashed: Some(Step::Writing), n_ctx: Some(8192) }));
        marker.note_context(2048);
        assert_eq!(read(&marker.path), Unclean { crashed: None, n_ctx: Some(2048) });
    }

    #[test]
    fn another_running_process_is_no_unclean_end() {
        let folder = tempfile::tempdir().unwrap();
        // Locks of two open files exclude each other within a process too, so this stands for another zord.
        let other = File::create(folder.path().join("4194304.running")).unwrap();
        other.lock().unwrap();
        assert_eq!(Marker::set(folder.path()).unwrap().1, None);
        drop(other);
        assert_eq!(Marker::set(folder.path()).unwrap().1, Some(Unclean::default()));
    }

    /// Not a test of its own: the process that `a_killed_process_is_noticed` kills.
    #[test]
    fn held_until_killed() {
        let Some(folder) = std::env::var_os("ZORD_TEST_MARKER") else { return };
        let _held = Marker::set(Path::new(&folder)).unwrap();
        let _ = io::stdin().read_line(&mut String::new());
    }

    #[test]
    fn a_killed_process_is_noticed() {
        use std::process::{Command, Stdio};
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "budget::watch::marker::tests::held_until_killed"])
            .env("ZORD_TEST_MARKER", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let path = folder.path().join(format!("{}.{ENDING}", child.id()));
        while !path.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::yield_now();
        }
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert_eq!(unclean, None, "it is still running");
        marker.clear();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Marker::set(folder.path()).unwrap().1, Some(Unclean::default()));
    }

    #[test]
    fn strange_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a.running")).unwrap();
        fs::write(folder.path().join("notes"), "").unwrap();
        assert_eq!(Marker::set(folder.path()).unwrap().1, None);
        assert!(folder.path().join("notes").exists());
    }
}
