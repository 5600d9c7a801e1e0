//! What a configuration asks for that llama.cpp's architecture of that name does not compute: refused by name, as the file
//! would load and answer otherwise than the checkpoint.

use serde_json::Value;

use super::config::{Config, Rope};
use super::error::ConvertError;
use super::sizes::{self, ModelSizes};
use crate::arch::frequencies::YarnScaling;
use crate::arch::{Architecture, Limit, RotaryScaling, SlidingWindow, keys};

/// Holds a configuration against what the architecture computes.
///
/// # Errors
/// Something has no place in the file.
pub(super) fn check(family: &Architecture, config: &Config, sizes: &ModelSizes) -> Result<(), ConvertError> {
    activation(family, config)?;
    window(family, config, sizes)?;
    let (class, kind) = sizes::class(config);
    let of_class = family.class(class, kind).map_or(&[][..], |class| class.limits);
    family.limits.iter().chain(of_class).try_for_each(|limit| own(family, *limit, config, sizes))?;
    for scalar in family.scalars {
        if config.f64(&[scalar.key])? == Some(0.0) {
            return Err(refuse(family, scalar.key, 0));
        }
    }
    unrotated(family, config, sizes)?;
    rope(family, config)
}

fn refuse(family: &Architecture, key: &str, found: impl std::fmt::Display) -> ConvertError {
    let found = found.to_string().chars().take(60).collect();
    ConvertError::Unsaid { key: key.to_owned(), found, arch: family.gguf }
}

fn is(config: &Config, key: &str, truth: bool) -> bool {
    config.map.get(key).and_then(Value::as_bool) == Some(truth)
}

fn activation(family: &Architecture, config: &Config) -> Result<(), ConvertError> {
    let known = family.activation;
    match config.str(known.key) {
        Some(found) if !known.names.contains(&found) => Err(refuse(family, known.key, found)),
        _ => Ok(()),
    }
}

/// Which layers look back only so far, where the configuration lists their kinds.
fn sliding(config: &Config) -> Option<Vec<bool>> {
    let kinds = config.map.get(keys::KINDS)?.as_array()?;
    Some(kinds.iter().map(|kind| kind.as_str() == Some("sliding_attention")).collect())
}

/// Which layers look back only so far, when not just every `full`th sees everything.
pub(super) fn unusual_pattern(
    family: &Architecture,
    full: usize,
    config: &Config,
    sizes: &ModelSizes,
) -> Result<Option<Vec<bool>>, ConvertError> {
    let layers = sizes.layers as usize;
    let every = |n: usize| (0..layers).map(|layer| (layer + 1) % n != 0).collect::<Vec<_>>();
    let said = match sliding(config) {
        Some(kinds) if kinds.len() == layers => Some(kinds),
        Some(kinds) => {
            return Err(refuse(family, keys::KINDS, format!("{} kinds for {layers} layers", kinds.len())));
        }
        None => config.u32(&["sliding_window_pattern"])?.filter(|&n| n > 1).map(|n| every(n as usize)),
    };
    Ok(said.filter(|kinds| *kinds != every(full)))
}

fn window(family: &Architecture, config: &Config, sizes: &ModelSizes) -> Result<(), ConvertError> {
    let Some(window) = config.map.get("sliding_window").and_then(Value::as_u64) else { return Ok(()) };
    let some = |kinds: Vec<bool>| kinds.contains(&true);
    let slides = match family.window {
        SlidingWindow::Switched { first } => {
            let first = first.map(|(key, usual)| config.u32(&[key]).map(|said| said.unwrap_or(usual))).transpose()?;
            let any = first.is_none_or(|first| first < sizes.layers);
            sliding(config).map_or(is(config, "use_sliding_window", true) && any, some)
        }
        SlidingWindow::OfModelType(kind) => sliding(config).map_or(config.str("model_type") == Some(kind), some),
        SlidingWindow::None | SlidingWindow::AllLayers | SlidingWindow::Alternating { .. } => false,
    };
    if slides && window < u64::from(sizes.context) { Err(refuse(family, "sliding_window", window)) } else { Ok(()) }
}

