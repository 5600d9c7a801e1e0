//! The one place where errors become text and exit codes.
//!
//! Rooms keep their own `thiserror` types; each that can advise implements [`Advise`], and the programs' edge turns any
//! of them into a [`UserError`]: `cli::output::error` prints it once on stderr as `error: …`, a blank line and `hint: …`;
//! `App::show_error` shows it in a line above the input.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::clean::{printable, visible};

/// What a program returns to the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ExitCode {
    /// It did what was asked.
    Done = 0,
    /// It could not.
    Failed = 1,
    /// It was asked wrongly.
    Usage = 2,
    /// It was interrupted.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// An error that may know the way out.
pub trait Advise: std::error::Error {
    /// What the person can do about it, one sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }

    /// What a program that ends with this error returns.
    fn code(&self) -> ExitCode {
        ExitCode::Failed
    }
}

/// An error as a person sees it: a message with its causes, perhaps a hint, and the exit code. Whatever is shown, on the
/// command line or on the screen, by a room, the engine or a thread in the background, is made from this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserError {
    /// Lower case, values in backticks, no full stop.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// What the process exits with.
    pub code: ExitCode,
}

impl UserError {
    /// A failure (exit code 1) without a hint.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: ExitCode::Failed }
    }

    /// A wrong use (exit code 2) without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: ExitCode::Usage }
    }

    /// The end after Ctrl-C or another signal (exit code 130).
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, code: ExitCode::Interrupted }
    }

    /// What a room's error says to a person.
    pub fn of<E: Advise>(error: &E) -> Self {
        Self { message: chain(error), hint: error.hint(), code: error.code() }
    }

    /// In one line, for the screen.
    pub fn line(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} · {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names out of files stand in it, which must not steer the terminal.
        write!(f, "error: {}", visible(&self.message))?;
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {}", visible(hint))?;
        }
        Ok(())
    }
}

impl<E: Advise> From<E> for UserError {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

/// A name that is none of those there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{name}`: {}", list(names))]
pub struct UnknownName {
    what: &'static str,
    name: String,
    names: &'static [&'static str],
}

impl UnknownName {
    /// `what` is what such a name stands for.
    pub fn new(what: &'static str, name: &str, names: &'static [&'static str]) -> Self {
        Self { what, name: printable(name), names }
    }
}

impl Advise for UnknownName {}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The message of an error and of every cause under it that it does not already contain, joined by `: `.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `a`")]
    struct Unread(#[source] io::Error);

    impl Advise for Unread {
        fn hint(&self) -> Option<String> {
            Some("look at\u{1b}[2J it".into())
        }
    }

    #[test]
    fn an_error_says_the_same_on_the_command_line_and_on_the_screen() {
        let report = UserError::from(Unread(io::Error::other("no\u{1b}[2Jdisk")));
        assert_eq!(report.line(), "cannot read `a`: no\u{1b}[2Jdisk · look at\u{1b}[2J it");
        assert_eq!(report.to_string(), "error: cannot read `a`: no␛[2Jdisk\n\nhint: look at␛[2J it");
        assert_eq!(report.code, ExitCode::Failed);
        assert_eq!(UserError::failed("no").line(), "no");
        assert_eq!(UserError::interrupted("no").code, ExitCode::Interrupted);
        let sent = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<UserError>(&sent).unwrap(), report, "between processes");
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let unknown = UnknownName::new("look", "a\u{1b}b", &["x", "y"]);
        let report = UserError::from(unknown);
        assert!(report.message.starts_with("there is no look `a") && report.message.ends_with("`: `x`, `y`"));
        assert!(!report.message.contains('\u{1b}'), "{report:?}");
    }
}
