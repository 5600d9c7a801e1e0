//! Suggestions at the cursor.

use super::*;

fn asked(effects: &[Effect]) -> Option<&SuggestRequest> {
    effects.iter().find_map(|effect| match effect {
        Effect::Suggest(request) => Some(&**request),
        _ => None,
    })
}

fn suggested(app: &mut App, id: SuggestId, texts: &[&str]) {
    let alternatives = texts.iter().map(|text| (*text).to_owned()).collect();
    app.update(Msg::Suggested { id, alternatives, done: true });
}

/// A file in which a suggestion was asked for and came.
fn with(before: &str, texts: &[&str]) -> App {
    let mut app = editing("a.rs", before);
    tell(&mut app, EditorMsg::Suggests(true));
    let effects = keys(&mut app, r"<A-\>");
    let id = asked(&effects).unwrap().id;
    suggested(&mut app, id, texts);
    app
}

fn ghost(app: &App) -> &str {
    app.editor.ghost.as_ref().map_or("", |ghost| ghost.text())
}

#[test]
fn a_pause_asks_and_another_key_calls_it_off() {
    let mut app = editing("a.rs", "|");
    tell(&mut app, EditorMsg::Suggests(true));
    assert!(asked(&keys(&mut app, "le")).is_none());
    let due = app.wakes_at().unwrap();
    app.update(Msg::Now(due - 1));
    keys(&mut app, "t");
    assert!(asked(&app.update(Msg::Now(due))).is_none(), "the pause begins anew");
    let start = app.clock;
    let effects = app.update(Msg::Now(start + 900));
    let request = asked(&effects).unwrap();
    assert_eq!((request.before.as_str(), request.after.as_str()), ("let", ""));
    let id = request.id;
    assert!(keys(&mut app, "<Left>").contains(&Effect::CancelSuggest));
    suggested(&mut app, id, &["late"]);
    assert_eq!(ghost(&app), "", "late answers are dropped");
}

#[test]
fn what_is_shown_grows_while_it_is_written() {
    let mut app = editing("a.rs", "|");
    tell(&mut app, EditorMsg::Suggests(true));
    keys(&mut app, "l");
    let due = app.wakes_at().unwrap();
    let id = asked(&app.update(Msg::Now(due))).unwrap().id;
    let lines = |app: &mut App, text: &str| {
        app.update(Msg::Suggested { id, alternatives: vec![text.into()], done: false });
    };
    lines(&mut app, "et a;");
    assert_eq!(ghost(&app), "et a;");
    lines(&mut app, "et a;\nlet b;");
    assert_eq!(ghost(&app), "et a;\nlet b;");
    assert_eq!(app.editor.ghost.as_ref().unwrap().place(), (1, 1));
    keys(&mut app, "e");
    lines(&mut app, "et a;\nlet b;\nlet c;");
    assert_eq!(ghost(&app), "t a;\nlet b;", "what comes later is for the place before");
    keys(&mut app, "<Tab>");
    suggested(&mut app, id, &["et a;\nlet b;\nlet c;"]);
    assert_eq!((text(&app).as_str(), ghost(&app)), ("let a;\nlet b;|", ""));
}

#[test]
fn the_pause_follows_from_how_long_answers_take() {
    let mut app = editing("a.rs", "|");
    tell(&mut app, EditorMsg::Suggests(true));
    let first = app.editor.suggest.pause();
    let effects = keys(&mut app, r"<A-\>");
    let id = asked(&effects).unwrap().id;
    app.update(Msg::Now(app.clock + 1600));
    suggested(&mut app, id, &["x"]);
    assert!(first < app.editor.suggest.pause(), "{first}");
}

#[test]
fn all_a_word_or_a_line_is_taken() {
    let text_of = |typed: &str| {
        let mut app = with("let x|", &[" = foo(1);\nlet y = 2;"]);
        keys(&mut app, typed);
        (text(&app), ghost(&app).to_owned())
    };
    let pair = |text: &str, ghost: &str| (text.to_owned(), ghost.to_owned());
    assert_eq!(text_of("<Tab>"), pair("let x = foo(1);\nlet y = 2;|", ""));
    assert_eq!(text_of("<A-Right><A-Right>"), pair("let x = foo|", "(1);\nlet y = 2;"));
    assert_eq!(text_of("<A-Down>"), pair("let x = foo(1);|", "\nlet y = 2;"));
    assert_eq!(text_of("<A-Down><A-Down>"), pair("let x = foo(1);\nlet y = 2;|", ""));
    assert_eq!(text_of("<Tab><A-u>"), pair("let x|", ""));
    assert_eq!(text_of("<Esc>"), pair("let x|", ""));
    assert_eq!(text_of("<Left>"), pair("let |x", ""));
}