fn own(family: &Architecture, limit: Limit, config: &Config, sizes: &ModelSizes) -> Result<(), ConvertError> {
    match limit {
        Limit::Unset(key) => config.f64(&[key])?.map_or(Ok(()), |found| Err(refuse(family, key, found))),
        Limit::Not(key, wrong) if is(config, key, wrong) => Err(refuse(family, key, wrong)),
        Limit::Not(..) => Ok(()),
        Limit::Number(key, wanted) => expected(family, config, key, |found| found.as_u64() == Some(wanted.into())),
        Limit::Text(key, wanted) => expected(family, config, key, |found| found.as_str() == Some(wanted)),
        Limit::EachLayer(key, wanted) => expected(family, config, key, |found| {
            found.as_array().is_some_and(|list| list.iter().all(|layer| layer.as_str() == Some(wanted)))
        }),
        Limit::HeadWidth { key, divided_with_layers } => {
            let divided = sizes.layers == divided_with_layers;
            let width = if divided { sizes.embedding / sizes.heads } else { sizes.head };
            let found = config.f64(&[key])?.filter(|&found| found != f64::from(width));
            found.map_or(Ok(()), |found| Err(refuse(family, key, found)))
        }
    }
}

/// What a key must be, and it must be there: a class has another default.
fn expected(
    family: &Architecture,
    config: &Config,
    key: &str,
    is: impl Fn(&Value) -> bool,
) -> Result<(), ConvertError> {
    match config.map.get(key) {
        Some(found) if is(found) => Ok(()),
        Some(found) => Err(refuse(family, key, found)),
        None => Err(refuse(family, key, "left to its default")),
    }
}

/// Layers without rotated positions are those that the graph has built in.
fn unrotated(family: &Architecture, config: &Config, sizes: &ModelSizes) -> Result<(), ConvertError> {
    let Some(built_in) = family.rope.unrotated_every else { return Ok(()) };
    let every = |n: u32| (0..sizes.layers).map(move |layer| (layer + 1) % n != 0);
    let key = keys::UNROTATED_EVERY;
    let Some(list) = config.map.get(keys::ROTATED).and_then(Value::as_array) else {
        let said = config.u32(&[key])?.filter(|&said| said != built_in);
        return said.map_or(Ok(()), |said| Err(refuse(family, key, said)));
    };
    let said = list.iter().map(|layer| layer.as_u64() != Some(0) && layer.as_bool() != Some(false));
    let few = list.len() < sizes.layers as usize;
    if few || !said.take(sizes.layers as usize).eq(every(built_in)) {
        return Err(refuse(family, keys::ROTATED, Value::from(list.clone())));
    }
    Ok(())
}

fn rope(family: &Architecture, config: &Config) -> Result<(), ConvertError> {
    let (rope, scalings) = (config.rope()?, family.rope.scalings);
    if let Some(part) = rope.partial.filter(|&part| family.rope.partial.is_none() && part != 1.0) {
        return Err(refuse(family, "partial_rotary_factor", part));
    }
    if rope.kind == "llama3" && !scalings.contains(&RotaryScaling::Llama3) {
        return Err(ConvertError::Rope { found: rope.kind, arch: family.gguf });
    }
    if rope.kind != "yarn" || scalings.contains(&RotaryScaling::LongRope) {
        return Ok(());
    }
    if rope.values.get("truncate").and_then(Value::as_bool) == Some(false) {
        return Err(refuse(family, "truncate", false));
    }
    for (key, usual) in [("beta_fast", 32.0), ("beta_slow", 1.0)] {
        if let Some(found) = rope.f64(key).filter(|&found| found != usual) {
            return Err(refuse(family, key, found));
        }
    }
    Ok(())
}

