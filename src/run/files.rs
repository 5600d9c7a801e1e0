//! Files for a message: listing the folder, and reading what was named within a budget of tokens.
//!
//! The list stays inside the folder and follows no links. What a person types out may lie anywhere; only regular files
//! are opened, so that neither a pipe nor a device can hold the program up.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;

use crate::app::compose::BYTES_PER_TOKEN;
use crate::app::msg::Reading;
use crate::chat::tree::Attachment;
use crate::edits::{excerpt, guard, inside};
use crate::size::bytes;
use crate::text::clean;

/// Names listed at most.
const LISTED: usize = 20_000;
/// Files read for one message at most.
const READ: usize = 64;
/// Files that end with the same name, of which one may be meant, at most.
const ALIKE: usize = 3;
/// Bytes of one file, whatever the budget says.
const LONGEST: u64 = 4 << 20;

/// The files and folders below a folder, without what ignore files leave out; and whether there were too many.
pub(super) fn list(folder: &Path) -> (Vec<String>, bool) {
    let mut names = Vec::new();
    for entry in walk(folder, true) {
        let Some(kind) = entry.file_type() else { continue };
        let Ok(path) = entry.path().strip_prefix(folder) else { continue };
        let Some(name) = path.to_str().filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) else {
            continue;
        };
        let mark = if kind.is_dir() { "/" } else { "" };
        // a link to a file is a file; one to a folder may lead anywhere, also in a circle
        let is_file = kind.is_file() || (kind.is_symlink() && entry.path().is_file());
        if is_file || kind.is_dir() {
            names.push(format!("{}{mark}", name.replace(std::path::MAIN_SEPARATOR, "/")));
        }
        if names.len() >= LISTED {
            return (names, true);
        }
    }
    (names, false)
}

/// With `hidden`, names that begin with a dot too.
fn walk(folder: &Path, hidden: bool) -> impl Iterator<Item = ignore::DirEntry> {
    crate::walk::builder(folder, hidden).build().filter_map(Result::ok)
}

/// What came of reading.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Files {
    pub(super) attachments: Vec<Attachment>,
    pub(super) notices: Vec<String>,
    pub(super) unmatched: Vec<String>,
}

/// Reads what the patterns name. Each file gets a fair share of the budget; small ones leave theirs to the others.
pub(super) fn read(folder: &Path, reading: &Reading) -> Files {
    let mut out = Files::default();
    let mut found: Vec<(String, PathBuf, u64)> = Vec::new();
    let mut too_many = false;
    let typed = reading.patterns.iter().map(|pattern| (pattern, matching(folder, pattern)));
    let guessed = guessed(folder, &reading.guesses);
    let guessed = reading.guesses.iter().zip(guessed);
    for (n, (pattern, paths)) in typed.chain(guessed).enumerate() {
        if paths.is_empty() && n < reading.patterns.len() {
            out.unmatched.push(pattern.clone());
        }
        for path in paths {
            let size = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            if found.iter().any(|(_, known, _)| *known == path) {
                continue;
            }
            if found.len() >= READ {
                too_many = true;
                break;
            }
            found.push((shown(folder, &path), path, size));
        }
    }
    if too_many {
        out.notices.push(format!("only the first {READ} files were read"));
    }
    let mut left = (f64::from(reading.tokens) * BYTES_PER_TOKEN) as u64;
    // what the wish names and no file has had so far
    let mut wanted: Vec<String> = reading.about.as_deref().map(excerpt::named).unwrap_or_default();
    let mut order: Vec<usize> = (0..found.len()).collect();
    order.sort_by_key(|n| found[*n].2);
    let mut read: Vec<Option<Attachment>> = vec![None; found.len()];
    for (done, n) in order.into_iter().enumerate() {
        let (name, path, size) = &found[n];
        let share = left / (found.len() - done) as u64;
        let real = real_name(folder, path, name);
        let part = match &reading.about {
            Some(about) => part_of(path, name, about, share.min(LONGEST), &mut wanted),
            None => text_of(path, share.min(LONGEST)).map(|(text, lines)| {
                let cut = lines.map(|lines| {
                    let kept = bytes(text.len() as u64);
                    format!("`{name}` was cut: the first {lines} lines, {kept} of {}", bytes(*size))
                });
                (text, cut.into_iter().collect())
            }),
        };
        match part {
            Ok((text, notices)) => {
                left -= (text.len() as u64).min(left);
                out.notices.extend(notices);
                read[n] = Some(Attachment { name: name.clone(), text, real });
            }
            Err(why) => out.notices.push(format!("`{name}` was left out: {why}")),
        }
    }
    out.attachments = read.into_iter().flatten().collect();
    if out.attachments.iter().any(|file| file.text.lines().any(excerpt::is_gap)) {
        out.notices.extend(wanted.iter().map(|name| format!("`{name}` stands in none of the files")));
    }
    out
}

