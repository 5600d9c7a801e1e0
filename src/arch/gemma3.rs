//! Gemma 3, its text part: norms that multiply by one plus their weight, five layers with a window to one without.

use super::tensor::*;
use super::*;

/// What is stored of a norm is less by one than what it multiplies by.
const fn norm(spec: TensorSpec) -> TensorSpec {
    spec.rewritten(Rewrite::PlusOne)
}

pub(super) static GEMMA3: Architecture = Architecture {
    gguf: "gemma3",
    classes: &[Class::new("Gemma3ForCausalLM", "gemma3_text"), Class::new("Gemma3ForConditionalGeneration", "gemma3")],
    exported: "Gemma3ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, norm(OUTPUT_NORM), OUTPUT],
    layer: &[
        norm(ATTN_NORM),
        ATTN_Q,
        ATTN_K,
        ATTN_V,
        ATTN_OUTPUT,
        norm(ATTN_Q_NORM),
        norm(ATTN_K_NORM),
        norm(POST_ATTENTION_NORM),
        norm(FFN_NORM.called("pre_feedforward_layernorm")),
        FFN_GATE,
        FFN_UP,
        FFN_DOWN,
        norm(POST_FFW_NORM),
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads", "n_head_kv"],
        multi_query: None,
        default_kv_heads: Some(4),
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 131_072,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Width(256),
            in_file: HeadInFile::Always,
            exported: true,
        },
    },
    norm: NormSpec::rms(1e-6),
    rope: RopeSpec {
        base: 1e6,
        ratio: None,
        base_in_file: true,
        window_base: Some(10_000.0),
        partial: None,
        rotated_in_file: RotatedInFile::Unsaid,
        scalings: &[RotaryScaling::Linear, RotaryScaling::Yarn],
        asserts_whole: false,
        unrotated_every: None,
    },
    tied: true,
    activation: Activation { key: "hidden_activation", ..Activation::GELU },
    attention_bias: AttentionBias::AsSaid,
    window: SlidingWindow::Alternating { full: 6, tokens: 4096 },
    scalars: &[Scalar { key: "final_logit_softcapping", gguf: "final_logit_softcapping", default: None }],
    limits: &[
        Limit::Unset("attn_logit_softcapping"),
        Limit::Not("use_bidirectional_attention", true),
        Limit::HeadWidth { key: "query_pre_attn_scalar", divided_with_layers: 62 },
    ],
    inert: &["boi_token_index", "eoi_token_index", "image_token_index", "mm_tokens_per_image"],
    tokenizer: TokenizerSpec {
        spm_class: "GemmaTokenizer",
        prefix_space: PrefixSpace::NeverWithSpm,
        ..TokenizerSpec::PLAIN
    },
    trained: false,
    measured: true,
};
