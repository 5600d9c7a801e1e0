//! What a recipe comes to, and everything that stands against it.

use serde_json::{Value, json};

use crate::ran::Tool;
use crate::small::{VOCABULARY, lines, stage};

fn check(tool: &Tool, set: &[&str]) -> Value {
    let set = set.iter().flat_map(|set| ["--set", set]);
    tool.run(["check", "recipe.toml", "--json"].into_iter().chain(set)).json()
}

#[test]
fn all_problems_are_told_at_once() {
    let tool = stage(
        "[objective]\nkind = 'kd'\n[objective.hidden]\nweight = 1.0\npairs = [[7, 0]]\n[[teacher]]\nmodel = 'no.gguf'\n",
    );
    tool.write("student/tokenizer_config.json", json!({"bos_token": "<|im_start|>"}).to_string());
    let set = ["data.context=512", "adapter.modules=['q_proj', 'nothing_proj']", "data.source.0.path=none.jsonl"];
    let set = set.iter().flat_map(|set| ["--set", set]);
    let words = ["no.gguf", "layer 7", "eos_token", "512", "256 positions", "`nothing_proj`", "none.jsonl"];
    let all = ["check", "recipe.toml"].into_iter().chain(set.clone());
    tool.run(all).refused(1, &words);
    let told = tool.run(["check", "recipe.toml", "--json"].into_iter().chain(set));
    assert_eq!(told.code, Some(1));
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["ok"], told["problems"].as_array().unwrap().len()), (&json!(false), 6), "{told}");
    // What the recipe alone tells does not hide what the files do.
    let set = ["--set", "optimiser.rate=0", "--set", "tokens.add=['<a>', '<a>']"];
    tool.run(["check", "recipe.toml"].into_iter().chain(set)).refused(1, &["optimiser.rate", "`<a>` twice", "no.gguf"]);
}

#[test]
fn a_step_without_a_teacher_is_a_problem() {
    let tool =
        stage("[objective]\nkind = 'kd'\n[[teacher]]\nmodel = 'a'\nuntil = 3\n[[teacher]]\nmodel = 'b'\nfrom = 5\n");
    tool.run(["check", "recipe.toml"]).refused(1, &["no teacher is active at step 3"]);
    let joined = tool.run(["check", "recipe.toml", "--set", "teacher.1.from=3"]);
    assert!(!joined.err.contains("active"), "{}", joined.err);
    tool.run(["check", "recipe.toml", "--set", "teacher.0.from=1"]).refused(1, &["at step 0"]);
}

#[test]
fn large_data_are_estimated_from_their_beginning() {
    let tool = stage("");
    let small = check(&tool, &[]);
    assert_eq!(small["estimated"], false);
    tool.write("data.jsonl", lines(60_000));
    let told = check(&tool, &[]);
    assert_eq!(told["estimated"], true);
    let exact = tool.run(["dataset", "recipe.toml", "--json", "--samples", "0"]).json();
    for key in ["documents", "tokens", "learnt", "windows"] {
        let (about, exact) = (told[key].as_f64().unwrap(), exact[key].as_f64().unwrap());
        // Later lines have longer numbers.
        assert!((about / exact - 1.0).abs() < 0.03, "{key}: {about}, {exact}");
    }
    // 12 steps of 4 windows
    let window = told["tokens"].as_f64().unwrap() / told["windows"].as_f64().unwrap();
    assert_eq!(told["training_tokens"].as_f64().unwrap(), (48.0 * window).round());
    assert_eq!(
        check(&tool, &["data.examples=500"])["documents"].as_f64().map(|n| (n / 450.0 - 1.0).abs() < 0.1),
        Some(true)
    );
}

#[test]
fn rows_of_new_tokens_count_as_trained() {
    let tool = stage("[adapter]\nrank = 4\n");
    let (without, with) = (check(&tool, &[]), check(&tool, &["tokens.add=['<|cell|>', '<|range|>']"]));
    let number = |told: &Value, key: &str| told[key].as_u64().unwrap();
    // The last of the matrix's rows stood for no token.
    let rows = (VOCABULARY as u64 + 1) * 32;
    assert_eq!(number(&with, "trained") - number(&without, "trained"), rows);
    assert_eq!(number(&with, "parameters") - number(&without, "parameters"), 32);
    for key in ["gradients", "optimiser"] {
        assert!(with["memory"][key].as_u64() > without["memory"][key].as_u64(), "{key}");
    }
    let dora = check(&tool, &["adapter.dora=true"]);
    assert!(number(&dora, "trained") > number(&without, "trained"));
}

#[test]
fn a_step_is_measured_with_the_objectives_own_work() {
    let tool = stage("");
    let pair = |i: usize| json!({"prompt": format!("{i}"), "chosen": "yes", "rejected": "no"}).to_string() + "\n";
    tool.write("pairs.jsonl", (0..40).map(pair).collect::<String>());
    for set in [vec![], vec!["data.source.0.path=pairs.jsonl", "objective.kind=dpo"], vec!["adapter.dora=true"]] {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let told = tool.run(["check", "recipe.toml", "--json", "--measure"].into_iter().chain(set)).json();
        assert!(told["seconds_per_step"].as_f64().unwrap() > 0.0, "{told}");
    }
    let text = tool.run(["check", "recipe.toml", "--measure"]).done();
    for word in ["time ", "# [adapter]", "# rank = 16", "# [on_policy]", "tokens in all"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
