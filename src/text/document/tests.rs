//! What keys do to a document, as (before, act, after): `|` is the cursor, `^` the anchor where something is selected.

use proptest::prelude::*;

use super::moves::Motion;
use super::*;

pub(crate) fn marked(text: &str, name: &str) -> Document {
    let mut plain = String::new();
    let (mut anchor, mut head, mut count) = (None, 0, 0);
    for c in text.chars() {
        match c {
            '|' => head = count,
            '^' => anchor = Some(count),
            c => {
                plain.push(c);
                count += 1;
            }
        }
    }
    let mut document = Document::new(&plain, name);
    document.select(Selection { anchor: anchor.unwrap_or(head), head });
    document
}

pub(crate) fn shown(document: &Document) -> String {
    let selection = document.selection();
    let mut text = String::new();
    for (at, c) in document.rope().chars().map(Some).chain([None]).enumerate() {
        if at == selection.anchor && !selection.is_empty() {
            text.push('^');
        }
        if at == selection.head {
            text.push('|');
        }
        text.extend(c);
    }
    text
}

fn after(before: &str, act: impl FnOnce(&mut Document)) -> String {
    let mut document = marked(before, "a.rs");
    act(&mut document);
    shown(&document)
}

fn go(motion: Motion) -> impl FnOnce(&mut Document) {
    move |document| document.go(motion, 20, false)
}

#[test]
fn brackets_and_blanks_follow_the_lines() {
    assert_eq!(after("fn a() {|}", Document::line_break), "fn a() {\n    |\n}");
    assert_eq!(after("    x;|", Document::line_break), "    x;\n    |");
    assert_eq!(after("{\n    |", |document| document.type_char('}')), "{\n}|");
    assert_eq!(after("        |x", Document::backspace), "    |x");
    assert_eq!(after("a |x", Document::backspace), "a|x");
    assert_eq!(after("  |x", Document::tab), "    |x");
    assert_eq!(after("^a\nb|\n", Document::tab), "    ^a\n    b|\n");
    assert_eq!(after("a\r\nb|\r\n", Document::line_break), "a\r\nb\r\n|\r\n");
}

#[test]
fn blank_lines_keep_no_blanks_that_nobody_typed() {
    assert_eq!(after("{\n    |", Document::line_break), "{\n\n    |");
    assert_eq!(after("{\r\n    |\r\n}", Document::line_break), "{\r\n\r\n    |\r\n}");
    assert_eq!(after("    |x", Document::line_break), "\n    |x");
    let broken = |motion: Motion| {
        after("a {\n    b;|\n}", |document| {
            document.line_break();
            assert_eq!(shown(document), "a {\n    b;\n    |\n}");
            assert_eq!(document.to_be_written().to_string(), "a {\n    b;\n\n}");
            document.go(motion, 20, false);
        })
    };
    assert_eq!(broken(Motion::Bottom), "a {\n    b;\n\n}|");
    assert_eq!(broken(Motion::Top), "|a {\n    b;\n\n}");
    assert_eq!(broken(Motion::Rows(-1)), "a {\n    |b;\n\n}");
    assert_eq!(broken(Motion::LineStart), "a {\n    b;\n|    \n}", "the line was not left");
    let typed = after("a {\n    b;|\n}", |document| {
        document.line_break();
        document.type_char(' ');
        assert!(document.to_be_written().to_string().contains("\n     \n"), "blanks that were typed are text");
        document.go(Motion::Top, 20, false);
    });
    assert_eq!(typed, "|a {\n    b;\n     \n}");
}

#[test]
fn a_closing_bracket_goes_to_the_line_of_its_opening_one() {
    assert_eq!(after("    if x {\n    |", |document| document.type_char('}')), "    if x {\n    }|");
    assert_eq!(after("    if x {\n        |", |document| document.type_char('}')), "    if x {\n    }|");
    assert_eq!(after("        |", |document| document.type_char('}')), "    }|");
}

#[test]
fn brackets_bring_their_other_end_where_that_is_asked_for() {
    let typed =
        |before: &str, keys: &str| after(before, |document| keys.chars().for_each(|c| document.type_closing(c)));
    assert_eq!(typed("|", "f(a[1], \"x\")"), "f(a[1], \"x\")|", "typing all of it gives what was typed");
    assert_eq!(typed("|", "f("), "f(|)");
    assert_eq!(typed("(|)", "\""), "(\"|\")");
    assert_eq!(typed("|name", "("), "(|name", "not before a word");
    assert_eq!(typed("f(a|", ")"), "f(a)|", "what closes the pair is written");
    assert_eq!(typed("f((a|)", ")"), "f((a)|)", "and what closes the next one too");
    assert_eq!(typed("it|", "\""), "it\"|", "a quote behind a word ends a text");
    assert_eq!(typed("^abc|", "("), "(|");
    assert_eq!(after("f(|)", Document::backspace_closing), "f|");
    assert_eq!(after("f(|a)", Document::backspace_closing), "f|a)");
    let broken = after("fn a() |", |document| {
        document.type_closing('{');
        document.line_break();
    });
    assert_eq!(broken, "fn a() {\n    |\n}");
}

