//! Adapters into a base and out of a fine-tune, and another tokenizer for a model.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use zord::weights::safetensors::Dtype;

use crate::tool::{Tool, python, read};
use crate::toy::{Tensor, Toy, noise, raw, weights};

/// An adapter for two modules of a toy, of rank 2.
pub(crate) fn adapter(folder: &Path, seed: u32, config: Value) -> (Vec<f32>, Vec<f32>) {
    let (a, b) = (noise(seed, 2 * 16), noise(seed + 1, 24 * 2));
    std::fs::create_dir_all(folder).unwrap();
    let name = |part: &str| format!("base_model.model.model.layers.1.mlp.up_proj.{part}.weight");
    let tensors: Vec<Tensor> = vec![
        (name("lora_A"), Dtype::F32, vec![2, 16], raw(Dtype::F32, &a)),
        (name("lora_B"), Dtype::F32, vec![24, 2], raw(Dtype::F32, &b)),
    ];
    weights(&folder.join("adapter_model.safetensors"), &tensors);
    let mut all = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 6});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    std::fs::write(folder.join("adapter_config.json"), all.to_string()).unwrap();
    (a, b)
}

fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    (0..24 * 16).map(|at| (0..2).map(|k| b[at / 16 * 2 + k] * a[k * 16 + at % 16]).sum()).collect()
}

fn close(found: &[f32], want: &[f32]) {
    let worst = found.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(found.len() == want.len() && worst < 1e-5, "{worst}");
}

const UP: &str = "model.layers.1.mlp.up_proj.weight";

#[test]
fn adapters_are_added_with_their_scales_and_weights() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("base"));
    let (a, b) = adapter(&tool.path("one"), 50, json!({}));
    let (c, d) = adapter(&tool.path("two"), 60, json!({"use_rslora": true}));
    tool.run(["lora", "base", "-a", "one", "-a", "two@0.5", "-o", "out"]).done();
    let (base, out) = (read(&tool.path("base")), read(&tool.path("out")));
    let sum = base[UP].numbers().into_iter().zip(product(&a, &b)).zip(product(&c, &d));
    let want: Vec<f32> = sum.map(|((w, one), two)| w + 3.0 * one + 0.5 * 6.0 / 2f32.sqrt() * two).collect();
    close(&out[UP].numbers(), &want);
    let model = &tool.json("out/merge-manifest.json")["models"][0];
    assert_eq!(model["changes"], json!(["adapter `one` with the weight 1", "adapter `two` with the weight 0.5"]));
    let hashed = model["files"].as_array().unwrap().iter().filter(|file| file["sha256"].is_string()).count();
    assert_eq!(hashed, 3, "the base and both adapters");
    let others = base.iter().filter(|(name, _)| *name != UP);
    assert!(others.clone().count() > 5 && others.into_iter().all(|(name, tensor)| out[name] == *tensor));
    // mergekit writes an adapter behind a plus
    tool.merge("merge_method: passthrough\nmodels: [{model: base+one}]\n", &[]).refused(1, &["`out` is there already"]);
    std::fs::remove_dir_all(tool.path("out")).unwrap();
    tool.merge("merge_method: passthrough\nmodels: [{model: base+one}]\n", &[]).done();
    let want: Vec<f32> = base[UP].numbers().into_iter().zip(product(&a, &b)).map(|(w, one)| w + 3.0 * one).collect();
    close(&read(&tool.path("out"))[UP].numbers(), &want);
}

#[test]
fn patterns_are_regular_expressions_and_linear_layers_are_never_transposed() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("base"));
    for (config, scale) in [
        (json!({"alpha_pattern": {r".*layers\.(1|5)\.mlp\..*": 12}}), 6.0),
        (json!({"alpha_pattern": {"down_proj|up_proj": 12, "up_proj": 2}}), 6.0),
        (json!({"alpha_pattern": {"layers.0.mlp.up_proj": 12}}), 3.0),
        (json!({"alpha_pattern": {"p_proj": 12}}), 3.0),
        (json!({"rank_pattern": {"[a-z]+_proj": 2}, "r": 16, "lora_alpha": 4}), 2.0),
        // PEFT turns it off where the module is a linear layer.
        (json!({"fan_in_fan_out": true}), 3.0),
    ] {
        let (a, b) = adapter(&tool.path("one"), 50, config.clone());
        tool.run(["lora", "base", "-a", "one", "-o", "out"]).done();
        let base = read(&tool.path("base"))[UP].numbers();
        let want: Vec<f32> = base.into_iter().zip(product(&a, &b)).map(|(w, one)| w + scale * one).collect();
        let found = read(&tool.path("out"))[UP].numbers();
        let worst = found.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{config}: {worst}");
        std::fs::remove_dir_all(tool.path("out")).unwrap();
    }
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let tool = Tool::new();
    let mut toy = Toy::new(1);
    toy.write(&tool.path("base"));
    adapter(&tool.path("one"), 50, json!({"peft_type": "IA3"}));
    tool.run(["lora", "base", "-a", "one", "-o", "out"]).refused(1, &["`IA3`", "only LoRA"]);
    adapter(&tool.path("one"), 50, json!({"rank_pattern": {"up_proj": 3}}));
    tool.run(["lora", "base", "-a", "one", "-o", "out"]).refused(1, &["up_proj", "rank 3", "has 2"]);
    adapter(&tool.path("one"), 50, json!({"alora_invocation_tokens": [1, 2]}));
    tool.run(["lora", "base", "-a", "one", "-o", "out"]).refused(1, &["`alora_invocation_tokens`"]);
    adapter(&tool.path("one"), 50, json!({}));
    weights(&tool.path("one/adapter_model.safetensors"), &[]);
    tool.run(["lora", "base", "-a", "one", "-o", "out"]).refused(1, &["`one`", "no tensor in it"]);
    adapter(&tool.path("one"), 50, json!({}));
    toy.tensors.retain(|tensor| tensor.0 != UP);
    toy.write(&tool.path("base"));
    tool.run(["lora", "base", "-a", "one", "-o", "out"]).refused(1, &["model.layers.1.mlp.up_proj", "does not have"]);
    assert!(!tool.path("out").exists());
}

