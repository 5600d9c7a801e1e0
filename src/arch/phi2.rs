//! Phi-1, 1.5 and 2: attention and feed-forward side by side behind one norm with a bias, and part of a head rotated.

use super::tensor::*;
use super::*;

pub(super) static PHI2: Architecture = Architecture {
    gguf: "phi2",
    classes: &[Class::new("PhiForCausalLM", "phi")],
    exported: "PhiForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM.called("model.final_layernorm").biased(), OUTPUT.biased()],
    layer: &[
        ATTN_NORM.biased(),
        ATTN_Q,
        ATTN_K,
        ATTN_V,
        ATTN_OUTPUT.called("self_attn.dense").biased(),
        FFN_UP.called("mlp.fc1").biased(),
        FFN_DOWN.called("mlp.fc2").biased(),
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: Some(4),
        default_context: 2048,
        vocabulary_in_file: false,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::Never,
            exported: false,
        },
    },
    norm: NormSpec::layer(1e-5),
    rope: RopeSpec {
        base: 10_000.0,
        ratio: None,
        base_in_file: false,
        window_base: None,
        partial: Some(0.5),
        rotated_in_file: RotatedInFile::OfEmbedding,
        scalings: &[],
        asserts_whole: false,
        unrotated_every: None,
    },
    tied: false,
    activation: Activation::GELU,
    attention_bias: AttentionBias::Always,
    window: SlidingWindow::None,
    scalars: &[],
    limits: &[],
    inert: &["qk_layernorm"],
    tokenizer: TokenizerSpec { gpt2_pre: "phi-2", bos: BosToken::Never, ..TokenizerSpec::PLAIN },
    trained: false,
    measured: true,
};
