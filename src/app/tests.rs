//! What `update` does, without any I/O: a state, messages, effects.

mod commands;
pub(crate) mod ease;
pub(crate) mod edits;
mod fields;
mod fix;
pub(crate) mod notes;
mod overlays;
mod pressure;
pub(crate) mod search;
mod turns;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;

use super::msg::*;
use super::notes::{Decision, Looked, Notes, Purpose};
use super::*;
use crate::chat::Role;
use crate::chat::journal::SessionId;
use crate::chat::store::Summary;
use crate::chat::tree::Attachment;
use crate::engine::{Event, Facts, JobId, Outcome, Stats, Stop};
use crate::error::UserError;

/// A fresh start with a chosen model that is not loaded yet.
pub(crate) fn fresh(size: (u16, u16)) -> App {
    let id = SessionId::new(1_700_000_000_000, 1);
    App::new(Setup {
        conversation: Conversation::new(id, "tiny", 1_700_000_000),
        model: Some("tiny".into()),
        lora: Vec::new(),
        settings: Config::default(),
        history: Vec::new(),
        notices: Vec::new(),
        input: String::new(),
        size,
    })
}

pub(crate) fn facts() -> Facts {
    let plan = crate::budget::Plan { n_ctx: 4096, budget: 1 << 30, ..Default::default() };
    Facts { name: "tiny".into(), n_ctx: 4096, n_ctx_train: 8192, plan: Some(plan), ..Facts::default() }
}

/// The same with the model loaded.
pub(crate) fn ready(size: (u16, u16)) -> App {
    let mut app = fresh(size);
    app.update(Msg::Now(1_700_000_000_000));
    app.update(Msg::Engine(Event::Loaded(Box::new(facts()))));
    app
}

pub(crate) fn press(app: &mut App, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
    // by someone who has seen what stands there
    app.drawn(app.clock.saturating_sub(1000));
    app.update(Msg::Key(KeyEvent::new(code, modifiers)))
}

pub(crate) fn key(app: &mut App, code: KeyCode) -> Vec<Effect> {
    press(app, code, KeyModifiers::NONE)
}

pub(crate) fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        key(app, KeyCode::Char(c));
    }
}

/// Types a message and sends it.
pub(crate) fn say(app: &mut App, text: &str) -> Vec<Effect> {
    app.update(Msg::Paste(text.into()));
    key(app, KeyCode::Enter)
}

pub(crate) fn piece(app: &mut App, text: &str) -> Vec<Effect> {
    let job = app.turn.answer().expect("an answer is being written").job;
    app.update(Msg::Engine(Event::Piece { job, text: text.into() }))
}

pub(crate) fn done(app: &mut App, stop: Stop) -> Vec<Effect> {
    let job = app.turn.answer().expect("an answer is being written").job;
    let stats = Stats { decode_tps: 18.3, context_tokens: 300, ..Stats::default() };
    app.update(Msg::Engine(Event::Done { job, outcome: Outcome::Generated { text: String::new(), stop, stats } }))
}

/// A question and its whole answer.
pub(crate) fn exchange(app: &mut App, question: &str, answer: &str) {
    say(app, question);
    piece(app, answer);
    done(app, Stop::End);
}

fn asked(effects: &[Effect]) -> Option<&Ask> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask) => Some(ask),
        _ => None,
    })
}

fn written(effects: &[Effect]) -> Vec<&Entry> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Journal(entry) => Some(entry),
            _ => None,
        })
        .collect()
}

fn told(app: &App) -> String {
    app.notices.iter().map(|notice| notice.text.clone()).collect::<Vec<_>>().join(" | ")
}

const SIZE: (u16, u16) = (80, 24);

pub(crate) fn summary(n: u32, title: &str, interrupted: bool) -> Summary {
    let id = SessionId::new(1_690_000_000_000 + u64::from(n), n);
    Summary { id, title: title.into(), model: "tiny".into(), updated: 1_699_990_000, messages: 4, interrupted }
}

/// Any key that a terminal may send.
pub(crate) fn any_key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        8 => prop_oneof![Just('/'), Just('@'), Just('\\'), Just(' '), Just('y'), Just('中'), Just('\u{301}'), any::<char>()]
            .prop_map(KeyCode::Char),
        6 => proptest::sample::select(vec![
            KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Up, KeyCode::Down, KeyCode::Left,
            KeyCode::Right, KeyCode::Home, KeyCode::End, KeyCode::PageUp, KeyCode::PageDown, KeyCode::Backspace,
            KeyCode::Delete, KeyCode::F(1), KeyCode::Null,
        ]),
        2 => proptest::sample::select("abcdefhjklnoprstuwyz,.".chars().map(KeyCode::Char).collect::<Vec<_>>()),
    ];
    let modifiers = prop_oneof![
        6 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::ALT), 2 => Just(KeyModifiers::CONTROL),
        1 => Just(KeyModifiers::SHIFT),
    ];
    (code, modifiers).prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}
