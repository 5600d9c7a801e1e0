//! The input with its rule, and text fields elsewhere.

use ratatui::buffer::Buffer as Screen;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::areas::row;
use super::sanitise;
use super::theme::Theme;
use crate::app::App;
use crate::app::command;
use crate::app::field::Field;
use crate::app::input::PROMPT;
use crate::app::model::State;
use crate::chat::Role;
use crate::text::wrap;

/// Draws the rule over the input: the conversation's name, or what is being written anew.
pub(crate) fn rule(app: &App, area: Rect, theme: &Theme, screen: &mut Screen) {
    let label = match app.composer.editing {
        Some(id) => {
            let user = |id| app.conversation.node(id).is_some_and(|node| node.role == Role::User);
            let n = app.path.iter().filter(|known| **known <= id && user(**known)).count();
            format!("editing message {n} · Esc cancels")
        }
        None if app.conversation.is_empty() => String::new(),
        None => sanitise::line(&app.conversation.title()).into_owned(),
    };
    let style = if app.composer.editing.is_some() { theme.warning } else { theme.dim };
    let room = usize::from(area.width).saturating_sub(5);
    let label = cut(&label, room.min(48));
    let label = if label.is_empty() { label } else { format!(" {label} ") };
    let rest = usize::from(area.width).saturating_sub(2 + sanitise::width(&label));
    Line::from(vec![
        Span::styled("──", theme.border),
        Span::styled(label, style),
        Span::styled("─".repeat(rest), theme.border),
    ])
    .render(area, screen);
}

/// Draws the input; gives the cursor's place.
pub(crate) fn input(app: &App, area: Rect, theme: &Theme, screen: &mut Screen) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let (text, width) = (app.composer.field.text(), app.input_width());
    let rows = wrap::rows(text, width);
    let (cursor_row, cell) = wrap::place(text, &rows, app.composer.field.cursor(), width);
    let first = cursor_row.saturating_sub(usize::from(area.height) - 1);
    let is_command = command::parse(text).is_some_and(|(name, _)| command::find(name).is_some());
    let style = if is_command { theme.accent } else { theme.text };
    for (n, found) in rows.iter().enumerate().skip(first).take(usize::from(area.height)) {
        let sign = if n == 0 { "❯ " } else { "  " };
        let shown = drawn(&text[found.start..found.end]);
        let line = Line::from(vec![Span::styled(sign, theme.user), Span::styled(shown, style)]);
        line.render(row(area, u16::try_from(n - first).unwrap_or(u16::MAX)), screen);
    }
    if text.is_empty() {
        let ghost = Rect { x: area.x.saturating_add(PROMPT), width: area.width.saturating_sub(PROMPT), ..row(area, 0) };
        Line::styled(hint(app), theme.ghost).render(ghost.intersection(area), screen);
    }
    let x = area.x + PROMPT + u16::try_from(cell).unwrap_or(u16::MAX - PROMPT);
    let y = area.y + u16::try_from(cursor_row - first).unwrap_or(0);
    Some(Position { x: x.min(area.right() - 1), y: y.min(area.bottom() - 1) })
}

fn hint(app: &App) -> &'static str {
    match (&app.model.state, app.turn.answer()) {
        (State::Absent, _) => "/model downloads a model",
        (State::Failed(_), _) => "/model chooses another model",
        (_, Some(_)) => "Esc stops · keep typing to queue a message",
        (State::Loading(_), None) | (State::Ready(_), None) => "ask · / commands · @ files",
    }
}

/// What the input shows of a row.
fn drawn(text: &str) -> String {
    sanitise::line(&text.replace('\t', &" ".repeat(wrap::TAB))).into_owned()
}

/// A field of one row with a label; gives the cursor's place. A long text shows the part around the cursor.
pub(crate) fn field(label: &str, field: &Field, area: Rect, theme: &Theme, screen: &mut Screen) -> Option<Position> {
    if area.is_empty() {
        return None;
    }
    let label_width = sanitise::width(label);
    let room = usize::from(area.width).saturating_sub(label_width + 1).max(1);
    let (before, rest) = field.text().split_at(field.cursor());
    let (before, rest) = (drawn(before), drawn(rest));
    let shown = tail(&before, room);
    let cell = label_width + sanitise::width(&shown);
    Line::from(vec![
        Span::styled(label.to_owned(), theme.accent),
        Span::styled(shown, theme.text),
        Span::styled(rest, theme.text),
    ])
    .render(row(area, 0), screen);
    let x = area.x.saturating_add(u16::try_from(cell).unwrap_or(u16::MAX));
    Some(Position { x: x.min(area.right() - 1), y: area.y })
}

/// The beginning of a text that has been sanitised, in at most `room` cells, `…` where it was cut.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if sanitise::width(text) <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in unicode_segmentation::UnicodeSegmentation::graphemes(text, true) {
        let width = sanitise::grapheme_width(grapheme);
        if used + width + 1 > room {
            break;
        }
        used += width;
        out.push_str(grapheme);
    }
    if room > 0 {
        out.push('…');
    }
    out
}

/// The end of a text that has been sanitised, in at most `room` cells, `…` where it was cut: of a path it tells more than
/// the beginning.
pub(crate) fn cut_front(text: &str, room: usize) -> String {
    match room.checked_sub(1) {
        _ if sanitise::width(text) <= room => text.to_owned(),
        Some(room) => format!("…{}", tail(text, room)),
        None => String::new(),
    }
}

/// The end of a text that has been sanitised, in at most `room` cells.
fn tail(text: &str, room: usize) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut used = 0;
    for grapheme in unicode_segmentation::UnicodeSegmentation::graphemes(text, true).rev() {
        used += sanitise::grapheme_width(grapheme);
        if used > room {
            break;
        }
        out.push(grapheme);
    }
    out.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_segmentation::UnicodeSegmentation;

    #[test]
    fn the_cursor_and_the_text_agree_about_widths() {
        for text in ["a中é", "e\u{301}", "👩‍💻x", "❤️", "👍🏽", "🇩🇪", "한국어", "ก็", "\t", "ﷺ", "\u{301}"]
        {
            for grapheme in text.graphemes(true) {
                assert_eq!(wrap::cells(grapheme), sanitise::width(&drawn(grapheme)), "{grapheme:?}");
            }
        }
    }

    #[test]
    fn cut_texts_end_with_a_mark_and_fit() {
        assert_eq!(cut("中文字", 4), "中…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(tail("中文字", 5), "文字");
        assert_eq!([6, 5, 1, 0].map(|room| cut_front("中文字", room)), ["中文字", "…文字", "…", ""]);
    }
}
