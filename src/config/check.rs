//! Holds a configuration against the keys that exist, so that an error can name the line and the nearest right key.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{ConfigError, ThemeChoice};
use crate::models::names::nearest;
use crate::sampling::Preset;
use crate::size::parse_size;
use crate::text::clean::printable;

/// `GGML_MAX_N_THREADS`: more end llama.cpp.
const MOST_THREADS: u32 = 512;

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Size,
    Word(&'static [&'static str]),
    Count,
    Threads,
    Number,
    Switch,
    Texts,
    Table,
    Tables,
}

/// Every key, its path joined by dots; the keys of a table in a list stand under the list's name.
pub(super) const KEYS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("context", Kind::Table),
    ("context.size", Kind::Count),
    ("context.kv_type", Kind::Word(&["f16", "q8_0", "q4_0"])),
    ("context.overflow", Kind::Word(&["drop", "summarise"])),
    ("budget", Kind::Table),
    ("budget.limit", Kind::Size),
    ("threads", Kind::Table),
    ("threads.count", Kind::Threads),
    ("threads.pin", Kind::Switch),
    ("threads.ubatch", Kind::Count),
    ("threads.flash", Kind::Switch),
    ("chat", Kind::Table),
    ("chat.preset", Kind::Word(&Preset::NAMES)),
    ("chat.system", Kind::Text),
    ("chat.project_notes", Kind::Word(&["ask", "always", "never"])),
    ("chat.max_tokens", Kind::Count),
    ("chat.stop", Kind::Texts),
    ("chat.speculate", Kind::Switch),
    ("lora", Kind::Tables),
    ("lora.path", Kind::Text),
    ("lora.scale", Kind::Number),
    ("ui", Kind::Table),
    ("ui.mouse", Kind::Switch),
    ("ui.theme", Kind::Word(&ThemeChoice::NAMES)),
    ("ui.thinking", Kind::Word(&["fold", "show"])),
    ("remote", Kind::Table),
    ("remote.url", Kind::Text),
    ("remote.model", Kind::Text),
    ("remote.key_env", Kind::Text),
    ("remote.timeout", Kind::Count),
    ("models", Kind::Table),
    ("models.endpoint", Kind::Text),
    ("editor", Kind::Table),
    ("editor.close_brackets", Kind::Switch),
    ("edits", Kind::Table),
    ("edits.fix_rounds", Kind::Count),
    ("phone", Kind::Table),
    ("phone.wake_lock", Kind::Switch),
];

impl Kind {
    pub(super) fn words(self) -> String {
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Size => "a size in quotes such as \"2.5GiB\"".into(),
            Self::Word(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
            Self::Count => "a whole number from 1 up".into(),
            Self::Threads => format!("a whole number from 1 to {MOST_THREADS}"),
            Self::Number => "a number".into(),
            Self::Switch => "true or false".into(),
            Self::Texts => "a list of texts".into(),
            Self::Table => "a table".into(),
            Self::Tables => "a list of tables".into(),
        }
    }
}

pub(super) fn known(key: &str, file: &Path) -> Result<(), ConfigError> {
    if KEYS.iter().any(|(name, kind)| *name == key && !matches!(kind, Kind::Table | Kind::Tables)) {
        return Ok(());
    }
    Err(ConfigError::UnknownKey { path: file.to_owned(), line: 1, key: printable(key), nearest: nearest_key("", key) })
}

/// The nearest key of the same table, else of any.
fn nearest_key(table: &str, key: &str) -> Option<String> {
    let inside = KEYS.iter().filter_map(|(name, _)| match name.rsplit_once('.') {
        Some((before, word)) if before == table => Some((word, *name)),
        None if table.is_empty() => Some((*name, *name)),
        _ => None,
    });
    let words: Vec<(&str, &str)> = inside.collect();
    let own = nearest(key, words.iter().map(|(word, _)| *word)).first().map(|found| (*found).to_owned());
    own.and_then(|found| words.iter().find(|(word, _)| *word == found).map(|(_, name)| (*name).to_owned())).or_else(
        || {
            let whole = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            let elsewhere = KEYS.iter().find(|(name, _)| last(name) == key).map(|(name, _)| (*name).to_owned());
            elsewhere.or_else(|| {
                nearest(&whole, KEYS.iter().map(|(name, _)| *name)).first().map(|found| (*found).to_owned())
            })
        },
    )
}

pub(super) fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Holds values against [`KEYS`] before serde sees them, because serde cannot name the nearest key.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a Path,
}

impl Checker<'_> {
    pub(super) fn table(&self, path: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in table.iter() {
            let word: &str = key.get_ref();
            let whole = if path.is_empty() { word.to_owned() } else { format!("{path}.{word}") };
            let Some((_, kind)) = KEYS.iter().find(|(name, _)| *name == whole) else {
                let (path_of, line) = (self.file.to_owned(), line_of(self.text, key.span().start));
                return Err(ConfigError::UnknownKey {
                    path: path_of,
                    line,
                    key: printable(&whole),
                    nearest: nearest_key(path, word),
                });
            };
            let line = line_of(self.text, value.span().start);
            self.value(&whole, *kind, value.get_ref(), line)?;
        }
        Ok(())
    }

    fn value(&self, key: &str, kind: Kind, value: &DeValue<'_>, line: usize) -> Result<(), ConfigError> {
        let good = match (kind, value) {
            (Kind::Text, DeValue::String(_)) | (Kind::Switch, DeValue::Boolean(_)) => true,
            (Kind::Number, DeValue::Float(_) | DeValue::Integer(_)) => true,
            (Kind::Size, DeValue::String(text)) => parse_size(text).is_ok(),
            (Kind::Word(words), DeValue::String(text)) => words.contains(&text.as_ref()),
            (Kind::Count, DeValue::Integer(number)) => {
                u32::from_str_radix(number.as_str(), number.radix()).is_ok_and(|number| number > 0)
            }
            (Kind::Threads, DeValue::Integer(number)) => u32::from_str_radix(number.as_str(), number.radix())
                .is_ok_and(|number| (1..=MOST_THREADS).contains(&number)),
            (Kind::Texts, DeValue::Array(items)) => {
                items.iter().all(|item| matches!(item.get_ref(), DeValue::String(_)))
            }
            (Kind::Table, DeValue::Table(table)) => return self.table(key, table),
            (Kind::Tables, DeValue::Array(items)) => {
                for item in items.iter() {
                    let line = line_of(self.text, item.span().start);
                    self.value(key, Kind::Table, item.get_ref(), line)?;
                }
                true
            }
            _ => false,
        };
        if good {
            return Ok(());
        }
        Err(ConfigError::WrongValue {
            path: self.file.to_owned(),
            line,
            key: key.into(),
            want: kind.words(),
            got: shown(value),
        })
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", printable(text)),
        DeValue::Integer(number) => format!("{}{}", radix(number.radix()), printable(number.as_str())),
        DeValue::Float(number) => printable(number.as_str()),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn radix(radix: u32) -> &'static str {
    match radix {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    }
}
