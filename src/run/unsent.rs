//! What was typed into the chat and not sent: one file for each program that runs in a folder, read by the next one that
//! starts there when its writer is gone. It refuses to take the text of a program that still runs.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::clerk::{Clerk, Work};
use super::history;
use crate::atomic::is_alive;
use crate::paths::Paths;

/// Bytes that are read back: more than the input holds.
const MOST: u64 = 4 << 20;

/// The way to the thread that writes.
pub(super) struct Unsent(Clerk<String>);

impl Unsent {
    pub(super) fn start(paths: &Paths, folder: &Path) -> Self {
        let file = paths.unsent().join(format!("{}.{}", history::name(folder), std::process::id()));
        Self(Clerk::start("unsent", Pen { file }))
    }

    /// Keeps a text in place of the one before; an empty one leaves nothing behind.
    pub(super) fn keep(&self, text: String) {
        self.0.hand(text);
    }

    pub(super) fn finish(self, patience: Duration) {
        self.0.finish(patience);
    }
}

struct Pen {
    file: PathBuf,
}

impl Work<String> for Pen {
    fn take(&mut self, text: String) {
        // what cannot be kept is no worse than it was
        let _ = write(&self.file, &text);
    }

    fn settle(&mut self) {}
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return fs::remove_file(file);
    }
    if let Some(folder) = file.parent() {
        let mut private = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.recursive(true).create(folder)?;
    }
    crate::atomic::write(file, text)
}

/// What a program that is gone left in this folder, the newest; its file is removed, since the one who takes it keeps it.
pub(super) fn take(paths: &Paths, folder: &Path) -> Option<String> {
    let prefix = format!("{}.", history::name(folder));
    let left = fs::read_dir(paths.unsent()).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        // one that was being written when its writer died has a hidden name, and more behind the number
        let hidden = name.to_str()?.strip_prefix('.');
        let rest = hidden.or(name.to_str())?.strip_prefix(&prefix)?;
        let writer: i32 = rest.split('.').next()?.parse().ok()?;
        // a process that got the number of a dead one only hides a text for its time
        let metadata = entry.metadata().ok().filter(|metadata| metadata.is_file() && !is_alive(writer))?;
        if hidden.is_some() {
            let _ = fs::remove_file(entry.path());
            return None;
        }
        Some((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()))
    });
    let (_, file) = left.max()?;
    let mut bytes = Vec::new();
    fs::File::open(&file).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    fs::remove_file(&file).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_program_left_is_taken_once_and_by_its_folder_only() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::under(home.path().to_owned());
        let (here, there) = (Path::new("/here"), Path::new("/there"));
        let unsent = Unsent::start(&paths, here);
        let long = "x".repeat(100_000);
        unsent.keep("first".into());
        unsent.keep(long.clone());
        unsent.finish(Duration::from_secs(10));
        assert_eq!(take(&paths, here), None, "its writer runs");
        // as one that ended would have left it: a process that was waited for has no number any more
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let name = |pid: u32| paths.unsent().join(format!("{}.{pid}", history::name(here)));
        fs::rename(name(std::process::id()), name(ended.id())).unwrap();
        let torn = paths.unsent().join(format!(".{}.{}.{}-0.tmp", history::name(here), ended.id(), ended.id()));
        fs::write(&torn, "half").unwrap();
        assert_eq!(take(&paths, there), None);
        assert_eq!(take(&paths, here), Some(long));
        assert!(!torn.exists(), "what was torn is swept");
        assert_eq!(take(&paths, here), None);
    }

    #[test]
    fn what_was_sent_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::under(home.path().to_owned());
        let unsent = Unsent::start(&paths, Path::new("/here"));
        unsent.keep("typed".into());
        unsent.keep(String::new());
        unsent.finish(Duration::from_secs(10));
        assert_eq!(fs::read_dir(paths.unsent()).unwrap().count(), 0);
    }
}
