//! The real model with a few bytes of its header changed: an answer or a refusal, never the end of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops where it cannot go on")]
#![cfg(feature = "engine")]

mod real;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use zord::weights::gguf::Header;

const CASES: u64 = 48;

fn zord(arguments: &[&str], home: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zord"));
    command.args(arguments).env("ZORD_HOME", home).env_remove("ZORD_LOG").output().unwrap()
}

/// A fixed sequence of numbers (splitmix64).
fn number(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Two kinds of exit are right: done, and failed with a message. A signal (llama.cpp's abort) has no code.
fn assert_survived(output: &Output, what: &str) -> bool {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{what}: {}\n{said}", output.status);
    assert!(!said.contains("panicked"), "{what}: {said}");
    assert!(output.status.success() || said.starts_with("error: "), "{what}: {said}");
    output.status.success()
}

#[test]
fn a_damaged_header_never_ends_the_process() {
    let Some(model) = real::smollm2() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.gguf");
    std::fs::copy(&model, &path).unwrap();
    let head = Header::read(&path).unwrap().data_offset;
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let options = ["--model", path.to_str().unwrap(), "--ctx", "256"];
    let mut state = 2;
    let (mut refused, mut answered) = (0, 0);
    for case in 0..CASES {
        // The shape's keys stand first, the list of tensors last, the vocabulary between them.
        let (from, to) = [(0, 2048), (head - 16_000, head), (0, head)][case as usize % 3];
        let at = from + number(&mut state) % (to - from);
        let mut old = [0; 2];
        file.read_exact_at(&mut old, at).unwrap();
        let new = match number(&mut state) % 3 {
            0 => [old[0] ^ (1 << (number(&mut state) % 8)), old[1]],
            1 => [255, 255],
            _ => (number(&mut state) as u16).to_le_bytes(),
        };
        file.write_all_at(&new, at).unwrap();
        let what = format!("{new:?} at {at}");
        if assert_survived(&zord(&[&["plan", "--json"], &options[..]].concat(), folder.path()), &what) {
            let chat = ["chat", "--no-stdin", "--preset", "greedy", "--max-tokens", "2", "Hi"];
            if assert_survived(&zord(&[&chat, &options[..]].concat(), folder.path()), &what) {
                answered += 1;
            } else {
                refused += 1;
            }
        } else {
            refused += 1;
        }
        file.write_all_at(&old, at).unwrap();
    }
    println!("{refused} refused, {answered} answered");
    // Both happen: the damage is neither always fatal nor never seen.
    assert!(refused > 0 && answered > 0);
}
