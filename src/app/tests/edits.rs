//! Answers that become edits: what is asked for, what is shown, and that nothing is written or run without a yes.

use super::commands::run;
use super::*;
use crate::app::overlay::Overlay;
use crate::edits::diff::Diff;
use crate::edits::propose::{Homeless, Proposed};
use crate::edits::{Change, Problem};

pub(crate) fn change(name: &str, old: &str, new: &str) -> Change {
    Change { name: name.into(), new: false, gone: false, diff: Diff::new(old, new) }
}

pub(crate) fn lines(range: std::ops::RangeInclusive<u32>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

/// Two files, three hunks, one problem.
pub(crate) fn proposed() -> Proposed {
    let old = lines(1..=30);
    let new = old.replace("line 4\n", "line four\nand more\n").replace("line 20\n", "");
    Proposed {
        changes: vec![change("src/a.rs", &old, &new), change("b.py", "x = 1\n", "x = 2\n")],
        problems: vec![Problem { what: "block 3 for c.rs".into(), reason: "`z` is not in the file".into() }],
        ..Proposed::default()
    }
}

/// The answer to what is wanted last.
pub(crate) fn deliver(app: &mut App, proposed: Proposed) -> Vec<Effect> {
    let number = app.edits.awaited();
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(Proposed { number, ..proposed }))))
}

fn show(app: &mut App, proposed: Proposed) {
    app.command("apply", "1", &mut Vec::new());
    deliver(app, proposed);
    assert!(matches!(app.overlay, Some(Overlay::Review(_))), "{:?}", app.overlay);
}

pub(super) fn with_code() -> App {
    let mut app = ready(SIZE);
    exchange(&mut app, "how?", "In `src/a.rs`:\n```rust\nfn a() {}\n```\nand\n```py\nx = 2\n```");
    app
}

pub(super) fn wanted(effects: &[Effect]) -> Option<&crate::edits::propose::Wanted> {
    effects.iter().find_map(|effect| match effect {
        Effect::Propose(wanted) => Some(&**wanted),
        _ => None,
    })
}

