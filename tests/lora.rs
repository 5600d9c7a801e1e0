//! Adapters on a real model: what they change, and that one made for something else is refused by name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod adapters;
mod program;
mod real;

use std::path::{Path, PathBuf};

use adapters::{LAYERS, RANK, WIDTH, adapter, header, number};
use program::Zord;
use real::{Asked, one_thread};
use zord::chat::{Message, Role};
use zord::engine::{ChatRequest, CompleteRequest, LocalSpec, Outcome, Sampling, Spec, Work};
use zord::weights::gguf::write::HeaderWriter;

const QUESTION: &str = "Name three primary colours.";

fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let file = folder.join("adapter.gguf");
    std::fs::write(&file, bytes).unwrap();
    file
}

fn start(model: &Path, lora: &[(&Path, f32)]) -> Result<Asked, (String, Option<String>)> {
    let lora = lora.iter().map(|&(file, scale)| (file.to_owned(), scale)).collect();
    Asked::start(Spec::Local(LocalSpec { lora, ..real::local(model.to_owned(), one_thread()) }))
}

fn request() -> ChatRequest {
    ChatRequest { turns: vec![Message::new(Role::User, QUESTION)], max_tokens: Some(24), ..ChatRequest::default() }
}

fn answer(model: &Path, lora: &[(&Path, f32)]) -> String {
    let mut engine = start(model, lora).unwrap();
    let (text, ..) = engine.chat(request());
    engine.stop();
    text
}

#[test]
fn an_adapter_changes_the_answer_by_its_scale() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &adapter(header(), WIDTH, LAYERS));
    let plain = answer(&model, &[]);
    assert_eq!(answer(&model, &[(&file, 0.0)]), plain, "nothing added is nothing changed");
    let adapted = answer(&model, &[(&file, 1.0)]);
    assert_ne!(adapted, plain);
    assert_ne!(answer(&model, &[(&file, -2.0)]), adapted);
}

/// The first token after each of many texts: how one of them turns out where two tokens are nearly as likely differs from
/// processor to processor, how most of them do does not.
fn first_tokens(model: &Path, lora: &[(&Path, f32)]) -> Vec<String> {
    let mut engine = start(model, lora).unwrap();
    let texts = [
        "The sky is",
        "One and one is",
        "A river runs",
        "fn main() {",
        "She said",
        "Paris is the",
        "In the year",
        "We",
    ];
    let more =
        ["It was a", "import os\n", "The first", "Water is", "My name", "for i in", "He went to the", "Once upon"];
    let tokens = texts.iter().chain(&more).map(|text| {
        let request = CompleteRequest {
            prefix: (*text).to_owned(),
            sampling: Sampling::default(),
            max_tokens: 1,
            stop: Vec::new(),
            ignore_end: true,
        };
        real::generated(engine.work(Work::Complete(request)).1).0
    });
    let tokens = tokens.collect();
    engine.stop();
    tokens
}

#[test]
fn two_halves_of_an_adapter_are_one_whole() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &adapter(header(), WIDTH, LAYERS));
    let other = folder.path().join("same.gguf");
    std::fs::copy(&file, &other).unwrap();
    let whole = first_tokens(&model, &[(&file, 1.0)]);
    let halves = first_tokens(&model, &[(&file, 0.5), (&other, 0.5)]);
    let half = first_tokens(&model, &[(&file, 0.5)]);
    let same = |tokens: &[String]| tokens.iter().zip(&whole).filter(|(a, b)| a == b).count();
    // but for the rounding of one sum more
    assert!(same(&halves) >= 14, "{halves:?}\n--\n{whole:?}");
    assert!(same(&half) < same(&halves), "{half:?}\n--\n{whole:?}");
}