#[test]
fn every_kind_of_adapter_is_baked_as_peft_does() {
    let Some(python) = python() else { return };
    let tool = Tool::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/merge/adapters.py");
    let made =
        Command::new(python).arg(script).arg(tool.path("p")).env("HF_HUB_OFFLINE", "1").stdin(Stdio::null()).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for kind in ["plain", "patterns", "stabilized", "dora", "embedding", "saved"] {
        tool.run(["lora", "p/base", "-a", &format!("p/adapter-{kind}"), "-o", kind]).done();
        let (ours, theirs) = (read(&tool.path(kind)), read(&tool.path(&format!("p/merged-{kind}"))));
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{kind}");
        for (name, theirs) in &theirs {
            let worst =
                ours[name].numbers().iter().zip(theirs.numbers()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // weights of about 0.05, sums of four products in f32
            assert!(worst < 1e-5, "{kind}, {name}: {worst}");
        }
    }
}

#[test]
fn an_extracted_adapter_gives_the_fine_tune_back() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("base"));
    adapter(&tool.path("one"), 50, json!({}));
    tool.run(["lora", "base", "-a", "one", "-o", "tuned"]).done();
    let found: Value = serde_json::from_str(
        &tool.run(["extract-lora", "base", "tuned", "--rank", "2", "-o", "again", "--json"]).done(),
    )
    .unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["tensor"], json!(UP));
    assert!(found[0]["error"].as_f64().unwrap() < 1e-4, "{found}");
    tool.run(["lora", "base", "-a", "again", "-o", "back"]).done();
    close(&read(&tool.path("back"))[UP].numbers(), &read(&tool.path("tuned"))[UP].numbers());
    // at a lower rank something is left, and it is said how much
    let ran = tool.run(["extract-lora", "base", "tuned", "--rank", "1", "-o", "less"]);
    assert!(ran.err.contains("% of the change is left out"), "{}", ran.err);
    ran.done();
    tool.run(["extract-lora", "base", "base", "-o", "none"]).refused(1, &["differs"]);
}

#[test]
fn what_no_product_holds_is_said_and_can_be_saved_whole() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("base"));
    Toy::new(2).write(&tool.path("tuned"));
    // of the full rank of every matrix
    let args = ["extract-lora", "base", "tuned", "--rank", "16", "-o"];
    let ran = tool.run([&args[..], &["less"]].concat());
    assert!(ran.err.contains("`model.embed_tokens.weight`") && ran.err.contains("--save-modules"), "{}", ran.err);
    ran.done();
    let ran = tool.run([&args[..], &["all", "--save-modules"]].concat());
    assert!(ran.err.contains("0.00 % of the change is left out") && !ran.err.contains("notice"), "{}", ran.err);
    ran.done();
    let config = tool.json("all/adapter_config.json");
    assert_eq!(config["modules_to_save"], json!(["input_layernorm", "lm_head", "model.embed_tokens", "model.norm"]));
    tool.run(["lora", "base", "-a", "all", "-o", "back"]).done();
    let (tuned, back) = (read(&tool.path("tuned")), read(&tool.path("back")));
    assert_eq!(tuned.keys().collect::<Vec<_>>(), back.keys().collect::<Vec<_>>(), "the two tied ones stay one");
    assert_eq!(tool.json("back/config.json")["tie_word_embeddings"], json!(true));
    for (name, tensor) in &tuned {
        close(&back[name].numbers(), &tensor.numbers());
    }
    assert_eq!(tuned["model.embed_tokens.weight"], back["model.embed_tokens.weight"]);
}

#[test]
fn a_transplanted_model_keeps_rows_by_token() {
    let tool = Tool::new();
    let model = Toy::new(1);
    model.write(&tool.path("model"));
    let mut donor = Toy::new(2);
    donor.tokens.swap(3, 30);
    donor.tokens[7] = "fresh".into();
    donor.write(&tool.path("donor"));
    let rows = |name: &str| -> Vec<Vec<f32>> {
        read(&tool.path(name))["model.embed_tokens.weight"].numbers().chunks(16).map(<[f32]>::to_vec).collect()
    };
    let own = rows("model");
    for way in ["omp", "mean", "subword"] {
        tool.run(["transplant", "model", "--tokenizer", "donor", "--method", way, "--k", "16", "-o", way]).done();
        let moved = rows(way);
        assert_eq!((&moved[3], &moved[30], &moved[5]), (&own[30], &own[3], &own[5]), "{way}");
        assert_eq!(tool.json(&format!("{way}/tokenizer.json")), tool.json("donor/tokenizer.json"));
    }
    let mean: Vec<f32> = (0..16).map(|at| own.iter().map(|row| row[at]).sum::<f32>() / own.len() as f32).collect();
    close(&rows("mean")[7], &mean);
    // where the donor's new row is that of a shared token, so is ours
    let shared = raw(Dtype::F32, &noise(5, 16));
    let place = donor.tensor("embed_tokens.weight");
    place.3[7 * 64..8 * 64].copy_from_slice(&shared);
    place.3[9 * 64..10 * 64].copy_from_slice(&shared);
    donor.write(&tool.path("donor"));
    tool.run(["transplant", "model", "--tokenizer", "donor", "--k", "4", "-o", "same"]).done();
    close(&rows("same")[7], &own[9]);
}
