//! When suggestions are asked for and called off, and what becomes of them. After a pause in typing, which follows from how
//! long the last answers took, or by a key; any key that does not go the suggestion's way ends it.

use std::time::Duration;

use super::Editor;
use super::ghost::Ghost;
use super::msg::{Asked, FileId, SuggestId, SuggestRequest};
use crate::app::msg::{Effect, Level};
use crate::app::{App, Out, Pane};
use crate::fim::pace::{Pace, Power};
use crate::text::graphemes;
use crate::text::rows::{line_of, line_span};

/// Characters before the cursor that a request carries.
pub const BEFORE: usize = 16 << 10;
/// Characters after it.
pub const AFTER: usize = 8 << 10;

/// What is known about asking.
#[derive(Clone, Debug, Default)]
pub struct Suggest {
    /// Someone answers.
    pub enabled: bool,
    /// When to ask, if nothing is typed until then (milliseconds since 1970).
    due: Option<u64>,
    /// The request under way.
    flight: Option<Flight>,
    /// When to ask, from how long answers take and what becomes of them.
    pub(crate) pace: Pace,
    /// Where the device's power comes from.
    pub(crate) power: Power,
    next: u64,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flight {
    id: SuggestId,
    /// When it was made.
    since: u64,
    asked: Asked,
    /// The place and the text that it was made for.
    file: FileId,
    at: usize,
    revision: u64,
}

impl Suggest {
    /// The pause after which to ask, in milliseconds.
    pub fn pause(&self) -> u64 {
        u64::try_from(self.pace.pause(&self.power).as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether an answer is awaited.
    pub fn waits(&self) -> bool {
        self.flight.is_some()
    }

    pub(super) fn wakes_at(&self) -> Option<u64> {
        self.due
    }
}

impl Editor {
    /// Ends what is proposed and what is asked for.
    pub(crate) fn dismiss(&mut self, out: &mut Out) {
        let shown = self.ghost.take().is_some();
        if shown {
            self.suggest.pace.shown(false);
        }
        self.suggest.due = None;
        let asked = self.suggest.flight.take().is_some();
        if asked {
            self.suggest.pace.cancelled();
        }
        // behind what was shown the next one may be in preparation
        if shown || asked {
            out.push(Effect::CancelSuggest);
        }
    }

    /// Something was typed: ask when a pause comes.
    pub(super) fn await_pause(&mut self, now: u64) {
        if self.suggest.enabled && self.ghost.is_none() {
            self.suggest.due = Some(now + self.suggest.pause());
        }
    }
}

impl App {
    pub(super) fn suggest_if_due(&mut self, out: &mut Out) {
        if self.editor.suggest.due.is_some_and(|due| due <= self.clock) {
            self.editor.suggest.due = None;
            if self.pane == Pane::Editor && self.overlay.is_none() && self.editor.bar.is_none() {
                self.ask_for_suggestion(Asked::Pause, out);
            }
        }
    }

    /// The key: asks, or shows the next alternative; where there is one only, asks for more.
    pub(super) fn suggest_key(&mut self, out: &mut Out) {
        if self.editor.ghost.as_mut().is_some_and(Ghost::cycle) {
            return;
        }
        if !self.editor.suggest.enabled {
            self.tell(Level::Info, "no model that suggests is loaded");
        } else if self.editor.suggest.flight.is_none() {
            self.ask_for_suggestion(Asked::Key, out);
        }
    }

    fn ask_for_suggestion(&mut self, asked: Asked, out: &mut Out) {
        let clock = self.clock;
        let editor = &mut self.editor;
        let Some(file) = editor.files.get(editor.current) else { return };
        let document = &file.document;
        if file.read_only.is_some() || !document.selection().is_empty() {
            return;
        }
        let (rope, at) = (document.rope(), document.cursor());
        let from = at.saturating_sub(BEFORE);
        // from the start of a line, unless the line is longer than all of it
        let line = line_of(rope, from);
        let from = match line_span(rope, line) {
            (start, _) if start == from => from,
            (_, end) if end + 1 < at => rope.line_to_char(line + 1).min(at),
            _ => from,
        };
        editor.suggest.next += 1;
        let id = SuggestId(editor.suggest.next);
        out.push(Effect::Suggest(Box::new(SuggestRequest {
            id,
            asked,
            path: file.real.clone(),
            name: file.name.clone(),
            before: graphemes::text(rope, from, at),
            after: graphemes::text(rope, at, (at + AFTER).min(rope.len_chars())),
            rope: rope.clone(),
            at,
            ahead: editor.suggest.pace.prefetch(&editor.suggest.power),
        })));
        editor.suggest.due = None;
        let (file, revision) = (file.id, document.revision());
        editor.suggest.flight = Some(Flight { id, since: clock, asked, file, at, revision });
        if let Some(ghost) = &mut editor.ghost {
            ghost.id = id;
        }
    }

    /// Alternatives came, the best first; with `done` they are the last ones for this request. Before that, what was asked
    /// for after a pause is the beginning of one that is still being written.
    pub(crate) fn on_suggested(&mut self, id: SuggestId, alternatives: Vec<String>, done: bool) {
        let editor = &mut self.editor;
        let Some(flight) = editor.suggest.flight.filter(|flight| flight.id == id) else { return };
        if done {
            editor.suggest.flight = None;
        }
        let same = editor.file().is_some_and(|file| {
            let document = &file.document;
            (file.id, document.cursor(), document.revision()) == (flight.file, flight.at, flight.revision)
        });
        if !same {
            return;
        }
        let by_key = flight.asked == Asked::Key;
        match &mut editor.ghost {
            Some(ghost) if ghost.id == id && !by_key => {
                editor.ghost = Ghost::new(id, flight.at, flight.revision, alternatives);
                self.follow_cursor();
            }
            Some(ghost) if ghost.id == id => {
                ghost.add(alternatives);
                if done && by_key && !ghost.cycle() {
                    self.tell(Level::Info, "there is one suggestion");
                }
            }
            Some(_) => {}
            None => {
                let took = self.clock.saturating_sub(flight.since);
                editor.suggest.pace.answered(Duration::from_millis(took));
                editor.ghost = Ghost::new(id, flight.at, flight.revision, alternatives);
                if editor.ghost.is_none() && done && by_key {
                    self.tell(Level::Info, "there is nothing to suggest here");
                }
                self.follow_cursor();
            }
        }
    }

    /// Takes all of the suggestion that is seen: lines below the window's last row stay a suggestion.
    pub(super) fn accept_seen(&mut self) {
        let lines = self.ghost_lines_seen();
        self.accept(|ghost| ghost.accept_lines(lines));
    }

    /// Takes a part of what is proposed: `part` chooses which.
    pub(super) fn accept(&mut self, part: impl Fn(&Ghost) -> String) {
        let editor = &mut self.editor;
        let (Some(ghost), Some(file)) = (editor.ghost.take(), editor.files.get_mut(editor.current)) else { return };
        if (ghost.at, ghost.revision) != (file.document.cursor(), file.document.revision()) {
            return;
        }
        let taken = part(&ghost);
        editor.suggest.pace.shown(true);
        file.document.insert(&taken);
        editor.ghost = ghost.type_through(&taken, file.document.cursor(), file.document.revision());
        editor.await_pause(self.clock);
    }
}
