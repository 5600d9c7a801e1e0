//! Completing a path that is typed: what begins with it in its folder. Reads one folder, names only, and a bounded number.

use std::path::Path;

use crate::app::msg::FilesMsg;

/// Names that are looked at in one folder.
const MOST: usize = 10_000;

/// As far as all names agree that begin with what is typed. Hidden ones only count where the dot is typed.
pub(super) fn complete(folder: &Path, typed: String) -> FilesMsg {
    let (before, begun) = match typed.rfind('/') {
        Some(at) => typed.split_at(at + 1),
        None => ("", typed.as_str()),
    };
    let mut names = names(&place(folder, before), begun);
    names.sort();
    let common = names.iter().skip(1).fold(names.first().cloned(), |common, name| {
        let common = common?;
        let alike = common.char_indices().zip(name.chars()).take_while(|((_, a), b)| a == b);
        let end = alike.last().map_or(0, |((at, c), _)| at + c.len_utf8());
        Some(common[..end].to_owned())
    });
    let text = common.map_or_else(|| typed.clone(), |common| format!("{before}{common}"));
    FilesMsg::Completed { typed, text, choices: if names.len() > 1 { names } else { Vec::new() } }
}

/// The folder that a path is in; `~` is the home.
fn place(folder: &Path, before: &str) -> std::path::PathBuf {
    match (before.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(before),
    }
}

fn names(place: &Path, begun: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let fits = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().to_str()?.to_owned();
        let hidden = name.starts_with('.') && !begun.starts_with('.');
        if !name.starts_with(begun) || hidden || name.chars().any(char::is_control) {
            return None;
        }
        let is_folder = entry.path().is_dir();
        Some(if is_folder { name + "/" } else { name })
    };
    entries.take(MOST).filter_map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(folder: &Path, typed: &str) -> (String, usize) {
        let FilesMsg::Completed { text, choices, .. } = complete(folder, typed.to_owned()) else { panic!() };
        (text, choices.len())
    }

    #[test]
    fn what_all_names_agree_in_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("src")).unwrap();
        for name in ["src/main.rs", "src/main.py", "src/\u{e9}t\u{e9}.rs", "src/\u{e9}ta.rs", "my notes.md", ".hidden"]
        {
            std::fs::write(root.join(name), "").unwrap();
        }
        assert_eq!(completed(root, "s"), ("src/".into(), 0), "a folder has its slash");
        assert_eq!(completed(root, "src/m"), ("src/main.".into(), 2));
        assert_eq!(completed(root, "src/main.r"), ("src/main.rs".into(), 0));
        assert_eq!(completed(root, "src/\u{e9}"), ("src/\u{e9}t".into(), 2), "whole characters");
        assert_eq!(completed(root, "my"), ("my notes.md".into(), 0));
        assert_eq!(completed(root, "nothing"), ("nothing".into(), 0));
        assert_eq!(completed(root, "nowhere/at/all"), ("nowhere/at/all".into(), 0));
        assert_eq!(completed(root, ".h"), (".hidden".into(), 0));
        let whole = format!("{}/sr", root.display());
        assert_eq!(completed(Path::new("/"), &whole), (format!("{}/src/", root.display()), 0));
    }
}
