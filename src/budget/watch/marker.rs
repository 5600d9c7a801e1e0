//! A file that says "running", held locked: who finds one without its lock knows that its owner was killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const ENDING: &str = "running";
/// Files looked at; a folder with more is somebody else's.
const MOST: usize = 256;

/// This process's marker. Dropping it without [`Marker::clear`] leaves the file behind, as a kill does.
#[derive(Debug)]
pub struct Marker {
    path: PathBuf,
    /// Holds the lock, which the kernel releases however the process ends.
    _file: File,
}

impl Marker {
    /// Marks this process as running in `folder` (made if need be); also tells whether an earlier one ended uncleanly,
    /// and takes its marker away, so that it is told once. Other running processes are left alone.
    ///
    /// # Errors
    /// The folder cannot be written, or its file system has no locks.
    pub fn set(folder: &Path) -> io::Result<(Self, bool)> {
        fs::create_dir_all(folder)?;
        let unclean = sweep(folder);
        // Locked before it gets its final name: another process must never see it without its lock.
        let id = std::process::id();
        let (new, path) = (folder.join(format!("{id}.new")), folder.join(format!("{id}.{ENDING}")));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&new)?;
        file.lock()?;
        file.write_all(format!("{id}\n").as_bytes())?;
        fs::rename(&new, &path)?;
        Ok((Self { path, _file: file }, unclean))
    }

    /// The process ends as it should.
    pub fn clear(self) {
        // A marker that cannot be removed costs a needless notice at the next start, no more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes markers whose owner is gone; whether there were any.
fn sweep(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MOST);
    let paths = entries.map(|entry| entry.path());
    let markers = paths.filter(|path| path.extension().is_some_and(|ending| ending == ENDING));
    markers.filter(|path| is_abandoned(path) && fs::remove_file(path).is_ok()).count() > 0
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
        assert!(!unclean);
        marker.clear();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert!(!unclean);
        marker.clear();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_marker_left_behind_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        // What a killed process leaves: the file, and no lock on it.
        fs::write(folder.path().join("4194305.running"), "4194305\n").unwrap();
        let (marker, unclean) = Marker::set(folder.path()).unwrap();
        assert!(unclean);
        marker.clear();
        assert!(!Marker::set(folder.path()).unwrap().1);
    }

    #[test]
    fn another_running_process_is_no_unclean_end() {
        let folder = tempfile::tempdir().unwrap();
        // Locks of two open files exclude each other within a process too, so this stands for another zord.
        let other = File::create(folder.path().join("4194304.running")).unwrap();
        other.lock().unwrap();
        assert!(!Marker::set(folder.path()).unwrap().1);
        drop(other);
        assert!(Marker::set(folder.path()).unwrap().1);
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
        assert!(!unclean, "it is still running");
        marker.clear();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(Marker::set(folder.path()).unwrap().1);
    }

    #[test]
    fn strange_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a.running")).unwrap();
        fs::write(folder.path().join("notes"), "").unwrap();
        assert!(!Marker::set(folder.path()).unwrap().1);
        assert!(folder.path().join("notes").exists());
    }
}
