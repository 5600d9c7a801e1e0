//! The keys. A context has one table or several, the first its own; no key stands twice in them.

use crossterm::event::{KeyCode, KeyModifiers};

use super::Command::{self, *};
use super::{Binding, Context, Key, Told};
use crate::app::msg::Move;
use crate::text::document::Edit;
use crate::text::document::moves::Motion;

/// The tables of a context.
pub(super) fn of(context: Context) -> &'static [&'static [Binding]] {
    match context {
        Context::Chat => &[CHAT, FIELD, TEXT, ALWAYS],
        Context::Editor => &[EDITOR, TEXT],
        Context::Popup => &[CHOOSE, WALK, ALWAYS],
        Context::Notes => &[CHOOSE, ALWAYS],
        Context::List => &[CHOOSE, WALK, FIELD, TEXT, ALWAYS],
        Context::Sessions => &[SESSIONS, CHOOSE, WALK, FIELD, TEXT, ALWAYS],
        Context::Search => &[SEARCH, WALK, FIELD, TEXT, ALWAYS],
        Context::Name => &[CHOOSE, FIELD, TEXT, ALWAYS],
        Context::Page => &[PAGE, READ, ALWAYS],
        Context::Review => &[REVIEW, READ, ALWAYS],
        Context::Confirm => &[CONFIRM, READ, ALWAYS],
        Context::Running => &[RUNNING, READ, ALWAYS],
        Context::Resume | Context::Download => &[ASK, ALWAYS],
        Context::Find => &[FIND, FIELD, TEXT],
        Context::Line => &[LINE, FIELD, TEXT],
        Context::Question => &[QUESTION],
    }
}

/// Those of them that the help tells where it speaks of this context; what holds in the chat as well is told there.
pub(super) fn told(context: Context) -> &'static [&'static [Binding]] {
    match context {
        Context::Chat | Context::Editor => of(context),
        Context::Page => &[PAGE, READ],
        Context::Sessions => &[SESSIONS],
        Context::Search => &[SEARCH],
        Context::Review => &[REVIEW],
        Context::Confirm => &[CONFIRM],
        Context::Running => &[RUNNING],
        Context::Find => &[FIND],
        Context::Popup | Context::Notes | Context::List | Context::Name | Context::Resume => &[],
        Context::Download | Context::Line | Context::Question => &[],
    }
}

const ALT: KeyModifiers = KeyModifiers::ALT;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

const UP: Command = Scroll(Move::Rows(-1));
const DOWN: Command = Scroll(Move::Rows(1));
const PAGE_UP: Command = Scroll(Move::Pages(-1));
const PAGE_DOWN: Command = Scroll(Move::Pages(1));
const TOP: Command = Scroll(Move::Top);
const BOTTOM: Command = Scroll(Move::Bottom);

const fn key(code: KeyCode) -> Key {
    Key::with(KeyModifiers::NONE, code)
}

const fn alt(letter: char) -> Key {
    Key::alt(letter)
}

const fn ctrl(letter: char) -> Key {
    Key::ctrl(letter)
}

const fn with(modifiers: KeyModifiers, code: KeyCode) -> Key {
    Key::with(modifiers, code)
}

const fn go(motion: Motion) -> Command {
    Command::Edit(Edit::Go(motion))
}

const fn edit(edit: Edit) -> Command {
    Command::Edit(edit)
}

/// A key that has a line of the help.
const fn line(key: Key, command: Command, about: &'static str) -> Binding {
    Binding { key, command, told: Told::As(about) }
}

/// A key that is named in the line before.
const fn also(key: Key, command: Command) -> Binding {
    Binding { key, command, told: Told::Too }
}

/// A key that the help leaves out: everybody tries it, or it does what another does.
const fn bind(key: Key, command: Command) -> Binding {
    Binding { key, command, told: Told::Not }
}

