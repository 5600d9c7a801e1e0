//! The editor as (before, keys, after): `|` is the cursor, `^` the anchor where something is selected. Keys are written as
//! text; `<Esc>`, `<A-s>`, `<C-z>`, `<S-Right>` and the like are the others.

mod suggestions;

use std::path::PathBuf;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ropey::Rope;

use super::msg::*;
use crate::app::keymap::Key;
use crate::app::msg::{Effect, FilesMsg, Level, Msg};
use crate::app::tests::{exchange, ready};
use crate::app::{App, Pane};
use crate::error::UserError;
use crate::text::document::tests::{marked, shown};

fn key_named(name: &str) -> KeyEvent {
    let name = name.replace("lt", "<").replace("Back", "Backspace");
    let name = name.replace("A-", "Alt-").replace("C-", "Ctrl-").replace("S-", "Shift-");
    Key::named(&name).unwrap_or_else(|| panic!("{name} is no key")).event()
}

pub(crate) fn keys(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let event = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
            Some((name, after)) => {
                rest = after;
                key_named(name)
            }
            None => {
                rest = &rest[c.len_utf8()..];
                KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
            }
        };
        effects.extend(app.update(Msg::Key(event)));
    }
    effects
}

pub(crate) fn stamp(n: u8) -> Stamp {
    Stamp { modified: u128::from(n), size: 1, hash: [n; 32] }
}

pub(crate) fn opened(name: &str, text: &str) -> Opened {
    let path = PathBuf::from("/folder").join(name);
    let (real, rope) = (path.clone(), Rope::from_str(text));
    Opened {
        path,
        real,
        name: name.into(),
        rope,
        bom: false,
        stamp: Some(stamp(1)),
        read_only: None,
        kept: Vec::new(),
        place: None,
    }
}

pub(crate) fn tell(app: &mut App, told: EditorMsg) -> Vec<Effect> {
    app.update(Msg::Editor(told))
}

/// An editor with one file; the text is marked.
pub(crate) fn editing(name: &str, before: &str) -> App {
    let mut app = ready((80, 24));
    let document = marked(before, name);
    tell(&mut app, EditorMsg::Opened(Box::new(opened(name, &document.rope().to_string()))));
    app.editor.file_mut().unwrap().document.select(document.selection());
    app
}

fn text(app: &App) -> String {
    shown(&app.editor.file().unwrap().document)
}

fn told(app: &App) -> String {
    app.notices.iter().map(|notice| notice.text.clone()).collect::<Vec<_>>().join(" | ")
}

fn check(name: &str, before: &str, typed: &str, after: &str) {
    let mut app = editing(name, before);
    keys(&mut app, typed);
    assert_eq!(text(&app), after, "{before:?} {typed}");
}

#[test]
fn keys_do_what_the_help_says() {
    for (before, typed, after) in [
        ("|", "fn main() {<Enter>let x = 1;<Enter>}", "fn main() {\n    let x = 1;\n}|"),
        ("a|b", "<Back>x<Del>y", "xy|"),
        ("one t|wo", "<A-m><A-Right><A-x>", "one t|"),
        ("one |two", "<A-m><End><A-c><Home><A-v>", "two|one two"),
        ("one |two", "<S-Right><S-Right><Back>", "one |o"),
        ("a\nb|\nc", "<A-x><A-v><A-v>", "a\nb\nb\n|c"),
        ("a\nb|\nc", "<A-k>", "a\n|c"),
        ("a|", "bc<A-u>", "a|"),
        ("a|", "bc<A-u><A-y>", "abc|"),
        ("a|", "bc<C-z><C-y>", "abc|"),
        ("  a|\n  b", "<A-/>", "  // a|\n  b"),
        ("^  a\n  b|", "<C-7><C-7>", "^  a\n  b|"),
        ("^a\nb|", "<Tab><A-d><A-i>", "    ^a\n    b|"),
        ("f|(a)", "<A-b>", "f(a|)"),
        ("a\nb\nc|", "<A-Home>x<A-End>y", "xa\nb\ncy|"),
        ("a b c|", "<A-Back><A-Back>", "a |"),
        ("|a b", "<A-Del>", "| b"),
        ("a\nb\nc|", "<A-g>2<Enter>x", "a\nxb\nc|".replace("c|", "c").replacen("xb", "x|b", 1).as_str()),
        ("|a\n", "<lt>", "<|a\n"),
        ("a^bc|d", "<Esc>", "abc|d"),
        ("|é", "<C-Space>", "|é"),
    ] {
        check("a.rs", before, typed, after);
    }
}

