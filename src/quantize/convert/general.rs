//! The `general.*` values: what the model is called, how large it is, how it wants to be sampled.
//!
//! Names follow llama.cpp's habit: what the configuration or the folder is called, taken apart at its dashes.

use std::path::Path;

use serde_json::Value;

use super::card::Card;
use super::config::{Config, optional};
use super::error::ConvertError;
use crate::weights::gguf::{Metadata, Value as Number};

/// A model's name, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) title: Option<String>,
    pub(super) organization: Option<String>,
    pub(super) basename: Option<String>,
    pub(super) finetune: Option<String>,
    pub(super) version: Option<String>,
    pub(super) size: Option<String>,
}

/// What a part of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Plain,
    Version,
    Kind,
    Size,
    Finetune,
}

pub(super) fn describe(
    folder: &Path,
    config: &Config,
    parameters: u64,
    name: Option<&str>,
    out: &mut Metadata,
) -> Result<(), ConvertError> {
    out.str("general.type", "model");
    sampling(folder, out)?;
    let said = config.str("_name_or_path").filter(|name| !name.is_empty() && name.matches('/').count() <= 1);
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let folder = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let card = Card::read(&real);
    let mut all = card.name();
    all.fill(said.map(|said| Name::of(said, parameters)).unwrap_or_default());
    all.fill(Name::of(&folder, parameters));
    out.str("general.name", name.unwrap_or(all.title.as_deref().unwrap_or(&folder)));
    let size = all.size.take().or_else(|| (parameters > 0).then(|| rounded(parameters)));
    let rest = [
        ("version", all.version),
        ("organization", all.organization),
        ("finetune", all.finetune),
        ("basename", all.basename),
        ("size_label", size),
    ];
    for (key, value) in rest {
        if let Some(value) = value {
            out.str(&format!("general.{key}"), &value);
        }
    }
    card.describe(parameters, out);
    Ok(())
}

fn sampling(folder: &Path, out: &mut Metadata) -> Result<(), ConvertError> {
    let Some(generation) = optional(&folder.join("generation_config.json"))? else { return Ok(()) };
    let number = |key: &str| generation.get(key).and_then(Value::as_f64);
    if let Some(k) = number("top_k") {
        out.number("general.sampling.top_k", &Number::I32(k as i32));
    }
    for (from, to) in [("top_p", "top_p"), ("min_p", "min_p"), ("temperature", "temp")] {
        if let Some(value) = number(from) {
            out.f32(&format!("general.sampling.{to}"), value as f32);
        }
    }
    Ok(())
}

impl Name {
    /// `owner/Base-1.5-7B-Instruct-v2` in its parts.
    pub(super) fn of(id: &str, parameters: u64) -> Self {
        if id.contains(' ') {
            return Self { title: Some(title(id)), ..Self::default() };
        }
        let (organization, full) = match id.split_once('/') {
            Some((owner, full)) => (Some(owner).filter(|owner| !owner.starts_with('.')), full),
            None => (None, id),
        };
        let mut parts: Vec<(String, Part)> = full
            .split('-')
            .filter(|part| !part.is_empty())
            .enumerate()
            .map(|(at, part)| classify(at, part, parameters))
            .collect();
        if parts.iter().any(|(text, part)| *part == Part::Size && text.contains(|c: char| c.is_ascii_digit())) {
            // A word for a size says nothing beside a number.
            let word = |text: &str| text.chars().all(char::is_alphabetic);
            parts
                .iter_mut()
                .filter(|(text, part)| *part == Part::Size && word(text))
                .for_each(|part| part.1 = Part::Plain);
        }
        let starts = |(text, part): &(String, Part)| match part {
            Part::Version => true,
            Part::Plain => text.starts_with(char::is_alphabetic),
            _ => false,
        };
        let mut base = parts.iter().take_while(|part| starts(part)).count();
        while base == parts.len() && base > 0 && parts.get(base - 1).is_some_and(|part| part.1 == Part::Version) {
            base -= 1;
        }
        let (head, rest) = parts.split_at(base);
        let join = |list: Vec<&str>| (!list.is_empty()).then(|| list.join("-"));
        let pick = |wanted: &[Part]| {
            join(rest.iter().filter(|(_, part)| wanted.contains(part)).map(|(text, _)| text.as_str()).collect())
        };
        let mut sizes: Vec<&str> = Vec::new();
        for (text, _) in rest.iter().filter(|(_, part)| *part == Part::Size) {
            if !sizes.contains(&text.as_str()) {
                sizes.push(text);
            }
        }
        let (finetune, version, size) = (pick(&[Part::Finetune, Part::Plain]), pick(&[Part::Version]), join(sizes));
        let plain = size.is_none() && finetune.is_none() && version.is_none();
        let basename = join(head.iter().map(|(text, _)| text.as_str()).collect()).filter(|_| !plain);
        let organization = organization.map(title);
        Self {
            title: Some(title(full)).filter(|title| !title.is_empty()),
            organization,
            basename,
            finetune,
            version,
            size,
        }
    }

    /// Takes from `other` what is not known.
    fn fill(&mut self, other: Self) {
        let pairs = [
            (&mut self.title, other.title),
            (&mut self.organization, other.organization),
            (&mut self.basename, other.basename),
            (&mut self.finetune, other.finetune),
            (&mut self.version, other.version),
            (&mut self.size, other.size),
        ];
        for (mine, theirs) in pairs {
            *mine = mine.take().or(theirs);
        }
    }
}

