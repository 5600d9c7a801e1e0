//! The editor's keys, in one table: what they are called, what they do, in which words the help and the line at the foot
//! tell it. As in the chat, everything can be reached without Ctrl: with the keys of Termux's extra row, or with Alt and a
//! letter. Where the two differ (Alt-S, Ctrl-C, …) an editor's habits win over the chat's.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::text::document::moves::Motion;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table says what each does")]
pub enum Act {
    Move(Motion),
    Extend(Motion),
    Page(isize),
    Mark,
    SelectAll,
    LineBreak,
    /// Takes the suggestion, else goes to the next stop or moves the lines in.
    Tab,
    Indent,
    Outdent,
    Backspace,
    Delete,
    DeleteWordLeft,
    DeleteWordRight,
    DeleteToStart,
    DeleteToEnd,
    DeleteLines,
    Comment,
    Undo,
    Redo,
    Copy,
    Cut,
    Paste,
    Save,
    Open,
    Close,
    NextFile,
    PreviousFile,
    Find,
    FindNext,
    FindPrevious,
    Replace,
    GoToLine,
    SearchFiles,
    Suggest,
    /// Takes the next word of the suggestion, else moves by a word.
    Word,
    /// Takes the next line of the suggestion, else moves the view by a row.
    Line,
    RowUp,
    Back,
    Chat,
    Help,
    Leave,
    Redraw,
}

