//! Where things live on disk: the store of models, sessions, configuration, caches. `ZORD_HOME` moves all of it.

use std::path::PathBuf;

/// The folders of one installation. Nothing is created by naming them.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Holds `config.toml`.
    pub config: PathBuf,
    /// Holds `models/` and `sessions/`.
    pub data: PathBuf,
    /// Holds what can be thrown away: tuned settings, notes of unclean ends.
    pub cache: PathBuf,
}

impl Paths {
    /// From `ZORD_HOME`, else from the platform's conventions, else from the current folder's `.zord`.
    pub fn find() -> Self {
        if let Some(home) = std::env::var_os("ZORD_HOME").filter(|home| !home.is_empty()) {
            return Self::under(PathBuf::from(home));
        }
        match directories::ProjectDirs::from("", "", "zord") {
            Some(dirs) => Self {
                config: dirs.config_dir().to_owned(),
                data: dirs.data_local_dir().to_owned(),
                cache: dirs.cache_dir().to_owned(),
            },
            None => Self::under(PathBuf::from(".zord")),
        }
    }

    /// Everything below one folder.
    pub fn under(home: PathBuf) -> Self {
        Self { config: home.clone(), cache: home.join("cache"), data: home }
    }

    /// The configuration file; it need not exist.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The store of models.
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// Completions that were shown before.
    pub fn suggestions(&self) -> PathBuf {
        self.cache.join("suggestions")
    }

    /// What files held before they were changed.
    pub fn undo(&self) -> PathBuf {
        self.data.join("undo")
    }

    /// What was typed into files and not saved.
    pub fn unsaved(&self) -> PathBuf {
        self.data.join("unsaved")
    }

    /// What was typed into the chat and not sent.
    pub fn unsent(&self) -> PathBuf {
        self.data.join("unsent")
    }

    /// What was sent before, a file for each folder.
    pub fn history(&self) -> PathBuf {
        self.data.join("history")
    }

    /// The last conversation of each folder.
    pub fn last(&self) -> PathBuf {
        self.data.join("last")
    }

    /// Journals and snapshots of conversations.
    pub fn sessions(&self) -> PathBuf {
        self.data.join("sessions")
    }
}
