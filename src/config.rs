//! The configuration file: what a person may decide, with its defaults (`assets/config.toml` shows them all).
//!
//! A missing file is the defaults. An unknown key or a wrong type is an error with file, line and the nearest right key,
//! never silently ignored. [`set`] changes one key and keeps everything else, comments included. It refuses to look at
//! the environment and to act on what it reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue};

use crate::budget::KvType;
use crate::engine::Overflow;
use crate::error::Advise;
use crate::models::names::{nearest, printable};

/// The documented defaults, as text: what `zord` writes when a person asks for a file to edit.
pub const DEFAULT_TEXT: &str = include_str!("../assets/config.toml");

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Everything a person may decide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The model to use: catalogue name, path or `hf:…`.
    pub model: Option<String>,
    /// The context window.
    pub context: ContextConfig,
    /// Memory.
    pub budget: BudgetConfig,
    /// Threads and batches.
    pub threads: ThreadsConfig,
    /// How answers are made.
    pub chat: ChatConfig,
    /// Adapters.
    pub lora: Vec<LoraConfig>,
    /// How it looks.
    pub ui: UiConfig,
    /// A server instead of a model here.
    pub remote: RemoteConfig,
    /// Where models come from.
    pub models: ModelsConfig,
}

/// `[context]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextConfig {
    /// Tokens; `None`: what fits.
    pub size: Option<u32>,
    /// KV cache type; `None`: what fits.
    pub kv_type: Option<KvType>,
    /// What happens to the oldest turns when it is full.
    pub overflow: Overflow,
}

/// `[budget]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// As [`parse_size`] reads it; `None`: the default policy.
    pub limit: Option<String>,
}

impl BudgetConfig {
    /// The limit in bytes.
    ///
    /// # Errors
    /// A text that is no size; a loaded configuration has none.
    pub fn bytes(&self) -> Result<Option<u64>, SizeError> {
        self.limit.as_deref().map(parse_size).transpose()
    }
}

/// `[threads]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThreadsConfig {
    /// Threads; `None`: the fastest cluster.
    pub count: Option<u32>,
    /// Keep them on their cores.
    pub pin: bool,
    /// Tokens evaluated at once.
    pub ubatch: Option<u32>,
    /// Flash attention.
    pub flash: Option<bool>,
}

impl Default for ThreadsConfig {
    fn default() -> Self {
        Self { count: None, pin: true, ubatch: None, flash: None }
    }
}

/// `[chat]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChatConfig {
    /// `greedy`, `precise`, `balanced`, `explore` or `auto`.
    pub preset: String,
    /// A system prompt; `None`: none is sent.
    pub system: Option<String>,
    /// The longest answer in tokens.
    pub max_tokens: Option<u32>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// Guess ahead.
    pub speculate: bool,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self { preset: "auto".into(), system: None, max_tokens: None, stop: Vec::new(), speculate: true }
    }
}

/// `[[lora]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// The adapter, a GGUF file.
    pub path: PathBuf,
    /// Its strength.
    #[serde(default = "full")]
    pub scale: f32,
}

fn full() -> f32 {
    1.0
}

/// `[ui]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UiConfig {
    /// Let the mouse scroll.
    pub mouse: bool,
    /// The colours' name.
    pub theme: String,
    /// What to do with thinking.
    pub thinking: Thinking,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self { mouse: false, theme: "dark".into(), thinking: Thinking::Fold }
    }
}

/// What the screen does with a model's thinking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// One line that can be opened.
    #[default]
    Fold,
    /// All of it.
    Show,
}

/// `[remote]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteConfig {
    /// The server.
    pub url: Option<String>,
    /// The model's name there.
    pub model: Option<String>,
    /// The environment variable that holds the key.
    pub key_env: Option<String>,
}

/// `[models]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// The hub; `None`: the public one.
    pub endpoint: Option<String>,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Size,
    Word(&'static [&'static str]),
    Count,
    Number,
    Switch,
    Texts,
    Table,
    Tables,
}