const CHAT: &[Binding] = &[
    line(key(KeyCode::Enter), Accept, "send"),
    line(with(ALT, KeyCode::Enter), NewLine, "a new line; so does a backslash at the end, and then Enter"),
    also(ctrl('j'), NewLine),
    bind(with(SHIFT, KeyCode::Enter), NewLine),
    line(key(KeyCode::Esc), Back, "close what is open, or stop the answer"),
    line(ctrl('d'), DeleteOrQuit, "leave, with an empty input"),
    line(key(KeyCode::Tab), Complete, "complete; with an empty input: all commands"),
    line(key(KeyCode::Up), go(Motion::Rows(-1)), "move; at the edges: earlier inputs"),
    also(key(KeyCode::Down), go(Motion::Rows(1))),
    bind(key(KeyCode::BackTab), go(Motion::Rows(-1))),
    line(key(KeyCode::PageUp), PAGE_UP, "scroll by a screen"),
    also(key(KeyCode::PageDown), PAGE_DOWN),
    line(with(ALT, KeyCode::Up), UP, "scroll by a row"),
    also(with(ALT, KeyCode::Down), DOWN),
    bind(with(CTRL, KeyCode::Up), UP),
    bind(with(CTRL, KeyCode::Down), DOWN),
    line(with(ALT, KeyCode::Home), TOP, "ends of the chat; with an empty input without Alt"),
    also(with(ALT, KeyCode::End), BOTTOM),
    bind(with(CTRL, KeyCode::Home), TOP),
    bind(with(CTRL, KeyCode::End), BOTTOM),
    line(alt('t'), Thinking, "unfold or fold thinking and long messages"),
    bind(ctrl('t'), Thinking),
    line(alt('r'), Regenerate, "answer again"),
    bind(ctrl('r'), Regenerate),
    line(alt('n'), New, "a new conversation"),
    bind(ctrl('n'), New),
    line(alt('s'), Sessions, "all conversations"),
    bind(ctrl('o'), Sessions),
    line(alt('c'), CopyAnswer, "copy the last answer"),
    bind(ctrl('y'), CopyAnswer),
    line(alt('a'), Apply, "put the code of the last answer into files"),
    line(alt(','), BranchBefore, "the branch before, the branch after"),
    also(alt('.'), BranchAfter),
    line(alt('e'), OtherPane, "to the editor and back"),
    also(key(KeyCode::F(2)), OtherPane),
    line(alt('o'), Open, "edit the file an answer named last, or choose one"),
    line(alt('l'), SearchFiles, "search all files of the folder"),
    line(alt('h'), Help, "help"),
    also(key(KeyCode::F(1)), Help),
];

/// What stops and goes on anywhere but in a file.
const ALWAYS: &[Binding] = &[
    line(ctrl('c'), Interrupt, "stop the answer; twice when nothing runs: leave"),
    line(ctrl('l'), Redraw, "redraw the screen"),
    line(ctrl('z'), Suspend, "stop, and go on with `fg`"),
];

/// In any text, files too.
const TEXT: &[Binding] = &[
    bind(key(KeyCode::Left), go(Motion::Left)),
    bind(key(KeyCode::Right), go(Motion::Right)),
    line(key(KeyCode::Home), go(Motion::LineStart), "ends of the line"),
    also(key(KeyCode::End), go(Motion::LineEnd)),
    bind(key(KeyCode::Backspace), edit(Edit::Backspace)),
    bind(ctrl('h'), edit(Edit::Backspace)),
    bind(key(KeyCode::Delete), edit(Edit::Delete)),
    line(with(ALT, KeyCode::Backspace), edit(Edit::DeleteWordLeft), "delete a word"),
    also(with(ALT, KeyCode::Delete), edit(Edit::DeleteWordRight)),
    bind(with(CTRL, KeyCode::Backspace), edit(Edit::DeleteWordLeft)),
    bind(with(CTRL, KeyCode::Delete), edit(Edit::DeleteWordRight)),
    line(ctrl('u'), edit(Edit::DeleteToStart), "delete to the start, to the end of the line"),
    also(ctrl('k'), edit(Edit::DeleteToEnd)),
];

