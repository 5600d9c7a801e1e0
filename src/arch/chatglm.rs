//! ChatGLM 3 and GLM-4 (the 9B of 2024): half of a head is rotated, and older checkpoints have fused matrices under their
//! own names.

use super::tensor::*;
use super::*;

pub(super) static CHATGLM: Architecture = Architecture {
    gguf: "chatglm",
    classes: &[
        Class::new("ChatGLMModel", "chatglm"),
        Class::new("ChatGLMForConditionalGeneration", "chatglm"),
        Class::new("GlmForCausalLM", "glm"),
    ],
    // The code of the others does not come with the library any more; this class reads the same weights.
    exported: "GlmForCausalLM",
    joined: &[],
    outer: &[
        EMBEDDING.also(&["embed_tokens", "embedding.word_embeddings"]),
        OUTPUT_NORM.also(&["norm", "encoder.final_layernorm"]),
        OUTPUT.also(&["output_layer", "model.output", "output"]),
    ],
    layer: &[
        ATTN_NORM,
        ATTN_QKV.not_exported().also(&["self_attention.query_key_value"]),
        ATTN_Q,
        ATTN_K,
        ATTN_V,
        ATTN_OUTPUT.also(&["self_attention.dense"]),
        FFN_NORM,
        FFN_GATE_AND_UP.also(&["mlp.dense_h_to_4h"]),
        FFN_DOWN.also(&["mlp.dense_4h_to_h"]),
    ],
    sizes: SizeSpec {
        kv_heads: &["multi_query_group_num", "num_key_value_heads"],
        multi_query: Some("multi_query_attention"),
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: Some(4),
        default_context: 131_072,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["kv_channels", "head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::Never,
            exported: true,
        },
    },
    norm: NormSpec::rms(1e-5),
    rope: RopeSpec {
        base: 10_000.0,
        ratio: Some("rope_ratio"),
        base_in_file: true,
        window_base: None,
        partial: Some(0.5),
        rotated_in_file: RotatedInFile::OfHead,
        scalings: &[],
        asserts_whole: false,
        unrotated_every: None,
    },
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    window: SlidingWindow::None,
    scalars: &[],
    limits: &[
        Limit::Not("rmsnorm", false),
        Limit::Not("post_layer_norm", false),
        Limit::Not("apply_residual_connection_post_layernorm", true),
    ],
    inert: &[
        "add_bias_linear",
        "add_qkv_bias",
        "apply_query_key_layer_scaling",
        "attention_softmax_in_fp32",
        "bias_dropout_fusion",
        "fp32_residual_connection",
        "original_rope",
        "pre_seq_len",
        "prefix_projection",
        "quantization_bit",
    ],
    tokenizer: TokenizerSpec {
        spm_pre: "chatglm-spm",
        three_digits_pre: Some("glm4"),
        bos: BosToken::Never,
        special: &[("eos", "<|endoftext|>"), ("eot", "<|user|>"), ("unk", "<|endoftext|>")],
        ..TokenizerSpec::PLAIN
    },
    trained: false,
    measured: true,
};
