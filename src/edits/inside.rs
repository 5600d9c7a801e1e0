//! The opened folder: names become paths only if what they lead to lies inside, whatever `..`, links or absolute names
//! say; files are read only if they are text of a size that a person would review.
//!
//! It refuses to follow a link out of the folder, and to touch what belongs to version control.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::budget::bytes;

/// Bytes of a file that is edited.
pub const LARGEST: u64 = 8 << 20;
/// Folders that programs keep their own files in.
const BARRED: [&str; 3] = [".git", ".hg", ".svn"];

/// Why a name leads to no file that may be changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It leaves the folder.
    #[error("it lies outside the opened folder")]
    Outside,
    /// It belongs to version control.
    #[error("it belongs to version control")]
    Barred,
    /// It is no name.
    #[error("it is no name for a file")]
    Name,
    /// It is a folder, a device or the like.
    #[error("it is no regular file")]
    Kind,
    /// It has bytes that no text has.
    #[error("it is not text (UTF-8)")]
    Text,
    /// Nobody reviews a diff of that.
    #[error("it has {} and at most {} are edited", bytes(*.0), bytes(LARGEST))]
    Large(u64),
    /// The system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The real path of a name, inside `folder`; the file need not exist.
///
/// # Errors
/// It lies outside, or cannot be looked at.
pub fn path(folder: &Path, name: &str) -> Result<PathBuf, Refused> {
    if name.trim().is_empty() || name.len() > 4096 || name.contains('\0') {
        return Err(Refused::Name);
    }
    let root = fs::canonicalize(folder)?;
    let typed = root.join(name);
    let found = match fs::symlink_metadata(&typed) {
        // a link that leads nowhere fails here, and so does a loop
        Ok(_) => fs::canonicalize(&typed).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Refused::Outside,
            _ => Refused::Io(error),
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing(&typed)?,
        Err(error) => return Err(error.into()),
    };
    let inner = found.strip_prefix(&root).map_err(|_| Refused::Outside)?;
    if inner.as_os_str().is_empty() {
        return Err(Refused::Kind);
    }
    if inner.components().any(|part| BARRED.iter().any(|name| part.as_os_str() == *name)) {
        return Err(Refused::Barred);
    }
    Ok(found)
}

/// The real path that a file would have which is not there: the nearest folder above that is, and plain names below.
fn missing(typed: &Path) -> Result<PathBuf, Refused> {
    let mut below = Vec::new();
    let mut above = typed;
    loop {
        match above.components().next_back() {
            Some(Component::Normal(part)) => {
                if part.to_string_lossy().chars().any(char::is_control) {
                    return Err(Refused::Name);
                }
                below.push(part.to_owned());
            }
            // `x/..` with no `x` says nothing about where it leads
            _ => return Err(Refused::Outside),
        }
        above = above.parent().ok_or(Refused::Outside)?;
        match fs::symlink_metadata(above) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut real = fs::canonicalize(above).map_err(|_| Refused::Outside)?;
    real.extend(below.into_iter().rev());
    Ok(real)
}

/// The text of a file inside `folder`; `None` if there is none.
///
/// # Errors
/// It lies outside, is no text, is too large, or cannot be read.
pub fn read(folder: &Path, name: &str) -> Result<Option<String>, Refused> {
    let path = path(folder, name)?;
    text(&path)
}

/// The text at a path; `None` if nothing is there.
///
/// # Errors
/// It is no text, is too large, or cannot be read.
pub fn text(path: &Path) -> Result<Option<String>, Refused> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !found.is_file() {
        return Err(Refused::Kind);
    }
    if found.len() > LARGEST {
        return Err(Refused::Large(found.len()));
    }
    let mut all = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut all)?;
    if all.len() as u64 > LARGEST {
        return Err(Refused::Large(all.len() as u64));
    }
    if all.contains(&0) {
        return Err(Refused::Text);
    }
    String::from_utf8(all).map(Some).map_err(|_| Refused::Text)
}

/// A path inside `folder` as a person and a model read it.
pub fn shown(folder: &Path, path: &Path) -> String {
    let root = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let inside = home.path().join("project");
        fs::create_dir_all(inside.join("src")).unwrap();
        fs::create_dir_all(inside.join(".git/hooks")).unwrap();
        fs::write(home.path().join("secret"), "s").unwrap();
        fs::write(inside.join("src/a.rs"), "a\n").unwrap();
        (home, inside)
    }

    #[test]
    fn what_lies_inside_is_found_and_new_names_are_allowed() {
        let (_home, inside) = folder();
        let real = fs::canonicalize(&inside).unwrap();
        assert_eq!(path(&inside, "src/a.rs").unwrap(), real.join("src/a.rs"));
        assert_eq!(path(&inside, "./src/../src/a.rs").unwrap(), real.join("src/a.rs"));
        assert_eq!(path(&inside, &real.join("src/a.rs").to_string_lossy()).unwrap(), real.join("src/a.rs"));
        assert_eq!(path(&inside, "new/deep/b.rs").unwrap(), real.join("new/deep/b.rs"));
        assert_eq!(read(&inside, "src/a.rs").unwrap().as_deref(), Some("a\n"));
        assert_eq!(read(&inside, "src/none.rs").unwrap(), None);
        assert_eq!(shown(&inside, &real.join("src/a.rs")), "src/a.rs");
    }

    #[test]
    fn what_leads_outside_is_refused() {
        let (home, inside) = folder();
        let secret = home.path().join("secret");
        for name in
            ["../secret", "../new", "src/../../secret", "none/../../secret", "/etc/passwd", "..", ".", "", "a\0b"]
        {
            assert!(path(&inside, name).is_err(), "{name:?}");
        }
        assert!(matches!(path(&inside, &secret.to_string_lossy()), Err(Refused::Outside)));
        assert!(matches!(path(&inside, ".git/hooks/pre-commit"), Err(Refused::Barred)));
        assert!(matches!(path(&inside, "new\u{1b}[31m.rs"), Err(Refused::Name)));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_only_inside() {
        use std::os::unix::fs::symlink;
        let (home, inside) = folder();
        symlink(home.path(), inside.join("up")).unwrap();
        symlink(inside.join("src/a.rs"), inside.join("near")).unwrap();
        symlink(inside.join("loop"), inside.join("loop")).unwrap();
        symlink(home.path().join("not yet"), inside.join("dangling")).unwrap();
        for name in ["up/secret", "up/new", "up", "loop", "loop/x", "dangling"] {
            assert!(path(&inside, name).is_err(), "{name}");
        }
        assert_eq!(path(&inside, "near").unwrap(), fs::canonicalize(&inside).unwrap().join("src/a.rs"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let (_home, inside) = folder();
        fs::write(inside.join("nul"), "a\0b").unwrap();
        fs::write(inside.join("latin"), b"caf\xe9").unwrap();
        File::create(inside.join("huge")).unwrap().set_len(200 << 20).unwrap();
        for name in ["nul", "latin", "huge", "src"] {
            assert!(read(&inside, name).is_err(), "{name}");
        }
    }
}
