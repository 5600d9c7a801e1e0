use std::sync::mpsc::channel;

use proptest::prelude::*;
use ratatui::style::{Color, Modifier};

use super::*;
use crate::config::ThemeChoice;
use crate::ui::theme::{Ability, Depth, Ground};

fn plain() -> Theme {
    Theme::plain(Ground::Dark)
}

fn text_of(rendered: &Rendered) -> Vec<String> {
    rendered.lines.iter().map(|line| line.spans.iter().map(|span| span.content.as_ref()).collect()).collect()
}

fn lay(text: &str, width: u16) -> Vec<String> {
    text_of(&layout(text, width, &plain(), Options::default()))
}

fn grow(text: &str, width: u16) -> Vec<String> {
    text_of(&layout(text, width, &plain(), Options { growing: true, ..Options::default() }))
}

#[test]
fn paragraphs_and_headings_are_parted_by_one_line() {
    assert_eq!(lay("# Title\n\ntext one\nflows\n\n\n## Next\ntwo", 20), ["Title", "text one flows", "", "Next", "two"]);
}

#[test]
fn what_people_type_keeps_its_line_ends() {
    let rendered = layout("one\ntwo", 20, &plain(), Options { breaks: true, ..Options::default() });
    assert_eq!(text_of(&rendered), ["one", "two"]);
}

#[test]
fn lists_nest_and_their_text_hangs() {
    assert_eq!(
        lay("- one two three\n- b\n  1. c\n  2. d d d d\n- [x] done\n- [ ] open\n-\n", 12),
        ["• one two", "  three", "• b", "  1. c", "  2. d d d d", "• [x] done", "• [ ] open", "• "]
    );
    assert_eq!(lay("9. a\n10. b b b\n", 7), ["9. a", "10. b b", "    b"]);
    assert_eq!(lay("- a\n\n- b\n\n  c\n", 20), ["• a", "", "• b", "", "  c"]);
}

#[test]
fn deep_nesting_leaves_room_for_text() {
    let deep: String = (0..40).map(|depth| "  ".repeat(depth) + "- x\n").collect();
    let lines = lay(&deep, 20);
    assert_eq!(lines.len(), 40);
    assert_eq!(lines[39], "          x");
}

#[test]
fn quotes_have_a_bar() {
    assert_eq!(
        lay("> a quote that wraps\n>\n> - b\n\nafter", 12),
        ["│ a quote", "│ that wraps", "│", "│ • b", "", "after"]
    );
}

#[test]
fn code_blocks_are_numbered_and_named() {
    let text = "Run:\n\n```rs\nfn main() {\n\tlet answer = 42;\n}\n```\n\n    indented\n";
    let rendered = layout(text, 20, &plain(), Options { first_number: 3, ..Options::default() });
    assert_eq!(
        text_of(&rendered),
        [
            "Run:",
            "",
            "── 3 Rust ──────────",
            "fn main() {",
            "    let answer = 42;",
            "}",
            "────────────────────",
            "",
            "── 4 ───────────────",
            "indented",
            "────────────────────",
        ]
    );
    let first = &rendered.blocks[0];
    assert_eq!((first.number, first.lang.as_str(), first.first_line), (3, "rs", 2));
    assert_eq!(first.text, "fn main() {\n\tlet answer = 42;\n}\n");
    assert_eq!((rendered.blocks[1].number, rendered.blocks[1].first_line), (4, 8));
}

#[test]
fn long_code_lines_go_on_behind_a_mark() {
    assert_eq!(lay("```\nabcdefghijklmnop\n```", 10), ["── 1 ─────", "abcdefghij", "↳ klmnop", "──────────"]);
}

#[test]
fn code_in_lists_stands_under_its_item() {
    assert_eq!(
        lay("1. do\n   ```sh\n   ls\n   ```\n2. then", 20),
        ["1. do", "   ── 1 Bash ───────", "   ls", "   ─────────────────", "", "2. then",]
    );
}

