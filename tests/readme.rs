//! Every command in the README is run, in a home without conversations, as a person would type it. What takes long there is
//! made short: answers by the configuration, measurements by options behind what the README says, and the programs that
//! make models get a small one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

#[cfg(feature = "lab")]
#[path = "golden/mod.rs"]
mod golden_data;
#[cfg(feature = "lab")]
mod ran;
mod real;

use std::path::Path;
use std::process::{Command, Output};

/// Whose helpers make the small model.
#[cfg(feature = "lab")]
const PROGRAM: &str = env!("CARGO_BIN_EXE_zord-quantize");

/// Lines that other tests run, or that are the suite or parts of it themselves.
const ELSEWHERE: [&str; 4] = ["scripts/run.sh", "scripts/test.sh", "cargo clippy", "cargo test"];
/// Commands that need a network, which is not there, and what they say of it.
const OFFLINE: [(&str, &str); 3] = [
    (
        "zord models pull qwen2.5-coder-1.5b-instruct",
        "error: cannot get `hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf`",
    ),
    (
        "zord models pull hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/",
        "error: cannot get `hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf`",
    ),
    ("zord --remote", "error: cannot reach `http://127.0.0.1:9/v1`"),
];
/// What is put behind commands that would take minutes.
const SHORT: [(&str, &str); 1] = [("zord bench", " --prompt-tokens 16 --gen-tokens 2 --runs 1")];
/// The programs that make models.
const LAB: [&str; 3] = ["zord-quantize", "zord-merge", "zord-distill"];

/// The lines of the `sh` blocks, without what stands after a `#`.
fn commands(readme: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => lines.push(line.split("  #").next().unwrap_or_default().trim().to_owned()),
            _ => {}
        }
    }
    lines
}

/// A small checkpoint, and the same as a file, in the place of the model of the commands before.
#[cfg(feature = "lab")]
fn small(work: &Path, run: &dyn Fn(&str) -> Output) {
    let data = golden_data::json("distill.json");
    let folder = work.join("checkpoint");
    golden_data::checkpoint(&folder, &data["llama"]["checkpoints"]["student"]);
    golden_data::beside(
        &folder,
        &serde_json::json!({"tokenizer.json": null, "tokenizer_config.json": data["settings"]}),
    );
    std::fs::remove_file(work.join("model.gguf")).unwrap();
    assert!(run("zord-quantize convert checkpoint -o model.gguf --type f32").status.success());
}

#[cfg(not(feature = "lab"))]
fn small(_: &Path, _: &dyn Fn(&str) -> Output) {}

fn succeeded(command: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "`{command}`: {said}");
}

/// That it failed with these words and left stdout empty.
fn failed(command: &str, output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "`{command}`: {said}");
    assert!(words.iter().all(|word| said.contains(word)) && said.contains("\n\nhint: "), "`{command}`: {said}");
}

#[test]
fn every_command_of_the_readme_runs() {
    let Some(model) = real::smollm2() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() > 40, "{commands:?}");
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[chat]\nmax_tokens = 8\n").unwrap();
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir(work.path().join("src")).unwrap();
    std::fs::write(work.path().join("src/lib.rs"), "pub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n").unwrap();
    std::fs::copy(&model, work.path().join("model.gguf")).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_zord")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = |command: &str| {
        Command::new("sh")
            .args(["-c", command])
            .current_dir(work.path())
            .env("PATH", &path)
            .env("ZORD_HOME", home.path())
            .env("HF_ENDPOINT", "http://127.0.0.1:9")
            .output()
            .unwrap()
    };
    // A person has a model before any of this.
    assert!(run(&format!("zord models add '{}'", model.display())).status.success());
    let tools = |command: &str, names: &[&str]| names.iter().any(|tool| command.starts_with(tool));
    let here = |command: &&String| {
        let missing = tools(command, &["zord-quantize", "zord-merge"]) && cfg!(not(feature = "lab"))
            || tools(command, &["zord-distill", "zord-merge lora"]) && cfg!(not(feature = "train"));
        !missing && !tools(command, &ELSEWHERE)
    };
    let (mut offline, mut made_small) = (0, false);
    for command in commands.iter().filter(here) {
        if tools(command, &LAB) && !made_small {
            small(work.path(), &run);
            made_small = true;
        }
        let more = SHORT.iter().find(|(begin, _)| command.starts_with(begin)).map_or("", |(_, more)| more);
        let output = run(&format!("{}{more}", command.replace("127.0.0.1:8080", "127.0.0.1:9")));
        if let Some((_, words)) = OFFLINE.iter().find(|(begin, _)| command.starts_with(begin)) {
            failed(command, &output, &[words, "Connection refused"]);
            offline += 1;
        } else if command.contains("export last") {
            failed(command, &output, &["error: there is no conversation `last`"]);
        } else {
            succeeded(command, &output);
        }
    }
    assert_eq!(offline, OFFLINE.len());
    assert!(made_small || cfg!(not(feature = "lab")));
}