#[test]
fn finding_goes_around_and_replacing_is_one_step() {
    check("a.rs", "|one two One two", "<A-f>two<Enter>", "one two One ^two|");
    check("a.rs", "|one two One two", "<A-f>two<Enter><Enter>", "one ^two| One two");
    check("a.rs", "|one two One two", "<A-f>one<Down><Esc><A-p>", "^one| two One two");
    check("a.rs", "|one two One two", "<A-f>One<Esc>", "one two ^One| two");
    check("a.rs", "|one two one two", "<A-r>one<Tab>1<Enter><Enter><Esc>", "1 two 1| two");
    check("a.rs", "|one two one two", "<A-r>one<Tab>1<A-a>", "^1| two 1 two");
    check("a.rs", "|one two one two", "<A-r>one<Tab>1<A-a><A-u>", "^one| two one two");
    check("a.rs", "|ab12 cd34", r"<A-r><A-x>([a-z]+)(\d+)<Tab>$2$1<A-a>", "^12ab| 34cd");
    let mut app = editing("a.rs", "|abc");
    keys(&mut app, "<A-f>x");
    assert_eq!(text(&app), "|abc", "what is not found moves nothing");
    keys(&mut app, "<Back>c");
    assert_eq!(text(&app), "ab^c|");
}

#[test]
fn a_file_that_may_only_be_read_is_not_changed() {
    let mut app = ready((80, 24));
    let file = Opened { read_only: Some("it is binary".into()), ..opened("logo.png", "abc") };
    tell(&mut app, EditorMsg::Opened(Box::new(file)));
    let effects = keys(&mut app, "x<Enter><Back><A-k><A-v><A-/><A-s><A-r>a<Tab>b<A-a>");
    assert_eq!(text(&app).replace(['|', '^'], ""), "abc");
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Editor(EditorEffect::Save { .. } | EditorEffect::Keep { .. })))
    );
    assert!(told(&app).contains("it is binary"));
}

fn saves(effects: &[Effect]) -> Vec<(FileId, u64, String)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Editor(EditorEffect::Save { id, state, rope, .. }) => Some((*id, *state, rope.to_string())),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_typed_is_kept_at_once_and_then_once_in_a_while() {
    let mut app = editing("a.rs", "|");
    let kept = |effects: &[Effect]| -> Vec<String> {
        let text = |effect: &Effect| match effect {
            Effect::Editor(EditorEffect::Keep { rope, .. }) => Some(rope.to_string()),
            _ => None,
        };
        effects.iter().filter_map(text).collect()
    };
    assert_eq!(kept(&keys(&mut app, "a")), ["a"]);
    assert!(kept(&keys(&mut app, "bc")).is_empty());
    let due = app.wakes_at().unwrap();
    assert!(due <= app.clock + 1000);
    assert_eq!(kept(&app.update(Msg::Now(due))), ["abc"]);
    keys(&mut app, "d");
    assert_eq!(kept(&app.hang_up(due + 1)), ["abcd"], "the end of the program keeps the rest");
    let effects = keys(&mut app, "<A-s>");
    let (id, state, _) = saves(&effects)[0].clone();
    let effects = tell(&mut app, EditorMsg::Saved { id, state, stamp: stamp(2) });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::Forget(_)))));
    assert!(!app.editor.file().unwrap().is_unsaved());
}

#[test]
fn leaving_asks_about_what_is_not_saved() {
    let mut app = editing("a.rs", "|");
    keys(&mut app, "x");
    assert!(!keys(&mut app, "<A-q>").contains(&Effect::Quit) && app.editor.asks());
    keys(&mut app, "z<Esc>");
    assert!(!app.editor.asks() && !app.leaving);
    let effects = keys(&mut app, "<A-e>/quit<Enter>");
    assert!(!effects.contains(&Effect::Quit) && app.pane == Pane::Editor, "the command asks too");
    let effects = keys(&mut app, "<Enter>");
    let (id, state, text) = saves(&effects)[0].clone();
    assert_eq!(text, "x");
    assert!(tell(&mut app, EditorMsg::Saved { id, state, stamp: stamp(2) }).contains(&Effect::Quit));
    let mut app = editing("a.rs", "|");
    keys(&mut app, "x");
    assert!(keys(&mut app, "<A-q>d").contains(&Effect::Quit));
    assert!(app.hang_up(0).iter().all(|effect| !matches!(effect, Effect::Editor(EditorEffect::Keep { .. }))));
}