#[test]
fn tables_are_aligned_and_shrink() {
    let text =
        "| Name | What it does | # |\n|:--|---|--:|\n| `map` | applies a function | 1 |\n| fold | folds | 22 |\n";
    assert_eq!(
        lay(text, 60),
        [
            "Name │ What it does       │  #",
            "─────┼────────────────────┼───",
            "map  │ applies a function │  1",
            "fold │ folds              │ 22",
        ]
    );
    assert_eq!(
        lay(text, 24),
        [
            "Name│What it does    │ #",
            "────┼────────────────┼──",
            "map │applies a       │ 1",
            "    │function        │  ",
            "╌╌╌╌┼╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┼╌╌",
            "fold│folds           │22",
        ]
    );
    assert_eq!(
        lay(text, 12),
        [
            "────────────",
            "Name: map",
            "What it",
            "does:",
            "applies a",
            "function",
            "#: 1",
            "────────────",
            "Name: fold",
            "What it",
            "does: folds",
            "#: 22",
        ]
    );
}

#[test]
fn links_show_their_address_once() {
    assert_eq!(
        lay("[docs](https://a.b) <https://c.d> ![pic](p.png)", 60),
        ["docs (https://a.b) https://c.d image: pic (p.png)"]
    );
}

#[test]
fn html_is_shown_as_text() {
    assert_eq!(lay("a <b>c</b><br>d\n\n<div>\nx\n</div>\n", 30), ["a <b>c</b>", "d", "", "<div>", "x", "</div>"]);
}

#[test]
fn wide_characters_wrap_by_columns() {
    assert_eq!(lay("你好，世界。Rust 很快\n换行", 10), ["你好，世", "界。Rust", "很快换行"]);
}

#[test]
fn rules_and_emphasis() {
    let rendered = layout("a **b** *c* ~~d~~ `e`\n\n---", 10, &plain(), Options::default());
    assert_eq!(text_of(&rendered), ["a b c d e", "", "──────────"]);
    let modifiers: Vec<Modifier> = rendered.lines[0].spans.iter().map(|span| span.style.add_modifier).collect();
    let none = Modifier::empty();
    assert_eq!(
        modifiers,
        [none, Modifier::BOLD, none, Modifier::ITALIC, none, Modifier::CROSSED_OUT, none, Modifier::BOLD]
    );
}

#[test]
fn escape_sequences_do_not_reach_the_screen_or_the_clipboard() {
    let rendered = layout("a\x1b[31mb\n```\nc\x1b]0;t\x07d\u{202e}\te\n```", 20, &plain(), Options::default());
    assert_eq!(text_of(&rendered)[0], "ab");
    assert_eq!(text_of(&rendered)[3], "cd\u{fffd} e");
    assert_eq!(rendered.blocks[0].text, "cd\u{fffd}\te\n");
}

#[test]
fn open_ends_look_closed_while_the_text_grows() {
    assert_eq!(grow("say **bo", 20), ["say bo"]);
    assert_eq!(grow("```rust\nlet x", 20), ["── 1 Rust ──────────", "let x"]);
    assert_eq!(grow("```rust\nlet x\n``", 20), ["── 1 Rust ──────────", "let x"]);
    assert_eq!(grow("| a | b |\n|-", 20), ["a│b", "─┼─"]);
    assert_eq!(grow("one\n-", 20), ["one"]);
}

#[test]
fn growing_piece_by_piece_ends_as_the_whole() {
    let text = "# T\n\npara **b** `c`\n\n- a\n- b\n\n  c\n\n```rust\nfn f() {}\n\n// x\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q\n\nend";
    let mut growing = Growing::new();
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        let options = Options { growing: true, ..Options::default() };
        let whole = layout(&text[..end], 30, &plain(), options);
        assert_eq!(growing.layout(&text[..end], 30, &plain(), options), &whole, "{:?}", &text[..end]);
    }
}

