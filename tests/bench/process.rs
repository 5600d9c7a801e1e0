//! `cargo bench --bench process`: what it costs to have the engine in a process of its own, beside a thread, in one run.
//!
//! The two take turns. Times are those of whoever asks: from the question to the first piece, from the request of a
//! suggestion to its end, from the first piece to the last. Memory is the proportional set size of all that runs, with
//! the interface around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, unreachable_pub, reason = "nobody uses this from outside")]

#[path = "../real/mod.rs"]
mod real;
#[path = "../screen/mod.rs"]
mod screen;

use std::path::Path;
use std::time::{Duration, Instant};

use real::{Asked, local};
use screen::Screen;
use zord::budget::Plan;
use zord::chat::{Message, Role};
use zord::engine::{ChatRequest, Event, InfillRequest, Spec, Work};
use zord::fim::Site;

const ZORD: &str = env!("CARGO_BIN_EXE_zord");
const ROUNDS: usize = 7;
const TOKENS: u32 = 128;

/// Milliseconds to the first token, to a suggestion and to a cancelled end; tokens a second.
type Measured = [f64; 4];

fn main() {
    let Some(model) = real::smollm2() else { return };
    let mut all: [Vec<Measured>; 2] = Default::default();
    let plan = Plan { n_seq: InfillRequest::SEQUENCES, n_infill: 512, ..real::plan(2048) };
    for round in 0..ROUNDS {
        for way in [round % 2, (round + 1) % 2] {
            let spec = local(model.clone(), plan.clone());
            let asked = if way == 0 { Asked::start(Spec::Local(spec)) } else { Asked::start_process(ZORD, spec) };
            all[way].push(measure(asked.unwrap()));
        }
    }
    println!("| median of {ROUNDS} | thread | process | ratio |\n|---|---|---|---|");
    for (n, name) in
        ["first token, ms", "suggestion, ms", "cancelled in a prompt, ms", "decode, tokens/s"].iter().enumerate()
    {
        let [thread, process] = [0, 1].map(|way: usize| median(all[way].iter().map(|measured| measured[n])));
        let ratio = median(all[1].iter().zip(&all[0]).map(|(process, thread)| process[n] / thread[n]));
        println!("| {name} | {thread:.2} | {process:.2} | {ratio:.3} |");
    }
    let [thread, process] = [Some("thread"), None].map(|place| resident(&model, place) / 1024.0);
    println!("| memory, MiB | {thread:.1} | {process:.1} | +{:.1} MiB |", process - thread);
}

fn chat(text: &str, max_tokens: u32) -> Work {
    let turns = vec![Message::new(Role::User, text)];
    Work::Chat(ChatRequest { turns, max_tokens: Some(max_tokens), ignore_end: true, ..ChatRequest::default() })
}

fn measure(mut asked: Asked) -> Measured {
    // both ways warm
    asked.work(chat("Warm up.", 8)).1.unwrap();
    let begun = Instant::now();
    let (id, _) = asked.submit(chat("Count from one to a hundred in words, one a line.", TOKENS));
    let mut first = None;
    let whole = loop {
        match asked.events.recv().unwrap() {
            Event::Piece { .. } => {
                first.get_or_insert_with(Instant::now);
            }
            Event::Done { job, .. } if job == id => break first.unwrap().elapsed(),
            Event::Failed { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    };
    let suggestion = Instant::now();
    let site = Site::new(Some("a.py"), None, "def add(a, b):\n    ", "\n\nprint(add(1, 2))\n");
    let infill = InfillRequest { site, chunks: Vec::new(), max_tokens: 16, alternatives: 1, prompt_tokens: 256 };
    asked.work(Work::Infill(infill)).1.unwrap();
    let suggestion = suggestion.elapsed();
    let (id, cancel) = asked.submit(chat(&"one and two and ".repeat(350), 8));
    while !matches!(asked.events.recv().unwrap(), Event::Prefill { .. }) {}
    let cancelled = Instant::now();
    cancel.cancel();
    asked.wait(id).1.unwrap();
    let cancelled = cancelled.elapsed();
    asked.stop();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    [ms(first.unwrap() - begun), ms(suggestion), ms(cancelled), f64::from(TOKENS - 1) / whole.as_secs_f64()]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// KiB of the interface and its engine after an answer.
fn resident(model: &Path, place: Option<&str>) -> f64 {
    let home = screen::home(&[model], "");
    let variables: Vec<_> = place.map(|place| ("ZORD_ENGINE", place)).into_iter().collect();
    let mut screen = Screen::open_program(&[ZORD, "--ctx", "2048"], home.path(), home.path(), &variables, 80, 24);
    screen.wait_for(screen::READY);
    screen.keys("What is 2+2?\r");
    screen.wait("the end of the answer", |text| text.contains("tok/s") && text.contains(screen::READY));
    let of = |pid: u32| -> f64 {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let engine = screen.engine();
    assert_eq!(engine.is_none(), place.is_some());
    let all = of(screen.pid().cast_unsigned()) + engine.map_or(0.0, of);
    screen.keys("/quit\r");
    screen.end();
    all
}
