//! Llama, Mistral without a window, DeepSeek-Coder, SmolLM2.

use super::tensor::*;
use super::*;

pub(super) static LLAMA: Architecture = Architecture {
    gguf: "llama",
    classes: &[
        Class::new("LlamaForCausalLM", "llama"),
        Class::new("LLaMAForCausalLM", "llama"),
        Class::new("MistralForCausalLM", "mistral"),
    ],
    exported: "LlamaForCausalLM",
    joined: &[],
    outer: &[EMBEDDING, OUTPUT_NORM, OUTPUT],
    layer: &[
        ATTN_NORM,
        PAIRED_Q,
        PAIRED_K,
        ATTN_V,
        ATTN_OUTPUT.biased(),
        FFN_NORM,
        FFN_GATE.biased(),
        FFN_UP.biased(),
        FFN_DOWN.biased(),
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads", "n_head_kv"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &keys::FEED_FORWARD,
        default_feed_forward: None,
        default_context: 2048,
        vocabulary_in_file: true,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::Always,
            exported: true,
        },
    },
    norm: NormSpec::rms(1e-6),
    rope: RopeSpec {
        base: 10_000.0,
        ratio: None,
        base_in_file: true,
        window_base: None,
        partial: None,
        rotated_in_file: RotatedInFile::OfHead,
        scalings: &[RotaryScaling::Linear, RotaryScaling::Yarn, RotaryScaling::Llama3],
        asserts_whole: true,
        unrotated_every: None,
    },
    tied: false,
    activation: Activation::SILU,
    attention_bias: AttentionBias::AsSaid,
    window: SlidingWindow::OfModelType("mistral"),
    scalars: &[],
    limits: &[Limit::Not("rope_interleaved", true)],
    inert: &["is_llama_config"],
    tokenizer: TokenizerSpec {
        prefix_space: PrefixSpace::AsSaid,
        // SmolLM's and Granite's vocabularies, whose BOS token belongs into no prompt.
        bos: BosToken::NeverWith(49_152),
        ..TokenizerSpec::PLAIN
    },
    trained: true,
    measured: true,
};
