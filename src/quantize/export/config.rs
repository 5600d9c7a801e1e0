//! `config.json` out of metadata.

use serde_json::{Map, Value, json};

use super::ExportError;
use crate::arch::frequencies::Llama3Scaling;
use crate::arch::{Architecture, AttentionBias, RotaryScaling, keys};
use crate::weights::gguf::{GgmlType, Parts, read_exact};
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

pub(crate) fn config(family: &Architecture, model: &Parts, kind: Dtype) -> Result<Value, ExportError> {
    let header = model.first();
    let key = |name: &str| format!("{}.{name}", family.gguf);
    let need = |name: &str| header.need_u32(&key(name));
    let class = family.export_class();
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            all.insert(name.to_owned(), value);
        }
    };
    let heads = need("attention.head_count")?;
    let embedding = need("embedding_length")?;
    let rows = model.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied());
    put("architectures", json!([class.name]));
    put("model_type", json!(class.model_type));
    put("hidden_size", json!(embedding));
    put("intermediate_size", json!(need("feed_forward_length")?));
    put("num_hidden_layers", json!(need("block_count")?));
    put("num_attention_heads", json!(heads));
    put("num_key_value_heads", json!(header.u32(&key("attention.head_count_kv")).unwrap_or(heads)));
    put("vocab_size", json!(rows));
    put("max_position_embeddings", json!(need("context_length")?));
    put("tie_word_embeddings", json!(model.tensor("output.weight").is_none()));
    let bias = |part: &str| model.tensor(&format!("blk.0.{part}.bias")).is_some();
    if let Some(every) = family.rope.unrotated_every {
        let layers = need("block_count")?;
        put(keys::ROTATED, json!((1..=layers).map(|layer| u32::from(layer % every != 0)).collect::<Vec<_>>()));
        put(keys::UNROTATED_EVERY, json!(every));
    }
    if bias("ffn_gate") {
        put("mlp_bias", json!(true));
    }
    if family.attention_bias == AttentionBias::AsSaid {
        put("attention_bias", json!(bias("attn_q")));
    }
    put("torch_dtype", json!(kind.torch()));
    let head = header
        .u32(&key("attention.key_length"))
        .or_else(|| family.sizes.head.exported.then(|| embedding / heads.max(1)));
    put("head_dim", json!(head));
    put(family.norm.keys.first().copied().unwrap_or_default(), number(header.f32(&key(family.norm.gguf))));
    put("rope_theta", number(header.f32(&key("rope.freq_base"))));
    put("rope_local_base_freq", number(header.f32(&key("rope.freq_base_swa"))));
    put("sliding_window", json!(header.u32(&key("attention.sliding_window")).filter(|&window| window > 0)));
    for scalar in family.scalars {
        put(scalar.key, number(header.f32(&key(scalar.gguf))));
    }
    if let Some(dims) = header.u32(&key("rope.dimension_count")).filter(|_| family.rope.partial.is_some()) {
        put("partial_rotary_factor", json!(f64::from(dims) / f64::from(head.unwrap_or(embedding / heads.max(1)))));
    }
    if let Some(scaling) = scaling(family, model, head.unwrap_or(embedding / heads.max(1)))? {
        put("rope_scaling", scaling);
    }
    // Beside the scaling too, and without one.
    let long = family.rope.scalings.contains(&RotaryScaling::LongRope);
    let original = header.u32(&key("rope.scaling.original_context_length")).filter(|_| long);
    put("original_max_position_embeddings", json!(original));
    let token = |name: &str| header.u32(&format!("tokenizer.ggml.{name}_token_id"));
    put("bos_token_id", json!(token("bos")));
    // Several ends are a list, as `convert` reads them.
    let mut ends: Vec<u32> = ["eos", "eot", "eom"].into_iter().filter_map(token).collect();
    ends.dedup();
    put("eos_token_id", if ends.len() > 1 { json!(ends) } else { json!(ends.first()) });
    put("pad_token_id", json!(token("padding")));
    Ok(Value::Object(all))
}

