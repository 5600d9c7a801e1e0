//! Golden data: what other programs made of small checkpoints, which are written here to the same bytes. The scripts that
//! made the data stand beside it, and each file says with which versions.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

use std::path::{Path, PathBuf};

use half::f16;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::ran::{Tensor, safetensors};

/// A file of this folder.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

pub fn json(name: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(file(name)).unwrap();
    let data: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert!(
        data["made with"].as_object().is_some_and(|versions| !versions.is_empty()),
        "{name} says what it was made with"
    );
    data
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Numbers from -1 to 1 by a linear congruential generator, as `toy.py` draws them.
fn noise(seed: u32, count: usize) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    (0..count).map(move |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    })
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

/// The numbers of a checkpoint's tensor, as `toy.py` makes them.
fn values(spec: &Value, at: u32, name: &str, count: usize) -> Vec<f32> {
    let size = spec["size"].as_f64().unwrap() as f32;
    let near_one = spec["one"].as_array().unwrap().iter().any(|word| name.contains(word.as_str().unwrap()));
    let own = noise(number(&spec["seed"]) + at, count).map(|x| x * size + if near_one { 1.0 } else { 0.0 });
    let Some(moved) = spec["moved"].as_array() else { return own.collect() };
    let size = moved[1].as_f64().unwrap() as f32;
    own.zip(noise(number(&moved[0]) + at, count)).map(|(x, by)| x + by * size).collect()
}

/// bf16 is cut off, f16 rounded to the nearest.
fn encoded(dtype: &str, values: &[f32]) -> Vec<u8> {
    match dtype {
        "F32" => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        "F16" => values.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect(),
        "BF16" => values.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect(),
        other => panic!("{other}"),
    }
}

/// The tensors of a checkpoint, which are held against what the data was made of.
pub fn tensors(spec: &Value) -> Vec<Tensor> {
    let dtype = ["F32", "F16", "BF16"].into_iter().find(|dtype| spec["dtype"] == *dtype).unwrap();
    let tensor = |(at, tensor): (usize, &Value)| {
        let name = tensor[0].as_str().unwrap().to_owned();
        let shape: Vec<usize> = numbers(&tensor[1]).into_iter().map(|size| size as usize).collect();
        let values = values(spec, at as u32, &name, shape.iter().product());
        (name, dtype, shape, encoded(dtype, &values))
    };
    let tensors: Vec<Tensor> = spec["tensors"].as_array().unwrap().iter().enumerate().map(tensor).collect();
    let all: Vec<u8> = tensors.iter().flat_map(|tensor| tensor.3.iter().copied()).collect();
    assert_eq!(spec["sha256"], sha256(&all), "the golden data was made of other numbers");
    tensors
}

/// Writes a checkpoint without a tokenizer.
pub fn checkpoint(folder: &Path, spec: &Value) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let tensors = tensors(spec);
    write("config.json", spec["config"].to_string().as_bytes());
    if spec["shards"] == 1 {
        return write("model.safetensors", &safetensors(&tensors));
    }
    let mut places = Map::new();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    for (part, tensors) in [(1, first), (2, second)] {
        let name = format!("model-0000{part}-of-00002.safetensors");
        write(&name, &safetensors(tensors));
        places.extend(tensors.iter().map(|tensor| (tensor.0.clone(), json!(name))));
    }
    write("model.safetensors.index.json", json!({"metadata": {}, "weight_map": places}).to_string().as_bytes());
}

/// Writes an adapter in PEFT's form.
pub fn adapter(folder: &Path, spec: &Value) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("adapter_model.safetensors"), safetensors(&tensors(spec))).unwrap();
    std::fs::write(folder.join("adapter_config.json"), spec["config"].to_string()).unwrap();
}

/// Writes what lies beside the weights: a value, a text, or (null) the file of that name in this folder.
pub fn beside(folder: &Path, files: &Value) {
    for (name, content) in files.as_object().unwrap() {
        let bytes = match content {
            Value::Null => std::fs::read(file(name)).unwrap(),
            Value::String(text) => text.clone().into_bytes(),
            other => other.to_string().into_bytes(),
        };
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
