//! The parts of a family's description beside its tensors.

/// A class of the transformers library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// As `architectures` lists it.
    pub name: &'static str,
    /// Its `model_type`.
    pub model_type: &'static str,
    /// What holds of its checkpoints beside what holds of the family's.
    pub limits: &'static [Limit],
}

impl Class {
    pub(super) const fn new(name: &'static str, model_type: &'static str) -> Self {
        Self { name, model_type, limits: &[] }
    }

    pub(super) const fn limited(self, limits: &'static [Limit]) -> Self {
        Self { limits, ..self }
    }
}

/// How a configuration says the sizes, and what holds where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeSpec {
    /// Keys for heads of keys and values.
    pub kv_heads: &'static [&'static str],
    /// A key whose `false` says that every head of queries has keys and values of its own.
    pub multi_query: Option<&'static str>,
    /// Heads of keys and values where nothing is said; as many as of queries where this is `None`.
    pub default_kv_heads: Option<u32>,
    /// Keys for numbers between the feed-forward matrices.
    pub feed_forward: &'static [&'static str],
    /// Numbers between the feed-forward matrices for each number of a hidden state, where nothing is said; it must be said
    /// where this is `None`.
    pub default_feed_forward: Option<u32>,
    /// Tokens of context where nothing is said.
    pub default_context: u32,
    /// Whether a file says the size of the vocabulary.
    pub vocabulary_in_file: bool,
    /// Numbers of a head.
    pub head: HeadSpec,
}

/// How the width of a head is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSpec {
    /// Keys of the configuration.
    pub keys: &'static [&'static str],
    /// What holds where none is there.
    pub default: HeadDefault,
    /// When a file says it.
    pub in_file: HeadInFile,
    /// Whether an exported configuration says it although the file does not.
    pub exported: bool,
}

/// The width of a head that nothing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadDefault {
    /// The embedding's, divided by the heads.
    Divided,
    /// So many numbers.
    Width(u32),
}

/// When a file says how wide a head is (`attention.key_length`, `attention.value_length`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadInFile {
    /// In any case.
    Always,
    /// When the configuration says it.
    WhereSaid,
    /// When the configuration says another one than llama.cpp's division of the embedding's width.
    WhereUnusual,
    /// Never: llama.cpp divides the embedding's width.
    Never,
}

/// How the number that is added to a variance is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Keys of the configuration; the first is the one that is exported.
    pub keys: &'static [&'static str],
    /// The file's key, without the architecture.
    pub gguf: &'static str,
    /// The number where none is said.
    pub default: f64,
}

impl NormSpec {
    /// Root mean square.
    pub(super) const fn rms(default: f64) -> Self {
        let keys = &["rms_norm_eps", "layernorm_epsilon", "norm_eps"];
        Self { keys, gguf: "attention.layer_norm_rms_epsilon", default }
    }

    /// Mean and variance, with a bias.
    pub(super) const fn layer(default: f64) -> Self {
        Self { keys: &["layer_norm_eps", "layer_norm_epsilon"], gguf: "attention.layer_norm_epsilon", default }
    }
}

/// How positions are encoded: rotary embeddings, all over a head or over a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeSpec {
    /// The base where the configuration names none.
    pub base: f64,
    /// A key whose number the base is multiplied by.
    pub ratio: Option<&'static str>,
    /// Whether a file says the base although it is the usual one.
    pub base_in_file: bool,
    /// The base of layers with a sliding window, where that is another one.
    pub window_base: Option<f64>,
    /// The share of a head that is rotated where nothing is said; `None` where it is always all.
    pub partial: Option<f64>,
    /// How a file says how many numbers of a head are rotated.
    pub rotated_in_file: RotatedInFile,
    /// The ways in which positions can be stretched.
    pub scalings: &'static [RotaryScaling],
    /// Whether llama.cpp's graph asserts that all of a head is rotated.
    pub asserts_whole: bool,
    /// Every so many layers one is not rotated at all, which llama.cpp's graph has built in.
    pub unrotated_every: Option<u32>,
}

/// How many numbers of a head are rotated (`rope.dimension_count`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotatedInFile {
    /// A file does not say it.
    Unsaid,
    /// The share of a head's width.
    OfHead,
    /// The share of the embedding's width, divided by the heads.
    OfEmbedding,
}

/// A way in which positions are stretched (`rope_type` of `rope_scaling` or `rope_parameters`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names that configurations have for them")]
pub enum RotaryScaling {
    Linear,
    Yarn,
    /// Factors for each frequency, computed from the configuration.
    Llama3,
    /// Factors for each frequency, listed in the configuration: some for short texts, others for long ones.
    LongRope,
}

/// The function between the feed-forward matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The configuration's key.
    pub key: &'static str,
    /// The names that it has there.
    pub names: &'static [&'static str],
}

