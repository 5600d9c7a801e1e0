//! `zord models`, and files that are no models.

use std::io::Read;

use serde_json::Value;
use sha2::{Digest, Sha256};
use zord::weights::gguf::GgmlType;
use zord::weights::gguf::write::HeaderWriter;

use crate::program::{Zord, has_keys};
use crate::real;

#[test]
fn a_model_is_added_shown_verified_used_and_removed() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::new();
    assert!(zord.run(["models", "list"]).silent().starts_with("no model is installed yet\n"));
    let file = model.to_str().unwrap();
    let name = zord.run(["models", "add", file]).silent();
    let name = name.trim_end();
    // Again is no trouble.
    assert_eq!(zord.run(["models", "add", file]).silent().trim_end(), name);

    let list = zord.run(["models", "list", "--json"]).json();
    assert_eq!(list["stored"][0]["name"], name);
    assert_eq!(list["stored"].as_array().unwrap().len(), 1);
    assert!(list["catalogue"].as_array().unwrap().len() > 10);
    assert!(zord.run(["models", "list"]).silent().contains(&format!("  {name}")));

    let shown = zord.run(["models", "show", "smollm2-135m-instruct", "--json"]).json();
    has_keys(&shown, &["name", "licence", "file", "size", "sha256", "source", "general.architecture", "tensors"]);
    assert!(zord.run(["models", "show", name]).silent().contains("llama"));
    assert_eq!(zord.run(["models", "verify"]).silent(), format!("{name}: OK\n"));

    // The one model there is needs no name.
    let plan = zord.run(["plan", "--json"]).json();
    assert_eq!(plan["fits"], true);

    zord.run(["models", "remove", "smollm2-135m-instruct"]).good();
    assert_eq!(zord.run(["models", "list", "--json"]).json()["stored"], Value::Array(Vec::new()));
    assert!(model.is_file(), "the file that was added must stay");
    zord.run(["models", "verify", name]).advised(1, &["`smollm2-135m-instruct`"]);
}

#[test]
fn a_model_that_changed_does_not_verify() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::new();
    let name = zord.run(["models", "add", model.to_str().unwrap()]).silent();
    let stored = zord.path("models").join(name.trim_end());
    // The store may hold a link: the test must not write into somebody's model.
    let mut bytes = std::fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&stored).unwrap();
    std::fs::write(&stored, bytes).unwrap();
    let ran = zord.run(["models", "verify"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains(name.trim_end()), "{}", ran.out);
    assert!(ran.err.contains("error: a model is damaged\n\nhint: "), "{}", ran.err);
}

