//! What lies beside the weights: where they come from and under which terms.

use serde_json::json;

use crate::tool::{Tool, read};
use crate::toy::Toy;

const RECIPE: &str =
    "merge_method: linear\nmodels:\n  - {model: a, parameters: {weight: 1}}\n  - {model: b, parameters: {weight: 3}}\n";

fn two(tool: &Tool) {
    Toy::new(1).write(&tool.path("a"));
    Toy::new(2).write(&tool.path("b"));
}

#[test]
fn the_manifest_says_what_went_in_and_what_came_out() {
    let tool = Tool::new();
    two(&tool);
    tool.write("a/README.md", "---\nlicense: apache-2.0\n---\n");
    tool.write("b/README.md", "---\nlicense: apache-2.0\n---\n");
    tool.write("a/LICENSE", "Apache License");
    tool.merge(RECIPE, &[]).done();
    let manifest = tool.json("out/merge-manifest.json");
    assert_eq!((&manifest["method"], &manifest["recipe"]), (&json!("linear"), &json!(RECIPE)));
    assert_eq!(manifest["models"][0]["licence"], json!("apache-2.0"));
    let output = std::process::Command::new("sha256sum").arg(tool.path("b/model.safetensors")).output();
    if let Ok(output) = output {
        let want = String::from_utf8(output.stdout).unwrap();
        assert_eq!(manifest["models"][1]["files"][0]["sha256"], json!(want.split(' ').next().unwrap()));
    }
    let merged = read(&tool.path("out"));
    assert_eq!(manifest["tensors"].as_array().unwrap().len(), merged.len());
    let (a, b) = (read(&tool.path("a")), read(&tool.path("b")));
    for stats in manifest["tensors"].as_array().unwrap() {
        let name = stats["tensor"].as_str().unwrap();
        let numbers = merged[name].numbers();
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        let near =
            |found: &serde_json::Value, want: f64| assert!((found.as_f64().unwrap() - want).abs() < 1e-5, "{name}");
        near(&stats["norm"], dot(&numbers, &numbers).sqrt());
        for (at, parent) in [&a, &b].into_iter().enumerate() {
            let own = parent[name].numbers();
            near(&stats["cosine"][at], dot(&numbers, &own) / (dot(&own, &own) * dot(&numbers, &numbers)).sqrt());
        }
        assert_eq!(stats["parents"], json!(["a", "b"]));
    }
    let card = std::fs::read_to_string(tool.path("out/README.md")).unwrap();
    for word in ["base_model:\n- a\n- b\n", "license: apache-2.0", RECIPE.trim_end(), "change.png", "2203.05482"] {
        assert!(card.contains(word), "{card}");
    }
    assert_eq!(&std::fs::read(tool.path("out/change.png")).unwrap()[1..4], b"PNG");
    assert!(std::fs::read_to_string(tool.path("out/change.svg")).unwrap().contains("<svg"));
    assert_eq!(std::fs::read_to_string(tool.path("out/licences/a-LICENSE")).unwrap(), "Apache License");
}

#[test]
fn licences_that_forbid_or_conflict_need_a_decision() {
    let tool = Tool::new();
    two(&tool);
    tool.write("a/README.md", "---\nlicense: cc-by-nc-4.0\n---\n");
    tool.merge(RECIPE, &[]).refused(1, &["`a` is under `cc-by-nc-4.0`", "--accept-licence"]);
    assert!(!tool.path("out").exists());
    tool.merge(RECIPE, &["--accept-licence"]).done();
    assert!(tool.json("out/merge-manifest.json")["licence_problems_accepted"][0].as_str().unwrap().contains("forbids"));
}