/// `rope_scaling`: what `convert` made of it, undone; with the factors it computed, where they can be computed again.
fn scaling(family: &Architecture, model: &Parts, head: u32) -> Result<Option<Value>, ExportError> {
    let header = model.first();
    let key = |name: &str| format!("{}.rope.{name}", family.gguf);
    let original = header.u32(&key("scaling.original_context_length"));
    let lost = |tensor: &str| ExportError::Rope { tensor: tensor.to_owned() };
    let factors = ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"]
        .map(|name| floats(model, name).transpose());
    let [freqs, long, short] = factors.map(Option::transpose);
    if let Some(freqs) = freqs? {
        let theta = header.f32(&key("freq_base")).unwrap_or(10_000.0);
        let Some(usual) = llama3(theta, &freqs, head) else { return Err(lost("rope_freqs.weight")) };
        return Ok(Some(json!({
            "rope_type": "llama3", "factor": usual.factor, "low_freq_factor": usual.low,
            "high_freq_factor": usual.high, "original_max_position_embeddings": usual.original as u32,
        })));
    }
    if let Some((long, short)) = long?.zip(short?) {
        let numbers = |list: Vec<f32>| list.into_iter().map(|factor| number(Some(factor))).collect::<Vec<_>>();
        return Ok(Some(json!({
            "rope_type": "longrope", "type": "longrope", "long_factor": numbers(long), "short_factor": numbers(short),
            "original_max_position_embeddings": original,
        })));
    }
    let Some((kind, factor)) = header.str(&key("scaling.type")).zip(header.f32(&key("scaling.factor"))) else {
        return Ok(None);
    };
    if kind == "none" {
        return Ok(None);
    }
    let mut scaling = json!({"rope_type": kind, "type": kind, "factor": number(Some(factor))});
    if let Some(original) = original {
        scaling["original_max_position_embeddings"] = json!(original);
    }
    for (name, from) in [
        ("extrapolation_factor", "yarn_ext_factor"),
        ("attention_factor", "yarn_attn_factor"),
        ("beta_fast", "yarn_beta_fast"),
        ("beta_slow", "yarn_beta_slow"),
    ] {
        if let Some(value) = header.f32(&key(&format!("scaling.{from}"))) {
            scaling[name] = number(Some(value));
        }
    }
    if kind == "yarn"
        && let Some(times) = header.f32(&key("scaling.attn_factor"))
    {
        let usual = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
        scaling["attention_factor"] = number(Some(times * usual));
    }
    Ok(Some(scaling))
}

/// The scaling that makes these factors, with the bounds that everybody writes (of three numbers only quotients count).
fn llama3(theta: f32, factors: &[f32], head: u32) -> Option<Llama3Scaling> {
    let factor = factors.iter().copied().fold(1.0, f32::max);
    let with = |original| Llama3Scaling { theta, factor, low: 1.0, high: 4.0, original };
    // A wave between the bounds tells the context that the model had: s = (original / wave - low) / (high - low), where
    // 1 / f = (1 - s) / factor + s.
    let between = factors.iter().position(|&f| f > 1.001 && f < factor * 0.999);
    let told = between.and_then(|at| {
        let f = f64::from(*factors.get(at)?);
        let share = (1.0 / f - 1.0 / f64::from(factor)) / (1.0 - 1.0 / f64::from(factor));
        let wave = f64::from(theta).powf(2.0 * at as f64 / f64::from(head)) * 2.0 * std::f64::consts::PI;
        Some((wave * (share * 3.0 + 1.0)).round() as f32)
    });
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * b.abs();
    let makes = |scaling: &Llama3Scaling| {
        let again = scaling.factors(head);
        again.len() == factors.len() && again.iter().zip(factors).all(near)
    };
    told.into_iter().chain([8192.0]).map(with).find(makes)
}

/// A small tensor of F32, whole.
fn floats(model: &Parts, name: &str) -> Result<Option<Vec<f32>>, ExportError> {
    let Some((header, tensor)) =
        model.headers().find_map(|header| Some((header, header.tensors.iter().find(|tensor| tensor.name == name)?)))
    else {
        return Ok(None);
    };
    if tensor.kind != GgmlType::F32 {
        return Err(ExportError::Rope { tensor: name.to_owned() });
    }
    let io = |source| ExportError::Io { path: header.path().to_owned(), source };
    let file = std::fs::File::open(header.path()).map_err(io)?;
    let mut raw = vec![0; tensor.bytes as usize];
    read_exact(&file, &mut raw, header.data_offset + tensor.offset).map_err(io)?;
    Ok(Some(numbers::decoded(Dtype::F32, &raw)))
}

/// The shortest decimal that reads back as the same number.
fn number(value: Option<f32>) -> Value {
    value.map_or(Value::Null, |value| json!(value.to_string().parse::<f64>().unwrap_or(value.into())))
}