#[test]
fn a_block_is_put_to_work_by_its_number_a_key_or_from_a_list() {
    let mut app = with_code();
    let mut out = Vec::new();
    app.command("apply", "1", &mut out);
    let found = wanted(&out).unwrap();
    assert_eq!((found.pieces.len(), found.pieces[0].before.as_str(), &found.name), (1, "In `src/a.rs`:", &None));
    out.clear();
    app.command("apply", "2 @src/new.py", &mut out);
    assert_eq!(wanted(&out).unwrap().name.as_deref(), Some("src/new.py"));
    out.clear();
    app.command("apply", "9", &mut out);
    assert!(out.is_empty() && told(&app).contains("no code block 9"));
    press(&mut app, KeyCode::Char('a'), KeyModifiers::ALT);
    let Some(Overlay::Choose(choose)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!(choose.rows.len(), 3);
    assert_eq!(wanted(&key(&mut app, KeyCode::Enter)).unwrap().pieces.len(), 2);
}

#[test]
fn only_what_can_be_a_file_is_offered_and_lines_are_counted_in_words() {
    let mut app = ready(SIZE);
    exchange(
        &mut app,
        "how?",
        "```bash\nmake\n```\n```py\nx = 2\n```\n```output\nok\n```\n```rust\nfn a() {\n}\n```\n```\n$ make\n```\n",
    );
    app.command("apply", "", &mut Vec::new());
    let Some(Overlay::Choose(choose)) = &app.overlay else { panic!("{:?}", app.overlay) };
    let rows: Vec<_> = choose.rows.iter().map(|row| (row.label.as_str(), row.detail.as_str())).collect();
    assert_eq!(rows, [("all 2", ""), ("2 py x = 2", "1 line"), ("4 rust fn a() {", "2 lines")]);
    key(&mut app, KeyCode::Esc);
    let mut app = ready(SIZE);
    exchange(&mut app, "how?", "```bash\nmake\n```\n```py\nx = 2\n```\n");
    let mut out = Vec::new();
    app.command("apply", "", &mut out);
    assert_eq!((wanted(&out).unwrap().pieces.len(), wanted(&out).unwrap().first), (1, 2), "there is one");
    let mut app = ready(SIZE);
    exchange(&mut app, "how?", "```bash\nmake\n```\n```console\n$ x\n```\n");
    let mut out = Vec::new();
    app.command("apply", "", &mut out);
    assert!(out.is_empty() && told(&app).contains("looks like a file"), "{}", told(&app));
    app.command("apply", "1 run.sh", &mut out);
    assert!(wanted(&out).is_some(), "by its number any can");
}

#[test]
fn what_is_odd_about_a_file_is_seen_as_long_as_it_is_not_rejected() {
    let mut app = with_code();
    let changes = vec![change("b.py", "x = 1\n\n\n\n\ny = f(1)\n", "x = 2\n\n\n\n\ny = f(1\n")];
    show(&mut app, Proposed { changes, ..Proposed::default() });
    let doubts = |app: &App| match &app.overlay {
        Some(Overlay::Review(review)) => review.doubts[0].join(" "),
        other => panic!("{other:?}"),
    };
    assert!(doubts(&app).contains("no longer parses"), "{}", doubts(&app));
    key(&mut app, KeyCode::Char('y'));
    key(&mut app, KeyCode::Char('n'));
    assert_eq!(doubts(&app), "");
}

#[test]
fn only_what_was_taken_is_written_and_only_by_enter() {
    let mut app = with_code();
    show(&mut app, proposed());
    assert_eq!(key(&mut app, KeyCode::Enter), [], "nothing is decided yet");
    assert!(told(&app).contains("3 to decide"));
    for letter in ['y', 'N', 'y'] {
        assert_eq!(key(&mut app, KeyCode::Char(letter)), []);
    }
    let effects = key(&mut app, KeyCode::Enter);
    let [Effect::Write(files)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(files[0].name, "src/a.rs");
    assert_eq!(files[0].before.as_deref(), Some(lines(1..=30).as_str()));
    assert_eq!(files[0].after, Some(lines(1..=30).replace("line 4\n", "line four\nand more\n")));
    assert_eq!((files[1].name.as_str(), files[1].after.as_deref()), ("b.py", Some("x = 2\n")));
    app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into(), "b\u{1b}[31m.py".into()])));
    assert!(told(&app).contains("/undo"));
}

