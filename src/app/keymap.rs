//! Which key does what, and where: one table, from which keys are handled, and from which the help and the rows at the foot
//! are written, so that no key can be told wrongly.
//!
//! Everything can be reached without Ctrl: by a key of Termux's extra row (ESC TAB ALT HOME END PGUP PGDN and the arrows),
//! by Alt and a letter, or by a command. Phones' keyboards send capitals and Shift at will: neither matters for a letter.

mod hints;
mod tables;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use hints::Hints;

use super::msg::Move;
use crate::text::document::Edit;
use crate::text::document::moves::Motion;

/// What has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// The chat and its input.
    Chat,
    /// A file.
    Editor,
    /// A popup over the input, which gets what the popup does not take.
    Popup,
    /// The question about the folder's notes, likewise.
    Notes,
    /// A list that is narrowed by typing.
    List,
    /// The list of conversations.
    Sessions,
    /// The lines found in all files.
    Search,
    /// A name or a path.
    Name,
    /// A page to read.
    Page,
    /// Changes to be accepted.
    Review,
    /// A command that shall run.
    Confirm,
    /// A command that runs, or ran.
    Running,
    /// A conversation that was cut off.
    Resume,
    /// A model that shall be downloaded.
    Download,
    /// The editor's bar for finding and replacing.
    Find,
    /// Its bar for a line's number.
    Line,
    /// A question at its foot; the answers are keys too.
    Question,
}

