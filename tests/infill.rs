//! Completions on a real model, beside a chat on the same one.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail")]

mod real;

use real::{Asked, generated};
use zord::budget::Plan;
use zord::chat::{Message, Role};
use zord::engine::{ChatRequest, Event, InfillRequest, Infilled, Outcome, Spec, Stop, Work};
use zord::fim::Site;

const PREFIX: &str = "def add(a, b):\n    \"\"\"The sum of two numbers.\"\"\"\n    return a + b\n\n\ndef mul(a, b):\n    \"\"\"The \
                      product of two numbers.\"\"\"\n    return ";
const SUFFIX: &str = "\n\n\nprint(add(1, 2), mul(3, 4))\n";

fn plan() -> Plan {
    Plan { n_seq: InfillRequest::SEQUENCES, n_infill: 1024, ..real::plan(1024) }
}

fn request(prefix: &str, suffix: &str) -> InfillRequest {
    InfillRequest {
        site: Site::new(Some("sums.py"), None, prefix, suffix),
        chunks: Vec::new(),
        max_tokens: 24,
        alternatives: 4,
        prompt_tokens: 512,
    }
}

fn filled(outcome: Result<Outcome, String>) -> Infilled {
    match outcome {
        Ok(Outcome::Infilled(filled)) => filled,
        other => panic!("not filled in: {other:?}"),
    }
}

fn question(turns: &mut Vec<Message>, text: &str) -> ChatRequest {
    turns.push(Message::new(Role::User, text));
    ChatRequest { turns: turns.clone(), max_tokens: Some(24), ..ChatRequest::default() }
}

#[test]
fn the_chat_and_completions_keep_their_caches_when_they_take_turns() {
    let Some(model) = real::qwen() else { return };
    let mut engine = Asked::start(Spec::Local(real::local(model, plan()))).unwrap();
    let mut turns = vec![Message::new(Role::System, "You answer in one short sentence. ".repeat(12))];
    let (answer, _, first) = engine.chat(question(&mut turns, "What is a list?"));
    turns.push(Message::new(Role::Assistant, &answer));
    assert!(first.prefilled_tokens > 80, "{first:?}");

    let one = filled(engine.work(Work::Infill(request(PREFIX, SUFFIX))).1);
    assert!(!one.alternatives.is_empty() && one.alternatives.len() <= 4, "{one:?}");
    assert_eq!(one.stats.prefilled_tokens, one.stats.prompt_tokens);

    // The chat goes on where it was: only the new turn is evaluated.
    let (answer, _, second) = engine.chat(question(&mut turns, "And a set?"));
    turns.push(Message::new(Role::Assistant, &answer));
    assert!(second.prefilled_tokens < 24, "{second:?}");
    assert!(second.prompt_tokens > first.prompt_tokens);

    // So do completions: a character more costs a few tokens, and what stands behind the cursor, which follows it.
    let two = filled(engine.work(Work::Infill(request(&format!("{PREFIX}a"), SUFFIX))).1);
    assert!(two.stats.prefilled_tokens <= 24, "{two:?}");
    let (.., third) = engine.chat(question(&mut turns, "And a map?"));
    assert!(third.prefilled_tokens < 24, "{third:?}");

    // Without the chat in between, the same place gives the same texts.
    engine.work(Work::Release).1.unwrap();
    let alone = filled(engine.work(Work::Infill(request(PREFIX, SUFFIX))).1);
    let texts = |filled: &Infilled| filled.alternatives.iter().map(|one| one.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&alone), texts(&one));
    assert!(alone.alternatives.is_sorted_by(|a, b| a.score >= b.score), "{alone:?}");
    engine.stop();
}

#[test]
fn an_accepted_completion_is_in_the_cache_already() {
    // where the text behind the cursor is told first
    let Some(model) = real::gemma3() else { return };
    let mut engine = Asked::start(Spec::Local(real::local(model, plan()))).unwrap();
    let one = filled(engine.work(Work::Infill(request(PREFIX, SUFFIX))).1);
    let accepted = format!("{PREFIX}{}", one.alternatives[0].text);
    let two = filled(engine.work(Work::Infill(request(&accepted, SUFFIX))).1);
    assert!(two.stats.prefilled_tokens <= 3, "{one:?}\n{two:?}");
    engine.stop();
}