/// In a field: where a shell's habits count, not an editor's.
const FIELD: &[Binding] = &[
    line(with(ALT, KeyCode::Left), go(Motion::WordLeft), "by words"),
    also(with(ALT, KeyCode::Right), go(Motion::WordRight)),
    bind(with(CTRL, KeyCode::Left), go(Motion::WordLeft)),
    bind(with(CTRL, KeyCode::Right), go(Motion::WordRight)),
    bind(alt('b'), go(Motion::WordLeft)),
    bind(alt('f'), go(Motion::WordRight)),
    bind(ctrl('a'), go(Motion::LineStart)),
    bind(ctrl('e'), go(Motion::LineEnd)),
    bind(ctrl('b'), go(Motion::Left)),
    bind(ctrl('f'), go(Motion::Right)),
    bind(ctrl('w'), edit(Edit::DeleteWordLeft)),
    bind(alt('d'), edit(Edit::DeleteWordRight)),
    line(alt('u'), edit(Edit::Undo), "undo, redo what was typed"),
    also(alt('y'), edit(Edit::Redo)),
];

const CHOOSE: &[Binding] =
    &[bind(key(KeyCode::Enter), Accept), bind(key(KeyCode::Tab), Complete), bind(key(KeyCode::Esc), Back)];

/// From row to row of a list.
const WALK: &[Binding] = &[
    bind(key(KeyCode::Up), UP),
    bind(key(KeyCode::Down), DOWN),
    bind(key(KeyCode::BackTab), UP),
    bind(with(ALT, KeyCode::Up), UP),
    bind(with(ALT, KeyCode::Down), DOWN),
    bind(with(CTRL, KeyCode::Up), UP),
    bind(with(CTRL, KeyCode::Down), DOWN),
    bind(key(KeyCode::PageUp), PAGE_UP),
    bind(key(KeyCode::PageDown), PAGE_DOWN),
    bind(with(ALT, KeyCode::Home), TOP),
    bind(with(ALT, KeyCode::End), BOTTOM),
    bind(with(CTRL, KeyCode::Home), TOP),
    bind(with(CTRL, KeyCode::End), BOTTOM),
];

/// Through what is only read.
const READ: &[Binding] = &[
    line(key(KeyCode::Up), UP, "scroll by a row"),
    also(key(KeyCode::Down), DOWN),
    also(Key::letter('k'), UP),
    also(Key::letter('j'), DOWN),
    bind(key(KeyCode::BackTab), UP),
    bind(with(ALT, KeyCode::Up), UP),
    bind(with(ALT, KeyCode::Down), DOWN),
    bind(with(CTRL, KeyCode::Up), UP),
    bind(with(CTRL, KeyCode::Down), DOWN),
    line(key(KeyCode::PageUp), PAGE_UP, "by a screen"),
    also(key(KeyCode::PageDown), PAGE_DOWN),
    also(Key::letter(' '), PAGE_DOWN),
    line(key(KeyCode::Home), TOP, "ends of the text"),
    also(key(KeyCode::End), BOTTOM),
    bind(with(ALT, KeyCode::Home), TOP),
    bind(with(ALT, KeyCode::End), BOTTOM),
    bind(with(CTRL, KeyCode::Home), TOP),
    bind(with(CTRL, KeyCode::End), BOTTOM),
    bind(ctrl('a'), TOP),
    bind(ctrl('e'), BOTTOM),
];

const SESSIONS: &[Binding] =
    &[line(ctrl('d'), Remove, "remove the conversation for good, once it is pressed again"), also(alt('r'), Remove)];

const SEARCH: &[Binding] = &[
    line(key(KeyCode::Enter), Accept, "open the file at the line"),
    line(key(KeyCode::Tab), Attach, "attach the file to your question, or take it out again"),
    line(alt('x'), Regex, "a regular expression, or not"),
    bind(key(KeyCode::Esc), Back),
];

