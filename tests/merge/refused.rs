//! What is refused: by name, with the way out, and with nothing under the final name.

use serde_json::json;
use zord::weights::safetensors::Dtype;

use crate::tool::{Ran, Tool, read};
use crate::toy::Toy;

const LINEAR: &str =
    "merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: 1}}\n  - {model: b, parameters: {weight: 1}}\n";
const TIES: &str = "merge_method: ties\nbase_model: base\nmodels:\n  - {model: a, parameters: {weight: 1, density: 0.5}}\n  - {model: b, parameters: {weight: 1, density: 0.5}}\n";

fn three() -> (Tool, [Toy; 3]) {
    (Tool::new(), [Toy::new(0), Toy::new(1), Toy::new(2)])
}

fn merge(tool: &Tool, toys: &[Toy; 3], recipe: &str, more: &[&str]) -> Ran {
    for (toy, name) in toys.iter().zip(["base", "a", "b"]) {
        toy.write(&tool.path(name));
    }
    tool.merge(recipe, more)
}

/// Nothing under the final name, and nothing hidden that holds only a fault.
fn clean(tool: &Tool) {
    assert!(!tool.path("out").exists() && !tool.path(".out.partial").exists(), "{:?}", tool.names());
}

#[test]
fn models_that_do_not_fit_are_named_tensor_by_tensor() {
    type Damage = fn(&mut Toy);
    let cases: [(Damage, &[&str]); 10] = [
        (|toy| toy.config["model_type"] = json!("gpt2"), &["different architectures", "`a`", "`b`"]),
        (|toy| toy.config["hidden_size"] = json!(32), &["different hidden sizes", "16", "32"]),
        (
            |toy| {
                let tensor = toy.tensor("layers.1.mlp.up_proj.weight");
                (tensor.2, tensor.3) = (vec![20, 16], vec![0; 20 * 16 * 4]);
            },
            &["`model.layers.1.mlp.up_proj.weight`", "[24, 16]", "[20, 16]", "model.safetensors"],
        ),
        (
            |toy| toy.tensors.retain(|tensor| !tensor.0.ends_with("1.self_attn.q_proj.weight")),
            &["`model.layers.1.self_attn.q_proj.weight`", "missing in"],
        ),
        (
            |toy| toy.tensors.push(("model.extra.weight".into(), Dtype::F32, vec![2], vec![0; 8])),
            &["`model.extra.weight`", "missing in", "`b` has it"],
        ),
        (
            |toy| {
                let tensor = toy.tensor("model.norm.weight");
                (tensor.1, tensor.3) = (Dtype::I32, vec![1; 64]);
            },
            &["`model.norm.weight`", "F32, I32"],
        ),
        (
            |toy| {
                let tensor = toy.tensor("model.norm.weight");
                (tensor.1, tensor.3) = (Dtype::F16, vec![0; 32]);
            },
            &["`model.norm.weight`", "F32 in `a` (model.safetensors), F16 in `b`", "dtype: float32"],
        ),
        (
            |toy| toy.tokens.swap(3, 4),
            &["the tokenizers of `a` and `b` differ", "2 tokens have other numbers", "source: base"],
        ),
        (
            |toy| {
                let tensor = toy.tensor("embed_tokens.weight");
                (tensor.2, tensor.3) = (vec![41, 16], vec![0; 41 * 16 * 4]);
                toy.tokens.push("more".into());
            },
            &["`model.embed_tokens.weight`", "[40, 16]", "[41, 16]", "source: base"],
        ),
        (|toy| toy.config["quantization_config"] = json!({"quant_method": "gptq"}), &["quantized, by `gptq`"]),
    ];
    for (damage, words) in cases {
        let (tool, mut toys) = three();
        damage(&mut toys[2]);
        merge(&tool, &toys, LINEAR, &[]).refused(1, words);
        assert_eq!(tool.names(), ["a", "b", "base", "recipe.yml"], "{words:?}");
    }
}

#[test]
fn numbers_that_are_none_are_named_with_file_and_place() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::NEG_INFINITY, "an infinite number")] {
        for recipe in [LINEAR, TIES] {
            let (tool, mut toys) = three();
            toys[2].set("layers.1.mlp.down_proj.weight", 7, value);
            let words =
                ["`model.layers.1.mlp.down_proj.weight`", "b/model.safetensors", word, "element 7", "--allow-nan"];
            merge(&tool, &toys, recipe, &[]).refused(1, &words);
            clean(&tool);
        }
    }
    let (tool, mut toys) = three();
    toys[2].set("layers.1.mlp.down_proj.weight", 7, f32::NAN);
    merge(&tool, &toys, LINEAR, &["--allow-nan"]).done();
    assert!(read(&tool.path("out"))["model.layers.1.mlp.down_proj.weight"].numbers()[7].is_nan());
    // finite in f32, too large for f16
    let (tool, mut toys) = three();
    toys[1].set("model.norm.weight", 3, 1e6);
    let recipe = format!("{LINEAR}out_dtype: float16\n");
    merge(&tool, &toys, &recipe, &[])
        .refused(1, &["`model.norm.weight`", "too large for F16", "element 3", "bfloat16"]);
    clean(&tool);
}

