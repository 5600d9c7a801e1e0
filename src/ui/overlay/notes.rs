//! The question whether the folder's notes are used.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Canvas, keys};
use crate::app::App;
use crate::app::compose::estimate;
use crate::app::keymap::Hints;
use crate::ui::input::cut;
use crate::ui::sanitise;
use crate::ui::status::short;
use crate::ui::theme::Theme;

/// What is asked, a line a row.
pub(super) fn lines(app: &App, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let Some(notes) = app.found_notes() else { return Vec::new() };
    let said = |text: String, style| Line::styled(cut(&format!("  {text}"), width), style);
    let used = app.head_of_notes(&notes.text);
    let tokens = short(estimate(used));
    let size = match (used.lines().count(), notes.text.lines().count(), app.model.known_n_ctx()) {
        (part, all, _) if used.len() < notes.text.len() => format!("Lines 1–{part} of {all} fit: {tokens} tokens."),
        (_, _, Some(all)) => format!("About {tokens} of {} tokens of context.", short(all)),
        (_, _, None) => format!("About {tokens} tokens of context."),
    };
    let hidden = (notes.hidden > 0).then(|| format!("{} hidden characters were taken out.", notes.hidden));
    let sent = app.model.server().map(|host| format!("It is sent to {}.", sanitise::line(host)));
    let mut spans = vec![Span::raw("  ")];
    spans.extend(keys(Hints::NOTES, theme.accent, Style::new()));
    let mut lines = vec![
        said(sanitise::line(&notes.name).into_owned(), theme.strong),
        said("Use it as context in this folder?".into(), theme.text),
        said(size, theme.dim),
    ];
    lines.extend([hidden, sent].into_iter().flatten().map(|told| said(told, theme.warning)));
    lines.extend([Line::default(), Line::from(spans)]);
    lines
}

pub(super) fn draw(app: &App, area: Rect, canvas: &mut Canvas<'_>) {
    let body = canvas.title(area, "Project notes", "");
    for (n, line) in (0u16..).zip(lines(app, usize::from(body.width), canvas.theme)) {
        canvas.line(body, n, line);
    }
}