#[test]
fn closing_asks_and_a_save_that_fails_closes_nothing() {
    let mut app = editing("a.rs", "|");
    keys(&mut app, "x<A-w><Enter>");
    let id = app.editor.file().unwrap().id;
    tell(&mut app, EditorMsg::SaveFailed { id, error: UserError::failed("the disk is full") });
    assert!(told(&app).contains("the disk is full") && text(&app) == "x|");
    let effects = keys(&mut app, "<A-w>s");
    let (id, state, _) = saves(&effects)[0].clone();
    tell(&mut app, EditorMsg::Saved { id, state, stamp: stamp(2) });
    assert!(app.editor.files.is_empty() && app.pane == Pane::Chat);
}

#[test]
fn a_file_that_changed_on_disk_is_read_again_or_asked_about() {
    let mut app = editing("a.rs", "on|e");
    let id = app.editor.file().unwrap().id;
    let disk = |text: &str, n| Disk::Changed { rope: Rope::from_str(text), bom: false, stamp: stamp(n) };
    tell(&mut app, EditorMsg::Disk { id, disk: disk("one two", 2) });
    assert_eq!(text(&app), "on|e two");
    assert!(!app.editor.file().unwrap().is_unsaved());
    keys(&mut app, "x");
    tell(&mut app, EditorMsg::Disk { id, disk: disk("three", 3) });
    assert_eq!(text(&app), "onx|e two", "what was typed is not thrown away");
    keys(&mut app, "<A-s>");
    tell(&mut app, EditorMsg::Conflict { id, disk: disk("three", 3) });
    assert!(app.editor.asks());
    assert_eq!(keys(&mut app, "or<Enter>"), [], "what is typed is no answer");
    let effects = keys(&mut app, "<A-o>");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::Save { force: true, .. }))));
    tell(&mut app, EditorMsg::Conflict { id, disk: disk("three", 3) });
    let effects = keys(&mut app, "<A-r>");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::TakeDisk { .. }))));
    assert!(app.editor.file().unwrap().is_unsaved(), "until the disk was read");
    let effects = tell(&mut app, EditorMsg::Taken { id, disk: disk("three", 3) });
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::Forget(_)))), "{effects:?}");
    assert_eq!(text(&app).replace('|', ""), "three");
    keys(&mut app, "<A-u>");
    assert_eq!(text(&app).replace('|', ""), "onxe two", "undo brings the person's text back");
    tell(&mut app, EditorMsg::Disk { id, disk: Disk::Gone });
    assert!(app.editor.file().unwrap().is_unsaved() && told(&app).contains("no longer on disk"));
}

#[test]
fn a_file_that_is_gone_can_be_written_again_and_any_text_elsewhere() {
    let mut app = editing("a.rs", "one|");
    let id = app.editor.file().unwrap().id;
    let effects = keys(&mut app, "x<A-s>");
    let saved = |effects: &[Effect], forced: bool| {
        effects.iter().any(|one| matches!(one, Effect::Editor(EditorEffect::Save { force, .. }) if *force == forced))
    };
    assert!(saved(&effects, false));
    tell(&mut app, EditorMsg::Conflict { id, disk: Disk::Gone });
    assert!(saved(&keys(&mut app, "<Enter>"), true));
    tell(&mut app, EditorMsg::Conflict { id, disk: Disk::Unreadable("it is a folder".into()) });
    assert!(!saved(&keys(&mut app, "<Enter>"), true) && app.editor.file().unwrap().is_unsaved());
    keys(&mut app, "<A-e>/save b.rs<Enter>");
    let effects = keys(&mut app, "");
    assert!(effects.is_empty());
    let state = app.editor.file_mut().unwrap().document.to_be_saved();
    let effects = tell(&mut app, EditorMsg::SavedAs { id, state, opened: Box::new(opened("b.rs", "")) });
    assert!(effects.contains(&Effect::Editor(EditorEffect::Forget("/folder/a.rs".into()))));
    let file = app.editor.file().unwrap();
    assert!(file.name == "b.rs" && !file.is_unsaved() && text(&app) == "onex|");
}

