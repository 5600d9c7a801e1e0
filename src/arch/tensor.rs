//! One tensor of a family: what checkpoints and GGUF call it, its shape, and what happens to its values in between.

/// The sizes that shapes follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Tokens.
    pub vocabulary: u64,
    /// Numbers of a hidden state.
    pub embedding: u64,
    /// Numbers between the feed-forward matrices.
    pub feed_forward: u64,
    /// Heads of queries.
    pub heads: u64,
    /// Heads of keys and of values.
    pub kv_heads: u64,
    /// Numbers of a head.
    pub head: u64,
}

/// One dimension of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sizes of the same names")]
pub enum Dim {
    Vocabulary,
    Embedding,
    FeedForward,
    /// Both halves of a gated feed-forward part in one matrix.
    GateAndUp,
    Queries,
    Keys,
    /// All three of attention's inputs in one matrix.
    QueriesKeysValues,
    Head,
}

impl Dim {
    fn of(self, sizes: &Dimensions) -> u64 {
        let (queries, keys) = (sizes.heads.saturating_mul(sizes.head), sizes.kv_heads.saturating_mul(sizes.head));
        match self {
            Self::Vocabulary => sizes.vocabulary,
            Self::Embedding => sizes.embedding,
            Self::FeedForward => sizes.feed_forward,
            Self::GateAndUp => sizes.feed_forward.saturating_mul(2),
            Self::Queries => queries,
            Self::Keys => keys,
            Self::QueriesKeysValues => queries.saturating_add(keys.saturating_mul(2)),
            Self::Head => sizes.head,
        }
    }
}

/// What happens to a tensor's values between a checkpoint and GGUF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// Nothing but their type.
    Kept,
    /// Rows of each head of queries go from two halves to pairs, as llama.cpp's graph rotates them.
    PairedQueries,
    /// The same for heads of keys.
    PairedKeys,
    /// One is added: the checkpoint's norm multiplies by one plus the weight.
    PlusOne,
}

/// The same, for a model of so many heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewritten {
    /// Nothing but their type.
    Kept,
    /// Rows of each of so many heads go from two halves to pairs.
    Paired(u64),
    /// One is added.
    PlusOne,
}

impl Rewrite {
    /// For a model with so many heads of queries and of keys.
    pub fn with_heads(self, queries: u64, keys: u64) -> Rewritten {
        match self {
            Self::Kept => Rewritten::Kept,
            Self::PairedQueries => Rewritten::Paired(queries),
            Self::PairedKeys => Rewritten::Paired(keys),
            Self::PlusOne => Rewritten::PlusOne,
        }
    }
}

/// Whether llama.cpp loads a file without the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It does not.
    Needed,
    /// It does not, but where queries, keys and values are one matrix.
    UnlessFused,
    /// It does.
    Optional,
}

/// A tensor of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in GGUF, without `blk.N.` and `.weight`.
    pub gguf: &'static str,
    /// Its name in the exported class, without `model.layers.N.` and `.weight`; `None` where that class has none.
    pub name: Option<&'static str>,
    /// Names that other classes have for it.
    pub also: &'static [&'static str],
    /// Its shape, the slowest dimension first; a bias has the first of them.
    pub dims: &'static [Dim],
    /// What happens to its values.
    pub rewrite: Rewrite,
    /// Whether llama.cpp adds a bias where there is one.
    pub bias: bool,
    /// Whether it may be missing.
    pub presence: Presence,
}

/// A matrix that holds several tensors of a layer, the rows of one behind those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedSpec {
    /// Its name in a checkpoint, without `model.layers.N.` and `.weight`.
    pub name: &'static str,
    /// What GGUF calls the tensors.
    pub parts: &'static [&'static str],
}

impl TensorSpec {
    const fn new(gguf: &'static str, name: &'static str, dims: &'static [Dim]) -> Self {
        let (rewrite, presence) = (Rewrite::Kept, Presence::Needed);
        Self { gguf, name: Some(name), also: &[], dims, rewrite, bias: false, presence }
    }

