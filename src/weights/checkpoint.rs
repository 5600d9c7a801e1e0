//! What a checkpoint's folder says beside its weights, read alike by all programs: as transformers 5 reads it, and with a
//! word where two files say different things.

use std::path::Path;

use serde_json::Value;

use super::safetensors::{Folder, SafetensorsError};
use crate::small;

/// Names of the chat template's own file and of the tokenizer's settings.
const JINJA: &str = "chat_template.jinja";
const SETTINGS: &str = "tokenizer_config.json";
/// Where a checkpoint keeps more templates, each in a file.
const MORE: &str = "additional_chat_templates";

/// Chat templates of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Templates {
    /// There is none.
    None,
    /// The one there is.
    One(String),
    /// Several by name; `default` is the usual one.
    Named(Vec<(String, String)>),
}

impl Templates {
    /// The template for a conversation without tools.
    pub fn usual(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::One(text) => Some(text),
            Self::Named(all) => all.into_iter().find(|(name, _)| name == "default").map(|(_, text)| text),
        }
    }
}

/// Chat templates, and what the person should know of where they were found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The templates.
    pub templates: Templates,
    /// Two files hold different ones.
    pub notice: Option<String>,
}

/// The chat template of a checkpoint: `chat_template.jinja` before what `tokenizer_config.json` (`settings`) holds, before
/// the older `chat_template.json`.
///
/// # Errors
/// A file is there and cannot be read.
pub fn chat_template(folder: &Path, settings: Option<&Value>) -> Result<Found, SafetensorsError> {
    let inside = settings.and_then(|settings| settings.get("chat_template")).map_or(Templates::None, templates);
    let own = jinja(folder)?;
    if own != Templates::None {
        let same = usual(&own) == usual(&inside);
        let differs = inside != Templates::None && !same;
        let notice = differs.then(|| {
            format!("`{JINJA}` and `{SETTINGS}` hold different chat templates; `{JINJA}` counts, as in transformers")
        });
        return Ok(Found { templates: own, notice });
    }
    if inside != Templates::None {
        return Ok(Found { templates: inside, notice: None });
    }
    let older = read(&folder.join("chat_template.json"))?;
    let older = older.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let templates = older.as_ref().and_then(|json| json.get("chat_template")).map_or(Templates::None, templates);
    Ok(Found { templates, notice: None })
}

fn usual(templates: &Templates) -> Option<String> {
    templates.clone().usual().map(|text| text.trim_end().to_owned())
}

fn read(path: &Path) -> Result<Option<String>, SafetensorsError> {
    small::optional_text(path, small::TEXT).map_err(|source| SafetensorsError::Io { path: path.to_owned(), source })
}

/// `chat_template.jinja`, and those of `additional_chat_templates` by name.
fn jinja(folder: &Path) -> Result<Templates, SafetensorsError> {
    let more = folder.join(MORE);
    let mut names: Vec<_> = match std::fs::read_dir(&more) {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort_unstable();
    let mut all = Vec::new();
    for name in names.iter().filter_map(|name| name.strip_suffix(".jinja")) {
        if let Some(text) = read(&more.join(format!("{name}.jinja")))? {
            all.push((name.to_owned(), text));
        }
    }
    let own = read(&folder.join(JINJA))?;
    Ok(match (own, all.is_empty()) {
        (None, true) => Templates::None,
        (Some(own), true) => Templates::One(own),
        (own, false) => {
            all.retain(|(name, _)| own.is_none() || name != "default");
            all.extend(own.map(|own| ("default".to_owned(), own)));
            Templates::Named(all)
        }
    })
}

/// A template, or a list of them with names, as `tokenizer_config.json` has them.
fn templates(value: &Value) -> Templates {
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    match value {
        Value::String(text) => Templates::One(text.clone()),
        Value::Array(list) => {
            let named = list.iter().filter_map(|entry| Some((text(entry, "name")?, text(entry, "template")?)));
            Templates::Named(named.collect())
        }
        Value::Object(map) => {
            let named = map.iter().filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())));
            Templates::Named(named.collect())
        }
        _ => Templates::None,
    }
}

