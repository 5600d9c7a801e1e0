//! The small recipes that come with the program, to the end, with a budget of two steps.

use std::path::Path;
#[cfg(feature = "engine")]
use std::path::PathBuf;

use crate::peers::smollm2;
use crate::ran::Tool;

fn run(name: &str, set: &[String]) {
    let Some(smollm2) = smollm2() else { return };
    let tool = Tool::new();
    // As much source code as two steps read, where the recipe would read all of this program's.
    for (at, part) in include_str!("small.rs").lines().collect::<Vec<_>>().chunks(12).take(6).enumerate() {
        tool.write(&format!("code/{at}.rs"), part.join("\n"));
    }
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("assets/recipes/{name}.toml"));
    let given = [
        format!("student.path={}", smollm2.display()),
        "threads=2".into(),
        "data.context=96".into(),
        "data.examples=12".into(),
        "schedule.steps=2".into(),
        // The first step counts: two of them must show.
        "schedule.warmup=0".into(),
        "evaluation.windows=2".into(),
        "evaluation.every=0".into(),
        "data.validation=0.2".into(),
    ];
    let recipe = recipe.to_string_lossy().into_owned();
    let code = if recipe.contains("lora") || recipe.contains("dpo") {
        Vec::new()
    } else {
        vec![format!("data.source.0.path={}", tool.path("code").display())]
    };
    let set = code.iter().chain(&given).chain(set).flat_map(|set| ["--set", set]);
    let told = tool.run(["run", &recipe, "-o", "out", "--json"].into_iter().chain(set)).json();
    eprintln!("{name}: {told}");
    assert_eq!(told["steps"], 2);
    let number = |key: &str| told[key].as_f64().unwrap();
    assert!(number("val_loss_after") < number("val_loss_before"), "it learnt nothing: {told}");
    let result = ["model.safetensors", "adapter_model.safetensors"].map(|name| tool.path("out").join(name).is_file());
    assert_eq!(result.iter().filter(|there| **there).count(), 1);
}

#[test]
fn the_recipe_for_an_adapter_runs_to_its_end() {
    run("mini-lora", &[]);
}

#[test]
fn the_recipe_for_filling_in_runs_to_its_end() {
    run("mini-fim", &["evaluation.sample=0".into()]);
}

#[test]
fn the_recipe_for_preferences_runs_to_its_end() {
    run("mini-dpo", &["data.context=256".into(), "evaluation.sample=0".into()]);
}

#[test]
fn the_nightly_recipe_runs_on_its_first_night_as_it_is_and_goes_on_in_the_next() {
    let tool = Tool::new();
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/recipes/lora-nightly.toml");
    std::fs::copy(recipe, tool.path("lora-nightly.toml")).unwrap();
    crate::small::Small::new().write(&tool, "student");
    tool.write("today.jsonl", crate::small::lines(40));
    // A small student in the large one's place, and a budget.
    let small = ["--set", "student.path=student", "--set", "data.context=128", "--set", "schedule.steps=2"];
    let night = |out: &'static str, more: &[&'static str]| {
        let all = ["run", "lora-nightly.toml", "-o", out, "--json"].into_iter().chain(small);
        tool.run(all.chain(more.iter().copied())).json()
    };
    let first = night("night-1", &[]);
    let second = night("night-2", &["--set", "adapter.from=night-1"]);
    // It begins where the first ended.
    assert_eq!(first["val_loss_after"], second["val_loss_before"], "{first} {second}");
    tool.run(["check", "lora-nightly.toml", "--set", "adapter.from=nowhere"].into_iter().chain(small))
        .refused(1, &["adapter.from", "nowhere"]);
}

/// A model in the folder that ZORD_TEST_MODELS names.
#[cfg(feature = "engine")]
fn model(name: &str) -> Option<PathBuf> {
    let file = std::env::var_os("ZORD_TEST_MODELS").map(|folder| PathBuf::from(folder).join(name));
    let file = file.filter(|file| file.is_file());
    if file.is_none() {
        eprintln!("SKIPPED: needs `{name}` in the folder that ZORD_TEST_MODELS names");
    }
    file
}

#[test]
#[cfg(feature = "engine")]
fn the_recipe_for_healing_runs_to_its_end() {
    let Some(teacher) = model("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    run("mini-heal", &[format!("teacher.0.model={}", teacher.display()), "evaluation.sample=0".into()]);
}

#[test]
#[cfg(feature = "engine")]
fn the_recipe_for_two_teachers_runs_to_its_end_both_ways() {
    let (Some(first), Some(second)) = (model("SmolLM2-135M-Instruct.Q4_1.gguf"), model("gemma-3-270m-q4_k_m.gguf"))
    else {
        return;
    };
    for other in ["chunks", "sorted"] {
        let set = [
            format!("teacher.0.model={}", first.display()),
            format!("teacher.1.model={}", second.display()),
            format!("objective.other={other}"),
            "evaluation.sample=0".into(),
        ];
        run("mini-fusion", &set);
    }
}
