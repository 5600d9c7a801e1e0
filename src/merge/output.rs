//! What lies beside the weights: configuration, tokenizer, chat template.

use std::path::Path;

use serde_json::{Value, json};

use super::error::MergeError;
use super::model::{Model, object};
use super::plan::Plan;
use super::recipe::Recipe;
use super::template;
use crate::arch::keys;
use crate::small;
use crate::weights::checkpoint;
use crate::weights::numbers;
use crate::weights::safetensors::Dtype;

/// Whether the chat template that a recipe asks for is to be had.
///
/// # Errors
/// It is not.
pub fn verify(recipe: &Recipe, plan: &Plan) -> Result<(), MergeError> {
    recipe.chat_template.as_deref().map_or(Ok(()), |wanted| chosen(recipe, plan, wanted).map(drop))
}

/// Writes everything but weights into a folder.
///
/// # Errors
/// A file cannot be read or written, or the chat template is none.
pub fn write(recipe: &Recipe, plan: &Plan, folder: &Path) -> Result<(), MergeError> {
    let Some(donor) = plan.models.get(plan.donor) else { return Ok(()) };
    put_json(folder, "config.json", &config(recipe, plan, donor))?;
    let tokens_from = plan.vocabulary.as_ref().map_or(plan.donor, |merged| merged.donor);
    let Some(source) = plan.models.get(tokens_from) else { return Ok(()) };
    for (name, bytes) in tokenizer(source)? {
        put(folder, &name, &bytes)?;
    }
    if let Some(json) = plan.vocabulary.as_ref().and_then(|merged| merged.json.as_ref()) {
        put_json(folder, "tokenizer.json", json)?;
        // What says the same in other files would now say something else.
        for name in ["tokenizer.model", "added_tokens.json", "vocab.json", "merges.txt"] {
            let _ = std::fs::remove_file(folder.join(name));
        }
        align(folder, json)?;
    }
    if let Some(wanted) = &recipe.chat_template {
        let template = chosen(recipe, plan, wanted)?;
        set_template(folder, &template)?;
    }
    Ok(())
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), MergeError> {
    let path = folder.join(name);
    crate::atomic::write(&path, bytes).map_err(|source| MergeError::Write { path, source })
}

fn put_json(folder: &Path, name: &str, value: &Value) -> Result<(), MergeError> {
    put(folder, name, format!("{value:#}\n").as_bytes())
}

/// The donor's configuration with what is different now.
fn config(recipe: &Recipe, plan: &Plan, donor: &Model) -> Value {
    let mut config = donor.config.clone();
    let before = donor.layers.count;
    for key in keys::LAYERS {
        if let Some(layers) = config.get_mut(key) {
            *layers = json!(plan.layers);
        }
    }
    let origins = origins(recipe, plan);
    if !origins.iter().copied().eq(0..before) {
        // Said layer by layer, for those that are not rotated to stay such.
        let rotated = donor.family().and_then(|family| keys::rotated(family, &donor.config, before as usize));
        if let Some(rotated) = rotated {
            config.insert(keys::ROTATED.to_owned(), json!(rotated.into_iter().map(u8::from).collect::<Vec<_>>()));
        }
        for key in keys::PER_LAYER {
            if let Some(Value::Array(kinds)) = config.get_mut(key) {
                // Each layer keeps its kind, wherever it went.
                *kinds = origins.iter().filter_map(|at| kinds.get(*at as usize).cloned()).collect();
            }
        }
        if let Some(layers) =
            config.get_mut(keys::FIRST_SLIDING).filter(|layers| layers.as_u64() == Some(u64::from(before)))
        {
            *layers = json!(plan.layers);
        }
    }
    let written = plan.outputs.iter().map(|output| output.dtype).filter(|dtype| numbers::is_float(*dtype));
    let mut written: Vec<_> = written.collect();
    written.sort_unstable();
    let most = written.get(written.len() / 2).copied();
    if let Some(name) = most.and_then(Dtype::torch) {
        // Newer files spell it `dtype`.
        let key = if config.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        config.insert(key.to_owned(), json!(name));
    }
    if let Some(merged) = &plan.vocabulary {
        for key in keys::VOCABULARY {
            if let Some(size) = config.get_mut(key) {
                *size = json!(merged.count);
            }
        }
    }
    if plan.outputs.iter().any(|output| super::names::is_head(&output.name)) && donor.tied() {
        config.insert("tie_word_embeddings".to_owned(), json!(false));
    }
    Value::Object(config)
}

