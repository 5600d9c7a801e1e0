//! Beside what mergekit once made of the same small models (`tests/golden/merge.py`): no program is needed for it.
//!
//! Every number that is kept is within one step of bf16, and those of methods without sums over whole tensors are the same
//! to the bit. Where chance has a part, means over all numbers are within 2 %.

use std::collections::BTreeMap;

use serde_json::Value;
use zord::weights::safetensors::Dtype;

use crate::golden_data::{checkpoint, file, json, numbers, sha256};
use crate::parity::{close_moments, moments, ordered};
use crate::tool::{Read, Tool, read};

type Tensors = BTreeMap<String, Read>;

/// The numbers of all tensors that are kept of a merge.
fn sample(tensors: &Tensors, step: usize) -> Read {
    let (mut raw, mut dtype) = (Vec::new(), Dtype::F32);
    for (at, tensor) in tensors.values().enumerate() {
        dtype = tensor.dtype;
        let size = dtype.size() as usize;
        raw.extend(tensor.raw.chunks_exact(size).skip(17 * at % 64).step_by(step).flatten());
    }
    Read { dtype, shape: vec![(raw.len() / dtype.size() as usize) as u64], raw }
}

/// What mergekit's numbers say against ours.
fn differences(ours: &Tensors, step: usize, entry: &Value, golden: &[&Read]) -> Vec<String> {
    let mut found = Vec::new();
    let sample = sample(ours, step);
    for golden in golden {
        assert!(sample.shape[0] > 600 && (sample.dtype, &sample.shape) == (golden.dtype, &golden.shape));
        let far = if sample.dtype == Dtype::BF16 {
            ordered(&sample).iter().zip(ordered(golden)).filter(|(a, b)| (**a - b).abs() > 1).count()
        } else {
            // f32: four roundings of 0.09, the largest weight, where what was moved has 1e-4
            sample.numbers().iter().zip(golden.numbers()).filter(|(a, b)| (**a - b).abs() > 2.2e-8).count()
        };
        if far > 0 {
            found.push(format!("{far} of {} numbers are more than a step apart", sample.shape[0]));
        }
    }
    if let Some(hash) = entry["sha256"].as_str() {
        let all: Vec<u8> = ours.values().flat_map(|tensor| tensor.raw.iter().copied()).collect();
        if sha256(&all) != hash {
            found.push("some numbers are not the same to the bit".to_owned());
        }
    }
    found
}

/// The models, in the folder of the tool.
fn models(tool: &Tool, shared: &Value) {
    for (name, own) in shared["models"].as_object().unwrap() {
        let mut spec = shared.clone();
        spec["moved"] = own["moved"].clone();
        spec["sha256"] = own["sha256"].clone();
        checkpoint(&tool.path(&format!("models/{name}")), &spec);
    }
}

fn merged(tool: &Tool, recipe: &str) -> Tensors {
    tool.write("r.yml", recipe);
    tool.run(["run", "r.yml", "-o", "out", "--seed", "3"]).done();
    let merged = read(&tool.path("out"));
    std::fs::rename(tool.path("out/config.json"), tool.path("merged.json")).unwrap();
    std::fs::remove_dir_all(tool.path("out")).unwrap();
    merged
}

/// Tensors of the file with the numbers that were kept.
fn kept() -> Tensors {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file("merge.safetensors"), folder.path().join("model.safetensors")).unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    read(folder.path())
}

#[test]
fn every_recipe_gives_the_numbers_that_mergekit_gave() {
    let (tool, golden, kept) = (Tool::new(), json("merge.json"), kept());
    models(&tool, &golden["models"]);
    let step = golden["step"].as_u64().unwrap() as usize;
    let base: Vec<f32> = read(&tool.path("models/base")).values().flat_map(Read::numbers).collect();
    let (mut exact, mut by_chance) = (0, 0);
    for (name, entry) in golden.iter().filter(|(_, entry)| entry["recipe"].is_string()) {
        let ours = merged(&tool, entry["recipe"].as_str().unwrap());
        let config = tool.json("merged.json");
        for (key, value) in entry["config"].as_object().unwrap() {
            assert_eq!(&config[key], value, "{name}: {key}");
        }
        if entry["moments"].is_array() {
            let all: Vec<f32> = ours.values().flat_map(Read::numbers).collect();
            let golden: [f64; 3] = numbers(&entry["moments"]).try_into().unwrap();
            close_moments(name, moments(&all, &base), golden);
            by_chance += 1;
        }
        let mut held: Vec<&Read> = kept.get(name).into_iter().collect();
        // Variances that are equal in f32 are not in float64, where others are selected.
        held.extend(kept.get(&format!("{name}/exact")).filter(|_| !name.starts_with("sce")));
        assert!(!held.is_empty() || entry["moments"].is_array(), "{name} is held against nothing");
        let differences = differences(&ours, step, entry, &held);
        assert!(differences.is_empty(), "{name}: {differences:?}");
        exact += usize::from(!held.is_empty());
    }
    assert_eq!((exact, by_chance), (27, 6));
}

#[test]
fn the_numbers_that_are_kept_tell_a_wrong_scaling() {
    let (tool, golden, kept) = (Tool::new(), json("merge.json"), kept());
    models(&tool, &golden["models"]);
    let step = golden["step"].as_u64().unwrap() as usize;
    for (name, right, wrong) in [
        ("ties", "weight: 0.6", "weight: 0.61"),
        ("slerp", "t: 0.35", "t: 0.36"),
        ("sce_near", "select_topk: 0.4", "select_topk: 0.41"),
    ] {
        let entry = &golden[name];
        let recipe = entry["recipe"].as_str().unwrap();
        let changed = recipe.replacen(right, wrong, 1);
        assert_ne!(recipe, changed);
        let ours = merged(&tool, &changed);
        assert!(!differences(&ours, step, entry, &[&kept[name]]).is_empty(), "{name}");
    }
}
