//! Granite 3 and 4, dense: Llama's layers with four multipliers, of embeddings, of attention's scores, of what each part of a
//! layer adds, and (as a divisor) of logits.

use super::tensor::*;
use super::*;

/// A multiplier is 1 where no configuration says it, that of scores too.
const fn multiplier(key: &'static str, gguf: &'static str) -> Scalar {
    Scalar { key, gguf, default: Some(1.0) }
}

pub(super) static GRANITE: Architecture = Architecture {
    gguf: "granite",
    classes: &[
        Class::new("GraniteForCausalLM", "granite"),
        // Most of the class are hybrids; those whose layers are all of attention, without experts, are Granites of this kind.
        Class::new("GraniteMoeHybridForCausalLM", "granitemoehybrid").limited(&[
            Limit::EachLayer(keys::KINDS, "attention"),
            Limit::Number("num_local_experts", 0),
            Limit::Text("position_embedding_type", "rope"),
        ]),
    ],
    exported: "GraniteForCausalLM",
    joined: &[JoinedSpec { name: "shared_mlp.input_linear", parts: &["ffn_gate", "ffn_up"] }],
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
        FFN_DOWN.also(&["shared_mlp.output_linear"]).biased(),
    ],
    sizes: SizeSpec {
        kv_heads: &["num_key_value_heads"],
        multi_query: None,
        default_kv_heads: None,
        feed_forward: &["shared_intermediate_size", "intermediate_size"],
        default_feed_forward: None,
        default_context: 2048,
        vocabulary_in_file: true,
        head: HeadSpec {
            keys: &["head_dim"],
            default: HeadDefault::Divided,
            in_file: HeadInFile::WhereUnusual,
            exported: false,
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
    window: SlidingWindow::None,
    scalars: &[
        multiplier("attention_multiplier", "attention.scale"),
        multiplier("embedding_multiplier", "embedding_scale"),
        multiplier("residual_multiplier", "residual_scale"),
        multiplier("logits_scaling", "logit_scale"),
    ],
    limits: &[],
    inert: &[
        "init_method",
        "mamba_chunk_size",
        "mamba_conv_bias",
        "mamba_d_conv",
        "mamba_d_head",
        "mamba_d_state",
        "mamba_expand",
        "mamba_n_groups",
        "mamba_n_heads",
        "mamba_proj_bias",
        "normalization_function",
        "num_experts_per_tok",
        "output_router_logits",
        "router_aux_loss_coef",
    ],
    tokenizer: TokenizerSpec {
        prefix_space: PrefixSpace::AsSaid,
        // The BOS token of the small models' vocabulary belongs into no prompt.
        bos: BosToken::NeverWith(49_152),
        ..TokenizerSpec::PLAIN
    },
    trained: true,
    measured: true,
};
