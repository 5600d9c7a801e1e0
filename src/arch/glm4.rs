//! GLM-4 of 2025 (`glm4`): half of a head is rotated, and both parts of a layer are normalised behind them too.

use super::tensor::*;
use super::*;

pub(super) static GLM4: Architecture = Architecture {
    gguf: "glm4",
    classes: &[Class::new("Glm4ForCausalLM", "glm4")],
    exported: "Glm4ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT],
    layer: &[
        ATTN_NORM,
        ATTN_Q,
        ATTN_K,
        ATTN_V,
        ATTN_OUTPUT,
        POST_ATTENTION_NORM.called("post_self_attn_layernorm"),
        FFN_NORM,
        FFN_GATE_AND_UP,
        FFN_DOWN,
        POST_FFW_NORM.called("post_mlp_layernorm"),
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads", "n_head_kv"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 131_072,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Width(128),
            in_file: HeadInFile::Always,
            exported: true,
        },
    },
    norm: NormSpec::rms(1.5625e-7),
    rope: RopeSpec {
        base: 10_000.0,
        ratio: None,
        base_in_file: true,
        window_base: None,
        partial: Some(0.5),
        rotated_in_file: RotatedInFile::OfHead,
        scalings: &[RotaryScaling::Linear, RotaryScaling::Yarn],
        asserts_whole: false,
        unrotated_every: None,
    },
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    window: SlidingWindow::None,
    scalars: &[],
    limits: &[],
    inert: &[],
    tokenizer: TokenizerSpec {
        three_digits_pre: Some("glm4"),
        special: &[("eos", "<|endoftext|>"), ("eot", "<|user|>"), ("unk", "<|endoftext|>"), ("bos", "<|endoftext|>")],
        ..TokenizerSpec::PLAIN
    },
    trained: false,
    measured: true,
};