#[test]
fn no_line_is_taken_that_was_not_seen() {
    let app = with(&format!("{}|", "x\n".repeat(100)), &["a\nb\nc\nd\ne"]);
    assert_eq!(app.ghost_lines_seen(), 5, "scrolled into sight at the end of the file");
    let long: Vec<String> = (0..100).map(|n| format!("y{n}")).collect();
    let mut app = with("x\nx\nx\n|", &[&long.join("\n")]);
    let seen = app.ghost_lines_seen();
    let (_, height) = app.text_size(app.editor.file().unwrap());
    assert_eq!(seen, height, "the cursor's row goes to the top");
    keys(&mut app, "<Tab>");
    assert!(text(&app).ends_with(&format!("y{}|", seen - 1)), "{}", text(&app));
    assert!(ghost(&app).starts_with(&format!("\ny{seen}\n")), "{}", ghost(&app));
    let wide = with(&format!("{}|", "x\n".repeat(100)), &[&"y".repeat(1000)]);
    assert_eq!(wide.ghost_lines_seen(), 1);
}

#[test]
fn typing_what_it_says_keeps_it_without_asking() {
    let mut app = with("|", &["abc", "abd"]);
    let effects = keys(&mut app, "a");
    assert!(asked(&effects).is_none() && app.editor.ghost.is_some());
    assert_eq!(ghost(&app), "bc");
    keys(&mut app, r"<A-\>");
    assert_eq!(ghost(&app), "bd");
    keys(&mut app, "x");
    assert_eq!((text(&app).as_str(), ghost(&app)), ("ax|", ""));
}

#[test]
fn where_there_is_one_the_key_asks_for_more() {
    let mut app = with("|", &["abc"]);
    let id = asked(&keys(&mut app, r"<A-\>")).unwrap().id;
    assert!(asked(&keys(&mut app, r"<A-\>")).is_none(), "once");
    suggested(&mut app, id, &["abd", "abc"]);
    assert_eq!((ghost(&app), app.editor.ghost.as_ref().unwrap().place()), ("abd", (2, 2)));
    let mut app = with("|", &["abc"]);
    let id = asked(&keys(&mut app, r"<A-\>")).unwrap().id;
    suggested(&mut app, id, &["abc"]);
    assert!(ghost(&app) == "abc" && told(&app).contains("there is one suggestion"));
    let mut app = with("|", &["abc"]);
    let id = asked(&keys(&mut app, r"<A-\>")).unwrap().id;
    keys(&mut app, "a");
    suggested(&mut app, id, &["x"]);
    assert_eq!((ghost(&app), app.editor.ghost.as_ref().unwrap().place()), ("bc", (1, 1)));
}

#[test]
fn enter_goes_along_and_moving_away_takes_nothing() {
    let mut app = with("fn f() {|\n}", &["\n    x();\n    y();"]);
    let effects = keys(&mut app, "<Enter>");
    assert!(!effects.contains(&Effect::CancelSuggest));
    assert_eq!((text(&app).as_str(), ghost(&app)), ("fn f() {\n    |\n}", "x();\n    y();"));
    let mut app = with("fn f() {|\n}", &["\nx();"]);
    keys(&mut app, "<Enter>");
    assert_eq!(ghost(&app), "");
    // An answer for another place, or another text, is for nobody.
    let mut app = editing("a.rs", "one\n|");
    tell(&mut app, EditorMsg::Suggests(true));
    let id = asked(&keys(&mut app, r"<A-\>")).unwrap().id;
    app.editor.file_mut().unwrap().document.go_to(0, 1);
    suggested(&mut app, id, &["late"]);
    assert_eq!(ghost(&app), "");
    let long = format!("|{}", "line\n".repeat(200));
    let mut app = with(&long, &["x"]);
    let effects: Vec<Effect> = (0..40).flat_map(|_| app.update(Msg::Wheel(3))).collect();
    assert!(ghost(&app).is_empty() && effects.contains(&Effect::CancelSuggest));
}

#[test]
fn line_ends_and_escape_sequences_are_the_files_own() {
    let mut app = with("a\r\nb|\r\n", &["x\n\u{1b}[31my"]);
    keys(&mut app, "<Tab>");
    assert_eq!(text(&app), "a\r\nbx\r\ny|\r\n");
}

#[test]
fn without_someone_to_answer_nothing_is_asked() {
    let mut app = editing("a.rs", "|");
    assert!(asked(&keys(&mut app, r"a<A-\>")).is_none());
    assert!(told(&app).contains("no model"));
    app.update(Msg::Now(app.clock + 5000));
    assert!(asked(&app.update(Msg::Notice(Level::Info, "x".into()))).is_none());
}
