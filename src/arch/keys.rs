//! Keys of `config.json`: those that many families share, under all names that they have, and which ones are understood.

use serde_json::{Map, Value};

use super::{Architecture, Limit};

/// Layers.
pub const LAYERS: [&str; 3] = ["num_hidden_layers", "num_layers", "n_layer"];
/// Numbers of a hidden state.
pub const EMBEDDING: [&str; 4] = ["hidden_size", "n_embd", "n_embed", "d_model"];
/// Heads of queries.
pub const HEADS: [&str; 2] = ["num_attention_heads", "n_head"];
/// Numbers between the feed-forward matrices.
pub const FEED_FORWARD: [&str; 3] = ["intermediate_size", "ffn_hidden_size", "n_inner"];
/// Rows of the embedding.
pub const VOCABULARY: [&str; 2] = ["padded_vocab_size", "vocab_size"];
/// Tokens of context.
pub const CONTEXT: [&str; 5] = ["max_position_embeddings", "seq_length", "n_positions", "n_ctx", "model_max_length"];
/// The first layer that looks back only so far.
pub const FIRST_SLIDING: &str = "max_window_layers";
/// Kinds of layers.
pub const KINDS: &str = "layer_types";
/// Which layers are rotated: 1, or 0 for those that are not.
pub const ROTATED: &str = "no_rope_layers";
/// Every so many layers one is not rotated, where no list says which.
pub const UNROTATED_EVERY: &str = "no_rope_layer_interval";
/// Lists with an entry for each layer.
pub const PER_LAYER: [&str; 2] = [KINDS, ROTATED];
/// How positions are encoded, as older and newer configurations say it.
const ROPE: [&str; 12] = [
    "rope_theta",
    "global_rope_theta",
    "rotary_emb_base",
    "rope_local_base_freq",
    "local_rope_theta",
    "swa_rope_theta",
    "partial_rotary_factor",
    "rope_pct",
    "rope_percent",
    "original_max_position_embeddings",
    "rope_scaling",
    "rope_parameters",
];
/// What stands inside the last two of them.
const SCALING: [&str; 20] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
    "long_factor",
    "short_factor",
    "attention_factor",
    "extrapolation_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "finetuned",
    "full_attention",
    "sliding_attention",
];
/// Attention within a window.
const WINDOW: [&str; 4] = ["sliding_window", "use_sliding_window", "sliding_window_pattern", FIRST_SLIDING];
/// Biases, which are there or not among the tensors.
const BIASES: [&str; 2] = ["attention_bias", "mlp_bias"];

/// Keys that change nothing of what a model computes of a text: where it comes from, how it was trained, how its library runs
/// it, how answers are drawn (older files repeat that from `generation_config.json`), and special tokens.
const INERT: &str = " architectures model_type auto_map name_or_path torch_dtype dtype transformers_version unsloth_version \
    unsloth_fixed unsloth_training license pipeline_tag transformers.js_config use_cache cache_implementation gradient_checkpointing \
    attn_implementation use_bfloat16 torchscript output_attentions output_hidden_states output_scores return_dict \
    return_dict_in_generate pretraining_tp initializer_range attention_dropout hidden_dropout embd_pdrop resid_pdrop \
    classifier_dropout chunk_size_feed_forward pruned_heads tie_word_embeddings tie_encoder_decoder is_decoder \
    is_encoder_decoder add_cross_attention cross_attention_hidden_size tf_legacy_loss finetuning_task task_specific_params \
    problem_type id2label label2id tokenizer_class prefix bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id \
    cls_token_id mask_token_id decoder_start_token_id forced_bos_token_id forced_eos_token_id max_length min_length \
    do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p \
    repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences \
    remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens text_config vision_config \
    quantization_config ";

/// Which of so many layers are rotated, as a configuration says it; `None` where the family has none that are not. A list
/// that is too short leaves layers out.
pub fn rotated(family: &Architecture, config: &Map<String, Value>, layers: usize) -> Option<Vec<bool>> {
    let usual = family.rope.unrotated_every?;
    let turns = |layer: &Value| layer.as_u64() != Some(0) && layer.as_bool() != Some(false);
    if let Some(list) = config.get(ROTATED).and_then(Value::as_array) {
        return Some(list.iter().take(layers).map(turns).collect());
    }
    let every = config.get(UNROTATED_EVERY).and_then(Value::as_u64).unwrap_or(usual.into()).max(1);
    Some((1..=layers as u64).map(|layer| layer % every != 0).collect())
}

/// The keys of a configuration that nothing here understands: the model may compute with them. Keys of no value and those
/// that begin with `_` count as understood.
pub fn unknown(family: &Architecture, config: &Map<String, Value>) -> Vec<String> {
    let said = |(key, value): &(&String, &Value)| !value.is_null() && !key.starts_with('_');
    let outer = config.iter().filter(said).filter(|(key, _)| !is_understood(family, key)).map(|(key, _)| key.clone());
    let mut all: Vec<String> = outer.collect();
    for key in ["rope_scaling", "rope_parameters"] {
        let inner = config.get(key).and_then(Value::as_object).into_iter().flatten().filter(said);
        let strange = inner.filter(|(key, _)| !SCALING.contains(&key.as_str()));
        all.extend(strange.map(|(inner, _)| format!("{key}.{inner}")));
    }
    all
}

fn is_understood(family: &Architecture, key: &str) -> bool {
    let sizes = [&LAYERS[..], &EMBEDDING, &HEADS, &FEED_FORWARD, &VOCABULARY, &CONTEXT, &ROPE, &WINDOW, &BIASES];
    let own =
        [family.sizes.kv_heads, family.sizes.feed_forward, family.sizes.head.keys, family.norm.keys, family.inert];
    let single = [family.sizes.multi_query, family.rope.ratio, Some(family.activation.key), Some(KINDS)];
    let limits = family.limits.iter().chain(family.classes.iter().flat_map(|class| class.limits));
    sizes.iter().chain(&own).any(|keys| keys.contains(&key))
        || single.contains(&Some(key))
        || family.scalars.iter().any(|scalar| scalar.key == key)
        || limits.map(Limit::key).any(|known| known == key)
        || (family.rope.unrotated_every.is_some() && [ROTATED, UNROTATED_EVERY].contains(&key))
        || INERT.split_whitespace().any(|inert| inert == key)
}
