use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;

use super::*;
use crate::app::search::LONGEST;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn sought(text: &str, is_regex: bool) -> Sought {
    Sought { text: text.into(), is_regex }
}

/// What a search gave.
#[derive(Default)]
struct Came {
    lines: Vec<FoundLine>,
    searched: Searched,
    /// Whether it came to its end, and to the end of the folder.
    done: Option<bool>,
    wrong: Option<String>,
}

impl Came {
    fn take(&mut self, told: SearchMsg) {
        match told {
            SearchMsg::Found { lines, searched, .. } => {
                assert!(self.done.is_none(), "the end is the last word");
                self.lines.extend(lines);
                self.searched = searched;
            }
            SearchMsg::Done { searched, more, .. } => (self.searched, self.done) = (searched, Some(!more)),
            SearchMsg::Wrong { why, .. } => self.wrong = Some(why),
        }
    }

    fn places(&self) -> Vec<String> {
        let place = |line: &FoundLine| format!("{}:{}:{}", line.file.name, line.place.line, line.place.column);
        self.lines.iter().map(place).collect()
    }

    /// The first line's text with its match in brackets.
    fn first(&self) -> String {
        let FoundLine { text, matched, .. } = &self.lines[0];
        format!("{}[{}]{}", &text[..matched.start], &text[matched.clone()], &text[matched.end..])
    }
}

fn run(folder: &Path, sought: Sought) -> Came {
    let order = Order { id: SearchId(7), sought, cancel: Cancel::new() };
    let came = RefCell::new(Came::default());
    search(folder, &order, &|told| {
        came.borrow_mut().take(told);
        true
    });
    came.into_inner()
}

fn find(folder: &Path, text: &str) -> Came {
    run(folder, sought(text, false))
}

#[test]
fn lines_come_in_order_of_their_files_and_small_letters_find_capitals() {
    let folder = folder(&[
        ("b.rs", b"fn one() {}\r\nlet Needle = 1; // needle\r\n"),
        ("a/z.txt", b"no\n\n  the needle"),
        (".hidden/x", b"NEEDLE\n"),
        ("none.txt", b"hay\n"),
    ]);
    let came = find(folder.path(), "needle");
    assert_eq!(came.places(), [".hidden/x:1:1", "a/z.txt:3:7", "b.rs:2:5"], "one row a line");
    assert_eq!((came.done, came.searched), (Some(true), Searched { files: 4, ..Searched::default() }));
    assert_eq!(came.lines[0].file.path, folder.path().join(".hidden/x"));
    assert_eq!(came.lines[2].text, "let Needle = 1; // needle", "no line end is shown");
    assert_eq!(find(folder.path(), "Needle").places(), ["b.rs:2:5"]);
    assert_eq!(find(folder.path(), "nowhere").done, Some(true));
}

#[test]
fn signs_are_signs_unless_an_expression_is_wanted() {
    let folder = folder(&[("a", b"a.b\naxb\na.b.c d\r\n"), ("é", "Él dice é\n".as_bytes())]);
    assert_eq!(find(folder.path(), "a.b").places(), ["a:1:1", "a:3:1"]);
    let expression = |text: &str| run(folder.path(), sought(text, true)).places();
    assert_eq!(expression("a.b$"), ["a:1:1", "a:2:1"]);
    assert_eq!(expression(" d$"), ["a:3:6"], "a carriage return is no part of the line");
    assert_eq!(expression(r"\Aaxb\z"), ["a:2:1"], "ends of the text are those of each line");
    assert_eq!(expression("x*"), ["a:2:2"], "what is empty is no match");
    assert_eq!(expression(r"\bÉ"), ["é:1:1"]);
    assert_eq!(find(folder.path(), "él").places(), ["é:1:1"]);
}

#[test]
fn what_makes_no_sense_is_told_in_a_line() {
    let folder = folder(&[("a", b"x(\n")]);
    let wrong = |text: &str| run(folder.path(), sought(text, true)).wrong.unwrap();
    assert_eq!(wrong("x("), "unclosed group");
    assert!(wrong(r"(\w{1000}){1000}").contains("size limit"), "{}", wrong(r"(\w{1000}){1000}"));
    assert!(!wrong("a\\nb").contains('\n'));
    assert_eq!(find(folder.path(), "x(").places(), ["a:1:1"]);
    assert!(find(folder.path(), &"x".repeat(LONGEST + 1)).wrong.is_some());
    assert!(find(folder.path(), &"é".repeat(LONGEST / 2)).wrong.is_none());
}