/// Every key, its path joined by dots; the keys of a table in a list stand under the list's name.
const KEYS: &[(&str, Kind)] = &[
    ("model", Kind::Text),
    ("context", Kind::Table),
    ("context.size", Kind::Count),
    ("context.kv_type", Kind::Word(&["f16", "q8_0", "q4_0"])),
    ("context.overflow", Kind::Word(&["drop", "summarise"])),
    ("budget", Kind::Table),
    ("budget.limit", Kind::Size),
    ("threads", Kind::Table),
    ("threads.count", Kind::Count),
    ("threads.pin", Kind::Switch),
    ("threads.ubatch", Kind::Count),
    ("threads.flash", Kind::Switch),
    ("chat", Kind::Table),
    ("chat.preset", Kind::Word(&["auto", "greedy", "precise", "balanced", "explore"])),
    ("chat.system", Kind::Text),
    ("chat.max_tokens", Kind::Count),
    ("chat.stop", Kind::Texts),
    ("chat.speculate", Kind::Switch),
    ("lora", Kind::Tables),
    ("lora.path", Kind::Text),
    ("lora.scale", Kind::Number),
    ("ui", Kind::Table),
    ("ui.mouse", Kind::Switch),
    ("ui.theme", Kind::Text),
    ("ui.thinking", Kind::Word(&["fold", "show"])),
    ("remote", Kind::Table),
    ("remote.url", Kind::Text),
    ("remote.model", Kind::Text),
    ("remote.key_env", Kind::Text),
    ("models", Kind::Table),
    ("models.endpoint", Kind::Text),
];

impl Kind {
    fn words(self) -> String {
        match self {
            Self::Text => "a text in quotes".into(),
            Self::Size => "a size in quotes such as \"2.5GiB\"".into(),
            Self::Word(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
            Self::Count => "a whole number from 1 up".into(),
            Self::Number => "a number".into(),
            Self::Switch => "true or false".into(),
            Self::Texts => "a list of texts".into(),
            Self::Table => "a table".into(),
            Self::Tables => "a list of tables".into(),
        }
    }
}

/// The configuration cannot be read or changed. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no TOML.
    #[error("`{}` line {line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key that means nothing.
    #[error("`{}` line {line}: unknown key `{key}`", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// The key with its table.
        key: String,
        /// The right key that is nearest.
        nearest: Option<String>,
    },
    /// A value that the key does not take.
    #[error("`{}` line {line}: `{key}` must be {want}, not {got}", path.display())]
    WrongValue {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// The key with its table.
        key: String,
        /// What it takes.
        want: String,
        /// What stands there.
        got: String,
    },
}

impl Advise for ConfigError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } | Self::Write { .. } => {
                Some("see who owns the file, or set `ZORD_HOME` to a folder of your own".into())
            }
            Self::Syntax { .. } => Some("texts stand in double quotes, tables in square brackets".into()),
            Self::UnknownKey { nearest: Some(key), .. } => Some(format!("did you mean `{key}`")),
            Self::UnknownKey { nearest: None, .. } => {
                Some("remove the line; the defaults file in the guide shows every key".into())
            }
            Self::WrongValue { key, want, .. } => Some(format!("write `{}` as {want}", last(key))),
        }
    }
}

/// Reads the configuration; a file that does not exist is the defaults.
///
/// # Errors
/// What [`ConfigError`] lists.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    parse(&read(file)?.unwrap_or_default(), file)
}

/// Reads a configuration from text; `file` is only named in errors.
///
/// # Errors
/// What [`ConfigError`] lists.
pub fn parse(text: &str, file: &Path) -> Result<Config, ConfigError> {
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        path: file.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: printable(error.message()),
    };
    let table = DeTable::parse(text).map_err(syntax)?;
    Checker { text, file }.table("", table.get_ref())?;
    toml::from_str(text).map_err(syntax)
}

