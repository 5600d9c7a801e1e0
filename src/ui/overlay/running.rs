//! A command before, while and after it runs.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Canvas, keys};
use crate::app::App;
use crate::app::keymap::Hints;
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

/// The rows of a command, and the rows under it that are always seen.
fn asking(app: &App, confirm: &Confirm, area: Rect) -> (Vec<String>, Vec<String>) {
    let again = match &confirm.fix {
        Some(named) => {
            let tests = if named.is_empty() { "; tests stay as they are" } else { "" };
            format!("Runs again after each accepted change, {} at most{tests}.", app.settings.edits.fix_rounds)
        }
        None => String::new(),
    };
    let again = if again.is_empty() { Vec::new() } else { rows(&again, area.width) };
    (rows(&exactly(&confirm.command), area.width.saturating_sub(2)), again)
}

/// The row at the top of a command that shall run, how many there are, and how many are seen.
pub(super) fn confirm_place(app: &App, confirm: &Confirm, area: Rect) -> (usize, usize, usize) {
    let (command, again) = asking(app, confirm, area);
    // the title, an empty row, the question, and one that says how much is hidden
    let room = usize::from(area.height).saturating_sub(3 + again.len()).max(1);
    let height = if command.len() > room { room.saturating_sub(1).max(1) } else { room };
    (confirm.top.min(command.len().saturating_sub(height)), command.len(), height)
}

pub(super) fn confirm(app: &App, confirm: &Confirm, area: Rect, canvas: &mut Canvas<'_>) {
    let inner = canvas.title(area, "run this?", "");
    let (command, again) = asking(app, confirm, area);
    let (top, all, height) = confirm_place(app, confirm, area);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (n, row) in command.into_iter().enumerate().skip(top).take(height) {
        let sign = if n == 0 { "$ " } else { "  " };
        lines.push(Line::from(vec![Span::styled(sign, canvas.theme.dim), Span::styled(row, canvas.theme.strong)]));
    }
    let below = all.saturating_sub(top + height);
    if all > height {
        let words = match below {
            0 => "  ↑ the beginning".to_owned(),
            1 => "  ⋮ one more row: ↓".to_owned(),
            n => format!("  ⋮ {n} more rows: ↓"),
        };
        lines.push(Line::styled(words, canvas.theme.warning));
    }
    lines.push(Line::default());
    lines.extend(again.into_iter().map(|row| Line::styled(row, canvas.theme.text)));
    let hints = if confirm.seen || below == 0 { Hints::CONFIRM } else { Hints::READ_ON };
    lines.push(Line::from(keys(hints, canvas.theme.accent, Style::new())));
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
        let (style, hints) = match &running.end {
            None => (canvas.theme.warning, Hints::RUNNING),
            Some(RunEnd::Code(0)) => (canvas.theme.ok, Hints::RAN),
            Some(_) => (canvas.theme.error, Hints::RAN),
        };
        let took =
            if running.end.is_some() { format!(" · {:.1} s", running.took as f64 / 1000.0) } else { String::new() };
        canvas.pair(foot, 0, (&format!("{}{took}", running.outcome()), style), (&hints.line(), canvas.theme.dim));
    }
}
