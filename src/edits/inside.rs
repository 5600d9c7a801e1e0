//! The opened folder: names become paths only if what they lead to lies inside, whatever `..`, links or absolute names
//! say; files are read only if they are text of a size that a person would review.
//!
//! It refuses to follow a link out of the folder, to touch what belongs to version control, whatever a file system may
//! take for the same name, and to touch a name that looks like another.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::size::bytes;
use crate::text::clean;

/// Bytes of a file that is edited.
pub const LARGEST: u64 = 8 << 20;
/// Folders and files of programs for version control, in small letters.
const BARRED: [&str; 9] = [".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", ".pijul", ".sl", ".fslckout"];

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
    /// It looks like another name: what is drawn of it, with the rest made visible.
    #[error("its name has hidden characters: `{0}`")]
    Hidden(String),
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
    if clean::has_hidden(name) {
        return Err(Refused::Hidden(clean::name(name)));
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
    // a link may have led there
    let inside = inner.to_string_lossy();
    if clean::has_hidden(&inside) {
        return Err(Refused::Hidden(clean::name(&inside)));
    }
    let typed = typed.strip_prefix(&root).unwrap_or(&typed).to_string_lossy();
    let mut parts = inside.split(['/', '\\']).chain(typed.split(['/', '\\']));
    if parts.any(is_barred) || found.ancestors().take_while(|above| above.starts_with(&root)).any(is_repository) {
        return Err(Refused::Barred);
    }
    Ok(found)
}

/// Whether some file system takes a name for one of [`BARRED`]: in capitals, with dots and blanks behind it (FAT, NTFS),
/// with a stream behind a colon or cut to eight letters (NTFS), with what Unicode folds (F2FS, ext4, HFS+).
fn is_barred(part: &str) -> bool {
    let part = part.split(':').next().unwrap_or(part);
    let kept = part.chars().filter(|c| !clean::is_hidden(*c)).flat_map(char::to_lowercase);
    let folded: String = kept.map(|c| if c == 'ſ' { 's' } else { c }).collect();
    let folded = folded.trim_end_matches(['.', ' ']);
    if BARRED.contains(&folded) {
        return true;
    }
    let Some((stem, number)) = folded.split_once('~') else { return false };
    let numbered = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    let short = |name: &&str| {
        let bare = name.trim_start_matches('.');
        let hashed = bare.get(..2).and_then(|two| stem.strip_prefix(two));
        stem == bare.get(..bare.len().min(6)).unwrap_or(bare)
            || hashed.is_some_and(|hash| hash.len() == 4 && hash.chars().all(|c| c.is_ascii_hexdigit()))
    };
    numbered && BARRED.iter().any(short)
}

/// Whether a folder is a repository of Git's itself, whatever it is called.
fn is_repository(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// The real path that a file would have which is not there: the nearest folder above that is, and plain names below.
fn missing(typed: &Path) -> Result<PathBuf, Refused> {
    let mut below = Vec::new();
    let mut above = typed;
    loop {
        match above.components().next_back() {
            Some(Component::Normal(part)) => {
                let text = part.to_string_lossy();
                // a blank or a dot at the end is not seen, and some file systems drop it
                if text.chars().any(char::is_control) || text.ends_with([' ', '.']) || text.starts_with(' ') {
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

    #[test]
    fn version_control_is_known_by_every_name_that_a_file_system_takes_for_it() {
        let (_home, inside) = folder();
        for name in [
            ".GIT/hooks/pre-commit",
            ".Git/config",
            ".git./config",
            ".git /config",
            ".git. ./config",
            "git~1/config",
            "GIT~2/config",
            "gi7eba~1/config",
            ".git::$INDEX_ALLOCATION/config",
            ".git:x/config",
            "src/.gIt/hooks/x",
            ".jj/repo/store",
            ".JJ/x",
            ".bzr/branch",
            "_darcs/prefs",
            "_DARCS/x",
            "_darcs~1/x",
            ".pijul/config",
            ".sl/x",
            ".hG/hgrc",
            "HG~1/hgrc",
            ".\u{17f}vn/x",
            ".svn/x",
            ".git\\hooks\\x",
            "a\\.GIT\\config",
            ".git",
            ".gi\u{200c}t/config",
        ] {
            assert!(path(&inside, name).is_err(), "{name:?}");
        }
        for name in [
            ".gitignore",
            ".github/workflows/a.yml",
            "git/a.c",
            "src/git.rs",
            "digit~1/a",
            ".jjb",
            "darcs/x",
            "a~1.txt",
        ] {
            assert!(path(&inside, name).is_ok(), "{name:?}: {:?}", path(&inside, name));
        }
    }

    #[test]
    fn a_bare_repository_is_left_alone_whatever_it_is_called() {
        let (_home, inside) = folder();
        fs::create_dir_all(inside.join("store/objects")).unwrap();
        fs::create_dir_all(inside.join("store/hooks")).unwrap();
        fs::write(inside.join("store/HEAD"), "ref: refs/heads/main\n").unwrap();
        assert!(path(&inside, "store/hooks/update").is_ok(), "it is none yet");
        fs::create_dir_all(inside.join("store/refs")).unwrap();
        for name in ["store/hooks/update", "store/config", "store/HEAD", "store/new/deep"] {
            assert!(matches!(path(&inside, name), Err(Refused::Barred)), "{name}");
        }
        assert!(matches!(path(&inside.join("store"), "hooks/update"), Err(Refused::Barred)), "opened itself");
        assert!(path(&inside, "src/a.rs").is_ok());
    }

    #[test]
    fn names_that_look_like_others_are_refused_with_what_hides_in_them() {
        let (_home, inside) = folder();
        for (name, shown) in [
            ("src/ma\u{200b}in.py", "src/ma<U+200B>in.py"),
            ("a\u{202e}yp.txt", "a<U+202E>yp.txt"),
            ("a\u{200d}.rs", "a<U+200D>.rs"),
            ("a.rs\u{a0}", "a.rs<U+00A0>"),
            ("\u{feff}a.rs", "<U+FEFF>a.rs"),
            ("a\u{fe0f}.rs", "a<U+FE0F>.rs"),
            ("a\u{ad}b.rs", "a<U+00AD>b.rs"),
            ("a\u{2800}.rs", "a<U+2800>.rs"),
        ] {
            match path(&inside, name) {
                Err(Refused::Hidden(told)) => assert_eq!(told, shown),
                other => panic!("{name:?}: {other:?}"),
            }
        }
        fs::write(inside.join("b\u{200b}.rs"), "x").unwrap();
        assert!(matches!(path(&inside, "b\u{200b}.rs"), Err(Refused::Hidden(_))), "also one that is there");
        for name in ["src/a.rs ", "src /b.rs", "src/b.", " b.rs"] {
            assert!(path(&inside, name).is_err(), "{name:?}");
        }
        for name in ["目录/文件.rs", "می\u{200c}خواهم.txt", "👩\u{200d}💻.md", "❤\u{fe0f}.md", "naïve café.md"]
        {
            assert!(path(&inside, name).is_ok(), "{name:?}");
        }
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
