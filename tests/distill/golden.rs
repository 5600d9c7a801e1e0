//! Losses and logits beside those that PyTorch and PEFT once computed of the same small students
//! (`tests/golden/distill.py`): neither is needed for it.

use std::path::Path;

use serde_json::{Map, Value};

use crate::golden_data::{adapter, beside, checkpoint, json as golden, numbers};
use crate::losses;
use crate::peers::logits;
use crate::ran::Tool;

/// Single precision on both sides and sums in another order; four steps carry that to 2e-6.
const OFF: f64 = 2e-5;
const FAMILIES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// A folder with a family's student and the data.
fn stage(golden: &Map<String, Value>, family: &str) -> Tool {
    let tool = Tool::new();
    model(golden, family, &tool, "student");
    for (name, text) in golden["data"].as_object().unwrap() {
        tool.write(name, text.as_str().unwrap());
    }
    tool
}

fn model(golden: &Map<String, Value>, family: &str, tool: &Tool, name: &str) {
    let folder = tool.path(name);
    checkpoint(&folder, &golden[family]["checkpoints"][name]);
    beside(&folder, &serde_json::json!({"tokenizer_config.json": golden["settings"]}));
    let tokenizer = if name == "other" { "tokenizer-other.json" } else { "tokenizer.json" };
    std::fs::copy(crate::golden_data::file(tokenizer), folder.join("tokenizer.json")).unwrap();
}

/// The windows that are read, as tokens; where they are not learnt, as minus one minus the token.
fn windows(tool: &Tool, all: usize) -> Value {
    let told = tool.run(["dataset", "recipe.toml", "--json", "--samples", &all.to_string()]).json();
    let document = |document: &Value| {
        let tokens = document["tokens"].as_array().unwrap().iter().zip(document["learnt"].as_array().unwrap());
        let token = |(token, learnt): (&Value, &Value)| {
            let token = token.as_i64().unwrap();
            if learnt == true { token } else { -1 - token }
        };
        tokens.map(token).collect::<Vec<i64>>()
    };
    let window = |window: &Value| window.as_array().unwrap().iter().map(document).collect::<Vec<_>>();
    told["samples"].as_array().unwrap().iter().map(window).collect()
}

/// Runs each of these objectives and gives how far the losses are from PyTorch's, as a share of them.
fn apart(golden: &Map<String, Value>, family: &str, tool: &Tool, kind: &str, more: &[&str]) -> f64 {
    let recipe = golden["recipes"][kind].as_str().unwrap();
    tool.write("recipe.toml", recipe);
    let _ = std::fs::remove_dir_all(tool.path("begin"));
    if let Some(spec) = golden["adapters"].get(kind) {
        adapter(&tool.path("begin"), spec);
    }
    let read: Vec<Value> = golden[if kind == "dpo" { "pairs" } else { "windows" }].as_array().unwrap().clone();
    let read: Vec<Value> = read.iter().flat_map(|step| step.as_array().unwrap().clone()).collect();
    assert_eq!(
        windows(tool, read.len()),
        Value::Array(read),
        "other data is read: `distill.py` makes the golden data anew"
    );
    let _ = std::fs::remove_dir_all(tool.path("out"));
    let set = more.iter().flat_map(|set| ["--set", set]);
    tool.run(["run", "recipe.toml", "-o", "out"].into_iter().chain(set)).done();
    let (ours, theirs) = (losses(&tool.path("out")), numbers(&golden[family]["losses"][kind]));
    assert_eq!((ours.len(), theirs.len()), (4, 4));
    assert!(theirs[3] < theirs[0] * 0.98, "it learns: {theirs:?}");
    let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / b.abs()).fold(0.0, f64::max);
    eprintln!("{family}, {kind}: {apart:.1e}");
    apart
}

#[test]
fn every_objective_of_ones_own_has_the_losses_that_pytorch_had() {
    let golden = golden("distill.json");
    for family in FAMILIES {
        let tool = stage(&golden, family);
        for kind in ["sft", "lora", "dora", "dpo"] {
            let apart = apart(&golden, family, &tool, kind, &[]);
            assert!(apart < OFF, "{family}, {kind}: {apart}");
        }
    }
}

/// A GGUF file of a teacher's numbers as they are.
#[cfg(feature = "engine")]
fn teaches(tool: &Tool, name: &str) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_zord-quantize"));
    command.arg("convert").arg(tool.path(name)).arg("-o").arg(tool.path(&format!("{name}.gguf")));
    crate::ran::Ran::of(&command.args(["--type", "f32"]).output().unwrap()).done();
}

#[test]
#[cfg(feature = "engine")]
fn every_objective_with_a_teacher_has_the_losses_that_pytorch_had() {
    let golden = golden("distill.json");
    for family in FAMILIES {
        let tool = stage(&golden, family);
        for name in ["teacher", "other"] {
            model(&golden, family, &tool, name);
            teaches(&tool, name);
        }
        for kind in ["kd-forward", "kd-reverse", "kd-jensen-shannon", "alm", "uld"] {
            let apart = apart(&golden, family, &tool, kind, &[]);
            assert!(apart < OFF, "{family}, {kind}: {apart}");
        }
    }
}

#[test]
fn logits_are_those_that_pytorch_and_peft_computed() {
    let golden = golden("distill.json");
    let kept: Vec<usize> = numbers(&golden["kept"]).into_iter().map(|id| id as usize).collect();
    let tokens: Vec<i64> = numbers(&golden["windows"][0][0][0]).into_iter().map(|token| token as i64).collect();
    let tokens: Vec<String> =
        tokens.iter().map(|&token| if token < 0 { -1 - token } else { token }.to_string()).collect();
    for family in FAMILIES {
        let tool = stage(&golden, family);
        for kind in ["sft", "lora", "dora"] {
            let tokens = tokens.join(",");
            let mut args = vec!["logits", "student", "--tokens", &tokens, "-o", "logits.safetensors"];
            if let Some(spec) = golden["adapters"].get(kind) {
                adapter(&tool.path(kind), spec);
                args.extend(["--adapter", kind]);
            }
            let _ = std::fs::remove_file(tool.path("logits.safetensors"));
            tool.run(args).done();
            let ours = last(&tool.path("logits.safetensors"), tokens.split(',').count());
            let theirs = numbers(&golden[family]["logits"][kind]);
            assert!(theirs.len() == kept.len() && theirs.iter().any(|logit| logit.abs() > 1.0), "{theirs:?}");
            let apart = kept.iter().zip(&theirs).map(|(&id, b)| (f64::from(ours[id]) - b).abs()).fold(0.0, f64::max);
            eprintln!("{family}, {kind}: {apart:.1e}");
            assert!(apart < 1e-4, "{family}, {kind}: {apart}");
        }
    }
}

/// The last of so many rows.
fn last(path: &Path, rows: usize) -> Vec<f32> {
    let all = logits(path);
    all[all.len() / rows * (rows - 1)..].to_vec()
}

#[test]
fn a_little_more_of_anything_is_told() {
    let golden = golden("distill.json");
    let tool = stage(&golden, "llama");
    for (kind, more) in [
        ("sft", "optimiser.weight_decay=0.5"),
        ("sft", "optimiser.beta2=0.99"),
        ("dora", "optimiser.rate=2.1e-3"),
        ("dpo", "objective.beta=0.101"),
    ] {
        let apart = apart(&golden, "llama", &tool, kind, &[more]);
        assert!(apart > 3.0 * OFF, "{kind}, {more}: {apart}");
    }
}
