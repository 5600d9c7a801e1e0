//! `config.json`, read with the defaults that its architecture has where it says nothing.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::error::ConvertError;
use crate::small;

/// A JSON object from a file.
#[derive(Clone, Debug)]
pub(super) struct Config {
    path: PathBuf,
    pub(super) map: Map<String, Value>,
}

/// How positions are encoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Rope {
    /// `linear`, `yarn`, `llama3`, `longrope` and so on; empty for plain RoPE.
    pub(super) kind: String,
    pub(super) theta: Option<f64>,
    /// Of layers with a sliding window.
    pub(super) local_theta: Option<f64>,
    pub(super) partial: Option<f64>,
    /// All that was said.
    pub(super) values: Map<String, Value>,
}

/// Reads a JSON file of bounded length.
pub(super) fn json(path: &Path) -> Result<Value, ConvertError> {
    let io = |source| ConvertError::Io { path: path.to_owned(), source };
    let wrong = |what: String| ConvertError::Json { path: path.to_owned(), what };
    let text = small::read(path, small::TOKENIZER).map_err(io)?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// The same, or nothing where there is no such file.
pub(super) fn optional(path: &Path) -> Result<Option<Value>, ConvertError> {
    if path.exists() { json(path).map(Some) } else { Ok(None) }
}

impl Config {
    /// Reads `config.json`; what a multimodal model says of its text part counts as said of the whole.
    pub(super) fn read(folder: &Path) -> Result<Self, ConvertError> {
        let mut config = Self::named(folder, "config.json")?;
        if let Some(Value::Object(text)) = config.map.get("text_config").cloned() {
            config.map.extend(text.into_iter().filter(|(key, _)| key != "architectures"));
        }
        if let Some(Value::Object(quantized)) = config.map.get("quantization_config") {
            let method = quantized.get("quant_method").and_then(Value::as_str).unwrap_or("an unnamed method");
            return Err(ConvertError::Quantized { method: method.chars().take(40).collect() });
        }
        Ok(config)
    }

    /// Reads a JSON object as it is.
    pub(super) fn named(folder: &Path, name: &str) -> Result<Self, ConvertError> {
        let path = folder.join(name);
        match json(&path)? {
            Value::Object(map) => Ok(Self { path, map }),
            _ => Err(ConvertError::Json { path, what: "it is no object".into() }),
        }
    }

    fn find(&self, keys: &[&str]) -> Option<(String, &Value)> {
        keys.iter()
            .find_map(|&key| self.map.get(key).filter(|value| !value.is_null()).map(|value| (key.to_owned(), value)))
    }

    pub(super) fn wrong(&self, key: String, expected: &'static str, found: &Value) -> ConvertError {
        let found: String = found.to_string().chars().take(60).collect();
        ConvertError::Config { path: self.path.clone(), key, expected, found: format!("`{found}`") }
    }

    /// The first of `keys` that is there, as a whole number.
    pub(super) fn u32(&self, keys: &[&str]) -> Result<Option<u32>, ConvertError> {
        let Some((key, value)) = self.find(keys) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(key, "a whole number", value))
    }

    /// The same, and it must be there and not zero.
    pub(super) fn need(&self, keys: &[&str]) -> Result<u32, ConvertError> {
        let key = keys.first().copied().unwrap_or_default().to_owned();
        match self.u32(keys)? {
            Some(0) => Err(self.wrong(key, "a whole number above zero", &Value::from(0))),
            Some(number) => Ok(number),
            None => {
                let key = keys.join("` or `");
                Err(ConvertError::Missing { path: self.path.clone(), key, expected: "a whole number" })
            }
        }
    }

    /// The first of `keys` that is there, as a number.
    pub(super) fn f64(&self, keys: &[&str]) -> Result<Option<f64>, ConvertError> {
        let Some((key, value)) = self.find(keys) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.wrong(key, "a number", value))
    }

    pub(super) fn str(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    /// RoPE as older and newer configurations say it: at the top, under `rope_scaling`, or under `rope_parameters`.
    pub(super) fn rope(&self) -> Result<Rope, ConvertError> {
        let object = |key: &str| self.map.get(key).and_then(Value::as_object);
        let all = object("rope_parameters").or_else(|| object("rope_scaling")).cloned().unwrap_or_default();
        let part = |key: &str| all.get(key).and_then(Value::as_object).cloned();
        let (full, sliding) = (part("full_attention"), part("sliding_attention"));
        let values = full.unwrap_or_else(|| all.clone());
        let number = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_f64);
        let theta = self.f64(&["global_rope_theta", "rope_theta", "rotary_emb_base"])?;
        let local = self.f64(&["rope_local_base_freq", "local_rope_theta", "swa_rope_theta"])?;
        let kind = ["rope_type", "type"].iter().find_map(|key| values.get(*key).and_then(Value::as_str));
        let kind = kind.filter(|&kind| kind != "default").unwrap_or_default().to_lowercase();
        let partial = self.f64(&["partial_rotary_factor", "rope_pct", "rope_percent"])?;
        Ok(Rope {
            kind,
            theta: number(&values, "rope_theta").or(theta),
            local_theta: sliding.and_then(|map| number(&map, "rope_theta")).or(local),
            partial: number(&values, "partial_rotary_factor").or(partial),
            values,
        })
    }
}

impl Rope {
    pub(super) fn f64(&self, key: &str) -> Option<f64> {
        self.values.get(key).and_then(Value::as_f64)
    }

    /// A list of numbers; `None` when it is missing or is none.
    pub(super) fn list(&self, key: &str) -> Option<Vec<f32>> {
        let list = self.values.get(key)?.as_array()?;
        list.iter().map(|value| value.as_f64().map(|number| number as f32)).collect()
    }
}
