//! Reviews and commands that are longer than the screen, and what is asked about them.

use super::*;

/// What scrolling by keys leads to, as the loop would carry it out.
fn scroll(app: &mut App, view: &View, by: Move) {
    let scrolled = view.moved(app, by);
    app.update(Msg::Scrolled(scrolled));
}

#[test]
fn problems_never_hide_the_hunk_that_is_decided_about() {
    for size in [(80, 24), (45, 30)] {
        let mut app = with_gauge(size);
        let problem =
            |n: usize| crate::edits::Problem { what: format!("block {n}"), reason: "it does not apply".into() };
        let many = edits::proposed();
        let many = crate::edits::propose::Proposed { problems: (0..30).map(problem).collect(), ..many };
        edits::deliver(&mut app, many);
        let (text, _) = screen(&app, &view());
        assert!(text.contains("+line four") && text.contains("30 parts do not apply"), "{text}");
        scroll(&mut app, &view(), Move::Top);
        assert!(screen(&app, &view()).0.contains("block 0: it does not apply"));
    }
}

#[test]
fn every_line_of_a_change_can_be_reached_however_long_it_is() {
    let new: String =
        (0..6000).map(|n| format!("line {n}\n")).chain([format!("{}the end\n", "x".repeat(9000))]).collect();
    let mut app = with_gauge((80, 24));
    let changes = vec![edits::change("a.txt", "", &new)];
    edits::deliver(&mut app, crate::edits::propose::Proposed { changes, ..Default::default() });
    let view = view();
    for (by, wanted) in [(Move::Rows(3000), "+line 3000"), (Move::Bottom, "the end"), (Move::Top, "+line 0")] {
        scroll(&mut app, &view, by);
        assert!(screen(&app, &view).0.contains(wanted), "{by:?}\n{}", screen(&app, &view).0);
    }
    app.update(Msg::Resize(120, 24));
    scroll(&mut app, &view, Move::Bottom);
    assert!(screen(&app, &view).0.contains("the end"));
}

#[test]
fn above_an_open_keyboard_a_review_shows_eleven_rows_of_the_change() {
    check_at(&[(45, 14)], "review-long", |size| {
        let mut app = with_gauge(size);
        let new: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let changes = vec![edits::change("src/deeply/nested/folder/a_long_name.txt", "", &new)];
        edits::deliver(&mut app, crate::edits::propose::Proposed { changes, ..Default::default() });
        let shown = screen(&app, &view()).0.lines().filter(|row| row.starts_with("+line")).count();
        assert!(shown >= 11, "{shown}\n{}", screen(&app, &view()).0);
        app
    });
}

#[test]
fn a_long_command_is_read_to_its_end_before_it_can_be_agreed_to() {
    for size in [(80, 24), (45, 30), (45, 8)] {
        let mut app = with_gauge(size);
        let words: String = (0..500).map(|n| format!("word{n} ")).collect();
        say(&mut app, &format!("/run echo {words}; rm -rf END"));
        let view = view();
        scroll(&mut app, &view, Move::Rows(0));
        let (text, _) = screen(&app, &view);
        assert!(text.contains("word0") && text.contains("more rows") && !text.contains("END"), "{text}");
        let mut pages = 0;
        while !screen(&app, &view).0.contains("END") {
            app.drawn(0);
            let effects = app.update(Msg::Key(KeyCode::Char('y').into()));
            assert_eq!(effects, [Effect::Scroll(Move::Pages(1))]);
            scroll(&mut app, &view, Move::Pages(1));
            pages += 1;
            assert!(pages < 500, "it never comes to its end");
        }
        app.drawn(0);
        let effects = app.update(Msg::Key(KeyCode::Char('y').into()));
        assert!(matches!(effects[..], [Effect::Run(..)]), "{effects:?}");
    }
}

#[test]
fn the_name_of_a_new_file_is_asked_for() {
    let mut app = with_gauge((45, 12));
    exchange(&mut app, "Why?", "```py\nx = 1\n```");
    app.command("apply", "", &mut Vec::new());
    let homeless = vec![crate::edits::propose::Homeless { number: 1, lang: "py".into() }];
    edits::deliver(&mut app, crate::edits::propose::Proposed { homeless, ..Default::default() });
    assert!(screen(&app, &view()).0.contains("where does block 1 go?"));
    app.update(Msg::Key(KeyCode::Enter.into()));
    let (text, _) = screen(&app, &view());
    assert!(text.contains("block 1 as a new file") && text.contains(".py"), "{text}");
}
