use super::*;
use crate::fim::form::{FimIds, Known};

fn qwen() -> Form {
    let ids = FimIds { pre: Some(1), suf: Some(2), mid: Some(3), ..FimIds::default() };
    Form::choose(&ids, &|_| None, Known::Nothing)
}

fn plain() -> Form {
    Form::plain(&|_| None)
}

/// About as a tokenizer counts.
fn count(text: &str) -> usize {
    text.len().div_ceil(4)
}

fn ask(form: &Form, before: &str, after: &str, tokens: usize) -> Prompt {
    let site = Site::new(Some("a.py"), None, before, after);
    build(form, &site, &[], Budget::new(tokens), &mut count)
}

fn text(prompt: &Prompt) -> String {
    let spell = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Control(id) => format!("<{id}>"),
    };
    prompt.parts.iter().map(spell).collect()
}

/// A file of functions that differ, with about 10 tokens a line.
fn file(lines: usize) -> String {
    let line = |i: usize| match i % 7 {
        0 => format!("def function_{i}(first, second):\n"),
        6 => format!("    return first * {i} + second\n"),
        _ => format!("    value_{i} = first + second * {}\n", i * 31),
    };
    (0..lines).map(line).collect()
}

#[test]
fn what_fits_is_sent_whole() {
    assert_eq!(text(&ask(&qwen(), "a = 1\nb", "\nc\n", 100)), "<1>a = 1\nb<2>\nc\n<3>");
    assert_eq!(text(&ask(&plain(), "a = 1\nb", "\nc\n", 100)), "# How it ends:\n\nc\n\n# All of it:\na = 1\nb");
    assert_eq!(text(&ask(&plain(), "a = 1\nb", "\n \n", 100)), "a = 1\nb");
    assert_eq!(text(&ask(&qwen(), "", "", 100)), "<1><2><3>");
}

#[test]
fn a_long_file_is_cut_at_lines_and_its_heads_are_kept() {
    let file = format!("import os\n{}", file(400));
    let prompt = text(&ask(&qwen(), &file, &file, 1000));
    assert!(count(&prompt) < 1050, "{}", count(&prompt));
    assert!(count(&prompt) > 400, "{}", count(&prompt));
    assert!(prompt.starts_with("<1>import os\n# ...\n"));
    assert!(prompt.contains("    return first * 398 + second\n"));
    assert!(prompt.contains("<2>import os\n") && prompt.ends_with("\n<3>"));
}

#[test]
fn a_line_longer_than_the_budget_is_cut_where_it_is_far() {
    let line = "0123456789".repeat(6000);
    let prompt = text(&ask(&qwen(), &format!("{line}near"), &format!("here{line}"), 400));
    assert!(prompt.contains("near<2>here"));
    assert!(count(&prompt) < 450);
    let wide = "é".repeat(30_000);
    assert!(text(&ask(&qwen(), &wide, &wide, 400)).contains("é<2>é"));
}

/// How often the text before the cursor's line changes otherwise than by growing, while `lines` lines are typed.
fn moves(form: &Form, tokens: usize, lines: usize) -> usize {
    let file = file(800);
    let from = file.len() / 2;
    let to = file[from..].split_inclusive('\n').take(lines).map(str::len).sum::<usize>() + from;
    let mut last = String::new();
    let mut moves = 0;
    for at in from..=to {
        let now = text(&ask(form, &file[..at], "\n\nprint(1)\n", tokens));
        // Blanks at the end may be held back, and the suffix follows the prefix where there is one.
        let now = now.split("<2>").next().unwrap_or_default().trim_end().to_owned();
        moves += usize::from(!now.starts_with(&last));
        last = now;
    }
    moves
}

#[test]
fn typing_keeps_what_stands_before_but_for_rare_jumps() {
    // 100 lines of about 10 tokens in a window of 500: a window that followed the cursor would move 100 times.
    for form in [qwen(), plain()] {
        let moves = moves(&form, 1000, 100);
        assert!((1..=12).contains(&moves), "{moves}");
    }
}

