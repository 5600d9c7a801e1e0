//! Families that need no other program to be checked against: what they compute beside Llama, another model can be made to
//! compute as well.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use zord::weights::gguf::Header;

use crate::file::tensors;
use crate::logits::computed;
use crate::ran::{Ran, Tool};
use crate::small::{Small, VOCABULARY};

const TOKENS: [i32; 12] = [5, 17, 300, 2, 2, 44, 9, 128, 77, 5, 17, 250];

/// A checkpoint of another family with the tensors of a `llama`.
fn of(class: &str, kind: &str, layers: usize, more: &Value) -> Small {
    let mut small = Small::sized(layers, 64, 96);
    small.config["architectures"] = json!([class]);
    small.config["model_type"] = json!(kind);
    for (key, value) in more.as_object().unwrap() {
        small.config[key] = value.clone();
    }
    small
}

/// Multipliers whose products with a number are exact.
fn granite() -> Small {
    let multipliers = json!({
        "embedding_multiplier": 4.0, "residual_multiplier": 0.5, "attention_multiplier": 0.125, "logits_scaling": 8.0,
    });
    of("GraniteForCausalLM", "granite", 2, &multipliers)
}

fn smollm3(layers: usize) -> Small {
    of("SmolLM3ForCausalLM", "smollm3", layers, &json!({"rope_theta": 5e6}))
}

fn logits(tool: &Tool, small: &Small, name: &str) -> Vec<f32> {
    small.write(&tool.path(name));
    let file = format!("{name}.gguf");
    tool.run(["convert", name, "-o", &file, "--type", "f32"]).done();
    computed(&tool.path(&file), None, &TOKENS).concat()
}

