//! What cannot be followed, and what is said about it.

use serde_json::json;

use crate::small::{Small, stage};

#[test]
fn recipes_that_cannot_be_followed_are_refused_by_name() {
    let tool = stage("");
    for (set, words) in [
        ("optimiser.speed=1", vec!["speed", "hint: "]),
        ("optimiser.rate=0", vec!["optimiser.rate"]),
        ("student.path=nowhere", vec!["nowhere"]),
        ("student.layers=9", vec!["student.layers", "3"]),
        ("student.keep_layers=[0, 7]", vec!["keep_layers", "7"]),
        ("data.source.0.path=nothing.jsonl", vec!["nothing.jsonl"]),
        ("objective.kind=kd", vec!["[[teacher]]"]),
    ] {
        tool.run(["run", "recipe.toml", "-o", "out", "--set", set]).refused(1, &words);
    }
    tool.run(["run", "recipe.toml"]).refused(2, &["--output"]);
    tool.run(["check", "no.toml"]).refused(1, &["no.toml"]);
    let adapter = ["run", "recipe.toml", "-o", "out", "--set", "adapter.modules=['nothing_proj']"];
    tool.run(adapter).refused(1, &["nothing_proj"]);
}

#[test]
#[cfg(not(feature = "gpu"))]
fn a_gpu_is_not_promised() {
    let tool = stage("");
    let on = |device| tool.run(["run", "recipe.toml", "-o", "out", "--device", device]);
    on("gpu:0").refused(1, &["gpu:0", "without the feature `gpu`", "hint: "]);
    on("tpu").refused(2, &["tpu", "gpu:0"]);
    assert!(on("list").done().starts_with("cpu  "));
    assert!(!tool.path("out").exists());
}

#[test]
fn empty_sets_are_refused() {
    let tool = stage("");
    tool.write("data.jsonl", "");
    tool.run(["run", "recipe.toml", "-o", "out"]).refused(1, &["nothing to learn from", "data.jsonl"]);
    tool.write("data.jsonl", b"\xff\xfe{}\n[1]\n");
    tool.run(["run", "recipe.toml", "-o", "out"]).refused(1, &["nothing to learn from", "line 1", "line 2"]);
    tool.write("data.jsonl", "{\"text\":\"one\"}\n");
    let held = ["run", "recipe.toml", "-o", "out", "--set", "data.validation=0.999999999"];
    tool.run(held).refused(1, &["held out", "data.validation"]);
    assert!(!tool.path("out/model.safetensors").exists());
}

#[test]
fn checkpoints_that_contradict_themselves_are_refused() {
    let tool = stage("");
    let run = |small: &Small| {
        small.write(&tool, "student");
        tool.run(["run", "recipe.toml", "-o", "out"])
    };
    let mut small = Small::new();
    small.config["hidden_size"] = json!(64);
    run(&small).refused(1, &["shape", "expected", "hint: "]);
    let mut small = Small::new();
    small.config["model_type"] = json!("mamba");
    run(&small).refused(1, &["mamba", "llama"]);
    let mut small = Small::new();
    small.tensors.retain(|tensor| !tensor.0.ends_with("1.mlp.up_proj.weight"));
    run(&small).refused(1, &["model.layers.1.mlp.up_proj.weight"]);
    let mut small = Small::new();
    small.tensors.push(("model.extra.weight".into(), "BF16", vec![1], vec![0, 0]));
    run(&small).refused(1, &["model.extra.weight", "no place"]);
    let mut small = Small::new();
    small.tensors[0].1 = "I16";
    run(&small).refused(1, &["I16", "F32, F16 or BF16"]);
    let mut small = Small::new();
    small.tensors[3].3[..2].copy_from_slice(&[0xff, 0x7f]);
    run(&small).refused(1, &["NaN", "k_proj"]);
    let mut small = Small::new();
    small.config["rope_scaling"] = json!({"rope_type": "dynamic", "factor": 4.0});
    run(&small).refused(1, &["dynamic", "linear"]);
    let mut small = Small::new();
    small.config["model_type"] = json!("gemma3_text");
    run(&small).refused(1, &["gemma3_text", "students are `llama`, `qwen2`, `qwen3`"]);
    let mut small = Small::new();
    small.config["partial_rotary_factor"] = json!(0.5);
    run(&small).refused(1, &["0.5 of a head"]);
}

#[test]
fn a_folder_with_another_recipes_run_is_left_alone() {
    let tool = stage("");
    tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "2"]).done();
    let other = ["run", "recipe.toml", "-o", "out", "--set", "optimiser.rate=1e-3"];
    tool.run(other).refused(1, &["another recipe", "--fresh"]);
    let smaller = ["run", "recipe.toml", "-o", "out", "--set", "adapter.rank=4"];
    tool.run(smaller).refused(1, &["another recipe", "--fresh"]);
    tool.run(other.into_iter().chain(["--fresh", "--max-steps", "1"])).done();
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_keeps_the_checkpoint() {
    let tool = stage("[safety]\ncheckpoint_every = 2\nspike = 0.0\n");
    tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "2"]).done();
    let before = std::fs::read(tool.path("out/model.safetensors")).unwrap();
    let wild =
        ["run", "recipe.toml", "-o", "wild", "--set", "optimiser.rate=0.99", "--set", "optimiser.clip=0", "--set"];
    let wild = wild.into_iter().chain(["optimiser.weight_decay=1e30", "--set", "schedule.warmup=0"]);
    tool.run(wild).refused(1, &["NaN or infinite", "in a row", "optimiser.rate"]);
    assert_eq!(before, std::fs::read(tool.path("out/model.safetensors")).unwrap());
}

#[test]
fn nothing_is_written_over_what_is_read_or_what_is_somebody_elses() {
    let tool = stage("");
    let before = std::fs::read(tool.path("student/model.safetensors")).unwrap();
    tool.run(["run", "recipe.toml", "-o", "student"]).refused(1, &["student", "would be overwritten", "hint: "]);
    std::os::unix::fs::symlink("student", tool.path("link")).unwrap();
    tool.run(["run", "recipe.toml", "-o", "link"]).refused(1, &["would be overwritten"]);
    tool.run(["run", "recipe.toml", "-o", "."]).refused(1, &["no run of this program", "hint: "]);
    assert!(!tool.path("README.md").exists() && !tool.path("run").exists() && !tool.path("student/run").exists());
    // A run's own output, which is then the student of another.
    tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "1"]).done();
    let again = ["run", "recipe.toml", "-o", "out", "--set", "student.path=out"];
    tool.run(again).refused(1, &["would be overwritten"]);
    assert!(std::fs::read(tool.path("student/model.safetensors")).unwrap() == before);
    let smaller = ["run", "recipe.toml", "-o", "less", "--set", "adapter.rank=4", "--set", "student.layers=2"];
    tool.run(smaller).refused(1, &["`[adapter]`", "smaller student"]);
}

#[test]
fn a_run_goes_on_only_with_the_student_it_began_with() {
    let tool = stage("");
    tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "2"]).done();
    tool.run(["run", "./recipe.toml", "-o", "out", "--max-steps", "3"]).done();
    let path = tool.path("student/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    tool.run(["run", "recipe.toml", "-o", "out"]).refused(1, &["student", "has changed", "hint: "]);
    tool.run(["run", "recipe.toml", "-o", "out", "--fresh", "--max-steps", "1"]).done();
}
