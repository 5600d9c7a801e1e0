//! GGUF files in and out, and the whole way: a merged pair answers.
#![cfg(feature = "engine")]

use std::path::PathBuf;
use std::process::Command;

use crate::tool::{Ran, Tool, read};

fn smollm2() -> Option<PathBuf> {
    let name = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let file = std::env::var_os("ZORD_TEST_MODELS").map(|folder| PathBuf::from(folder).join(name));
    let file = file.filter(|file| file.is_file());
    if file.is_none() {
        eprintln!("SKIPPED: needs `{name}` in the folder that ZORD_TEST_MODELS names");
    }
    file
}

fn quantize(tool: &Tool, args: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zord-quantize"));
    command.args(args).current_dir(tool.path("")).env("ZORD_HOME", tool.path(""));
    Ran::of(&command.output().unwrap()).done();
}

#[test]
fn a_merged_pair_of_smollm2_answers_after_quantizing() {
    let Some(model) = smollm2() else { return };
    let tool = Tool::new();
    // the second one is the first with every weight rounded once more: near it, and not the same
    quantize(&tool, &["export", model.to_str().unwrap(), "-o", "a"]);
    quantize(&tool, &["convert", "a", "-o", "b.gguf", "--type", "q8_0"]);
    tool.write(
        "r.yml",
        "merge_method: slerp\nbase_model: a\nmodels: [{model: b.gguf}]\nparameters: {t: 0.5}\nout_dtype: bfloat16\n",
    );
    let ran = tool.run(["run", "r.yml", "-o", "merged"]);
    assert!(ran.err.contains("dequantized"), "{}", ran.err);
    ran.done();
    let (a, merged) = (read(&tool.path("a")), read(&tool.path("merged")));
    assert_eq!(a.keys().collect::<Vec<_>>(), merged.keys().collect::<Vec<_>>());
    for (name, own) in &a {
        let (own, new) = (own.numbers(), merged[name].numbers());
        let most = own.iter().map(|n| n.abs()).fold(0.0, f32::max);
        let worst = own.iter().zip(&new).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // half a step of Q8_0 is at most a 250th of a block's largest; bf16 adds as much
        assert!(worst <= most / 120.0, "{name}: {worst} of {most}");
    }
    quantize(&tool, &["convert", "merged", "-o", "m.gguf"]);
    quantize(&tool, &["quantize", "m.gguf", "q.gguf", "--type", "Q8_0"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_zord"));
    let question = "How do I reverse a list in Python?";
    command.args(["chat", "--model", "q.gguf", "--no-stdin", "--preset", "greedy", "--max-tokens", "24", question]);
    let answer = Ran::of(&command.current_dir(tool.path("")).env("ZORD_HOME", tool.path("")).output().unwrap()).done();
    // What it says is the small model's business; that these are words is ours.
    let words = answer.split_whitespace().filter(|word| word.chars().all(|c| c.is_ascii_graphic())).count();
    assert!(words >= 8, "{answer}");
}

#[test]
fn a_merge_goes_to_one_gguf_file() {
    let Some(model) = smollm2() else { return };
    let tool = Tool::new();
    std::fs::copy(&model, tool.path("m.gguf")).unwrap();
    tool.write("r.yml", "merge_method: passthrough\nmodels: [{model: m.gguf}]\n");
    tool.run(["run", "r.yml", "-o", "out.gguf"]).done();
    let header = zord::weights::gguf::Header::read(&tool.path("out.gguf")).unwrap();
    let before = zord::weights::gguf::Header::read(&tool.path("m.gguf")).unwrap();
    assert_eq!(header.tensors.len(), before.tensors.len());
    assert_eq!(header.u32("llama.block_count"), Some(30));
    assert_eq!(tool.names(), ["m.gguf", "out.gguf", "out.merge-manifest.json", "r.yml"]);
}
