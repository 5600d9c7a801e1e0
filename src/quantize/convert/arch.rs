//! The architectures: their sizes out of `config.json`, and the metadata that llama.cpp wants of them.

use super::config::{Config, Rope};
use super::error::ConvertError;
use super::limits;
use crate::weights::gguf::Metadata;

/// A family of models as llama.cpp names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    Llama,
    Qwen2,
    Qwen3,
    ChatGlm,
    Glm4,
    Phi2,
    Phi3,
    Gemma3,
}

/// What a checkpoint's `architectures` or `model_type` says, and what it is here.
const KNOWN: [(&str, &str, Arch); 13] = [
    ("LlamaForCausalLM", "llama", Arch::Llama),
    ("LLaMAForCausalLM", "llama", Arch::Llama),
    ("MistralForCausalLM", "mistral", Arch::Llama),
    ("Qwen2ForCausalLM", "qwen2", Arch::Qwen2),
    ("Qwen3ForCausalLM", "qwen3", Arch::Qwen3),
    ("ChatGLMModel", "chatglm", Arch::ChatGlm),
    ("ChatGLMForConditionalGeneration", "chatglm", Arch::ChatGlm),
    ("GlmForCausalLM", "glm", Arch::ChatGlm),
    ("Glm4ForCausalLM", "glm4", Arch::Glm4),
    ("PhiForCausalLM", "phi", Arch::Phi2),
    ("Phi3ForCausalLM", "phi3", Arch::Phi3),
    ("Gemma3ForCausalLM", "gemma3_text", Arch::Gemma3),
    ("Gemma3ForConditionalGeneration", "gemma3", Arch::Gemma3),
];

/// The sizes that shapes follow from.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    pub(super) layers: u32,
    pub(super) embedding: u32,
    pub(super) feed_forward: u32,
    pub(super) heads: u32,
    pub(super) kv_heads: u32,
    /// Numbers in a head.
    pub(super) head: u32,
    /// The same, when the configuration itself says so, or its library's default does.
    pub(super) said_head: Option<u32>,
    pub(super) vocabulary: u32,
    pub(super) context: u32,
}

impl Arch {
    /// By class name, or by model type where there is none.
    pub(super) fn of(config: &Config) -> Result<Self, ConvertError> {
        let class = config.map.get("architectures").and_then(|list| list.get(0)).and_then(|name| name.as_str());
        let kind = config.str("model_type");
        let known = KNOWN.iter().find(|(name, ..)| class == Some(name));
        let known = known.or_else(|| KNOWN.iter().find(|(_, name, _)| class.is_none() && kind == Some(name)));
        known.map(|known| known.2).ok_or_else(|| {
            let found = class.or(kind).unwrap_or("none named").chars().take(60).collect();
            ConvertError::Architecture { found }
        })
    }

    /// By llama.cpp's name.
    #[cfg(feature = "engine")]
    pub(crate) fn named(name: &str) -> Option<Self> {
        KNOWN.iter().map(|known| known.2).find(|arch| arch.name() == name)
    }

    /// Class and model type that a checkpoint is written with.
    #[cfg(feature = "engine")]
    pub(crate) fn class(self) -> (&'static str, &'static str) {
        match self {
            // Its own code does not come with the library any more; this class reads the same weights.
            Self::ChatGlm => ("GlmForCausalLM", "glm"),
            other => KNOWN.iter().find(|known| known.2 == other).map_or(("", ""), |known| (known.0, known.1)),
        }
    }

    /// Whether the configuration may say how wide a head is.
    #[cfg(feature = "engine")]
    pub(crate) fn has_head(self) -> bool {
        !matches!(self, Self::Qwen2 | Self::Phi2 | Self::Phi3)
    }

    /// Whether only part of a head may be rotated.
    #[cfg(feature = "engine")]
    pub(crate) fn is_partial(self) -> bool {
        matches!(self, Self::ChatGlm | Self::Glm4 | Self::Phi2 | Self::Phi3)
    }

    /// All names that can be converted, for a message.
    pub(crate) fn names() -> String {
        KNOWN.map(|known| known.0).join(", ")
    }

