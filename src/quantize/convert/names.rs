//! Tensors: what a checkpoint calls them, what GGUF calls them, the shape they must have, and what happens to their rows.

use std::collections::HashSet;

use super::arch::{Arch, Sizes};

/// What happens to a tensor on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing but its type.
    Kept,
    /// Rows of each of so many heads go from two halves to pairs, as llama.cpp's `llama` rotates them.
    Paired(u32),
    /// One is added: Gemma's norms multiply by one plus the weight.
    PlusOne,
}

const GLOBAL: [(&str, &str); 11] = [
    ("model.embed_tokens", "token_embd"),
    ("embed_tokens", "token_embd"),
    ("embedding.word_embeddings", "token_embd"),
    ("model.norm", "output_norm"),
    ("norm", "output_norm"),
    ("model.final_layernorm", "output_norm"),
    ("encoder.final_layernorm", "output_norm"),
    ("lm_head", "output"),
    ("output_layer", "output"),
    ("model.output", "output"),
    ("output", "output"),
];

/// Parts of a layer, as most architectures name them.
const LAYER: [(&str, &str); 25] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.dense", "attn_output"),
    ("self_attention.dense", "attn_output"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attention.query_key_value", "attn_qkv"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("self_attn.q_layernorm", "attn_q_norm"),
    ("self_attn.k_layernorm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.fc1", "ffn_up"),
    ("mlp.fc2", "ffn_down"),
    ("mlp.dense_h_to_4h", "ffn_up"),
    ("mlp.dense_4h_to_h", "ffn_down"),
    ("post_self_attn_layernorm", "post_attention_norm"),
    ("post_mlp_layernorm", "post_ffw_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

impl Arch {
    /// The name in GGUF; `None` for a tensor nobody needs, `Some(Err)` for one that is not known.
    pub(super) fn rename(self, name: &str) -> Option<Result<String, ()>> {
        if [".rotary_emb.inv_freq", ".rotary_pos_emb.inv_freq", ".attention.masked_bias", ".attention.bias"]
            .iter()
            .any(|end| name.ends_with(end))
            || ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."]
                .iter()
                .any(|start| name.starts_with(start))
        {
            return None;
        }
        let name = name.strip_prefix("transformer.").unwrap_or(name);
        let name = name.replace("language_model.", "");
        let name = name.strip_prefix("model.model.").map_or(name.clone(), |rest| format!("model.{rest}"));
        let Some((stem, end)) = name.rsplit_once('.').filter(|(_, end)| matches!(*end, "weight" | "bias")) else {
            return Some(Err(()));
        };
        if let Some((_, to)) = GLOBAL.iter().find(|(from, _)| *from == stem) {
            return Some(Ok(format!("{to}.{end}")));
        }
        let layer = ["model.layers.", "encoder.layers.", "layers."].iter().find_map(|start| stem.strip_prefix(start));
        let Some((number, part)) = layer.and_then(|rest| rest.split_once('.')) else { return Some(Err(())) };
        let Ok(number) = number.parse::<u32>() else { return Some(Err(())) };
        let known = LAYER.iter().find(|(from, _)| *from == part).map(|known| known.1);
        // Gemma normalises after attention too, so the name means something else there.
        let known = known.or(match (part, self) {
            ("post_attention_layernorm", Self::Gemma3) => Some("post_attention_norm"),
            ("post_attention_layernorm", _) => Some("ffn_norm"),
            _ => None,
        });
        Some(known.map(|to| format!("blk.{number}.{to}.{end}")).ok_or(()))
    }

    /// The name in a checkpoint of a tensor of GGUF.
    #[cfg(feature = "engine")]
    pub(crate) fn restore(self, name: &str) -> Option<String> {
        let (stem, end) = name.rsplit_once('.')?;
        let glm = matches!(self, Self::ChatGlm | Self::Glm4);
        let fused = glm || self == Self::Phi3;
        if let Some((number, part)) = stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            let part = match (part, self) {
                ("attn_output", Self::Phi2) => "self_attn.dense",
                ("ffn_up", Self::Phi2) => "mlp.fc1",
                ("ffn_down", Self::Phi2) => "mlp.fc2",
                ("ffn_up", _) if fused => "mlp.gate_up_proj",
                ("post_attention_norm", Self::Gemma3) | ("ffn_norm", Self::Llama | Self::Qwen2 | Self::Qwen3) => {
                    "post_attention_layernorm"
                }
                ("ffn_norm", Self::Phi3 | Self::ChatGlm | Self::Glm4) => "post_attention_layernorm",
                ("post_ffw_norm", Self::Gemma3) => "post_feedforward_layernorm",
                ("attn_qkv", Self::ChatGlm) => return None,
                (part, _) => LAYER.iter().find(|(_, to)| *to == part)?.0,
            };
            return Some(format!("model.layers.{number}.{part}.{end}"));
        }
        let stem = match stem {
            "token_embd" => "model.embed_tokens",
            "output_norm" if self == Self::Phi2 => "model.final_layernorm",
            "output_norm" => "model.norm",
            "output" => "lm_head",
            _ => return None,
        };
        Some(format!("{stem}.{end}"))
    }

    /// What happens to the tensor `name` of GGUF.
    pub(super) fn change(self, name: &str, sizes: &Sizes) -> Change {
        match self {
            Self::Llama if name.contains(".attn_q.") => Change::Paired(sizes.heads),
            Self::Llama if name.contains(".attn_k.") => Change::Paired(sizes.kv_heads),
            Self::Gemma3 if name.ends_with("norm.weight") => Change::PlusOne,
            _ => Change::Kept,
        }
    }

    /// The shape a tensor must have, the slowest dimension first; `None` when nothing is known of it.
    pub(super) fn shape(self, name: &str, sizes: &Sizes) -> Option<Vec<u64>> {
        let [embedding, hidden, vocabulary] = [sizes.embedding, sizes.feed_forward, sizes.vocabulary].map(u64::from);
        let head = u64::from(sizes.head);
        let (queries, kv) = (u64::from(sizes.heads) * head, u64::from(sizes.kv_heads) * head);
        let gated = matches!(self, Self::ChatGlm | Self::Glm4 | Self::Phi3);
        let part = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or(name, |(_, part)| part);
        let (part, end) = part.rsplit_once('.')?;
        let (rows, columns) = match part {
            "token_embd" | "output" => (vocabulary, embedding),
            "attn_q" => (queries, embedding),
            "attn_k" | "attn_v" => (kv, embedding),
            "attn_qkv" => (queries + 2 * kv, embedding),
            "attn_output" => (embedding, queries),
            "ffn_up" if gated => (2 * hidden, embedding),
            "ffn_up" | "ffn_gate" => (hidden, embedding),
            "ffn_down" => (embedding, hidden),
            "attn_q_norm" | "attn_k_norm" => return Some(vec![head]),
            "output_norm" | "attn_norm" | "ffn_norm" | "post_attention_norm" | "post_ffw_norm" => {
                return Some(vec![embedding]);
            }
            _ => return None,
        };
        Some(if end == "bias" { vec![rows] } else { vec![rows, columns] })
    }

    /// Whether llama.cpp reads the tensor `name` of GGUF: a file with one more is refused there.
    pub(super) fn reads(self, name: &str) -> bool {
        let part = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map_or(name, |(_, part)| part);
        match part {
            "attn_q.bias" | "attn_k.bias" | "attn_v.bias" | "attn_qkv.bias" => true,
            "attn_output.bias" => matches!(self, Self::Llama | Self::Phi2),
            "ffn_gate.bias" => self == Self::Llama,
            "ffn_up.bias" | "ffn_down.bias" => matches!(self, Self::Llama | Self::Phi2),
            "output.bias" => matches!(self, Self::Qwen2 | Self::Phi2),
            "attn_norm.bias" | "output_norm.bias" => self == Self::Phi2,
            "attn_q_norm.weight" | "attn_k_norm.weight" => matches!(self, Self::Qwen3 | Self::Gemma3),
            "post_attention_norm.weight" | "post_ffw_norm.weight" => matches!(self, Self::Glm4 | Self::Gemma3),
            "ffn_norm.weight" => self != Self::Phi2,
            "ffn_gate.weight" => matches!(self, Self::Llama | Self::Qwen2 | Self::Qwen3 | Self::Gemma3),
            part => !part.ends_with(".bias"),
        }
    }

    /// The first tensor that is not among `seen` and without which llama.cpp refuses the file.
    pub(super) fn lacking(self, sizes: &Sizes, seen: &HashSet<String>) -> Option<String> {
        let layer: &[&str] = match self {
            Self::Llama | Self::Qwen2 => &["attn_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down", "attn_output"],
            Self::Qwen3 => &[
                "attn_norm",
                "ffn_norm",
                "ffn_gate",
                "ffn_up",
                "ffn_down",
                "attn_output",
                "attn_q_norm",
                "attn_k_norm",
            ],
            Self::ChatGlm | Self::Phi3 => &["attn_norm", "ffn_norm", "ffn_up", "ffn_down", "attn_output"],
            Self::Glm4 => {
                &["attn_norm", "ffn_norm", "ffn_up", "ffn_down", "attn_output", "post_attention_norm", "post_ffw_norm"]
            }
            Self::Phi2 => &["attn_norm", "ffn_up", "ffn_down", "attn_output"],
            Self::Gemma3 => &[
                "attn_norm",
                "ffn_norm",
                "ffn_gate",
                "ffn_up",
                "ffn_down",
                "attn_output",
                "attn_q_norm",
                "attn_k_norm",
                "post_attention_norm",
                "post_ffw_norm",
            ],
        };
        let ends = ["token_embd", "output_norm"].into_iter().map(|part| format!("{part}.weight"));
        let layers = (0..sizes.layers).flat_map(|number| {
            let fused = seen.contains(&format!("blk.{number}.attn_qkv.weight"));
            let attention: &[&str] = if fused { &[] } else { &["attn_q", "attn_k", "attn_v"] };
            layer.iter().chain(attention).map(move |part| format!("blk.{number}.{part}.weight"))
        });
        ends.chain(layers).find(|name| !seen.contains(name))
    }
}
