//! What `check` says, from headers alone.

use serde_json::{Value, json};
use zord::weights::safetensors::Dtype;

#[cfg(all(feature = "engine", feature = "train"))]
use crate::golden_data::{beside, checkpoint, json as json_of};
use crate::hub::{Reply, Server, honest, linked};
use crate::tool::{Tool, read};
use crate::toy::{Toy, sparse};

/// The shapes of the three models that Zord Coder learns from; no weights.
fn teachers(tool: &Tool) {
    let llama = |layers: u64, hidden: u64, inner: u64, keys: u64, vocabulary: u64, bias: bool, tied: bool| {
        let mut all: Vec<(String, Vec<u64>)> = vec![
            ("model.embed_tokens.weight".into(), vec![vocabulary, hidden]),
            ("model.norm.weight".into(), vec![hidden]),
        ];
        if !tied {
            all.push(("lm_head.weight".into(), vec![vocabulary, hidden]));
        }
        for layer in 0..layers {
            let mut put =
                |rest: &str, shape: &[u64]| all.push((format!("model.layers.{layer}.{rest}"), shape.to_vec()));
            put("input_layernorm.weight", &[hidden]);
            put("post_attention_layernorm.weight", &[hidden]);
            put("self_attn.q_proj.weight", &[hidden, hidden]);
            put("self_attn.k_proj.weight", &[keys, hidden]);
            put("self_attn.v_proj.weight", &[keys, hidden]);
            put("self_attn.o_proj.weight", &[hidden, hidden]);
            put("mlp.gate_proj.weight", &[inner, hidden]);
            put("mlp.up_proj.weight", &[inner, hidden]);
            put("mlp.down_proj.weight", &[hidden, inner]);
            if bias {
                put("self_attn.q_proj.bias", &[hidden]);
                put("self_attn.k_proj.bias", &[keys]);
                put("self_attn.v_proj.bias", &[keys]);
            }
        }
        all
    };
    let config = |class: &str, kind: &str, layers: u64, hidden: u64, inner: u64, vocabulary: u64| {
        json!({"architectures": [class], "model_type": kind, "num_hidden_layers": layers, "hidden_size": hidden,
            "intermediate_size": inner, "vocab_size": vocabulary})
    };
    let deepseek = config("LlamaForCausalLM", "llama", 24, 2048, 5504, 32256);
    sparse(&tool.path("deepseek"), &deepseek, Dtype::BF16, &llama(24, 2048, 5504, 2048, 32256, false, false));
    let mut qwen = config("Qwen2ForCausalLM", "qwen2", 28, 1536, 8960, 151_936);
    qwen["tie_word_embeddings"] = json!(true);
    sparse(&tool.path("qwen"), &qwen, Dtype::BF16, &llama(28, 1536, 8960, 256, 151_936, true, true));
    let glm = json!({"architectures": ["ChatGLMModel"], "model_type": "chatglm", "num_layers": 28, "hidden_size": 4096,
        "ffn_hidden_size": 13696, "padded_vocab_size": 65024});
    let mut tensors: Vec<(String, Vec<u64>)> = vec![
        ("transformer.embedding.word_embeddings.weight".into(), vec![65024, 4096]),
        ("transformer.encoder.final_layernorm.weight".into(), vec![4096]),
        ("transformer.output_layer.weight".into(), vec![65024, 4096]),
    ];
    for layer in 0..28 {
        let mut put = |rest: &str, shape: &[u64]| {
            tensors.push((format!("transformer.encoder.layers.{layer}.{rest}"), shape.to_vec()));
        };
        put("input_layernorm.weight", &[4096]);
        put("self_attention.query_key_value.weight", &[4608, 4096]);
        put("self_attention.query_key_value.bias", &[4608]);
        put("self_attention.dense.weight", &[4096, 4096]);
        put("mlp.dense_h_to_4h.weight", &[27392, 4096]);
        put("mlp.dense_4h_to_h.weight", &[4096, 13696]);
    }
    sparse(&tool.path("chatglm"), &glm, Dtype::F16, &tensors);
}

const MISSION: &str = "merge_method: linear\nmodels:\n  - {model: deepseek, parameters: {weight: 0.6}}\n  \
    - {model: qwen, parameters: {weight: 0.25}}\n  - {model: chatglm, parameters: {weight: 0.15}}\n";

