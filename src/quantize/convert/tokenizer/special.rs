//! Tokens with a job, and the chat template.

use serde_json::Value;

use super::{Files, Vocabulary};
use crate::fim::form::spellings;
use crate::quantize::convert::arch::Arch;
use crate::quantize::convert::config::Config;
use crate::quantize::convert::error::ConvertError;
use crate::weights::gguf::Metadata;

/// What tokens are for, and the keys that say so.
pub(super) const JOBS: [(&str, &str); 9] = [
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("unk", "unknown_token_id"),
    // llama.cpp spells it so.
    ("sep", "seperator_token_id"),
    ("pad", "padding_token_id"),
    ("cls", "cls_token_id"),
    ("mask", "mask_token_id"),
    ("eot", "eot_token_id"),
    ("eom", "eom_token_id"),
];

/// Padding, repository and file of the vocabularies that have them, by the token before the prefix.
const BESIDE: [(&str, [&str; 3]); 3] = [
    ("<|fim_prefix|>", ["<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]),
    ("<fim_prefix>", ["<fim_pad>", "<repo_name>", "<file_sep>"]),
    ("<fim-prefix>", ["<fim-pad>", "<reponame>", "<filename>"]),
];

/// What is known so far of the jobs, in the order in which it became known.
#[derive(Default)]
struct Jobs {
    ids: Vec<(&'static str, u32)>,
    add: Vec<(&'static str, bool)>,
}

impl Jobs {
    fn id(&mut self, job: &'static str, id: Option<u32>) {
        if let Some(id) = id.filter(|_| !self.ids.iter().any(|known| known.0 == job)) {
            self.ids.push((job, id));
        }
    }

    fn add(&mut self, job: &'static str, add: bool) {
        match self.add.iter_mut().find(|known| known.0 == job) {
            Some(known) => known.1 = add,
            None => self.add.push((job, add)),
        }
    }
}

pub(super) fn describe(
    files: &Files,
    arch: Arch,
    config: &Config,
    vocabulary: &Vocabulary,
    out: &mut Metadata,
) -> Result<(), ConvertError> {
    let mut jobs = Jobs::default();
    let mut last = None;
    if files.config.is_some() {
        last = template(files, &mut jobs);
    }
    for (job, _) in JOBS.into_iter().take(7) {
        if let Some(add) = files.setting(&format!("add_{job}_token")).and_then(Value::as_bool) {
            jobs.add(job, add);
        }
        let named = text(files.setting(&format!("{job}_token")));
        // What closes a text by itself is the end of text; what was called so ends a turn.
        let (named, turn) = match last.filter(|last| job == "eos" && named != Some(last)) {
            Some(last) => (Some(last), named),
            None => (named, None),
        };
        jobs.id(job, named.and_then(|text| added(files, text)));
        jobs.id("eot", turn.and_then(|text| added(files, text)));
    }
    for (job, _) in JOBS.into_iter().take(7) {
        let id =
            config.map.get(&format!("{job}_token_id")).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
        jobs.id(job, id.filter(|&id| (id as usize) < vocabulary.texts.len()));
    }
    if matches!(arch, Arch::ChatGlm | Arch::Glm4) && vocabulary.model == "gpt2" {
        let end = vocabulary.id("<|endoftext|>");
        jobs.id("eos", end);
        jobs.id("eot", vocabulary.id("<|user|>"));
        jobs.id("unk", end);
        if arch == Arch::Glm4 {
            jobs.id("bos", end);
        }
    }
    for (job, id) in &jobs.ids {
        let key = JOBS.iter().find(|known| known.0 == *job).map_or(*job, |known| known.1);
        out.u32(&format!("tokenizer.ggml.{key}"), *id);
    }
    for (job, add) in &jobs.add {
        out.bool(&format!("tokenizer.ggml.add_{job}_token"), *add);
    }
    fim(vocabulary, out);
    chat(files, out);
    // Vocabularies whose BOS token, if they have one, belongs into no prompt.
    let small = arch == Arch::Llama && vocabulary.texts.len() == 49_152;
    if small || matches!(arch, Arch::ChatGlm | Arch::Phi2) {
        out.bool("tokenizer.ggml.add_bos_token", false);
    }
    if arch == Arch::Gemma3 && vocabulary.model == "llama" {
        out.bool("tokenizer.ggml.add_space_prefix", false);
    }
    Ok(())
}

/// A token's text, plain or in an object.
fn text(value: Option<&Value>) -> Option<&str> {
    let value = value?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn added(files: &Files, text: &str) -> Option<u32> {
    let id = files.added().find(|token| token.text == text)?.id;
    u32::try_from(id).ok()
}

/// What a `TemplateProcessing` puts before and behind a text; gives the token behind.
fn template<'a>(files: &'a Files, jobs: &mut Jobs) -> Option<&'a str> {
    let processor = files.json.as_ref()?.get("post_processor")?;
    let list = processor.get("processors").and_then(Value::as_array);
    let all = list.map_or_else(|| vec![processor], |list| list.iter().collect());
    let mut behind = None;
    for processor in all {
        if processor.get("type").and_then(Value::as_str) != Some("TemplateProcessing") {
            continue;
        }
        let Some([first, .., last]) = processor.get("single").and_then(Value::as_array).map(Vec::as_slice) else {
            continue;
        };
        let token = |part: &'a Value| part.get("SpecialToken")?.get("id")?.as_str();
        if let Some(first) = token(first) {
            let known = [text(files.setting("bos_token")), text(files.setting("cls_token"))];
            jobs.add("bos", known == [None, None] || known.contains(&Some(first)));
        }
        if let Some(last) = token(last) {
            jobs.add("eos", true);
            behind = Some(last);
        }
    }
    behind
}

fn fim(vocabulary: &Vocabulary, out: &mut Metadata) {
    let known = |text: &str| text.is_empty() || vocabulary.id(text).is_some();
    let Some(spelling) = spellings().find(|spelling| spelling.iter().all(|text| known(text))) else { return };
    let beside = BESIDE.iter().find(|(pre, _)| *pre == spelling[0]).map_or([""; 3], |(_, beside)| *beside);
    for (job, text) in ["pre", "suf", "mid", "pad", "rep", "sep"].into_iter().zip(spelling.into_iter().chain(beside)) {
        if let Some(id) = vocabulary.id(text).filter(|_| !text.is_empty()) {
            out.u32(&format!("tokenizer.ggml.fim_{job}_token_id"), id);
        }
    }
}

/// The template in the configuration, or in a file of its own; several have names.
fn chat(files: &Files, out: &mut Metadata) {
    const KEY: &str = "tokenizer.chat_template";
    let inside = files.setting("chat_template").cloned();
    let jinja = || std::fs::read_to_string(files.folder.join("chat_template.jinja")).ok().map(Value::from);
    let older = || {
        let text = std::fs::read(files.folder.join("chat_template.json")).ok()?;
        serde_json::from_slice::<Value>(&text).ok()?.get("chat_template").cloned()
    };
    match inside.or_else(jinja).or_else(older) {
        Some(Value::String(text)) => out.str(KEY, &text),
        Some(Value::Array(list)) => {
            let mut names = Vec::new();
            let mut default = None;
            for entry in &list {
                let (Some(name), Some(text)) = (text(entry.get("name")), text(entry.get("template"))) else { continue };
                let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                if name == "default" {
                    default = Some(text);
                } else {
                    out.str(&format!("{KEY}.{name}"), text);
                    names.push(name);
                }
            }
            if !names.is_empty() {
                out.strs("tokenizer.chat_templates", names.iter());
            }
            if let Some(default) = default {
                out.str(KEY, default);
            }
        }
        _ => {}
    }
}
