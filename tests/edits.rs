//! Answers that become edits, with real models: what is decoded under the constraint applies to the file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;

use std::path::PathBuf;

use zord::chat::{Message, Role};
use zord::edits::grammar::Constraint;
use zord::edits::{blocks, prompt};
use zord::engine::{ChatRequest, Sampling, Spec, Stats, Stop};

const NAME: &str = "shapes.py";
const TEXT: &str = "import math\n\n\ndef area(radius):\n    return math.pi * radius\n\n\ndef perimeter(radius):\n    return 2 * math.pi * radius\n\n\nif __name__ == \"__main__\":\n    print(area(2))\n    print(perimeter(2))\n";

fn request(wish: &str, constrained: bool, sampling: Sampling) -> ChatRequest {
    let content = format!("`{NAME}`:\n```py\n{TEXT}```\n\n{}", prompt::put(&prompt::request(wish)));
    ChatRequest {
        turns: vec![Message::new(Role::User, content)],
        max_tokens: Some(160),
        constraint: constrained.then(|| Constraint::new([(NAME, TEXT)])),
        sampling,
        ..ChatRequest::default()
    }
}

fn ask(model: PathBuf, requests: Vec<ChatRequest>) -> Vec<(String, Stop, Stats)> {
    let spec = zord::engine::LocalSpec { speculate: true, ..real::local(model, real::plan(2048)) };
    let mut engine = real::Asked::start(Spec::Local(spec)).unwrap();
    let answers = requests.into_iter().map(|request| engine.chat(request)).collect();
    engine.stop();
    answers
}

/// Whole blocks of an answer, all of which must fit the file.
fn fitting(answer: &str) -> usize {
    let (found, _) = blocks::parse(answer, &|name| name == NAME);
    let all: Vec<&blocks::Block> = found.iter().collect();
    for (_, reason) in blocks::apply(TEXT, &all).refused {
        assert_eq!(reason, "skipped: identical to the file", "{answer}");
    }
    assert!(found.iter().all(|block| block.name.as_deref() == Some(NAME)), "{answer}");
    found.len()
}

const WISHES: [&str; 3] =
    ["The area must be pi times the radius squared.", "Rename `perimeter` to `circumference`.", "Add type hints."];

#[test]
fn what_a_small_model_writes_under_the_constraint_fits_the_file() {
    let Some(model) = real::smollm2() else { return };
    let warm =
        Sampling { temperature: 0.9, top_k: 40, top_p: 0.95, repeat_penalty: 1.05, seed: 7, ..Sampling::default() };
    let free = Sampling { top_k: 0, seed: 11, ..warm.clone() };
    let settings = [Sampling::default(), warm, free];
    let requests = WISHES.iter().zip(settings).map(|(wish, sampling)| request(wish, true, sampling)).collect();
    let answers = ask(model, requests);
    // lines of the file are proposed and accepted: the constraint leaves nothing else
    let sum = |count: fn(&Stats) -> u32| answers.iter().map(|(_, _, stats)| count(stats)).sum::<u32>();
    assert!(sum(|stats| stats.drafted_tokens) > 0 && sum(|stats| stats.accepted_tokens) > 0);
    for (text, stop, stats) in answers {
        let (drafted, accepted) = (stats.drafted_tokens, stats.accepted_tokens);
        eprintln!("--- {stop:?} {} tokens, {accepted} of {drafted} drafted\n{text}", stats.generated_tokens);
        let after = text.strip_prefix(&format!("{NAME}\n<<<<<<< SEARCH\n")).expect("it begins with a block");
        let (search, _) = after.split_once("=======\n").expect("the SEARCH came to its end");
        assert_eq!(TEXT.matches(search).count(), 1, "{search:?}");
        eprintln!("{} whole blocks", fitting(&text));
    }
}

#[test]
fn what_shall_pass_is_changed_by_every_whole_block() {
    let Some(model) = real::model("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf").or_else(real::smollm2) else { return };
    let failure = "`output of python shapes.py`:\n```\nAssertionError: area(2) is 6.28 and not 12.57\n```\n\n";
    let asked = |seed: u32| {
        let sampling = Sampling { temperature: 0.4, top_k: 40, top_p: 0.95, seed, ..Sampling::default() };
        let mut request =
            request("The command `python shapes.py` fails; change the program so that it passes.", false, sampling);
        request.turns[0].content.insert_str(0, failure);
        request.constraint = Some(Constraint::new([(NAME, TEXT)]).changing());
        request
    };
    let mut whole = 0;
    for (text, stop, _) in ask(model, (1..5).map(asked).collect()) {
        eprintln!("--- {stop:?}\n{text}");
        let (found, _) = blocks::parse(&text, &|name| name == NAME);
        let refused = blocks::apply(TEXT, &found.iter().collect::<Vec<_>>()).refused;
        assert!(refused.is_empty(), "{refused:?}\n{text}");
        whole += found.len();
    }
    assert!(whole > 0, "no answer came to the end of a block");
}

#[test]
fn without_the_constraint_the_same_questions_are_only_read() {
    let Some(model) = real::smollm2() else { return };
    let answers = ask(model, WISHES.iter().map(|wish| request(wish, false, Sampling::default())).collect());
    for (text, ..) in answers {
        let (found, _) = blocks::parse(&text, &|name| name == NAME);
        let refused = blocks::apply(TEXT, &found.iter().collect::<Vec<_>>()).refused.len();
        eprintln!("--- {} blocks, {refused} refused\n{text}", found.len());
    }
}
