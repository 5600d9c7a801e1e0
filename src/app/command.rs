//! The commands, in one table that the palette, the help and the tests read.

use super::msg::Level;
use super::{App, Out, command_chat as chat, command_editor as editor, command_program as program, edits, notes};

/// What a command does: it gets what stands behind its name.
pub type Run = fn(&mut App, &str, &mut Out);

/// A command.
#[derive(Clone, Copy)]
pub struct Command {
    /// Without the slash.
    pub name: &'static str,
    /// Its arguments as the help writes them; optional ones in brackets.
    pub args: &'static str,
    /// One line.
    pub about: &'static str,
    pub(crate) run: Run,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "/{}", self.name)
    }
}

impl Command {
    /// What is missing where it stands alone.
    pub(crate) fn wants(&self) -> String {
        format!("`/{} {}`: {}; type it and press Enter", self.name, self.args, self.about)
    }

    /// Whether it makes sense without arguments.
    pub fn runs_alone(&self) -> bool {
        self.args.is_empty() || self.args.starts_with('[')
    }
}

const fn command(name: &'static str, args: &'static str, about: &'static str, run: Run) -> Command {
    Command { name, args, about, run }
}

/// Every command, the most used first.
pub const COMMANDS: &[Command] = &[
    command("help", "[GUIDE]", "keys, commands, guides", program::help),
    command("new", "", "begin a new conversation", chat::new),
    command("stop", "", "stop the answer", chat::stop),
    command("regenerate", "", "answer again, as a branch", chat::regenerate),
    command("finish", "", "finish an answer that was cut", chat::finish),
    command("edit", "TEXT", "change the files you name", edits::edit),
    command("apply", "[N|all] [FILE]", "write its code into files", edits::apply),
    command("undo", "[drop]", "undo the last change", edits::undo),
    command("run", "CMD", "run a command, show its output", edits::run),
    command("fix", "[CMD]", "change files until it passes", edits::fix),
    command("diff", "", "what has changed in the folder", edits::diff),
    command("commit", "", "propose a message, then commit", edits::commit),
    command("rewrite", "[N]", "edit an earlier message", chat::rewrite),
    command("branch", "[next|prev]", "switch between branches", chat::branch),
    command("copy", "[N|all]", "copy the answer, or block N", chat::copy),
    command("open", "[PATH[:LINE]]", "edit a file", editor::open),
    command("search", "[TEXT]", "search all files of the folder", editor::search),
    command("save", "[NAME]", "save the edited file", editor::save),
    command("editor", "", "switch to the editor and back", editor::editor),
    command("attach", "[FILE]", "attach a file or a folder", chat::attach),
    command("notes", "[on|off|show]", "use the folder's `AGENTS.md`", notes::notes),
    command("model", "[NAME]", "choose or download a model", program::model),
    command("preset", "[NAME]", "how freely it chooses words", program::preset),
    command("sessions", "[WORDS]", "find and open conversations", chat::sessions),
    command("export", "[FILE]", "write a Markdown file", chat::export),
    command("system", "[TEXT|off]", "what the model is told first", chat::system),
    command("title", "[TEXT]", "name the conversation", chat::title),
    command("lora", "[FILE [SCALE]|off]", "LoRA adapters of the model", program::lora),
    command("context", "[drop|summarise]", "what is used; when it is full", program::context),
    command("plan", "", "what memory is used for", program::plan),
    command("thinking", "", "unfold thinking, long messages", program::thinking),
    command("theme", "[NAME]", "auto, dark, light, plain", program::theme),
    command("mouse", "", "mouse wheel scrolls, or not", program::mouse),
    command("quit", "", "quit; everything is kept", program::quit),
];

/// Other names for commands.
const ALIASES: &[(&str, &str)] = &[
    ("retry", "regenerate"),
    ("continue", "finish"),
    ("resume", "sessions"),
    ("exit", "quit"),
    ("q", "quit"),
    ("?", "help"),
    ("clear", "new"),
    ("e", "open"),
    ("find", "search"),
    ("grep", "search"),
];

/// A command and its arguments, if a text is one: a slash and a word without another slash in it. Two slashes begin a
/// message that begins with one.
pub fn parse(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix('/')?;
    let (name, args) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    (!name.is_empty() && !name.contains('/')).then_some((name, args.trim()))
}

/// By its name or another name for it.
pub fn find(name: &str) -> Option<&'static Command> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real);
    COMMANDS.iter().find(|command| command.name == name)
}

/// Commands for what was typed behind the slash: those that begin with it, then those that contain it.
pub fn matching(typed: &str) -> Vec<&'static Command> {
    let typed = typed.to_lowercase();
    let starts = |command: &&Command| command.name.starts_with(&typed);
    let alias = |command: &&Command| ALIASES.iter().any(|(a, real)| *real == command.name && a.starts_with(&typed));
    // a letter or two would find half of the words there are
    let told = |command: &&Command| typed.len() > 2 && command.about.to_lowercase().contains(&typed);
    let contains = |command: &&Command| (typed.len() > 1 && command.name.contains(&typed)) || told(command);
    let mut found: Vec<&'static Command> = COMMANDS.iter().filter(starts).collect();
    let mut also = |wanted: &dyn Fn(&&Command) -> bool| {
        for command in COMMANDS.iter().filter(wanted) {
            if !found.iter().any(|known| known.name == command.name) {
                found.push(command);
            }
        }
    };
    also(&alias);
    also(&contains);
    found
}

impl App {
    /// Carries out a command by its name.
    pub(crate) fn command(&mut self, name: &str, args: &str, out: &mut Out) {
        match find(&name.to_lowercase()) {
            Some(command) => (command.run)(self, args, out),
            None => {
                let near = matching(name).first().map(|command| format!("; `/{}`?", command.name));
                let text = format!("unknown command `/{name}`{}", near.unwrap_or_else(|| "; `/help` lists all".into()));
                self.tell(Level::Warning, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_doubled_slashes_are_messages() {
        assert_eq!(parse("/copy 2"), Some(("copy", "2")));
        assert_eq!(parse("/usr/bin/env is missing"), None);
        assert_eq!(parse("//not a command"), None);
        assert_eq!(parse("/ "), None);
    }

    #[test]
    fn names_are_unique_and_fit_a_phone() {
        for (n, one) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..n].iter().all(|other| other.name != one.name), "{one:?}");
            assert!(one.name.len() <= 10 && one.about.len() <= 31, "{one:?} does not fit 45 columns");
        }
        assert!(ALIASES.iter().all(|(alias, real)| find(alias).is_some_and(|command| command.name == *real)));
    }

    #[test]
    fn what_begins_with_the_word_comes_first() {
        let names: Vec<_> = matching("mo").iter().map(|command| command.name).collect();
        assert_eq!(&names[..2], ["model", "mouse"]);
        assert_eq!(matching("retry")[0].name, "regenerate");
        assert_eq!(matching("").len(), COMMANDS.len());
    }
}
