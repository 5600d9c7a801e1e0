//! Tokens with a job, and the chat template.

use serde_json::Value;

use super::{Files, Vocabulary};
use crate::arch::{BosToken, PrefixSpace, TokenizerSpec};
use crate::fim::form::SPELLINGS;
use crate::quantize::convert::config::Config;
use crate::quantize::convert::error::ConvertError;
use crate::weights::checkpoint::{self, Templates};
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

    fn of(&self, job: &str) -> Option<u32> {
        self.ids.iter().find(|known| known.0 == job).map(|known| known.1)
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
    spec: &TokenizerSpec,
    config: &Config,
    vocabulary: &Vocabulary,
    out: &mut Metadata,
) -> Result<Vec<String>, ConvertError> {
    let mut notices = Vec::new();
    let mut jobs = Jobs::default();
    let mut last = None;
    if files.config.is_some() || files.map.is_some() {
        last = template(files, &mut jobs);
    }
    for (job, _) in JOBS.into_iter().take(7) {
        if let Some(add) = files.setting(&format!("add_{job}_token")).and_then(Value::as_bool) {
            jobs.add(job, add);
        }
        let named = files.named(job);
        // What closes a text by itself is the end of text; what was called so ends a turn.
        let (named, turn) = match last.filter(|last| job == "eos" && named != Some(last)) {
            Some(last) => (Some(last), named),
            None => (named, None),
        };
        let id = |text: &str| added(files, text).or_else(|| vocabulary.id(text).filter(|_| job == "eos"));
        jobs.id(job, named.and_then(id));
        jobs.id("eot", turn.and_then(id));
    }
    for (job, _) in JOBS.into_iter().take(7) {
        jobs.id(job, numbers(&config.map, job, vocabulary).first().copied());
    }
    ends(files, config, vocabulary, &mut jobs, &mut notices);
    for &(job, text) in spec.special.iter().filter(|_| vocabulary.model == "gpt2") {
        jobs.id(job, vocabulary.id(text));
    }
    if jobs.of("eos").is_none() && jobs.of("eot").is_none() {
        notices.push(
            "no file names the token that ends a text, so the model may not stop; `zord-quantize edit` sets \
             `tokenizer.ggml.eos_token_id`"
                .to_owned(),
        );
    }
    for (job, id) in &jobs.ids {
        let key = JOBS.iter().find(|known| known.0 == *job).map_or(*job, |known| known.1);
        out.u32(&format!("tokenizer.ggml.{key}"), *id);
    }
    for (job, add) in &jobs.add {
        out.bool(&format!("tokenizer.ggml.add_{job}_token"), *add);
    }
    fim(vocabulary, out);
    chat(files, out, &mut notices)?;
    let no_bos = match spec.bos {
        BosToken::AsSaid => false,
        BosToken::Never => true,
        BosToken::NeverWith(tokens) => vocabulary.texts.len() == tokens,
    };
    if no_bos {
        out.bool("tokenizer.ggml.add_bos_token", false);
    }
    if spec.prefix_space == PrefixSpace::NeverWithSpm && vocabulary.model == "llama" {
        out.bool("tokenizer.ggml.add_space_prefix", false);
    }
    Ok(notices)
}

/// The tokens of a job by number: one, or a list as Llama 3 and Gemma have it.
fn numbers(map: &serde_json::Map<String, Value>, job: &str, vocabulary: &Vocabulary) -> Vec<u32> {
    let said = match map.get(&format!("{job}_token_id")) {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let ids = said.into_iter().filter_map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()));
    ids.filter(|&id| (id as usize) < vocabulary.texts.len()).collect()
}

/// All that an answer may end with: what the tokenizer calls so is the end of a text, and the others that
/// `generation_config.json` or `config.json` list, in this order, end a turn or a message (GGUF has room for two).
fn ends(files: &Files, config: &Config, vocabulary: &Vocabulary, jobs: &mut Jobs, notices: &mut Vec<String>) {
    let generation = files.generation.as_ref().and_then(Value::as_object);
    let mut all = generation.map_or_else(Vec::new, |map| numbers(map, "eos", vocabulary));
    for id in numbers(&config.map, "eos", vocabulary) {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    jobs.id("eos", all.first().copied());
    let is_message = |id: &u32| vocabulary.texts.get(*id as usize).is_some_and(|text| text.contains("eom"));
    let (messages, turns): (Vec<u32>, Vec<u32>) = all.into_iter().partition(is_message);
    let mut left = Vec::new();
    for (id, order) in
        turns.into_iter().map(|id| (id, ["eot", "eom"])).chain(messages.into_iter().map(|id| (id, ["eom", "eot"])))
    {
        let known = ["eos", "eot", "eom"].iter().any(|job| jobs.of(job) == Some(id));
        match order.into_iter().find(|job| jobs.of(job).is_none()) {
            _ if known => {}
            Some(job) => jobs.id(job, Some(id)),
            None => left.push(vocabulary.texts.get(id as usize).map_or("", String::as_str)),
        }
    }
    if !left.is_empty() {
        let left = left.join("`, `");
        notices.push(format!("GGUF has no room for more ends of an answer: `{left}` may not stop the model"));
    }
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
            let known = [files.named("bos"), files.named("cls")];
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
    let has = |text: &str| vocabulary.id(text).is_some();
    let Some(spelling) = SPELLINGS.iter().find(|spelling| spelling.fits(&has)) else { return };
    let tokens = spelling.marks.into_iter().chain(spelling.beside);
    for (job, text) in ["pre", "suf", "mid", "pad", "rep", "sep"].into_iter().zip(tokens) {
        if let Some(id) = vocabulary.id(text).filter(|_| !text.is_empty()) {
            out.u32(&format!("tokenizer.ggml.fim_{job}_token_id"), id);
        }
    }
}

/// The template, as `checkpoint::chat_template` finds it; several have names.
fn chat(files: &Files, out: &mut Metadata, notices: &mut Vec<String>) -> Result<(), ConvertError> {
    const KEY: &str = "tokenizer.chat_template";
    let found = checkpoint::chat_template(&files.folder, files.config.as_ref())?;
    notices.extend(found.notice);
    match found.templates {
        Templates::None => {}
        Templates::One(text) => out.str(KEY, &text),
        Templates::Named(list) => {
            let mut names = Vec::new();
            for (name, text) in list.iter().filter(|(name, _)| name != "default") {
                let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                out.str(&format!("{KEY}.{name}"), text);
                names.push(name);
            }
            if !names.is_empty() {
                out.strs("tokenizer.chat_templates", names.iter());
            }
            if let Some((_, default)) = list.iter().find(|(name, _)| name == "default") {
                out.str(KEY, default);
            }
        }
    }
    Ok(())
}
