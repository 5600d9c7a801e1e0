//! Commands that are run until they pass.

use super::commands::{end, run};
use super::edits::{asked_to_edit, deliver, file, proposed, wanted, with_code};
use super::*;
use crate::app::edits::Phase;
use crate::app::overlay::Overlay;
use crate::edits::Problem;
use crate::edits::propose::Proposed;

#[test]
fn fixing_runs_asks_shows_writes_and_runs_again_until_it_passes() {
    let mut app = ready(SIZE);
    let first = run(&mut app, "/fix python t.py");
    let effects = end(&mut app, first, "  File \"src/a.rs\", line 3\nNameError\n", RunEnd::Code(1));
    let [Effect::Redraw, Effect::ReadFiles(reading)] = &effects[..] else { panic!("{effects:?}") };
    assert!(reading.patterns.is_empty() && reading.guesses.contains(&"src/a.rs".to_owned()), "{reading:?}");
    let read =
        FilesMsg::Read { id: app.reading, attachments: vec![file()], notices: Vec::new(), unmatched: Vec::new() };
    let effects = app.update(Msg::Files(read));
    let ask = asked(&effects).unwrap();
    assert_eq!(ask.files, [file()], "the output is no file");
    assert!(ask.turns[0].content.contains("NameError") && ask.turns[0].content.contains("`python t.py` fails"));
    done(&mut app, Stop::End);
    deliver(&mut app, proposed());
    key(&mut app, KeyCode::Char('a'));
    assert!(matches!(key(&mut app, KeyCode::Enter)[..], [Effect::Write(_)]));
    let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
    let [Effect::Run(second, command)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(command, "python t.py");
    assert_eq!(end(&mut app, *second, "ok\n", RunEnd::Code(0)), [Effect::Redraw]);
    assert!(app.edits.fix.is_none() && told(&app).contains("passes after one change"));
}

#[test]
fn fixing_stops_after_its_rounds_when_nothing_is_taken_and_when_it_is_ended() {
    let fixing = |rounds: u32| {
        let mut app = ready(SIZE);
        app.settings.edits.fix_rounds = rounds;
        asked_to_edit(&mut app, vec![file()]);
        done(&mut app, Stop::End);
        let run = run(&mut app, "/fix make");
        (app, run)
    };
    let (mut app, mut one) = fixing(2);
    for round in 0..3 {
        let effects = end(&mut app, one, "bad\n", RunEnd::Code(2));
        if round == 2 {
            assert_eq!(effects, [Effect::Redraw]);
            break;
        }
        let read =
            FilesMsg::Read { id: app.reading, attachments: vec![file()], notices: Vec::new(), unmatched: Vec::new() };
        app.update(Msg::Files(read));
        done(&mut app, Stop::End);
        deliver(&mut app, proposed());
        key(&mut app, KeyCode::Char('a'));
        key(&mut app, KeyCode::Enter);
        let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
        let [Effect::Run(next, _)] = &effects[..] else { panic!("{effects:?}") };
        one = *next;
    }
    assert!(app.edits.fix.is_none() && told(&app).contains("Still failing after 2 changes; `/undo` reverts the last"));

    let (mut app, one) = fixing(3);
    end(&mut app, one, "bad\n", RunEnd::Code(2));
    app.update(Msg::Files(FilesMsg::Read {
        id: app.reading,
        attachments: vec![file()],
        notices: Vec::new(),
        unmatched: Vec::new(),
    }));
    done(&mut app, Stop::End);
    deliver(&mut app, proposed());
    key(&mut app, KeyCode::Char('q'));
    assert!(app.edits.fix.is_none());

    let (mut app, one) = fixing(3);
    key(&mut app, KeyCode::Esc);
    assert_eq!(end(&mut app, one, "", RunEnd::Signal(15)), [Effect::Redraw]);
    assert!(app.edits.fix.is_none());

    let (mut app, one) = fixing(3);
    end(&mut app, one, "bad\n", RunEnd::Code(2));
    app.update(Msg::Files(FilesMsg::Read {
        id: app.reading,
        attachments: Vec::new(),
        notices: Vec::new(),
        unmatched: Vec::new(),
    }));
    assert!(!app.turn.is_answering() && app.outgoing.is_none());
    key(&mut app, KeyCode::Esc);
    assert!(app.edits.fix.is_none() && told(&app).contains("`/fix make` stopped"));
}

#[test]
fn where_no_file_is_known_the_output_is_shown_and_files_are_offered() {
    let nothing = |app: &App| FilesMsg::Read {
        id: app.reading,
        attachments: Vec::new(),
        notices: Vec::new(),
        unmatched: Vec::new(),
    };
    let mut app = ready(SIZE);
    let one = run(&mut app, "/fix cd py && ./check");
    end(&mut app, one, "it broke\n", RunEnd::Code(2));
    let effects = app.update(Msg::Files(nothing(&app)));
    assert_eq!(effects, [Effect::ListFiles]);
    let Some(Overlay::Running(running)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert!(running.lines.iter().any(|line| line == "it broke"), "the output is seen");
    assert!(told(&app).contains("Enter chooses"), "{}", told(&app));
    let names = ["README", "src/a.rs", "py/tests/test_b.py", "py/b.py", "py/"].map(String::from).to_vec();
    app.update(Msg::Files(FilesMsg::Listed { names: std::sync::Arc::new(names), more: false }));
    key(&mut app, KeyCode::Enter);
    let Some(Overlay::Choose(choose)) = &app.overlay else { panic!("{:?}", app.overlay) };
    let rows: Vec<&str> = choose.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(rows, ["py/b.py", "src/a.rs"], "no test is offered, and what the command is about comes first");
    let effects = key(&mut app, KeyCode::Enter);
    assert!(matches!(&effects[..], [Effect::ReadFiles(reading)] if reading.patterns == ["py/b.py"]), "{effects:?}");
    let b = Attachment { name: "py/b.py".into(), text: "x = 1\n".into(), real: None };
    let read =
        FilesMsg::Read { id: app.reading, attachments: vec![b.clone()], notices: Vec::new(), unmatched: Vec::new() };
    let effects = app.update(Msg::Files(read));
    let ask = asked(&effects).unwrap();
    assert!(ask.files == [b] && ask.turns[0].content.contains("it broke"));
    // nobody chooses: it ends
    let mut app = ready(SIZE);
    let one = run(&mut app, "/fix make");
    end(&mut app, one, "it broke\n", RunEnd::Code(2));
    app.update(Msg::Files(nothing(&app)));
    let names = std::sync::Arc::new(vec!["src/a.rs".to_owned()]);
    app.update(Msg::Files(FilesMsg::Listed { names, more: false }));
    key(&mut app, KeyCode::Enter);
    key(&mut app, KeyCode::Esc);
    assert!(app.edits.fix.is_none() && app.overlay.is_none() && told(&app).contains("stopped"));
}

#[test]
fn a_fix_asks_for_the_program_and_shows_the_tests_only() {
    let test = Attachment { name: "tests/test_a.py".into(), text: "def test_a(): assert 0\n".into(), real: None };
    let asking = |command: &str| {
        let mut app = ready(SIZE);
        let one = run(&mut app, command);
        let effects = end(&mut app, one, "tests/test_a.py:3: boom\n", RunEnd::Code(1));
        let [Effect::Redraw, Effect::ReadFiles(reading)] = &effects[..] else { panic!("{effects:?}") };
        let patterns = reading.patterns.clone();
        let attachments = vec![file(), test.clone()];
        let effects = app.update(Msg::Files(FilesMsg::Read {
            id: app.reading,
            attachments,
            notices: Vec::new(),
            unmatched: Vec::new(),
        }));
        let ask = asked(&effects).unwrap().clone();
        done(&mut app, Stop::End);
        (ask, patterns)
    };
    let (ask, patterns) = asking("/fix pytest tests/test_a.py");
    assert!(patterns.is_empty() && ask.files == [file()], "a test that only the command names stays");
    assert!(
        ask.turns[0].content.contains("def test_a") && ask.turns[0].content.contains("leave the tests as they are")
    );
    assert_eq!(ask.guard, Some(crate::edits::guard::Guard::default()));
    let (ask, patterns) = asking("/fix @tests/test_a.py pytest");
    assert!(patterns == ["tests/test_a.py"] && ask.files == [file(), test.clone()]);
    assert!(ask.turns[0].content.contains("`pytest` fails"), "the name is no part of the command");
    // asking again by hand leaves them alone as well
    let mut app = ready(SIZE);
    let one = run(&mut app, "/fix pytest");
    end(&mut app, one, "tests/test_a.py:3: boom\n", RunEnd::Code(1));
    read_files(&mut app);
    done(&mut app, Stop::Cancelled);
    let again = press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT);
    assert!(asked(&again).unwrap().guard.is_some());
    assert!(wanted(&done(&mut app, Stop::End)).unwrap().guard.is_some());
    // and only tests are no file to change
    let mut app = ready(SIZE);
    let one = run(&mut app, "/fix pytest");
    end(&mut app, one, "boom\n", RunEnd::Code(1));
    app.update(Msg::Files(FilesMsg::Read {
        id: app.reading,
        attachments: vec![test],
        notices: Vec::new(),
        unmatched: Vec::new(),
    }));
    assert!(!app.turn.is_answering() && told(&app).contains("no file that may be changed"), "{}", told(&app));
}

/// A round of `/fix` up to its second run, which gives this.
fn fixed(command: &str, first: &str, second: &str) -> App {
    let mut app = ready(SIZE);
    let one = run(&mut app, command);
    end(&mut app, one, first, RunEnd::Code(1));
    read_files(&mut app);
    done(&mut app, Stop::End);
    deliver(&mut app, proposed());
    key(&mut app, KeyCode::Char('a'));
    key(&mut app, KeyCode::Enter);
    let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
    let [Effect::Run(two, _)] = &effects[..] else { panic!("{effects:?}") };
    end(&mut app, *two, second, RunEnd::Code(0));
    assert!(app.edits.fix.is_none());
    app
}

#[test]
fn a_run_of_fewer_tests_than_before_is_no_pass() {
    let before = "1 failed, 4 passed in 0.12s\n";
    for (after, passes) in [
        ("5 passed in 0.10s\n", true),
        ("6 passed in 0.10s\n", true),
        ("4 passed in 0.10s\n", false),
        ("4 passed, 1 skipped in 0.10s\n", false),
        ("no tests ran in 0.01s\n", false),
        ("all is well\n", false),
    ] {
        let app = fixed("/fix pytest", before, after);
        assert_eq!(told(&app).contains("passes"), passes, "{after}: {}", told(&app));
        assert_eq!(told(&app).contains("no pass; `/undo`"), !passes, "{after}: {}", told(&app));
    }
    assert!(told(&fixed("/fix make", "boom\n", "fine\n")).contains("passes after one change"));
    // also where the summary has scrolled out of what is kept
    let long = format!("3 passed in 0.1s\n{}1 failed in 0.2s\n", "x\n".repeat(6000));
    assert!(!told(&fixed("/fix make", &long, "1 passed in 0.1s\n")).contains("passes"));
}

#[test]
fn an_answer_without_a_change_is_asked_for_again_with_another_seed() {
    let same = || Proposed {
        problems: vec![Problem { what: "Edit 1 of src/a.rs".into(), reason: "skipped: identical to the file".into() }],
        ..Proposed::default()
    };
    let mut app = with_code();
    answered_fix(&mut app);
    let effects = deliver(&mut app, same());
    let ask = asked(&effects).unwrap();
    assert_eq!((ask.tries, &ask.files), (1, &vec![file()]));
    done(&mut app, Stop::End);
    assert_eq!(asked(&deliver(&mut app, same())).unwrap().tries, 2);
    done(&mut app, Stop::End);
    deliver(&mut app, proposed());
    assert!(matches!(app.overlay, Some(Overlay::Review(_))), "a later answer counts");
    // the rounds come to an end
    let mut app = with_code();
    answered_fix(&mut app);
    let mut questions = 1;
    while asked(&deliver(&mut app, same())).is_some() {
        questions += 1;
        done(&mut app, Stop::End);
    }
    assert_eq!(questions, 6);
    assert!(app.edits.fix.is_none() && told(&app).contains("stopped: the model proposed no change"), "{}", told(&app));
    assert!(told(&app).contains("Edit 1 of src/a.rs skipped: identical to the file"));
}

#[test]
fn fix_alone_repeats_the_last_command_with_its_files() {
    let mut app = ready(SIZE);
    say(&mut app, "/fix");
    assert!(app.overlay.is_none() && told(&app).contains("behind `/fix`"));
    say(&mut app, "/fix @t.py make  check");
    key(&mut app, KeyCode::Esc);
    say(&mut app, "/fix");
    let Some(Overlay::Confirm(confirm)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert_eq!((confirm.command.as_str(), &confirm.fix), ("make  check", &Some(vec!["t.py".to_owned()])));
}

fn read_files(app: &mut App) -> Vec<Effect> {
    app.update(Msg::Files(FilesMsg::Read {
        id: app.reading,
        attachments: vec![file()],
        notices: Vec::new(),
        unmatched: Vec::new(),
    }))
}

/// `/fix make` whose first run has failed and whose files are read: it waits for the answer.
fn asking_to_fix(app: &mut App) {
    let one = run(app, "/fix make");
    end(app, one, "bad\n", RunEnd::Code(2));
    read_files(app);
}

/// The same up to its proposal.
pub(super) fn answered_fix(app: &mut App) {
    asking_to_fix(app);
    done(app, Stop::End);
}

fn apply_all(app: &mut App) -> Vec<Effect> {
    app.command("apply", "1", &mut Vec::new());
    deliver(app, proposed());
    key(app, KeyCode::Char('a'));
    assert!(matches!(key(app, KeyCode::Enter)[..], [Effect::Write(_)]));
    app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])))
}