#[test]
fn recipes_that_make_no_sense_are_refused_with_their_line() {
    let task = |parameters: &str| TIES.replace("weight: 1, density: 0.5", parameters);
    let cases: [(String, &[&str]); 19] = [
        (LINEAR.replace("weight: 1", "weight: 0"), &["sum to zero"]),
        (LINEAR.replacen("weight: 1", "weight: -1", 1), &["sum to zero", "[-1.0, 1.0]", "tensors more like it"]),
        (LINEAR.replacen("weight: 1", "weight: 1e39", 1), &["`weight` must be finite in f32"]),
        (task("weight: 1, density: 1.5"), &["`density` must be in [0, 1], and is 1.5", "line 4"]),
        (task("weight: 1, density: -0.1"), &["`density` must be in [0, 1]"]),
        (task("weight: 1, density: [0.2, {a: 1}]"), &["a filtered value", "line 4"]),
        (task("weight: heavy"), &["`weight` must be a number", "`heavy`"]),
        (task("density: 0.5"), &["the parameter `weight` of model 1 is not given"]),
        (TIES.replace("base_model: base\n", ""), &["the method `ties` needs a `base_model`"]),
        (TIES.replace("ties", "tise"), &["no method `tise`", "dare_ties", "line 1"]),
        (TIES.replace("density", "densty"), &["`densty` is no parameter of `ties`", "`density`", "line 4"]),
        (format!("{TIES}tokeniser: base\n"), &["the recipe has the unknown key `tokeniser`", "line 6", "`tokenizer`"]),
        (format!("{TIES}dtype: int8\n"), &["`int8` is no dtype", "line 6"]),
        (TIES.replace("merge_method: ties\n", ""), &["the recipe has no `merge_method`"]),
        (
            "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\nmodels: [{model: a}]\n".into(),
            &["exactly 1 models besides the base", "there are 0"],
        ),
        (
            "merge_method: linear\nmodels: [{model: a}, {model: a}]\nparameters: {weight: 1}\n".into(),
            &["`a` is there twice"],
        ),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [1, 5]}]}]\n".into(),
            &["layers 1 to 5 of `a`", "which has 2"],
        ),
        (
            "merge_method: della\nbase_model: base\nmodels: [{model: a, parameters: {weight: 1, density: 0.9}}]\n"
                .into(),
            &["`epsilon`", "outside (0, 1)"],
        ),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}\n".into(), &["line "]),
    ];
    for (recipe, words) in cases {
        let (tool, toys) = three();
        merge(&tool, &toys, &recipe, &[]).refused(1, words);
        clean(&tool);
    }
}

#[test]
fn damaged_files_are_named() {
    let (tool, toys) = three();
    merge(&tool, &toys, "x", &[]);
    let file = tool.path("b/model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    tool.merge(LINEAR, &[]).refused(1, &["b/model.safetensors", "truncated"]);
    clean(&tool);
    // one of two parts is cut, another one missing
    std::fs::remove_file(&file).unwrap();
    let mut half = toys[2].clone();
    half.tensors.truncate(4);
    half.write(&tool.path("b"));
    std::fs::rename(tool.path("b/model.safetensors"), tool.path("b/model-00001-of-00002.safetensors")).unwrap();
    tool.merge(LINEAR, &[]).refused(1, &["model-00002-of-00002.safetensors"]);
    std::fs::write(tool.path("b/model-00002-of-00002.safetensors"), b"short").unwrap();
    tool.merge(LINEAR, &[]).refused(1, &["model-00002-of-00002.safetensors", "truncated"]);
    clean(&tool);
    tool.merge(&LINEAR.replace("model: b", "model: nowhere"), &[]).refused(1, &["`nowhere`", "\n\nhint: "]);
    std::fs::remove_file(tool.path("a/config.json")).unwrap();
    tool.merge(LINEAR, &[]).refused(1, &["a/config.json"]);
    clean(&tool);
}

#[test]
fn places_that_are_taken_or_too_small_are_known_before_anything_is_written() {
    let (tool, toys) = three();
    tool.write("out/precious", "x");
    merge(&tool, &toys, LINEAR, &[]).refused(1, &["`out` is there already"]);
    assert_eq!(std::fs::read_to_string(tool.path("out/precious")).unwrap(), "x");
    // a result larger than any disk: shapes without weights
    let config = toys[0].config.clone();
    let shapes: Vec<(String, Vec<u64>)> =
        (0..4).map(|layer| (format!("model.layers.{layer}.mlp.up_proj.weight"), vec![1 << 21, 1 << 18])).collect();
    crate::toy::sparse(&tool.path("huge"), &config, Dtype::BF16, &shapes);
    let recipe = "merge_method: passthrough\nmodels: [{model: huge}]\n";
    tool.write("huge.yml", recipe);
    tool.run(["run", "huge.yml", "-o", "giant"]).refused(1, &["no room", "are needed", "are free"]);
    assert!(!tool.names().iter().any(|name| name.contains("giant")), "{:?}", tool.names());
    // room for a checkpoint, and not for a GGUF file beside it
    let facts = rustix::fs::statvfs(tool.path(".")).unwrap();
    let rows = facts.f_bavail * facts.f_frsize / 10 * 7 / (2 << 18);
    let shapes = [("model.layers.0.mlp.up_proj.weight".to_owned(), vec![rows, 1 << 18])];
    crate::toy::sparse(&tool.path("huge"), &config, Dtype::BF16, &shapes);
    tool.run(["run", "huge.yml", "-o", "giant.gguf"]).refused(1, &["no room", "are needed", "are free"]);
    assert!(!tool.names().iter().any(|name| name.contains("giant")), "{:?}", tool.names());
}

#[test]
fn hostile_recipes_end_quickly() {
    let tool = Tool::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let names = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{names}]\n"));
    }
    tool.merge(&bomb, &[]).refused(1, &["recipe.yml", "parts"]);
    tool.merge(&"[".repeat(100_000), &[]).refused(1, &["recipe.yml"]);
    tool.merge("\u{0}\u{1b}[2J", &[]).refused(1, &["recipe.yml"]);
    tool.write("r.toml", "merge_method = 1\n[[models]]\nmodel = \"a\"\nmodle = \"b\"\n");
    tool.run(["check", "r.toml"]).refused(1, &["r.toml"]);
}
