//! Where a walk's output goes: prose into rows, the marks of quotes and items in front of them, empty lines between.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Walker;
use crate::ui::sanitise;
use crate::ui::wrap::{self, Run};

/// Columns that stay for text, where there are that many, however deep it is nested.
const LEAST_ROOM: usize = 12;

/// A container around what is drawn: a quote, a list's item.
pub(super) struct Level {
    /// Drawn once, on the first line.
    pub(super) first: Option<Run>,
    /// Drawn on the other lines, as wide as `first`.
    pub(super) rest: Run,
    pub(super) width: usize,
}

impl Walker<'_> {
    /// Columns left for content.
    pub(super) fn room(&self) -> usize {
        let taken: usize = self.levels.iter().map(|level| level.width).sum();
        self.width.saturating_sub(taken)
    }

    /// A level that would leave too little room is not drawn.
    pub(super) fn push_level(&mut self, first: Option<Run>, rest: Run) {
        let width = sanitise::width(&rest.text);
        let least = LEAST_ROOM.min(self.width / 2).max(1);
        if self.room() >= width + least {
            self.levels.push(Level { first, rest, width });
        } else {
            self.levels.push(Level { first: None, rest: Run::new("", Style::new()), width: 0 });
        }
    }

    /// Text that stands before a block goes first, then the empty line that is due.
    pub(super) fn begin_block(&mut self) {
        self.end_prose();
        if std::mem::take(&mut self.gap) && !self.out.lines.is_empty() {
            let open = self.levels.iter().take_while(|level| level.first.is_none());
            let mut spans: Vec<Span<'static>> = open.map(|level| span(&level.rest)).collect();
            while spans.last().is_some_and(|span| span.content.trim().is_empty()) {
                spans.pop();
            }
            if let Some(last) = spans.last_mut() {
                last.content = last.content.trim_end().to_owned().into();
            }
            if self.width > 0 {
                self.out.lines.push(Line::from(spans));
            }
        }
    }

    pub(super) fn end_prose(&mut self) {
        if self.prose.is_empty() {
            return;
        }
        let mut runs = std::mem::take(&mut self.prose);
        if let Some(last) = runs.last_mut() {
            last.text.truncate(last.text.trim_end_matches('\n').len());
        }
        for row in wrap::prose(&runs, self.room()) {
            self.push_line(row.spans);
        }
    }

    pub(super) fn push_line(&mut self, spans: Vec<Span<'static>>) {
        if self.width == 0 {
            return;
        }
        let mut all: Vec<Span<'static>> = Vec::with_capacity(self.levels.len() + spans.len());
        for level in self.levels.iter_mut().filter(|level| level.width > 0) {
            all.push(level.first.take().as_ref().map_or_else(|| span(&level.rest), span));
        }
        all.extend(spans.into_iter().filter(|span| !span.content.is_empty()));
        self.out.lines.push(Line::from(all));
    }
}

fn span(run: &Run) -> Span<'static> {
    Span::styled(run.text.clone(), run.style)
}