impl Context {
    fn bindings(self) -> impl Iterator<Item = &'static Binding> {
        tables::of(self).iter().copied().flatten()
    }

    /// The key that the help names first for a command.
    pub fn key(self, command: Command) -> Option<Key> {
        self.bindings().find(|binding| binding.command == command).map(|binding| binding.key)
    }

    fn command(self, key: Key) -> Option<Command> {
        self.bindings().find(|binding| binding.key == key).map(|binding| binding.command)
    }

    /// What a key asks for.
    pub fn pressed(self, event: &KeyEvent) -> Pressed {
        let key = Key::of(event);
        let shifted = || {
            let plain = Key { modifiers: key.modifiers.difference(KeyModifiers::SHIFT), ..key };
            let command = self.command(plain).filter(|_| plain != key)?;
            Some(match command {
                // in a file Shift selects
                Command::Edit(Edit::Go(motion)) if self == Self::Editor => Command::Edit(Edit::Extend(motion)),
                Command::Word => Command::Edit(Edit::Extend(Motion::WordRight)),
                other => other,
            })
        };
        match (self.command(key).or_else(shifted), typed(event)) {
            (Some(command), _) => Pressed::Command(command),
            (None, Some(c)) => Pressed::Typed(c),
            (None, None) => Pressed::Nothing,
        }
    }

    /// The lines of the help: keys, and what they do.
    pub fn help(self) -> Vec<(String, &'static str)> {
        let mut lines: Vec<(Vec<String>, &'static str)> = Vec::new();
        for binding in tables::told(self).iter().copied().flatten() {
            match (binding.told, lines.last_mut()) {
                (Told::As(about), _) => lines.push((vec![binding.key.name()], about)),
                (Told::Too, Some((keys, _))) => keys.push(binding.key.name()),
                (Told::Too, None) | (Told::Not, _) => {}
            }
        }
        let joined = |keys: &[String]| {
            let comma = keys.iter().any(|key| key.ends_with(','));
            keys.join(if comma { " and " } else { ", " })
        };
        lines.iter().map(|(keys, about)| (joined(keys), *about)).collect()
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table says what each does")]
pub enum Command {
    /// In a text.
    Edit(Edit),
    /// Moves what is seen, or the selected row of a list; in a file pages move the cursor.
    Scroll(Move),
    /// Enter: sends, chooses, writes, goes on.
    Accept,
    /// Tab: completes, or chooses as Enter does.
    Complete,
    /// Esc: the nearest thing that can be closed, dismissed or stopped.
    Back,
    /// Closes what is read.
    Close,
    Yes,
    No,
    All,
    NextPart,
    PreviousPart,
    OtherField,
    Regex,
    Attach,
    Remove,
    Interrupt,
    Suspend,
    Redraw,
    Help,
    Quit,
    DeleteOrQuit,
    NewLine,
    Thinking,
    Regenerate,
    New,
    Sessions,
    CopyAnswer,
    Apply,
    BranchBefore,
    BranchAfter,
    OtherPane,
    Open,
    SearchFiles,
    Mark,
    SelectAll,
    /// Takes the suggestion, else goes to the next stop or moves the lines in.
    Tab,
    Indent,
    Outdent,
    DeleteLines,
    Comment,
    Copy,
    Cut,
    Paste,
    Save,
    CloseFile,
    NextFile,
    PreviousFile,
    Find,
    FindNext,
    FindPrevious,
    Replace,
    GoToLine,
    Suggest,
    /// Takes the next word of the suggestion, else moves by a word.
    Word,
    /// Takes the next line of the suggestion, else scrolls by a row.
    Line,
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It asks for something.
    Command(Command),
    /// It types a character.
    Typed(char),
    /// It does neither here.
    Nothing,
}

/// Whether the help names a key.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// In a line of its own, with these words.
    As(&'static str),
    /// In the line before.
    Too,
    /// It leaves it out.
    Not,
}

/// A key, what it asks for, and how the help tells it.
#[derive(Clone, Copy, Debug)]
struct Binding {
    key: Key,
    command: Command,
    told: Told,
}

/// A key with what is held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// A letter with Alt.
    pub const fn alt(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), modifiers: KeyModifiers::ALT }
    }

    /// A letter with Ctrl.
    pub const fn ctrl(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), modifiers: KeyModifiers::CONTROL }
    }

    /// A letter.
    pub const fn letter(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), modifiers: KeyModifiers::NONE }
    }

    /// Any key.
    pub const fn with(modifiers: KeyModifiers, code: KeyCode) -> Self {
        Self { code, modifiers }
    }

    /// As the terminal sent it, less what phones' keyboards add.
    pub fn of(event: &KeyEvent) -> Self {
        match event.code {
            KeyCode::Char(c) => Self {
                code: KeyCode::Char(c.to_ascii_lowercase()),
                modifiers: event.modifiers.difference(KeyModifiers::SHIFT),
            },
            KeyCode::BackTab => Self { code: KeyCode::BackTab, modifiers: KeyModifiers::NONE },
            code => Self { code, modifiers: event.modifiers },
        }
    }

    /// What it is called: `Alt-Enter`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for (modifier, prefix) in
            [(KeyModifiers::CONTROL, "Ctrl-"), (KeyModifiers::ALT, "Alt-"), (KeyModifiers::SHIFT, "Shift-")]
        {
            if self.modifiers.contains(modifier) {
                name += prefix;
            }
        }
        match self.code {
            KeyCode::Char(' ') => name + "Space",
            KeyCode::Char(c) if name.is_empty() => c.to_string(),
            KeyCode::Char(c) => format!("{name}{}", c.to_ascii_uppercase()),
            KeyCode::F(n) => format!("{name}F{n}"),
            code => {
                let named = NAMES.iter().find(|(known, _)| *known == code);
                named.map(|(_, called)| format!("{name}{called}")).unwrap_or_default()
            }
        }
    }

    /// The same in a few cells, with arrows as signs: `Alt-→`.
    pub fn short(self) -> String {
        let signs = [("Up", "↑"), ("Down", "↓"), ("Left", "←"), ("Right", "→")];
        let name = self.name();
        let arrow = signs.iter().find_map(|(word, sign)| Some(format!("{}{sign}", name.strip_suffix(*word)?)));
        arrow.unwrap_or(name)
    }

    /// By its name, as [`Self::name`] gives it or in capitals; `None`: there is no such key.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (mut modifiers, mut rest) = (KeyModifiers::NONE, name);
        for (prefix, modifier) in
            [("Ctrl-", KeyModifiers::CONTROL), ("Alt-", KeyModifiers::ALT), ("Shift-", KeyModifiers::SHIFT)]
        {
            if let Some(behind) = rest.strip_prefix(prefix) {
                (modifiers, rest) = (modifiers | modifier, behind);
            }
        }
        if (modifiers, rest) == (KeyModifiers::SHIFT, "Tab") {
            return Some(Self::with(KeyModifiers::NONE, KeyCode::BackTab));
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.as_str()) {
            _ if rest == "Space" => KeyCode::Char(' '),
            (Some(letter), "") => KeyCode::Char(letter.to_ascii_lowercase()),
            (Some('F'), number) if number.parse::<u8>().is_ok() => KeyCode::F(number.parse().ok()?),
            _ => NAMES.iter().find(|(_, called)| called.eq_ignore_ascii_case(rest)).map(|(code, _)| *code)?,
        };
        Some(Self { code, modifiers })
    }

    /// As a terminal sends it.
    #[cfg(test)]
    pub(crate) fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }
}

/// Keys that have names.
const NAMES: &[(KeyCode, &str)] = &[
    (KeyCode::Enter, "Enter"),
    (KeyCode::Esc, "Esc"),
    (KeyCode::Tab, "Tab"),
    (KeyCode::BackTab, "Shift-Tab"),
    (KeyCode::Backspace, "Backspace"),
    (KeyCode::Delete, "Del"),
    (KeyCode::Up, "Up"),
    (KeyCode::Down, "Down"),
    (KeyCode::Left, "Left"),
    (KeyCode::Right, "Right"),
    (KeyCode::Home, "Home"),
    (KeyCode::End, "End"),
    (KeyCode::PageUp, "PgUp"),
    (KeyCode::PageDown, "PgDn"),
    // what terminals send for it
    (KeyCode::Null, "Ctrl-Space"),
];

/// The character that a key types.
fn typed(event: &KeyEvent) -> Option<char> {
    let KeyCode::Char(c) = event.code else { return None };
    let modifiers = event.modifiers.difference(KeyModifiers::SHIFT);
    // AltGr arrives as both
    (modifiers.is_empty() || modifiers == KeyModifiers::CONTROL.union(KeyModifiers::ALT))
        .then_some(c)
        .filter(|c| !c.is_control())
}

#[cfg(test)]
mod tests;