proptest::proptest! {
    #[test]
    fn typing_within_a_line_changes_nothing_before_it(at in 100usize..790, typed in "[a-z (]{1,30}", tokens in 200usize..2000) {
        let file = file(800);
        let before: String = file.split_inclusive('\n').take(at).collect();
        let form = qwen();
        let first = text(&ask(&form, &before, "\n", tokens));
        let second = text(&ask(&form, &format!("{before}{typed}"), "\n", tokens));
        let lines = |text: &str| text.split("<2>").next().unwrap_or_default().to_owned();
        // The step from an empty line to one with text counts as a line more; the rest is the same.
        let third = text(&ask(&form, &format!("{before}{typed}{typed}"), "\n", tokens));
        let head = lines(&second)[..lines(&second).len() - typed.len()].to_owned();
        proptest::prop_assert!(lines(&third).starts_with(&head));
        proptest::prop_assert!(first.contains("<1>"));
    }

    #[test]
    fn any_text_gives_a_prompt_within_its_budget(before in "\\PC{0,300}(\n\\PC{0,40}){0,40}", after in "(\\PC{0,40}\n){0,40}", tokens in 100usize..600) {
        for form in [qwen(), plain()] {
            let prompt = ask(&form, &before, &after, tokens);
            proptest::prop_assert!(count(&text(&prompt)) <= tokens + FRAME);
            let shown = text(&prompt) + &prompt.held;
            let line = before.rsplit('\n').next().unwrap_or_default();
            if count(line) < tokens / 2 {
                proptest::prop_assert!(shown.contains(line));
            }
            proptest::prop_assert!(after.starts_with(&prompt.probe));
        }
    }
}

#[test]
fn the_newest_pieces_of_the_same_language_come_in_their_order() {
    let piece = |path: &str, lines: usize| Chunk { path: path.into(), text: file(lines) };
    let chunks = [piece("old.py", 30), piece("b.py", 5), piece("c.rs", 5), piece("d.py", 5)];
    let site = Site::new(Some("a.py"), Some("R"), "x = 1\n", "");
    let prompt = build(&plain(), &site, &chunks, Budget::new(400), &mut count);
    let shown = text(&prompt);
    assert!(shown.starts_with("# b.py\n") && shown.ends_with("# a.py\nx = 1\n"));
    assert!(shown.contains("# d.py") && !shown.contains("old.py") && !shown.contains("c.rs"));
}

#[test]
fn blanks_before_the_cursor_are_held_back_from_plain_models_only() {
    let prompt = ask(&plain(), "if x:\n    ", "", 100);
    assert_eq!((text(&prompt).as_str(), prompt.held.as_str()), ("if x:\n", "    "));
    let prompt = ask(&plain(), "x = ", "", 100);
    assert_eq!((text(&prompt).as_str(), prompt.held.as_str()), ("x =", " "));
    let prompt = ask(&qwen(), "x = ", "", 100);
    assert_eq!((text(&prompt).as_str(), prompt.held.as_str()), ("<1>x = <2><3>", ""));
    assert!(Prompt::allows(b"    ", b"  ") && Prompt::allows(b" ", b" return") && Prompt::allows(b"", b"x"));
    assert!(!Prompt::allows(b" ", b"x") && !Prompt::allows(b" ", b""));
}

#[test]
fn the_probe_is_what_follows_to_the_second_line_with_text() {
    for (suffix, probe) in [
        ("", ""),
        ("\n \n", ""),
        (")\n\n  b\nc\n", ")\n\n  b\n"),
        ("\n\n  b\nc\nd\n", "\n\n  b\nc\n"),
        ("    return x\n", "    return x\n"),
    ] {
        assert_eq!(ask(&plain(), "a", suffix, 100).probe, probe, "{suffix:?}");
    }
    assert_eq!(ask(&plain(), "a", &"x".repeat(5000), 100).probe.len(), PROBE);
}
