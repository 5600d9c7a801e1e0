//! The text of a file: numbers, colours, what is selected, found and proposed.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;

use crate::app::App;
use crate::app::editor::bar::Bar;
use crate::app::editor::{OpenFile, view};
use crate::text::brackets;
use crate::text::graphemes::{cells, shown, text};
use crate::text::rows::{Row, Walk};
use crate::ui::View;
use crate::ui::highlight::Pieces;
use crate::ui::sanitise;
use crate::ui::theme::Theme;

/// Matches that are marked in one row at most.
const MARKED: usize = 64;

/// Where drawing stands.
struct Pen<'a> {
    screen: &'a mut Buffer,
    area: Rect,
    gutter: u16,
    x: u16,
    y: u16,
}

impl Pen<'_> {
    fn is_inside(&self) -> bool {
        self.y < self.area.bottom()
    }

    fn left(&self) -> u16 {
        self.area.x + self.gutter
    }

    fn next_row(&mut self) {
        self.y += 1;
        self.x = self.left();
    }

    /// Draws a grapheme; one that does not fit goes to the next row.
    fn put(&mut self, grapheme: &str, style: Style) {
        let drawn = sanitise::line(&shown(grapheme)).into_owned();
        let width = u16::try_from(cells(grapheme)).unwrap_or(1);
        if self.x + width > self.area.right() {
            self.next_row();
        }
        if self.is_inside() && self.x < self.area.right() {
            let room = usize::from(self.area.right() - self.x);
            self.screen.set_stringn(self.x, self.y, drawn, room, style);
            self.x += width;
        }
    }

    fn number(&mut self, line: usize, style: Style) {
        if self.gutter > 1 && self.is_inside() {
            let width = usize::from(self.gutter - 1);
            self.screen.set_stringn(self.area.x, self.y, format!("{:>width$}", line + 1), width, style);
        }
    }
}

/// What is laid over the colours of a row, in characters of the document.
struct Marks {
    selected: Range<usize>,
    brackets: Option<(usize, usize)>,
    found: Vec<Range<usize>>,
}

impl Marks {
    fn style(&self, at: usize, base: Style, theme: &Theme) -> Style {
        if self.selected.contains(&at) {
            return base.patch(theme.selection);
        }
        let is_bracket = self.brackets.is_some_and(|(one, other)| one == at || other == at);
        if is_bracket || self.found.iter().any(|range| range.contains(&at)) {
            return base.patch(theme.matched).patch(theme.strong);
        }
        base
    }
}

/// Draws the rows that are seen; gives the cursor's place.
pub(super) fn draw(
    app: &App,
    view: &View,
    file: &OpenFile,
    area: Rect,
    theme: &Theme,
    screen: &mut Buffer,
) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let document = &file.document;
    let rope = document.rope();
    screen.set_style(area, theme.block);
    let (width, height) = app.text_size(file);
    let mut walk = Walk::new(rope, width, file.top);
    let first_line = walk.row().line;
    let inks = {
        let mut sheets = view.sheets.borrow_mut();
        sheets.keep_only(|id| app.editor.files.iter().any(|file| file.id == id));
        sheets.lines(&view.highlighter, file.id, document, first_line, height)
    };
    let mut marks = Marks {
        selected: document.selection().range(),
        brackets: document.selection().is_empty().then(|| brackets::pair(rope, document.cursor())).flatten(),
        found: Vec::new(),
    };
    let needle = match &app.editor.bar {
        Some(Bar::Find(find)) => find.needle(),
        _ => None,
    };
    let (cursor_line, _) = document.place();
    let gutter = view::gutter(rope.len_lines(), area.width);
    let mut pen = Pen { screen, area, gutter, x: area.x + gutter, y: area.y };
    let mut cursor = None;
    while pen.is_inside() {
        let row = walk.row();
        if row.first {
            pen.number(row.line, if row.line == cursor_line { theme.accent } else { theme.dim });
        }
        if let Some(needle) = &needle {
            let body = text(rope, row.start, row.end);
            let chars = |byte: usize| row.start + body[..byte].chars().count();
            marks.found =
                needle.matches(&body).take(MARKED).map(|found| chars(found.start)..chars(found.end)).collect();
        }
        let pieces = inks.get(row.line - first_line);
        let at = draw_row(app, file, row, pieces, &marks, theme, &mut pen);
        cursor = cursor.or(at);
        pen.next_row();
        if !walk.down() {
            break;
        }
    }
    cursor.map(|at: Position| Position { x: at.x.min(area.right() - 1), y: at.y.min(area.bottom() - 1) })
}

fn draw_row(
    app: &App,
    file: &OpenFile,
    row: Row,
    pieces: Option<&Pieces>,
    marks: &Marks,
    theme: &Theme,
    pen: &mut Pen<'_>,
) -> Option<Position> {
    let rope = file.document.rope();
    let head = file.document.cursor();
    let ghost = app.editor.ghost.as_ref().filter(|ghost| ghost.at == head);
    let mut cursor = None;
    let mut at = row.start;
    let mut byte = rope.char_to_byte(row.start) - rope.line_to_byte(row.line);
    let mut inks = pieces.map_or(&[][..], |pieces| pieces).iter().peekable();
    let here = |at: usize, pen: &mut Pen<'_>| {
        (at == head && pen.is_inside()).then(|| {
            let place = Position { x: pen.x, y: pen.y };
            if let Some(ghost) = ghost {
                proposed(ghost.text(), theme, pen);
            }
            place
        })
    };
    for grapheme in text(rope, row.start, row.end).graphemes(true) {
        cursor = cursor.or(here(at, pen));
        while inks.next_if(|(_, range)| range.end <= byte).is_some() {}
        let ink =
            inks.peek().filter(|(_, range)| range.contains(&byte)).map_or(theme.block, |(ink, _)| ink.style(theme));
        pen.put(grapheme, marks.style(at, ink, theme));
        at += grapheme.chars().count();
        byte += grapheme.len();
    }
    // behind the last character of a line, not of a row that goes on
    if row.last {
        cursor = cursor.or(here(at, pen));
        if marks.selected.contains(&at) && pen.is_inside() && pen.x < pen.area.right() {
            pen.screen.set_stringn(pen.x, pen.y, " ", 1, theme.block.patch(theme.selection));
        }
    }
    cursor
}

/// Text that is proposed: in the row of the cursor and in rows of its own.
fn proposed(ghost: &str, theme: &Theme, pen: &mut Pen<'_>) {
    let style = theme.block.patch(theme.ghost);
    let mut lines = ghost.split('\n').peekable();
    let mut begun = false;
    while let Some(line) = lines.next() {
        if std::mem::replace(&mut begun, true) {
            pen.next_row();
        }
        // blanks at a line's end are not seen: they make no rows of their own
        let line = if lines.peek().is_some() { line.trim_end() } else { line.trim_end_matches('\r') };
        line.graphemes(true).for_each(|grapheme| pen.put(grapheme, style));
    }
}
