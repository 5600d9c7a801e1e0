//! `convert` beside what llama.cpp's converter once made of the same small checkpoints, and what they compute beside what
//! transformers computed (`tests/golden/convert.py`): neither is needed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use zord::weights::gguf::ValueKind;

use crate::convert::{SMALL, metadata, rounded};
use crate::file::tensors;
use crate::golden_data::{beside, checkpoint, hex, json as golden, sha256};
use crate::ran::Tool;

/// The peer does not look for these: `<fim_prefix>`, `<fim_suffix>` and `<fim_middle>` of the tokenizer.
const HOLES: [(&str, u32); 3] = [
    ("tokenizer.ggml.fim_pre_token_id", 271),
    ("tokenizer.ggml.fim_suf_token_id", 272),
    ("tokenizer.ggml.fim_mid_token_id", 273),
];

/// Checkpoints by their names.
fn families(golden: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    golden.iter().filter(|(_, made)| made["converted"].is_object()).map(|(name, made)| (name.as_str(), made)).collect()
}

fn write(tool: &Tool, name: &str, made: &Value) {
    checkpoint(&tool.path(name), made);
    beside(&tool.path(name), &made["beside"]);
}

/// A value of the metadata as the golden file holds it: its type, and its bytes or a hash over them.
fn short(kind: ValueKind, bytes: &[u8]) -> String {
    let bytes = if bytes.len() <= 32 { hex(bytes) } else { format!("sha256 {}", sha256(bytes)) };
    format!("{} {bytes}", kind as u32)
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().unwrap().iter();
    entries.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

/// What the file and the peer's have differently. The peer's sum of one and a norm of 16 bits (`halves`) has 16 bits.
fn differences(file: &Path, theirs: &Value, metadata_of_all: &Value, but: &[&str], halves: bool) -> Vec<String> {
    let ours = tensors(file).into_iter().map(|(name, kind, bytes)| {
        let bytes = if halves && name.ends_with("norm.weight") { rounded(&bytes) } else { bytes };
        let told = format!("{} {}", kind.to_uppercase(), sha256(&bytes));
        (name, told)
    });
    let mut found = apart("tensor", &ours.collect(), &strings(&theirs["tensors"]));
    let own = metadata(file).into_iter().map(|(key, kind, bytes)| (key, short(kind, &bytes)));
    let mut theirs_whole = strings(metadata_of_all);
    theirs_whole.extend(strings(&theirs["metadata"]));
    let known = |key: &String| !but.iter().any(|but| key.starts_with(but)) && !HOLES.iter().any(|hole| hole.0 == key);
    let own: BTreeMap<String, String> = own.filter(|(key, _)| known(key)).collect();
    theirs_whole.retain(|key, _| known(key));
    found.extend(apart("value", &own, &theirs_whole));
    found
}

fn apart(what: &str, ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>) -> Vec<String> {
    assert!(theirs.len() > 10, "{theirs:?}");
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let told = keys.into_iter().filter(|key| ours.get(*key) != theirs.get(*key));
    told.map(|key| format!("{what} `{key}`: {:?}, the peer's {:?}", ours.get(key), theirs.get(key))).collect()
}

#[test]
fn every_family_becomes_what_the_peer_made_of_it() {
    let (golden, tool) = (golden("convert.json"), Tool::new());
    let families = families(&golden);
    assert_eq!(
        families.keys().copied().collect::<BTreeSet<_>>(),
        SMALL.iter().map(|small| small.0).collect::<BTreeSet<_>>()
    );
    let mut files = 0;
    for (name, _, but) in SMALL {
        let made = families[name];
        write(&tool, name, made);
        for (kind, theirs) in made["converted"].as_object().unwrap() {
            let file = format!("{name}-{kind}.gguf");
            tool.run(["convert", name, "-o", &file, "--type", kind]).done();
            let all = &made["converted"]["auto"]["metadata"];
            let differences = differences(&tool.path(&file), theirs, all, but, name == "gemma3-half");
            assert!(differences.is_empty(), "{file}: {differences:#?}");
            if made["beside"].get("tokenizer.json").is_some() {
                let own = metadata(&tool.path(&file));
                for (key, id) in HOLES {
                    let id = (ValueKind::U32, id.to_le_bytes().to_vec());
                    assert!(
                        own.iter().any(|(own, kind, bytes)| own == key && (*kind, bytes.clone()) == id),
                        "{file}: {key}"
                    );
                }
            }
            files += 1;
        }
    }
    assert_eq!(files, SMALL.len() + 3);
}

#[test]
fn a_changed_scaling_and_a_changed_tensor_are_told() {
    let (golden, tool) = (golden("convert.json"), Tool::new());
    let mut made = families(&golden)["granite"].clone();
    write(&tool, "granite", &made);
    let path = tool.path("granite/model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(path, bytes).unwrap();
    made["config"]["residual_multiplier"] = json!(0.23);
    std::fs::write(tool.path("granite/config.json"), made["config"].to_string()).unwrap();
    tool.run(["convert", "granite", "-o", "a.gguf"]).done();
    let theirs = &made["converted"]["auto"];
    let differences = differences(&tool.path("a.gguf"), theirs, &theirs["metadata"], &[], false);
    assert_eq!(differences.len(), 2, "{differences:#?}");
    assert!(
        differences[0].starts_with("tensor `") && differences[1].contains("`granite.residual_scale`"),
        "{differences:#?}"
    );
}

/// The checkpoints' logits, where llama.cpp computes them.
#[test]
#[cfg(feature = "engine")]
fn every_family_computes_what_transformers_computed() {
    let (golden, tool) = (golden("convert.json"), Tool::new());
    let ids = |key: &str| -> Vec<usize> {
        golden[key].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as usize).collect()
    };
    let tokens: Vec<i32> = ids("tokens").into_iter().map(|id| id as i32).collect();
    let kept = ids("kept");
    let mut computed = 0;
    for (name, made) in families(&golden).into_iter().filter(|(_, made)| made["logits"].is_array()) {
        write(&tool, name, made);
        let file = format!("{name}.gguf");
        // llama.cpp looks for Phi-3's own tokens in any vocabulary whose model has that name.
        tool.run(["convert", name, "-o", &file, "--type", "f32", "--name", "Small"]).done();
        let ours = crate::logits::computed(&tool.path(&file), None, &tokens);
        let last = ours.last().unwrap();
        let theirs: Vec<f32> =
            crate::golden_data::numbers(&made["logits"]).into_iter().map(|logit| logit as f32).collect();
        crate::logits::agree(name, &[kept.iter().map(|&id| last[id]).collect()], &theirs);
        computed += 1;
    }
    assert_eq!(computed, 13);
}
