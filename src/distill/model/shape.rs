//! What a `config.json` says of a decoder, as far as this program can train it.

use std::path::Path;

use serde_json::Value as Json;

use super::load::{ModelError, names};
use crate::arch::frequencies::{Llama3Scaling, Stretching, YarnScaling};
use crate::arch::{self, Architecture, AttentionBias, Dimensions, HeadDefault, Limit, RopeSpec, RotaryScaling};

/// Numbers that states are multiplied by; all are 1 in most families.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multipliers {
    /// Rows of the embedding.
    pub embedding: f32,
    /// Queries, besides the division of scores by the root of a head's width.
    pub queries: f32,
    /// What attention and the feed-forward part add to the residual.
    pub residual: f32,
    /// Normalised states before the output's matrix.
    pub output: f32,
}

/// A decoder's measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What it is one of.
    pub family: &'static Architecture,
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
    /// How positions are stretched.
    pub stretching: Stretching,
    /// Which layers are rotated.
    pub rotated: Vec<bool>,
    /// What its states are multiplied by.
    pub multipliers: Multipliers,
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
        let family = arch::trained(kind).ok_or_else(|| {
            let found = kind.chars().take(60).collect();
            ModelError::Family { path: path.to_owned(), found }
        })?;
        let number = |key: &str| match config.get(key).and_then(Json::as_u64) {
            Some(number @ 1..=MOST) => Ok(number as usize),
            Some(number) => Err(wrong(format!("`{key}` is {number}, expected 1 to {MOST}"))),
            None => Err(wrong(format!("`{key}` is missing or is no whole number"))),
        };
        let flag = |key: &str| config.get(key).and_then(Json::as_bool).unwrap_or(false);
        let (hidden, heads) = (number("hidden_size")?, number("num_attention_heads")?);
        let given = |key: &str| config.get(key).is_some_and(|value| !value.is_null());
        let width = match family.sizes.head.default {
            _ if given("head_dim") => number("head_dim")?,
            HeadDefault::Divided => hidden / heads,
            HeadDefault::Width(width) => width as usize,
        };
        let keys = if given("num_key_value_heads") { number("num_key_value_heads")? } else { heads };
        if heads % keys != 0 || width == 0 || width % 2 != 0 {
            return Err(wrong(format!("{heads} heads with {keys} for keys, of {width} numbers, do not fit together")));
        }
        let activation = config.get(family.activation.key).and_then(Json::as_str);
        if activation.is_some_and(|name| !family.activation.names.contains(&name)) || flag("mlp_bias") {
            return Err(wrong("its feed-forward part is not the gated `silu` without biases".to_owned()));
        }
        if flag("use_sliding_window") {
            return Err(wrong("it attends within a sliding window, which cannot be trained here".to_owned()));
        }
        for limit in family.limits {
            if let Limit::Not(key, truth) = *limit
                && config.get(key).and_then(Json::as_bool) == Some(truth)
            {
                return Err(wrong(format!("`{key}` is {truth}, which cannot be trained here")));
            }
        }
        let layers = number("num_hidden_layers")?;
        let unrotated = config.as_object().and_then(|config| arch::keys::rotated(family, config, layers));
        let rotated = unrotated.unwrap_or_else(|| vec![true; layers]);
        if rotated.len() != layers {
            return Err(wrong(format!("`{}` is shorter than there are layers", arch::keys::ROTATED)));
        }
        let positions = number("max_position_embeddings")?;
        let (theta, stretching) = rope(config, &family.rope, positions).map_err(wrong)?;
        let eps = family.norm.keys.iter().find_map(|key| config.get(*key).and_then(Json::as_f64));
        let bias = family.attention_bias == AttentionBias::AsSaid && flag("attention_bias");
        Ok(Self {
            family,
            layers,
            hidden,
            inner: number("intermediate_size")?,
            heads,
            keys,
            width,
            vocabulary: number("vocab_size")?,
            eps: eps.unwrap_or(family.norm.default) as f32,
            theta,
            stretching,
            rotated,
            multipliers: multipliers(config, family, width).map_err(wrong)?,
            positions,
            tied: config.get("tie_word_embeddings").and_then(Json::as_bool).unwrap_or(family.tied),
            bias: bias || family.attention_bias == AttentionBias::Always,
            output_bias: bias,
        })
    }

    /// What shapes of tensors are computed from.
    pub(crate) fn dimensions(&self) -> Dimensions {
        let [vocabulary, embedding, feed_forward] = [self.vocabulary, self.hidden, self.inner].map(|size| size as u64);
        let [heads, kv_heads, head] = [self.heads, self.keys, self.width].map(|size| size as u64);
        Dimensions { vocabulary, embedding, feed_forward, heads, kv_heads, head }
    }

    /// Whether the tensor of a layer that GGUF calls so has a bias.
    pub(crate) fn has_bias(&self, gguf: &str) -> bool {
        match gguf {
            "attn_q" | "attn_k" | "attn_v" => self.bias,
            "attn_output" => self.output_bias,
            _ => false,
        }
    }

    /// Weights of a model of this shape.
    pub fn parameters(&self) -> u64 {
        names(self).iter().map(|(_, dims)| dims.iter().product::<usize>() as u64).sum()
    }
}