fn classify(at: usize, part: &str, parameters: u64) -> (String, Part) {
    let low = part.to_ascii_lowercase();
    let digits = |text: &str| {
        !text.is_empty() && text.split('.').all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()))
    };
    let bare = low.strip_prefix("iter").or_else(|| low.strip_prefix('v')).unwrap_or(&low);
    if digits(bare) {
        return (part.to_owned(), Part::Version);
    }
    if ["f16", "f32", "fp16", "fp32", "bf16", "bfp16", "bf32"].contains(&low.as_str()) || is_quant(&low) {
        return (part.to_uppercase(), Part::Kind);
    }
    if at > 0 && ["small", "mini", "medium", "large", "xl", "xxl"].contains(&low.as_str()) {
        return (part.to_owned(), Part::Size);
    }
    if at > 0
        && let Some(size) = size_of(part)
    {
        let unit = size.1;
        let label = format!("{}{unit}", size.0);
        let number: Option<f64> = size.0.trim_start_matches('A').parse().ok();
        let scale = 1000f64.powi(" KMBT".find(unit).unwrap_or(0) as i32);
        let far = number.is_some_and(|number| {
            parameters > 0 && (number * scale - parameters as f64).abs() > (7 * parameters / 8) as f64
        });
        return if far { (label.to_lowercase(), Part::Finetune) } else { (label, Part::Size) };
    }
    if at > 0 && ["chat", "instruct", "vision", "lora"].contains(&low.as_str()) {
        return (part.to_owned(), Part::Finetune);
    }
    (part.to_owned(), Part::Plain)
}

/// `q4_k_m`, `iq3_s` and the like.
fn is_quant(low: &str) -> bool {
    let rest = low.strip_prefix('i').unwrap_or(low).strip_prefix('q');
    let mut parts = rest.unwrap_or_default().split('_');
    let digit = parts.next().is_some_and(|part| part.len() == 1 && part.bytes().all(|b| b.is_ascii_digit()));
    digit && parts.all(|part| part.len() == 1)
}

/// `1.5B`, `8x7b`, `A3B` and `7b1` as number and unit.
fn size_of(part: &str) -> Option<(String, char)> {
    let part = part.replace('_', ".");
    let unit_at = part.find(|c: char| "KMBTkmbt".contains(c))?;
    let (number, rest) = part.split_at(unit_at);
    let unit = rest.chars().next()?.to_ascii_uppercase();
    let tail = rest.get(1..)?;
    let plain = number.strip_prefix(['A', 'a']).unwrap_or(number);
    let plain = plain.split_once(['x', 'X']).map_or(plain, |(_, right)| right);
    let valid = plain.split('.').count() <= 2
        && plain.split('.').all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()));
    match tail.len() {
        _ if !valid => None,
        0 => Some((number.to_owned(), unit)),
        1 if tail.bytes().all(|b| b.is_ascii_digit()) => Some((format!("{number}.{tail}"), unit)),
        _ => None,
    }
}

/// Words with capitals, but for versions and what has capitals already.
pub(super) fn title(text: &str) -> String {
    let word = |word: &str| {
        let lower = word.chars().any(char::is_alphabetic) && !word.chars().any(char::is_uppercase);
        let version = word.starts_with(|c: char| c.is_ascii_digit())
            || word.strip_prefix('v').is_some_and(|rest| {
                rest.split('.').all(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()))
            });
        if !lower || version {
            return word.to_owned();
        }
        let mut out = String::new();
        let mut start = true;
        for c in word.chars() {
            if start && c.is_alphabetic() {
                out.extend(c.to_uppercase())
            } else {
                out.push(c)
            }
            start = !c.is_alphabetic();
        }
        out
    };
    text.trim().replace('-', " ").split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// `135M`, `1.5B`: two digits at least.
fn rounded(parameters: u64) -> String {
    let count = parameters as f64;
    let units = [(1e12, "T"), (1e9, "B"), (1e6, "M")];
    let (scaled, unit) = units
        .into_iter()
        .find(|(scale, _)| count > *scale)
        .map_or((count * 1e-3, "K"), |(scale, unit)| (count / scale, unit));
    let whole = format!("{scaled:.0}");
    let decimals = 2usize.saturating_sub(whole.trim_start_matches('0').len());
    format!("{scaled:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = Name::of("Qwen/Qwen2.5-Coder-1.5B-Instruct", 1_543_000_000);
        assert_eq!(name.title.as_deref(), Some("Qwen2.5 Coder 1.5B Instruct"));
        assert_eq!((name.organization.as_deref(), name.basename.as_deref()), (Some("Qwen"), Some("Qwen2.5-Coder")));
        assert_eq!((name.finetune.as_deref(), name.size.as_deref()), (Some("Instruct"), Some("1.5B")));
        let name = Name::of("deepseek-coder-1.3b-base-v1.5", 1_346_000_000);
        assert_eq!(name.title.as_deref(), Some("Deepseek Coder 1.3b Base v1.5"));
        assert_eq!((name.finetune.as_deref(), name.version.as_deref()), (Some("base"), Some("v1.5")));
        let name = Name::of("Phi-3-mini-4k-instruct", 3_800_000_000);
        assert_eq!((name.basename.as_deref(), name.size.as_deref()), (Some("Phi-3"), Some("mini")));
        assert_eq!(name.finetune.as_deref(), Some("4k-instruct"));
        let name = Name::of("checkpoint", 1000);
        assert_eq!((name.title.as_deref(), name.basename), (Some("Checkpoint"), None));
    }

    #[test]
    fn sizes_have_two_digits() {
        assert_eq!(
            [135_000_000, 1_543_000_000, 816_000_000, 37_000, 9_400_000_000].map(rounded),
            ["135M", "1.5B", "816M", "37K", "9.4B"]
        );
    }
}