#[test]
fn a_copy_that_was_killed_midway_is_removed_and_told() {
    let zord = Zord::new();
    // No process has this number: Linux gives out fewer.
    let left = format!("models/.m.gguf.{}-0.tmp", i32::MAX);
    std::fs::create_dir_all(zord.path("models")).unwrap();
    zord.write(&left, vec![0; 3 << 20]);
    let ran = zord.run(["models", "list"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.err.starts_with("removed 3.0 MiB that an interrupted"), "{}", ran.err);
    assert!(!zord.path(&left).exists());
    zord.run(["models", "list"]).silent();
}

#[test]
fn a_file_that_was_recorded_cut_does_not_verify() {
    let zord = Zord::new();
    header("llama").write_sparse(&zord.path("m.gguf")).unwrap();
    zord.run(["models", "add", "m.gguf"]).good();
    let stored = zord.path("models/m.gguf");
    let mut bytes = std::fs::read(&stored).unwrap();
    bytes.pop();
    let record = std::fs::read_to_string(zord.path("models/m.gguf.toml")).unwrap();
    let sha: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let old = record.lines().find(|line| line.starts_with("sha256")).unwrap();
    let size = record.lines().find(|line| line.starts_with("size")).unwrap();
    let record = record.replace(old, &format!("sha256 = \"{sha}\"")).replace(size, &format!("size = {}", bytes.len()));
    std::fs::remove_file(&stored).unwrap();
    std::fs::write(&stored, bytes).unwrap();
    std::fs::write(zord.path("models/m.gguf.toml"), record).unwrap();
    let ran = zord.run(["models", "verify"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("m.gguf: as recorded, but") && ran.out.contains("truncated"), "{}", ran.out);
}

#[test]
fn names_that_mean_nothing_get_advice() {
    let zord = Zord::new();
    for action in ["show", "verify", "remove"] {
        zord.run(["models", action, "nosuch"]).advised(1, &["no model is called `nosuch`", "zord models list"]);
    }
    zord.run(["models", "show", "smollm2-135m-instrukt"]).advised(1, &["smollm2-135m-instruct"]);
    zord.run(["models", "add", "none.gguf"]).advised(1, &["there is no file `none.gguf`"]);
    zord.run(["models", "add", "."]).advised(1, &["not a"]);
    zord.run(["models", "remove", "../config.toml"]).refused(1, &["`../config.toml`"]);
    zord.run(["chat", "--model", "nosuch", "hi"]).advised(1, &["no model is called `nosuch`"]);
    zord.run(["chat", "--model", "./none.gguf", "hi"]).advised(1, &["there is no file `./none.gguf`"]);
    zord.run(["chat", "hi"]).advised(1, &["there is no model yet", "zord models pull", "zord models add"]);
}

/// A header of a model that a file of this crate's own writer describes, without weights.
fn header(architecture: &str) -> HeaderWriter {
    let key = |name: &str| format!("{architecture}.{name}");
    HeaderWriter::new()
        .str("general.architecture", architecture)
        .u32(&key("block_count"), 1)
        .u32(&key("embedding_length"), 64)
        .u32(&key("feed_forward_length"), 128)
        .u32(&key("attention.head_count"), 2)
        .u32(&key("attention.head_count_kv"), 2)
        .u32(&key("context_length"), 512)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .str("tokenizer.ggml.model", "gpt2")
        .strs("tokenizer.ggml.tokens", &["a", "b", "c", "d"])
        .tensor("token_embd.weight", &[64, 4], GgmlType::F32)
}

#[test]
fn files_that_are_no_models_are_refused_when_added_and_when_loaded() {
    let zord = Zord::new();
    let whole = header("llama").bytes().unwrap().0;
    let counts = |tensors: u64, keys: u64| {
        [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &keys.to_le_bytes(), &[0; 64]].concat()
    };
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("zero.gguf", Vec::new(), &["empty"]),
        ("text.gguf", b"this is a letter, not a model".to_vec(), &["not a GGUF", "this"]),
        ("page.gguf", b"<!DOCTYPE html><html></html>".to_vec(), &["web page"]),
        ("future.gguf", [&b"GGUF\x63\0\0\0"[..], &[0; 24]].concat(), &["version 99"]),
        ("counts.gguf", counts(1 << 60, 1 << 60), &["1152921504606846976"]),
        ("keys.gguf", counts(0, 1 << 20), &["1048576"]),
        ("bare.gguf", counts(0, 0), &["general.architecture"]),
        ("head.gguf", whole[..whole.len() / 2].to_vec(), &["truncated"]),
        ("cut.gguf", whole, &["truncated", "bytes and has"]),
    ];
    for (name, bytes, words) in cases {
        zord.write(name, bytes);
        zord.run(["models", "add", name]).advised(1, words);
        assert!(!zord.path("models").join(name).exists(), "{name} is in the store");
        for command in ["chat", "plan"] {
            zord.run([command, "--model", name, "hi"].iter().take(if command == "chat" { 4 } else { 3 }))
                .advised(1, words);
        }
    }
    let list = zord.run(["models", "list", "--json"]).json();
    assert_eq!(list["stored"], Value::Array(Vec::new()));
}

#[test]
fn headers_of_other_things_are_refused_by_name() {
    let zord = Zord::new();
    header("martian").write_sparse(&zord.path("martian.gguf")).unwrap();
    header("bert").write_sparse(&zord.path("bert.gguf")).unwrap();
    let adapter = header("llama").str("general.type", "adapter");
    adapter.write_sparse(&zord.path("adapter.gguf")).unwrap();
    for (name, word) in [("martian.gguf", "`martian`"), ("bert.gguf", "`bert`"), ("adapter.gguf", "`adapter`")] {
        zord.run(["chat", "--model", name, "hi"]).advised(1, &[name, word]);
        zord.run(["models", "add", name]).advised(1, &[name, word]);
    }
}

#[test]
fn a_model_without_its_tensors_is_refused_with_the_reason() {
    let zord = Zord::new();
    header("llama").write_sparse(&zord.path("hollow.gguf")).unwrap();
    let ran = zord.run(["chat", "--model", "hollow.gguf", "hi"]);
    ran.advised(1, &["hollow.gguf"]);
}

#[test]
fn a_model_that_llama_cpp_would_die_of_is_refused_by_plan_and_chat() {
    let zord = Zord::new();
    header("llama").f32("llama.rope.freq_base", 0.0).write_sparse(&zord.path("hostile.gguf")).unwrap();
    for command in [&["plan", "hostile.gguf"][..], &["chat", "--model", "hostile.gguf", "hi"]] {
        zord.run(command.iter().copied()).advised(1, &["hostile.gguf", "`llama.rope.freq_base` is 0"]);
    }
}

#[test]
fn a_truncated_model_is_refused_with_both_lengths() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::new();
    let mut bytes = Vec::new();
    std::fs::File::open(&model).unwrap().take(6_000_000).read_to_end(&mut bytes).unwrap();
    zord.write("cut.gguf", bytes);
    let want = ["`cut.gguf` is truncated", "98362432", "6000000"];
    zord.run(["chat", "--model", "cut.gguf", "hi"]).advised(1, &want);
    zord.run(["models", "add", "cut.gguf"]).advised(1, &want);
}

#[test]
fn a_store_that_cannot_be_written_is_said() {
    let Some(model) = real::smollm2() else { return };
    let zord = Zord::new();
    zord.write("models", "a file where the folder should be");
    zord.run(["models", "add", model.to_str().unwrap()]).advised(1, &["models`"]);
    zord.run(["models", "list"]).advised(1, &["cannot read", "models`"]);
    // It is not needed for a model that is named by its path.
    zord.run(["plan", model.to_str().unwrap()]).silent();
}