impl Activation {
    pub(super) const SILU: Self = Self { key: "hidden_act", names: &["silu", "swish"] };
    /// The approximation by a hyperbolic tangent, which is what llama.cpp's GELU is.
    pub(super) const GELU: Self = Self { key: "hidden_act", names: &["gelu_pytorch_tanh", "gelu_new", "gelu_fast"] };
}

/// Attention that looks back only so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlidingWindow {
    /// No checkpoint of the family has such layers.
    None,
    /// Checkpoints can have such layers where `use_sliding_window` says so, and llama.cpp's graph has none. With `first`,
    /// only layers from the number under that key on are such, or from this one where there is no key.
    Switched {
        /// The key, and the number without it.
        first: Option<(&'static str, u32)>,
    },
    /// Checkpoints of this `model_type` have it in all layers, and llama.cpp's graph in none.
    OfModelType(&'static str),
    /// A file says it for all layers, 0 where there is none.
    AllLayers,
    /// All layers but every `full`th; `tokens` where the configuration does not say how many.
    Alternating {
        /// Every so many layers one sees everything.
        full: usize,
        /// How far the others look back.
        tokens: u32,
    },
}

/// A number of the configuration that goes into the file as it is. llama.cpp takes 0 for a number that is not there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalar {
    /// The configuration's key.
    pub key: &'static str,
    /// The file's key, without the architecture.
    pub gguf: &'static str,
    /// What the library takes where nothing is said; `None` where that is not to compute with any.
    pub default: Option<f64>,
}

/// What a configuration may ask for, and llama.cpp's graph does not compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The key must not have a number.
    Unset(&'static str),
    /// The key must not have this truth value.
    Not(&'static str, bool),
    /// The key must have this number.
    Number(&'static str, u32),
    /// The key must have this text.
    Text(&'static str, &'static str),
    /// The key must list this text for every layer.
    EachLayer(&'static str, &'static str),
    /// The number whose root queries are divided by must be a head's width; with so many layers, the embedding's width
    /// divided by the heads.
    HeadWidth {
        /// The configuration's key.
        key: &'static str,
        /// How llama.cpp tells the largest model.
        divided_with_layers: u32,
    },
}

/// Where a family's tokenizer is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerSpec {
    /// llama.cpp's pre-tokenizer with SentencePiece.
    pub spm_pre: &'static str,
    /// The class of the transformers library that reads SentencePiece's file.
    pub spm_class: &'static str,
    /// llama.cpp's pre-tokenizer where GPT-2's own split is used.
    pub gpt2_pre: &'static str,
    /// llama.cpp's pre-tokenizer where up to three digits go together, when the family has one of its own.
    pub three_digits_pre: Option<&'static str>,
    /// Whether a text begins with a space that nobody typed.
    pub prefix_space: PrefixSpace,
    /// Whether prompts begin with the BOS token.
    pub bos: BosToken,
    /// Whether added tokens are read as they are written, and from `tokenizer.json` too.
    pub verbatim_added: bool,
    /// Whether checkpoints of the class `GPT2Tokenizer` are byte-level although a `tokenizer.model` lies beside.
    pub gpt2_class: bool,
    /// What byte-level vocabularies use as special tokens when no file says so: the job and the token's text.
    pub special: &'static [(&'static str, &'static str)],
}

impl Limit {
    /// The configuration's key.
    pub fn key(&self) -> &'static str {
        match *self {
            Self::Unset(key)
            | Self::Not(key, _)
            | Self::Number(key, _)
            | Self::Text(key, _)
            | Self::EachLayer(key, _)
            | Self::HeadWidth { key, .. } => key,
        }
    }
}

impl TokenizerSpec {
    pub(super) const PLAIN: Self = Self {
        spm_pre: "default",
        spm_class: "LlamaTokenizer",
        gpt2_pre: "gpt-2",
        three_digits_pre: None,
        prefix_space: PrefixSpace::Unsaid,
        bos: BosToken::AsSaid,
        verbatim_added: false,
        gpt2_class: false,
        special: &[],
    };
}

/// Whether a text begins with a space that nobody typed (`tokenizer.ggml.add_space_prefix`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixSpace {
    /// A file does not say it.
    Unsaid,
    /// A file says what `add_prefix_space` of `tokenizer_config.json` does.
    AsSaid,
    /// Never, with SentencePiece.
    NeverWithSpm,
}

/// Whether prompts begin with the BOS token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BosToken {
    /// As the tokenizer's files say.
    AsSaid,
    /// Never.
    Never,
    /// Never, in vocabularies of so many tokens.
    NeverWith(usize),
}

/// Whether queries, keys and values have biases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionBias {
    /// Where `attention_bias` says so.
    AsSaid,
    /// In any case, and no key says it.
    Always,
}
