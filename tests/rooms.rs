//! The rooms of the library as its source has them: each uses only rooms that stand below it in `src/lib.rs`'s table.
#![allow(clippy::unwrap_used, reason = "a test must be able to fail, in its helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The rooms in the order of the table, the highest first.
fn rooms(lib: &str) -> Vec<String> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | "));
    let names = rows.filter_map(|row| row.split_once(" | ")).map(|(name, _)| name.trim_matches(['[', ']', '`']));
    names.filter(|name| *name != "room").map(str::to_owned).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Without comments, and up to the tests that stand at a file's end; tests in files of their own count.
fn code(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = lines.collect();
    let code = code.join("\n");
    let end = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
    code[..end].to_owned()
}

/// The first names behind each `crate::`, also those of a list in braces.
fn used(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, word) in code.match_indices("crate::") {
        let rest = &code[at + word.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(name(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut first = true;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => first = true,
                c if first && c.is_alphabetic() => {
                    names.insert(name(&list[at..]));
                    first = false;
                }
                _ => {}
            }
        }
    }
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Uses of a room that does not stand below the user's own, as `file: room`.
fn upward(order: &[String], files: &[(String, String)]) -> Vec<String> {
    let height = |room: &str| order.iter().position(|other| other == room);
    let mut wrong = Vec::new();
    for (file, source) in files {
        let room = file.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = height(room) else {
            wrong.push(format!("{file}: its room has no row in the table"));
            continue;
        };
        let above = used(&code(source)).into_iter().filter(|other| height(other).is_some_and(|other| other < own));
        wrong.extend(above.map(|other| format!("{file}: {other}")));
    }
    wrong
}

#[test]
fn no_room_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = rooms(&std::fs::read_to_string(root.join("lib.rs")).unwrap());
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let inner = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name != "lib.rs" && !name.starts_with("bin/")).then_some(name)
    };
    let named: Vec<(String, PathBuf)> = paths.into_iter().filter_map(|path| Some((inner(&path)?, path))).collect();
    assert!(named.len() > 300, "only {} files were found", named.len());
    let files: Vec<_> =
        named.iter().map(|(name, path)| (name.clone(), std::fs::read_to_string(path).unwrap())).collect();
    let there: BTreeSet<&str> = named.iter().filter_map(|(name, _)| name.split(['/', '.']).next()).collect();
    let told: BTreeSet<&str> = order.iter().map(String::as_str).collect();
    assert_eq!(there, told, "the table of `src/lib.rs` has a row for each room");
    let wrong = upward(&order, &files);
    assert!(wrong.is_empty(), "uses of a room above:\n{}", wrong.join("\n"));
}

/// What the lab programs share stands below all three: training takes nothing of the others, nor does quantizing.
#[test]
fn lab_programs_share_rooms_and_not_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, others) in [("distill", ["quantize", "merge"]), ("quantize", ["distill", "merge"])] {
        let mut paths = Vec::new();
        sources(&root.join(room), &mut paths);
        assert!(paths.len() > 20, "only {} files of `{room}` were found", paths.len());
        for path in paths {
            let names = used(&code(&std::fs::read_to_string(&path).unwrap()));
            let foreign = others.iter().find(|other| names.contains(**other));
            assert_eq!(foreign, None, "{}", path.display());
        }
    }
}

#[test]
fn a_use_of_a_room_above_is_found_in_every_form() {
    let order = rooms("//! | room | what |\n//! |---|---|\n//! | [`ui`] | draws |\n//! | `text` | edits |\n");
    assert_eq!(order, ["ui", "text"]);
    let files = |source: &str| vec![("text/word.rs".to_owned(), source.to_owned())];
    for source in ["use crate::ui::draw;", "use crate::{small, ui::{self, draw}};", "fn f() { crate::ui::draw() }"] {
        assert_eq!(upward(&order, &files(source)), ["text/word.rs: ui"], "{source}");
    }
    for source in ["// crate::ui\n", "use crate::text::ui;", "#[cfg(test)]\nmod tests {\n use crate::ui;\n}", ""] {
        assert_eq!(upward(&order, &files(source)), [""; 0], "{source}");
    }
    let below = vec![("ui/a.rs".to_owned(), "use crate::text;".to_owned()), ("new.rs".to_owned(), String::new())];
    assert_eq!(upward(&order, &below), ["new.rs: its room has no row in the table"]);
}