#[test]
fn a_fix_that_was_taken_back_never_runs_again() {
    let mut app = fresh(SIZE);
    app.update(Msg::Now(1_700_000_000_000));
    asking_to_fix(&mut app);
    assert!(app.outgoing.is_some() && app.edits.fix.is_some(), "the model is loading");
    key(&mut app, KeyCode::Esc);
    assert!(app.edits.fix.is_none() && app.edits.failure.is_some());
    press(&mut app, KeyCode::Char('u'), KeyModifiers::CONTROL);
    app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    exchange(&mut app, "how?", "```rust\nfn a() {}\n```");
    assert!(!apply_all(&mut app).iter().any(|effect| matches!(effect, Effect::Run(..))));
}

#[test]
fn a_fix_ends_with_the_model_and_with_its_answer() {
    let fixing = || {
        let mut app = with_code();
        asking_to_fix(&mut app);
        assert!(app.turn.is_answering());
        app
    };
    let mut app = fixing();
    app.update(Msg::EngineGone);
    assert!(app.edits.fix.is_none());
    let mut app = fixing();
    let job = app.turn.answer().unwrap().job;
    app.update(Msg::Engine(Event::Failed { job, error: UserError::failed("no") }));
    assert!(app.edits.fix.is_none());
    let mut app = fixing();
    done(&mut app, Stop::Cancelled);
    assert!(app.edits.fix.is_none() && told(&app).contains("`/fix make` stopped"));
    let mut app = fresh(SIZE);
    app.update(Msg::Now(1_700_000_000_000));
    asking_to_fix(&mut app);
    app.update(Msg::Engine(Event::LoadFailed(UserError::failed("no"))));
    assert!(app.edits.fix.is_none());
}