/// The layer of its own model that each layer of the result was.
fn origins(recipe: &Recipe, plan: &Plan) -> Vec<u32> {
    match &recipe.slices {
        super::recipe::Layers::Whole(_) => (0..plan.layers).collect(),
        super::recipe::Layers::Sliced(slices) => slices
            .iter()
            .filter_map(|slice| slice.sources.first())
            .flat_map(|part| part.layers.0..part.layers.1)
            .collect(),
    }
}

/// A model's tokenizer files.
fn tokenizer(model: &Model) -> Result<Vec<(String, Vec<u8>)>, MergeError> {
    if !model.made.is_empty() {
        return Ok(model.made.clone());
    }
    let mut files = Vec::new();
    for name in checkpoint::BESIDE {
        let path = model.folder.join(name);
        if path.is_file() {
            let bytes = small::read(&path, small::TOKENIZER).map_err(|source| MergeError::Io { path, source })?;
            files.push((name.to_owned(), bytes));
        }
    }
    Ok(files)
}

/// Drops from `tokenizer_config.json` what `tokenizer.json` says otherwise now.
fn align(folder: &Path, json: &Value) -> Result<(), MergeError> {
    let path = folder.join("tokenizer_config.json");
    let Ok(mut config) = object(&path) else { return Ok(()) };
    let added = json.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
    let decoder: serde_json::Map<String, Value> = added
        .filter_map(|token| {
            let mut token = token.as_object()?.clone();
            let id = token.remove("id")?;
            Some((id.to_string(), Value::Object(token)))
        })
        .collect();
    if config.contains_key("added_tokens_decoder") {
        config.insert("added_tokens_decoder".to_owned(), Value::Object(decoder));
        put_json(folder, "tokenizer_config.json", &Value::Object(config))?;
    }
    Ok(())
}

/// The template that the recipe asks for: that of most models, one by name, or a text.
fn chosen(recipe: &Recipe, plan: &Plan, wanted: &str) -> Result<String, MergeError> {
    if wanted == "auto" {
        let mut found: Vec<(String, usize)> = Vec::new();
        for model in &plan.models {
            let Some(text) = model_template(model) else { continue };
            match found.iter_mut().find(|(other, _)| *other == text) {
                Some((_, count)) => *count += 1,
                None => found.push((text, 1)),
            }
        }
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let what = || "`chat_template: auto` finds no template in any model".to_owned();
        return found.into_iter().next().map(|(text, _)| text).ok_or_else(|| MergeError::Tokenizer { what: what() });
    }
    if let Some(text) = template::named(wanted) {
        return Ok(text.to_owned());
    }
    if wanted.contains('{') && wanted.len() >= 20 {
        return Ok(wanted.to_owned());
    }
    let line = recipe.text.lines().position(|line| line.contains("chat_template")).map_or(1, |at| at + 1);
    let what = "`chat_template` is neither `auto`, nor a template, nor one of `chatml`, `llama3`, `alpaca`, `mistral`, `exaone`";
    Err(MergeError::Recipe { path: recipe.path.clone(), line, what: what.to_owned() })
}

fn model_template(model: &Model) -> Option<String> {
    let settings = object(&model.folder.join("tokenizer_config.json")).ok().map(Value::Object);
    let found = checkpoint::chat_template(&model.folder, settings.as_ref()).ok()?;
    found.templates.usual().map(|text| text.trim().to_owned())
}

fn set_template(folder: &Path, template: &str) -> Result<(), MergeError> {
    let path = folder.join("tokenizer_config.json");
    let mut config = object(&path).unwrap_or_default();
    config.insert("chat_template".to_owned(), json!(template));
    put_json(folder, "tokenizer_config.json", &Value::Object(config))?;
    let file = folder.join("chat_template.jinja");
    if file.is_file() {
        put(folder, "chat_template.jinja", template.as_bytes())?;
    }
    Ok(())
}
