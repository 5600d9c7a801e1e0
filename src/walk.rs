//! Walks a folder without what `.gitignore`, `.ignore` and `.git/info/exclude` leave out.
//!
//! The files of patterns come with a stranger's folder. They are read here and not by the library, which reads whatever
//! stands under the name, to its end: only small regular files count, and of patterns only so many.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder, gitconfig_excludes_path};

use crate::small;

/// Bytes of a file of patterns, at most; a longer one counts as if it were not there.
const LONGEST: u64 = 1 << 20;
/// Patterns that are held at once, those of all folders above counted: compiled, one takes up to 25 KiB.
const MOST: usize = 2000;

/// A walk over `folder`, by name, without `.git`; with `hidden`, names that begin with a dot too.
pub fn builder(folder: &Path, hidden: bool) -> WalkBuilder {
    let rules = Rules::new(folder);
    let mut builder = WalkBuilder::new(folder);
    builder.standard_filters(false).hidden(!hidden).follow_links(false).sort_by_file_name(Ord::cmp);
    builder.filter_entry(move |entry| {
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        entry.depth() == 0
            || (!entry.file_name().eq_ignore_ascii_case(".git") && !rules.leave_out(entry.path(), is_folder))
    });
    builder
}

/// The patterns that hold in a folder and everywhere above it.
#[derive(Debug)]
struct Rules {
    /// The folder as it was named, and as it is.
    named: PathBuf,
    real: PathBuf,
    /// From the root down to where the walk is.
    levels: Mutex<Vec<Level>>,
    /// The person's own.
    global: Option<Gitignore>,
}

/// The patterns of one folder.
#[derive(Debug)]
struct Level {
    folder: PathBuf,
    ignore: Option<Gitignore>,
    git: Option<Gitignore>,
    exclude: Option<Gitignore>,
    /// A repository begins here: what stands above it about git says nothing here.
    is_repository: bool,
}

impl Level {
    fn patterns(&self) -> usize {
        let all = [&self.ignore, &self.git, &self.exclude];
        all.into_iter().flatten().map(|rules| (rules.num_ignores() + rules.num_whitelists()) as usize).sum()
    }

    fn read(folder: PathBuf, left: usize) -> Self {
        let ignore = patterns(&folder, &folder.join(".ignore"), left);
        let git = patterns(&folder, &folder.join(".gitignore"), left);
        let exclude = patterns(&folder, &folder.join(".git/info/exclude"), left);
        let is_repository = folder.join(".git").exists();
        Self { folder, ignore, git, exclude, is_repository }
    }
}

/// The first `most` patterns of a file.
fn patterns(folder: &Path, file: &Path, most: usize) -> Option<Gitignore> {
    let text = small::read(file, LONGEST).ok()?;
    let mut builder = GitignoreBuilder::new(folder);
    let text = String::from_utf8_lossy(&text);
    let lines = text.trim_start_matches('\u{feff}').lines();
    for line in lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')).take(most) {
        // A pattern that is none leaves nothing out.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

impl Rules {
    fn new(folder: &Path) -> Self {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let global = gitconfig_excludes_path().and_then(|file| patterns(&real, &file, MOST));
        Self { named: folder.to_owned(), real, levels: Mutex::new(Vec::new()), global }
    }

    fn leave_out(&self, path: &Path, is_folder: bool) -> bool {
        let Ok(inside) = path.strip_prefix(&self.named) else { return false };
        let path = self.real.join(inside);
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        descend(&mut levels, path.parent().unwrap_or(&self.real));
        let said = |rules: &Option<Gitignore>| {
            let said = rules.as_ref()?.matched(&path, is_folder);
            (!said.is_none()).then(|| said.is_ignore())
        };
        let own = levels.iter().rev().find_map(|level| said(&level.ignore));
        // As git does it: the nearest folder first, and none beyond the repository.
        let end = levels.iter().rposition(|level| level.is_repository).unwrap_or(0);
        let within = || levels.get(end..).unwrap_or_default().iter().rev();
        let git = || within().find_map(|level| said(&level.git));
        let exclude = || within().find_map(|level| said(&level.exclude));
        own.or_else(git).or_else(exclude).or_else(|| said(&self.global)).unwrap_or(false)
    }
}

/// Makes `levels` those of all folders from the root to `folder`.
fn descend(levels: &mut Vec<Level>, folder: &Path) {
    while levels.last().is_some_and(|level| !folder.starts_with(&level.folder)) {
        levels.pop();
    }
    let mut missing: Vec<&Path> =
        folder.ancestors().take_while(|above| levels.last().is_none_or(|level| level.folder != *above)).collect();
    missing.reverse();
    for above in missing {
        let left = MOST.saturating_sub(levels.iter().map(Level::patterns).sum());
        levels.push(Level::read(above.to_owned(), left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let found = builder(folder, true).build().filter_map(Result::ok).filter(|entry| entry.depth() > 0);
        found.map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn put(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn patterns_hold_as_git_has_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("repository");
        put(&folder, ".gitignore", "# a note\n*.log\n/target/\n!keep.log\n");
        put(&folder, ".git/info/exclude", "private\n");
        // as a disk that knows no capitals may give it
        put(&folder, "src/.GIT/config", "x");
        put(place.path(), ".gitignore", "*.rs\n");
        for name in ["a.log", "keep.log", "private", "src/main.rs", "target/x", "src/b.log", "src/target/y"] {
            put(&folder, name, "x");
        }
        put(&folder, "src/.gitignore", "!b.log\n");
        put(&folder, ".ignore", "src/target\n");
        let expected = [".gitignore", ".ignore", "keep.log", "src", "src/.gitignore", "src/b.log", "src/main.rs"];
        assert_eq!(names(&folder), expected);
        // A folder below a repository stands under its patterns.
        assert_eq!(names(&folder.join("src")), [".gitignore", "b.log", "main.rs"]);
    }

    #[test]
    fn what_is_no_small_file_of_patterns_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        put(folder, "a.txt", "x");
        for name in [".gitignore", ".ignore"] {
            std::os::unix::fs::symlink("/dev/zero", folder.join(name)).unwrap();
        }
        assert!(names(folder).contains(&"a.txt".to_owned()));
        std::fs::remove_file(folder.join(".ignore")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.join(".ignore")).status().unwrap();
        assert!(made.success() && names(folder).contains(&"a.txt".to_owned()));
    }

    #[test]
    fn patterns_are_counted() {
        let place = tempfile::tempdir().unwrap();
        let many: String = (0..20_000).map(|n| format!("a[{n}]*b{n}\n")).collect();
        put(place.path(), ".gitignore", &many);
        put(place.path(), "inner/.gitignore", &many);
        let rules = Rules::new(place.path());
        assert!(!rules.leave_out(&place.path().join("inner/x"), false));
        let levels = rules.levels.lock().unwrap();
        assert!(levels.iter().map(Level::patterns).sum::<usize>() <= MOST);
        assert!(levels.iter().any(|level| level.patterns() > 1000));
    }
}