#[test]
fn typing_on_while_it_is_saved_keeps_it_open_for_good() {
    let mut app = editing("a.rs", "one|");
    let id = app.editor.file().unwrap().id;
    let effects = keys(&mut app, "x<A-w>s");
    let state = effects.iter().find_map(|effect| match effect {
        Effect::Editor(EditorEffect::Save { state, .. }) => Some(*state),
        _ => None,
    });
    keys(&mut app, "y");
    tell(&mut app, EditorMsg::Saved { id, state: state.unwrap(), stamp: stamp(2) });
    assert_eq!(app.editor.files.len(), 1);
    let effects = keys(&mut app, "<A-s>");
    assert!(!effects.is_empty());
    let state = app.editor.file_mut().unwrap().document.to_be_saved();
    tell(&mut app, EditorMsg::Saved { id, state, stamp: stamp(3) });
    assert_eq!(app.editor.files.len(), 1, "it was asked for once, and not done");
}

#[test]
fn after_a_rest_the_disk_is_looked_at() {
    let mut app = editing("a.rs", "one|");
    let looks = |effects: &[Effect]| effects.iter().any(|one| matches!(one, Effect::Editor(EditorEffect::Check(_))));
    keys(&mut app, "x");
    assert!(!looks(&keys(&mut app, "y")));
    app.update(Msg::Now(app.clock + 10_000));
    assert!(looks(&keys(&mut app, "z")));
}

#[test]
fn what_is_cut_here_is_pasted_as_it_was() {
    let content = "a\r\nb\u{c}\n\u{ad}\u{2028}c\r";
    let mut app = editing("a.txt", &format!("|{content}"));
    keys(&mut app, "<A-a><A-x>");
    assert_eq!(text(&app), "|");
    keys(&mut app, "<A-v>");
    assert_eq!(text(&app), format!("{content}|"));
}

#[test]
fn a_typed_search_replaces_the_one_before() {
    let mut app = editing("a.rs", "|foo new");
    keys(&mut app, "<A-f>foo<Esc><A-f>new");
    let Some(crate::app::editor::bar::Bar::Find(find)) = &app.editor.bar else { panic!() };
    assert_eq!(find.query.text(), "new");
}

#[test]
fn what_outlived_a_kill_is_offered() {
    let offer = || {
        let mut app = ready((80, 24));
        let kept = Kept {
            rope: Rope::from_str("fn main() {}"),
            at: app.clock / 1000 - 180,
            same_base: true,
            record: "kept/1.jsonl".into(),
        };
        let effects =
            tell(&mut app, EditorMsg::Opened(Box::new(Opened { kept: vec![kept], ..opened("a.rs", "fn main()") })));
        (app, effects)
    };
    let (mut app, _) = offer();
    assert!(app.editor.asks());
    keys(&mut app, "x");
    assert_eq!(text(&app), "|fn main()", "a stray key answers nothing");
    let effects = keys(&mut app, "<Enter>");
    assert_eq!(text(&app).replace('|', ""), "fn main() {}");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::Keep { .. }))));
    keys(&mut app, "<A-u>");
    assert_eq!(text(&app).replace('|', ""), "fn main()");
    let (mut app, _) = offer();
    assert_eq!(keys(&mut app, "def yield_dry()"), []);
    assert!(app.editor.asks(), "what is typed is no answer");
    assert!(matches!(keys(&mut app, "<A-d>")[..], [Effect::Editor(EditorEffect::SetAside(_))]));
    assert!(told(&app).contains("kept/1.txt"));
    let (mut app, _) = offer();
    assert_eq!(keys(&mut app, "<Esc>"), []);
    assert!(app.editor.files.is_empty(), "what is kept must not be overwritten by new typing");
}

