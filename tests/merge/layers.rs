//! Layers repeated, dropped and put together from several models.

use std::collections::BTreeMap;

use serde_json::json;
use zord::weights::safetensors::Dtype;

use crate::tool::{Read, Tool, read};
use crate::toy::{Tensor, Toy, noise, raw, weights};

/// Qwen3-0.6B's shapes, smaller in every dimension that does not matter here, with numbers that differ from tensor to tensor.
fn qwen3(tool: &Tool, name: &str, seed: u32) {
    let (hidden, inner, head, heads, keys, vocabulary) = (16, 48, 4, 8, 4, 64);
    let mut all: Vec<(String, Vec<usize>)> = vec![
        ("model.embed_tokens.weight".into(), vec![vocabulary, hidden]),
        ("model.norm.weight".into(), vec![hidden]),
    ];
    for layer in 0..28 {
        let mut put =
            |rest: &str, shape: &[usize]| all.push((format!("model.layers.{layer}.{rest}.weight"), shape.to_vec()));
        put("input_layernorm", &[hidden]);
        put("post_attention_layernorm", &[hidden]);
        put("self_attn.q_proj", &[head * heads, hidden]);
        put("self_attn.k_proj", &[head * keys, hidden]);
        put("self_attn.v_proj", &[head * keys, hidden]);
        put("self_attn.o_proj", &[hidden, head * heads]);
        put("self_attn.q_norm", &[head]);
        put("self_attn.k_norm", &[head]);
        put("mlp.gate_proj", &[inner, hidden]);
        put("mlp.up_proj", &[inner, hidden]);
        put("mlp.down_proj", &[hidden, inner]);
    }
    let kinds: Vec<&str> =
        (0..28).map(|layer| if layer < 14 { "full_attention" } else { "sliding_attention" }).collect();
    let config = json!({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_hidden_layers": 28,
        "hidden_size": hidden, "intermediate_size": inner, "vocab_size": vocabulary, "tie_word_embeddings": true,
        "max_window_layers": 28, "layer_types": kinds});
    let tensor = |(at, (name, shape)): (u32, (String, Vec<usize>))| -> Tensor {
        let values = noise(seed * 1000 + at, shape.iter().product());
        (name, Dtype::BF16, shape, raw(Dtype::BF16, &values))
    };
    std::fs::create_dir_all(tool.path(name)).unwrap();
    weights(&tool.path(name).join("model.safetensors"), &(0..).zip(all).map(tensor).collect::<Vec<_>>());
    std::fs::write(tool.path(name).join("config.json"), config.to_string()).unwrap();
}

type Tensors = BTreeMap<String, Read>;

/// That each layer of the merge is the one of a parent, to the bit where it is not scaled; `from` tells whose, which, and by
/// what `o_proj` and `down_proj` are multiplied.
fn came_from<'a>(out: &Tensors, layers: usize, from: impl Fn(usize) -> (&'a Tensors, usize, f32)) {
    let own = |layer: usize| format!("model.layers.{layer}.");
    for layer in 0..layers {
        let (parent, old, scale) = from(layer);
        let parts = parent.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(&own(old))?, tensor)));
        let parts: Vec<_> = parts.collect();
        assert_eq!(parts.len(), 11);
        for (part, tensor) in parts {
            let found = &out[&(own(layer) + part)];
            let scaled = scale != 1.0 && (part.contains("o_proj") || part.contains("down_proj"));
            // bf16 has eight bits
            let near = |(a, b): (f32, f32)| (a - b * scale).abs() <= (b * scale).abs() / 256.0;
            let same =
                if scaled { found.numbers().into_iter().zip(tensor.numbers()).all(near) } else { found == tensor };
            assert!(same, "{layer}, {part}: not that of layer {old}");
        }
    }
}

#[test]
fn forty_two_layers_of_two_models_are_464_tensors() {
    let tool = Tool::new();
    let names = ["suayptalha/Qwen3-0.6B-Code-Expert", "Qwen/Qwen3-0.6B"];
    names.into_iter().zip(1..).for_each(|(name, seed)| qwen3(&tool, name, seed));
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/recipes/qwen3-42-layers.yml");
    let found: serde_json::Value = serde_json::from_str(&tool.run(["check", recipe, "--json"]).done()).unwrap();
    assert_eq!((&found["ok"], &found["tensors"]), (&json!(true), &json!(464)));
    tool.run(["run", recipe, "-o", "out"]).done();
    let merged = read(&tool.path("out"));
    assert_eq!(merged.len(), 464);
    assert!(!merged.contains_key("model.layers.42.mlp.down_proj.weight"));
    let [first, second] = names.map(|name| read(&tool.path(name)));
    let from = |layer| if layer < 21 { (&first, layer, 1.0) } else { (&second, layer - 21 + 7, 0.8) };
    came_from(&merged, 42, from);
    let config = tool.json("out/config.json");
    assert_eq!((&config["num_hidden_layers"], &config["max_window_layers"]), (&json!(42), &json!(42)));
    // layers 0 to 20, then 7 to 27: each keeps its kind
    let kinds = config["layer_types"].as_array().unwrap();
    assert_eq!(kinds.len(), 42);
    assert_eq!(kinds.iter().filter(|kind| **kind == "full_attention").count(), 14 + 7);
}

