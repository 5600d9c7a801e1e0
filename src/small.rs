//! Reads small files whole: configurations, recipes, templates, lists of patterns, notes beside weights.
//!
//! Everything that has to fit in memory is read here, so that one place refuses what only looks like a small file: a device
//! that never ends, a pipe that nobody writes to, a file of gigabytes. It refuses to guess: what is longer than the caller
//! allows is an error, never a beginning.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a configuration, a recipe, a template or a list of patterns, at most.
pub const TEXT: u64 = 4 << 20;
/// Bytes of a tokenizer's or an index's JSON, at most: vocabularies of 262,144 tokens take 34 MB.
pub const TOKENIZER: u64 = 256 << 20;

/// Reads a regular file of at most `most` bytes. Links are followed.
///
/// # Errors
/// It is not there, cannot be read, is no regular file ([`ErrorKind::InvalidInput`]) or is longer
/// ([`ErrorKind::FileTooLarge`]).
pub fn read(path: impl AsRef<Path>, most: u64) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    // Before it is opened too: opening some devices does something.
    is_small(&std::fs::metadata(path)?, most)?;
    let file = open(path)?;
    let facts = file.metadata()?;
    is_small(&facts, most)?;
    taken(&file, facts.len(), most)
}

/// Opens a file to read it, of any size: a pipe that nobody writes to is not waited for.
///
/// # Errors
/// Whatever the file system says.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

/// The same as text.
///
/// # Errors
/// As [`read`], or it is not UTF-8 ([`ErrorKind::InvalidData`]).
pub fn text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// The same, or nothing where there is no such file.
///
/// # Errors
/// As [`text`], but for a file that is not there.
pub fn optional_text(path: impl AsRef<Path>, most: u64) -> io::Result<Option<String>> {
    match text(path, most) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_small(facts: &Metadata, most: u64) -> io::Result<()> {
    if facts.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !facts.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a device or a pipe, not a file"));
    }
    if facts.len() > most { Err(too_large(facts.len(), most)) } else { Ok(()) }
}

/// A file may grow while it is read, and those of `/proc` have no length.
fn taken(file: &File, len: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(most) as usize + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64, most)) } else { Ok(bytes) }
}

fn too_large(found: u64, most: u64) -> io::Error {
    io::Error::new(ErrorKind::FileTooLarge, format!("it has {found} bytes, and at most {most} are read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("small"), "text").unwrap();
        assert_eq!(text(at("small"), 4).unwrap(), "text");
        assert_eq!(read(at("small"), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::os::unix::fs::symlink("small", at("link")).unwrap();
        assert_eq!(read(at("link"), 4).unwrap(), b"text");
        std::fs::write(at("bytes"), [0xff]).unwrap();
        assert_eq!(text(at("bytes"), 4).unwrap_err().kind(), ErrorKind::InvalidData);
        // Sparse: two gigabytes that take no room.
        File::create(at("large")).unwrap().set_len(2 << 30).unwrap();
        assert_eq!(read(at("large"), TEXT).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(read(at("zero"), TEXT).unwrap_err().kind(), ErrorKind::InvalidInput);
        let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
        assert!(made.success());
        // Nobody writes to it: a reader that waited would wait for ever.
        assert_eq!(read(at("pipe"), TEXT).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(read(folder.path(), TEXT).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(optional_text(at("none"), TEXT).unwrap(), None);
        assert!(optional_text(at("pipe"), TEXT).is_err());
        // No length is told there, and there is something to read.
        assert!(!read("/proc/self/status", TEXT).unwrap().is_empty());
    }
}
