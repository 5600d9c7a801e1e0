//! What is given back when memory is short, and when.

use super::*;
use crate::budget::watch::Action::*;

fn pressure(app: &mut App, action: crate::budget::watch::Action) -> Vec<Effect> {
    app.update(Msg::Pressure(action))
}

fn end(app: &mut App, job: JobId, outcome: Outcome) -> Vec<Effect> {
    app.update(Msg::Engine(Event::Done { job, outcome }))
}

/// Saved and released, as the engine does it; gives what is wanted then.
fn given_back(app: &mut App, effects: &[Effect]) -> Vec<Effect> {
    let save = effects.iter().find_map(|effect| match effect {
        Effect::SaveCache(job, _) => Some(*job),
        _ => None,
    });
    let effects = end(app, save.expect("it is saved"), Outcome::Saved(300));
    let [Effect::ReleaseCache(job)] = effects[..] else { panic!("{effects:?}") };
    end(app, job, Outcome::Released)
}

#[test]
fn the_cache_is_saved_before_it_is_given_up_and_read_back_for_the_next_question() {
    let mut app = ready(SIZE);
    exchange(&mut app, "why?", "because");
    let effects = pressure(&mut app, FreeChat);
    assert_eq!(given_back(&mut app, &effects), []);
    assert_eq!(pressure(&mut app, FreeChat), [], "it is gone already");
    let effects = say(&mut app, "and?");
    let place = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
    assert!(place(|e| matches!(e, Effect::RestoreCache(..))) < place(|e| matches!(e, Effect::Ask(_))));
}

#[test]
fn a_cache_without_a_conversation_is_given_back_at_once() {
    let mut app = ready(SIZE);
    let effects = pressure(&mut app, FreeChat);
    let [Effect::ReleaseCache(job)] = effects[..] else { panic!("{effects:?}") };
    assert!(asked(&say(&mut app, "why?")).is_none(), "not before it is gone");
    assert!(asked(&end(&mut app, job, Outcome::Released)).is_some());
}

#[test]
fn the_answer_under_way_is_stopped_and_keeps_its_text() {
    let mut app = ready(SIZE);
    say(&mut app, "why?");
    piece(&mut app, "because");
    let job = app.turn.answer().unwrap().job;
    assert_eq!(pressure(&mut app, FreeChat), [Effect::Cancel(job)]);
    assert!(told(&app).contains("low memory") && told(&app).contains("`/finish`"));
    assert_eq!(pressure(&mut app, FreeChat), [], "once");
    assert!(asked(&say(&mut app, "and?")).is_none());
    let effects = done(&mut app, Stop::Cancelled);
    let node = app.conversation.node(app.path[1]).unwrap();
    assert_eq!((node.text.as_str(), node.stop), ("because", Some(Stop::Cancelled)));
    assert!(written(&effects).iter().any(|entry| matches!(entry, Entry::End { .. })));
    assert!(asked(&effects).is_none(), "what waits must not take the memory again before it is free");
    let effects = given_back(&mut app, &effects);
    assert_eq!(asked(&effects).unwrap().turns.last().unwrap().content, "and?");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::RestoreCache(..))));
}

#[test]
fn a_failed_answer_or_a_full_disk_does_not_keep_the_cache() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    say(&mut app, "two");
    pressure(&mut app, FreeChat);
    let job = app.turn.answer().unwrap().job;
    let failed = |job| Msg::Engine(Event::Failed { job, error: UserError::failed("it broke") });
    let effects = app.update(failed(job));
    let Some(Effect::SaveCache(job, _)) = effects.iter().find(|e| matches!(e, Effect::SaveCache(..))) else {
        panic!("{effects:?}")
    };
    let effects = app.update(failed(*job));
    assert!(matches!(effects[..], [Effect::ReleaseCache(_)]));
}

#[test]
fn a_snapshot_that_is_being_written_anyway_is_not_written_twice() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    let mut out = Vec::new();
    app.save_cache(&mut out);
    let [Effect::SaveCache(job, _)] = out[..] else { panic!("{out:?}") };
    assert_eq!(pressure(&mut app, FreeChat), []);
    assert!(matches!(end(&mut app, job, Outcome::Saved(300))[..], [Effect::ReleaseCache(_)]));
}

#[test]
fn nothing_is_asked_until_memory_is_free_again() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    let effects = pressure(&mut app, FreeChat);
    assert_eq!(pressure(&mut app, RefuseWork), []);
    given_back(&mut app, &effects);
    assert!(asked(&say(&mut app, "two")).is_none());
    assert_eq!(app.composer.field.text(), "two", "what is refused stays in the input");
    assert!(told(&app).contains("no questions until") && told(&app).contains("close other programs"));
    assert!(asked(&press(&mut app, KeyCode::Char('r'), KeyModifiers::ALT)).is_none());
    pressure(&mut app, AllowWork);
    assert!(asked(&key(&mut app, KeyCode::Enter)).is_some());
}

#[test]
fn what_waited_is_asked_when_memory_is_free_again() {
    let mut app = ready(SIZE);
    say(&mut app, "one");
    say(&mut app, "two");
    pressure(&mut app, FreeChat);
    pressure(&mut app, RefuseWork);
    let effects = done(&mut app, Stop::Cancelled);
    assert!(asked(&given_back(&mut app, &effects)).is_none());
    assert_eq!(asked(&pressure(&mut app, AllowWork)).unwrap().turns.last().unwrap().content, "two");
}

#[test]
fn the_last_step_takes_back_what_came_back_meanwhile() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    let effects = pressure(&mut app, FreeChat);
    given_back(&mut app, &effects);
    say(&mut app, "two");
    let job = app.turn.answer().unwrap().job;
    assert_eq!(pressure(&mut app, RefuseWork), [Effect::Cancel(job)]);
}

#[test]
fn another_conversation_does_not_stop_the_giving_back() {
    let mut app = ready(SIZE);
    exchange(&mut app, "one", "1");
    pressure(&mut app, FreeChat);
    let id = SessionId::new(1_700_000_000_001, 2);
    let conversation = Box::new(Conversation::new(id, "tiny", 1_700_000_000));
    let effects = app.update(Msg::Session(SessionMsg::Opened { conversation, notice: None }));
    let [Effect::LookForNotes(_), Effect::ReleaseCache(job)] = effects[..] else { panic!("{effects:?}") };
    assert!(asked(&say(&mut app, "two")).is_none());
    assert!(asked(&end(&mut app, job, Outcome::Released)).is_some());
}

#[test]
fn a_server_is_asked_whatever_our_memory_is() {
    let mut app = ready(SIZE);
    app.update(Msg::Engine(Event::Loaded(Box::new(Facts { plan: None, ..facts() }))));
    for action in [FreeChat, RefuseWork] {
        assert_eq!(pressure(&mut app, action), []);
    }
    assert!(asked(&say(&mut app, "why?")).is_some());
}
