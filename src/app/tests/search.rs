//! The search over all files: what is looked for, what is dropped, where the keys lead.

use std::sync::Arc;

use super::*;
use crate::app::editor::msg::{EditorEffect, EditorMsg, Opened, Place};
use crate::app::editor::tests as editor;
use crate::app::overlay::Overlay;
use crate::app::search::{FoundFile, FoundLine, MOST, SearchId, SearchMsg, SearchProgress, Searched, Sought};

/// A line of `/project/NAME` with its match in «».
pub(crate) fn found(name: &str, line: usize, marked: &str) -> FoundLine {
    let (before, rest) = marked.split_once('«').unwrap();
    let (matched, after) = rest.split_once('»').unwrap();
    let (column, matched) = (before.chars().count() + 1, before.len()..before.len() + matched.len());
    let text = marked.replace(['«', '»'], "");
    assert_eq!(text.len(), matched.end + after.len());
    let file = Arc::new(FoundFile { path: format!("/project/{name}").into(), name: name.into() });
    FoundLine { file, place: Place { line, column }, text, matched }
}

/// The search that is wanted.
pub(crate) fn wanted(effects: &[Effect]) -> Option<(SearchId, Sought)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Search(id, sought) => Some((*id, sought.clone())),
        _ => None,
    })
}

/// Answers it.
pub(crate) fn answer(app: &mut App, id: SearchId, lines: Vec<FoundLine>) {
    let searched = Searched { files: 3, ..Searched::default() };
    app.update(Msg::Search(SearchMsg::Found { id, lines, searched }));
    app.update(Msg::Search(SearchMsg::Done { id, searched, more: false }));
}

fn alt(app: &mut App, letter: char) -> Vec<Effect> {
    press(app, KeyCode::Char(letter), KeyModifiers::ALT)
}

fn plain(text: &str) -> Sought {
    Sought { text: text.into(), is_regex: false }
}

fn is_open(app: &App) -> bool {
    matches!(app.overlay, Some(Overlay::Search))
}

/// A search for `main` with two lines found.
fn searched(app: &mut App) -> SearchId {
    alt(app, 'l');
    type_in(app, "mai");
    let (id, sought) = wanted(&key(app, KeyCode::Char('n'))).unwrap();
    assert_eq!(sought, plain("main"));
    answer(app, id, vec![found("a.rs", 3, "fn «main»() {"), found("src/b.rs", 12, "  «main»();")]);
    id
}

#[test]
fn each_key_asks_anew_and_what_an_older_search_says_is_dropped() {
    let mut app = ready(SIZE);
    assert_eq!(wanted(&alt(&mut app, 'l')), None, "nothing is looked for yet");
    assert!(is_open(&app));
    let (first, _) = wanted(&key(&mut app, KeyCode::Char('a'))).unwrap();
    let (second, sought) = wanted(&key(&mut app, KeyCode::Char('b'))).unwrap();
    assert!(sought == plain("ab") && first != second);
    answer(&mut app, first, vec![found("late", 1, "«a»")]);
    assert!(app.search.lines.is_empty() && matches!(app.search.progress, SearchProgress::Running(_)));
    answer(&mut app, second, vec![found("x", 1, "«ab»")]);
    assert_eq!(app.search.lines.len(), 1);
    assert_eq!(key(&mut app, KeyCode::Down), [], "a movement asks for nothing");
    let effects = key(&mut app, KeyCode::Backspace);
    assert_eq!(wanted(&effects).unwrap().1, plain("a"));
    assert_eq!(app.search.lines.len(), 1, "what was found stands until there is something new");
    assert_eq!(key(&mut app, KeyCode::Backspace), [Effect::CancelSearch]);
    assert!(app.search.lines.is_empty() && app.search.progress == SearchProgress::Idle);
}

