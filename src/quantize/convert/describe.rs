//! The metadata that llama.cpp reads of an architecture, out of a configuration.

use super::config::{Config, Rope};
use super::error::ConvertError;
use super::limits;
use super::sizes::ModelSizes;
use crate::arch::frequencies::Llama3Scaling;
use crate::arch::{Architecture, RotaryScaling, RotatedInFile, SlidingWindow};
use crate::weights::gguf::Metadata;

/// Writes what llama.cpp reads of the architecture. `kind` is the file type's number.
pub(super) fn describe(
    family: &Architecture,
    config: &Config,
    sizes: &ModelSizes,
    kind: u32,
    out: &mut Metadata,
) -> Result<(), ConvertError> {
    let key = |name: &str| format!("{}.{name}", family.gguf);
    out.u32(&key("block_count"), sizes.layers);
    out.u32(&key("context_length"), sizes.context);
    out.u32(&key("embedding_length"), sizes.embedding);
    out.u32(&key("feed_forward_length"), sizes.feed_forward);
    out.u32(&key("attention.head_count"), sizes.heads);
    out.u32(&key("attention.head_count_kv"), sizes.kv_heads);
    let epsilon = config.f64(family.norm.keys)?.unwrap_or(family.norm.default);
    out.f32(&key(family.norm.gguf), epsilon as f32);
    if sizes.head_in_file {
        out.u32(&key("attention.key_length"), sizes.head);
        out.u32(&key("attention.value_length"), sizes.head);
    }
    rope(family, config, sizes, out)?;
    if family.sizes.vocabulary_in_file {
        out.u32(&key("vocab_size"), sizes.vocabulary);
    }
    for scalar in family.scalars {
        if let Some(number) = config.f64(&[scalar.key])?.or(scalar.default) {
            out.f32(&key(scalar.gguf), number as f32);
        }
    }
    window(family, config, sizes, out)?;
    out.u32("general.file_type", kind);
    Ok(())
}

fn window(family: &Architecture, config: &Config, sizes: &ModelSizes, out: &mut Metadata) -> Result<(), ConvertError> {
    let key = |name: &str| format!("{}.attention.{name}", family.gguf);
    let said = config.u32(&["sliding_window"]);
    match family.window {
        // Zero tells Phi-4 from the others.
        SlidingWindow::AllLayers => out.u32(&key("sliding_window"), said?.unwrap_or(0)),
        SlidingWindow::Alternating { full, tokens } => {
            if config.u32(&["sliding_window_pattern"])? != Some(1) {
                out.u32(&key("sliding_window"), said?.unwrap_or(tokens));
                if let Some(kinds) = limits::unusual_pattern(family, full, config, sizes)? {
                    let kinds: Vec<i32> = kinds.into_iter().map(i32::from).collect();
                    out.i32s(&key("sliding_window_pattern"), &kinds);
                }
            }
        }
        SlidingWindow::None | SlidingWindow::Switched { .. } | SlidingWindow::OfModelType(_) => {}
    }
    Ok(())
}

fn rope(family: &Architecture, config: &Config, sizes: &ModelSizes, out: &mut Metadata) -> Result<(), ConvertError> {
    let (rope, spec) = (config.rope()?, &family.rope);
    let key = |name: &str| format!("{}.rope.{name}", family.gguf);
    let part = rope.partial.or(spec.partial).unwrap_or(1.0);
    match spec.rotated_in_file {
        RotatedInFile::Unsaid => {}
        RotatedInFile::OfHead => out.u32(&key("dimension_count"), (f64::from(sizes.head) * part) as u32),
        RotatedInFile::OfEmbedding => {
            out.u32(&key("dimension_count"), (part * f64::from(sizes.embedding)) as u32 / sizes.heads);
        }
    }
    let long = spec.scalings.contains(&RotaryScaling::LongRope);
    if long {
        out.u32(&key("scaling.original_context_length"), long_original(config, &rope)?);
    }
    let ratio = spec.ratio.map(|key| config.f64(&[key])).transpose()?.flatten().unwrap_or(1.0);
    let base = rope.theta.unwrap_or(spec.base) * ratio;
    if spec.base_in_file || base != spec.base {
        out.f32(&key("freq_base"), base as f32);
    }
    if let Some(base) = spec.window_base {
        out.f32(&key("freq_base_swa"), rope.local_theta.unwrap_or(base) as f32);
    }
    if long {
        if let Some(factor) = long_factor(family, sizes, &rope, long_original(config, &rope)?)? {
            out.f32(&key("scaling.attn_factor"), factor);
        }
        return Ok(());
    }
    scaling(family, sizes, &rope, out)
}