#[test]
fn a_completion_does_not_wait_for_an_answer_and_does_not_change_it() {
    let Some(model) = real::qwen() else { return };
    let mut engine = Asked::start(Spec::Local(real::local(model, plan()))).unwrap();
    let long =
        ChatRequest { max_tokens: Some(120), ignore_end: true, ..question(&mut Vec::new(), "Tell me of the sea.") };
    let (want, ..) = engine.chat(long.clone());
    engine.work(Work::Release).1.unwrap();
    let (chat, _) = engine.submit(Work::Chat(long));
    while !matches!(engine.events.recv().unwrap(), Event::Piece { .. }) {}
    let (infill, _) = engine.submit(Work::Infill(request(PREFIX, SUFFIX)));
    let (before, one) = engine.wait(infill);
    assert!(!filled(one).alternatives.is_empty());
    assert!(!before.iter().any(|event| matches!(event, Event::Done { job, .. } if *job == chat)), "it waited");
    let (text, stop, _) = generated(engine.wait(chat).1);
    assert_eq!((text, stop), (want, Stop::Length));
    engine.stop();
}

#[test]
fn a_chat_that_needs_the_cells_takes_them_back() {
    let Some(model) = real::qwen() else { return };
    // No cells of their own: completions live in what the chat leaves.
    let narrow = Plan { n_ctx: 512, n_infill: 0, ..plan() };
    let mut engine = Asked::start(Spec::Local(real::local(model, narrow))).unwrap();
    let one = filled(engine.work(Work::Infill(InfillRequest { prompt_tokens: 256, ..request(PREFIX, SUFFIX) })).1);
    assert!(!one.alternatives.is_empty());
    let long = question(&mut Vec::new(), &"word and ".repeat(200));
    let (_, stop, stats) = engine.chat(ChatRequest { ignore_end: true, ..long });
    assert_eq!(stop, Stop::Length);
    assert!(stats.prompt_tokens > 400, "{stats:?}");
    let full = engine.work(Work::Infill(request(PREFIX, SUFFIX))).1.unwrap_err();
    assert!(full.contains("no room for a completion"), "{full}");
    engine.stop();
}

#[test]
fn cancelling_leaves_a_usable_cache() {
    let Some(model) = real::qwen() else { return };
    let mut engine = Asked::start(Spec::Local(real::local(model, plan()))).unwrap();
    let want = filled(engine.work(Work::Infill(request(PREFIX, SUFFIX))).1);
    engine.work(Work::Release).1.unwrap();
    for _ in 0..5 {
        let (id, cancel) = engine.submit(Work::Infill(request(&PREFIX.repeat(3), SUFFIX)));
        cancel.cancel();
        let ended = filled(engine.wait(id).1);
        assert!(ended.cancelled && ended.alternatives.is_empty(), "{ended:?}");
    }
    assert_eq!(filled(engine.work(Work::Infill(request(PREFIX, SUFFIX))).1).alternatives, want.alternatives);
    engine.stop();
}

#[test]
fn whole_lines_are_told_while_the_rest_is_written() {
    let Some(model) = real::qwen() else { return };
    let mut engine = Asked::start(Spec::Local(real::local(model, plan()))).unwrap();
    let before = "class Point:\n    def __init__(self, x, y, z):\n        self.x = x\n";
    let one = InfillRequest { alternatives: 1, max_tokens: 64, ..request(before, "") };
    let (events, outcome) = engine.work(Work::Infill(one.clone()));
    let last = filled(outcome).alternatives.swap_remove(0).text;
    let told: Vec<&String> =
        events.iter().filter_map(|one| if let Event::Filling { text, .. } = one { Some(text) } else { None }).collect();
    assert!(last.lines().count() > 1, "{last}");
    assert!(!told.is_empty() && told.is_sorted_by_key(|text| text.len()), "{told:?}");
    assert!(told.iter().all(|text| last.starts_with(text.as_str())), "{told:?}\n{last}");
    let several = InfillRequest { alternatives: 4, ..one };
    let (events, _) = engine.work(Work::Infill(several));
    assert!(
        !events.iter().any(|one| matches!(one, Event::Filling { .. })),
        "which is best is not known before the end"
    );
    engine.stop();
}