    /// As llama.cpp spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::ChatGlm => "chatglm",
            Self::Glm4 => "glm4",
            Self::Phi2 => "phi2",
            Self::Phi3 => "phi3",
            Self::Gemma3 => "gemma3",
        }
    }

    /// Reads the sizes, with the defaults of the reference implementation.
    pub(super) fn sizes(self, config: &Config) -> Result<Sizes, ConvertError> {
        let embedding = config.need(&["hidden_size", "n_embd", "n_embed"])?;
        let heads = config.need(&["num_attention_heads", "n_head"])?;
        let kv_heads = match self {
            Self::ChatGlm
                if config.map.get("multi_query_attention").and_then(serde_json::Value::as_bool) == Some(false) =>
            {
                Some(heads)
            }
            Self::ChatGlm => config.u32(&["multi_query_group_num", "num_key_value_heads"])?,
            Self::Phi2 => config.u32(&["num_key_value_heads"])?,
            _ => config.u32(&["num_key_value_heads", "n_head_kv"])?,
        };
        let said = match self {
            Self::ChatGlm => config.u32(&["kv_channels", "head_dim"])?,
            _ => config.u32(&["head_dim"])?,
        };
        let default = match self {
            Self::Llama => Some(embedding / heads),
            Self::Qwen3 | Self::Glm4 => Some(128),
            Self::Gemma3 => Some(256),
            Self::Qwen2 | Self::ChatGlm | Self::Phi2 | Self::Phi3 => None,
        };
        let said_head = said.or(default);
        Ok(Sizes {
            layers: config.need(&["num_hidden_layers", "num_layers", "n_layer"])?,
            embedding,
            feed_forward: match config.u32(&["intermediate_size", "ffn_hidden_size", "n_inner"])? {
                Some(number) => number,
                None if matches!(self, Self::Phi2 | Self::ChatGlm) => 4 * embedding,
                None => config.need(&["intermediate_size"])?,
            },
            heads,
            kv_heads: kv_heads.unwrap_or(if self == Self::Gemma3 { 4 } else { heads }),
            head: said_head.unwrap_or(embedding / heads),
            said_head,
            vocabulary: config.need(&["padded_vocab_size", "vocab_size"])?,
            context: self.context(config)?,
        })
    }

    fn context(self, config: &Config) -> Result<u32, ConvertError> {
        let said =
            config.u32(&["max_position_embeddings", "seq_length", "n_positions", "n_ctx", "model_max_length"])?;
        let default = match self {
            Self::Llama | Self::Phi2 => 2048,
            Self::Qwen2 | Self::Qwen3 => 32_768,
            Self::Phi3 => 4096,
            Self::Gemma3 | Self::Glm4 | Self::ChatGlm => 131_072,
        };
        Ok(said.unwrap_or(default))
    }

    /// Writes what llama.cpp reads of the architecture. `kind` is the file type's number.
    pub(super) fn describe(
        self,
        config: &Config,
        sizes: &Sizes,
        kind: u32,
        out: &mut Metadata,
    ) -> Result<(), ConvertError> {
        let key = |name: &str| format!("{}.{name}", self.name());
        let rope = config.rope()?;
        out.u32(&key("block_count"), sizes.layers);
        out.u32(&key("context_length"), sizes.context);
        out.u32(&key("embedding_length"), sizes.embedding);
        out.u32(&key("feed_forward_length"), sizes.feed_forward);
        out.u32(&key("attention.head_count"), sizes.heads);
        out.u32(&key("attention.head_count_kv"), sizes.kv_heads);
        let epsilon = |default: f64| {
            config.f64(&["rms_norm_eps", "layernorm_epsilon", "norm_eps"]).map(|e| e.unwrap_or(default) as f32)
        };
        let rms = key("attention.layer_norm_rms_epsilon");
        match self {
            Self::Phi2 => {
                let epsilon = config.f64(&["layer_norm_epsilon", "layer_norm_eps"])?.unwrap_or(1e-5);
                out.f32(&key("attention.layer_norm_epsilon"), epsilon as f32);
            }
            Self::Phi3 | Self::ChatGlm => out.f32(&rms, epsilon(1e-5)?),
            Self::Glm4 => out.f32(&rms, epsilon(1.5625e-7)?),
            Self::Llama | Self::Qwen2 | Self::Qwen3 | Self::Gemma3 => out.f32(&rms, epsilon(1e-6)?),
        }
        if let Some(head) = sizes.said_head
            && !matches!(self, Self::ChatGlm | Self::Phi2 | Self::Phi3)
        {
            out.u32(&key("attention.key_length"), head);
            out.u32(&key("attention.value_length"), head);
        }
        self.describe_rope(config, sizes, &rope, out)?;
        match self {
            Self::Llama => out.u32(&key("vocab_size"), sizes.vocabulary),
            Self::Gemma3 => {
                if let Some(cap) = config.f64(&["final_logit_softcapping"])? {
                    out.f32(&key("final_logit_softcapping"), cap as f32);
                }
                if config.u32(&["sliding_window_pattern"])? != Some(1) {
                    out.u32(&key("attention.sliding_window"), config.u32(&["sliding_window"])?.unwrap_or(4096));
                    if let Some(kinds) = limits::gemma_pattern(config, sizes)? {
                        let kinds: Vec<i32> = kinds.into_iter().map(i32::from).collect();
                        out.i32s(&key("attention.sliding_window_pattern"), &kinds);
                    }
                }
            }
            // Zero tells Phi-4 from the others.
            Self::Phi3 => out.u32(&key("attention.sliding_window"), config.u32(&["sliding_window"])?.unwrap_or(0)),
            Self::Qwen2 | Self::Qwen3 | Self::ChatGlm | Self::Glm4 | Self::Phi2 => {}
        }
        out.u32("general.file_type", kind);
        Ok(())
    }

    fn describe_rope(
        self,
        config: &Config,
        sizes: &Sizes,
        rope: &Rope,
        out: &mut Metadata,
    ) -> Result<(), ConvertError> {
        let key = |name: &str| format!("{}.{name}", self.name());
        let dims = |part: f64| (f64::from(sizes.head) * part) as u32;
        match self {
            Self::ChatGlm => {
                out.u32(&key("rope.dimension_count"), dims(rope.partial.unwrap_or(0.5)));
                let ratio = config.f64(&["rope_ratio"])?.unwrap_or(1.0);
                out.f32(&key("rope.freq_base"), (rope.theta.unwrap_or(10_000.0) * ratio) as f32);
                return Ok(());
            }
            Self::Phi2 => {
                let part = rope.partial.unwrap_or(0.5) * f64::from(sizes.embedding);
                out.u32(&key("rope.dimension_count"), part as u32 / sizes.heads);
                return Ok(());
            }
            Self::Phi3 => {
                let part = rope.partial.unwrap_or(1.0) * f64::from(sizes.embedding);
                out.u32(&key("rope.dimension_count"), part as u32 / sizes.heads);
                let original = phi3_original(config, rope)?;
                out.u32(&key("rope.scaling.original_context_length"), original);
                out.f32(&key("rope.freq_base"), rope.theta.unwrap_or(10_000.0) as f32);
                if let Some(factor) = phi3_factor(sizes, rope, original)? {
                    out.f32(&key("rope.scaling.attn_factor"), factor);
                }
                return Ok(());
            }
            Self::Llama => out.u32(&key("rope.dimension_count"), sizes.head),
            Self::Glm4 => out.u32(&key("rope.dimension_count"), dims(rope.partial.unwrap_or(0.5))),
            Self::Qwen2 | Self::Qwen3 | Self::Gemma3 => {}
        }
        let theta = rope.theta.unwrap_or(if self == Self::Gemma3 { 1e6 } else { 1e4 });
        out.f32(&key("rope.freq_base"), theta as f32);
        if self == Self::Gemma3 {
            out.f32(&key("rope.freq_base_swa"), rope.local_theta.unwrap_or(1e4) as f32);
        }
        let factor = rope.f64("factor");
        match (rope.kind.as_str(), factor) {
            ("" | "llama3", _) => {}
            ("linear", Some(factor)) => {
                out.str(&key("rope.scaling.type"), "linear");
                out.f32(&key("rope.scaling.factor"), factor as f32);
            }
            ("yarn", Some(factor)) => {
                out.str(&key("rope.scaling.type"), "yarn");
                out.f32(&key("rope.scaling.factor"), factor as f32);
                let original = rope.f64("original_max_position_embeddings");
                let original = original.unwrap_or(f64::from(sizes.context));
                out.u32(&key("rope.scaling.original_context_length"), original as u32);
                // The one of the two keys that llama.cpp reads for these architectures.
                if let Some(times) = limits::attention_factor(rope, factor) {
                    out.f32(&key("rope.scaling.attn_factor"), times);
                }
                for (name, to) in [
                    ("extrapolation_factor", "yarn_ext_factor"),
                    ("attention_factor", "yarn_attn_factor"),
                    ("beta_fast", "yarn_beta_fast"),
                    ("beta_slow", "yarn_beta_slow"),
                ] {
                    if let Some(value) = rope.f64(name) {
                        out.f32(&key(&format!("rope.scaling.{to}")), value as f32);
                    }
                }
            }
            (found, _) => {
                return Err(ConvertError::Rope { found: found.chars().take(40).collect(), arch: self.name() });
            }
        }
        Ok(())
    }

    /// Tensors that no file holds: factors for each frequency, computed from the configuration.
    pub(super) fn made(self, config: &Config, sizes: &Sizes) -> Result<Vec<(&'static str, Vec<f32>)>, ConvertError> {
        let rope = config.rope()?;
        if self == Self::Llama && rope.kind == "llama3" {
            return Ok(vec![("rope_freqs.weight", llama3_factors(&Llama3::of(&rope), sizes.head))]);
        }
        if self == Self::Phi3 {
            let lists = rope.list("long_factor").zip(rope.list("short_factor"));
            if let Some((long, short)) = lists {
                return Ok(vec![("rope_factors_long.weight", long), ("rope_factors_short.weight", short)]);
            }
        }
        Ok(Vec::new())
    }
}

