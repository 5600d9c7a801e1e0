//! A checkpoint small enough to be written by hand, and to be damaged on purpose.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::ran::{Tensor, safetensors};

pub const VOCABULARY: usize = 320;

/// A `llama`, of one layer unless it is told otherwise; what is changed here is changed in the files.
pub struct Small {
    pub config: Value,
    pub tokenizer: Value,
    /// Name, type, shape, bytes.
    pub tensors: Vec<Tensor>,
}

impl Small {
    pub fn new() -> Self {
        Self::sized(1, 64, 96)
    }

    /// So many layers, of rows of so many numbers.
    pub fn sized(layers: usize, embedding: usize, hidden: usize) -> Self {
        let head = embedding / 4;
        let mut tensors = Vec::new();
        let mut seed = 1u32;
        let mut put = |name: &str, shape: &[usize]| {
            let count: usize = shape.iter().product();
            let bytes = (0..count).flat_map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 9) as f32 / 4_194_304.0 - 1.0).to_le_bytes()
            });
            tensors.push((name.to_owned(), "F32", shape.to_vec(), bytes.collect()));
        };
        put("model.embed_tokens.weight", &[VOCABULARY, embedding]);
        put("model.norm.weight", &[embedding]);
        for layer in (0..layers).map(|layer| format!("model.layers.{layer}")) {
            put(&format!("{layer}.input_layernorm.weight"), &[embedding]);
            put(&format!("{layer}.post_attention_layernorm.weight"), &[embedding]);
            put(&format!("{layer}.self_attn.q_proj.weight"), &[4 * head, embedding]);
            put(&format!("{layer}.self_attn.k_proj.weight"), &[2 * head, embedding]);
            put(&format!("{layer}.self_attn.v_proj.weight"), &[2 * head, embedding]);
            put(&format!("{layer}.self_attn.o_proj.weight"), &[embedding, 4 * head]);
            put(&format!("{layer}.mlp.gate_proj.weight"), &[hidden, embedding]);
            put(&format!("{layer}.mlp.up_proj.weight"), &[hidden, embedding]);
            put(&format!("{layer}.mlp.down_proj.weight"), &[embedding, hidden]);
        }
        let words: Map<String, Value> = (0..VOCABULARY - 4).map(|n| (format!("t{n}"), json!(n))).collect();
        let added = ["<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"];
        let added = added
            .iter()
            .enumerate()
            .map(|(at, text)| json!({"id": VOCABULARY - 4 + at, "content": text, "special": true}));
        Self {
            config: json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": embedding,
                "intermediate_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2,
                "vocab_size": VOCABULARY, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
            }),
            tokenizer: json!({
                "model": {"type": "BPE", "vocab": words, "merges": [["t", "1"]]},
                "added_tokens": added.collect::<Vec<_>>(),
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                    {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false}]},
            }),
            tensors,
        }
    }

    pub fn tensor(&mut self, end: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.0.ends_with(end)).unwrap()
    }

    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("model.safetensors"), safetensors(&self.tensors)).unwrap();
        std::fs::write(folder.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(folder.join("tokenizer.json"), self.tokenizer.to_string()).unwrap();
        let config = json!({"eos_token": "<|endoftext|>", "chat_template": "{{ messages }}"});
        std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
    }
}
