//! Changes under review: the hunks of one file after the other, unified, or side by side where there is room.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::Canvas;
use crate::app::overlay::Review;
use crate::edits::Change;
use crate::edits::diff::Row;
use crate::ui::input::cut;
use crate::ui::sanitise;
use crate::ui::theme::Theme;
use crate::ui::wrap::{self, Run};

/// Columns from which on old and new stand side by side.
const SIDE_BY_SIDE: u16 = 110;
/// Lines around a hunk.
const AROUND: usize = 3;
/// Rows of a hunk that are drawn; what is behind them is counted.
const MOST: usize = 2000;
/// Characters of a line that are drawn.
const LONGEST: usize = 2000;
/// Begins the rows a long line goes on in.
const GOES_ON: &str = "↳ ";
/// Rows under the hunks: what is decided, and the keys.
const FOOT: u16 = 2;

/// The lines of a file's hunks, and where each begins.
struct Layout {
    lines: Vec<Line<'static>>,
    hunks: Vec<usize>,
}

fn plain(style: Style) -> Style {
    style.remove_modifier(Modifier::BOLD)
}

/// A line's text as it may be drawn.
fn shown(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", sanitise::text(&text[..at])),
        None => sanitise::text(text).into_owned(),
    }
}

fn rows_of(sign: &str, text: &str, width: usize, style: Style, theme: &Theme) -> Vec<wrap::Row> {
    let mark = Run::new(GOES_ON, theme.dim);
    let text = shown(text);
    wrap::code([(sign, style), (text.as_str(), style)].into_iter(), width, &mark)
}

