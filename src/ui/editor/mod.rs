//! The editor's pane: the open files, the text, the bar, the status, the keys. Only what is seen is looked at, whatever the
//! size of the file.

mod foot;
mod text;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::View;
use super::areas::row;
use super::input::cut;
use super::sanitise;
use super::theme::Theme;
use crate::app::editor::OpenFile;
use crate::app::{App, Pane};

/// Draws the pane; gives the cursor's place.
pub(crate) fn draw(app: &App, view: &View, area: Rect, theme: &Theme, screen: &mut Buffer) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let heights = app.editor_heights();
    let mut y = area.y;
    let mut next = |rows: u16| {
        let found = Rect { x: area.x, y, width: area.width, height: rows }.intersection(area);
        y = y.saturating_add(rows);
        found
    };
    let (tab_row, body, notices) = (next(heights.tabs), next(heights.text), next(heights.notices));
    let (bar, status, help) = (next(heights.bar), next(heights.status), next(heights.help));
    tabs(app, tab_row, theme, screen);
    let cursor = app.editor.file().and_then(|file| text::draw(app, view, file, body, theme, screen));
    super::notices(app, notices, theme, screen);
    let field = foot::bar(app, bar, theme, screen);
    if let Some(file) = app.editor.file() {
        foot::status(app, file, status, theme, screen);
    }
    foot::help(app, help, theme, screen);
    if app.pane != Pane::Editor {
        return None;
    }
    match &app.editor.bar {
        Some(_) => field,
        None => cursor,
    }
}

/// A file's name without its folders, marked if it is not saved.
fn tab(file: &OpenFile) -> String {
    let name = file.name.rsplit('/').next().unwrap_or(&file.name);
    let mark = match (file.is_unsaved(), &file.read_only) {
        (true, _) => "● ",
        (false, Some(_)) => "⊘ ",
        (false, None) => "",
    };
    format!(" {mark}{} ", cut(&sanitise::line(name), 24))
}

/// The open files; the one that is shown is always among those that are seen.
fn tabs(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let names: Vec<String> = app.editor.files.iter().map(tab).collect();
    let room = usize::from(area.width);
    let mut first = app.editor.current.min(names.len().saturating_sub(1));
    let mut used = names.get(first).map_or(0, |name| sanitise::width(name));
    while first > 0 && used + sanitise::width(&names[first - 1]) + 2 <= room {
        first -= 1;
        used += sanitise::width(&names[first]);
    }
    let mut spans = Vec::new();
    if first > 0 {
        spans.push(Span::styled("‹", theme.dim));
    }
    for (n, name) in names.iter().enumerate().skip(first) {
        let style = if n == app.editor.current { theme.selection } else { theme.dim };
        spans.push(Span::styled(name.clone(), style));
    }
    let width: usize = spans.iter().map(|span| sanitise::width(&span.content)).sum();
    let line = row(area, 0);
    Line::from(spans).render(line, screen);
    if width > room {
        let last = Rect { x: line.right() - 1, width: 1, ..line };
        Line::styled("›", theme.dim).render(last, screen);
    }
}
