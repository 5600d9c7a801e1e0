//! Blocks read and applied.

use super::*;
use proptest::prelude::*;

fn block(search: &str, replace: &str) -> Block {
    Block { search: search.into(), replace: replace.into(), ..Block::default() }
}

fn parse(text: &str, known: &[&str]) -> (Vec<Block>, Vec<Problem>) {
    super::parse(text, &|name| known.contains(&name))
}

fn applied(text: &str, blocks: &[Block]) -> (String, Vec<String>) {
    let found = apply(text, &blocks.iter().collect::<Vec<_>>());
    (found.text, found.refused.into_iter().map(|(_, reason)| reason).collect())
}

#[test]
fn blocks_are_read_however_they_are_wrapped() {
    let plain = "src/a.rs\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    let forms = [
        plain.to_owned(),
        format!("I change it:\n\n```\n{plain}```\nDone."),
        plain.replace('\n', "\r\n"),
        "**src/a.rs**\n```rust\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```".into(),
        "### File: `src/a.rs`\n\n<<<<<< SEARCH\na\n========\nb\n>>>>>>>> REPLACE".into(),
        "```rust src/a.rs\n<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED\n```".into(),
        "<<<<<<< SEARCH src/a.rs\n```rust\na\n```\n=======\n```rust\nb\n```\n>>>>>>> REPLACE".into(),
    ];
    for form in forms {
        let (blocks, problems) = parse(&form, &[]);
        assert_eq!((blocks.len(), problems.len()), (1, 0), "{form}");
        assert_eq!(blocks[0].name.as_deref(), Some("src/a.rs"), "{form}");
        assert_eq!(applied("x\na\n", &blocks), ("x\nb\n".to_owned(), vec![]), "{form}");
    }
}

#[test]
fn lines_of_the_text_that_look_like_the_divider_are_told_from_it_by_the_file() {
    let file = "Title\n=======\n\nold\n\nOther\n========\nend\n";
    let block = |inside: &str| format!("a.rst\n<<<<<<< SEARCH\n{inside}>>>>>>> REPLACE\n");
    for (inside, want) in [
        ("Title\n=======\n\nold\n=======\nTitle\n=======\n\nnew\n", "Title\n=======\n\nnew\n\nOther\n========\nend\n"),
        ("Title\n=======\n=======\nName\n======\n", "Name\n======\n\nold\n\nOther\n========\nend\n"),
        ("Other\n========\nend\n=======\nOther\n========\nstop\n", "Title\n=======\n\nold\n\nOther\n========\nstop\n"),
        ("old\n=======\nNew\n=======\n\nold\n", "Title\n=======\n\nNew\n=======\n\nold\n\nOther\n========\nend\n"),
    ] {
        let (blocks, problems) = parse(&block(inside), &[]);
        assert_eq!((blocks.len(), problems.len()), (1, 0), "{inside}");
        assert_eq!(applied(file, &blocks), (want.to_owned(), vec![]), "{inside}");
        let fenced = fenced(&block(inside), false).into_owned();
        assert!(fenced.contains("```"), "{fenced}");
    }
    let (blocks, _) = parse(&block("gone\n=======\nold\n=======\nnew\n"), &[]);
    let (text, refused) = applied(file, &blocks);
    assert_eq!((text.as_str(), refused.len()), (file, 1));
    assert!(refused[0].contains("several lines like `=======`"), "{refused:?}");
}

#[test]
fn the_name_holds_until_the_next_and_sentences_are_none() {
    let one = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    let text = format!("my file.py\n{one}Then this one too.\n{one}b.py\n{one}");
    let names: Vec<_> = parse(&text, &["my file.py"]).0.into_iter().map(|block| block.name.unwrap()).collect();
    assert_eq!(names, ["my file.py", "my file.py", "b.py"]);
    assert_eq!(parse(one, &[]).0[0].name, None);
}

