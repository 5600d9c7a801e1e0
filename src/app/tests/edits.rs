//! Answers that become edits: what is asked for, what is shown, and that nothing is written or run without a yes.

use super::*;
use crate::app::overlay::Overlay;
use crate::edits::diff::Diff;
use crate::edits::propose::Proposed;
use crate::edits::{Change, Problem};

pub(crate) fn change(name: &str, old: &str, new: &str) -> Change {
    Change { name: name.into(), new: false, diff: Diff::new(old, new) }
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
        problems: vec![Problem { what: "block 3 for c.rs".into(), reason: "`z` does not stand in the file".into() }],
    }
}

fn show(app: &mut App, proposed: Proposed) {
    app.command("apply", "1", &mut Vec::new());
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed))));
    assert!(matches!(app.overlay, Some(Overlay::Review(_))), "{:?}", app.overlay);
}

fn with_code() -> App {
    let mut app = ready(SIZE);
    exchange(&mut app, "how?", "In `src/a.rs`:\n```rust\nfn a() {}\n```\nand\n```py\nx = 2\n```");
    app
}

fn wanted(effects: &[Effect]) -> Option<&crate::edits::propose::Wanted> {
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
    assert_eq!(files[0].after, lines(1..=30).replace("line 4\n", "line four\nand more\n"));
    assert_eq!((files[1].name.as_str(), files[1].after.as_str()), ("b.py", "x = 2\n"));
    app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into(), "b\u{1b}[31m.py".into()])));
    assert!(told(&app).contains("/undo"));
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
    assert!(app.overlay.is_none() && told(&app).contains("nothing was written"));
}

#[test]
fn leaving_a_review_writes_nothing_whatever_was_taken() {
    for code in [KeyCode::Esc, KeyCode::Char('q')] {
        let mut app = with_code();
        show(&mut app, proposed());
        key(&mut app, KeyCode::Char('a'));
        assert_eq!(key(&mut app, code), []);
        assert!(app.overlay.is_none() && told(&app).contains("nothing was written"));
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
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(Proposed { changes: Vec::new(), ..proposed() }))));
    assert!(app.overlay.is_none() && told(&app).contains("does not stand in the file"));
}

fn asked_to_edit(app: &mut App, attachments: Vec<Attachment>) -> Vec<Effect> {
    let effects = say(app, "/edit rename a in @src/a.rs");
    assert!(
        matches!(&effects[..], [.., Effect::ReadFiles(reading)] if reading.patterns == ["src/a.rs"]),
        "{effects:?}"
    );
    app.update(Msg::Files(FilesMsg::Read { attachments, notices: Vec::new(), unmatched: Vec::new() }))
}

fn file() -> Attachment {
    Attachment { name: "src/a.rs".into(), text: "fn a() {}\n".into() }
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
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed()))));
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
    assert_eq!(app.composer.buffer.text(), "/edit rename a in @src/a.rs");
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
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed()))));
    assert!(app.overlay.is_none() && told(&app).contains("`/apply` shows them"));
    type_in(&mut app, "y");
    assert_eq!(app.composer.buffer.text(), "any");
}

#[test]
fn a_file_edited_since_is_shown_and_not_taken_back() {
    let mut app = ready(SIZE);
    let mut out = Vec::new();
    app.command("undo", "", &mut out);
    assert_eq!(out, [Effect::Undo]);
    let diff = Box::new(Diff::new("a\n", "a\nmine\n"));
    app.update(Msg::Edits(EditsMsg::Edited { name: "x\u{1b}`\n.rs".into(), diff }));
    let Some(Overlay::Page(page)) = &app.overlay else { panic!() };
    assert!(page.markdown.contains("+mine") && page.markdown.contains("Not taken back"), "{}", page.markdown);
}

fn run(app: &mut App, command: &str) -> u64 {
    say(app, command);
    assert!(matches!(app.overlay, Some(Overlay::Confirm(_))));
    for code in [KeyCode::Enter, KeyCode::Char('x'), KeyCode::Tab] {
        assert_eq!(key(app, code), [], "only y agrees");
    }
    match &key(app, KeyCode::Char('y'))[..] {
        [Effect::Run(run, _)] => *run,
        other => panic!("{other:?}"),
    }
}

fn end(app: &mut App, run: u64, output: &str, end: RunEnd) -> Vec<Effect> {
    app.update(Msg::Run(RunMsg::Output(run, output.into())));
    app.update(Msg::Run(RunMsg::Ended(run, end)))
}

#[test]
fn a_command_runs_after_a_yes_and_its_failure_goes_with_the_next_question() {
    let mut app = ready(SIZE);
    let one = run(&mut app, "/run make  test");
    end(&mut app, one, "\u{1b}[31mboom\u{1b}[0m\r\n\u{7}bad\n", RunEnd::Code(2));
    assert!(told(&app).contains("goes with your next message"));
    key(&mut app, KeyCode::Enter);
    let effects = say(&mut app, "why?");
    let content = &asked(&effects).unwrap().turns[0].content;
    assert!(content.contains("$ make  test\nboom\nbad\n[exit code 2]"), "{content}");
    assert!(asked(&say(&mut app, "")).is_none());
    done(&mut app, Stop::End);
    let two = run(&mut app, "/run true");
    end(&mut app, two, "", RunEnd::Code(0));
    key(&mut app, KeyCode::Esc);
    assert!(!asked(&say(&mut app, "and?")).unwrap().turns.last().unwrap().content.contains("exit code"));
}

