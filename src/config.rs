//! The configuration file: what a person may decide, with its defaults (`assets/config.toml` shows them all).
//!
//! A missing file is the defaults. An unknown key or a wrong type is an error with file, line and the nearest right key,
//! never silently ignored. [`set`] changes one key and keeps everything else, comments included. It refuses to look at
//! the environment and to act on what it reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::budget::KvType;
use crate::engine::Overflow;
use crate::error::Advise;
use crate::sampling::Preset;
use crate::size::ByteSize;
use crate::text::clean::printable;

mod check;
mod edit;
mod editor;
mod phone;
mod theme;

use check::{Checker, known, last, line_of};
pub use editor::EditorConfig;
pub use phone::PhoneConfig;
pub use theme::ThemeChoice;

/// The documented defaults, as text: what `zord` writes when a person asks for a file to edit.
pub const DEFAULT_TEXT: &str = include_str!("../assets/config.toml");

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Everything a person may decide. It is read once; what the command line says is put over it there, and from then on it
/// is handed on as it is.
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
    /// Typing in files.
    pub editor: EditorConfig,
    /// Changes of files.
    pub edits: EditsConfig,
    /// What only matters on a phone.
    pub phone: PhoneConfig,
}

impl Config {
    /// The adapters to load, with their scales.
    pub fn adapters(&self) -> Vec<(PathBuf, f32)> {
        self.lora.iter().map(|lora| (lora.path.clone(), lora.scale)).collect()
    }

    /// The same with other adapters.
    #[must_use]
    pub fn with_adapters(self, adapters: &[(PathBuf, f32)]) -> Self {
        let lora = adapters.iter().map(|(path, scale)| LoraConfig { path: path.clone(), scale: *scale }).collect();
        Self { lora, ..self }
    }
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
    /// Of the whole program; `None`: the default policy.
    pub limit: Option<ByteSize>,
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
    /// How freely words are chosen.
    pub preset: Preset,
    /// A system prompt; `None`: the catalogue's for the model, if it has one; empty: none is sent.
    pub system: Option<String>,
    /// Whether notes in the folder (`AGENTS.md` and the like) are read as context.
    pub project_notes: ProjectNotes,
    /// The longest answer in tokens.
    pub max_tokens: Option<u32>,
    /// Texts that end an answer.
    pub stop: Vec<String>,
    /// Guess ahead.
    pub speculate: bool,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            preset: Preset::Auto,
            system: None,
            project_notes: ProjectNotes::Ask,
            max_tokens: None,
            stop: Vec::new(),
            speculate: true,
        }
    }
}

/// What is done about notes in the folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectNotes {
    /// The person is asked, and again when they have changed.
    #[default]
    Ask,
    /// They are used, but where the person took them out.
    Always,
    /// They are not looked for.
    Never,
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
    /// The colours.
    pub theme: ThemeChoice,
    /// What to do with thinking.
    pub thinking: Thinking,
}

impl Default for UiConfig {
    fn default() -> Self {
        Self { mouse: false, theme: ThemeChoice::Dark, thinking: Thinking::Fold }
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
    /// Seconds without a word after which it is given up; `None`: five minutes.
    pub timeout: Option<u32>,
}

/// `[models]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// The hub; `None`: the public one.
    pub endpoint: Option<String>,
}

/// `[edits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditsConfig {
    /// How often `/fix` asks for a change at most.
    pub fix_rounds: u32,
}

impl Default for EditsConfig {
    fn default() -> Self {
        Self { fix_rounds: 3 }
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

/// One change at a time: each reads the file, and writes it whole.
static CHANGING: Mutex<()> = Mutex::new(());

/// Sets one key (`context.size`) and keeps everything else in the file, comments included. The result is checked before
/// it is written; the file is made when there is none, with the folder it stands in.
///
/// # Errors
/// What [`ConfigError`] lists; the file is then unchanged.
pub fn set(file: &Path, key: &str, value: toml::Value) -> Result<(), ConfigError> {
    known(key, file)?;
    // a change that panicked left the file as it was
    let _changing = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = read(file)?.unwrap_or_default();
    // What is broken stays as it is: an edit would hide the error.
    parse(&text, file)?;
    let text = edit::with(&text, key, &value).ok_or_else(|| ConfigError::WrongValue {
        path: file.to_owned(),
        line: 1,
        key: key.into(),
        want: "a plain key".into(),
        got: "one of many".into(),
    })?;
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
    let fail = |source| ConfigError::Read { path: file.to_owned(), source };
    let bytes = match crate::small::read(file, LARGEST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count();
            Err(ConfigError::Syntax { path: file.to_owned(), line, message: "it is not UTF-8".into() })
        }
    }
}

#[cfg(test)]
mod tests;
