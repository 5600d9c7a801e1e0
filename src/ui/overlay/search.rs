//! The lines that were found in all files.

use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::Canvas;
use super::lists::{rows, snippet};
use crate::app::App;
use crate::app::keymap::Hints;
use crate::app::search::{FoundLine, LARGEST, MOST, Search, SearchProgress, Searched};
use crate::size::bytes;
use crate::ui::input::{cut, cut_front, field};
use crate::ui::sanitise;

/// Columns from which on all keys are told.
const WIDE: u16 = 64;

pub(super) fn search(app: &App, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let search = &app.search;
    let hints = if area.width >= WIDE { Hints::SEARCH } else { Hints::SEARCH_NARROW };
    let body = canvas.title(area, "search", &hints.line());
    let cursor = draw_field(search, body, canvas);
    let list = Rect { y: body.y + u16::from(body.height > 0), height: body.height.saturating_sub(1), ..body };
    let list = match left_out(search) {
        Some(words) if list.height > 1 => {
            let words = cut(&words, usize::from(list.width));
            canvas.line(list, list.height - 1, Line::styled(words, canvas.theme.dim));
            Rect { height: list.height - 1, ..list }
        }
        _ => list,
    };
    if search.lines.is_empty() {
        let words = match &search.progress {
            SearchProgress::Idle => "  type what to look for in all files",
            SearchProgress::Running(_) => "  searching…",
            SearchProgress::Done(..) => "  nothing found",
            SearchProgress::Wrong(_) => "",
        };
        canvas.line(list, 0, Line::styled(words, canvas.theme.dim));
        return cursor;
    }
    let places: Vec<String> = search.lines.iter().map(place).collect();
    let most = (usize::from(list.width) * 2 / 5).max(8);
    let wide = places.iter().map(|place| sanitise::width(place)).max().unwrap_or(0).min(most);
    rows(search.lines.len(), search.list.selected, list, canvas, |canvas, n, at, selected| {
        let found = &search.lines[at];
        let sign = if selected { "›" } else { " " };
        let attached = if app.is_attached(&found.file) { "@" } else { " " };
        let place = cut_front(&places[at], wide);
        let gap = " ".repeat(wide.saturating_sub(sanitise::width(&place)) + 2);
        let mut spans =
            vec![Span::raw(format!("{sign}{attached}")), Span::styled(place, canvas.theme.dim), Span::raw(gap)];
        let room = usize::from(list.width).saturating_sub(wide + 4);
        spans.extend(snippet(&found.text, found.matched.clone(), room, canvas.theme.text, canvas.theme.matched));
        canvas.line(list, n, Line::from(spans));
    });
    cursor
}

/// What is looked for, and on the right what came of it.
fn draw_field(search: &Search, body: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let label = if search.is_regex { "expression " } else { "find " };
    let (words, style) = match &search.progress {
        SearchProgress::Idle => (String::new(), canvas.theme.dim),
        SearchProgress::Running(Searched { files, .. }) => (format!(" … {files} files"), canvas.theme.dim),
        SearchProgress::Done(_, true) => (format!(" more than {MOST} lines"), canvas.theme.dim),
        SearchProgress::Done(..) if search.lines.is_empty() => (String::new(), canvas.theme.dim),
        SearchProgress::Done(..) => (format!(" {}", counted(search)), canvas.theme.dim),
        SearchProgress::Wrong(why) => (format!(" {}", sanitise::line(why)), canvas.theme.warning),
    };
    let words = cut(&words, usize::from(body.width) / 2);
    let width = u16::try_from(sanitise::width(&words)).unwrap_or(0);
    let left = Rect { width: body.width.saturating_sub(width), ..body };
    let cursor = field(label, &search.query, left, canvas.theme, canvas.screen);
    let right = Rect { x: left.right(), width, ..body }.intersection(body);
    canvas.line(right, 0, Line::styled(words, style));
    cursor
}

fn counted(search: &Search) -> String {
    let (lines, files) = (search.lines.len(), search.files());
    let of = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    format!("{} in {}", of(lines, "line"), of(files, "file"))
}

/// What was not searched, once all else was.
fn left_out(search: &Search) -> Option<String> {
    let SearchProgress::Done(Searched { large, unreadable, .. }, _) = search.progress else { return None };
    let mut words = Vec::new();
    if large > 0 {
        words.push(format!("{large} over {}", bytes(LARGEST)));
    }
    if unreadable > 0 {
        words.push(format!("{unreadable} unreadable"));
    }
    (!words.is_empty()).then(|| format!("  not searched: {}", words.join(", ")))
}

fn place(found: &FoundLine) -> String {
    format!("{}:{}", sanitise::line(&found.file.name), found.place.line)
}