#[test]
fn saying_no_runs_nothing_and_a_failure_can_be_forgotten() {
    let mut app = ready(SIZE);
    say(&mut app, "/run rm -rf build");
    assert_eq!(key(&mut app, KeyCode::Esc), []);
    assert!(app.overlay.is_none() && told(&app).contains("not run"));
    let one = run(&mut app, "/run false");
    end(&mut app, one, "", RunEnd::Code(1));
    key(&mut app, KeyCode::Enter);
    say(&mut app, "/run");
    assert!(app.edits.failure.is_none());
}

#[test]
fn escape_and_interrupt_end_the_command_and_late_words_are_dropped() {
    let mut app = ready(SIZE);
    let one = run(&mut app, "/run sleep 100");
    assert_eq!(key(&mut app, KeyCode::Esc), [Effect::Kill(one)]);
    assert_eq!(press(&mut app, KeyCode::Char('c'), KeyModifiers::CONTROL), [Effect::Kill(one)]);
    assert!(matches!(app.overlay, Some(Overlay::Running(_))));
    end(&mut app, one, "", RunEnd::Signal(15));
    assert!(app.edits.failure.is_none(), "the person ended it");
    key(&mut app, KeyCode::Esc);
    let two = run(&mut app, "/run echo");
    end(&mut app, one, "ghost", RunEnd::Code(1));
    let Some(Overlay::Running(running)) = &app.overlay else { panic!() };
    assert!(running.run == two && running.end.is_none() && running.lines.iter().all(String::is_empty));
}

#[test]
fn a_flood_is_kept_in_bounds() {
    let mut app = ready(SIZE);
    let one = run(&mut app, "/run yes");
    for _ in 0..40 {
        app.update(Msg::Run(RunMsg::Output(one, "y\n".repeat(1000))));
    }
    app.update(Msg::Run(RunMsg::Output(one, "x".repeat(1 << 20))));
    let Some(Overlay::Running(running)) = &app.overlay else { panic!() };
    assert!(running.lines.len() <= 5000 && running.dropped > 30_000);
    assert!(running.lines.iter().map(String::len).max() <= Some(2000));
    end(&mut app, one, "", RunEnd::Code(1));
    assert!(app.edits.failure.as_ref().unwrap().text.len() < 20_000);
}

#[test]
fn fixing_runs_asks_shows_writes_and_runs_again_until_it_passes() {
    let mut app = ready(SIZE);
    let first = run(&mut app, "/fix python t.py");
    let effects = end(&mut app, first, "  File \"src/a.rs\", line 3\nNameError\n", RunEnd::Code(1));
    let [Effect::ReadFiles(reading)] = &effects[..] else { panic!("{effects:?}") };
    assert!(reading.patterns.is_empty() && reading.guesses.contains(&"src/a.rs".to_owned()), "{reading:?}");
    let read = FilesMsg::Read { attachments: vec![file()], notices: Vec::new(), unmatched: Vec::new() };
    let effects = app.update(Msg::Files(read));
    let ask = asked(&effects).unwrap();
    assert_eq!(ask.files, [file()], "the output is no file");
    assert!(ask.turns[0].content.contains("NameError") && ask.turns[0].content.contains("`python t.py` fails"));
    done(&mut app, Stop::End);
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed()))));
    key(&mut app, KeyCode::Char('a'));
    assert!(matches!(key(&mut app, KeyCode::Enter)[..], [Effect::Write(_)]));
    let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
    let [Effect::Run(second, command)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(command, "python t.py");
    assert_eq!(end(&mut app, *second, "ok\n", RunEnd::Code(0)), []);
    assert!(app.edits.fix.is_none() && told(&app).contains("passes after one change"));
}

#[test]
fn fixing_stops_after_its_rounds_when_nothing_is_taken_and_when_it_is_ended() {
    let fixing = |rounds: u32| {
        let mut app = ready(SIZE);
        app.settings.fix_rounds = rounds;
        asked_to_edit(&mut app, vec![file()]);
        done(&mut app, Stop::End);
        let run = run(&mut app, "/fix make");
        (app, run)
    };
    let (mut app, mut one) = fixing(2);
    for round in 0..3 {
        let effects = end(&mut app, one, "bad\n", RunEnd::Code(2));
        if round == 2 {
            assert_eq!(effects, []);
            break;
        }
        let read = FilesMsg::Read { attachments: vec![file()], notices: Vec::new(), unmatched: Vec::new() };
        app.update(Msg::Files(read));
        done(&mut app, Stop::End);
        app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed()))));
        key(&mut app, KeyCode::Char('a'));
        key(&mut app, KeyCode::Enter);
        let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
        let [Effect::Run(next, _)] = &effects[..] else { panic!("{effects:?}") };
        one = *next;
    }
    assert!(app.edits.fix.is_none() && told(&app).contains("still fails after 2 changes"));

    let (mut app, one) = fixing(3);
    end(&mut app, one, "bad\n", RunEnd::Code(2));
    app.update(Msg::Files(FilesMsg::Read { attachments: vec![file()], notices: Vec::new(), unmatched: Vec::new() }));
    done(&mut app, Stop::End);
    app.update(Msg::Edits(EditsMsg::Proposed(Box::new(proposed()))));
    key(&mut app, KeyCode::Char('q'));
    assert!(app.edits.fix.is_none());

    let (mut app, one) = fixing(3);
    key(&mut app, KeyCode::Esc);
    assert_eq!(end(&mut app, one, "", RunEnd::Signal(15)), []);
    assert!(app.edits.fix.is_none());

    let (mut app, one) = fixing(3);
    end(&mut app, one, "bad\n", RunEnd::Code(2));
    app.update(Msg::Files(FilesMsg::Read { attachments: Vec::new(), notices: Vec::new(), unmatched: Vec::new() }));
    assert!(app.edits.fix.is_none() && app.answer.is_none() && app.outgoing.is_none());
    assert!(told(&app).contains("no file to change"));
}