#[test]
fn what_was_typed_ahead_of_a_review_or_a_question_decides_nothing() {
    let ahead = |app: &mut App, code: KeyCode| app.update(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    let counts = |app: &App| match &app.overlay {
        Some(Overlay::Review(review)) => review.counts(),
        other => panic!("{other:?}"),
    };
    let mut app = with_code();
    show(&mut app, proposed());
    let now = app.clock;
    for time in [0, 40, 240] {
        app.update(Msg::Now(now + time));
        for code in ['y', 'a', 'n', 'q'].map(KeyCode::Char).into_iter().chain([KeyCode::Enter]) {
            assert_eq!(ahead(&mut app, code), [], "{code:?} after {time} ms");
        }
        assert_eq!(counts(&app), (0, 0, 3));
        app.drawn(now);
    }
    app.update(Msg::Now(now + 300));
    ahead(&mut app, KeyCode::Char('a'));
    assert_eq!(counts(&app), (3, 0, 0));
    assert!(matches!(ahead(&mut app, KeyCode::Enter)[..], [Effect::Write(_)]));
    // and before a command runs
    app.update(Msg::Paste("/run rm -rf x".into()));
    ahead(&mut app, KeyCode::Enter);
    app.update(Msg::Scrolled(Scrolled::Command(0, true)));
    assert_eq!(ahead(&mut app, KeyCode::Char('y')), []);
    app.drawn(now + 300);
    assert_eq!(ahead(&mut app, KeyCode::Char('y')), []);
    app.update(Msg::Now(now + 600));
    assert!(matches!(ahead(&mut app, KeyCode::Char('y'))[..], [Effect::Run(..)]));
    // leaving needs no reading
    let mut app = with_code();
    show(&mut app, proposed());
    ahead(&mut app, KeyCode::Esc);
    assert!(app.overlay.is_none());
}

#[test]
fn a_file_of_which_nothing_was_taken_is_not_touched() {
    let mut app = with_code();
    show(&mut app, proposed());
    for code in [KeyCode::Char('n'), KeyCode::Char('n'), KeyCode::Char('a')] {
        key(&mut app, code);
    }
    let effects = key(&mut app, KeyCode::Enter);
    assert!(
        matches!(&effects[..], [Effect::Write(files)] if files.len() == 1 && files[0].name == "b.py"),
        "{effects:?}"
    );
    show(&mut app, proposed());
    for letter in "nnn".chars() {
        key(&mut app, KeyCode::Char(letter));
    }
    assert_eq!(key(&mut app, KeyCode::Enter), []);
    assert!(app.overlay.is_none() && told(&app).contains("no files changed"));
}

#[test]
fn leaving_a_review_writes_nothing_whatever_was_taken() {
    for code in [KeyCode::Esc, KeyCode::Char('q')] {
        let mut app = with_code();
        show(&mut app, proposed());
        key(&mut app, KeyCode::Char('a'));
        assert_eq!(key(&mut app, code), []);
        assert!(app.overlay.is_none() && told(&app).contains("no files changed"));
    }
    let mut app = with_code();
    show(&mut app, proposed());
    key(&mut app, KeyCode::Char('a'));
    assert_eq!(press(&mut app, KeyCode::Char('c'), KeyModifiers::CONTROL), []);
    assert!(app.overlay.is_none());
}

#[test]
fn arrows_walk_through_the_hunks_of_all_files() {
    let mut app = with_code();
    show(&mut app, proposed());
    let at = |app: &App| match &app.overlay {
        Some(Overlay::Review(review)) => review.at,
        other => panic!("{other:?}"),
    };
    let mut seen = vec![at(&app)];
    for code in [KeyCode::Right, KeyCode::Tab, KeyCode::Right, KeyCode::Left] {
        key(&mut app, code);
        seen.push(at(&app));
    }
    assert_eq!(seen, [(0, 0), (0, 1), (1, 0), (1, 0), (0, 1)]);
    assert_eq!(key(&mut app, KeyCode::Down), [Effect::Scroll(Move::Rows(1))]);
}

#[test]
fn what_does_not_apply_is_told_where_nothing_else_is_there_to_show() {
    let mut app = with_code();
    app.command("apply", "1", &mut Vec::new());
    deliver(&mut app, Proposed { changes: Vec::new(), ..proposed() });
    assert!(app.overlay.is_none() && told(&app).contains("is not in the file"));
}

pub(super) fn asked_to_edit(app: &mut App, attachments: Vec<Attachment>) -> Vec<Effect> {
    let effects = say(app, "/edit rename a in @src/a.rs");
    assert!(
        matches!(&effects[..], [.., Effect::ReadFiles(reading)] if reading.patterns == ["src/a.rs"]),
        "{effects:?}"
    );
    app.update(Msg::Files(FilesMsg::Read { id: app.reading, attachments, notices: Vec::new(), unmatched: Vec::new() }))
}

pub(super) fn file() -> Attachment {
    Attachment { name: "src/a.rs".into(), text: "fn a() {}\n".into(), real: None }
}

#[test]
fn an_edit_is_asked_for_with_the_form_and_the_file_and_leads_to_a_review() {
    let mut app = ready(SIZE);
    let effects = asked_to_edit(&mut app, vec![file()]);
    let ask = asked(&effects).unwrap();
    assert_eq!(ask.files, [file()]);
    assert!(ask.turns[0].content.contains("fn a() {}") && ask.turns[0].content.contains(">>>>>>> REPLACE"));
    assert_eq!(app.conversation.node(app.path[0]).unwrap().text, "/edit rename a in @src/a.rs");
    piece(&mut app, "<think>which?</think>src/a.rs\n<<<<<<< SEARCH\n");
    let effects = done(&mut app, Stop::End);
    let found = wanted(&effects).unwrap();
    assert_eq!((found.answer.trim(), &found.attached), ("src/a.rs\n<<<<<<< SEARCH", &vec!["src/a.rs".to_owned()]));
    deliver(&mut app, proposed());
    assert!(matches!(app.overlay, Some(Overlay::Review(_))));
    // the next question, and asking again, know nothing of it and everything
    key(&mut app, KeyCode::Esc);
    assert!(asked(&say(&mut app, "why?")).unwrap().files.is_empty());
    done(&mut app, Stop::End);
}

#[test]
fn an_answer_that_was_stopped_is_not_worked_out_and_asking_again_is_constrained_again() {
    let mut app = ready(SIZE);
    asked_to_edit(&mut app, vec![file()]);
    piece(&mut app, "src/a.rs\n");
    assert!(wanted(&done(&mut app, Stop::Cancelled)).is_none());
    let effects = press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT);
    assert_eq!(asked(&effects).unwrap().files, [file()]);
}

