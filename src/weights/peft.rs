//! LoRA adapters as PEFT saves them: what `adapter_config.json` says, and what the tensors' names mean, for every program
//! that reads one.
//!
//! Settings are understood as PEFT 0.21 does (`peft/tuners/lora/model.py`, `peft/utils/other.py`). What it refuses to do:
//! pass over a setting by which the adapter's product is not all that it changes.

use regex::Regex;
use serde_json::{Map, Value};

use super::safetensors::printable;

mod folder;

pub use folder::{Adapter, Module, PeftError, product};

/// An adapter's settings.
pub const CONFIG: &str = "adapter_config.json";
/// An adapter's tensors.
pub const WEIGHTS: &str = "adapter_model.safetensors";
/// What stands before every tensor's name.
pub const PREFIX: &str = "base_model.model.";

/// The longest pattern, in bytes, and how large its automaton may become.
const LONGEST: usize = 1 << 12;
const AUTOMATON: usize = 1 << 20;

/// What `adapter_config.json` says of the products.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `r`, where no pattern says otherwise.
    pub rank: usize,
    /// `lora_alpha`, where no pattern says otherwise.
    pub alpha: f64,
    ranks: Vec<(Regex, f64)>,
    alphas: Vec<(Regex, f64)>,
    /// Divide by the square root of the rank (rsLoRA, arXiv 2312.03732).
    pub rank_stabilized: bool,
    /// Rows have lengths of their own (DoRA, arXiv 2402.09353).
    pub dora: bool,
}

impl Settings {
    /// Understands an adapter's configuration.
    ///
    /// # Errors
    /// In words: it is no LoRA, or changes more than a product of two matrices does.
    pub fn of(config: &Map<String, Value>) -> Result<Self, String> {
        refuse(config)?;
        let number = |key: &str, default: f64| match given(config, key) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| format!("its `{key}` is no number"))
            }
        };
        // PEFT's own defaults.
        let (rank, alpha) = (whole("r", number("r", 8.0)?)?, number("lora_alpha", 8.0)?);
        let ranks = patterns(config, "rank_pattern")?;
        for (_, rank) in &ranks {
            whole("rank_pattern", *rank)?;
        }
        let alphas = patterns(config, "alpha_pattern")?;
        let (rank_stabilized, dora) = (is_on(config, "use_rslora"), is_on(config, "use_dora"));
        Ok(Self { rank, alpha, ranks, alphas, rank_stabilized, dora })
    }

    /// The rank of a module's product.
    pub fn rank(&self, module: &str) -> usize {
        first(&self.ranks, module).map_or(self.rank, |rank| rank as usize)
    }

    /// What a module's product is multiplied by, before it is divided by the rank.
    pub fn alpha(&self, module: &str) -> f64 {
        first(&self.alphas, module).unwrap_or(self.alpha)
    }

    /// What a module's product is multiplied by.
    pub fn scale(&self, module: &str) -> f32 {
        let rank = self.rank(module) as f64;
        (self.alpha(module) / if self.rank_stabilized { rank.sqrt() } else { rank }) as f32
    }

    /// Whether modules have ranks or scales of their own.
    pub fn has_patterns(&self) -> bool {
        !self.ranks.is_empty() || !self.alphas.is_empty()
    }
}

/// The number of the first pattern that a name ends with, in the order in which they stand (`get_pattern_key`).
fn first(patterns: &[(Regex, f64)], module: &str) -> Option<f64> {
    patterns.iter().find(|(pattern, _)| pattern.is_match(module)).map(|(_, number)| *number)
}

/// A rank: columns of a matrix.
fn whole(key: &str, rank: f64) -> Result<usize, String> {
    let fits = rank >= 1.0 && rank <= f64::from(1 << 24) && rank.fract() == 0.0;
    if fits { Ok(rank as usize) } else { Err(format!("its `{key}` has the rank {rank}")) }
}

fn patterns(config: &Map<String, Value>, key: &str) -> Result<Vec<(Regex, f64)>, String> {
    let Some(table) = given(config, key) else { return Ok(Vec::new()) };
    let table = table.as_object().ok_or_else(|| format!("its `{key}` is no table"))?;
    let one = |(pattern, number): (&String, &Value)| {
        let wrong = |what: &str| format!("its `{key}` has `{}`, {what}", printable(pattern));
        let number = number.as_f64().filter(|number| number.is_finite());
        let number = number.ok_or_else(|| wrong("for which it names no number"))?;
        if pattern.len() > LONGEST {
            return Err(wrong("which is too long"));
        }
        let built = regex::RegexBuilder::new(&format!(r"^(?:.*\.)?(?:{pattern})$")).size_limit(AUTOMATON).build();
        Ok((built.map_err(|_| wrong("which is no regular expression that can be read here"))?, number))
    };
    table.iter().map(one).collect()
}

