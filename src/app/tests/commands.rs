//! Commands that the person has run.

use super::edits::{deliver, proposed, with_code};
use super::fix::answered_fix;
use super::*;
use crate::app::overlay::Overlay;

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

pub(super) fn end(app: &mut App, run: u64, output: &str, end: RunEnd) -> Vec<Effect> {
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
    assert!(app.outgoing.is_none() && app.composer.field.text() == "why?");
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
    assert!(!app.turn.is_answering() && told(&app).contains("nothing to commit"));
    let effects = app.update(Msg::Edits(EditsMsg::ToCommit { text: "-a\n+b\n".into(), all: true }));
    assert!(asked(&effects).unwrap().turns[0].content.contains("+b"));
    piece(&mut app, "Say b, it's \"right\"");
    let effects = done(&mut app, Stop::End);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Run(..))), "nothing runs without a yes");
    assert_eq!(app.composer.field.text(), "/run git commit -a -m 'Say b, it'\\''s \"right\"'");
    key(&mut app, KeyCode::Enter);
    assert!(matches!(app.overlay, Some(Overlay::Confirm(_))));
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
        if app.composer.field.text() == blank && !command.runs_alone() {
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
