//! Training on a card against training on the processor. A software renderer (Debian: `mesa-vulkan-drivers`) is a card
//! too; without any, the tests say so and end.
#![cfg(feature = "gpu")]

use crate::losses;
use crate::ran::{Ran, Tool};
use crate::small::{Small, stage};

/// Whether there is anything to compare; it says so where there is not.
fn card(tool: &Tool) -> bool {
    let there = on(tool, "list", "none", &[]).done().contains("gpu:0");
    if !there {
        eprintln!("SKIPPED: no Vulkan device");
    }
    there
}

fn on(tool: &Tool, device: &str, out: &str, more: &[&str]) -> Ran {
    let args = ["run", "recipe.toml", "-o", out, "--device", device, "--max-steps", "10"];
    tool.run(args.into_iter().chain(more.iter().copied()))
}

/// Ten steps on both, and held-out losses before and behind them.
fn compare(tool: &Tool, what: &str, more: &[&str]) {
    let ends = ["cpu", "gpu:0"].map(|device| {
        let out = format!("{what}-{}", device.replace(':', ""));
        let told = on(tool, device, &out, &[more, &["--json"]].concat()).json();
        let ends = ["val_loss_before", "val_loss_after"].map(|key| told[key].as_f64().unwrap());
        (losses(&tool.path(&out)), ends)
    });
    let [(own, own_ends), (other, other_ends)] = ends;
    assert_eq!((own.len(), other.len()), (10, 10), "{what}");
    for (at, (a, b)) in own.iter().chain(&own_ends).zip(other.iter().chain(&other_ends)).enumerate() {
        // Both are single precision. Losses agree to some 1e-6; AdamW's first steps go by a gradient's sign, so that
        // numbers next to zero part, and ten steps carry that to some 1e-5.
        assert!((a - b).abs() <= 1e-4 * a.abs(), "{what}, {at}: {a} on the processor, {b} on the card");
    }
    assert!(own[9] < own[0] && own.iter().zip(&other).any(|(a, b)| a != b), "{what}: {own:?} {other:?}");
}

#[test]
fn ten_steps_are_the_processors() {
    let tool = stage("");
    if !card(&tool) {
        return;
    }
    compare(&tool, "llama", &[]);
    for (what, more) in [
        ("lora", &["adapter.rank=4", "adapter.dropout=0.2"][..]),
        ("dora", &["adapter.rank=4", "adapter.dora=true"]),
        ("qlora", &["adapter.rank=4", "adapter.base=nf4"]),
        ("new tokens", &["adapter.rank=4", "tokens.add=['<|cell|>']"]),
    ] {
        let more: Vec<&str> = more.iter().flat_map(|set| ["--set", set]).collect();
        compare(&tool, what, &more);
    }
}

#[test]
fn ten_steps_of_qwen_are_the_processors() {
    let tool = stage("");
    if !card(&tool) {
        return;
    }
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
    compare(&tool, "qwen3", &[]);
    let mut small = Small::new();
    small.config["model_type"] = "qwen2".into();
    for layer in 0..3 {
        for (of, width) in [("q", 32), ("k", 16), ("v", 16)] {
            let bias = [0xcd, 0x3d].repeat(width);
            small.tensors.push((format!("model.layers.{layer}.self_attn.{of}_proj.bias"), "BF16", vec![width], bias));
        }
    }
    small.write(&tool, "student");
    compare(&tool, "qwen2", &[]);
}

#[test]
fn ten_steps_on_preferences_are_the_processors() {
    let tool = stage("");
    if !card(&tool) {
        return;
    }
    let pair =
        |i: usize| format!("{{\"prompt\":\"count {i}\",\"chosen\":\"yes {i}\",\"rejected\":\"no, never {i}\"}}\n");
    tool.write("pairs.jsonl", (0..40).map(pair).collect::<String>());
    let set = ["data.source.0.path=pairs.jsonl", "objective.kind=dpo", "objective.beta=0.5", "optimiser.rate=3e-4"];
    compare(&tool, "dpo", &set.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>());
}

/// What a teacher says reaches a student on a card as it does one on the processor, states behind layers included.
#[test]
#[cfg(feature = "engine")]
fn ten_steps_with_a_teacher_are_the_processors() {
    let tool = crate::teachers::school("hidden = { weight = 0.5, pairs = [[0, 1], [2, 2]] }");
    if !card(&tool) {
        return;
    }
    compare(&tool, "kd", &["--set", "student.layers=3"]);
}

#[test]
fn a_run_on_a_card_goes_on_to_the_bit() {
    let tool = stage("[safety]\ncheckpoint_every = 1\n");
    if !card(&tool) {
        return;
    }
    on(&tool, "gpu:0", "whole", &[]).done();
    for steps in ["4", "10"] {
        tool.run(["run", "recipe.toml", "-o", "parts", "--device", "gpu:0", "--max-steps", steps]).done();
    }
    assert_eq!(losses(&tool.path("whole")), losses(&tool.path("parts")));
}

#[test]
fn what_is_not_there_is_refused_and_nothing_is_left_behind() {
    let tool = stage("");
    on(&tool, "gpu:99", "out", &[]).refused(1, &["gpu:99", "Vulkan offers", "hint: "]);
    on(&tool, "cpu,gpu:0", "out", &[]).refused(2, &["cpu,gpu:0", "list"]);
    on(&tool, "gpu:0,gpu:0", "out", &[]).refused(2, &["gpu:0", "twice"]);
    if card(&tool) {
        on(&tool, "gpu:0", "out", &["--set", "optimiser.precision=bf16"]).refused(1, &["bf16", "WGSL", "--device cpu"]);
    }
    assert!(!tool.path("out").exists());
    // Without a driver there is no card, and the best there is, is the processor.
    let args = ["run", "recipe.toml", "-o", "out", "--max-steps", "1", "--device"];
    let bare = |device: &str| {
        let mut command = tool.command(args.into_iter().chain([device]));
        command.env("VK_DRIVER_FILES", "/nowhere").env("VK_ICD_FILENAMES", "/nowhere");
        Ran::of(&command.output().unwrap())
    };
    assert!(!bare("list").done().contains("gpu:"));
    bare("gpu:0").refused(1, &["gpu:0", "offers 0", "--device list"]);
    bare("auto").done();
}