const PAGE: &[Binding] =
    &[line(key(KeyCode::Esc), Back, "close it"), also(Key::letter('q'), Close), bind(key(KeyCode::Enter), Accept)];

const REVIEW: &[Binding] = &[
    line(Key::letter('y'), Yes, "accept the part"),
    line(Key::letter('n'), No, "reject it"),
    line(Key::letter('a'), All, "accept all that is not decided"),
    line(key(KeyCode::Left), PreviousPart, "the part before, the next part"),
    also(key(KeyCode::Right), NextPart),
    bind(key(KeyCode::Tab), NextPart),
    bind(with(ALT, KeyCode::Left), PreviousPart),
    bind(with(ALT, KeyCode::Right), NextPart),
    bind(with(CTRL, KeyCode::Left), PreviousPart),
    bind(with(CTRL, KeyCode::Right), NextPart),
    line(key(KeyCode::Enter), Accept, "write what was accepted, once everything is decided"),
    line(Key::letter('q'), Close, "cancel: nothing is written"),
    also(key(KeyCode::Esc), Back),
];

/// Only `y` agrees: Enter was pressed a moment ago.
const CONFIRM: &[Binding] = &[
    line(Key::letter('y'), Yes, "run it, once it was read to its end"),
    line(Key::letter('n'), No, "do not"),
    also(key(KeyCode::Esc), Back),
    bind(Key::letter('q'), No),
];

const RUNNING: &[Binding] = &[
    line(key(KeyCode::Esc), Back, "end the command, a second time by force; close what it wrote"),
    bind(key(KeyCode::Enter), Accept),
    bind(Key::letter('q'), Close),
];

const ASK: &[Binding] = &[
    bind(Key::letter('y'), Yes),
    bind(Key::letter('n'), No),
    bind(key(KeyCode::Enter), Accept),
    bind(key(KeyCode::Esc), Back),
];

const FIND: &[Binding] = &[
    line(key(KeyCode::Enter), Accept, "the next match; in the replacement: replace and find the next"),
    line(key(KeyCode::Up), FindPrevious, "the match before, the next"),
    also(key(KeyCode::Down), FindNext),
    bind(key(KeyCode::BackTab), FindPrevious),
    bind(alt('p'), FindPrevious),
    bind(alt('n'), FindNext),
    line(key(KeyCode::Tab), OtherField, "to the replacement and back"),
    bind(alt('r'), OtherField),
    line(alt('a'), All, "replace all"),
    line(alt('x'), Regex, "a regular expression, or not"),
    line(alt('l'), SearchFiles, "search all files for it"),
    bind(key(KeyCode::Esc), Back),
    bind(ctrl('c'), Back),
];

const LINE: &[Binding] = &[bind(key(KeyCode::Enter), Accept), bind(key(KeyCode::Esc), Back), bind(ctrl('c'), Back)];

const QUESTION: &[Binding] = &[bind(key(KeyCode::Esc), Back), bind(ctrl('c'), Back)];