fn phi3_original(config: &Config, rope: &Rope) -> Result<u32, ConvertError> {
    let said = rope.f64("original_max_position_embeddings").map(|number| number as u32);
    Ok(said.or(config.u32(&["original_max_position_embeddings"])?).unwrap_or(4096))
}

/// What attention is scaled by when Phi-3's context was made longer.
fn phi3_factor(sizes: &Sizes, rope: &Rope, original: u32) -> Result<Option<f32>, ConvertError> {
    let Some(long) = rope.list("long_factor") else { return Ok(None) };
    let (scale, original) = (f64::from(sizes.context) / f64::from(original.max(2)), f64::from(original.max(2)));
    let half = sizes.head as f64 * rope.partial.unwrap_or(1.0) / 2.0;
    let short = rope.list("short_factor").unwrap_or_default();
    if long.len() != short.len() || long.len() as f64 != half {
        let found = format!("{} with {} and {} factors", rope.kind, long.len(), short.len());
        return Err(ConvertError::Rope { found, arch: Arch::Phi3.name() });
    }
    match rope.kind.as_str() {
        _ if scale <= 1.0 => Ok(Some(1.0)),
        "su" | "longrope" => Ok(Some((1.0 + scale.ln() / original.ln()).sqrt() as f32)),
        "yarn" => Ok(Some((0.1 * scale.ln() + 1.0) as f32)),
        found => Err(ConvertError::Rope { found: found.to_owned(), arch: Arch::Phi3.name() }),
    }
}