/// A key and what it does.
#[derive(Clone, Copy, Debug)]
pub struct EditorKey {
    code: KeyCode,
    modifiers: KeyModifiers,
    /// What it does.
    pub act: Act,
    /// For the help: the keys' names and the words. Empty: an alias that the help leaves out.
    pub about: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

const fn key(code: KeyCode, modifiers: KeyModifiers, act: Act, about: &'static str) -> EditorKey {
    EditorKey { code, modifiers, act, about }
}

const fn ctrl(letter: char, act: Act, about: &'static str) -> EditorKey {
    key(KeyCode::Char(letter), CTRL, act, about)
}

const fn alt(letter: char, act: Act, about: &'static str) -> EditorKey {
    key(KeyCode::Char(letter), ALT, act, about)
}

/// Every key of the editor that is not text.
pub const KEYS: &[EditorKey] = &[
    alt('e', Act::Chat, "Alt-E, F2|to the chat and back"),
    key(KeyCode::F(2), NONE, Act::Chat, ""),
    alt('s', Act::Save, "Alt-S, Ctrl-S|save"),
    ctrl('s', Act::Save, ""),
    alt('o', Act::Open, "Alt-O, Ctrl-O|open a file"),
    ctrl('o', Act::Open, ""),
    alt('w', Act::Close, "Alt-W, Ctrl-W|close the file"),
    ctrl('w', Act::Close, ""),
    alt('.', Act::NextFile, "Alt-, and Alt-.|the file before, the next file"),
    alt(',', Act::PreviousFile, ""),
    key(KeyCode::PageDown, CTRL, Act::NextFile, ""),
    key(KeyCode::PageUp, CTRL, Act::PreviousFile, ""),
    key(KeyCode::Tab, NONE, Act::Tab, "Tab|take the suggestion; else indent"),
    alt('\\', Act::Suggest, "Alt-\\, Ctrl-Space|suggest; again: the next alternative"),
    ctrl(' ', Act::Suggest, ""),
    key(KeyCode::Null, NONE, Act::Suggest, ""),
    key(KeyCode::Right, ALT, Act::Word, "Alt-Right, Ctrl-Right|take the suggestion's next word; else move by a word"),
    key(KeyCode::Right, CTRL, Act::Word, ""),
    key(KeyCode::Down, ALT, Act::Line, "Alt-Down, Ctrl-Down|take the suggestion's next line; else scroll by a row"),
    key(KeyCode::Down, CTRL, Act::Line, ""),
    key(KeyCode::Up, ALT, Act::RowUp, ""),
    key(KeyCode::Up, CTRL, Act::RowUp, ""),
    key(KeyCode::Esc, NONE, Act::Back, "Esc|dismiss the suggestion, the mark, the bar"),
    alt('u', Act::Undo, "Alt-U, Ctrl-Z|undo"),
    ctrl('z', Act::Undo, ""),
    alt('y', Act::Redo, "Alt-Y, Ctrl-Y|redo"),
    ctrl('y', Act::Redo, ""),
    alt('m', Act::Mark, "Alt-M|begin to select: every movement extends it (also Shift and an arrow)"),
    alt('a', Act::SelectAll, "Alt-A, Ctrl-A|select all"),
    ctrl('a', Act::SelectAll, ""),
    alt('c', Act::Copy, "Alt-C, Ctrl-C|copy what is selected, or the line"),
    ctrl('c', Act::Copy, ""),
    alt('x', Act::Cut, "Alt-X, Ctrl-X|cut it"),
    ctrl('x', Act::Cut, ""),
    alt('v', Act::Paste, "Alt-V, Ctrl-V|paste what was cut or copied here"),
    ctrl('v', Act::Paste, ""),
    alt('f', Act::Find, "Alt-F, Ctrl-F|find"),
    ctrl('f', Act::Find, ""),
    alt('n', Act::FindNext, "Alt-N and Alt-P, F3|find the next, the one before"),
    alt('p', Act::FindPrevious, ""),
    key(KeyCode::F(3), NONE, Act::FindNext, ""),
    key(KeyCode::F(3), SHIFT, Act::FindPrevious, ""),
    alt('r', Act::Replace, "Alt-R, Ctrl-R|replace"),
    ctrl('r', Act::Replace, ""),
    alt('g', Act::GoToLine, "Alt-G, Ctrl-G|go to a line"),
    ctrl('g', Act::GoToLine, ""),
    alt('l', Act::SearchFiles, "Alt-L|search all files of the folder"),
    alt('b', Act::Move(Motion::Bracket), "Alt-B, Ctrl-B|to the other bracket"),
    ctrl('b', Act::Move(Motion::Bracket), ""),
    alt('/', Act::Comment, "Alt-/, Ctrl-/|comment the lines, or take the comment away"),
    // what terminals send for Ctrl-/
    ctrl('7', Act::Comment, ""),
    ctrl('/', Act::Comment, ""),
    ctrl('_', Act::Comment, ""),
    alt('i', Act::Indent, "Alt-I, Alt-D|move the lines in, out (also Tab and Shift-Tab)"),
    alt('d', Act::Outdent, ""),
    key(KeyCode::BackTab, NONE, Act::Outdent, ""),
    alt('k', Act::DeleteLines, "Alt-K|delete the line"),
    key(KeyCode::Backspace, ALT, Act::DeleteWordLeft, "Alt-Backspace, Alt-Del|delete a word"),
    key(KeyCode::Backspace, CTRL, Act::DeleteWordLeft, ""),
    key(KeyCode::Delete, ALT, Act::DeleteWordRight, ""),
    key(KeyCode::Delete, CTRL, Act::DeleteWordRight, ""),
    ctrl('u', Act::DeleteToStart, "Ctrl-U, Ctrl-K|delete to the start, to the end of the line"),
    ctrl('k', Act::DeleteToEnd, ""),
    key(KeyCode::Enter, NONE, Act::LineBreak, ""),
    key(KeyCode::Enter, ALT, Act::LineBreak, ""),
    key(KeyCode::Backspace, NONE, Act::Backspace, ""),
    ctrl('h', Act::Backspace, ""),
    key(KeyCode::Delete, NONE, Act::Delete, ""),
    key(KeyCode::Left, NONE, Act::Move(Motion::Left), ""),
    key(KeyCode::Right, NONE, Act::Move(Motion::Right), ""),
    key(KeyCode::Up, NONE, Act::Move(Motion::Rows(-1)), ""),
    key(KeyCode::Down, NONE, Act::Move(Motion::Rows(1)), ""),
    key(KeyCode::Left, ALT, Act::Move(Motion::WordLeft), ""),
    key(KeyCode::Left, CTRL, Act::Move(Motion::WordLeft), ""),
    key(KeyCode::Home, NONE, Act::Move(Motion::LineStart), "Home, End|ends of the line"),
    key(KeyCode::End, NONE, Act::Move(Motion::LineEnd), ""),
    key(KeyCode::Home, ALT, Act::Move(Motion::Top), "Alt-Home, Alt-End|ends of the file"),
    key(KeyCode::End, ALT, Act::Move(Motion::Bottom), ""),
    key(KeyCode::Home, CTRL, Act::Move(Motion::Top), ""),
    key(KeyCode::End, CTRL, Act::Move(Motion::Bottom), ""),
    key(KeyCode::PageUp, NONE, Act::Page(-1), "PgUp, PgDn|by a screen"),
    key(KeyCode::PageDown, NONE, Act::Page(1), ""),
    key(KeyCode::Left, SHIFT, Act::Extend(Motion::Left), ""),
    key(KeyCode::Right, SHIFT, Act::Extend(Motion::Right), ""),
    key(KeyCode::Up, SHIFT, Act::Extend(Motion::Rows(-1)), ""),
    key(KeyCode::Down, SHIFT, Act::Extend(Motion::Rows(1)), ""),
    key(KeyCode::Home, SHIFT, Act::Extend(Motion::LineStart), ""),
    key(KeyCode::End, SHIFT, Act::Extend(Motion::LineEnd), ""),
    alt('h', Act::Help, "Alt-H, F1|help"),
    key(KeyCode::F(1), NONE, Act::Help, ""),
    alt('q', Act::Leave, "Alt-Q, Ctrl-Q|leave"),
    ctrl('q', Act::Leave, ""),
    ctrl('l', Act::Redraw, ""),
];

/// What a key asks for; text asks for nothing.
pub fn act(event: &KeyEvent) -> Option<Act> {
    // phones' keyboards send capitals and Shift at will
    let (code, modifiers) = match event.code {
        KeyCode::Char(c) => (KeyCode::Char(c.to_ascii_lowercase()), event.modifiers.difference(SHIFT)),
        KeyCode::BackTab => (KeyCode::BackTab, NONE),
        other => (other, event.modifiers),
    };
    if matches!(code, KeyCode::Char(_)) && modifiers.is_empty() {
        return None;
    }
    let found = |wanted: KeyModifiers| KEYS.iter().find(|key| key.code == code && key.modifiers == wanted);
    let extended = || {
        let plain = found(modifiers.difference(SHIFT)).filter(|_| modifiers.contains(SHIFT))?;
        Some(match plain.act {
            Act::Move(motion) => Act::Extend(motion),
            Act::Word => Act::Extend(Motion::WordRight),
            other => other,
        })
    };
    found(modifiers).map(|key| key.act).or_else(extended)
}

/// What the line at the foot shows: keys and a word each, the most needed first.
pub fn help(has_ghost: bool, has_mark: bool) -> &'static [(&'static str, &'static str)] {
    match (has_ghost, has_mark) {
        (true, _) => &[("Tab", "accept"), ("Alt-→", "word"), ("Alt-↓", "line"), ("Alt-\\", "next"), ("Esc", "dismiss")],
        (false, true) => &[
            ("Alt-C", "copy"),
            ("Alt-X", "cut"),
            ("Tab", "in"),
            ("Alt-D", "out"),
            ("Alt-/", "comment"),
            ("Esc", "unmark"),
        ],
        (false, false) => &[
            ("Alt-S", "save"),
            ("Alt-E", "chat"),
            ("Alt-O", "open"),
            ("Alt-F", "find"),
            ("Alt-U", "undo"),
            ("Alt-M", "mark"),
            ("Alt-\\", "suggest"),
            ("Alt-L", "search"),
            ("Alt-H", "help"),
            ("Alt-W", "close"),
            ("Alt-Q", "leave"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_bound_twice() {
        for (n, one) in KEYS.iter().enumerate() {
            let twice = KEYS[..n].iter().any(|other| other.code == one.code && other.modifiers == one.modifiers);
            assert!(!twice, "{one:?}");
        }
    }

    #[test]
    fn everything_is_reachable_without_control() {
        for key in KEYS.iter().filter(|key| key.modifiers == CTRL) {
            let other = KEYS.iter().any(|other| other.act == key.act && other.modifiers != CTRL);
            let dispensable = matches!(key.act, Act::Redraw | Act::DeleteToStart | Act::DeleteToEnd);
            assert!(other || dispensable, "{key:?}");
        }
    }

    #[test]
    fn no_key_begins_an_escape_sequence() {
        let begins = |c: char| matches!(c, '[' | 'O' | 'P' | ']' | '^' | '_' | 'X');
        assert!(!KEYS.iter().any(|key| key.modifiers == ALT && matches!(key.code, KeyCode::Char(c) if begins(c))));
    }

    #[test]
    fn shift_extends_what_moves() {
        assert_eq!(act(&KeyEvent::new(KeyCode::Right, SHIFT | CTRL)), Some(Act::Extend(Motion::WordRight)));
        assert_eq!(act(&KeyEvent::new(KeyCode::Home, SHIFT | ALT)), Some(Act::Extend(Motion::Top)));
        assert_eq!(act(&KeyEvent::new(KeyCode::Char('S'), SHIFT | ALT)), Some(Act::Save));
        assert_eq!(act(&KeyEvent::new(KeyCode::Char('S'), SHIFT)), None);
    }
}