/// Where the chat differs (Alt-S, Ctrl-C, …), an editor's habits win.
const EDITOR: &[Binding] = &[
    line(alt('e'), OtherPane, "to the chat and back"),
    also(key(KeyCode::F(2)), OtherPane),
    line(alt('s'), Save, "save"),
    also(ctrl('s'), Save),
    line(alt('o'), Open, "open a file"),
    also(ctrl('o'), Open),
    line(alt('w'), CloseFile, "close the file"),
    also(ctrl('w'), CloseFile),
    line(alt(','), PreviousFile, "the file before, the next file"),
    also(alt('.'), NextFile),
    bind(with(CTRL, KeyCode::PageUp), PreviousFile),
    bind(with(CTRL, KeyCode::PageDown), NextFile),
    line(key(KeyCode::Tab), Tab, "take the suggestion; else indent"),
    line(alt('\\'), Suggest, "suggest; again: the next alternative"),
    also(ctrl(' '), Suggest),
    bind(key(KeyCode::Null), Suggest),
    line(with(ALT, KeyCode::Right), Word, "take the suggestion's next word; else move by a word"),
    also(with(CTRL, KeyCode::Right), Word),
    line(with(ALT, KeyCode::Down), Line, "take the suggestion's next line; else scroll by a row"),
    also(with(CTRL, KeyCode::Down), Line),
    bind(with(ALT, KeyCode::Up), UP),
    bind(with(CTRL, KeyCode::Up), UP),
    line(key(KeyCode::Esc), Back, "dismiss the suggestion, the mark, the bar"),
    line(alt('u'), edit(Edit::Undo), "undo"),
    also(ctrl('z'), edit(Edit::Undo)),
    line(alt('y'), edit(Edit::Redo), "redo"),
    also(ctrl('y'), edit(Edit::Redo)),
    line(alt('m'), Mark, "begin to select: every movement extends it (also Shift and an arrow)"),
    line(alt('a'), SelectAll, "select all"),
    also(ctrl('a'), SelectAll),
    line(alt('c'), Copy, "copy what is selected, or the line"),
    also(ctrl('c'), Copy),
    line(alt('x'), Cut, "cut it"),
    also(ctrl('x'), Cut),
    line(alt('v'), Paste, "paste what was cut or copied here"),
    also(ctrl('v'), Paste),
    line(alt('f'), Find, "find"),
    also(ctrl('f'), Find),
    line(alt('n'), FindNext, "find the next"),
    also(key(KeyCode::F(3)), FindNext),
    line(alt('p'), FindPrevious, "find the one before"),
    bind(with(SHIFT, KeyCode::F(3)), FindPrevious),
    line(alt('r'), Replace, "replace"),
    also(ctrl('r'), Replace),
    line(alt('g'), GoToLine, "go to a line"),
    also(ctrl('g'), GoToLine),
    line(alt('l'), SearchFiles, "search all files of the folder"),
    line(alt('b'), go(Motion::Bracket), "to the other bracket"),
    also(ctrl('b'), go(Motion::Bracket)),
    line(alt('/'), Comment, "comment the lines, or take the comment away"),
    also(ctrl('/'), Comment),
    // what terminals send for Ctrl-/
    bind(ctrl('7'), Comment),
    bind(ctrl('_'), Comment),
    line(alt('i'), Indent, "move the lines in, out (also Tab and Shift-Tab)"),
    also(alt('d'), Outdent),
    bind(key(KeyCode::BackTab), Outdent),
    line(alt('k'), DeleteLines, "delete the line"),
    bind(key(KeyCode::Enter), NewLine),
    bind(with(ALT, KeyCode::Enter), NewLine),
    bind(key(KeyCode::Up), go(Motion::Rows(-1))),
    bind(key(KeyCode::Down), go(Motion::Rows(1))),
    bind(with(ALT, KeyCode::Left), go(Motion::WordLeft)),
    bind(with(CTRL, KeyCode::Left), go(Motion::WordLeft)),
    line(with(ALT, KeyCode::Home), go(Motion::Top), "ends of the file"),
    also(with(ALT, KeyCode::End), go(Motion::Bottom)),
    bind(with(CTRL, KeyCode::Home), go(Motion::Top)),
    bind(with(CTRL, KeyCode::End), go(Motion::Bottom)),
    line(key(KeyCode::PageUp), PAGE_UP, "by a screen"),
    also(key(KeyCode::PageDown), PAGE_DOWN),
    line(alt('h'), Help, "help"),
    also(key(KeyCode::F(1)), Help),
    line(alt('q'), Quit, "leave"),
    also(ctrl('q'), Quit),
    bind(ctrl('l'), Redraw),
];