#[test]
fn layers_that_only_change_their_order_keep_their_kinds() {
    let tool = Tool::new();
    qwen3(&tool, "a", 1);
    let slice = |from: u32, to: u32| format!("  - sources: [{{model: a, layer_range: [{from}, {to}]}}]\n");
    tool.merge(&format!("merge_method: passthrough\nslices:\n{}{}", slice(14, 28), slice(0, 14)), &[]).done();
    let config = tool.json("out/config.json");
    assert_eq!(config["num_hidden_layers"], json!(28));
    let kinds = config["layer_types"].as_array().unwrap();
    assert!(kinds[..14].iter().all(|kind| kind == "sliding_attention"), "{kinds:?}");
    assert!(kinds[14..].iter().all(|kind| kind == "full_attention"), "{kinds:?}");
    let a = read(&tool.path("a"));
    came_from(&read(&tool.path("out")), 28, |layer| (&a, (layer + 14) % 28, 1.0));
}

#[test]
fn layers_lie_where_the_recipe_puts_them_and_scales_apply() {
    let tool = Tool::new();
    Toy::sized(1, 3, Dtype::F32).write(&tool.path("a"));
    Toy::sized(2, 3, Dtype::F32).write(&tool.path("b"));
    let recipe = "merge_method: passthrough\nslices:\n  - sources: [{model: a, layer_range: [0, 2]}]\n  \
        - sources: [{model: a, layer_range: [1, 2]}]\n  - sources:\n      - model: b\n        layer_range: [2, 3]\n        \
        parameters: {scale: [{filter: down_proj, value: 0.5}, {value: 1.0}]}\n";
    tool.merge(recipe, &[]).done();
    let (a, b, out) = (read(&tool.path("a")), read(&tool.path("b")), read(&tool.path("out")));
    let up = |layer: u32| format!("model.layers.{layer}.mlp.up_proj.weight");
    assert_eq!(out[&up(0)], a[&up(0)]);
    assert_eq!(out[&up(1)], a[&up(1)]);
    assert_eq!(out[&up(2)], a[&up(1)], "repeated");
    assert_eq!(out[&up(3)], b[&up(2)]);
    let down = |layer: u32| format!("model.layers.{layer}.mlp.down_proj.weight");
    let halved: Vec<f32> = b[&down(2)].numbers().iter().map(|n| n * 0.5).collect();
    assert_eq!(out[&down(3)].numbers(), halved);
    // before the layers from the first slice, behind them from the last
    assert_eq!(out["model.embed_tokens.weight"], a["model.embed_tokens.weight"]);
    assert_eq!(out["model.norm.weight"], b["model.norm.weight"]);
    assert_eq!(tool.json("out/config.json")["num_hidden_layers"], json!(4));
    assert_eq!(tool.json("out/tokenizer.json"), tool.json("a/tokenizer.json"));
}

#[test]
fn the_nearest_parameter_decides_and_gradients_run_through_the_layers() {
    let tool = Tool::new();
    Toy::sized(1, 3, Dtype::F32).write(&tool.path("a"));
    Toy::sized(2, 3, Dtype::F32).write(&tool.path("b"));
    let recipe = "merge_method: linear\nparameters: {normalize: false, weight: 7}\nslices:\n  - sources:\n      \
        - {model: a, layer_range: [0, 3], parameters: {weight: [1, 0]}}\n      \
        - {model: b, layer_range: [0, 3], parameters: {weight: [{filter: q_proj, value: 2}]}}\n    parameters: {weight: 3}\n";
    tool.merge(recipe, &[]).done();
    let (a, b, out) = (read(&tool.path("a")), read(&tool.path("b")), read(&tool.path("out")));
    let want = |name: &str, x: f32, y: f32| {
        let both = a[name].numbers().into_iter().zip(b[name].numbers());
        let want: Vec<f32> = both.map(|(a, b)| 0.0 + x * a + y * b).collect();
        let close = out[name].numbers().iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0));
        assert!(close, "{name}");
    };
    // b's filter does not fit, so the slice's weight counts for it, not the recipe's
    want("model.layers.0.mlp.up_proj.weight", 1.0, 3.0);
    want("model.layers.1.mlp.up_proj.weight", 0.5, 3.0);
    want("model.layers.1.self_attn.q_proj.weight", 0.5, 2.0);
    want("model.layers.2.mlp.up_proj.weight", 0.0, 3.0);
    want("model.norm.weight", 1.0, 3.0);
}
