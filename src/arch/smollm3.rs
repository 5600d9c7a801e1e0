//! SmolLM3: Llama's layers, every fourth of them without rotated positions.

use super::tensor::*;
use super::*;

pub(super) static SMOLLM3: Architecture = Architecture {
    gguf: "smollm3",
    classes: &[Class::new("SmolLM3ForCausalLM", "smollm3")],
    exported: "SmolLM3ForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT],
    layer: &[ATTN_NORM, PAIRED_Q, PAIRED_K, ATTN_V, ATTN_OUTPUT, FFN_NORM, FFN_GATE, FFN_UP, FFN_DOWN],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads"],
        multi_query: None,
        default_kv_heads: Some(4),
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 32_768,
        vocabulary_in_file: true,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::WhereSaid,
            exported: false,
        },
    },
    norm: NormSpec::rms(1e-6),
    rope: RopeSpec {
        base: 2_000_000.0,
        ratio: None,
        base_in_file: true,
        window_base: None,
        partial: None,
        rotated_in_file: RotatedInFile::OfHead,
        scalings: &[RotaryScaling::Linear, RotaryScaling::Yarn],
        asserts_whole: true,
        // `n_no_rope_layer_step` in llama.cpp's `src/models/smollm3.cpp`.
        unrotated_every: Some(4),
    },
    tied: true,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    // Only layers without rotated positions can have one.
    window: SlidingWindow::Switched { first: None },
    scalars: &[],
    limits: &[],
    inert: &[],
    tokenizer: TokenizerSpec {
        prefix_space: PrefixSpace::AsSaid,
        // As Llama's: SmolLM's vocabularies begin no prompt with theirs.
        bos: BosToken::NeverWith(49_152),
        ..TokenizerSpec::PLAIN
    },
    trained: true,
    // Of one size with Llama's graph, which is computed besides.
    measured: true,
};