#[test]
fn a_snapshot_of_another_adapter_is_ignored() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &adapter(header(), WIDTH, LAYERS));
    let snapshot = folder.path().join("chat.kv");
    let mut engine = start(&model, &[(&file, 1.0)]).unwrap();
    engine.chat(request());
    assert!(matches!(engine.work(Work::Save(snapshot.clone())).1, Ok(Outcome::Saved(1..))));
    assert!(matches!(engine.work(Work::Restore(snapshot.clone())).1, Ok(Outcome::Restored(1..))));
    engine.stop();
    let mut engine = start(&model, &[(&file, 0.5)]).unwrap();
    assert_eq!(engine.work(Work::Restore(snapshot.clone())).1, Ok(Outcome::Restored(0)));
    engine.stop();
    write(folder.path(), &adapter(header().u32("general.quantization_version", 2), WIDTH, LAYERS));
    let mut engine = start(&model, &[(&file, 1.0)]).unwrap();
    assert_eq!(engine.work(Work::Restore(snapshot)).1, Ok(Outcome::Restored(0)), "another file of the same name");
    engine.stop();
}

#[test]
fn an_adapter_for_something_else_is_refused_with_the_reason() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = adapter(header(), WIDTH, 1);
    let other = HeaderWriter::new().str("general.type", "adapter").str("general.architecture", "qwen2");
    for (bytes, want) in [
        (adapter(header(), 512, 1), "do not fit [576, 576]"),
        (adapter(header(), WIDTH, LAYERS + 1), "the model has no tensor `blk.30.attn_q.weight`"),
        (adapter(other.str("adapter.type", "lora"), WIDTH, 1), "architecture `qwen2`"),
        (adapter(HeaderWriter::new().u32("general.type", 1), WIDTH, 1), "it is no adapter"),
        (whole[..whole.len() - 1].to_vec(), "truncated"),
        (whole[..100].to_vec(), "cannot load the adapter"),
        (Vec::new(), "empty"),
        (b"not a model, and no adapter either".to_vec(), "GGUF"),
    ] {
        let file = write(folder.path(), &bytes);
        let (message, hint) = start(&model, &[(&file, 1.0)]).err().expect(want);
        assert!(message.contains("cannot load the adapter") && message.contains(want), "{message}");
        assert!(hint.unwrap().contains("made for this very model"));
    }
    let (message, _) = start(&model, &[(&model, 1.0)]).err().unwrap();
    assert!(message.contains("it is no adapter"), "{message}");
}

#[test]
fn a_damaged_adapter_never_ends_the_process() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = adapter(header(), WIDTH, 2);
    let head = whole.len() - 4 * (WIDTH * RANK * 4) as usize;
    let mut state = 3;
    let (mut refused, mut answered) = (0, 0);
    for _ in 0..60 {
        let mut bytes = whole.clone();
        let at = 4 + number(&mut state) as usize % (head - 4);
        bytes[at] = number(&mut state) as u8;
        let file = write(folder.path(), &bytes);
        match start(&model, &[(&file, 1.0)]) {
            Ok(mut engine) => {
                answered += 1;
                let short = ChatRequest { max_tokens: Some(1), ..request() };
                // Numbers that are none give no usable logits; that is an answer too.
                let _ = engine.work(Work::Chat(short)).1;
                engine.stop();
            }
            Err((message, _)) => {
                refused += 1;
                assert!(message.contains("cannot load the adapter"), "{message}");
            }
        }
    }
    println!("{refused} refused, {answered} answered");
    assert!(refused > 10 && answered > 0);
}

#[test]
fn the_program_takes_an_adapter_with_its_scale() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), &adapter(header(), WIDTH, LAYERS));
    let (plain, adapted) = (answer(&model, &[]), answer(&model, &[(&file, 1.0)]));
    let zord = Zord::with(&model);
    let chat = |lora: &str| zord.run(["chat", "--max-tokens", "24", "--lora", lora, QUESTION]);
    let name = file.to_str().unwrap();
    assert_eq!(chat(name).silent().trim_end(), adapted.trim_end());
    assert_eq!(chat(&format!("{name}@0")).silent().trim_end(), plain.trim_end());
    chat("absent.gguf").advised(1, &["cannot load the adapter `absent.gguf`"]);
    let wrong = zord.write("wrong.gguf", adapter(header(), 512, 1));
    chat(wrong.to_str().unwrap()).advised(1, &["do not fit", "made for this very model"]);
}