#[test]
fn what_is_cut_off_or_broken_is_told_and_the_others_still_count() {
    let whole = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    for (broken, reason) in
        [("<<<<<<< SEARCH\nx\n", "before its `=======`"), ("<<<<<<< SEARCH\nx\n=======\ny\n", "before its `>>>>>>>")]
    {
        let (blocks, problems) = parse(&format!("{whole}{broken}"), &[]);
        assert_eq!(blocks.len(), 1);
        assert!(problems[0].reason.contains(reason), "{problems:?}");
    }
    let (blocks, problems) =
        parse(&format!("<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n{whole}<<<<<<< SEARCH\nx\n=======\n{whole}"), &[]);
    assert_eq!((blocks.len(), problems.len()), (2, 2), "{problems:?}");
}

#[test]
fn a_block_is_applied_where_it_stands_once() {
    assert_eq!(applied("a\nb\nc\n", &[block("b\n", "x\ny\n")]).0, "a\nx\ny\nc\n");
    assert_eq!(applied("a\r\nb\r\nc", &[block("c\n", "d\n")]).0, "a\r\nb\r\nd");
    assert_eq!(applied("a\nb\n", &[block("a\nb\n", "")]).0, "");
    assert_eq!(applied("", &[block("", "new\n")]).0, "new\n");
}

#[test]
fn white_space_is_forgiven_and_indentation_carried_over() {
    let (text, refused) = applied("if x:\n    a()  \n    b()\n", &[block("a()\nb()\n", "a()\nif y:\n  c()\n")]);
    assert_eq!((text.as_str(), refused.len()), ("if x:\n    a()\n    if y:\n      c()\n", 0));
    let (text, _) = applied("a\nb\n", &[block("    a\n", "    c\n        d\n")]);
    assert_eq!(text, "c\n    d\nb\n");
    let (text, _) = applied("a\n\nb\n", &[block("\na\n\n", "\nc\n\n")]);
    assert_eq!(text, "c\n\nb\n");
    // tabs against blanks say nothing about how far
    assert_eq!(applied("\ta\n\t\tb\n", &[block("    a\n        b\n", "c\n")]).1.len(), 1);
}

#[test]
fn what_does_not_apply_is_refused_with_its_reason_and_changes_nothing() {
    let text = "a\nb\na\n";
    for (wrong, reason) in [
        (block("a\n", "x\n"), "stands 2 times in the file (lines 1, 3)"),
        (block("z\n", "x\n"), "`z` is not in the file"),
        (block("b\nb\n", "x\n"), "not in this order"),
        (block("\n", "x\n"), "SEARCH is empty"),
        (block("a\n", "a\n"), "identical to the file"),
        (block("q\n", "a\nb\n"), "already has"),
    ] {
        let (after, refused) = applied(text, &[wrong]);
        assert_eq!(after, text);
        assert!(refused[0].contains(reason), "{refused:?}");
    }
}

#[test]
fn a_later_block_means_what_stood_there_before_the_first() {
    let first = block("one\n", "two\ntwo\n");
    let second = block("two\n", "three\n");
    assert_eq!(applied("one\ntwo\n", &[first.clone(), second.clone()]).0, "two\ntwo\nthree\n");
    let (text, refused) = applied("one\n", &[first, second]);
    assert_eq!((text.as_str(), refused.len()), ("two\ntwo\n", 1), "twice in what the first brought");
}

#[test]
fn fences_that_belong_to_the_file_stay() {
    let text = "# a\n```\nx\n```\n";
    assert_eq!(applied(text, &[block("```\nx\n```\n", "```\ny\n```\n")]).0, "# a\n```\ny\n```\n");
}

#[test]
fn a_name_keeps_its_slash_and_a_comment_loses_its_sign() {
    let one = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    for (line, name) in [
        ("/etc/motd.d/x", "/etc/motd.d/x"),
        ("//etc/motd.d/x", "//etc/motd.d/x"),
        ("// src/a.c", "src/a.c"),
        ("/// src/a.c", "src/a.c"),
        ("/* src/a.c */", "src/a.c"),
        ("# /etc/hosts.deny", "/etc/hosts.deny"),
        ("## `a.py`:", "a.py"),
        ("<!-- -->", "old.py"),
    ] {
        let found = parse(&format!("old.py\n{one}{line}\n{one}"), &[]).0;
        assert_eq!(found[1].name.as_deref(), Some(name), "{line}");
    }
}

