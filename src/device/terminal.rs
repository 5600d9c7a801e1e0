//! What the terminal says of itself in the environment. Nothing is asked of it: an answer may never come.

use super::Env;

/// Colours that can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colours {
    /// None, or unwanted (`NO_COLOR`).
    #[default]
    None,
    /// The sixteen of old.
    Sixteen,
    /// The palette of 256.
    Palette,
    /// 24 bits.
    True,
}

/// The terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// `TERM`; empty when unset.
    pub term: String,
    /// `TERM_PROGRAM`, or what a known terminal sets instead.
    pub program: Option<String>,
    /// How many colours.
    pub colours: Colours,
    /// Inside tmux or screen: OSC 52 needs `set-clipboard on`.
    pub multiplexer: bool,
    /// Over SSH: the clipboard is at the other end.
    pub remote: bool,
    /// The locale promises UTF-8.
    pub utf8: bool,
}

impl Terminal {
    pub(super) fn read(env: Env<'_>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let termux = set("TERMUX_VERSION").is_some();
        let true_colour = set("COLORTERM").is_some_and(|value| matches!(value.as_str(), "truecolor" | "24bit"))
            || term.ends_with("-direct")
            || set("WT_SESSION").is_some()
            || termux;
        let colours = match term.as_str() {
            _ if set("NO_COLOR").is_some() => Colours::None,
            "" | "dumb" => Colours::None,
            _ if true_colour => Colours::True,
            term if term.contains("256") || term.contains("kitty") || term.contains("alacritty") => Colours::Palette,
            _ => Colours::Sixteen,
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        Self {
            multiplexer: set("TMUX").is_some() || term.starts_with("screen") || term.starts_with("tmux"),
            remote: set("SSH_CONNECTION").is_some() || set("SSH_TTY").is_some(),
            utf8: termux || locale.contains("utf-8") || locale.contains("utf8"),
            program: set("TERM_PROGRAM").or_else(|| termux.then(|| "Termux".to_owned())),
            colours,
            term,
        }
    }

    /// It cannot place a cursor: the TUI cannot run.
    pub fn is_dumb(&self) -> bool {
        matches!(self.term.as_str(), "" | "dumb")
    }
}
