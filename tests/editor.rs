//! The editor in a real terminal: what is typed reaches the disk as it should, and survives a kill; what a real model
//! suggests is taken and reaches it too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]

#[cfg(feature = "engine")]
mod real;
mod screen;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use screen::Screen;

const SAVE: &str = "\x1bs";
const LEAVE: &str = "\x1bq";
/// Stands at the foot while a suggestion is shown.
#[cfg(feature = "engine")]
const GHOST: &str = "Tab accept";
const CONTENT: &str = "\u{feff}fn main() {\r\n    one();\n\ttwo();\r\n}";

/// A home and a folder with a file in it that is a link to another.
fn folder() -> (tempfile::TempDir, tempfile::TempDir) {
    let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let real = folder.path().join("real.rs");
    fs::write(&real, CONTENT).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.rs", folder.path().join("main.rs")).unwrap();
    (home, folder)
}

fn open(home: &Path, folder: &Path, file: &str) -> Screen {
    Screen::open(home, folder, &[file], 80, 24)
}

fn content(folder: &Path) -> String {
    fs::read_to_string(folder.join("real.rs")).unwrap()
}

#[test]
fn what_is_typed_is_saved_with_everything_else_as_it_was() {
    let (home, folder) = folder();
    let mut screen = open(home.path(), folder.path(), "main.rs:2");
    screen.wait_for("one();");
    screen.wait_for("2:1");
    screen.keys("\x1b[F // ünï");
    screen.wait_for("one(); // ünï");
    screen.keys(SAVE);
    screen.wait_for("saved `main.rs`");
    assert_eq!(content(folder.path()), CONTENT.replace("one();", "one(); // ünï"));
    let mode = fs::metadata(folder.path().join("real.rs")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert!(fs::symlink_metadata(folder.path().join("main.rs")).unwrap().is_symlink());
    screen.keys(LEAVE);
    assert!(screen.end().success());
    let left = fs::read_dir(home.path().join("unsaved")).unwrap().count();
    assert_eq!(left, 0, "nothing is kept of what is saved");
}

#[test]
fn a_kill_loses_nothing_that_was_seen_a_second_before() {
    let (home, folder) = folder();
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("one();");
    screen.keys("// first\r");
    screen.wait_for("// first");
    screen.keys("// second");
    screen.wait_for("// second");
    // what is seen now must be safe a second later
    screen.watch(Duration::from_millis(1000));
    screen.signal(Signal::KILL);
    screen.end();
    assert_eq!(content(folder.path()), CONTENT, "the file itself was not touched");
    let mut screen = Screen::open(home.path(), folder.path(), &[], 80, 24);
    screen.wait_for("unsaved changes in `real.rs`");
    screen.keys("\x03\x03\x03");
    screen.signal(Signal::TERM);
    screen.end();
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("were not saved");
    screen.keys("\r");
    screen.wait_for("// second");
    screen.keys(SAVE);
    screen.wait_for("saved `main.rs`");
    assert_eq!(content(folder.path()), CONTENT.replacen("fn", "// first\r\n// secondfn", 1));
    screen.keys(LEAVE);
    assert!(screen.end().success());
}

#[test]
fn leaving_without_saving_needs_an_answer_and_a_hangup_keeps_the_text() {
    let (home, folder) = folder();
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("one();");
    screen.keys("x");
    screen.wait_for("xfn");
    screen.keys(LEAVE);
    screen.wait_for("not saved");
    screen.keys("d");
    assert!(screen.end().success());
    assert_eq!(content(folder.path()), CONTENT);
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("one();");
    screen.keys("y");
    screen.wait_for("yfn");
    screen.signal(Signal::HUP);
    screen.end();
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("were not saved");
    screen.keys("\r");
    screen.wait_for("yfn");
    screen.signal(Signal::KILL);
    screen.end();
}

#[test]
fn a_change_by_someone_else_is_not_written_over() {
    let (home, folder) = folder();
    let mut screen = open(home.path(), folder.path(), "real.rs");
    screen.wait_for("one();");
    screen.keys("x");
    screen.wait_for("xfn");
    fs::write(folder.path().join("real.rs"), "theirs\n").unwrap();
    screen.keys(SAVE);
    screen.wait_for("changed on disk");
    assert_eq!(content(folder.path()), "theirs\n");
    screen.keys("\x1br");
    screen.wait_for("theirs");
    screen.keys("\x1bu");
    screen.wait_for("xfn");
    screen.signal(Signal::KILL);
    screen.end();
}

#[test]
fn a_search_over_all_files_lands_on_the_line() {
    let (home, folder) = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("sub/target")).unwrap();
    fs::write(at(".gitignore"), "target/\n").unwrap();
    fs::write(at("sub/target/built.rs"), "the needle\n").unwrap();
    fs::write(at("sub/deep.rs"), format!("{}\u{e9}\tlet Needle = 1;\n", "// hay\n".repeat(400))).unwrap();
    fs::write(at("a.txt"), "no needle here\n").unwrap();
    let mut screen = open(home.path(), folder.path(), "main.rs");
    screen.wait_for("one();");
    screen.keys("\x1blneedle");
    screen.wait_for("2 lines in 2 files");
    screen.wait_for("a.txt:1");
    assert!(screen.text().contains("sub/deep.rs:401") && !screen.text().contains("built.rs"), "{}", screen.text());
    screen.keys("\x1b[B\r");
    // the row at the foot tells the place
    screen.wait_for("401:7");
    assert!(screen.text().contains("let Needle = 1;"), "{}", screen.text());
    screen.keys("\x1bl");
    screen.wait_for("2 lines in 2 files");
    screen.keys("zzz");
    screen.wait_for("nothing found");
    screen.keys("\x1b");
    screen.wait_for("401:7");
    screen.keys(LEAVE);
    assert!(screen.end().success());
}

