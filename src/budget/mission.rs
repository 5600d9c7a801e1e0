//! Headers of the mission's models for tests: real names, shapes and types, weights as a hole.

use std::path::Path;

use super::shape::Shape;
use crate::weights::gguf::write::HeaderWriter;
use crate::weights::gguf::{GgmlType, Header};

/// The numbers that make a model of the llama family.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) layers: u32,
    pub(crate) embedding: u64,
    pub(crate) feed_forward: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head: u64,
    pub(crate) vocabulary: u64,
    pub(crate) merges: u64,
    pub(crate) context: u32,
    /// QKV biases.
    pub(crate) biases: bool,
    /// The type of most matrices, of the more sensitive ones, and of the embeddings.
    pub(crate) kinds: [GgmlType; 3],
}

pub(crate) const QWEN_CODER_1_5B: Recipe = Recipe {
    name: "Qwen2.5 Coder 1.5B Instruct",
    architecture: "qwen2",
    layers: 28,
    embedding: 1536,
    feed_forward: 8960,
    heads: 12,
    kv_heads: 2,
    head: 128,
    vocabulary: 151_936,
    merges: 151_387,
    context: 32_768,
    biases: true,
    kinds: [GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::Q6_K],
};

pub(crate) const QWEN3_ZERO_CODER_0_8B: Recipe = Recipe {
    name: "Qwen3 Zero Coder Reasoning 0.8B",
    architecture: "qwen3",
    layers: 42,
    embedding: 1024,
    feed_forward: 3072,
    heads: 16,
    kv_heads: 8,
    head: 128,
    vocabulary: 151_936,
    merges: 151_387,
    context: 40_960,
    biases: false,
    kinds: [GgmlType::Q5_K, GgmlType::Q6_K, GgmlType::Q6_K],
};

pub(crate) const DEEPSEEK_CODER_1_3B: Recipe = Recipe {
    name: "deepseek coder 1.3b instruct",
    architecture: "llama",
    layers: 24,
    embedding: 2048,
    feed_forward: 5504,
    heads: 16,
    kv_heads: 16,
    head: 128,
    vocabulary: 32_256,
    merges: 31_757,
    context: 16_384,
    biases: false,
    kinds: [GgmlType::Q4_K, GgmlType::Q4_K, GgmlType::Q6_K],
};

pub(crate) const SMOLLM2_135M: Recipe = Recipe {
    name: "Smollm2 135M 8k Lc100K Mix1 Ep2",
    architecture: "llama",
    layers: 30,
    embedding: 576,
    feed_forward: 1536,
    heads: 9,
    kv_heads: 3,
    head: 64,
    vocabulary: 49_152,
    merges: 48_900,
    context: 8192,
    biases: false,
    kinds: [GgmlType::Q4_1, GgmlType::Q4_1, GgmlType::Q8_0],
};

impl Recipe {
    /// The header, with a made-up vocabulary of the right size.
    pub(crate) fn writer(&self) -> HeaderWriter {
        let key = |name: &str| format!("{}.{name}", self.architecture);
        let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
        let word = |mut n: u64| {
            let mut text = String::new();
            while n > 0 {
                text.push_str(letters[(n % 16) as usize]);
                n /= 16;
            }
            text
        };
        let tokens: Vec<String> = (0..self.vocabulary).map(|n| format!("{}x", word(n))).collect();
        let merges: Vec<String> = (0..self.merges).map(|n| format!("{} {}", word(n % 300), word(n / 300))).collect();
        let types = vec![1u32; self.vocabulary as usize];
        let mut writer = HeaderWriter::new()
            .str("general.architecture", self.architecture)
            .str("general.type", "model")
            .str("general.name", self.name)
            .u32(&key("block_count"), self.layers)
            .u32(&key("context_length"), self.context)
            .u32(&key("embedding_length"), self.embedding as u32)
            .u32(&key("feed_forward_length"), self.feed_forward as u32)
            .u32(&key("attention.head_count"), self.heads as u32)
            .u32(&key("attention.head_count_kv"), self.kv_heads as u32)
            .u32(&key("attention.key_length"), self.head as u32)
            .u32(&key("attention.value_length"), self.head as u32)
            .f32(&key("rope.freq_base"), 1e6)
            .f32(&key("attention.layer_norm_rms_epsilon"), 1e-6)
            .str("tokenizer.ggml.model", "gpt2")
            .str("tokenizer.ggml.pre", if self.architecture == "llama" { "smollm" } else { "qwen2" })
            .strs("tokenizer.ggml.tokens", &tokens)
            .i32s("tokenizer.ggml.token_type", &types.iter().map(|&kind| kind as i32).collect::<Vec<_>>())
            .strs("tokenizer.ggml.merges", &merges)
            .u32("tokenizer.ggml.eos_token_id", 2)
            .tensor("token_embd.weight", &[self.embedding, self.vocabulary], self.kinds[2])
            .tensor("output_norm.weight", &[self.embedding], GgmlType::F32);
        if self.vocabulary < 40_000 {
            writer = writer.tensor("output.weight", &[self.embedding, self.vocabulary], self.kinds[2]);
        }
        (0..self.layers).fold(writer, |writer, layer| self.block(writer, layer))
    }

    fn block(&self, writer: HeaderWriter, layer: u32) -> HeaderWriter {
        let [most, sensitive, _] = self.kinds;
        // `use_more_bits` in llama-quant.cpp: the first and last eighth, and every third layer between.
        let n = self.layers;
        let more = layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
        let kind = if more { sensitive } else { most };
        // Rows of K-quants are multiples of 256; others fall back.
        let whole = |kind: GgmlType, columns: u64| match kind {
            kind if columns.is_multiple_of(kind.block()) => kind,
            GgmlType::Q6_K => GgmlType::Q8_0,
            _ => GgmlType::Q5_0,
        };
        let (embedding, hidden) = (self.embedding, self.feed_forward);
        let (queries, kv) = (self.heads * self.head, self.kv_heads * self.head);
        let name = |part: &str| format!("blk.{layer}.{part}");
        let mut writer = writer
            .tensor(&name("attn_norm.weight"), &[embedding], GgmlType::F32)
            .tensor(&name("ffn_down.weight"), &[hidden, embedding], whole(kind, hidden))
            .tensor(&name("ffn_gate.weight"), &[embedding, hidden], most)
            .tensor(&name("ffn_up.weight"), &[embedding, hidden], most)
            .tensor(&name("ffn_norm.weight"), &[embedding], GgmlType::F32)
            .tensor(&name("attn_k.weight"), &[embedding, kv], most)
            .tensor(&name("attn_output.weight"), &[queries, embedding], most)
            .tensor(&name("attn_q.weight"), &[embedding, queries], most)
            .tensor(&name("attn_v.weight"), &[embedding, kv], kind);
        if self.biases {
            for (part, width) in [("attn_q.bias", queries), ("attn_k.bias", kv), ("attn_v.bias", kv)] {
                writer = writer.tensor(&name(part), &[width], GgmlType::F32);
            }
        }
        if self.architecture == "qwen3" {
            writer = writer.tensor(&name("attn_q_norm.weight"), &[self.head], GgmlType::F32).tensor(
                &name("attn_k_norm.weight"),
                &[self.head],
                GgmlType::F32,
            );
        }
        writer
    }

    /// Written to disk (sparse), read back.
    pub(crate) fn shape(&self) -> Shape {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        self.write(&path);
        Shape::from_header(&Header::read(&path).unwrap()).unwrap()
    }

    pub(crate) fn write(&self, path: &Path) {
        self.writer().write_sparse(path).unwrap();
    }
}
