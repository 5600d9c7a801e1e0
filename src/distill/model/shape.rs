//! What a `config.json` says of a decoder, as far as this program can train it.

use std::path::Path;

use serde_json::Value as Json;

use super::load::ModelError;

/// Which checkpoints it is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama, DeepSeek-Coder, SmolLM2.
    Llama,
    /// Qwen2, Qwen2.5 and their Coder models: biases on queries, keys and values.
    Qwen2,
    /// Qwen3: normalised queries and keys.
    Qwen3,
}

/// A decoder's measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Whose.
    pub family: Family,
    /// Blocks.
    pub layers: usize,
    /// Numbers of a hidden state.
    pub hidden: usize,
    /// Numbers inside the feed-forward part.
    pub inner: usize,
    /// Heads for queries.
    pub heads: usize,
    /// Heads for keys and values.
    pub keys: usize,
    /// Numbers of a head.
    pub width: usize,
    /// Tokens.
    pub vocabulary: usize,
    /// What is added to a mean square.
    pub eps: f32,
    /// The base of rotary positions.
    pub theta: f64,
    /// By how much positions are stretched.
    pub factor: f64,
    /// Positions it was made for.
    pub positions: usize,
    /// Whether the output shares the embeddings.
    pub tied: bool,
    /// Whether queries, keys and values have biases.
    pub bias: bool,
    /// Whether the attention's output has one.
    pub output_bias: bool,
}

/// The largest measure believed.
const MOST: u64 = 1 << 24;

impl Shape {
    /// Understands a parsed `config.json`; `path` only names it in errors.
    ///
    /// # Errors
    /// It is of an architecture that cannot be trained, or lacks a number.
    pub fn of(config: &Json, path: &Path) -> Result<Self, ModelError> {
        let wrong = |what: String| ModelError::Config { path: path.to_owned(), what };
        let kind = config.get("model_type").and_then(Json::as_str).unwrap_or_default();
        let family = match kind {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            _ => return Err(ModelError::Family { path: path.to_owned(), found: kind.chars().take(60).collect() }),
        };
        let number = |key: &str| match config.get(key).and_then(Json::as_u64) {
            Some(number @ 1..=MOST) => Ok(number as usize),
            Some(number) => Err(wrong(format!("`{key}` is {number}, expected 1 to {MOST}"))),
            None => Err(wrong(format!("`{key}` is missing or is no whole number"))),
        };
        let flag = |key: &str| config.get(key).and_then(Json::as_bool).unwrap_or(false);
        let (hidden, heads) = (number("hidden_size")?, number("num_attention_heads")?);
        let given = |key: &str| config.get(key).is_some_and(|value| !value.is_null());
        let width = if given("head_dim") { number("head_dim")? } else { hidden / heads };
        let keys = if given("num_key_value_heads") { number("num_key_value_heads")? } else { heads };
        if heads % keys != 0 || width == 0 || width % 2 != 0 {
            return Err(wrong(format!("{heads} heads with {keys} for keys, of {width} numbers, do not fit together")));
        }
        if config.get("hidden_act").and_then(Json::as_str).is_some_and(|act| act != "silu") || flag("mlp_bias") {
            return Err(wrong("its feed-forward part is not the gated `silu` without biases".to_owned()));
        }
        if flag("use_sliding_window") {
            return Err(wrong("it attends within a sliding window, which cannot be trained here".to_owned()));
        }
        let (theta, factor) = rope(config).map_err(wrong)?;
        let eps = config.get("rms_norm_eps").and_then(Json::as_f64).unwrap_or(1e-6);
        let attention_bias = flag("attention_bias");
        Ok(Self {
            family,
            layers: number("num_hidden_layers")?,
            hidden,
            inner: number("intermediate_size")?,
            heads,
            keys,
            width,
            vocabulary: number("vocab_size")?,
            eps: eps as f32,
            theta,
            factor,
            positions: number("max_position_embeddings")?,
            tied: flag("tie_word_embeddings"),
            bias: attention_bias || family == Family::Qwen2,
            output_bias: attention_bias && family != Family::Qwen2,
        })
    }

    /// Weights of a model of this shape.
    pub fn parameters(&self) -> u64 {
        let (hidden, q, kv) = (self.hidden, self.heads * self.width, self.keys * self.width);
        let matrices = hidden * (2 * q + 2 * kv) + 3 * hidden * self.inner;
        let biases = if self.bias { q + 2 * kv } else { 0 } + if self.output_bias { hidden } else { 0 };
        let norms = 2 * hidden + if self.family == Family::Qwen3 { 2 * self.width } else { 0 };
        let embeddings = self.vocabulary * hidden * if self.tied { 1 } else { 2 };
        ((matrices + biases + norms) * self.layers + embeddings + hidden) as u64
    }
}

/// Base and linear factor, in the old spelling or the one of transformers 5.
fn rope(config: &Json) -> Result<(f64, f64), String> {
    let nested = ["rope_parameters", "rope_scaling"].iter().find_map(|key| config.get(key).filter(|v| v.is_object()));
    let in_nested = |key: &str| nested.and_then(|nested| nested.get(key));
    let theta = config.get("rope_theta").or_else(|| in_nested("rope_theta")).and_then(Json::as_f64).unwrap_or(10_000.0);
    let kind = in_nested("rope_type").or_else(|| in_nested("type")).and_then(Json::as_str).unwrap_or("default");
    let factor = match kind {
        "default" => 1.0,
        "linear" => in_nested("factor").and_then(Json::as_f64).unwrap_or(1.0),
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(format!("it scales positions by `{other}`; `default` and `linear` can be trained"));
        }
    };
    if theta.is_finite() && theta > 1.0 && factor.is_finite() && factor >= 1.0 {
        Ok((theta, factor))
    } else {
        Err(format!("its rotary positions have the base {theta} and the factor {factor}"))
    }
}
