//! Phi-3, 3.5 and 4: fused matrices, and long contexts by two lists of factors.

use super::tensor::*;
use super::*;

pub(super) static PHI3: Architecture = Architecture {
    gguf: "phi3",
    classes: &[Class::new("Phi3ForCausalLM", "phi3")],
    exported: "Phi3ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT],
    layer: &[ATTN_NORM, ATTN_QKV, ATTN_Q, ATTN_K, ATTN_V, ATTN_OUTPUT, FFN_NORM, FFN_GATE_AND_UP, FFN_DOWN],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads", "n_head_kv"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 4096,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::Never,
            exported: false,
        },
    },
    norm: NormSpec::rms(1e-5),
    rope: RopeSpec {
        base: 10_000.0,
        ratio: None,
        base_in_file: true,
        window_base: None,
        partial: Some(1.0),
        rotated_in_file: RotatedInFile::OfEmbedding,
        scalings: &[RotaryScaling::LongRope],
        asserts_whole: false,
        unrotated_every: None,
    },
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    window: SlidingWindow::AllLayers,
    scalars: &[],
    limits: &[],
    inert: &["full_attn_mod", "interpolate_factor", "lm_head_bias"],
    tokenizer: TokenizerSpec { verbatim_added: true, gpt2_class: true, ..TokenizerSpec::PLAIN },
    trained: false,
    measured: true,
};