#[test]
fn lines_arrive_in_parts_and_no_more_than_are_listed() {
    let mut app = ready(SIZE);
    alt(&mut app, 'l');
    let (id, _) = wanted(&key(&mut app, KeyCode::Char('a'))).unwrap();
    for _ in 0..3 {
        let lines = vec![found("x", 1, "«a»"); MOST / 2];
        app.update(Msg::Search(SearchMsg::Found { id, lines, searched: Searched::default() }));
    }
    assert_eq!(app.search.lines.len(), MOST);
    app.update(Msg::Search(SearchMsg::Done { id, searched: Searched::default(), more: true }));
    app.update(Msg::Search(SearchMsg::Wrong { id, why: "late".into() }));
    assert_eq!(app.search.progress, SearchProgress::Done(Searched::default(), true));
}

#[test]
fn enter_opens_the_file_at_the_line_and_coming_back_goes_on_where_it_was() {
    let mut app = ready(SIZE);
    searched(&mut app);
    key(&mut app, KeyCode::Down);
    let place = Some(Place { line: 12, column: 3 });
    let effects = key(&mut app, KeyCode::Enter);
    assert_eq!(effects, [Effect::Editor(EditorEffect::Open { path: "/project/src/b.rs".into(), place })]);
    assert!(!is_open(&app));
    let text: String = (0..20).map(|_| "  main();\n").collect();
    let file = Opened { place, ..editor::opened("src/b.rs", &text) };
    editor::tell(&mut app, EditorMsg::Opened(Box::new(file)));
    assert_eq!(app.editor.file().unwrap().document.place(), (11, 2));
    alt(&mut app, 'n');
    assert_eq!(app.editor.file().unwrap().document.selected(), "main", "the editor's own key finds it too");
    let (id, sought) = wanted(&alt(&mut app, 'l')).unwrap();
    assert_eq!(sought, plain("main"), "what is selected");
    assert_eq!((app.search.lines.len(), app.search.list.selected), (2, 1), "the list is as it was");
    answer(&mut app, id, vec![found("a.rs", 3, "fn «main»() {"), found("src/b.rs", 12, "  «main»();")]);
    assert_eq!((app.search.lines.len(), app.search.list.selected), (2, 1));
    let (_, sought) = wanted(&key(&mut app, KeyCode::Char('x'))).unwrap();
    assert_eq!(sought, plain("x"), "typing begins anew");
}

#[test]
fn a_place_that_the_open_text_does_not_have_any_more_is_its_end() {
    let mut app = ready(SIZE);
    editor::tell(&mut app, EditorMsg::Opened(Box::new(editor::opened("a.rs", "one\ntwo"))));
    let place = Some(Place { line: 900, column: 900 });
    let file = Opened { place, ..editor::opened("a.rs", "on disk\nit has\nmore\nlines") };
    editor::tell(&mut app, EditorMsg::Opened(Box::new(file)));
    assert_eq!(app.editor.file().unwrap().document.place(), (1, 3));
}

#[test]
fn escape_loses_nothing_and_ends_the_search() {
    let mut app = ready(SIZE);
    type_in(&mut app, "half a question");
    alt(&mut app, 'l');
    let (id, _) = wanted(&key(&mut app, KeyCode::Char('m'))).unwrap();
    app.update(Msg::Search(SearchMsg::Found {
        id,
        lines: vec![found("a.rs", 1, "«m»")],
        searched: Searched::default(),
    }));
    assert_eq!(key(&mut app, KeyCode::Esc), [Effect::CancelSearch]);
    assert!(!is_open(&app) && app.composer.field.text() == "half a question");
    answer(&mut app, id, vec![found("late", 1, "«m»")]);
    assert_eq!(app.search.lines.len(), 1, "what it says after its end is dropped");
    let (again, sought) = wanted(&alt(&mut app, 'l')).unwrap();
    assert!(again != id && sought == plain("m"), "the same is looked for again");
    answer(&mut app, again, vec![]);
    assert_eq!(key(&mut app, KeyCode::Esc), [], "there is nothing left to end");
    assert_eq!(key(&mut app, KeyCode::Enter).len(), say(&mut ready(SIZE), "half a question").len());
}

