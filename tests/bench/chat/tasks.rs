//! What a benchmark of rates does not show: first token, cancelling, resuming, speculation.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;
use zord::chat::{Message, Role};
use zord::engine::{ChatRequest, Event, Outcome, Spec, Stop, Work};

use crate::peer::{Peer, Server};
use crate::real::{self, Asked};
use crate::{ROUNDS, Row, median, ratio};

pub fn all(model: &Path, threads: u32, peer: Option<&Peer>) -> Vec<Row> {
    let mut rows = vec![first_token(model, threads, peer), warm_first_token(model, threads, peer)];
    rows.extend(cancelling(model, threads));
    rows.push(resuming(model, threads));
    rows.extend(speculations(model, threads));
    rows
}

pub fn speculations(model: &Path, threads: u32) -> Vec<Row> {
    let prose = user("Write a long story about a lighthouse keeper.");
    let explanation = user(&format!("{}\nExplain this code.", code(6)));
    vec![
        speculation(model, threads, "speculation, an edit of a file", &edit()),
        speculation(model, threads, "speculation, prose", &prose),
        speculation(model, threads, "speculation, an explanation of code", &explanation),
    ]
}

fn user(text: &str) -> ChatRequest {
    ChatRequest { turns: vec![Message::new(Role::User, text)], ..ChatRequest::default() }
}

fn code(functions: usize) -> String {
    let one = |i: usize| {
        format!(
            "def total_{i}(items, rate):\n    \"\"\"Sum of the prices of items with a rate of {i} percent.\"\"\"\n    \
             total = 0\n    for item in items:\n        total += item.price * (1 + rate / {i}00)\n    return total\n\n"
        )
    };
    format!("```python\n{}```", (1..=functions).map(one).collect::<String>())
}

/// A file as people edit it.
const FILE: &str = r#"import json
import os


def read_settings(path):
    if not os.path.exists(path):
        return {}
    with open(path) as handle:
        return json.load(handle)


def word_counts(text):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return counts


def chunks(items, size):
    for start in range(0, len(items), size):
        yield items[start:start + size]


class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        if not self.items:
            raise IndexError("pop from an empty stack")
        return self.items.pop()
"#;

/// An edit as people ask for it: one argument renamed, the whole file written again. A model of 135 M parameters needs
/// the first lines, with the change made, put into its mouth; what follows, to the last line of the file, it writes by
/// itself.
fn edit() -> ChatRequest {
    let (first, _) = FILE.split_once("def word_counts").unwrap();
    let text = format!(
        "<|im_start|>user\n```python\n{FILE}```\nRename the argument `path` of `read_settings` to `file_name`. \
         Write the whole file.<|im_end|>\n<|im_start|>assistant\n```python\n{}",
        first.replace("path", "file_name")
    );
    // The answer ends with the file, whatever this model would add.
    let last = FILE.lines().next_back().unwrap().to_owned();
    ChatRequest { raw: true, stop: vec![last, "```".into()], ..user(&text) }
}

fn engine(model: &Path, threads: u32, n_ctx: u32, speculate: bool) -> Asked {
    let mut spec = real::local(model.to_owned(), real::plan(n_ctx));
    spec.plan.threads = threads;
    spec.speculate = speculate;
    Asked::start(Spec::Local(spec)).unwrap()
}

/// From nothing to the first token: a process that loads, evaluates a short prompt and answers one token.
fn first_token(model: &Path, threads: u32, peer: Option<&Peer>) -> Row {
    let home = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let done = Command::new(env!("CARGO_BIN_EXE_zord"))
            .env("ZORD_HOME", home.path())
            .args([
                "chat",
                "--no-stdin",
                "--max-tokens",
                "1",
                "--preset",
                "greedy",
                "--threads",
                &threads.to_string(),
                "Hello",
                "--model",
            ])
            .arg(model)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
        ours.push(started.elapsed().as_secs_f64() * 1e3);
        if let Some(peer) = peer {
            let server = Server::start(peer, &threads.to_string(), 4096);
            let asked = Instant::now();
            server.post(
                "/v1/chat/completions",
                &json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}),
            );
            theirs.push(server.ready_ms + asked.elapsed().as_secs_f64() * 1e3);
        }
    }
    times("start of the process to the first token", &ours, &theirs)
}

fn times(what: &str, ours: &[f64], theirs: &[f64]) -> Row {
    let cell = |values: &[f64]| if values.is_empty() { String::new() } else { format!("{:.0} ms", median(values)) };
    Row::new(what, cell(ours), cell(theirs), ratio(ours, theirs))
}