#[test]
fn ignored_binary_and_large_files_are_left_out_and_links_lead_nowhere() {
    let folder = folder(&[
        (".gitignore", b"target/\n*.log\n"),
        (".git/config", b"needle\n"),
        ("target/x", b"needle\n"),
        ("a.log", b"needle\n"),
        ("head.bin", b"needle\0\n"),
        ("tail.bin", &[b"needle\n".repeat(4000).as_slice(), b"\0"].concat()),
        ("real", b"needle\n"),
    ]);
    let at = |name: &str| folder.path().join(name);
    fs::File::create(at("large.bin")).unwrap().set_len(LARGEST + 1).unwrap();
    fs::write(at("large.txt"), b"needle and hay\n".repeat(600_000)).unwrap();
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    std::os::unix::fs::symlink(".", at("circle")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zero")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let came = find(folder.path(), "needle");
    assert_eq!(came.places(), ["real:1:1"]);
    // .gitignore and real; a large file is told of unless it is binary
    assert_eq!(came.searched, Searched { files: 2, large: 1, unreadable: 0 });
}

#[test]
fn what_takes_a_files_place_after_the_listing_is_not_opened() {
    let folder = folder(&[("real", b"needle\n")]);
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("real", at("link")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap();
    assert!(made.success());
    let mut text = Vec::new();
    assert!(read(&at("link"), &mut text).is_err());
    assert!(matches!(read(&at("pipe"), &mut text), Ok(Content::Binary)), "and it is not waited for");
    assert!(matches!(read(&at("real"), &mut text), Ok(Content::Text)) && text == b"needle\n");
}

#[test]
fn what_may_not_be_read_is_counted() {
    let folder = folder(&[("closed", b"needle\n"), ("open", b"needle\n")]);
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let may_all = fs::read(folder.path().join("closed")).is_ok();
    let came = find(folder.path(), "needle");
    assert_eq!(came.searched.unreadable, usize::from(!may_all));
    assert!(came.places().contains(&"open:1:1".to_owned()));
}

#[test]
fn columns_are_the_editors_where_the_text_is_no_utf_8() {
    let folder = folder(&[
        ("broken", b"\xff\xfe caf\xe9 needle \xe4\xb8\n"),
        ("mark", b"\xef\xbb\xbfneedle\n"),
        ("wide", "中文\tneedle\n".as_bytes()),
    ]);
    let came = find(folder.path(), "needle");
    assert_eq!(came.places(), ["broken:1:9", "mark:1:1", "wide:1:4"]);
    for line in &came.lines {
        let whole = fs::read(&line.file.path).unwrap();
        let shown = String::from_utf8_lossy(whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&whole)).into_owned();
        let from: String = shown.chars().skip(line.place.column - 1).collect();
        assert!(from.starts_with("needle"), "{shown:?}");
    }
    assert_eq!(came.first(), "\u{fffd}\u{fffd} caf\u{fffd} [needle] \u{fffd}");
}

#[test]
fn of_a_huge_line_the_part_around_the_match_is_shown() {
    let mut huge = "é".repeat(150_000);
    huge.push_str("needle");
    huge.push_str(&"x".repeat(200_000));
    let folder = folder(&[("huge", format!("short needle\n{huge}\nneedle\n").as_bytes())]);
    let came = find(folder.path(), "needle");
    assert_eq!(came.places(), ["huge:1:7", "huge:2:150001", "huge:3:1"]);
    let line = &came.lines[1];
    assert!(line.text.starts_with("…é") && line.text.ends_with("x…"), "{}", line.text);
    assert_eq!(&line.text[line.matched.clone()], "needle");
    assert!(line.text.chars().count() < 300);
    let came = run(folder.path(), sought("é.*", true));
    assert_eq!(came.places(), ["huge:2:1"], "a match as long as the line");
    assert!(came.lines[0].text.chars().count() < 300);
    let came = run(folder.path(), sought("é+needlex+$", true));
    assert_eq!(came.lines.len(), 1, "found, though it begins and ends far away: {:?}", came.places());
    assert_eq!(run(folder.path(), sought("xx$", true)).places(), ["huge:2:350005"], "an end is the line's end");
}

#[test]
fn windows_and_lines_meet_wherever_they_end() {
    // lines of every length around a window's, with a match at the end of each
    let mut text = Vec::new();
    let mut wanted = Vec::new();
    for (n, length) in [32_760, 32_761, 32_766, 32_767, 32_768, 32_769, 65_536, 0, 5, 70_000].into_iter().enumerate() {
        text.extend(std::iter::repeat_n(b'.', length));
        text.extend(b"needle\n");
        wanted.push((n + 1, length));
    }
    for (looked_for, is_regex) in [("needle", false), ("needle$", true), (r"needle\z", true)] {
        let pattern = Pattern::new(&sought(looked_for, is_regex)).unwrap();
        let mut found = Vec::new();
        pattern.lines(&text, &|| false, &mut |number, line, matched| {
            assert_eq!(&line[matched.clone()], b"needle");
            found.push((number, matched.start));
            true
        });
        assert_eq!(found, wanted, "{looked_for}");
    }
}

#[test]
fn more_lines_than_are_listed_end_the_search() {
    let many = b"needle\n".repeat(MOST);
    let exact = folder(&[("a", &many)]);
    let came = find(exact.path(), "needle");
    assert_eq!((came.lines.len(), came.done), (MOST, Some(true)));
    let over = folder(&[("a", &many), ("b", b"needle\n"), ("c", b"needle\n")]);
    let came = find(over.path(), "needle");
    assert_eq!((came.lines.len(), came.done, came.searched.files), (MOST, Some(false), 2));
    assert!(came.lines.iter().all(|line| line.file.name == "a"));
}

#[test]
fn a_cancelled_search_says_nothing_more() {
    let folder = folder(&[("a", b"needle\n"), ("b", b"needle\n"), ("c", b"needle\n")]);
    let cancel = Cancel::new();
    let order = Order { id: SearchId(1), sought: sought("needle", false), cancel: cancel.clone() };
    let told = RefCell::new(0);
    search(folder.path(), &order, &|_| {
        *told.borrow_mut() += 1;
        cancel.cancel();
        true
    });
    assert_eq!(told.into_inner(), 1, "what was found first comes at once");
    let told = RefCell::new(0);
    let order = Order { id: SearchId(2), sought: sought("needle", false), cancel: Cancel::new() };
    search(folder.path(), &order, &|_| {
        *told.borrow_mut() += 1;
        false
    });
    assert_eq!(told.into_inner(), 1, "nobody listens any more");
}

#[test]
fn expressions_that_choke_other_engines_are_stopped_within_a_file() {
    let folder = folder(&[("a", &b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa ".repeat(20_000)), ("b", b"x\n")]);
    let came = run(folder.path(), sought("(a+)+$|(a|aa)+b", true));
    assert_eq!((came.lines.len(), came.done), (0, Some(true)));
    let asked = std::cell::Cell::new(0);
    let pattern = Pattern::new(&sought("(a|aa)+b", true)).unwrap();
    let text = b"aaaa ".repeat(200_000);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    pattern.lines(&text, &stop, &mut |_, _, _| true);
    assert_eq!(asked.get(), 4, "it looks up between parts of a line");
}

#[test]
fn of_orders_in_a_row_the_last_is_carried_out() {
    let folder = folder(&[("a", b"one\ntwo\nthree\n")]);
    let (sender, told) = channel();
    let post: Post = Arc::new(move |told| sender.send(told).is_ok());
    let mut searcher = Searcher::default();
    for (n, text) in ["one", "two", "three"].into_iter().enumerate() {
        searcher.search(folder.path(), SearchId(n as u64), sought(text, false), &post).unwrap();
    }
    let mut came = Came::default();
    while came.done.is_none() {
        let told = told.recv().unwrap();
        let (SearchMsg::Found { id, .. } | SearchMsg::Done { id, .. } | SearchMsg::Wrong { id, .. }) = &told;
        // one that had begun already may have said something
        if *id == SearchId(2) {
            came.take(told);
        }
    }
    assert_eq!(came.places(), ["a:3:1"]);
}
