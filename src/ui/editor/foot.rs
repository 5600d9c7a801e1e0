//! The rows at the foot of the editor: the bar, the status, the keys.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use crate::app::App;
use crate::app::editor::OpenFile;
use crate::app::editor::bar::{Bar, Find};
use crate::app::keymap::Hints;
use crate::text::wrap;
use crate::ui::areas::row;
use crate::ui::input::{cut, cut_front, field};
use crate::ui::sanitise;
use crate::ui::theme::Theme;

/// Draws the bar; gives the cursor's place in its field.
pub(super) fn bar(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) -> Option<Position> {
    let bar = app.editor.bar.as_ref().filter(|_| !area.is_empty())?;
    match bar {
        Bar::Line(line) => field("line ", line, row(area, 0), theme, screen),
        Bar::Find(find) => find_bar(find, area, theme, screen),
        Bar::Question(question) => {
            let text = sanitise::line(&question.line()).into_owned();
            for (n, found) in (0u16..).zip(wrap::rows(&text, usize::from(area.width))) {
                let part = text[found.start..found.end].trim_end().to_owned();
                Line::styled(part, theme.warning).render(row(area, n), screen);
            }
            None
        }
    }
}

fn find_bar(find: &Find, area: Rect, theme: &Theme, screen: &mut Buffer) -> Option<Position> {
    let state = match (&find.wrong, find.found) {
        (Some(why), _) => why.clone(),
        (None, _) if find.query.is_empty() => String::new(),
        (None, None) => "not found".into(),
        (None, Some(true)) => "wrapped".into(),
        (None, Some(false)) => String::new(),
    };
    let label = if find.regex { "find (expression) " } else { "find " };
    let state = cut(&sanitise::line(&state), usize::from(area.width) / 2);
    let width = u16::try_from(sanitise::width(&state)).unwrap_or(0);
    let first = Rect { width: area.width - width.min(area.width), ..row(area, 0) };
    let query = field(label, &find.query, first, theme, screen);
    Line::styled(state, theme.warning)
        .render(Rect { x: first.right(), width, ..row(area, 0) }.intersection(area), screen);
    let with = find.with.as_ref().and_then(|with| field("with ", with, row(area, 1), theme, screen));
    if find.in_with { with } else { query }
}

/// Draws the status: the file, the place in it, what is unusual about it.
pub(super) fn status(app: &App, file: &OpenFile, area: Rect, theme: &Theme, screen: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    screen.set_style(area, theme.status);
    let document = &file.document;
    let (line, column) = document.place();
    let mut parts: Vec<String> = Vec::new();
    if let Some(ghost) = &app.editor.ghost {
        let (n, of) = ghost.place();
        if of > 1 {
            parts.push(format!("{n} of {of}"));
        }
    } else if app.editor.suggest.waits() {
        parts.push("…".into());
    }
    let selected = document.selection().range();
    if !selected.is_empty() {
        let letters = if selected.len() == 1 { "character" } else { "characters" };
        // what finding selects is the match
        if !matches!(app.editor.bar, Some(Bar::Find(_))) {
            parts.push(format!("{} {letters} selected", selected.len()));
        }
    } else if file.marking {
        parts.push("marking".into());
    }
    if file.read_only.is_some() {
        parts.push("read only".into());
    }
    if document.line_end() == "\r\n" {
        parts.push("CRLF".into());
    }
    if document.has_bom() {
        parts.push("BOM".into());
    }
    parts.push(format!("{}:{}", line + 1, column + 1));
    let right = format!(" {} ", parts.join(" · "));
    let width = usize::from(area.width);
    let room = width.saturating_sub(sanitise::width(&right) + 1);
    let mark = if file.is_unsaved() { "● " } else { "" };
    let name = cut_front(&format!("{mark}{}", sanitise::line(&file.name)), room);
    let gap = width.saturating_sub(1 + sanitise::width(&name) + sanitise::width(&right));
    Line::from(vec![
        Span::styled(" ", theme.status),
        Span::styled(name, theme.status.patch(theme.strong)),
        Span::styled(" ".repeat(gap), theme.status),
        Span::styled(right, theme.status),
    ])
    .render(area, screen);
}

/// Draws the keys that matter now, as many as fit.
pub(super) fn help(app: &App, area: Rect, theme: &Theme, screen: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let marked = app.editor.file().is_some_and(|file| file.marking || !file.document.selection().is_empty());
    let hints = match &app.editor.bar {
        Some(Bar::Find(find)) if find.with.is_some() => Hints::REPLACE,
        Some(Bar::Find(_)) => Hints::FIND,
        Some(Bar::Line(_)) => Hints::LINE,
        // it names its keys itself
        Some(Bar::Question(_)) => return,
        None if app.editor.ghost.is_some() => Hints::GHOST,
        None if marked => Hints::MARKED,
        None => Hints::FILE,
    };
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, word) in hints.keys() {
        let gap = if used == 0 { " " } else { "  " };
        let width = gap.len() + sanitise::width(&key) + 1 + word.len();
        if used + width > usize::from(area.width) {
            break;
        }
        used += width;
        spans.extend([Span::raw(gap), Span::styled(key, theme.accent), Span::raw(" "), Span::styled(word, theme.dim)]);
    }
    Line::from(spans).render(area, screen);
}