/// Sets one key (`context.size`) and keeps everything else in the file, comments included. The result is checked before
/// it is written; the file is made when there is none, with the folder it stands in.
///
/// # Errors
/// What [`ConfigError`] lists; the file is then unchanged.
pub fn set(file: &Path, key: &str, value: toml::Value) -> Result<(), ConfigError> {
    known(key, file)?;
    let value: toml_edit::Value = value.to_string().parse().map_err(|_| ConfigError::WrongValue {
        path: file.to_owned(),
        line: 1,
        key: key.into(),
        want: KEYS.iter().find(|(name, _)| *name == key).map_or_else(String::new, |(_, kind)| kind.words()),
        got: "something that cannot be written".into(),
    })?;
    change(file, key, |table, name| {
        // The key stays where it is: a comment above it hangs on the key, one behind it on the value.
        match table.get_mut(name) {
            Some(item) => {
                let mut value = value;
                if let Some(old) = item.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *item = toml_edit::Item::Value(value);
            }
            None => drop(table.insert(name, toml_edit::Item::Value(value))),
        }
    })
}

/// Takes one key out of the file, so that its default counts again.
///
/// # Errors
/// What [`ConfigError`] lists; the file is then unchanged.
pub fn unset(file: &Path, key: &str) -> Result<(), ConfigError> {
    known(key, file)?;
    change(file, key, |table, name| {
        table.remove(name);
    })
}

fn change(file: &Path, key: &str, edit: impl FnOnce(&mut dyn toml_edit::TableLike, &str)) -> Result<(), ConfigError> {
    let text = read(file)?.unwrap_or_default();
    let refuse = |got: &str| ConfigError::WrongValue {
        path: file.to_owned(),
        line: 1,
        key: key.into(),
        want: "a plain key".into(),
        got: got.into(),
    };
    // What is broken stays as it is: an edit would hide the error.
    parse(&text, file)?;
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|_| refuse("a key in a broken file"))?;
    match key.split_once('.') {
        Some((table, name)) => {
            let item = document.entry(table).or_insert_with(toml_edit::table);
            edit(item.as_table_like_mut().ok_or_else(|| refuse("one of many"))?, name);
        }
        None => edit(document.as_table_mut(), key),
    }
    let text = document.to_string();
    parse(&text, file)?;
    let write = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        crate::atomic::write(file, &text)
    };
    write().map_err(|source| ConfigError::Write { path: file.to_owned(), source })
}

fn read(file: &Path) -> Result<Option<String>, ConfigError> {
    use io::Read;
    let fail = |source| ConfigError::Read { path: file.to_owned(), source };
    let opened = match fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > LARGEST {
        return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
            Err(ConfigError::Syntax { path: file.to_owned(), line, message: "it is not UTF-8".into() })
        }
    }
}

fn known(key: &str, file: &Path) -> Result<(), ConfigError> {
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

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Holds values against [`KEYS`] before serde sees them, because serde cannot name the nearest key.
struct Checker<'a> {
    text: &'a str,
    file: &'a Path,
}

impl Checker<'_> {
    fn table(&self, path: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
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

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size")]
pub struct SizeError(String);

impl Advise for SizeError {
    fn hint(&self) -> Option<String> {
        Some("write a number of bytes or one with a unit, such as `900MB`, `512M` or `1.5GiB`".into())
    }
}

/// Bytes from `900MB` (decimal), `1.2GiB` and `512M` (binary, as `K`, `M`, `G`, `T` alone are), or a plain number.
///
/// # Errors
/// Anything else, negative or absurd numbers included.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let wrong = || SizeError(printable(text));
    let trimmed = text.trim();
    let at = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(at);
    let scale: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(wrong);
    }
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = value * scale as f64;
    // Above 2^53 a fraction of a byte is already lost; nothing here is that large.
    if scale == 1 || !bytes.is_finite() || !(0.0..9.0e15).contains(&bytes) {
        return Err(wrong());
    }
    Ok(bytes.round() as u64)
}

#[cfg(test)]
mod tests;
