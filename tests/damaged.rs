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

/// The program did one of two things: it did what it was asked, or it told of this file what is wrong, and printed nothing
/// else. A signal (llama.cpp's abort) has no code. Gives what it printed, or what it told.
fn survived(output: &Output, what: &str) -> Result<String, String> {
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("panicked"), "{what}: {said}");
    if output.status.success() {
        assert!(!out.trim().is_empty(), "{what}: {said}");
        return Ok(out.into_owned());
    }
    assert_eq!(output.status.code(), Some(1), "{what}: {}\n{said}", output.status);
    let error = said.lines().find_map(|line| line.strip_prefix("error: "));
    assert!(error.is_some_and(|error| error.contains("damaged.gguf")), "{what}: {said}");
    assert_eq!(out, "", "{what}: {said}");
    Err(said.into_owned())
}

/// A model file that is damaged and mended again.
struct Damaged {
    folder: tempfile::TempDir,
    file: std::fs::File,
    header: Header,
}

impl Damaged {
    fn new(model: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.gguf");
        std::fs::copy(model, &path).unwrap();
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Self { header: Header::read(&path).unwrap(), file, folder }
    }

    fn zord(&self, arguments: &[&str]) -> Output {
        let path = self.folder.path().join("damaged.gguf");
        let options = ["--model", path.to_str().unwrap(), "--ctx", "256"];
        zord(&[arguments, &options[..]].concat(), self.folder.path())
    }

    /// What it answers with these bytes at a place, or why it does not.
    fn answer(&self, at: u64, bytes: &[u8]) -> Result<String, String> {
        let mut old = vec![0; bytes.len()];
        self.file.read_exact_at(&mut old, at).unwrap();
        self.file.write_all_at(bytes, at).unwrap();
        let what = format!("{bytes:?} at {at}");
        let chat = ["chat", "--no-stdin", "--preset", "greedy", "--max-tokens", "2", "Hi"];
        let planned = survived(&self.zord(&["plan", "--json"]), &what);
        let answer = planned.and_then(|_| survived(&self.zord(&chat), &what));
        self.file.write_all_at(&old, at).unwrap();
        answer
    }

    /// Where the value of a key begins, behind its type.
    fn value(&self, key: &str) -> u64 {
        let mut head = vec![0; 4096];
        self.file.read_exact_at(&mut head, 0).unwrap();
        let name = [&(key.len() as u64).to_le_bytes()[..], key.as_bytes()].concat();
        let at = head.windows(name.len()).position(|part| part == name).unwrap();
        (at + name.len() + 4) as u64
    }
}

#[test]
fn damage_that_matters_is_refused_and_damage_that_does_not_changes_no_answer() {
    let Some(model) = real::smollm2() else { return };
    let damaged = Damaged::new(&model);
    let whole = damaged.answer(0, b"GGUF").unwrap();
    assert_eq!(damaged.answer(damaged.value("general.name") + 8, b"smoLLM"), Ok(whole.clone()), "only a name");
    let more = (damaged.header.tensors.len() as u64 + 1).to_le_bytes();
    let value = |key: &str| damaged.value(key);
    for (at, bytes, words) in [
        (0, &b"GGUG"[..], "is not a GGUF file"),
        (4, &[99, 0, 0, 0], "GGUF version 99"),
        (8, &more, "is truncated"),
        (8, &[0xff; 8], "18446744073709551615 tensors"),
        (16, &[0xff; 8], "18446744073709551615 metadata keys"),
        (value("llama.block_count"), &[31, 0, 0, 0], "blk.30"),
        (value("llama.embedding_length"), &[0x41, 2, 0, 0], "wrong shape"),
        (value("llama.attention.head_count"), &[0, 0, 0, 0], "`llama.attention.head_count` is 0"),
    ] {
        let told = damaged.answer(at, bytes).unwrap_err();
        assert!(told.contains(words), "{bytes:?} at {at}: {told}");
    }
    assert_eq!(damaged.answer(0, b"GGUF"), Ok(whole), "all of it was mended");
}

#[test]
fn a_damaged_header_never_ends_the_process() {
    let Some(model) = real::smollm2() else { return };
    let damaged = Damaged::new(&model);
    let head = damaged.header.data_offset;
    let mut state = 2;
    let mut answered = 0;
    for case in 0..CASES {
        // The shape's keys stand first, the list of tensors last, the vocabulary between them.
        let (from, to) = [(0, 2048), (head - 16_000, head), (0, head)][case as usize % 3];
        let at = from + number(&mut state) % (to - from);
        let mut old = [0; 2];
        damaged.file.read_exact_at(&mut old, at).unwrap();
        let new = match number(&mut state) % 3 {
            0 => [old[0] ^ (1 << (number(&mut state) % 8)), old[1]],
            1 => [255, 255],
            _ => (number(&mut state) as u16).to_le_bytes(),
        };
        answered += u64::from(damaged.answer(at, &new).is_ok());
    }
    println!("{answered} of {CASES} answered");
    // Of the first and the last third nearly all matters, of the vocabulary nearly nothing does.
    assert!((CASES / 5..CASES * 3 / 4).contains(&answered), "{answered} of {CASES} answered");
}