#[test]
fn the_review_of_a_fix_waits_for_who_is_writing() {
    let mut app = with_code();
    answered_fix(&mut app);
    type_in(&mut app, "an");
    deliver(&mut app, proposed());
    assert!(app.overlay.is_none() && told(&app).contains("`/apply` shows them"));
    type_in(&mut app, "y");
    assert_eq!(app.composer.field.text(), "any");
    press(&mut app, KeyCode::Char('u'), KeyModifiers::CONTROL);
    say(&mut app, "/apply");
    assert!(matches!(app.overlay, Some(Overlay::Review(_))));
    key(&mut app, KeyCode::Char('a'));
    key(&mut app, KeyCode::Enter);
    let effects = app.update(Msg::Edits(EditsMsg::Written(vec!["src/a.rs".into()])));
    assert!(matches!(&effects[..], [Effect::Run(_, command)] if command == "make"), "{effects:?}");
    // and for who is in the editor; another question ends it
    let mut app = with_code();
    answered_fix(&mut app);
    app.pane = Pane::Editor;
    deliver(&mut app, proposed());
    assert!(app.overlay.is_none());
    app.pane = Pane::Chat;
    say(&mut app, "something else");
    assert!(app.edits.fix.is_none());
}

#[test]
fn another_command_is_no_run_of_the_fix() {
    let mut app = with_code();
    asking_to_fix(&mut app);
    let fix = app.edits.fix.clone();
    let other = run(&mut app, "/run true");
    end(&mut app, other, "", RunEnd::Code(0));
    assert!(app.edits.fix == fix && !told(&app).contains("passes"));
    key(&mut app, KeyCode::Enter);
    let other = run(&mut app, "/run false");
    assert_eq!(end(&mut app, other, "no\n", RunEnd::Code(1)), [Effect::Redraw]);
    assert!(app.edits.fix == fix && app.edits.failure.is_some());
    // nor is a file written by something else a step of it
    key(&mut app, KeyCode::Enter);
    app.update(Msg::Edits(EditsMsg::Written(vec!["x".into()])));
    assert!(matches!(app.edits.fix.as_ref().unwrap().phase, Phase::Answering(_)));
}