#[test]
fn files_are_opened_from_the_list_from_a_command_and_from_an_answer() {
    let mut app = ready((80, 24));
    assert!(matches!(keys(&mut app, "<A-e>")[..], [Effect::ListFiles]));
    let names = Arc::new(vec!["src/".to_owned(), "src/main.rs".to_owned(), "notes.md".to_owned()]);
    app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
    let open = |path: &str, line: Option<usize>| {
        let place = line.map(|line| Place { line, column: 1 });
        Effect::Editor(EditorEffect::Open { path: path.into(), place })
    };
    assert_eq!(keys(&mut app, "main:7<Enter>"), [open("src/main.rs", Some(7))]);
    assert!(app.overlay.is_none());
    keys(&mut app, "<A-e>new file.rs<Up>");
    assert_eq!(keys(&mut app, "<Enter>"), [open("new file.rs", None)]);
    assert!(keys(&mut app, "/open src/a.rs:3<Enter>").contains(&open("src/a.rs:3", None)));
    exchange(&mut app, "where?", "In `src/main.rs:12`.");
    let effects = keys(&mut app, "<A-o>");
    let [Effect::Editor(EditorEffect::OpenNamed(named))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(named[0], ("src/main.rs".into(), Some(Place { line: 12, column: 1 })));
}

#[test]
fn one_file_is_open_once_and_the_panes_are_walked() {
    let mut app = editing("a.rs", "a|");
    tell(&mut app, EditorMsg::Opened(Box::new(opened("b.rs", "b"))));
    let again = Opened { place: Some(Place { line: 2, column: 2 }), ..opened("a.rs", "1\n23") };
    tell(&mut app, EditorMsg::Opened(Box::new(again)));
    assert_eq!(app.editor.files.len(), 2);
    assert_eq!(text(&app), "a|", "the open text counts, not the one read again");
    keys(&mut app, "<A-.>");
    assert_eq!(app.editor.file().unwrap().name, "b.rs");
    keys(&mut app, "<A-e>hello");
    assert_eq!((app.pane, app.composer.field.text()), (Pane::Chat, "hello"));
    keys(&mut app, "<A-e>x");
    assert_eq!(text(&app), "x|b");
}

#[test]
fn where_the_systems_clipboard_can_be_read_pasting_asks_for_it() {
    let mut app = editing("a.rs", "one|");
    tell(&mut app, EditorMsg::Clipboard);
    keys(&mut app, "<A-c>");
    assert_eq!(keys(&mut app, "<A-v>"), [Effect::Editor(EditorEffect::Paste)]);
    tell(&mut app, EditorMsg::Paste(Some(" \u{1b}[31mtwo".into())));
    assert_eq!(text(&app), "one two|");
    tell(&mut app, EditorMsg::Paste(None));
    assert_eq!(text(&app), "one twoone|", "what was copied here is better than nothing");
}

#[test]
fn a_popup_of_the_chat_does_not_follow_into_the_file() {
    let mut app = editing("a.rs", "|");
    keys(&mut app, "<A-e>/the<A-e>x");
    assert!(app.overlay.is_none());
    assert_eq!(text(&app), "x|");
}

#[test]
fn a_file_that_someone_else_made_can_be_taken_or_overwritten() {
    let mut app = ready((80, 24));
    tell(&mut app, EditorMsg::Opened(Box::new(Opened { stamp: None, ..opened("new.rs", "") })));
    let id = app.editor.file().unwrap().id;
    keys(&mut app, "mine<A-s>");
    let disk = Disk::Changed { rope: Rope::from_str("theirs"), bom: true, stamp: stamp(2) };
    tell(&mut app, EditorMsg::Conflict { id, disk: disk.clone() });
    assert!(
        keys(&mut app, "<A-r>").iter().any(|effect| matches!(effect, Effect::Editor(EditorEffect::TakeDisk { .. })))
    );
    tell(&mut app, EditorMsg::Taken { id, disk });
    assert_eq!(text(&app).replace('|', ""), "theirs");
    assert!(app.editor.file().unwrap().document.has_bom());
    keys(&mut app, "<A-u>");
    assert_eq!(text(&app).replace('|', ""), "mine");
}

#[test]
fn names_cannot_carry_escape_sequences_into_notices() {
    let mut app = ready((80, 24));
    tell(&mut app, EditorMsg::Opened(Box::new(opened("a\u{1b}[31m\n.rs", "x"))));
    tell(&mut app, EditorMsg::Left(vec!["b\u{1b}[2J\n".into()], 0));
    assert!(!app.editor.file().unwrap().name.contains(char::is_control));
    assert!(!told(&app).contains(char::is_control));
}