#[test]
fn a_name_without_an_ending_is_one_if_it_is_known_and_else_nobodys() {
    let one = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    let names = |text: &str, known: &[&str]| -> Vec<Option<String>> {
        parse(text, known).0.into_iter().map(|block| block.name).collect()
    };
    let both = |second: &str| format!("a.py\n{one}{second}\n{one}");
    assert_eq!(names(&both("Makefile"), &[])[1].as_deref(), Some("Makefile"));
    assert_eq!(names(&both("run-tests"), &["run-tests"])[1].as_deref(), Some("run-tests"));
    assert_eq!(names(&both("**run-tests**\n```sh"), &["run-tests"])[1].as_deref(), Some("run-tests"));
    let (blocks, problems) = parse(&both("run-tests"), &[]);
    assert_eq!((blocks.len(), problems.len()), (1, 1));
    assert!(problems[0].reason.contains("`run-tests`") && problems[0].what == "Edit 2", "{problems:?}");
    for talk in ["Then:", "Done.", "Now this", "## Second", "```python", "---"] {
        assert_eq!(names(&both(talk), &[])[1].as_deref(), Some("a.py"), "{talk}");
    }
}

#[test]
fn a_fence_that_belongs_to_a_text_is_not_taken_away() {
    let found = |name: &str| {
        let block = Block { name: Some(name.into()), ..block("Run it.\n", "```\ncargo run\n```\n") };
        applied("# a\nRun it.\n", &[block]).0
    };
    assert_eq!(found("README.md"), "# a\n```\ncargo run\n```\n");
    assert_eq!(found("a.py"), "# a\ncargo run\n");
    let fenced = Block { name: Some("README.md".into()), ..block("```\nRun it.\n```\n", "```\nGo.\n```\n") };
    assert_eq!(applied("# a\nRun it.\n", &[fenced]).0, "# a\nGo.\n");
}

#[test]
fn blocks_without_a_fence_get_one_and_nothing_else_does() {
    let one = "<<<<<<< SEARCH\na\n=======\n```\n>>>>>>> REPLACE\n";
    assert_eq!(fenced(&format!("x\n{one}y\n"), false), format!("x\n````\n{one}````\ny\n"));
    let inside = format!("```\n{}```\nx\n", one.replace("```\n", "b\n"));
    assert_eq!(fenced(&inside, false), inside);
    assert_eq!(fenced("<<<<<<< SEARCH\na\n", false), "<<<<<<< SEARCH\na\n", "it has no end");
    assert_eq!(fenced("<<<<<<< SEARCH\na\n", true), "```\n<<<<<<< SEARCH\na\n");
    assert_eq!(fenced("no block", false), "no block");
    assert_eq!(fenced(one.trim_end(), false), format!("````\n{one}````\n"));
}

proptest! {
    #[test]
    fn no_answer_breaks_the_reader(parts in proptest::collection::vec(proptest::sample::select(vec![
        "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "a\n", "  a\n", "\n", "```\n", "x.rs\n", "<<<<<<<", "b",
    ]), 0..24), text in "([ab ]{0,2}\n){0,6}") {
        let answer = parts.concat();
        let (blocks, _) = parse(&answer, &[]);
        let all: Vec<&Block> = blocks.iter().collect();
        let found = apply(&text, &all);
        prop_assert!(found.refused.len() <= blocks.len());
        if found.refused.len() == blocks.len() {
            prop_assert_eq!(found.text, text);
        }
    }

    #[test]
    fn a_unique_run_is_always_found(lines in proptest::collection::vec("[a-c]{1,2}", 1..10), at in 0usize..10, len in 1usize..4) {
        let at = at.min(lines.len() - 1);
        let end = (at + len).min(lines.len());
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let search: String = lines[at..end].iter().map(|line| format!("{line}\n")).collect();
        let count = lines.windows(end - at).filter(|window| **window == lines[at..end]).count();
        let (after, refused) = applied(&text, &[block(&search, "NEW\n")]);
        prop_assert_eq!(refused.is_empty(), count == 1);
        if count == 1 {
            let wanted: String = lines[..at].iter().map(String::as_str).chain(["NEW"]).chain(lines[end..].iter().map(String::as_str)).map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(after, wanted);
        }
    }
}