/// What a file is called, where the name that is shown is not that.
fn real_name(folder: &Path, path: &Path, shown: &str) -> Option<String> {
    let real = path.strip_prefix(folder).unwrap_or(path).to_str()?;
    (real != shown).then(|| real.to_owned())
}

/// The text of a file in at most `room` bytes: all of it, or the parts that a wish is about; and what is to be told.
/// What the wish names and the file has goes out of `wanted`.
fn part_of(
    path: &Path,
    name: &str,
    about: &str,
    room: u64,
    wanted: &mut Vec<String>,
) -> Result<(String, Vec<String>), String> {
    let whole = inside::text(path).map_err(|refused| refused.to_string())?.ok_or("it vanished")?;
    wanted.retain(|word| !whole.contains(word.as_str()));
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if whole.len() <= room {
        return Ok((whole, Vec::new()));
    }
    let part = excerpt::choose(&whole, name, about, room).ok_or("no line of it fits the context")?;
    let lines: Vec<String> = part.parts.iter().map(|run| format!("{}–{}", run.start + 1, run.end)).collect();
    let more = if lines.len() > 6 { format!(" and {} more parts", lines.len() - 6) } else { String::new() };
    let shown = lines.into_iter().take(6).collect::<Vec<_>>().join(", ");
    let mut notices =
        vec![format!("`{name}` is too long: the model sees lines {shown}{more} of {}", whole.lines().count())];
    for (word, line) in part.outside {
        notices.push(format!("`{word}` (line {line} of `{name}`) did not fit: ask for less, or with a larger context"));
    }
    Ok((part.text, notices))
}

/// A file of the folder that a program spoke of; it is not read if it lies elsewhere.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = inside::path(folder, name).ok().filter(|path| path.is_file())?;
    Some(folder.join(inside::shown(folder, &path)))
}

/// The files that a program spoke of, by what it wrote: where no such file is, those whose names end so; and behind a
/// file of tests those that it is about.
fn guessed(folder: &Path, names: &[String]) -> Vec<Vec<PathBuf>> {
    let mut all: Option<Vec<String>> = None;
    let mut found: Vec<Vec<PathBuf>> = names.iter().map(|name| below(folder, name).into_iter().collect()).collect();
    for (n, name) in names.iter().enumerate().filter(|(_, name)| !Path::new(name).exists() || !name.starts_with('/')) {
        let ends = |path: &PathBuf| path.ends_with(tidy(Path::new(name)));
        if found[n].is_empty() && !found.iter().flatten().any(ends) {
            let all = all.get_or_insert_with(|| names_below(folder));
            found[n] = ending_in(name, all).into_iter().map(|name| folder.join(name)).collect();
        }
    }
    let tests: Vec<(usize, String)> = (found.iter().enumerate())
        .flat_map(|(n, paths)| paths.iter().map(move |path| (n, shown(folder, path))))
        .filter(|(_, name)| guard::is_test_file(name))
        .collect();
    for (n, name) in tests {
        let text = inside::read(folder, &name).ok().flatten().unwrap_or_default();
        let all = all.get_or_insert_with(|| names_below(folder));
        found[n].extend(guard::subjects(&name, &text, all).into_iter().map(|name| folder.join(name)));
    }
    found
}

/// The names of the files below a folder, with `/`.
fn names_below(folder: &Path) -> Vec<String> {
    files_below(folder).take(LISTED).map(|path| inside::shown(folder, &path)).collect()
}

/// The files whose names end with a name that was written somewhere else: in another folder, in a container. What is left
/// of a longer name says something only with a folder before it.
fn ending_in(name: &str, all: &[String]) -> Vec<String> {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != "." && *part != "..").collect();
    for from in 0..parts.len() {
        let ending = parts[from..].join("/");
        if from > 0 && parts.len() - from < 2 {
            break;
        }
        let ends = |file: &&String| {
            file.strip_suffix(ending.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
        };
        let found: Vec<String> = all.iter().filter(ends).cloned().collect();
        if !found.is_empty() {
            // one of many says nothing
            return if found.len() > ALIKE { Vec::new() } else { found };
        }
    }
    Vec::new()
}

