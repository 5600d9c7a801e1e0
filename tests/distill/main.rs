//! The `zord-distill` program as a person or a script uses it: real binary, real models where they are, and the programs
//! it stands beside where they are installed.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test must be able to fail")]

mod chain;
mod check;
mod data;
mod golden;
#[path = "../golden/mod.rs"]
mod golden_data;
mod gpu;
mod interrupted;
mod mission;
mod peers;
#[path = "../ran/mod.rs"]
mod ran;
mod refused;
mod small;
mod teachers;
#[path = "../tied/mod.rs"]
mod tied;
mod train;

/// What is tested here.
const PROGRAM: &str = env!("CARGO_BIN_EXE_zord-distill");

/// Losses in the log of a run.
fn losses(out: &std::path::Path) -> Vec<f64> {
    let text = std::fs::read_to_string(out.join("run/metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps = lines.filter(|line| line["returned_from"].is_null());
    steps.map(|line| line["loss"].as_f64().expect("a loss is a number")).collect()
}