#[test]
fn code_is_coloured_when_the_grammars_are_there() {
    let (sender, woken) = channel();
    let highlighter = Highlighter::new(move || sender.send(()).unwrap_or_default());
    let theme = Theme::new(ThemeChoice::Dark, Ability { ground: Ground::Dark, depth: Depth::Sixteen });
    let options = Options { highlighter: Some(&highlighter), ..Options::default() };
    let text = "```rust\n\tfn f() {}\n```";
    let before = layout(text, 20, &theme, options);
    assert!(before.lines[1].spans.iter().all(|span| span.style == theme.block));
    woken.recv().unwrap();
    assert_eq!(layout(text, 20, &theme, options), before);
    woken.recv().unwrap();
    let after = layout(text, 20, &theme, options);
    assert_eq!(text_of(&before), text_of(&after));
    assert_eq!(after.lines[1].spans[1].content, "fn");
    assert_eq!(after.lines[1].spans[1].style.fg, Some(Color::LightMagenta));
}

#[test]
fn a_ground_for_code_fills_the_width() {
    let theme = Theme::new(ThemeChoice::Dark, Ability { ground: Ground::Dark, depth: Depth::True });
    let rendered = layout("```\nab\n```", 12, &theme, Options::default());
    assert!(rendered.lines.iter().all(|line| line.width() == 12));
}

fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        "[a-z ]{0,12}",
        "\\PC{0,6}",
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        "[#>*`~_|:\\[\\]()!<>\\\\-]{1,4}",
        Just("```rust\n".to_owned()),
        Just("| a | b |\n|---|:-:|\n".to_owned()),
        Just("1. ".to_owned()),
        Just("    ".to_owned()),
        Just("\t\u{202e}\x1b[1m\u{200d}\u{fe0f}\r".to_owned()),
        Just("中文，。👨\u{200d}👩e\u{301}\u{301}".to_owned()),
        "\\pC{0,3}",
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn fits(rendered: &Rendered, width: u16) -> Result<(), TestCaseError> {
    for line in &rendered.lines {
        let columns: usize = line.spans.iter().map(|span| sanitise::width(&span.content)).sum();
        prop_assert!(columns <= usize::from(width), "{columns} columns at {width}: {line:?}");
        prop_assert!(line.spans.iter().all(|span| !span.content.contains(char::is_control)), "{line:?}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_line_fits_and_no_control_character_gets_through(text in hostile(), width in 0u16..50, growing: bool) {
        let options = Options { growing, ..Options::default() };
        fits(&layout(&text, width, &plain(), options), width)?;
        let theme = Theme::new(ThemeChoice::Light, Ability { ground: Ground::Light, depth: Depth::True });
        fits(&layout(&text, width, &theme, options), width)?;
    }

    #[test]
    fn growing_never_misses_the_width(text in hostile(), width in 0u16..30) {
        let mut growing = Growing::new();
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            fits(growing.layout(&text[..end], width, &plain(), Options::default()), width)?;
        }
    }
}

#[test]
fn search_and_replace_blocks_are_shown_as_a_change_without_their_marks() {
    let text = "I change it.\nsrc/a.py\n<<<<<<< SEARCH\n    return a - b\n    # *x*\n=======\n    return a + b\n>>>>>>> REPLACE\nDone.\n";
    for growing in [false, true] {
        let theme = plain();
        let found = super::layout(text, 60, &theme, Options { growing, ..Options::default() });
        let rows: Vec<String> = found.lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect();
        for wanted in ["-    return a - b", "-    # *x*", "+    return a + b", "Done."] {
            assert!(rows.iter().any(|row| row == wanted), "{wanted}: {rows:#?}");
        }
        assert!(!rows.iter().any(|row| row.contains("SEARCH") || row.contains("=====")), "{rows:#?}");
        assert_eq!(found.blocks.len(), 1);
    }
    // piece by piece it is the same
    let theme = plain();
    let mut growing = Growing::new();
    for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
        growing.layout(&text[..end], 60, &theme, Options::default());
    }
    let whole = super::layout(text, 60, &theme, Options::default());
    assert_eq!(growing.layout(text, 60, &theme, Options::default()), &whole);
}
