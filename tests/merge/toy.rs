//! Checkpoints small enough to be written by hand, and to be damaged on purpose.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use zord::weights::numbers;
use zord::weights::safetensors::Dtype;

pub const VOCABULARY: usize = 40;

/// A tensor: name, type, shape, bytes.
pub type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// A `llama` of two layers.
#[derive(Clone)]
pub struct Toy {
    pub config: Value,
    pub tokens: Vec<String>,
    pub tensors: Vec<Tensor>,
}

/// Numbers around zero that a seed decides.
pub fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let draw = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(draw).collect()
}

pub fn raw(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers::encode(dtype, values, &mut out);
    out
}

impl Toy {
    pub fn new(seed: u32) -> Self {
        Self::sized(seed, 2, Dtype::F32)
    }

    pub fn sized(seed: u32, layers: usize, dtype: Dtype) -> Self {
        let (hidden, inner) = (16, 24);
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut put = |name: String, shape: &[usize]| {
            let count = shape.iter().product();
            // every copy is near the first one, as fine-tuned models are
            let first = noise(tensors.len() as u32, count);
            let own = noise(seed * 1000 + tensors.len() as u32, count);
            let values: Vec<f32> =
                first.iter().zip(own).map(|(a, b)| a + b * if seed == 0 { 0.0 } else { 0.1 }).collect();
            tensors.push((name, dtype, shape.to_vec(), raw(dtype, &values)));
        };
        put("model.embed_tokens.weight".into(), &[VOCABULARY, hidden]);
        put("model.norm.weight".into(), &[hidden]);
        for layer in 0..layers {
            put(format!("model.layers.{layer}.input_layernorm.weight"), &[hidden]);
            put(format!("model.layers.{layer}.self_attn.q_proj.weight"), &[hidden, hidden]);
            put(format!("model.layers.{layer}.mlp.up_proj.weight"), &[inner, hidden]);
            put(format!("model.layers.{layer}.mlp.down_proj.weight"), &[hidden, inner]);
        }
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
            "tie_word_embeddings": true, "torch_dtype": "float32",
        });
        let tokens = (0..VOCABULARY).map(|id| format!("t{id}")).collect();
        Self { config, tokens, tensors }
    }

    pub fn tensor(&mut self, end: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.0.ends_with(end)).unwrap()
    }

    /// Sets one number of a tensor in f32.
    pub fn set(&mut self, end: &str, at: usize, value: f32) {
        self.tensor(end).3[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        weights(&folder.join("model.safetensors"), &self.tensors);
        std::fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        let words: Map<String, Value> =
            self.tokens.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
        let tokenizer =
            json!({"version": "1.0", "model": {"type": "BPE", "vocab": words, "merges": []}, "added_tokens": []});
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        std::fs::write(folder.join("tokenizer_config.json"), json!({"chat_template": "{{ messages }}"}).to_string())
            .unwrap();
    }
}

/// Writes a safetensors file.
pub fn weights(path: &Path, tensors: &[Tensor]) {
    let mut header = Map::new();
    let mut end = 0;
    for (name, dtype, shape, bytes) in tensors {
        header.insert(
            name.clone(),
            json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [end, end + bytes.len()]}),
        );
        end += bytes.len();
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    tensors.iter().for_each(|tensor| file.write_all(&tensor.3).unwrap());
}

/// A checkpoint of any size without its weights: a header, and a hole that reads as zeros.
pub fn sparse(folder: &Path, config: &Value, dtype: Dtype, tensors: &[(String, Vec<u64>)]) {
    std::fs::create_dir_all(folder).unwrap();
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let begin = end;
        end += shape.iter().product::<u64>() * dtype.size();
        header.insert(name.clone(), json!({"dtype": dtype.name(), "shape": shape, "data_offsets": [begin, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut file = File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}
