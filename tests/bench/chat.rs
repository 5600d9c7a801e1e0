//! `scripts/bench.sh chat`: this program beside llama.cpp's own, in one run, on the same file and threads.
//!
//! Prints a Markdown table; each figure is the median of the rounds, each ratio the median of the ratios within a round,
//! so that a machine that changes its speed midway changes neither much. Nothing here can fail for being slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark stops where it cannot go on")]
#![allow(missing_docs, unreachable_pub, reason = "nobody uses this from outside")]

#[path = "chat/frames.rs"]
mod frames;
#[path = "chat/peer.rs"]
mod peer;
#[path = "../real/mod.rs"]
mod real;
#[path = "../screen/mod.rs"]
mod screen;
#[path = "chat/tasks.rs"]
mod tasks;
#[path = "../tied/mod.rs"]
mod tied;

use std::path::Path;
use std::process::Command;

use peer::Peer;
use serde_json::Value;

const ROUNDS: usize = 5;

/// One line of the table.
pub struct Row {
    pub what: String,
    pub ours: String,
    pub peer: String,
    pub ratio: String,
}

impl Row {
    pub fn new(what: &str, ours: String, peer: impl Into<String>, ratio: impl Into<String>) -> Self {
        Self { what: what.into(), ours, peer: peer.into(), ratio: ratio.into() }
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of each round.
pub fn ratio(a: &[f64], b: &[f64]) -> String {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
    if ratios.is_empty() { String::new() } else { format!("{:.2}", median(&ratios)) }
}

fn main() {
    // `cargo bench` passes its own flags.
    let Some(model) = real::qwen() else { return };
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(8)) as u32;
    let peer = Peer::find(&model);
    if peer.is_none() {
        eprintln!("SKIPPED: the peers' columns; ZORD_PEERS names no folder with llama.cpp's tools");
    }
    let only = |part: &str| std::env::args().any(|argument| argument == part);
    let rows = if only("speculation") {
        tasks::speculations(&model, threads)
    } else if only("frames") {
        frames::all(&model)
    } else {
        let mut rows = rates(&model, threads, peer.as_ref(), "0.5B: ");
        if let Some(large) = real::qwen_large() {
            let peer = Peer::find(&large);
            rows.extend(rates(&large, threads, peer.as_ref(), "1.5B: "));
        }
        rows.extend(tasks::all(&model, threads, peer.as_ref()));
        rows.extend(frames::all(&model));
        rows
    };
    println!("{} threads, {}\n", threads, machine());
    println!("| | zord | llama.cpp | ratio |\n|---|---|---|---|");
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.ours, row.peer, row.ratio);
    }
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Load, prefill, decode and memory, the two programs taking turns.
fn rates(model: &Path, threads: u32, peer: Option<&Peer>, name: &str) -> Vec<Row> {
    let mut ours: Vec<[f64; 4]> = Vec::new();
    let mut theirs: Vec<[f64; 4]> = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(zord_bench(model, threads));
        theirs.extend(peer.map(|peer| peer.bench(threads)));
    }
    let column = |rows: &[[f64; 4]], i: usize| rows.iter().map(|row| row[i]).collect::<Vec<_>>();
    let row = |what: &str, i: usize, unit: &str, places: usize| {
        let (a, b) = (column(&ours, i), column(&theirs, i));
        let cell = |values: &[f64]| {
            if values.is_empty() { String::new() } else { format!("{:.places$} {unit}", median(values)) }
        };
        Row::new(&format!("{name}{what}"), cell(&a), cell(&b), ratio(&a, &b))
    };
    vec![
        row("prefill, 512 tokens", 0, "t/s", 1),
        row("decode, 64 tokens", 1, "t/s", 1),
        row("load (theirs: server started to ready)", 2, "ms", 0),
        row("peak memory", 3, "MiB", 0),
    ]
}

/// Prefill and decode rates, load time, peak memory in MiB.
fn zord_bench(model: &Path, threads: u32) -> [f64; 4] {
    let home = tempfile::tempdir().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_zord"))
        .env("ZORD_HOME", home.path())
        .args(["bench", "--json", "--runs", "1", "--prompt-tokens", "512", "--gen-tokens", "64"])
        .args(["--threads", &threads.to_string(), "--model"])
        .arg(model)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let value: Value = serde_json::from_slice(&out.stdout).unwrap();
    let number = |key: &str| value[key].as_f64().unwrap();
    [number("prefill_tps"), number("decode_tps"), number("load_ms"), number("peak_rss") / 1048576.0]
}