#[test]
fn what_cannot_be_edited_says_so() {
    let (home, folder) = folder();
    fs::write(folder.path().join("logo.png"), b"\x89PNG\0\0").unwrap();
    fs::File::create(folder.path().join("huge.log")).unwrap().set_len(200 << 20).unwrap();
    let mut screen = open(home.path(), folder.path(), "logo.png");
    screen.wait_for("read-only");
    screen.keys("x");
    screen.wait_for("read only: it is binary");
    screen.signal(Signal::KILL);
    screen.end();
    let mut screen = open(home.path(), folder.path(), "huge.log");
    screen.wait_for("the editor takes");
    screen.signal(Signal::KILL);
    screen.end();
}

#[cfg(feature = "engine")]
#[test]
fn a_suggestion_is_typed_along_taken_and_saved() {
    const BEFORE: &str = "def mean(values):\n    total = 0\n    for value in values:\n        total += ";
    const AFTER: &str = "\n    return total / len(values)\n";
    let Some(model) = real::qwen() else { return };
    let (home, folder) = (screen::home(&[model.as_path()], ""), tempfile::tempdir().unwrap());
    let file = folder.path().join("mean.py");
    fs::write(&file, format!("{BEFORE}{AFTER}")).unwrap();
    let mut screen = open(home.path(), folder.path(), "mean.py:4");
    screen.wait_for("total += ");
    screen.keys("\x1b[F");
    // Until the model is loaded the key only says so.
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while !screen.text().contains(GHOST) {
        assert!(std::time::Instant::now() < until, "no suggestion:\n{}", screen.text());
        screen.keys("\x1b\\");
        screen.watch(Duration::from_millis(500));
    }
    let row = |screen: &Screen| screen.text().lines().find(|line| line.contains("total += ")).unwrap().to_owned();
    let shown = row(&screen);
    let suggested = shown.split_once("total += ").unwrap().1.trim_end().to_owned();
    assert!(!suggested.is_empty(), "{}", screen.text());
    assert_eq!(fs::read_to_string(&file).unwrap(), format!("{BEFORE}{AFTER}"), "it is shown, not there");
    // Typing what it says keeps it: the row reads the same before and after.
    screen.keys(&suggested[..1]);
    screen.wait("the place after a key", |text| text.contains("4:18"));
    assert_eq!(row(&screen), shown);
    screen.keys("\t");
    screen.wait("the end of the suggestion", |text| !text.contains(GHOST));
    screen.keys(SAVE);
    screen.wait_for("saved `mean.py`");
    let saved = fs::read_to_string(&file).unwrap();
    let written = saved.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER)).expect(&saved);
    assert!(written.starts_with(&suggested), "{written:?}");
    screen.keys(LEAVE);
    assert!(screen.end().success());
}