#[test]
fn models_that_share_no_shape_are_told_apart_with_their_numbers() {
    let tool = Tool::new();
    teachers(&tool);
    tool.write("mission.yml", MISSION);
    let ran = tool.run(["check", "mission.yml"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for word in [
        "LlamaForCausalLM",
        "Qwen2ForCausalLM",
        "ChatGLMModel",
        "2048",
        "1536",
        "4096",
        "32256",
        "151936",
        "65024",
        "they share the shape of 0",
        "model.layers.*.mlp.gate_proj.weight",
        "zord-distill run",
        "student-3",
        "parameters.weight = 0.6\n",
        "parameters.weight = 0.25\n",
        "parameters.weight = 0.15\n",
        "2408.07990",
        "zord-coder-v1.toml",
    ] {
        assert!(ran.out.contains(word), "`{word}` is not in: {}", ran.out);
    }
    // in summary, not layer by layer
    assert!(ran.out.lines().count() < 80, "{}", ran.out);
    let found: Value = serde_json::from_str(&tool.run(["check", "mission.yml", "--json"]).out).unwrap();
    assert_eq!(found["ok"], json!(false));
    let problems = found["problems"].as_array().unwrap();
    assert!(problems.iter().any(|problem| problem["tensor"] == "model.layers.23.mlp.up_proj.weight"));
    assert!(problems.iter().all(|problem| !problem["reason"].as_str().unwrap().is_empty()));
    tool.run(["run", "mission.yml", "-o", "out"]).refused(1, &["different architectures", "zord-merge check"]);
    assert_eq!(tool.names(), ["chatglm", "deepseek", "mission.yml", "qwen"]);
}

/// Small models that can be read, in the place of the large ones; a student, data, and a recipe for it.
#[cfg(all(feature = "engine", feature = "train"))]
fn small_school(tool: &Tool) {
    let converted = json_of("convert.json");
    for (name, small) in [("deepseek", "llama-linear"), ("qwen", "qwen2"), ("chatglm", "chatglm")] {
        std::fs::remove_dir_all(tool.path(name)).unwrap();
        checkpoint(&tool.path(name), &converted[small]);
        beside(&tool.path(name), &converted[small]["beside"]);
    }
    let distilled = json_of("distill.json");
    checkpoint(&tool.path("student"), &distilled["llama"]["checkpoints"]["student"]);
    let files = json!({"tokenizer.json": null, "tokenizer_config.json": distilled["settings"]});
    beside(&tool.path("student"), &files);
    tool.write("data.jsonl", distilled["data"]["data.jsonl"].as_str().unwrap());
    tool.write("recipe.toml", distilled["recipes"]["sft"].as_str().unwrap());
}

#[test]
#[cfg(all(feature = "engine", feature = "train"))]
fn the_route_that_is_printed_leads_to_a_merge() {
    let tool = Tool::new();
    teachers(&tool);
    tool.write("mission.yml", MISSION);
    let text = tool.run(["check", "mission.yml"]).out;
    let recipe = text.split("with students.toml:\n\n").nth(1).unwrap().split("\n\n`assets").next().unwrap();
    tool.write("students.toml", recipe);
    small_school(&tool);
    let commands: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  zord-"))
        .map(|line| format!("zord-{}", line.replace("RECIPE", "recipe.toml")))
        .collect();
    assert_eq!(commands.len(), 7, "{text}");
    let programs = std::path::Path::new(crate::PROGRAM).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for command in commands {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &command]).current_dir(tool.folder()).env("PATH", &path).env("ZORD_HOME", tool.folder());
        let ran = crate::ran::Ran::of(&shell.output().unwrap());
        assert_eq!(ran.code, Some(0), "{command}: {}{}", ran.out, ran.err);
    }
    let students = [1, 2, 3].map(|at| read(&tool.path(&format!("student-{at}"))));
    assert!(students[0] != students[1] && students[1] != students[2], "each learnt from another teacher");
    let merged = read(&tool.path("merged"));
    assert!(merged.len() == students[0].len() && !students.contains(&merged));
    // Weights are shares of one: 0.60, 0.25 and 0.15.
    for (name, tensor) in merged {
        let [a, b, c] = [0, 1, 2].map(|at| students[at][&name].numbers());
        let mean = |at: usize| 0.6 * a[at] + 0.25 * b[at] + 0.15 * c[at];
        // bf16 has eight bits
        let off = |(at, x): (usize, f32)| (x - mean(at)).abs() > mean(at).abs() / 200.0 + 1e-6;
        assert!(!tensor.numbers().into_iter().enumerate().any(off), "{name}");
    }
}

#[test]
fn zord_coders_recipe_merges_students() {
    let tool = Tool::new();
    for (at, student) in ["deepseek", "qwen", "chatglm"].into_iter().enumerate() {
        Toy::new(at as u32 + 1).write(&tool.path(&format!("students/{student}")));
    }
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/recipes/zord-coder-v1.toml");
    tool.run(["check", recipe]).done();
    tool.run(["run", recipe, "-o", "out"]).done();
    assert_eq!(crate::tool::read(&tool.path("out")).len(), 10);
}

