//! Qwen3, dense: normalised queries and keys instead of biases.

use super::qwen2::{ROPE, WINDOW};
use super::tensor::*;
use super::*;

pub(super) static QWEN3: Architecture = Architecture {
    gguf: "qwen3",
    classes: &[Class::new("Qwen3ForCausalLM", "qwen3")],
    exported: "Qwen3ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT],
    layer: &[
        ATTN_NORM,
        ATTN_Q,
        ATTN_K,
        ATTN_V,
        ATTN_OUTPUT,
        ATTN_Q_NORM,
        ATTN_K_NORM,
        FFN_NORM,
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads", "n_head_kv"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 32_768,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Width(128),
            in_file: HeadInFile::Always,
            exported: true,
        },
    },
    norm: NormSpec::rms(1e-6),
    rope: ROPE,
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    window: WINDOW,
    scalars: &[],
    limits: &[],
    inert: &[],
    tokenizer: TokenizerSpec::PLAIN,
    trained: true,
    measured: true,
};