/// A path as the model and the person read it: relative where it is inside the folder.
pub(super) fn shown(folder: &Path, path: &Path) -> String {
    clean::one_line(&path.strip_prefix(folder).unwrap_or(path).display().to_string())
}

/// The text of a file in at most `room` bytes, cut at a line's end; the number of lines if it was cut.
fn text_of(path: &Path, room: u64) -> Result<(String, Option<usize>), String> {
    let refuse = |error: std::io::Error| error.to_string();
    if !fs::metadata(path).map_err(refuse)?.is_file() {
        return Err("it is no regular file".into());
    }
    let mut head = Vec::new();
    File::open(path).map_err(refuse)?.take(room.saturating_add(1)).read_to_end(&mut head).map_err(refuse)?;
    let cut = head.len() as u64 > room;
    if cut {
        head.truncate(usize::try_from(room).unwrap_or(usize::MAX));
    }
    if head.contains(&0) {
        return Err("it is not text".into());
    }
    let text = match String::from_utf8(head) {
        Ok(text) => text,
        // a character cut in half at the very end is our doing
        Err(error) if cut && error.utf8_error().error_len().is_none() => {
            let valid = error.utf8_error().valid_up_to();
            String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned()
        }
        Err(_) => return Err("it is not text (UTF-8)".into()),
    };
    if !cut {
        return Ok((text, None));
    }
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    if end == 0 {
        return Err("no line of it fits the context".into());
    }
    let text = text[..end].to_owned();
    let lines = text.lines().count();
    Ok((text, Some(lines)))
}

/// The files that a pattern names: a file, what is below a folder, or what a glob matches.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let typed = match (pattern.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(pattern),
    };
    let typed = tidy(&typed);
    match fs::metadata(&typed) {
        Ok(found) if found.is_file() => return vec![typed],
        Ok(found) if found.is_dir() => return files_below(&typed).take(READ + 1).collect(),
        _ => {}
    }
    let is_glob = |part: &Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let base: PathBuf = typed.components().take_while(|part| !is_glob(part)).collect();
    let rest: PathBuf = typed.components().skip_while(|part| !is_glob(part)).collect();
    let glob = rest.to_str().and_then(|rest| GlobBuilder::new(rest).literal_separator(true).build().ok());
    let Some(glob) = glob.filter(|_| rest.components().next().is_some()).map(|glob| glob.compile_matcher()) else {
        return Vec::new();
    };
    let below = files_below(&base).filter(|path| path.strip_prefix(&base).is_ok_and(|path| glob.is_match(path)));
    below.take(READ + 1).collect()
}

fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let files = walk(folder, false).filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()));
    files.map(ignore::DirEntry::into_path)
}