/// What Llama 3.1's scaling of frequencies is told.
pub(crate) struct Llama3 {
    pub(crate) theta: f32,
    pub(crate) factor: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) original: f32,
}

impl Llama3 {
    fn of(rope: &Rope) -> Self {
        let number = |key: &str, default: f64| rope.f64(key).unwrap_or(default) as f32;
        Self {
            theta: rope.theta.unwrap_or(10_000.0) as f32,
            factor: number("factor", 8.0),
            low: number("low_freq_factor", 1.0),
            high: number("high_freq_factor", 4.0),
            original: number("original_max_position_embeddings", 8192.0),
        }
    }
}

/// Llama 3.1's frequencies: long waves are stretched, short ones are not, those between in part.
pub(crate) fn llama3_factors(scaling: &Llama3, head: u32) -> Vec<f32> {
    let &Llama3 { theta, factor, low, high, original } = scaling;
    let of = |n: u32| {
        // In the order of the reference, where a quotient is a product with the inverse.
        let power = f64::from(theta).powf(f64::from(n as f32 / head as f32)) as f32;
        let frequency = power.recip();
        let wave = frequency.recip() * (2.0 * std::f64::consts::PI) as f32;
        if wave < original / high {
            1.0
        } else if wave > original / low {
            factor
        } else {
            let smooth = (wave.recip() * original - low) / (high - low);
            ((1.0 - smooth) / factor + smooth).recip()
        }
    };
    (0..head).step_by(2).map(of).collect()
}
