//! Qwen2 and Qwen2.5, Coder included: biases on queries, keys and values.

use super::tensor::*;
use super::*;

pub(super) static QWEN2: Architecture = Architecture {
    gguf: "qwen2",
    classes: &[Class::new("Qwen2ForCausalLM", "qwen2")],
    exported: "Qwen2ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT.biased()],
    layer: &[ATTN_NORM, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUTPUT, FFN_NORM, FFN_GATE, FFN_UP, FFN_DOWN],
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
            default: HeadDefault::Divided,
            in_file: HeadInFile::WhereSaid,
            exported: false,
        },
    },
    norm: NormSpec::rms(1e-6),
    rope: ROPE,
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::Always,
    window: WINDOW,
    scalars: &[],
    limits: &[Limit::Not("use_mrope", true)],
    inert: &[],
    tokenizer: TokenizerSpec::PLAIN,
    trained: true,
    measured: true,
};

/// Qwen3 has the same.
pub(super) const ROPE: RopeSpec = RopeSpec {
    base: 10_000.0,
    ratio: None,
    base_in_file: true,
    window_base: None,
    partial: None,
    rotated_in_file: RotatedInFile::Unsaid,
    scalings: &[RotaryScaling::Linear, RotaryScaling::Yarn],
    asserts_whole: true,
    unrotated_every: None,
};
pub(super) const WINDOW: SlidingWindow = SlidingWindow::Switched { first: Some((keys::FIRST_SLIDING, 28)) };