/// Without `.` and `..`, as far as that can be done without asking the disk.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put(".gitignore", b"target/\n");
        put("src/main.rs", b"fn main() {}\n");
        put("src/ui/mod.rs", b"mod a;\nmod b;\n");
        put("target/junk.rs", b"junk");
        put("logo.png", b"\x89PNG\0\0");
        put("latin.txt", b"caf\xe9\n");
        put("long.txt", "0123456789\n".repeat(1000).as_bytes());
        folder
    }

    fn reading(patterns: &[&str], tokens: u32) -> Reading {
        Reading {
            id: 0,
            patterns: patterns.iter().map(|text| (*text).to_owned()).collect(),
            guesses: Vec::new(),
            tokens,
            about: None,
        }
    }

    fn names(files: &Files) -> Vec<&str> {
        files.attachments.iter().map(|file| file.name.as_str()).collect()
    }

    #[test]
    fn the_list_stays_inside_and_heeds_ignore_files() {
        let folder = folder();
        std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
        let (names, more) = list(folder.path());
        assert_eq!(
            names,
            [".gitignore", "latin.txt", "logo.png", "long.txt", "src/", "src/main.rs", "src/ui/", "src/ui/mod.rs"]
        );
        assert!(!more);
    }

    #[test]
    fn files_folders_and_globs_are_read_once() {
        let folder = folder();
        let found = read(folder.path(), &reading(&["src/**/*.rs", "src", "./src/main.rs", "nothing.rs"], 4000));
        assert_eq!(names(&found), ["src/main.rs", "src/ui/mod.rs"]);
        assert_eq!(found.unmatched, ["nothing.rs"]);
        assert_eq!(names(&read(folder.path(), &reading(&["src/*.rs"], 4000))), ["src/main.rs"]);
    }

    #[test]
    fn what_is_not_text_is_refused_with_a_word() {
        let folder = folder();
        let found = read(folder.path(), &reading(&["logo.png", "latin.txt", "/dev/zero"], 4000));
        assert!(found.attachments.is_empty());
        assert_eq!(found.notices.len(), 2, "{:?}", found.notices);
        assert_eq!(found.unmatched, ["/dev/zero"]);
    }

    #[test]
    fn a_long_file_is_cut_at_a_line_and_leaves_room_for_small_ones() {
        let folder = folder();
        let found = read(folder.path(), &reading(&["long.txt", "src/main.rs"], 100));
        assert_eq!(names(&found), ["long.txt", "src/main.rs"]);
        assert!(found.attachments[0].text.ends_with("9\n") && found.attachments[0].text.len() <= 350);
        assert_eq!(found.attachments[1].text, "fn main() {}\n");
        assert!(found.notices[0].contains("the first"), "{:?}", found.notices);
        assert!(read(folder.path(), &reading(&["long.txt"], 1)).attachments.is_empty());
    }

    #[test]
    fn what_a_program_spoke_of_is_read_only_inside_the_folder_and_missed_silently() {
        let folder = folder();
        let inner = folder.path().join("src");
        let guesses = ["main.rs", "../long.txt", "none.rs", "ui"].map(String::from).to_vec();
        let found = read(&inner, &Reading { guesses, ..reading(&["main.rs"], 1000) });
        assert_eq!((names(&found), found.unmatched.len()), (vec!["main.rs"], 0));
    }

    #[test]
    fn what_a_program_spoke_of_from_another_folder_is_found_by_the_end_of_its_name() {
        let folder = folder();
        let put = |name: &str, text: &str| {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        put("py/app.py", "x\n");
        put("a/one.c", "1\n");
        for n in 0..5 {
            put(&format!("many/{n}/mod.py"), "m\n");
        }
        put("py/test_calc.py", "from calc import add\n");
        put("py/calc.py", "def add(): pass\n");
        let guess = |names: &[&str]| {
            let guesses = names.iter().map(|name| (*name).to_owned()).collect();
            let found = read(folder.path(), &Reading { guesses, ..reading(&[], 4000) });
            found.attachments.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        assert_eq!(guess(&["app.py"]), ["py/app.py"]);
        assert_eq!(guess(&["/build/work/py/app.py", "../a/one.c"]), ["py/app.py", "a/one.c"]);
        assert_eq!(guess(&["py/app.py", "app.py"]), ["py/app.py"]);
        assert!(guess(&["mod.py", "/usr/lib/none/app.pyc", "none.py", "/elsewhere/app.py"]).is_empty());
        assert_eq!(guess(&["test_calc.py"]), ["py/test_calc.py", "py/calc.py"], "what the test is about");
    }

    #[test]
    fn paths_elsewhere_are_read_when_typed() {
        let folder = folder();
        let found = read(&folder.path().join("src/ui"), &reading(&["../main.rs"], 1000));
        assert_eq!(found.attachments[0].text, "fn main() {}\n");
    }

    #[test]
    fn of_a_long_file_that_shall_be_changed_the_parts_are_read_that_the_wish_is_about() {
        let folder = folder();
        let text: String = (0..900).map(|n| format!("def f_{n}():\n    pass\n\n")).collect();
        fs::write(folder.path().join("big.py"), &text).unwrap();
        let about = |wish: &str| Reading { about: Some(wish.into()), ..reading(&["big.py"], 200) };
        let found = read(folder.path(), &about("let `f_700` return 1"));
        let text = &found.attachments[0].text;
        assert!(text.contains("def f_700():\n    pass\n") && text.len() <= 700, "{text}");
        assert!(found.notices.len() == 1 && found.notices[0].contains("of 2700"), "{:?}", found.notices);
        let found = read(folder.path(), &about("let `f_9000` return 1"));
        assert!(found.notices.iter().any(|told| told.contains("`f_9000` stands in none")), "{:?}", found.notices);
    }

    #[test]
    fn a_name_with_a_line_end_is_shown_on_one_line_and_kept_as_it_is() {
        let folder = folder();
        fs::write(folder.path().join("nl\nname.py"), "x = 1\n").unwrap();
        let found = read(folder.path(), &reading(&["nl?name.py"], 1000));
        assert_eq!(found.attachments[0].name, "nl name.py");
        assert_eq!(found.attachments[0].real.as_deref(), Some("nl\nname.py"));
    }
}
