//! Every command in the README is run, in an empty home, as a person would type it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;

use std::path::Path;
use std::process::Command;

/// Lines that other tests run, or that are the suite or parts of it themselves.
const ELSEWHERE: [&str; 4] = ["scripts/run.sh", "scripts/test.sh", "cargo clippy", "cargo test"];

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

#[test]
fn every_command_of_the_readme_runs() {
    let Some(model) = real::smollm2() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() > 12, "{commands:?}");
    let home = tempfile::tempdir().unwrap();
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
    if cfg!(feature = "lab") {
        assert!(run("zord-quantize export model.gguf -o checkpoint").status.success());
    }
    let here = |command: &&String| {
        let tools = |names: &[&str]| names.iter().any(|tool| command.starts_with(tool));
        let missing = tools(&["zord-quantize", "zord-merge"]) && cfg!(not(feature = "lab"))
            || tools(&["zord-distill", "zord-merge lora"]) && cfg!(not(feature = "train"));
        !missing && !ELSEWHERE.iter().any(|other| command.starts_with(other))
    };
    for command in commands.iter().filter(here) {
        // There is no network here: what needs one must say so, and not that it was typed wrongly.
        let offline = command.contains(" pull ") || command.contains("--remote");
        let output = run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        if offline {
            assert_eq!(code, Some(1), "`{command}`: {said}");
            assert!(said.contains("cannot"), "`{command}`: {said}");
        } else if command.contains("export last") {
            assert!(said.contains("there is no conversation"), "`{command}`: {said}");
        } else {
            assert_eq!(code, Some(0), "`{command}`: {said}");
        }
    }
}