/// What makes an adapter more than products, or its products ones for another base.
fn refuse(config: &Map<String, Value>) -> Result<(), String> {
    let word = |key: &str| given(config, key).and_then(Value::as_str);
    if let Some(kind) = word("peft_type").filter(|kind| *kind != "LORA") {
        return Err(format!("it is a `{}`, and only LoRA is read", printable(kind)));
    }
    let used = |key: &&&str| given(config, key).is_some_and(|value| !is_nothing(value));
    const OTHERS: [&str; 12] = [
        "lora_bias",
        "use_qalora",
        "use_bdlora",
        "layer_replication",
        "target_parameters",
        "trainable_token_indices",
        "alora_invocation_tokens",
        "kasa_config",
        "arrow_config",
        "monteclora_config",
        "corda_config",
        "lora_ga_config",
    ];
    if let Some(key) = OTHERS.iter().find(used) {
        return Err(format!("it uses `{key}`, which is not read"));
    }
    // These change the base before anything is learnt, and the adapter is what is learnt upon the rest.
    let start = word("init_lora_weights").unwrap_or_default();
    if !matches!(start, "" | "gaussian" | "eva" | "orthogonal" | "true" | "false") {
        return Err(format!("it began with `init_lora_weights = {}`, which changes the base too", printable(start)));
    }
    Ok(())
}

fn given<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    config.get(key).filter(|value| !value.is_null())
}

fn is_on(config: &Map<String, Value>, key: &str) -> bool {
    given(config, key).and_then(Value::as_bool).unwrap_or(false)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        Value::Number(_) | Value::String(_) => false,
    }
}

/// What a tensor of an adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The half of a product that sees the inputs.
    A,
    /// The half that gives the outputs.
    B,
    /// The halves for embeddings, which are the other way round: `A` has a column for each token.
    EmbeddingA,
    /// See [`Self::EmbeddingA`].
    EmbeddingB,
    /// DoRA's lengths of rows.
    Magnitude,
    /// The module's own weight, trained as a whole, or PEFT's copy of an embedding beside its products.
    Whole,
}

impl Part {
    /// Whether it is a half of a product.
    pub fn is_half(self) -> bool {
        matches!(self, Self::A | Self::B | Self::EmbeddingA | Self::EmbeddingB)
    }
}