fn unified(rows: &[Row<'_>], width: usize, theme: &Theme, out: &mut Vec<Line<'static>>) {
    for row in rows {
        let (sign, text, style) = match *row {
            Row::Same(_, _, text) => (" ", text, theme.text),
            Row::Gone(_, text) => ("-", text, plain(theme.error)),
            Row::Come(_, text) => ("+", text, plain(theme.ok)),
        };
        out.extend(rows_of(sign, text, width, style, theme).into_iter().map(|row| Line::from(row.spans)));
    }
}

/// Old on the left, new on the right; what goes stands beside what comes.
fn beside(rows: &[Row<'_>], width: usize, theme: &Theme, out: &mut Vec<Line<'static>>) {
    let half = width.saturating_sub(3) / 2;
    let cell = |side: Option<(usize, &str, Style)>, sign: &str| match side {
        Some((number, text, style)) => rows_of(&format!("{number:>5} {sign}"), text, half, style, theme),
        None => Vec::new(),
    };
    let mut put = |left: Vec<wrap::Row>, right: Vec<wrap::Row>| {
        for n in 0..left.len().max(right.len()) {
            let mut row = wrap::Row::default();
            if let Some(left) = left.get(n) {
                row.width = left.width;
                row.spans.clone_from(&left.spans);
            }
            row.pad(half.saturating_sub(row.width), theme.text);
            row.push(" │ ", 3, theme.border);
            row.spans.extend(right.get(n).map(|right| right.spans.clone()).unwrap_or_default());
            out.push(Line::from(row.spans));
        }
    };
    let mut at = 0;
    while at < rows.len() {
        if let Row::Same(old, new, text) = rows[at] {
            put(cell(Some((old, text, theme.text)), " "), cell(Some((new, text, theme.text)), " "));
            at += 1;
            continue;
        }
        let gone: Vec<_> = rows[at..]
            .iter()
            .map_while(|row| if let Row::Gone(n, text) = row { Some((*n, *text)) } else { None })
            .collect();
        at += gone.len();
        let come: Vec<_> = rows[at..]
            .iter()
            .map_while(|row| if let Row::Come(n, text) = row { Some((*n, *text)) } else { None })
            .collect();
        at += come.len();
        for n in 0..gone.len().max(come.len()) {
            let left = gone.get(n).map(|(number, text)| (*number, *text, plain(theme.error)));
            let right = come.get(n).map(|(number, text)| (*number, *text, plain(theme.ok)));
            put(cell(left, "-"), cell(right, "+"));
        }
    }
}

fn layout(review: &Review, width: u16, theme: &Theme) -> Layout {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let columns = usize::from(width);
    if review.at.0 == 0 {
        for problem in &review.problems {
            let text = format!("! {}: {}", sanitise::line(&problem.what), sanitise::line(&problem.reason));
            let rows = wrap::prose(&[Run::new(text, theme.warning)], columns);
            lines.extend(rows.into_iter().map(|row| Line::from(row.spans)));
        }
    }
    let Some(change) = review.change() else { return Layout { lines, hunks: Vec::new() } };
    let all = change.diff.hunks().len();
    let mut hunks = Vec::with_capacity(all);
    for hunk in 0..all {
        hunks.push(lines.len());
        lines.push(head(review, change, hunk, columns, theme));
        let rows = change.diff.rows(hunk, AROUND);
        let drawn = &rows[..rows.len().min(MOST)];
        if width >= SIDE_BY_SIDE {
            beside(drawn, columns, theme, &mut lines);
        } else {
            unified(drawn, columns, theme, &mut lines);
        }
        if rows.len() > MOST {
            lines.push(Line::styled(format!("⋮ {} more lines", rows.len() - MOST), theme.dim));
        }
    }
    Layout { lines, hunks }
}

/// `▸ line 12 · 2 of 3 · taken`
fn head(review: &Review, change: &Change, hunk: usize, width: usize, theme: &Theme) -> Line<'static> {
    let here = review.at.1 == hunk;
    let decided = review.decided.get(review.at.0).and_then(|all| all.get(hunk)).copied().flatten();
    let (word, style) = match decided {
        Some(true) => ("✓ taken", theme.ok),
        Some(false) => ("✗ left", theme.error),
        None => ("? y or n", theme.warning),
    };
    let line = change.diff.hunks().get(hunk).map_or(0, |hunk| hunk.old.start) + 1;
    let sign = if here { "▸ " } else { "  " };
    let place = format!("{sign}line {line} · {} of {} · ", hunk + 1, change.diff.hunks().len());
    let room = width.saturating_sub(sanitise::width(word));
    Line::from(vec![
        Span::styled(cut(&place, room), if here { theme.focus } else { theme.dim }),
        Span::styled(cut(word, width), style),
    ])
}

fn body(area: Rect) -> Rect {
    let foot = if area.height > FOOT + 2 { FOOT } else { 0 };
    let below = area.height.saturating_sub(1);
    Rect { y: area.y + u16::from(area.height > 0), height: below.saturating_sub(foot), ..area }
}

/// The row at the top, how many there are, and how many are seen.
pub(super) fn place(review: &Review, area: Rect, theme: &Theme) -> (usize, usize, usize) {
    let layout = layout(review, area.width, theme);
    let height = usize::from(body(area).height);
    let hunk = layout.hunks.get(review.at.1).copied().unwrap_or(0);
    // what does not apply stands over the first hunk
    let hunk = if review.at.1 == 0 { 0 } else { hunk };
    let top = review.top.unwrap_or(hunk).min(layout.lines.len().saturating_sub(height));
    (top, layout.lines.len(), height)
}

pub(super) fn draw(review: &Review, area: Rect, canvas: &mut Canvas<'_>) {
    let name = review.change().map(|change| sanitise::line(&change.name).into_owned()).unwrap_or_default();
    let new = if review.change().is_some_and(|change| change.new) { " · new file" } else { "" };
    let files = if review.changes.len() > 1 {
        format!(" · file {} of {}", review.at.0 + 1, review.changes.len())
    } else {
        String::new()
    };
    let room = usize::from(area.width).saturating_sub(sanitise::width(&files) + new.len() + 5);
    canvas.title(area, &format!("{}{new}{files}", tail(&name, room)), "");
    let inner = body(area);
    let (top, _, height) = place(review, area, canvas.theme);
    let layout = layout(review, area.width, canvas.theme);
    for (n, line) in (0u16..).zip(layout.lines.into_iter().skip(top).take(height)) {
        canvas.line(inner, n, line);
    }
    if inner.bottom() < area.bottom() {
        let foot = Rect { y: inner.bottom(), height: area.bottom() - inner.bottom(), ..area };
        let (taken, left, open) = review.counts();
        let then = if review.fix { " · then it runs again" } else { "" };
        let count = format!("{taken} taken · {left} left · {open} open{then}");
        canvas.line(foot, 0, Line::styled(cut(&count, usize::from(area.width)), canvas.theme.dim));
        canvas.line(foot, 1, keys(canvas.theme));
    }
}

/// The end of a name tells more than its beginning.
fn tail(name: &str, room: usize) -> String {
    if sanitise::width(name) <= room {
        return name.to_owned();
    }
    let mut from = name.len();
    for (at, _) in name.char_indices().rev() {
        if sanitise::width(&name[at..]) + 1 > room {
            break;
        }
        from = at;
    }
    format!("…{}", &name[from..])
}

fn keys(theme: &Theme) -> Line<'static> {
    let all = [("y", "take "), ("n", "leave "), ("a", "all "), ("←→", ""), ("Enter", "write "), ("q", "none")];
    let spans = all
        .into_iter()
        .flat_map(|(key, word)| [Span::styled(key, theme.accent), Span::styled(format!(" {word}"), theme.dim)]);
    Line::from(spans.collect::<Vec<_>>())
}
