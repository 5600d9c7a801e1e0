//! A student small enough to be trained in a moment, and data for it.
#![allow(unreachable_pub, reason = "a test program is read by nobody else")]

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::ran::{Tensor, Tool, safetensors};

const SPECIAL: [&str; 7] =
    ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|spare|>"];
pub const VOCABULARY: usize = 256 + SPECIAL.len() + 1;

/// What a checkpoint of this kind is made of.
pub struct Small {
    pub config: Value,
    pub tokenizer: Value,
    /// Name, type, shape, bytes.
    pub tensors: Vec<Tensor>,
}

impl Small {
    pub fn new() -> Self {
        let (hidden, inner, width, layers) = (32, 48, 8, 3);
        let mut tensors = Vec::new();
        let mut seed = 1u32;
        let mut put = |name: String, shape: &[usize]| {
            let (count, norm) = (shape.iter().product::<usize>(), name.contains("norm"));
            // bfloat16: the upper half of a float
            let bytes = (0..count).flat_map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let x = ((seed >> 9) as f32 / 4_194_304.0 - 1.0) * 0.2 + if norm { 1.0 } else { 0.0 };
                ((x.to_bits() >> 16) as u16).to_le_bytes()
            });
            let bytes: Vec<u8> = bytes.collect();
            tensors.push((name, "BF16", shape.to_vec(), bytes));
        };
        put("model.embed_tokens.weight".into(), &[VOCABULARY, hidden]);
        for layer in 0..layers {
            let mut put = |name: &str, shape: &[usize]| put(format!("model.layers.{layer}.{name}.weight"), shape);
            put("input_layernorm", &[hidden]);
            put("self_attn.q_proj", &[4 * width, hidden]);
            put("self_attn.k_proj", &[2 * width, hidden]);
            put("self_attn.v_proj", &[2 * width, hidden]);
            put("self_attn.o_proj", &[hidden, 4 * width]);
            put("post_attention_layernorm", &[hidden]);
            put("mlp.gate_proj", &[inner, hidden]);
            put("mlp.up_proj", &[inner, hidden]);
            put("mlp.down_proj", &[hidden, inner]);
        }
        put("model.norm.weight".into(), &[hidden]);
        // GPT-2's letters for bytes
        let printable = |b: u32| (33..=126).contains(&b) || (161..=172).contains(&b) || (174..=255).contains(&b);
        let mut other = 0;
        let words: Map<String, Value> = (0..256u32)
            .map(|b| {
                let letter = if printable(b) { b } else { 256 + other };
                other += u32::from(!printable(b));
                (char::from_u32(letter).unwrap().to_string(), json!(b))
            })
            .collect();
        let added: Vec<Value> = SPECIAL
            .iter()
            .enumerate()
            .map(|(at, text)| {
                json!({"id": 256 + at, "content": text, "special": true, "normalized": false, "lstrip": false,
                       "rstrip": false, "single_word": false})
            })
            .collect();
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        Self {
            config: json!({
                "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
                "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": 4,
                "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 256,
                "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
            }),
            tokenizer: json!({
                "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
                "pre_tokenizer": level, "post_processor": null, "decoder": level,
                "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                          "end_of_word_suffix": null, "fuse_unk": false, "vocab": words, "merges": []},
            }),
            tensors,
        }
    }

    pub fn write(&self, tool: &Tool, name: &str) -> PathBuf {
        tool.write(&format!("{name}/model.safetensors"), safetensors(&self.tensors));
        tool.write(&format!("{name}/config.json"), self.config.to_string());
        tool.write(&format!("{name}/tokenizer.json"), self.tokenizer.to_string());
        let template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
        let settings = json!({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "chat_template": template});
        tool.write(&format!("{name}/tokenizer_config.json"), settings.to_string());
        tool.path(name)
    }
}

/// Sentences with something to learn in them.
pub fn lines(count: usize) -> String {
    let line = |i: usize| {
        let (a, b) = (i * 7 % 10, i * 3 % 10);
        json!({"text": format!("number {i}: {a} and {b} make {}; the next line says it again, {}.", a + b, a + b)})
    };
    (0..count).map(|i| line(i).to_string() + "\n").collect()
}

/// A folder with a student, data and a recipe that ends with `more`.
pub fn stage(more: &str) -> Tool {
    let tool = Tool::new();
    Small::new().write(&tool, "student");
    tool.write("data.jsonl", lines(120));
    recipe(&tool, more);
    tool
}

pub fn recipe(tool: &Tool, more: &str) {
    let head = "threads = 2\n[student]\npath = 'student'\n[data]\ncontext = 128\nvalidation = 0.1\n\
                [[data.source]]\npath = 'data.jsonl'\n";
    let rest = "[optimiser]\nrate = 3e-3\nmicro_batch = 2\naccumulate = 2\n[schedule]\nsteps = 12\nwarmup = 2\n";
    tool.write("recipe.toml", format!("{head}{rest}{more}"));
}