/// The module a tensor belongs to, and what it is of it; `None` for what PEFT does not write for LoRA.
pub fn part(name: &str) -> Option<(String, Part)> {
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let halves = [
        (".lora_embedding_A", Part::EmbeddingA),
        (".lora_embedding_B", Part::EmbeddingB),
        (".lora_A", Part::A),
        (".lora_B", Part::B),
        (".lora_magnitude_vector", Part::Magnitude),
    ];
    for (half, part) in halves {
        let Some((module, rest)) = name.rsplit_once(half) else { continue };
        // The adapter's own name may stand in it.
        if matches!(rest, "" | ".weight" | ".default" | ".default.weight") {
            return Some((module.to_owned(), part));
        }
    }
    let module =
        name.replace(".modules_to_save.default", "").replace(".modules_to_save", "").replace(".base_layer", "");
    let module = module.strip_suffix(".weight").filter(|module| !module.contains(".lora_"))?;
    Some((module.to_owned(), Part::Whole))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(config: Value) -> Result<Settings, String> {
        Settings::of(config.as_object().unwrap())
    }

    #[test]
    fn patterns_are_regular_expressions_over_the_end_of_a_name() {
        let one = |pattern: &str| {
            let config = json!({"r": 4, "lora_alpha": 8, "alpha_pattern": {pattern: 3}, "rank_pattern": {pattern: 6}});
            settings(config).unwrap()
        };
        let (up, down) = ("model.layers.1.mlp.up_proj", "model.layers.10.mlp.down_proj");
        // Of each what Python's `re.match(rf"(.*\.)?({key})$", name)` says of both.
        for (pattern, expected) in [
            ("up_proj", [true, false]),
            ("mlp.up_proj", [true, false]),
            ("^model.layers.1.mlp.up_proj", [true, false]),
            ("model.layers.1.mlp.up_proj$", [true, false]),
            ("p_proj", [false, false]),
            (".*_proj", [true, true]),
            (r".*layers\.(1|2)\..*", [true, false]),
            (r"layers\.1\d\.mlp\.(up|down)_proj", [false, true]),
            ("up_proj|down_proj", [true, true]),
            ("mlp.[a-z]+_proj", [true, true]),
            (r"model\.layers", [false, false]),
            ("UP_PROJ", [false, false]),
        ] {
            let settings = one(pattern);
            let found = [up, down].map(|name| (settings.rank(name), settings.alpha(name)));
            let wanted = expected.map(|fits| if fits { (6, 3.0) } else { (4, 8.0) });
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    #[test]
    fn the_first_pattern_that_fits_counts_and_the_scale_follows() {
        let config = json!({"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": 2, ".*proj": 16},
            "rank_pattern": {"layers.0.q_proj": 2}});
        let plain = settings(config.clone()).unwrap();
        assert_eq!(plain.scale("layers.0.q_proj"), 1.0);
        assert_eq!(plain.scale("layers.1.q_proj"), 0.5);
        assert_eq!(plain.scale("layers.1.v_proj"), 4.0);
        let mut config = config;
        config["use_rslora"] = json!(true);
        assert_eq!(settings(config).unwrap().scale("layers.1.v_proj"), 8.0);
        assert_eq!(settings(json!({})).unwrap().scale("any"), 1.0, "PEFT's defaults");
    }

    #[test]
    fn what_changes_more_than_a_product_is_refused() {
        for (config, word) in [
            (json!({"peft_type": "IA3"}), "`IA3`"),
            (json!({"r": 0}), "rank"),
            (json!({"r": 1.5}), "rank"),
            (json!({"r": "4"}), "no number"),
            (json!({"rank_pattern": {"q": -1}}), "`rank_pattern` has the rank -1"),
            (json!({"rank_pattern": {"(": 1}}), "no regular expression"),
            (json!({"rank_pattern": {"a{1000}{1000}{1000}": 1}}), "no regular expression"),
            (json!({"alpha_pattern": {"q": null}}), "no number"),
            (json!({"alpha_pattern": []}), "no table"),
            (json!({"use_qalora": true}), "`use_qalora`"),
            (json!({"lora_bias": true}), "`lora_bias`"),
            (json!({"alora_invocation_tokens": [1]}), "`alora_invocation_tokens`"),
            (json!({"layer_replication": [[0, 2]]}), "`layer_replication`"),
            (json!({"init_lora_weights": "pissa_niter_4"}), "`init_lora_weights"),
        ] {
            let error = settings(config.clone()).unwrap_err();
            assert!(error.contains(word), "{config}: {error}");
        }
        let harmless = json!({"peft_type": "LORA", "lora_bias": false, "use_qalora": null, "target_parameters": [],
            "init_lora_weights": true, "fan_in_fan_out": true, "rank_pattern": {}, "alpha_pattern": null});
        assert!(!settings(harmless).unwrap().has_patterns());
    }

    #[test]
    fn parts_are_told_by_their_names() {
        for (name, module, expected) in [
            ("base_model.model.model.layers.0.q_proj.lora_A.weight", "model.layers.0.q_proj", Part::A),
            ("m.lora_B.default.weight", "m", Part::B),
            ("base_model.model.model.embed_tokens.lora_embedding_A", "model.embed_tokens", Part::EmbeddingA),
            ("e.lora_embedding_B.default", "e", Part::EmbeddingB),
            ("m.lora_magnitude_vector", "m", Part::Magnitude),
            ("m.lora_magnitude_vector.default.weight", "m", Part::Magnitude),
            ("base_model.model.lm_head.modules_to_save.default.weight", "lm_head", Part::Whole),
            ("base_model.model.lm_head.weight", "lm_head", Part::Whole),
            ("e.base_layer.weight", "e", Part::Whole),
        ] {
            assert_eq!(part(name), Some((module.to_owned(), expected)), "{name}");
        }
        for other in ["m.lora_B.bias", "m.lora_A.other.thing", "m.bias", "", "m.lora_C.weight"] {
            assert_eq!(part(other), None, "{other}");
        }
    }
}