    pub(super) const fn called(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    pub(super) const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    pub(super) const fn rewritten(self, rewrite: Rewrite) -> Self {
        Self { rewrite, ..self }
    }

    pub(super) const fn biased(self) -> Self {
        Self { bias: true, ..self }
    }

    const fn when(self, presence: Presence) -> Self {
        Self { presence, ..self }
    }

    /// It is read and cannot be exported.
    pub(super) const fn not_exported(self) -> Self {
        Self { name: None, ..self }
    }

    /// Its shape, the slowest dimension first.
    pub fn shape(&self, sizes: &Dimensions) -> Vec<u64> {
        self.dims.iter().map(|dim| dim.of(sizes)).collect()
    }

    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == Some(name) || self.also.contains(&name)
    }
}

// What most families have, with the names that most have for it.

pub(super) const EMBEDDING: TensorSpec =
    TensorSpec::new("token_embd", "model.embed_tokens", &[Dim::Vocabulary, Dim::Embedding]).also(&["embed_tokens"]);
pub(super) const OUTPUT_NORM: TensorSpec =
    TensorSpec::new("output_norm", "model.norm", &[Dim::Embedding]).also(&["norm"]);
/// Where there is none, the embedding takes its place.
pub(super) const OUTPUT: TensorSpec = TensorSpec::new("output", "lm_head", &[Dim::Vocabulary, Dim::Embedding])
    .also(&["model.output", "output"])
    .when(Presence::Optional);

pub(super) const ATTN_NORM: TensorSpec = TensorSpec::new("attn_norm", "input_layernorm", &[Dim::Embedding]);
pub(super) const ATTN_Q: TensorSpec =
    TensorSpec::new("attn_q", "self_attn.q_proj", &[Dim::Queries, Dim::Embedding]).biased().when(Presence::UnlessFused);
pub(super) const ATTN_K: TensorSpec =
    TensorSpec::new("attn_k", "self_attn.k_proj", &[Dim::Keys, Dim::Embedding]).biased().when(Presence::UnlessFused);
pub(super) const ATTN_V: TensorSpec =
    TensorSpec::new("attn_v", "self_attn.v_proj", &[Dim::Keys, Dim::Embedding]).biased().when(Presence::UnlessFused);
pub(super) const ATTN_QKV: TensorSpec =
    TensorSpec::new("attn_qkv", "self_attn.qkv_proj", &[Dim::QueriesKeysValues, Dim::Embedding])
        .biased()
        .when(Presence::Optional);
pub(super) const ATTN_OUTPUT: TensorSpec =
    TensorSpec::new("attn_output", "self_attn.o_proj", &[Dim::Embedding, Dim::Queries]);
pub(super) const ATTN_Q_NORM: TensorSpec = TensorSpec::new("attn_q_norm", "self_attn.q_norm", &[Dim::Head]);
pub(super) const ATTN_K_NORM: TensorSpec = TensorSpec::new("attn_k_norm", "self_attn.k_norm", &[Dim::Head]);
pub(super) const POST_ATTENTION_NORM: TensorSpec =
    TensorSpec::new("post_attention_norm", "post_attention_layernorm", &[Dim::Embedding]);
pub(super) const FFN_NORM: TensorSpec = TensorSpec::new("ffn_norm", "post_attention_layernorm", &[Dim::Embedding]);
pub(super) const FFN_GATE: TensorSpec =
    TensorSpec::new("ffn_gate", "mlp.gate_proj", &[Dim::FeedForward, Dim::Embedding]);
pub(super) const FFN_UP: TensorSpec = TensorSpec::new("ffn_up", "mlp.up_proj", &[Dim::FeedForward, Dim::Embedding]);
pub(super) const FFN_GATE_AND_UP: TensorSpec =
    TensorSpec::new("ffn_up", "mlp.gate_up_proj", &[Dim::GateAndUp, Dim::Embedding]);
pub(super) const FFN_DOWN: TensorSpec =
    TensorSpec::new("ffn_down", "mlp.down_proj", &[Dim::Embedding, Dim::FeedForward]);
pub(super) const POST_FFW_NORM: TensorSpec =
    TensorSpec::new("post_ffw_norm", "post_feedforward_layernorm", &[Dim::Embedding]);

/// Queries and keys of the graphs that rotate pairs (`LLAMA_ROPE_TYPE_NORM` in `src/llama-model.cpp`) while their
/// checkpoints rotate halves.
pub(super) const PAIRED_Q: TensorSpec = ATTN_Q.rewritten(Rewrite::PairedQueries);
pub(super) const PAIRED_K: TensorSpec = ATTN_K.rewritten(Rewrite::PairedKeys);
