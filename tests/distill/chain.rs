//! From an adapter trained here to an answer, through all the programs.
#![cfg(feature = "engine")]

use std::path::Path;
use std::process::Command;

use crate::peers::smollm2;
use crate::ran::{Ran, Tool};

#[test]
fn an_adapter_is_merged_quantized_and_answers() {
    let Some(smollm2) = smollm2() else { return };
    let programs = Path::new(env!("CARGO_BIN_EXE_zord-distill")).parent().unwrap();
    if !programs.join("zord-merge").is_file() {
        eprintln!("SKIPPED: needs `zord-merge` beside `zord-distill`");
        return;
    }
    let tool = Tool::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |prompt: &str| {
        let mut command = Command::new(here.join("scripts/lora-to-chat.sh"));
        command.arg(here.join("assets/recipes/mini-lora.toml")).arg(tool.path("out")).arg(prompt);
        command.args(["--set", &format!("student.path={}", smollm2.display()), "--set", "data.context=128"]);
        command.args(["--set", "schedule.steps=2", "--set", "evaluation.windows=1", "--set", "threads=2"]);
        command.env("ZORD_PROGRAMS", programs).env("ZORD_HOME", tool.path("home")).env("ZORD_MAX_TOKENS", "48");
        Ran::of(&command.output().unwrap())
    };
    let first = run("Write a Python function that adds two numbers.");
    let told = first.err.clone();
    let answer = first.done();
    assert!(answer.contains("def "), "{answer}\n{told}");
    let size = std::fs::metadata(tool.path("out/model-Q4_K_M.gguf")).unwrap().len();
    assert!((60 << 20..140 << 20).contains(&size), "{size}");
    // Asked again, nothing is made again.
    let again = run("Write a Python function that multiplies two numbers.");
    assert!(!again.err.contains("merging"), "{}", again.err);
    assert!(!again.done().trim().is_empty());
}
