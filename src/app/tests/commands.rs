//! Commands that the person has run, and those that are run until they pass.

use super::edits::{asked_to_edit, deliver, file, proposed, wanted, with_code};
use super::*;
use crate::app::edits::Phase;
use crate::app::overlay::Overlay;
use crate::edits::Problem;
use crate::edits::propose::Proposed;

pub(super) fn run(app: &mut App, command: &str) -> u64 {
    let effects = say(app, command);
    assert!(matches!(app.overlay, Some(Overlay::Confirm(_))) && effects.contains(&Effect::Scroll(Move::Rows(0))));
    assert_eq!(key(app, KeyCode::Char('y')), [Effect::Scroll(Move::Pages(1))], "its end was not seen");
    app.update(Msg::Scrolled(Scrolled::Command(0, true)));
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
fn what_a_failed_command_wrote_stays_with_a_message_that_is_taken_back() {
    let mut app = fresh(SIZE);
    app.update(Msg::Now(1_700_000_000_000));
    let one = run(&mut app, "/run make");
    end(&mut app, one, "no rule to make it\n", RunEnd::Code(2));
    key(&mut app, KeyCode::Enter);
    say(&mut app, "why?");
    assert!(app.outgoing.is_some() && app.edits.failure.is_none(), "it waits for the model with the message");
    key(&mut app, KeyCode::Esc);
    assert!(app.outgoing.is_none() && app.composer.buffer.text() == "why?");
    app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    let effects = key(&mut app, KeyCode::Enter);
    assert!(asked(&effects).unwrap().turns.last().unwrap().content.contains("no rule to make it"), "{effects:?}");
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
    assert!(matches!(app.overlay, Some(Overlay::Running(_))));
    assert_eq!(press(&mut app, KeyCode::Char('c'), KeyModifiers::CONTROL), [Effect::Kill(one)]);
    assert!(app.overlay.is_none() && told(&app).contains("by force"), "nobody waits for it");
    end(&mut app, one, "", RunEnd::Signal(9));
    assert!(app.edits.failure.is_none(), "the person ended it");
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
    assert!(app.answer.is_none() && app.outgoing.is_none());
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
    assert!(app.answer.is_none() && told(&app).contains("no file that may be changed"), "{}", told(&app));
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
fn what_has_changed_is_shown_and_a_message_is_proposed_and_asked_about() {
    let changed = Changed { since: "the last commit".into(), text: "-a\n+b\n".into(), new: vec!["new.rs".into()] };
    let mut app = ready(SIZE);
    assert_eq!(say(&mut app, "/diff").last(), Some(&Effect::Changed { commit: false }));
    app.update(Msg::Edits(EditsMsg::Changed(changed)));
    let Some(Overlay::Page(page)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert!(page.markdown.contains("```diff\n-a\n+b\n```") && page.markdown.contains("`new.rs`"));
    key(&mut app, KeyCode::Esc);
    app.update(Msg::Edits(EditsMsg::Changed(Changed { since: "the last commit".into(), ..Changed::default() })));
    assert!(app.overlay.is_none() && told(&app).contains("nothing has changed"));
    assert_eq!(say(&mut app, "/commit").last(), Some(&Effect::Changed { commit: true }));
    app.update(Msg::Edits(EditsMsg::ToCommit { text: String::new(), all: true }));
    assert!(app.answer.is_none() && told(&app).contains("nothing to commit"));
    let effects = app.update(Msg::Edits(EditsMsg::ToCommit { text: "-a\n+b\n".into(), all: true }));
    assert!(asked(&effects).unwrap().turns[0].content.contains("+b"));
    piece(&mut app, "Say b, it's \"right\"");
    let effects = done(&mut app, Stop::End);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Run(..))), "nothing runs without a yes");
    assert_eq!(app.composer.buffer.text(), "/run git commit -a -m 'Say b, it'\\''s \"right\"'");
    key(&mut app, KeyCode::Enter);
    assert!(matches!(app.overlay, Some(Overlay::Confirm(_))));
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
fn answered_fix(app: &mut App) {
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
        assert!(app.answer.is_some());
        app
    };
    let mut app = fixing();
    app.update(Msg::EngineGone);
    assert!(app.edits.fix.is_none());
    let mut app = fixing();
    let job = app.answer.as_ref().unwrap().job;
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
    assert_eq!(app.composer.buffer.text(), "any");
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
fn a_review_never_stands_over_a_command_that_runs() {
    let mut app = with_code();
    answered_fix(&mut app);
    let other = run(&mut app, "/run sleep 600");
    deliver(&mut app, proposed());
    assert!(matches!(app.overlay, Some(Overlay::Running(_))));
    assert_eq!(key(&mut app, KeyCode::Esc), [Effect::Kill(other)]);
    let mut app = with_code();
    app.command("apply", "1", &mut Vec::new());
    run(&mut app, "/run sleep 600");
    deliver(&mut app, proposed());
    assert!(matches!(app.overlay, Some(Overlay::Running(_))), "also where it was asked for");
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

#[test]
fn a_long_last_line_does_not_push_the_others_out() {
    let mut app = ready(SIZE);
    let one = run(&mut app, "/run make");
    end(&mut app, one, &format!("first error\n{}the end\n", "x".repeat(1900)), RunEnd::Code(1));
    let text = &app.edits.failure.as_ref().unwrap().text;
    assert!(text.contains("first error") && text.contains("the end"), "{text}");
    let Some(Overlay::Running(running)) = &app.overlay else { panic!() };
    let tail = running.tail(200);
    assert!(tail.contains("first error\n[…] xxx") && tail.ends_with("xthe end\n") && tail.len() < 200, "{tail}");
    assert!(running.tail(8).ends_with("nd\n"), "{:?}", running.tail(8));
}

#[test]
fn steps_of_progress_are_one_line() {
    let mut app = ready(SIZE);
    let one = run(&mut app, "/run pull");
    for text in ["10%\r", "20%\r30", "%\r\nnext\r\r\n", "a\rb\nc\r"] {
        app.update(Msg::Run(RunMsg::Output(one, text.into())));
    }
    let Some(Overlay::Running(running)) = &app.overlay else { panic!() };
    assert_eq!(running.lines, ["30%", "next", "b", "c"]);
}

#[test]
fn a_command_is_looked_at_again_when_the_screen_changes() {
    let mut app = ready(SIZE);
    say(&mut app, "/run true");
    assert_eq!(app.update(Msg::Resize(45, 30)), [Effect::Scroll(Move::Rows(0))]);
    assert_eq!(key(&mut app, KeyCode::Down), [Effect::Scroll(Move::Rows(1))]);
}

#[test]
fn a_command_alone_shows_what_there_is_or_says_what_is_missing() {
    for command in command::COMMANDS {
        let mut app = ready(SIZE);
        type_in(&mut app, &format!("/{}", command.name));
        let before = (app.settings.context.overflow, app.model.lora.clone(), app.conversation.title());
        let effects = key(&mut app, KeyCode::Enter);
        let shown = !app.notices.is_empty() || app.overlay.is_some() || !effects.is_empty();
        assert!(shown || app.pane == Pane::Editor, "{command:?} says nothing");
        let after = (app.settings.context.overflow, app.model.lora.clone(), app.conversation.title());
        assert_eq!(before, after, "{command:?} only shows");
        let blank = format!("/{} ", command.name);
        if app.composer.buffer.text() == blank && !command.runs_alone() {
            assert!(told(&app).contains(command.args), "{command:?} does not say what is missing");
        }
    }
}

#[test]
fn context_alone_tells_what_is_used_and_switches_nothing() {
    let mut app = ready(SIZE);
    exchange(&mut app, "why?", "because");
    app.command("context", "", &mut Vec::new());
    assert!(told(&app).contains("300 of 4096 tokens") && told(&app).contains("/context"), "{}", told(&app));
    assert_eq!(app.settings.context.overflow, crate::engine::Overflow::default());
    app.command("context", "summarise", &mut Vec::new());
    assert_eq!(app.settings.context.overflow, crate::engine::Overflow::Summarise);
}

#[test]
fn an_answer_that_was_cut_is_finished_in_the_same_sentence() {
    let mut app = ready(SIZE);
    app.command("finish", "", &mut Vec::new());
    assert!(told(&app).contains("no answer"));
    say(&mut app, "why?");
    piece(&mut app, "because of");
    done(&mut app, Stop::Length);
    assert!(told(&app).contains("/finish"));
    let mut out = Vec::new();
    app.command("continue", "", &mut out);
    let turns = &asked(&out).unwrap().turns;
    let said: Vec<_> = turns.iter().map(|turn| (turn.role, turn.content.as_str())).collect();
    assert_eq!(said, [(Role::User, "why?"), (Role::Assistant, "because of")]);
    assert!(matches!(written(&out)[..], [Entry::Node { role: Role::Assistant, text, .. }] if text == "because of"));
    piece(&mut app, " the moon");
    done(&mut app, Stop::End);
    let last = app.path.last().and_then(|id| app.conversation.node(*id)).unwrap();
    assert_eq!(last.text, "because of the moon");
    assert_eq!(app.conversation.siblings(last.id).0.len(), 2, "what was cut is a branch of its own");
    out.clear();
    app.command("finish", "", &mut out);
    assert!(asked(&out).is_none() && told(&app).contains("complete"));
}

#[test]
fn a_server_is_asked_to_go_on() {
    let mut app = fresh(SIZE);
    app.update(Msg::Engine(Event::Loaded(Box::new(Facts { plan: None, ..facts() }))));
    say(&mut app, "why?");
    piece(&mut app, "because of");
    done(&mut app, Stop::Length);
    let mut out = Vec::new();
    app.command("finish", "", &mut out);
    let turns = &asked(&out).unwrap().turns;
    assert_eq!(turns[1].content, "because of");
    assert!(turns[2].role == Role::User && turns[2].content.contains("Continue"));
}
