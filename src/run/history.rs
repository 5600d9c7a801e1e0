//! What was sent before, kept in one file for each folder: a JSON string a line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::hex::hex;
use crate::paths::Paths;

/// Bytes read back; what is older is forgotten.
const WINDOW: u64 = 256 << 10;
/// Bytes from which the file is cut down to the window.
const MOST: u64 = 1 << 20;
/// An input longer than this is not kept.
const LONGEST: usize = 16 << 10;

/// The file for a folder. Its name tells the folder to nobody.
pub(super) fn file(paths: &Paths, folder: &Path) -> PathBuf {
    paths.history().join(format!("{}.jsonl", name(folder)))
}

/// What stands for a folder in the names of files about it.
pub(super) fn name(folder: &Path) -> String {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    hex(&digest[..12])
}

/// The inputs in a file, oldest first; an unreadable one has none, and lines that are no strings are passed over.
pub(super) fn load(file: &Path) -> Vec<String> {
    read(file).unwrap_or_default().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The last [`WINDOW`] bytes, from the beginning of a line on.
fn read(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if from > 0 { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
    Ok(whole.to_owned())
}

/// Adds an input.
pub(super) fn append(file: &Path, text: &str) -> io::Result<()> {
    if text.len() > LONGEST {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() > MOST) {
        crate::atomic::write(file, read(file)?)?;
    }
    let mut line = serde_json::to_string(text)?;
    line.push('\n');
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_come_back_and_garbage_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&Paths::under(folder.path().to_owned()), Path::new("/somewhere"));
        append(&file, "one\ntwo").unwrap();
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"\xff garbage\n").unwrap();
        append(&file, "three").unwrap();
        append(&file, &"x".repeat(LONGEST + 1)).unwrap();
        assert_eq!(load(&file), ["one\ntwo", "three"]);
        assert!(load(Path::new("/nowhere/at/all")).is_empty());
    }

    #[test]
    fn a_long_history_is_cut_at_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.jsonl");
        let entry = "y".repeat(LONGEST - 10);
        for _ in 0..70 {
            append(&file, &entry).unwrap();
        }
        assert!(fs::metadata(&file).unwrap().len() < MOST + 2 * LONGEST as u64);
        assert!(load(&file).iter().all(|found| *found == entry) && load(&file).len() >= 10);
    }
}
