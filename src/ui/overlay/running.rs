//! A command before, while and after it runs.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::Canvas;
use crate::app::App;
use crate::app::msg::RunEnd;
use crate::app::overlay::{Confirm, Running};
use crate::text::{clean, wrap};
use crate::ui::input::cut;
use crate::ui::sanitise;

/// The command to the letter: what could hide in it is shown as a picture.
fn exactly(command: &str) -> String {
    sanitise::text(&clean::visible(command)).into_owned()
}

/// A text in rows of a width.
fn rows(text: &str, width: u16) -> Vec<String> {
    let clean = sanitise::text(text);
    let rows = wrap::rows(&clean, usize::from(width).max(1));
    rows.into_iter().map(|row| clean[row.start..row.end].trim_end_matches(' ').to_owned()).collect()
}

pub(super) fn confirm(app: &App, confirm: &Confirm, area: Rect, canvas: &mut Canvas<'_>) {
    let inner = canvas.title(area, "run this?", "");
    let text = exactly(&confirm.command);
    let again = match confirm.fix {
        true => format!("It runs again after each change that you take, of {} at most.", app.settings.fix_rounds),
        false => String::new(),
    };
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (n, row) in rows(&text, inner.width.saturating_sub(2)).into_iter().enumerate() {
        let sign = if n == 0 { "$ " } else { "  " };
        lines.push(Line::from(vec![Span::styled(sign, canvas.theme.dim), Span::styled(row, canvas.theme.strong)]));
    }
    // whatever its length, the question is seen
    let room = usize::from(inner.height.saturating_sub(3 + 2 * u16::from(confirm.fix)));
    let hidden = lines.len().saturating_sub(room.max(1));
    if hidden > 0 {
        lines.truncate(room.saturating_sub(1).max(1));
        lines.push(Line::styled(
            format!("  ⋮ {} more rows: too long to be shown here", hidden + 1),
            canvas.theme.warning,
        ));
    }
    lines.push(Line::default());
    if confirm.fix {
        lines.extend(rows(&again, inner.width).into_iter().map(|row| Line::styled(row, canvas.theme.text)));
    }
    lines.push(Line::from(vec![
        Span::styled("y", canvas.theme.accent),
        Span::raw(" runs it here · "),
        Span::styled("n", canvas.theme.accent),
        Span::raw(" does not"),
    ]));
    for (n, line) in (0u16..).zip(lines) {
        canvas.line(inner, n, line);
    }
}

fn body(area: Rect) -> Rect {
    let foot = u16::from(area.height > 3);
    let below = area.height.saturating_sub(1);
    Rect { y: area.y + u16::from(area.height > 0), height: below.saturating_sub(foot), ..area }
}

/// How many rows there are, and how many are seen.
pub(super) fn place(running: &Running, area: Rect) -> (usize, usize) {
    let all = running.lines.iter().map(|line| rows(line, area.width).len()).sum();
    (all, usize::from(body(area).height))
}

pub(super) fn draw(running: &Running, area: Rect, canvas: &mut Canvas<'_>) {
    let command = clean::one_line(&running.command);
    canvas.title(area, &cut(&sanitise::line(&command), usize::from(area.width).saturating_sub(12)), "");
    let inner = body(area);
    let height = usize::from(inner.height);
    let seen: Vec<String> = match running.top {
        Some(top) => {
            let top = top.min(place(running, area).0.saturating_sub(height));
            running.lines.iter().flat_map(|line| rows(line, area.width)).skip(top).take(height).collect()
        }
        None => {
            let mut seen: Vec<String> = running
                .lines
                .iter()
                .rev()
                .flat_map(|line| rows(line, area.width).into_iter().rev())
                .take(height)
                .collect();
            seen.reverse();
            seen
        }
    };
    for (n, row) in (0u16..).zip(seen) {
        canvas.line(inner, n, Line::styled(row, canvas.theme.text));
    }
    if inner.bottom() < area.bottom() {
        let foot = Rect { y: inner.bottom(), height: 1, ..area };
        let (style, keys) = match &running.end {
            None => (canvas.theme.warning, "Esc ends it"),
            Some(RunEnd::Code(0)) => (canvas.theme.ok, "Enter closes"),
            Some(_) => (canvas.theme.error, "Enter closes"),
        };
        let took =
            if running.end.is_some() { format!(" · {:.1} s", running.took as f64 / 1000.0) } else { String::new() };
        canvas.pair(foot, 0, (&format!("{}{took}", running.outcome()), style), (keys, canvas.theme.dim));
    }
}