/// The largest difference as a share of the largest logit.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!((a.len(), b.len()), (TOKENS.len() * VOCABULARY, TOKENS.len() * VOCABULARY));
    let largest = a.iter().fold(0f32, |most, logit| most.max(logit.abs()));
    assert!(largest > 0.5 && a.iter().chain(b).all(|logit| logit.is_finite()), "{largest}");
    a.iter().zip(b).fold(0f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

fn times(bytes: &mut [u8], factor: f32) {
    for word in bytes.as_chunks_mut::<4>().0 {
        *word = (f32::from_le_bytes(*word) * factor).to_le_bytes();
    }
}

#[test]
fn granites_multipliers_are_those_that_can_be_folded_into_a_llamas_weights() {
    let (tool, granite) = (Tool::new(), granite());
    let mut llama = Small::sized(2, 64, 96);
    let plain = logits(&tool, &llama, "plain");
    // Scores are divided by the root of a head's 16 numbers where no multiplier says otherwise.
    for (end, factor) in [("q_proj.weight", 0.125 * 4.0), ("o_proj.weight", 0.5), ("down_proj.weight", 0.5)] {
        llama
            .tensors
            .iter_mut()
            .filter(|tensor| tensor.0.ends_with(end))
            .for_each(|tensor| times(&mut tensor.3, factor));
    }
    let mut head = llama.tensor("embed_tokens.weight").clone();
    times(&mut llama.tensor("embed_tokens.weight").3, 4.0);
    head.0 = "lm_head.weight".to_owned();
    times(&mut head.3, 1.0 / 8.0);
    llama.tensors.push(head);
    llama.config["tie_word_embeddings"] = json!(false);
    let folded = logits(&tool, &llama, "folded");
    let own = logits(&tool, &granite, "granite");
    // Powers of two change no number's digits, so even the order of sums is the same.
    assert!(apart(&own, &folded) < 1e-6, "{}", apart(&own, &folded));
    assert!(apart(&own, &plain) > 0.1, "{}", apart(&own, &plain));
    // Each of them counts.
    for key in ["embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"] {
        let (tool, mut other) = (Tool::new(), self::granite());
        other.config[key] = json!(1.0);
        let other = logits(&tool, &other, "other");
        assert!(apart(&own, &other) > 1e-3, "{key}: {}", apart(&own, &other));
    }
}

#[test]
fn a_dense_checkpoint_of_the_hybrid_class_is_a_granite() {
    let (tool, small) = (Tool::new(), granite());
    let mut dense = granite();
    for (key, value) in [
        ("architectures", json!(["GraniteMoeHybridForCausalLM"])),
        ("model_type", json!("granitemoehybrid")),
        ("layer_types", json!(["attention", "attention"])),
        ("num_local_experts", json!(0)),
        ("position_embedding_type", json!("rope")),
        ("shared_intermediate_size", json!(96)),
    ] {
        dense.config[key] = value;
    }
    // Gate and up are one matrix there.
    let mut joined = Vec::new();
    for layer in 0..2 {
        let at = |name: &str| format!("model.layers.{layer}.mlp.{name}_proj.weight");
        let mut gate = dense.tensor(&at("gate")).clone();
        gate.3.extend(dense.tensor(&at("up")).3.clone());
        gate.2[0] *= 2;
        gate.0 = format!("model.layers.{layer}.shared_mlp.input_linear.weight");
        dense.tensor(&at("down")).0 = format!("model.layers.{layer}.shared_mlp.output_linear.weight");
        joined.push(gate);
    }
    dense.tensors.retain(|tensor| !tensor.0.contains("gate_proj") && !tensor.0.contains("up_proj"));
    dense.tensors.extend(joined);
    for (small, name) in [(&small, "a"), (&dense, "b")] {
        small.write(&tool.path(name));
        tool.run(["convert", name, "-o", &format!("{name}.gguf"), "--type", "f32"]).done();
    }
    assert!(tensors(&tool.path("a.gguf")) == tensors(&tool.path("b.gguf")));
    dense.config["layer_types"] = json!(["attention", "mamba"]);
    dense.write(&tool.path("b"));
    tool.run(["convert", "b", "-o", "c.gguf"]).refused(1, &["`layer_types`", "granite"]);
}

#[test]
fn smollm3_is_a_llama_up_to_its_fourth_layer() {
    let tool = Tool::new();
    for (layers, same) in [(3, true), (4, false)] {
        let mut llama = Small::sized(layers, 64, 96);
        llama.config["rope_theta"] = json!(5e6);
        let llama = logits(&tool, &llama, &format!("llama{layers}"));
        let own = logits(&tool, &smollm3(layers), &format!("smollm{layers}"));
        let apart = apart(&own, &llama);
        assert!(if same { apart < 1e-6 } else { apart > 1e-3 }, "{layers} layers: {apart}");
    }
}

fn other(tool: &Tool, program: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(program);
    command.args(args).current_dir(tool.folder()).env("ZORD_HOME", tool.folder());
    Ran::of(&command.output().unwrap())
}

fn config(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap()
}

#[test]
fn new_families_are_converted_exported_merged_and_planned() {
    for small in [granite(), smollm3(5)] {
        let kind = small.config["model_type"].as_str().unwrap().to_owned();
        let tool = Tool::new();
        small.write(&tool.path("c"));
        tool.run(["convert", "c", "-o", "a.gguf", "--type", "f32"]).done();
        tool.run(["export", "a.gguf", "-o", "back", "--type", "f32"]).done();
        let back = config(&tool.path("back"));
        for (key, value) in small.config.as_object().unwrap() {
            assert_eq!(&back[key], value, "{kind}: {key}");
        }
        tool.run(["convert", "back", "-o", "b.gguf", "--type", "f32"]).done();
        assert!(tensors(&tool.path("a.gguf")) == tensors(&tool.path("b.gguf")), "{kind}");
        let keys = |name: &str| {
            let header = Header::read(&tool.path(name)).unwrap();
            let own = header.metadata.iter().filter(|(key, _)| key.starts_with(&format!("{kind}.")));
            let mut own: Vec<String> = own.map(|(key, value)| format!("{key} {value:?}")).collect();
            own.sort();
            own
        };
        let own = keys("a.gguf");
        assert!(own.len() > 8 && own == keys("b.gguf"), "{kind}: {own:?}");

        // The mean of a checkpoint and the file that it became is the checkpoint.
        tool.write("r.yml", "merge_method: linear\nmodels:\n  - {model: c, parameters: {weight: 0.5}}\n  - {model: a.gguf, parameters: {weight: 0.5}}\n");
        other(&tool, env!("CARGO_BIN_EXE_zord-merge"), &["run", "r.yml", "-o", "merged"]).done();
        tool.run(["convert", "merged", "-o", "m.gguf", "--type", "f32"]).done();
        assert!(tensors(&tool.path("a.gguf")) == tensors(&tool.path("m.gguf")), "{kind}");

        let plan = other(&tool, env!("CARGO_BIN_EXE_zord"), &["plan", "--model", "m.gguf", "--json"]).json();
        assert_eq!(plan["fits"], json!(true), "{kind}: {plan}");
    }
}

#[test]
fn merges_keep_apart_what_cannot_be_added() {
    let tool = Tool::new();
    let mut other_granite = granite();
    other_granite.config["residual_multiplier"] = json!(0.25);
    granite().write(&tool.path("a"));
    other_granite.write(&tool.path("b"));
    let both = "merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: 0.5}}\n  - {model: b, parameters: {weight: 0.5}}\n";
    tool.write("both.yml", both);
    let ran = other(&tool, env!("CARGO_BIN_EXE_zord-merge"), &["check", "both.yml"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("different `residual_multiplier`: `a` has 0.5; `b` has 0.25"), "{}", ran.out);

    // Layers keep whether they are rotated, and a pattern that llama.cpp does not have is refused.
    let mut small = smollm3(5);
    small.config["no_rope_layer_interval"] = json!(4);
    small.write(&tool.path("s"));
    tool.write("cut.yml", "merge_method: passthrough\nslices:\n  - sources: [{model: s, layer_range: [2, 5]}]\n");
    other(&tool, env!("CARGO_BIN_EXE_zord-merge"), &["run", "cut.yml", "-o", "cut"]).done();
    assert_eq!(config(&tool.path("cut"))["no_rope_layers"], json!([1, 0, 1]));
    tool.run(["convert", "cut", "-o", "cut.gguf"]).refused(1, &["`no_rope_layers`", "smollm3"]);
}
