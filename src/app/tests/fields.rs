//! Every field takes the same keys, and so does the input.

use super::*;
use crate::app::editor::bar::Bar;
use crate::app::editor::msg::EditorMsg;
use crate::app::editor::tests as editor;
use crate::app::overlay::{NewFile, Overlay};

fn alt(app: &mut App, letter: char) {
    press(app, KeyCode::Char(letter), KeyModifiers::ALT);
}

fn command(app: &mut App, name: &str) {
    app.command(name, "", &mut Vec::new());
}

fn file(app: &mut App) {
    editor::tell(app, EditorMsg::Opened(Box::new(editor::opened("a.rs", "text"))));
}

/// What stands in the field that has the keyboard.
fn text(app: &mut App) -> String {
    if matches!(app.overlay, Some(Overlay::Search)) {
        return app.search.query.text().to_owned();
    }
    let field = app.overlay.as_mut().and_then(Overlay::field).or(app.editor.bar.as_mut().and_then(Bar::field));
    field.map_or_else(|| app.composer.field.text().to_owned(), |field| field.text().to_owned())
}

type Open = fn(&mut App);

const FIELDS: [(&str, Open); 11] = [
    ("the input", |_| {}),
    ("conversations", |app| alt(app, 's')),
    ("files", |app| alt(app, 'o')),
    ("a choice", |app| command(app, "theme")),
    ("models", |app| command(app, "model")),
    ("a model's path", |app| {
        command(app, "model");
        key(app, KeyCode::End);
        key(app, KeyCode::Enter);
    }),
    ("all files", |app| alt(app, 'l')),
    ("a new file's name", |app| app.overlay = Some(Overlay::NewFile(NewFile::new(1, "rs")))),
    ("finding", |app| {
        file(app);
        alt(app, 'f');
    }),
    ("replacing", |app| {
        file(app);
        alt(app, 'r');
        key(app, KeyCode::Tab);
    }),
    ("a line", |app| {
        file(app);
        alt(app, 'g');
    }),
];

#[test]
fn every_field_takes_the_same_keys() {
    for (name, open) in FIELDS {
        let mut app = ready(SIZE);
        open(&mut app);
        // a new file has its ending already
        let ending = text(&mut app);
        let mut check = |code: KeyCode, modifiers: KeyModifiers, after: &str| {
            press(&mut app, code, modifiers);
            assert_eq!(text(&mut app), format!("{after}{ending}"), "{name}: {modifiers:?} {code:?}");
        };
        let (none, held, ctrl) = (KeyModifiers::NONE, KeyModifiers::ALT, KeyModifiers::CONTROL);
        for (n, c) in "one two".char_indices() {
            check(KeyCode::Char(c), none, &"one two"[..=n]);
        }
        check(KeyCode::Backspace, held, "one ");
        check(KeyCode::Char('u'), held, "one two");
        check(KeyCode::Char('y'), held, "one ");
        check(KeyCode::Char('u'), held, "one two");
        check(KeyCode::Left, held, "one two");
        check(KeyCode::Char('x'), none, "one xtwo");
        check(KeyCode::Home, none, "one xtwo");
        check(KeyCode::Delete, none, "ne xtwo");
        check(KeyCode::Char('d'), held, " xtwo");
        check(KeyCode::Right, ctrl, " xtwo");
        check(KeyCode::Char('w'), ctrl, " ");
        check(KeyCode::Char('u'), ctrl, "");
        app.update(Msg::Paste("a\n\u{1b}[31mb".into()));
        let pasted = if name == "the input" { "a\nb" } else { "a b" };
        assert_eq!(text(&mut app), format!("{pasted}{ending}"), "{name}");
    }
}

#[test]
fn what_was_recalled_from_the_history_can_be_undone() {
    let mut app = ready(SIZE);
    exchange(&mut app, "first", "1");
    type_in(&mut app, "half a thought");
    key(&mut app, KeyCode::Up);
    assert_eq!(app.composer.field.text(), "first");
    alt(&mut app, 'u');
    assert_eq!(app.composer.field.text(), "half a thought");
    assert!(asked(&key(&mut app, KeyCode::Enter)).is_some());
    alt(&mut app, 'u');
    assert_eq!(app.composer.field.text(), "", "what was sent is sent");
}

#[test]
fn a_list_goes_to_its_ends_while_nothing_is_typed() {
    for (name, open) in FIELDS.iter().filter(|(name, _)| *name == "conversations" || *name == "a choice") {
        let mut app = ready(SIZE);
        open(&mut app);
        app.update(Msg::Session(SessionMsg::Listed((1..4).map(|n| summary(n, "a b c d", false)).collect())));
        let selected = |app: &App| match &app.overlay {
            Some(Overlay::Sessions(sessions)) => sessions.list.selected,
            Some(Overlay::Choose(choose)) => choose.list.selected,
            other => panic!("{name}: {other:?}"),
        };
        key(&mut app, KeyCode::End);
        assert!(selected(&app) > 1, "{name}");
        key(&mut app, KeyCode::Home);
        assert_eq!(selected(&app), 0, "{name}");
    }
}