#[test]
fn selections_are_replaced_cut_and_left() {
    assert_eq!(after("a^bc|d", |document| document.type_char('x')), "ax|d");
    assert_eq!(after("a^bc|d", Document::backspace), "a|d");
    assert_eq!(after("a^bc|d", go(Motion::Left)), "a|bcd");
    assert_eq!(after("a|bc^d", go(Motion::Right)), "abc|d");
    assert_eq!(after("one\ntw|o\nthree", |document| assert_eq!(document.cut(), "two\n")), "one\n|three");
    assert_eq!(after("one\ntw|o", |document| assert_eq!(document.cut(), "two")), "one\n|");
}

#[test]
fn movements_know_rows_lines_and_brackets() {
    assert_eq!(after("    ab|c", go(Motion::LineStart)), "    |abc");
    assert_eq!(after("    |abc", go(Motion::LineStart)), "|    abc");
    assert_eq!(after("f(a|, b)", go(Motion::LineEnd)), "f(a, b)|");
    assert_eq!(after("f|(a, b)", go(Motion::Bracket)), "f(a, b|)");
    assert_eq!(
        after("abcd|\nx\nabcdef", |document| {
            document.go(Motion::Rows(1), 20, false);
            document.go(Motion::Rows(1), 20, false);
        }),
        "abcd\nx\nabcd|ef"
    );
    assert_eq!(after("ab|c", go(Motion::Rows(-1))), "|abc");
    assert_eq!(after("ab|c", go(Motion::Rows(1))), "abc|");
    assert_eq!(after("a|b\nc", |document| document.go_to(1, 99)), "ab\nc|");
}

#[test]
fn a_run_of_typing_is_undone_by_words_and_done_again() {
    let mut document = marked("|", "a.rs");
    "let x".chars().for_each(|c| document.type_char(c));
    assert!(document.undo());
    assert_eq!(shown(&document), "let |");
    assert!(document.undo() && !document.undo());
    assert_eq!(shown(&document), "|");
    assert!(document.redo() && document.redo() && !document.redo());
    assert_eq!(shown(&document), "let x|");
    document.backspace();
    document.backspace();
    assert!(document.undo());
    assert_eq!(shown(&document), "let x|", "deletions one after the other are one step");
}

#[test]
fn what_is_saved_is_known_through_undo_and_redo() {
    let mut document = marked("|", "a.rs");
    document.type_char('a');
    let state = document.to_be_saved();
    document.type_char('b');
    document.saved(state);
    assert!(document.is_dirty(), "typed while it was saved");
    document.undo();
    assert!(!document.is_dirty());
    document.undo();
    assert!(document.is_dirty());
    document.redo();
    assert!(!document.is_dirty());
    document.undo();
    document.type_char('c');
    assert!(document.is_dirty());
    while document.redo() {}
    assert!(document.is_dirty());
}

#[test]
fn commenting_keeps_the_selection_on_its_text() {
    assert_eq!(after("^a\n  b|\n", |document| assert!(document.comment())), "// ^a\n//   b|\n");
    let mut plain = marked("x|", "a.txt");
    assert!(!plain.comment());
}

#[test]
fn another_text_touches_only_what_differs() {
    let mut document = marked("one two thr|ee", "a.rs");
    document.become_text(&Rope::from_str("one 2 three"));
    assert_eq!(shown(&document), "one 2 thr|ee");
    assert_eq!(document.take_fresh().len(), 1);
    document.undo();
    assert_eq!(shown(&document), "one two thr|ee");
}

proptest! {
    /// Any acts, all undone, give the first text; all done again, the last; the cursor always stands on a boundary; the
    /// fresh changes alone lead from the first text to the last.
    #[test]
    fn undo_and_redo_are_exact(
        text in "[a-d {}()\n\r\t中é\u{301}👩]{0,60}",
        acts in proptest::collection::vec((0u8..24, "[a-z{}\n 中\u{301}]{1,4}"), 0..40),
    ) {
        let mut document = Document::new(&text, "a.rs");
        for (act, typed) in acts {
            match act {
                0 => document.go(Motion::Left, 8, false), 1 => document.go(Motion::Right, 8, true),
                2 => document.go(Motion::WordLeft, 8, true), 3 => document.go(Motion::WordRight, 8, false),
                4 => document.go(Motion::Rows(-2), 8, true), 5 => document.go(Motion::Rows(1), 8, false),
                6 => document.backspace(), 7 => document.delete(), 8 => document.delete_word_left(),
                9 => document.delete_to_end(), 10 => document.line_break(), 11 => document.tab(),
                12 => document.shift(false), 13 => { document.comment(); }, 14 => { document.cut(); },
                15 => { document.undo(); }, 16 => { document.redo(); }, 17 => document.insert(&typed),
                18 => document.select_all(), 19 => document.delete_word_right(),
                20 => document.become_text(&Rope::from_str(&typed)), 21 => document.go(Motion::LineStart, 8, false),
                _ => typed.chars().filter(|c| *c != '\n').for_each(|c| document.type_char(c)),
            }
            for at in [document.selection().anchor, document.selection().head] {
                prop_assert_eq!(graphemes::settle(document.rope(), at), at);
            }
        }
        let mut replayed = Rope::from_str(&text);
        document.take_fresh().iter().for_each(|change| change.apply(&mut replayed));
        prop_assert_eq!(&replayed, document.rope());
        while document.redo() {}
        let last = document.rope().to_string();
        while document.undo() {}
        prop_assert_eq!(document.rope().to_string(), text);
        while document.redo() {}
        prop_assert_eq!(document.rope().to_string(), last);
    }
}
