//! Keys of `config.json` that many families share, under all names that they have.

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