#[test]
fn a_search_that_something_else_covers_ends() {
    let mut app = ready(SIZE);
    alt(&mut app, 'l');
    key(&mut app, KeyCode::Char('m'));
    let file = EditorMsg::Opened(Box::new(editor::opened("a.rs", "x")));
    assert!(app.update(Msg::Editor(file)).contains(&Effect::CancelSearch));
}

#[test]
fn a_search_begins_with_a_command_a_selection_or_what_is_in_the_bar() {
    let mut app = ready(SIZE);
    for name in ["search", "grep", "find"] {
        let (_, sought) = wanted(&say(&mut app, &format!("/{name} fn main"))).unwrap();
        assert_eq!(sought, plain("fn main"));
        key(&mut app, KeyCode::Esc);
    }
    say(&mut app, "/search fn mai");
    assert_eq!(wanted(&key(&mut app, KeyCode::Char('n'))).unwrap().1, plain("fn main"), "more can be typed");
    key(&mut app, KeyCode::Esc);
    editor::tell(&mut app, EditorMsg::Opened(Box::new(editor::opened("a.rs", "let one = 1;"))));
    editor::keys(&mut app, "<A-f>o.e<A-x>");
    let expression = Sought { text: "o.e".into(), is_regex: true };
    assert_eq!(wanted(&alt(&mut app, 'l')).unwrap().1, expression);
    assert!(app.editor.bar.is_none());
}

#[test]
fn an_expression_is_a_key_away_and_a_wrong_one_is_told() {
    let mut app = ready(SIZE);
    searched(&mut app);
    let (id, sought) = wanted(&alt(&mut app, 'x')).unwrap();
    assert_eq!(sought, Sought { text: "main".into(), is_regex: true });
    app.update(Msg::Search(SearchMsg::Wrong { id, why: "unclosed group".into() }));
    assert_eq!(app.search.progress, SearchProgress::Wrong("unclosed group".into()));
    assert!(app.search.lines.is_empty() && key(&mut app, KeyCode::Enter).is_empty());
    assert_eq!(wanted(&alt(&mut app, 'x')).unwrap().1, plain("main"));
}

#[test]
fn what_is_pasted_is_looked_for_on_one_line() {
    let mut app = ready(SIZE);
    alt(&mut app, 'l');
    let effects = app.update(Msg::Paste("fn\nmain".into()));
    assert_eq!(wanted(&effects).unwrap().1, plain("fn main"));
    assert!(app.composer.field.is_empty());
}

#[test]
fn tab_names_found_files_in_the_question_and_takes_them_out_again() {
    let mut app = ready(SIZE);
    type_in(&mut app, "why?");
    searched(&mut app);
    key(&mut app, KeyCode::Tab);
    key(&mut app, KeyCode::Down);
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.field.text(), "why? @a.rs @src/b.rs ");
    assert!(is_open(&app) && app.search.lines.iter().all(|line| app.is_attached(&line.file)));
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.field.text(), "why? @a.rs ");
    key(&mut app, KeyCode::Esc);
    let effects = key(&mut app, KeyCode::Enter);
    let reads = |effect: &Effect| matches!(effect, Effect::ReadFiles(reading) if reading.patterns == ["a.rs"]);
    assert!(effects.iter().any(reads), "{effects:?}");
}

#[test]
fn a_name_that_cannot_be_written_is_not_attached() {
    let mut app = ready(SIZE);
    alt(&mut app, 'l');
    let (id, _) = wanted(&key(&mut app, KeyCode::Char('a'))).unwrap();
    let shown = FoundFile { path: "/project/new\nline".into(), name: "new line".into() };
    let line = FoundLine { file: Arc::new(shown), ..found("x", 1, "«a»") };
    answer(&mut app, id, vec![line, found("q\"uote", 1, "«a»")]);
    for _ in 0..2 {
        key(&mut app, KeyCode::Tab);
        key(&mut app, KeyCode::Down);
        assert!(app.composer.field.is_empty() && told(&app).contains("cannot be named"));
    }
}