/// What llama.cpp multiplies YaRN's own scale of attention by to get the configuration's; nothing where it is the usual one.
pub(super) fn attention_factor(rope: &Rope, factor: f64) -> Option<f32> {
    let times = YarnScaling::attention(factor, |key| rope.f64(key)) / YarnScaling::usual_attention(factor, 1.0);
    ((times - 1.0).abs() > 1e-6).then_some(times as f32)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(class: &str, more: &Value) -> Result<(), ConvertError> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({
            "architectures": [class], "hidden_size": 256, "intermediate_size": 64, "num_hidden_layers": 4,
            "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 100,
            "max_position_embeddings": 512,
        });
        for (key, value) in more.as_object().unwrap() {
            config[key] = value.clone();
        }
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let config = Config::read(folder.path()).unwrap();
        let family = sizes::family(&config).unwrap();
        check(family, &config, &ModelSizes::of(family, &config).unwrap())
    }

    #[test]
    fn what_the_file_cannot_say_is_refused_by_name() {
        let yarn = |more: Value| {
            let mut rope = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128});
            rope.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"rope_scaling": rope})
        };
        let (llama, mistral, qwen, qwen3) =
            ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM");
        let gemma = "Gemma3ForCausalLM";
        let (granite, smollm3) = ("GraniteForCausalLM", "SmolLM3ForCausalLM");
        let hybrid = "GraniteMoeHybridForCausalLM";
        let dense = |more: Value| {
            let mut all = json!({
                "layer_types": ["attention", "attention"], "num_local_experts": 0, "position_embedding_type": "rope",
            });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let fine = [
            (llama, json!({"hidden_act": "silu"})),
            ("PhiForCausalLM", json!({"hidden_act": "gelu_new"})),
            (
                gemma,
                json!({"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 64, "sliding_window": 32}),
            ),
            (qwen, json!({"sliding_window": 32, "use_sliding_window": false})),
            (qwen, json!({"sliding_window": 32, "use_sliding_window": true, "max_window_layers": 4})),
            (qwen, json!({"sliding_window": 512, "use_sliding_window": true, "max_window_layers": 0})),
            (mistral, json!({"model_type": "mistral", "sliding_window": null})),
            (qwen, yarn(json!({"attention_factor": 1.5, "beta_fast": 32}))),
            (granite, json!({"residual_multiplier": 0.22, "attention_multiplier": 0.015625})),
            (hybrid, dense(json!({}))),
            (smollm3, json!({"no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4})),
            // The list counts where there is one, as in transformers.
            (smollm3, json!({"no_rope_layers": [1, 1, 1, 0, 1], "no_rope_layer_interval": 2})),
            (smollm3, json!({"no_rope_layers": null, "use_sliding_window": false, "sliding_window": null})),
        ];
        for (class, more) in fine {
            checked(class, &more).unwrap_or_else(|error| panic!("{class} {more}: {error}"));
        }
        let refused = [
            (llama, json!({"hidden_act": "gelu"}), "`hidden_act`"),
            (qwen3, json!({"hidden_act": "relu"}), "`hidden_act`"),
            ("PhiForCausalLM", json!({"hidden_act": "gelu"}), "`hidden_act`"),
            (gemma, json!({"hidden_activation": "gelu"}), "`hidden_activation`"),
            (gemma, json!({"query_pre_attn_scalar": 256}), "`query_pre_attn_scalar`"),
            (
                qwen,
                json!({"sliding_window": 32, "use_sliding_window": true, "max_window_layers": 2}),
                "`sliding_window`",
            ),
            (qwen3, json!({"sliding_window": 32, "layer_types": ["sliding_attention"]}), "`sliding_window`"),
            (mistral, json!({"model_type": "mistral", "sliding_window": 32}), "`sliding_window`"),
            (llama, json!({"partial_rotary_factor": 0.5}), "`partial_rotary_factor`"),
            (qwen, json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}), "`llama3`"),
            (qwen, yarn(json!({"truncate": false})), "`truncate`"),
            (qwen3, yarn(json!({"beta_slow": 2.0})), "`beta_slow`"),
            (granite, json!({"residual_multiplier": 0}), "`residual_multiplier`"),
            (hybrid, dense(json!({"layer_types": ["mamba", "attention"]})), "`layer_types`"),
            (hybrid, dense(json!({"num_local_experts": 8})), "`num_local_experts`"),
            (hybrid, json!({}), "`layer_types` left to its default"),
            (smollm3, json!({"no_rope_layers": [1, 1, 0, 1]}), "`no_rope_layers`"),
            (smollm3, json!({"no_rope_layers": [1, 1, 1]}), "`no_rope_layers`"),
            (smollm3, json!({"no_rope_layer_interval": 3}), "`no_rope_layer_interval`"),
            (smollm3, json!({"sliding_window": 32, "use_sliding_window": true}), "`sliding_window`"),
            (smollm3, json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}), "`llama3`"),
        ];
        for (class, more, word) in refused {
            let error = checked(class, &more).expect_err(word).to_string();
            assert!(error.contains(word), "{class} {more}: {error}");
        }
    }

    #[test]
    fn the_scale_of_attention_is_what_transformers_takes() {
        let rope = |values: Value| Rope { values: values.as_object().unwrap().clone(), ..Rope::default() };
        let usual = 0.1 * 4f64.ln() + 1.0;
        assert_eq!(attention_factor(&rope(json!({})), 4.0), None);
        assert_eq!(attention_factor(&rope(json!({"attention_factor": usual})), 4.0), None);
        let found = attention_factor(&rope(json!({"attention_factor": 1.0})), 4.0).unwrap();
        assert!((f64::from(found) * usual - 1.0).abs() < 1e-6, "{found}");
        let found = attention_factor(&rope(json!({"mscale": 1.0, "mscale_all_dim": 1.0})), 4.0).unwrap();
        assert!((f64::from(found) * usual - 1.0).abs() < 1e-6, "{found}");
    }
}
