//! Termux: which one, and which of its commands are there.

use std::path::{Path, PathBuf};

use super::Env;

/// Facts of the shell on an Android phone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termux {
    /// `TERMUX_VERSION`, such as `0.118.1`.
    pub version: String,
    /// Where it was got from: `F_DROID`, `GITHUB`, `GOOGLE_PLAY_STORE` (`TERMUX_APK_RELEASE`).
    pub release: Option<String>,
    /// `$PREFIX`.
    pub prefix: PathBuf,
    /// `termux-wake-lock` is installed (it is part of termux-tools).
    pub wake_lock: bool,
    /// `termux-clipboard-set` is installed (package `termux-api`).
    pub clipboard: bool,
}

impl Termux {
    /// The one this program runs in; `None` outside Termux.
    pub fn here() -> Option<Self> {
        Self::read(Path::new("/"), &|name| std::env::var(name).ok())
    }

    /// `None` outside Termux.
    pub(super) fn read(root: &Path, env: Env<'_>) -> Option<Self> {
        let version = env("TERMUX_VERSION");
        let prefix = env("PREFIX").filter(|prefix| prefix.contains("com.termux"));
        if version.is_none() && prefix.is_none() {
            return None;
        }
        let prefix = PathBuf::from(prefix.unwrap_or_else(|| "/data/data/com.termux/files/usr".to_owned()));
        let installed =
            |name: &str| root.join(prefix.strip_prefix("/").unwrap_or(&prefix)).join("bin").join(name).exists();
        Some(Self {
            version: version.unwrap_or_default(),
            release: env("TERMUX_APK_RELEASE"),
            wake_lock: installed("termux-wake-lock"),
            clipboard: installed("termux-clipboard-set"),
            prefix,
        })
    }

    /// The Play Store's build runs programs through the linker and refuses static ones.
    pub fn is_play_store(&self) -> bool {
        self.release.as_deref().is_some_and(|release| release.to_ascii_uppercase().contains("PLAY"))
    }
}