/// A question of some 500 tokens to a program that is loaded and warm.
fn warm_first_token(model: &Path, threads: u32, peer: Option<&Peer>) -> Row {
    let server = peer.map(|peer| Server::start(peer, &threads.to_string(), 4096));
    let mut engine = engine(model, threads, 4096, false);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let question = format!("Round {round}.\n{}\nWhat does this do?", code(5));
        let (_, _, stats) = engine.chat(ChatRequest { max_tokens: Some(1), ..user(&question) });
        let asked = Instant::now();
        if let Some(server) = &server {
            let body = json!({"messages": [{"role": "user", "content": question}], "max_tokens": 1});
            server.post("/v1/chat/completions", &body);
        }
        // The first round warms both up.
        if round > 0 {
            ours.push(stats.first_token_ms);
            theirs.extend(server.is_some().then(|| asked.elapsed().as_secs_f64() * 1e3));
        }
    }
    engine.stop();
    times("first token of a loaded model, 500-token question", &ours, &theirs)
}

fn cancelling(model: &Path, threads: u32) -> Vec<Row> {
    let mut engine = engine(model, threads, 8192, false);
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let long = user(&format!("{round}\n{}", code(40)));
        let (id, cancel) = engine.submit(Work::Chat(long));
        while !matches!(engine.events.recv().unwrap(), Event::Prefill { .. }) {}
        // Somewhere inside a batch.
        std::thread::sleep(std::time::Duration::from_millis(37 * round % 400));
        let asked = Instant::now();
        cancel.cancel();
        let stopped = real::generated(engine.wait(id).1).1;
        if stopped == Stop::Cancelled {
            prefill.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        let (id, cancel) = engine.submit(Work::Chat(ChatRequest { ignore_end: true, ..user("Count.") }));
        while !matches!(engine.events.recv().unwrap(), Event::Piece { .. }) {}
        let asked = Instant::now();
        cancel.cancel();
        real::generated(engine.wait(id).1);
        decode.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    engine.stop();
    let row = |what: &str, times: &[f64]| {
        let most = times.iter().copied().fold(0.0, f64::max);
        Row::new(what, format!("{:.1} ms, at most {most:.1} ms", median(times)), "", "")
    };
    vec![row("cancelling in prefill", &prefill), row("cancelling in decode", &decode)]
}

/// A conversation of 4,000 tokens: evaluated again, and read from its snapshot (checked and all).
fn resuming(model: &Path, threads: u32) -> Row {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chat.kv");
    let mut engine = engine(model, threads, 8192, false);
    let request = ChatRequest { max_tokens: Some(1), ..user(&code(66)) };
    let (_, _, stats) = engine.chat(request.clone());
    assert!(matches!(engine.work(Work::Save(file.clone())).1, Ok(Outcome::Saved(1..))));
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        for (times, restore) in [(&mut cold, false), (&mut warm, true)] {
            engine.work(Work::Release).1.unwrap();
            let started = Instant::now();
            if restore {
                engine.work(Work::Restore(file.clone())).1.unwrap();
            }
            engine.chat(request.clone());
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    engine.stop();
    Row::new(
        &format!("resuming {} tokens: snapshot against prefill (ours)", stats.prompt_tokens),
        format!("{:.0} ms", median(&warm)),
        format!("{:.0} ms", median(&cold)),
        format!("{} times faster", ratio(&cold, &warm)),
    )
}

/// The same answer with and without speculation.
fn speculation(model: &Path, threads: u32, what: &str, request: &ChatRequest) -> Row {
    let request = ChatRequest { max_tokens: Some(400), ..request.clone() };
    let (mut plain, mut drafted, mut share) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..ROUNDS {
        for (rates, speculate) in [(&mut plain, false), (&mut drafted, true)] {
            let mut engine = engine(model, threads, 4096, speculate);
            let (_, _, stats) = engine.chat(request.clone());
            engine.stop();
            rates.push(stats.decode_tps);
            if speculate {
                share = format!("{} of {} drafted tokens taken", stats.accepted_tokens, stats.drafted_tokens);
            }
        }
    }
    Row::new(
        &format!("{what}, on against off (ours)"),
        format!("{:.1} t/s ({share})", median(&drafted)),
        format!("{:.1} t/s", median(&plain)),
        ratio(&drafted, &plain),
    )
}