/// The text of a special token (`key` is `eos_token` and the like), out of `tokenizer_config.json` (`settings`) and
/// `special_tokens_map.json` (`map`). The map belongs to tokenizers from before `added_tokens_decoder`, where it counts
/// first; elsewhere it fills what the settings leave out.
pub fn special_token<'a>(settings: Option<&'a Value>, map: Option<&'a Value>, key: &str) -> Option<&'a str> {
    let text = |file: Option<&'a Value>| {
        let value = file?.get(key)?;
        value.as_str().or_else(|| value.get("content")?.as_str())
    };
    let newer = settings.is_some_and(|settings| settings.get("added_tokens_decoder").is_some());
    if newer { text(settings).or_else(|| text(map)) } else { text(map).or_else(|| text(settings)) }
}

/// Files of a checkpoint that are neither weights nor `config.json`, where they are there.
pub const BESIDE: [&str; 10] = [
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    JINJA,
    "chat_template.json",
    "generation_config.json",
];

/// Bytes compared at once.
const PIECE: usize = 1 << 20;

/// Whether a checkpoint whose configuration ties the output to the embeddings has an output of its own all the same
/// (`lm_head.weight` with other numbers). transformers does not tie then; so nobody here does.
///
/// # Errors
/// The weights cannot be read.
pub fn has_own_head(weights: &Folder) -> Result<bool, SafetensorsError> {
    let find = |end: &str| {
        weights.tensors.iter().find(|tensor| tensor.name == end || tensor.name.ends_with(&format!(".{end}")))
    };
    let (Some(head), Some(embeddings)) = (find("lm_head.weight"), find("embed_tokens.weight")) else {
        return Ok(false);
    };
    if head.shape != embeddings.shape {
        // Not a row for each token: whoever needs it will say what is wrong with it.
        return Ok(true);
    }
    if head.dtype != embeddings.dtype || head.bytes != embeddings.bytes {
        return Ok(true);
    }
    let (mut a, mut b) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < head.bytes {
        let len = (head.bytes - at).min(PIECE as u64) as usize;
        let (a, b) = (&mut a[..len], &mut b[..len]);
        head.read(a, at)?;
        embeddings.read(b, at)?;
        if a != b {
            return Ok(true);
        }
        at += len as u64;
    }
    Ok(false)
}

/// What is told of a head that the configuration denies.
pub const OWN_HEAD: &str = "`config.json` ties the output to the embeddings, but the weights have an `lm_head` with other \
                            numbers; it counts, as in transformers";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_in_a_file_of_its_own_counts_first() {
        let folder = tempfile::tempdir().unwrap();
        let find = |settings: &Value| chat_template(folder.path(), Some(settings)).unwrap();
        let settings = json!({"chat_template": "inside"});
        std::fs::write(folder.path().join("chat_template.json"), r#"{"chat_template": "older"}"#).unwrap();
        assert_eq!(find(&json!({})).templates, Templates::One("older".into()));
        assert_eq!(find(&settings).templates, Templates::One("inside".into()));
        std::fs::write(folder.path().join(JINJA), "inside\n").unwrap();
        assert_eq!((find(&settings).templates, find(&settings).notice), (Templates::One("inside\n".into()), None));
        std::fs::write(folder.path().join(JINJA), "file").unwrap();
        assert_eq!(find(&settings).templates.usual().as_deref(), Some("file"));
        assert!(find(&settings).notice.unwrap().contains("different chat templates"));
        let named =
            json!({"chat_template": [{"name": "default", "template": "file"}, {"name": "rag", "template": "r"}]});
        assert_eq!(find(&named).notice, None);
        std::fs::create_dir(folder.path().join(MORE)).unwrap();
        std::fs::write(folder.path().join(MORE).join("tools.jinja"), "with tools").unwrap();
        let all = vec![("tools".to_owned(), "with tools".to_owned()), ("default".to_owned(), "file".to_owned())];
        assert_eq!(find(&json!({})).templates, Templates::Named(all));
    }

    #[test]
    fn special_tokens_are_found_where_transformers_finds_them() {
        let (old, map) = (json!({"eos_token": "a"}), json!({"eos_token": {"content": "b"}, "bos_token": "c"}));
        let new = json!({"eos_token": "a", "added_tokens_decoder": {}});
        assert_eq!(special_token(Some(&old), Some(&map), "eos_token"), Some("b"));
        assert_eq!(special_token(Some(&new), Some(&map), "eos_token"), Some("a"));
        assert_eq!(special_token(Some(&new), Some(&map), "bos_token"), Some("c"));
        assert_eq!(special_token(None, Some(&map), "eos_token"), Some("b"));
        assert_eq!(special_token(Some(&old), None, "unk_token"), None);
    }
}
