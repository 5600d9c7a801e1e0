//! What a configuration asks for that llama.cpp's architecture of that name does not compute: refused by name, as the file
//! would load and answer otherwise than the checkpoint.

use serde_json::Value;

use super::arch::{Arch, Sizes};
use super::config::{Config, Rope};
use super::error::ConvertError;

/// Activations that are the same function under several names.
const SILU: &[&str] = &["silu", "swish"];
/// The approximation by a hyperbolic tangent, which is what llama.cpp's GELU is.
const GELU: &[&str] = &["gelu_pytorch_tanh", "gelu_new", "gelu_fast"];

/// How many layers apart Gemma's full layers are where no file says so.
const GEMMA_PATTERN: usize = 6;

/// Holds a configuration against what the architecture computes.
///
/// # Errors
/// Something has no place in the file.
pub(super) fn check(arch: Arch, config: &Config, sizes: &Sizes) -> Result<(), ConvertError> {
    activation(arch, config)?;
    window(arch, config, sizes)?;
    attention(arch, config, sizes)?;
    rope(arch, config)
}

fn refuse(arch: Arch, key: &str, found: impl std::fmt::Display) -> ConvertError {
    let found = found.to_string().chars().take(60).collect();
    ConvertError::Unsaid { key: key.to_owned(), found, arch: arch.name() }
}

fn is(config: &Config, key: &str, truth: bool) -> bool {
    config.map.get(key).and_then(Value::as_bool) == Some(truth)
}

fn activation(arch: Arch, config: &Config) -> Result<(), ConvertError> {
    let (keys, known): (&[&str], _) = match arch {
        Arch::Gemma3 => (&["hidden_activation"], GELU),
        Arch::Phi2 => (&["hidden_act"], GELU),
        _ => (&["hidden_act"], SILU),
    };
    match keys.iter().find_map(|key| Some((*key, config.str(key)?))) {
        Some((key, found)) if !known.contains(&found) => Err(refuse(arch, key, found)),
        _ => Ok(()),
    }
}

/// Which layers look back only so far, where the configuration lists their kinds.
pub(super) fn sliding(config: &Config) -> Option<Vec<bool>> {
    let kinds = config.map.get("layer_types")?.as_array()?;
    Some(kinds.iter().map(|kind| kind.as_str() == Some("sliding_attention")).collect())
}

/// Gemma's layers, when they do not follow the usual pattern.
pub(super) fn gemma_pattern(config: &Config, sizes: &Sizes) -> Result<Option<Vec<bool>>, ConvertError> {
    let layers = sizes.layers as usize;
    let every = |n: usize| (0..layers).map(|layer| (layer + 1) % n != 0).collect::<Vec<_>>();
    let said = match sliding(config) {
        Some(kinds) if kinds.len() == layers => Some(kinds),
        Some(kinds) => {
            return Err(refuse(Arch::Gemma3, "layer_types", format!("{} kinds for {layers} layers", kinds.len())));
        }
        None => config.u32(&["sliding_window_pattern"])?.filter(|&n| n > 1).map(|n| every(n as usize)),
    };
    Ok(said.filter(|kinds| *kinds != every(GEMMA_PATTERN)))
}

fn window(arch: Arch, config: &Config, sizes: &Sizes) -> Result<(), ConvertError> {
    let Some(window) = config.map.get("sliding_window").and_then(Value::as_u64) else { return Ok(()) };
    let some = |kinds: Vec<bool>| kinds.contains(&true);
    let slides = match arch {
        Arch::Qwen2 | Arch::Qwen3 => {
            let first = config.u32(&["max_window_layers"])?.unwrap_or(28);
            sliding(config).map_or(is(config, "use_sliding_window", true) && first < sizes.layers, some)
        }
        // Of this class of models only Mistral's first has one, in all its layers.
        Arch::Llama => sliding(config).map_or(config.str("model_type") == Some("mistral"), some),
        // The others have a key for it, or know of none.
        Arch::ChatGlm | Arch::Glm4 | Arch::Phi2 | Arch::Phi3 | Arch::Gemma3 => false,
    };
    if slides && window < u64::from(sizes.context) { Err(refuse(arch, "sliding_window", window)) } else { Ok(()) }
}

fn attention(arch: Arch, config: &Config, sizes: &Sizes) -> Result<(), ConvertError> {
    if arch == Arch::Gemma3 {
        if let Some(cap) = config.f64(&["attn_logit_softcapping"])? {
            return Err(refuse(arch, "attn_logit_softcapping", cap));
        }
        if is(config, "use_bidirectional_attention", true) {
            return Err(refuse(arch, "use_bidirectional_attention", true));
        }
        // llama.cpp tells the largest by its number of layers.
        let scale = if sizes.layers == 62 { sizes.embedding / sizes.heads } else { sizes.head };
        if let Some(found) = config.f64(&["query_pre_attn_scalar"])?.filter(|&found| found != f64::from(scale)) {
            return Err(refuse(arch, "query_pre_attn_scalar", found));
        }
    }
    if arch == Arch::ChatGlm {
        for (key, wrong) in [("rmsnorm", false), ("apply_residual_connection_post_layernorm", true)] {
            if is(config, key, wrong) {
                return Err(refuse(arch, key, wrong));
            }
        }
    }
    Ok(())
}

fn rope(arch: Arch, config: &Config) -> Result<(), ConvertError> {
    let rope = config.rope()?;
    let whole = matches!(arch, Arch::Llama | Arch::Qwen2 | Arch::Qwen3 | Arch::Gemma3);
    if let Some(part) = rope.partial.filter(|&part| whole && part != 1.0) {
        return Err(refuse(arch, "partial_rotary_factor", part));
    }
    if rope.kind == "llama3" && arch != Arch::Llama {
        return Err(ConvertError::Rope { found: rope.kind, arch: arch.name() });
    }
    if rope.kind != "yarn" || arch == Arch::Phi3 {
        return Ok(());
    }
    if rope.values.get("truncate").and_then(Value::as_bool) == Some(false) {
        return Err(refuse(arch, "truncate", false));
    }
    for (key, usual) in [("beta_fast", 32.0), ("beta_slow", 1.0)] {
        if let Some(found) = rope.f64(key).filter(|&found| found != usual) {
            return Err(refuse(arch, key, found));
        }
    }
    Ok(())
}

/// What llama.cpp multiplies YaRN's own scale of attention by to get the configuration's; nothing where it is the usual one.
pub(super) fn attention_factor(rope: &Rope, factor: f64) -> Option<f32> {
    // transformers: modeling_rope_utils.py, `_compute_yarn_parameters`
    let scale = |of: f64| if factor <= 1.0 { 1.0 } else { 0.1 * of * factor.ln() + 1.0 };
    let pair = rope.f64("mscale").filter(|&m| m != 0.0).zip(rope.f64("mscale_all_dim").filter(|&m| m != 0.0));
    let wanted = rope.f64("attention_factor").or(pair.map(|(one, all)| scale(one) / scale(all)))?;
    let times = wanted / scale(1.0);
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
        let arch = Arch::of(&config).unwrap();
        check(arch, &config, &arch.sizes(&config).unwrap())
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