#[test]
fn without_a_file_an_edit_goes_back_into_the_input() {
    let mut app = ready(SIZE);
    asked_to_edit(&mut app, Vec::new());
    assert!(app.outgoing.is_none() && told(&app).contains("no file to change"));
    assert_eq!(app.composer.field.text(), "/edit rename a in @src/a.rs");
    assert!(asked(&say(&mut app, "")).is_none());
    let mut app = ready(SIZE);
    asked_to_edit(&mut app, vec![file()]);
    done(&mut app, Stop::End);
    let effects = say(&mut app, "/edit and now b");
    assert!(
        matches!(&effects[..], [.., Effect::ReadFiles(reading)] if reading.patterns == ["src/a.rs"]),
        "{effects:?}"
    );
}

#[test]
fn letters_that_are_being_typed_decide_nothing() {
    let mut app = ready(SIZE);
    asked_to_edit(&mut app, vec![file()]);
    type_in(&mut app, "an");
    done(&mut app, Stop::End);
    deliver(&mut app, proposed());
    assert!(app.overlay.is_none() && told(&app).contains("`/apply` shows them"));
    type_in(&mut app, "y");
    assert_eq!(app.composer.field.text(), "any");
}

#[test]
fn the_way_back_over_files_edited_since_is_reviewed_and_a_change_can_be_dropped() {
    let mut app = ready(SIZE);
    let mut out = Vec::new();
    app.command("undo", "", &mut out);
    app.command("undo", "drop", &mut out);
    assert_eq!(out, [Effect::Undo, Effect::DropUndo]);
    let edited = || {
        let new = Change { gone: true, ..change("new.py", "mine\n", "") };
        EditsMsg::Edited { record: "7.json".into(), changes: vec![change("x.py", "1\nmine\n", "one\n"), new] }
    };
    app.update(Msg::Edits(edited()));
    key(&mut app, KeyCode::Char('q'));
    assert!(app.overlay.is_none() && told(&app).contains("/undo drop"), "{}", told(&app));
    app.update(Msg::Edits(edited()));
    key(&mut app, KeyCode::Char('a'));
    let effects = key(&mut app, KeyCode::Enter);
    let [Effect::TakeBack(record, files)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(
        (record.as_str(), files[0].after.as_deref(), files[1].after.as_deref()),
        ("7.json", Some("one\n"), None)
    );
    app.update(Msg::Edits(EditsMsg::Undone { names: vec!["x.py".into()], notices: vec!["odd".into()] }));
    assert!(told(&app).contains("odd") && told(&app).contains("Restored"));
    // a command that runs stays in sight
    run(&mut app, "/run sleep 9");
    app.update(Msg::Edits(edited()));
    assert!(matches!(app.overlay, Some(Overlay::Running(_))));
}

#[test]
fn the_name_above_the_fence_and_behind_it_goes_with_a_block_of_blocks() {
    let mut app = ready(SIZE);
    let block = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    exchange(&mut app, "how?", &format!("x\n\n**src/a.rs**\n\n```\n{block}```\n\n```rust src/b.rs\n{block}```\n"));
    for (number, name) in [(1, "src/a.rs"), (2, "src/b.rs")] {
        let mut out = Vec::new();
        app.command("apply", &number.to_string(), &mut out);
        let (found, problems) = crate::edits::blocks::parse(&wanted(&out).unwrap().answer, &|_| false);
        assert_eq!((found[0].name.as_deref(), problems.len()), (Some(name), 0));
    }
}

#[test]
fn blocks_without_a_fence_have_numbers_like_all_others() {
    let mut app = ready(SIZE);
    let block = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
    exchange(&mut app, "how?", &format!("src/a.rs\n{block}\n```\nx\n```\n"));
    let mut out = Vec::new();
    app.command("apply", "1", &mut out);
    assert!(wanted(&out).unwrap().answer.contains("src/a.rs"));
    out.clear();
    app.command("apply", "2", &mut out);
    assert_eq!(wanted(&out).unwrap().pieces[0].text, "x\n");
}

#[test]
fn for_a_block_that_belongs_nowhere_the_person_is_asked() {
    let homeless = || Proposed { homeless: vec![Homeless { number: 2, lang: "py".into() }], ..Proposed::default() };
    let mut app = with_code();
    app.command("apply", "2", &mut Vec::new());
    deliver(&mut app, homeless());
    assert!(matches!(app.overlay, Some(Overlay::Choose(_))), "{:?}", app.overlay);
    key(&mut app, KeyCode::Enter);
    assert_eq!(key(&mut app, KeyCode::Enter), [], "it has no name yet");
    type_in(&mut app, "tools");
    let effects = key(&mut app, KeyCode::Enter);
    let found = wanted(&effects).unwrap();
    assert_eq!((found.name.as_deref(), found.first), (Some("tools.py"), 2));
    // a file that was shown is offered as well
    let mut app = ready(SIZE);
    asked_to_edit(&mut app, vec![file()]);
    piece(&mut app, "```py\nx = 2\n```");
    done(&mut app, Stop::End);
    let number = Homeless { number: 1, lang: "py".into() };
    deliver(&mut app, Proposed { homeless: vec![number], ..Proposed::default() });
    key(&mut app, KeyCode::Down);
    assert_eq!(wanted(&key(&mut app, KeyCode::Enter)).unwrap().name.as_deref(), Some("src/a.rs"));
    // who writes something is only told
    let mut app = with_code();
    app.edits = crate::app::edits::Edits::default();
    type_in(&mut app, "a");
    deliver(&mut app, homeless());
    assert!(app.overlay.is_none() && told(&app).contains("`/apply 2 FILE`"), "{}", told(&app));
}

#[test]
fn a_proposal_that_another_has_overtaken_is_dropped() {
    let mut app = with_code();
    app.command("apply", "1", &mut Vec::new());
    let late = app.edits.awaited();
    app.command("apply", "2", &mut Vec::new());
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(Proposed { number: late, ..proposed() }))));
    assert!(app.overlay.is_none());
    deliver(&mut app, proposed());
    assert!(matches!(app.overlay, Some(Overlay::Review(_))));
}
