//! What comes out of a run.

use serde_json::Value;

use crate::losses;
use crate::small::{Small, recipe, stage};

#[test]
fn a_student_learns_and_is_written_as_it_came() {
    let tool = stage("");
    let told = tool.run(["run", "recipe.toml", "-o", "out", "--json"]).json();
    let number = |key: &str| told[key].as_f64().unwrap_or_else(|| panic!("{key} in {told}"));
    assert!(number("loss_last") < number("loss_first") * 0.8, "{told}");
    assert!(number("val_loss_after") < number("val_loss_before") * 0.8, "{told}");
    assert_eq!(number("steps"), 12.0);
    assert!(number("tokens") > 1000.0 && number("tokens_per_s") > 0.0 && number("peak_rss") > 1e6);
    let header = |name: &str| {
        let bytes = std::fs::read(tool.path(name)).unwrap();
        let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
        header.as_object_mut().unwrap().remove("__metadata__");
        let shapes = |(name, place): (&String, &Value)| (name.clone(), place["dtype"].clone(), place["shape"].clone());
        header.as_object().unwrap().iter().map(shapes).collect::<Vec<_>>()
    };
    let (mut before, mut after) = (header("student/model.safetensors"), header("out/model.safetensors"));
    before.sort_by(|a, b| a.0.cmp(&b.0));
    after.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(before, after);
    // What was trained is a student again.
    let again =
        tool.run(["run", "recipe.toml", "-o", "again", "--set", "student.path=out", "--max-steps", "1", "--json"]);
    let again = again.json();
    let close = (again["val_loss_before"].as_f64().unwrap() - number("val_loss_after")).abs();
    // bfloat16 has eight bits; they move a loss of three by thousandths
    assert!(close < 0.02, "{again}");
    let card = std::fs::read_to_string(tool.path("out/README.md")).unwrap();
    assert!(card.contains("held-out loss") && card.contains("steps = 12"));
    assert!(card.starts_with("---\nlibrary_name: transformers\nbase_model: \"student\"\n"), "{card}");
    let here = tool.path("").to_string_lossy().into_owned();
    assert!(!card.contains(&here), "where files lie is nobody else's business");
    assert!(std::fs::read_to_string(tool.path("out/run/loss.svg")).unwrap().contains("polyline"));
    assert!(std::fs::read(tool.path("out/run/loss.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_student_that_is_not_changed_comes_out_to_the_bit() {
    let tool = stage("");
    let still = ["run", "recipe.toml", "-o", "out", "--set", "optimiser.rate=1e-30", "--set", "optimiser.eps=1.0"];
    tool.run(still.into_iter().chain(["--max-steps", "1"])).done();
    let data = |name: &str| {
        let bytes = std::fs::read(tool.path(name)).unwrap();
        let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + size..].to_vec()
    };
    assert!(data("student/model.safetensors") == data("out/model.safetensors"));
}

#[test]
fn adapters_of_every_kind_learn_with_few_weights() {
    for more in [
        "rank = 4",
        "rank = 4\ndora = true",
        "rank = 4\nrslora = true\ndropout = 0.1\nmodules = ['q_proj', 'v_proj']",
        "rank = 4\nbase = 'nf4'",
    ] {
        let tool = stage(&format!("[adapter]\n{more}\n"));
        let told = tool.run(["run", "recipe.toml", "-o", "out", "--json", "--set", "optimiser.rate=1e-2"]).json();
        assert!(told["val_loss_after"].as_f64() < told["val_loss_before"].as_f64(), "{more}: {told}");
        let settings = std::fs::read_to_string(tool.path("out/adapter_config.json")).unwrap();
        assert!(settings.contains("\"LORA\""));
        let size = std::fs::metadata(tool.path("out/adapter_model.safetensors")).unwrap().len();
        assert!(size < 60_000, "{size}");
        assert!(!tool.path("out/model.safetensors").exists());
    }
}

#[test]
fn an_adapter_goes_on_from_an_earlier_one() {
    let tool = stage("[adapter]\nrank = 4\n");
    let rate = ["--json", "--set", "optimiser.rate=1e-2"];
    let first = tool.run(["run", "recipe.toml", "-o", "monday"].into_iter().chain(rate)).json();
    let second = ["run", "recipe.toml", "-o", "tuesday", "--set", "adapter.from=monday"];
    let second = tool.run(second.into_iter().chain(rate)).json();
    assert_eq!(second["val_loss_before"], first["val_loss_after"]);
    assert!(second["val_loss_after"].as_f64() < first["val_loss_after"].as_f64());
}

#[test]
fn layers_are_left_out_and_the_rest_is_a_model() {
    let tool = stage("");
    tool.run(["run", "recipe.toml", "-o", "out", "--set", "student.layers=2", "--max-steps", "2"]).done();
    let config = std::fs::read_to_string(tool.path("out/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["num_hidden_layers"], 2);
    let sizes = tool.run(["check", "recipe.toml", "--json", "--set", "student.path=out"]).json();
    assert_eq!(sizes["layers"], 2);
}

#[test]
fn a_narrower_student_is_a_model_that_learns() {
    let tool = stage("");
    let narrow = ["--set", "student.hidden=24", "--set", "student.inner=32", "--set", "student.keep_layers=[0, 2]"];
    let told = tool.run(["run", "recipe.toml", "-o", "out", "--json"].into_iter().chain(narrow)).json();
    assert!(told["val_loss_after"].as_f64().unwrap() < told["val_loss_before"].as_f64().unwrap() * 0.8, "{told}");
    let config: Value = serde_json::from_str(&std::fs::read_to_string(tool.path("out/config.json")).unwrap()).unwrap();
    let wanted = [("hidden_size", 24), ("intermediate_size", 32), ("head_dim", 8), ("num_hidden_layers", 2)];
    assert!(wanted.iter().all(|(key, value)| config[key] == *value), "{config}");
    let sizes = tool.run(["check", "recipe.toml", "--json", "--set", "student.path=out"]).json();
    let told = tool.run(["check", "recipe.toml", "--json"].into_iter().chain(narrow)).json();
    assert_eq!((&told["parameters"], &told["kept_layers"]), (&sizes["parameters"], &serde_json::json!([0, 2])));
    tool.run(["run", "recipe.toml", "-o", "wide", "--set", "student.inner=99"]).refused(1, &["student.inner", "48"]);
}

#[test]
fn a_run_that_gets_worse_stops_and_keeps_its_best_weights() {
    let tool = stage("");
    let worse = ["--set", "optimiser.rate=0.3", "--set", "evaluation.every=1", "--set", "evaluation.patience=3"];
    let told = tool.run(["run", "recipe.toml", "-o", "out", "--json"].into_iter().chain(worse)).json();
    assert!(told["steps"].as_u64().unwrap() < 12, "{told}");
    let log = std::fs::read_to_string(tool.path("out/run/metrics.jsonl")).unwrap();
    let looks: Vec<f64> =
        log.lines().filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["val_loss"].as_f64()).collect();
    let best = looks.iter().copied().fold(f64::MAX, f64::min);
    assert!(best < looks[looks.len() - 1] && told["val_loss_after"].as_f64() == Some(best), "{told} {looks:?}");
    let again = ["run", "recipe.toml", "-o", "again", "--set", "student.path=out", "--max-steps", "0", "--json"];
    let again = tool.run(again).json();
    // bfloat16 has eight bits
    assert!((again["val_loss_before"].as_f64().unwrap() - best).abs() < 0.05 * best, "{again} {best}");
}

#[test]
fn preferences_are_learnt() {
    let tool = stage("");
    let pair =
        |i: usize| format!("{{\"prompt\":\"count {i}\",\"chosen\":\"yes {i}\",\"rejected\":\"no, never {i}\"}}\n");
    tool.write("pairs.jsonl", (0..40).map(pair).collect::<String>());
    let set = ["--set", "data.source.0.path=pairs.jsonl", "--set", "objective.kind=dpo", "--set", "objective.beta=0.5"];
    let told = tool.run(["run", "recipe.toml", "-o", "out", "--json"].into_iter().chain(set)).json();
    // before any step, student and reference are the same
    assert!((told["loss_first"].as_f64().unwrap() - std::f64::consts::LN_2).abs() < 1e-6, "{told}");
    assert!(told["val_loss_after"].as_f64().unwrap() < 0.5, "{told}");
}

#[test]
fn one_seed_gives_one_run() {
    let tool = stage("");
    for out in ["one", "two"] {
        tool.run(["run", "recipe.toml", "-o", out, "--max-steps", "4"]).done();
    }
    assert_eq!(losses(&tool.path("one")), losses(&tool.path("two")));
    recipe(&tool, "[safety]\nspike = 0.0\n");
    tool.run(["run", "recipe.toml", "-o", "three", "--max-steps", "4", "--set", "seed=1"]).done();
    assert_ne!(losses(&tool.path("one")), losses(&tool.path("three")));
}

#[test]
fn products_in_bf16_are_near_those_in_f32_and_go_on_to_the_bit() {
    let tool = stage("");
    let half = ["--set", "optimiser.precision=bf16"];
    if !std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|facts| facts.contains("avx512_bf16")) {
        tool.run(["run", "recipe.toml", "-o", "half"].into_iter().chain(half)).refused(1, &["bf16", "AVX-512"]);
        assert!(!tool.path("half").exists());
        return;
    }
    tool.run(["run", "recipe.toml", "-o", "single"]).done();
    tool.run(["run", "recipe.toml", "-o", "half"].into_iter().chain(half)).done();
    for steps in ["4", "5", "12"] {
        tool.run(["run", "recipe.toml", "-o", "parts", "--max-steps", steps].into_iter().chain(half)).done();
    }
    let [single, half, parts] = ["single", "half", "parts"].map(|out| losses(&tool.path(out)));
    assert_eq!(half, parts);
    let apart = single.iter().zip(&half).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max);
    // eight bits are 4e-3 of a number
    assert!(apart > 0.0 && apart < 4e-2, "{single:?} {half:?}");
    assert!(half[11] < half[0] * 0.8);
}

#[test]
fn qwen_students_are_trained_too() {
    let tool = stage("");
    let mut small = Small::new();
    small.config["model_type"] = "qwen3".into();
    small.config["head_dim"] = 8.into();
    for layer in 0..3 {
        for norm in ["q_norm", "k_norm"] {
            let ones = [0x80, 0x3f].repeat(8);
            small.tensors.push((format!("model.layers.{layer}.self_attn.{norm}.weight"), "BF16", vec![8], ones));
        }
    }
    small.write(&tool, "student");
    let told = tool.run(["run", "recipe.toml", "-o", "out", "--json"]).json();
    assert!(told["val_loss_after"].as_f64().unwrap() < told["val_loss_before"].as_f64().unwrap() * 0.8, "{told}");
}

#[test]
fn new_tokens_get_rows_and_the_old_ones_keep_their_places() {
    for more in ["", "[adapter]\nrank = 4\n"] {
        let tool = stage(&format!("{more}[tokens]\nadd = ['<|cell|>', '<fim_prefix>', '<|range|>']\n"));
        tool.write("data.jsonl", crate::small::lines(60).replace("number", "<|cell|>"));
        // where older checkpoints have their template
        tool.write("student/chat_template.json", r#"{"chat_template": "{{ messages[0].content }}"}"#);
        tool.run(["run", "recipe.toml", "-o", "out", "--max-steps", "3"]).done();
        let read =
            |name: &str| serde_json::from_str::<Value>(&std::fs::read_to_string(tool.path(name)).unwrap()).unwrap();
        assert_eq!(read("out/chat_template.json"), read("student/chat_template.json"));
        let (old, new) = (read("student/tokenizer.json"), read("out/tokenizer.json"));
        let (old, new) = (old["added_tokens"].as_array().unwrap(), new["added_tokens"].as_array().unwrap());
        assert_eq!(&new[..old.len()], &old[..]);
        let added: Vec<_> =
            new[old.len()..].iter().map(|token| (token["content"].as_str(), token["id"].as_u64())).collect();
        assert_eq!(added, [(Some("<|cell|>"), Some(263)), (Some("<|range|>"), Some(264))]);
        let told = tool.run(["dataset", "recipe.toml", "--json"]).json();
        assert_eq!(told["samples"][0][0]["tokens"][0], 263, "a text's own marks are tokens now");
        if more.is_empty() {
            // 264 rows were there, one of them without a token
            assert_eq!(read("out/config.json")["vocab_size"], 265);
            tool.run(["check", "recipe.toml", "--set", "student.path=out"]).done();
        } else {
            let settings = read("out/adapter_config.json");
            assert_eq!(settings["modules_to_save"], serde_json::json!(["embed_tokens"]));
            // What it lies over has the rows too, so that it can be merged, and the result is a student again.
            let base = settings["base_model_name_or_path"].as_str().unwrap();
            assert_eq!(read("out/base/config.json")["vocab_size"], 265);
            let mut merge = std::process::Command::new(env!("CARGO_BIN_EXE_zord-merge"));
            let merged = tool.path("merged");
            merge.args(["lora", base, "-a"]).arg(tool.path("out")).arg("-o").arg(&merged).args(["--accept-licence"]);
            let merged = crate::ran::Ran::of(&merge.output().unwrap());
            assert_eq!(merged.code, Some(0), "{}", merged.err);
            let told = tool.run(["check", "recipe.toml", "--json", "--set", "student.path=merged"]).json();
            assert_eq!(told["ok"], true, "{told}");
        }
    }
}