#[test]
fn what_is_right_is_said_with_sizes_that_hold() {
    let tool = Tool::new();
    Toy::new(0).write(&tool.path("base"));
    Toy::new(1).write(&tool.path("a"));
    let recipe = "merge_method: ties\nbase_model: base\nmodels:\n  - {model: a, parameters: {weight: 1, density: 0.5}}\n\
        dtype: float32\nout_dtype: bfloat16\n";
    tool.write("r.yml", recipe);
    let text = tool.run(["check", "r.yml", "--tensors"]).done();
    assert!(text.contains("nothing is wrong") && text.contains("model.layers.1.mlp.up_proj.weight"), "{text}");
    let found: Value = serde_json::from_str(&tool.run(["check", "r.yml", "--json"]).done()).unwrap();
    tool.run(["run", "r.yml", "-o", "out"]).done();
    let written: u64 = crate::tool::read(&tool.path("out")).values().map(|tensor| tensor.raw.len() as u64).sum();
    assert_eq!(found["output_bytes"], json!(written));
    assert_eq!(found["problems"], json!([]));
    assert!(found["peak_bytes"].as_u64().unwrap() < 1 << 30);
    assert!(found["seconds"].as_f64().is_some());
}

/// A repository of a toy; of its weights nothing but the header ever comes.
fn repository(toy: &Toy, tool: &Tool) -> Server {
    toy.write(&tool.path("repository"));
    let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
    let files = files.map(|name| (name, std::fs::read(tool.path("repository").join(name)).unwrap()));
    std::fs::remove_dir_all(tool.path("repository")).unwrap();
    Server::start(move |_, asked| {
        if asked.path.contains("/api/models/") {
            let entries = files.iter().map(|(name, bytes)| json!({"type": "file", "path": name, "size": bytes.len()}));
            return Reply::Answer(200, Vec::new(), json!(entries.collect::<Vec<_>>()).to_string().into_bytes());
        }
        let found = files.iter().find(|(name, _)| asked.path == format!("/own/er/resolve/main/{name}"));
        let (name, bytes) = found.unwrap_or_else(|| panic!("{}", asked.path));
        if !name.ends_with(".safetensors") {
            return honest(bytes, asked);
        }
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        Reply::Stall(linked(bytes), bytes.len(), bytes[..header].to_vec())
    })
}

#[test]
fn of_a_repository_that_is_not_here_only_headers_are_fetched() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("a"));
    let server = repository(&Toy::new(2), &tool);
    let check = |recipe: &str| {
        tool.write("r.yml", recipe);
        let mut command = tool.command(["check", "r.yml", "--json"]);
        let ran = command.env("HF_ENDPOINT", server.url()).env("NO_PROXY", "127.0.0.1").output().unwrap();
        serde_json::from_slice::<Value>(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    };
    let recipe = "merge_method: linear\nparameters: {weight: 0.5}\nmodels: [{model: a}, {model: own/er}]\n";
    let found = check(recipe);
    assert_eq!((&found["ok"], &found["tensors"]), (&json!(true), &json!(10)), "{found}");
    let notices = found["notices"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice.as_str().unwrap().contains("`hf:own/er` is not here")), "{found}");
    // what is wrong with it is told as of a folder
    let found = check(&recipe.replace("linear", "slerp").replace("weight", "t"));
    assert_eq!(found["ok"], json!(false), "{found}");
    let left = std::fs::read_dir(tool.path("cache/headers")).map_or(0, Iterator::count);
    assert_eq!((left, tool.path("models").join("own").exists()), (0, false), "nothing stays");
}

#[test]
fn doubles_are_written_and_what_they_are_reckoned_in_is_said() {
    let tool = Tool::new();
    Toy::new(1).write(&tool.path("a"));
    Toy::new(2).write(&tool.path("b"));
    let recipe = "merge_method: linear\nparameters: {weight: 0.5}\nmodels: [{model: a}, {model: b}]\ndtype: float64\n";
    let ran = tool.merge(recipe, &[]);
    assert!(ran.err.contains("arithmetic is in f32"), "{}", ran.err);
    ran.done();
    let (a, b, out) = (read(&tool.path("a")), read(&tool.path("b")), read(&tool.path("out")));
    assert_eq!(tool.json("out/config.json")["torch_dtype"], json!("float64"));
    for (name, tensor) in &out {
        assert_eq!(tensor.dtype, Dtype::F64, "{name}");
        let want = a[name].numbers().into_iter().zip(b[name].numbers()).map(|(a, b)| (0.5 * a + 0.5 * b) / 1.0);
        assert_eq!(tensor.numbers(), want.collect::<Vec<f32>>(), "{name}");
    }
}
