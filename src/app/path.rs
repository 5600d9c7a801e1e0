//! Completing paths with Tab where one is typed: behind a command that takes a file, and for a model on this device. The
//! disk is asked outside; what was typed on meanwhile is left alone.

use super::command;
use super::field::Field;
use super::msg::{Effect, Level};
use super::overlay::Overlay;
use super::{App, Out};
use crate::text::clean;

/// Names that are shown where several fit.
const SHOWN: usize = 12;
/// Commands that take a path, with how many words stand before it.
const TAKES: &[(&str, usize)] =
    &[("open", 0), ("save", 0), ("attach", 0), ("lora", 0), ("export", 0), ("apply", 1), ("model", 0)];

/// The path at the end of a command that takes one.
fn in_command(text: &str) -> Option<&str> {
    let (name, _) = command::parse(text)?;
    let name = command::find(name)?.name;
    let (_, words) = TAKES.iter().find(|(command, _)| *command == name)?;
    let mut rest = text.split_once(char::is_whitespace)?.1.trim_start();
    for _ in 0..*words {
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
    }
    Some(rest.trim_start_matches('"'))
}

impl App {
    /// Tab: has the path before the cursor completed; `false` where none is typed.
    pub(crate) fn complete_path(&mut self, out: &mut Out) -> bool {
        let Some(typed) = self.typed_path() else { return false };
        out.push(Effect::CompletePath(typed));
        true
    }

    /// The path that is typed, with the cursor at its end.
    fn typed_path(&mut self) -> Option<String> {
        let at_end = |field: &Field| field.cursor() == field.text().len();
        match &mut self.overlay {
            Some(overlay) => overlay.path().filter(|path| at_end(path)).map(|path| path.text().to_owned()),
            None => {
                let field = &self.composer.field;
                in_command(field.text()).filter(|_| at_end(field)).map(str::to_owned)
            }
        }
    }

    pub(crate) fn on_completed(&mut self, typed: &str, text: &str, choices: &[String]) {
        if self.typed_path().as_deref() != Some(typed) {
            return;
        }
        let field = self.overlay.as_mut().map(Overlay::path);
        if let Some(rest) = text.strip_prefix(typed) {
            match field {
                Some(Some(path)) => path.insert(rest),
                Some(None) => false,
                None => self.composer.field.insert(rest),
            };
        }
        if text == typed && choices.is_empty() {
            self.tell(Level::Info, format!("no file begins with `{}`", clean::one_line(typed)));
        } else if choices.len() > 1 {
            let names: Vec<_> = choices.iter().take(SHOWN).map(|name| clean::one_line(name)).collect();
            let more = if choices.len() > SHOWN { " …" } else { "" };
            self.tell(Level::Info, format!("{}{more}", names.join("  ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_behind_commands_that_take_one() {
        assert_eq!(in_command("/open src/ma"), Some("src/ma"));
        assert_eq!(in_command("/lora \"my ad"), Some("my ad"));
        assert_eq!(in_command("/apply 2 src/ma"), Some("src/ma"));
        for text in ["/apply 2", "/open", "/preset pre", "look at src/ma", "/usr/bi"] {
            assert_eq!(in_command(text), None, "{text}");
        }
    }
}