/// How positions are stretched, where that is not by factors for each frequency.
fn scaling(family: &Architecture, sizes: &ModelSizes, rope: &Rope, out: &mut Metadata) -> Result<(), ConvertError> {
    let key = |name: &str| format!("{}.rope.scaling.{name}", family.gguf);
    let has = |scaling: RotaryScaling| family.rope.scalings.contains(&scaling);
    match (rope.kind.as_str(), rope.f64("factor")) {
        ("", _) => {}
        ("llama3", _) if has(RotaryScaling::Llama3) => {}
        ("linear", Some(factor)) if has(RotaryScaling::Linear) => {
            out.str(&key("type"), "linear");
            out.f32(&key("factor"), factor as f32);
        }
        ("yarn", Some(factor)) if has(RotaryScaling::Yarn) => {
            out.str(&key("type"), "yarn");
            out.f32(&key("factor"), factor as f32);
            let original = rope.f64("original_max_position_embeddings").unwrap_or(f64::from(sizes.context));
            out.u32(&key("original_context_length"), original as u32);
            // The one of the two keys that llama.cpp reads for these architectures.
            if let Some(times) = limits::attention_factor(rope, factor) {
                out.f32(&key("attn_factor"), times);
            }
            for (name, to) in [
                ("extrapolation_factor", "yarn_ext_factor"),
                ("attention_factor", "yarn_attn_factor"),
                ("beta_fast", "yarn_beta_fast"),
                ("beta_slow", "yarn_beta_slow"),
            ] {
                if let Some(value) = rope.f64(name) {
                    out.f32(&key(to), value as f32);
                }
            }
        }
        (found, _) => return Err(unknown(family, found.chars().take(40).collect())),
    }
    Ok(())
}

fn unknown(family: &Architecture, found: String) -> ConvertError {
    ConvertError::Rope { found, arch: family.gguf }
}

/// Tensors that no file holds: factors for each frequency, computed from the configuration.
pub(super) fn made(
    family: &Architecture,
    config: &Config,
    sizes: &ModelSizes,
) -> Result<Vec<(&'static str, Vec<f32>)>, ConvertError> {
    let (rope, scalings) = (config.rope()?, family.rope.scalings);
    if rope.kind == "llama3" && scalings.contains(&RotaryScaling::Llama3) {
        let scaling = Llama3Scaling::of(rope.theta.unwrap_or(family.rope.base), |key| rope.f64(key));
        return Ok(vec![("rope_freqs.weight", scaling.factors(sizes.head))]);
    }
    if scalings.contains(&RotaryScaling::LongRope)
        && let Some((long, short)) = rope.list("long_factor").zip(rope.list("short_factor"))
    {
        return Ok(vec![("rope_factors_long.weight", long), ("rope_factors_short.weight", short)]);
    }
    Ok(Vec::new())
}

fn long_original(config: &Config, rope: &Rope) -> Result<u32, ConvertError> {
    let said = rope.f64("original_max_position_embeddings").map(|number| number as u32);
    Ok(said.or(config.u32(&["original_max_position_embeddings"])?).unwrap_or(4096))
}

/// What attention is scaled by when the context was made longer by lists of factors.
fn long_factor(
    family: &Architecture,
    sizes: &ModelSizes,
    rope: &Rope,
    original: u32,
) -> Result<Option<f32>, ConvertError> {
    let Some(long) = rope.list("long_factor") else {
        let kind = rope.kind.as_str();
        return if kind.is_empty() { Ok(None) } else { Err(unknown(family, kind.chars().take(40).collect())) };
    };
    let (scale, original) = (f64::from(sizes.context) / f64::from(original.max(2)), f64::from(original.max(2)));
    let half = sizes.head as f64 * rope.partial.unwrap_or(1.0) / 2.0;
    let short = rope.list("short_factor").unwrap_or_default();
    if long.len() != short.len() || long.len() as f64 != half {
        return Err(unknown(family, format!("{} with {} and {} factors", rope.kind, long.len(), short.len())));
    }
    match rope.kind.as_str() {
        _ if scale <= 1.0 => Ok(Some(1.0)),
        "su" | "longrope" => Ok(Some((1.0 + scale.ln() / original.ln()).sqrt() as f32)),
        "yarn" => Ok(Some((0.1 * scale.ln() + 1.0) as f32)),
        found => Err(unknown(family, found.to_owned())),
    }
}