/// What states are multiplied by, out of the family's scalars.
fn multipliers(config: &Json, family: &Architecture, width: usize) -> Result<Multipliers, String> {
    let mut all = Multipliers { embedding: 1.0, queries: 1.0, residual: 1.0, output: 1.0 };
    for scalar in family.scalars {
        let Some(number) = config.get(scalar.key).and_then(Json::as_f64).or(scalar.default) else { continue };
        if !number.is_finite() || number <= 0.0 {
            return Err(format!("`{}` is {number}, expected a number above 0", scalar.key));
        }
        match scalar.gguf {
            "embedding_scale" => all.embedding = number as f32,
            "residual_scale" => all.residual = number as f32,
            "attention.scale" => all.queries = (number * (width as f64).sqrt()) as f32,
            "logit_scale" => all.output = number.recip() as f32,
            _ => return Err(format!("`{}` is {number}, which cannot be trained here", scalar.key)),
        }
    }
    Ok(all)
}

/// Base and stretching of positions, in the old spelling or the one of transformers 5.
fn rope(config: &Json, spec: &RopeSpec, context: usize) -> Result<(f64, Stretching), String> {
    let nested = ["rope_parameters", "rope_scaling"].iter().find_map(|key| config.get(key).filter(|v| v.is_object()));
    let in_nested = |key: &str| nested.and_then(|nested| nested.get(key));
    let number = |key: &str| in_nested(key).and_then(Json::as_f64);
    let partial = config.get("partial_rotary_factor").and_then(Json::as_f64).or(number("partial_rotary_factor"));
    if let Some(part) = partial.filter(|&part| part != 1.0) {
        return Err(format!("it rotates {part} of a head; all of a head can be trained"));
    }
    let theta = config.get("rope_theta").and_then(Json::as_f64).or(number("rope_theta")).unwrap_or(spec.base);
    let kind = in_nested("rope_type").or_else(|| in_nested("type")).and_then(Json::as_str).unwrap_or("default");
    let has = |scaling: RotaryScaling| spec.scalings.contains(&scaling);
    let stretching = match kind {
        "default" => Stretching::Linear(1.0),
        "linear" if has(RotaryScaling::Linear) => Stretching::Linear(number("factor").unwrap_or(1.0)),
        "llama3" if has(RotaryScaling::Llama3) => Stretching::Llama3(Llama3Scaling::of(theta, number)),
        "yarn" if has(RotaryScaling::Yarn) => {
            let truncate = in_nested("truncate").and_then(Json::as_bool).unwrap_or(true);
            Stretching::Yarn(YarnScaling::of(context as f64, truncate, number))
        }
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(format!(
                "it scales positions by `{other}`, which cannot be trained; `default` and `linear` can"
            ));
        }
    };
    let sound = match stretching {
        Stretching::Linear(factor) => factor.is_finite() && factor >= 1.0,
        Stretching::Llama3(Llama3Scaling { factor, low, high, original, .. }) => {
            factor >= 1.0 && low > 0.0 && high > low && original >= 1.0 && (factor * high * original).is_finite()
        }
        Stretching::Yarn(YarnScaling { factor, original, fast, slow, attention, .. }) => {
            let all = factor * original * fast * attention;
            factor >= 1.0 && original >= 1.0 && slow > 0.0 && fast >= slow && attention > 0.0 && all.is_finite()
        }
    };
    if theta.is_finite() && theta > 1.0 && sound {
        Ok((theta, stretching))
    } else {
        Err(format!("its rotary positions have the base {theta} and are stretched as {stretching:?}"))
    }
}
