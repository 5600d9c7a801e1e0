//! Changes under review: the hunks of one file after the other, unified, or side by side where there is room.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::Canvas;
use crate::app::keymap::Hints;
use crate::app::overlay::{Review, Then};
use crate::edits::diff::Row;
use crate::edits::{Change, Problem};
use crate::text::clean;
use crate::ui::areas::SHORT;
use crate::ui::input::{cut, cut_front};
use crate::ui::sanitise;
use crate::ui::theme::Theme;
use crate::ui::wrap::{self, Run};

/// Columns from which on old and new stand side by side.
const SIDE_BY_SIDE: u16 = 110;
/// Lines around a hunk.
const AROUND: usize = 3;
/// Begins the rows a long line goes on in.
const GOES_ON: &str = "↳ ";

/// One side of two: a line's number, its text, its look.
type Side<'a> = Option<(usize, &'a str, Style)>;

/// A part of what is shown: measured first, drawn only where it is seen. A change may have more lines than anybody
/// wants to lay out for one frame, and all of them can be reached.
enum Part<'a> {
    /// What does not apply.
    Note(String),
    Head(usize),
    Line(&'static str, &'a str, Style),
    /// Old on the left, new on the right, each with its number.
    Pair(Side<'a>, Side<'a>, [char; 2]),
}

/// What is drawn where.
struct Layout<'a> {
    parts: Vec<Part<'a>>,
    /// Where each part begins, and behind them the number of rows.
    starts: Vec<usize>,
    /// Where each hunk begins.
    hunks: Vec<usize>,
    /// The row at the top as long as nobody scrolls and the first hunk is looked at.
    first: usize,
}

fn plain(style: Style) -> Style {
    style.remove_modifier(Modifier::BOLD)
}

fn rows_of(sign: &str, text: &str, width: usize, style: Style, theme: &Theme) -> Vec<wrap::Row> {
    let mark = Run::new(GOES_ON, theme.dim);
    let text = sanitise::text(text);
    wrap::code([(sign, style), (text.as_ref(), style)].into_iter(), width, &mark)
}

/// How many rows [`rows_of`] gives.
fn height_of(sign: &str, text: &str, width: usize, theme: &Theme) -> usize {
    // most lines: nothing to break
    let plain = sign.is_ascii() && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if plain && width > 0 && sign.len() + text.len() <= width {
        return 1;
    }
    rows_of(sign, text, width, Style::new(), theme).len()
}

impl Part<'_> {
    fn height(&self, width: usize, theme: &Theme) -> usize {
        match self {
            Self::Note(text) => wrap::prose(&[Run::new(text.as_str(), theme.warning)], width).len(),
            Self::Head(_) => 1,
            Self::Line(sign, text, _) => height_of(sign, text, width, theme),
            Self::Pair(left, right, signs) => {
                let half = half(width);
                let height = |side: &Side<'_>, sign: char| {
                    side.map_or(0, |(number, text, _)| height_of(&numbered(number, sign), text, half, theme))
                };
                height(left, signs[0]).max(height(right, signs[1]))
            }
        }
    }

    fn draw(&self, review: &Review, width: usize, theme: &Theme) -> Vec<Line<'static>> {
        let lines = |rows: Vec<wrap::Row>| rows.into_iter().map(|row| Line::from(row.spans)).collect();
        match self {
            Self::Note(text) => lines(wrap::prose(&[Run::new(text.as_str(), theme.warning)], width)),
            Self::Head(hunk) => {
                review.change().map(|change| head(review, change, *hunk, width, theme)).into_iter().collect()
            }
            Self::Line(sign, text, style) => lines(rows_of(sign, text, width, *style, theme)),
            Self::Pair(left, right, signs) => pair((left, right), signs, half(width), theme),
        }
    }
}

fn half(width: usize) -> usize {
    width.saturating_sub(3) / 2
}

fn numbered(number: usize, sign: char) -> String {
    format!("{number:>5} {sign}")
}

fn pair(sides: (&Side<'_>, &Side<'_>), signs: &[char; 2], half: usize, theme: &Theme) -> Vec<Line<'static>> {
    let cell = |side: &Side<'_>, sign: char| match side {
        Some((number, text, style)) => rows_of(&numbered(*number, sign), text, half, *style, theme),
        None => Vec::new(),
    };
    let (left, right) = (cell(sides.0, signs[0]), cell(sides.1, signs[1]));
    let line = |n: usize| {
        let mut row = wrap::Row::default();
        if let Some(left) = left.get(n) {
            row.width = left.width;
            row.spans.clone_from(&left.spans);
        }
        row.pad(half.saturating_sub(row.width), theme.text);
        row.push(" │ ", 3, theme.border);
        row.spans.extend(right.get(n).map(|right| right.spans.clone()).unwrap_or_default());
        Line::from(row.spans)
    };
    (0..left.len().max(right.len())).map(line).collect()
}

fn unified<'a>(rows: &[Row<'a>], theme: &Theme, out: &mut Vec<Part<'a>>) {
    out.extend(rows.iter().map(|row| match *row {
        Row::Same(_, _, text) => Part::Line(" ", text, theme.text),
        Row::Gone(_, text) => Part::Line("-", text, plain(theme.error)),
        Row::Come(_, text) => Part::Line("+", text, plain(theme.ok)),
    }));
}

/// Old on the left, new on the right; what goes stands beside what comes.
fn beside<'a>(rows: &[Row<'a>], theme: &Theme, out: &mut Vec<Part<'a>>) {
    let mut at = 0;
    while at < rows.len() {
        if let Row::Same(old, new, text) = rows[at] {
            out.push(Part::Pair(Some((old, text, theme.text)), Some((new, text, theme.text)), [' ', ' ']));
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
            out.push(Part::Pair(left, right, ['-', '+']));
        }
    }
}

/// What does not apply, over the first hunk, and what is odd about the file; too much of it stands above the screen, and
/// a line says so.
fn notes(review: &Review, width: usize, height: usize, theme: &Theme) -> (Vec<Part<'static>>, usize) {
    let note = |problem: &Problem| Part::Note(format!("! {}", sanitise::line(&problem.told())));
    let doubt = |text: &String| Part::Note(format!("! {}", sanitise::line(text)));
    let problems = if review.at.0 == 0 { &review.problems[..] } else { &[] };
    let doubts = review.doubts.get(review.at.0).map_or(&[][..], Vec::as_slice);
    let mut parts: Vec<Part<'static>> = problems.iter().map(note).chain(doubts.iter().map(doubt)).collect();
    let rows: usize = parts.iter().map(|part| part.height(width, theme)).sum();
    if rows * 3 <= height.max(1) * 2 && rows + 2 <= height {
        return (parts, 0);
    }
    let all = parts.len();
    let words = match (all, doubts.len()) {
        (1, 0) => "1 part does not apply".to_owned(),
        (_, 0) => format!("{all} parts do not apply"),
        _ => format!("{all} warnings"),
    };
    if all > 0 {
        parts.push(Part::Note(format!("! {words} · ↑ shows why")));
    }
    (parts, rows)
}

fn layout<'a>(review: &'a Review, width: u16, height: usize, theme: &Theme) -> Layout<'a> {
    let columns = usize::from(width);
    let (mut parts, first) = notes(review, columns, height, theme);
    let mut heads = Vec::new();
    if let Some(change) = review.change() {
        for hunk in 0..change.diff.hunks().len() {
            heads.push(parts.len());
            parts.push(Part::Head(hunk));
            let rows = change.diff.rows(hunk, AROUND);
            if width >= SIDE_BY_SIDE {
                beside(&rows, theme, &mut parts);
            } else {
                unified(&rows, theme, &mut parts);
            }
        }
    }
    let mut starts = Vec::with_capacity(parts.len() + 1);
    let mut at = 0;
    for part in &parts {
        starts.push(at);
        at += part.height(columns, theme);
    }
    let hunks = heads.into_iter().map(|head| starts[head]).collect();
    starts.push(at);
    Layout { parts, starts, hunks, first }
}

impl Layout<'_> {
    fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The row at the top of `height` rows.
    fn top(&self, review: &Review, height: usize) -> usize {
        // what does not apply stands over the first hunk
        let hunk = match review.at.1 {
            0 => self.first,
            hunk => self.hunks.get(hunk).copied().unwrap_or(0),
        };
        review.top.unwrap_or(hunk).min(self.rows().saturating_sub(height))
    }

    /// The lines of `height` rows from `top` on.
    fn seen(&self, review: &Review, top: usize, height: usize, width: usize, theme: &Theme) -> Vec<Line<'static>> {
        let from = self.starts.partition_point(|start| *start <= top).saturating_sub(1);
        let mut lines = Vec::new();
        for (part, start) in
            self.parts.iter().zip(&self.starts).skip(from).take_while(|(_, start)| **start < top + height)
        {
            let drawn = part.draw(review, width, theme).into_iter();
            lines.extend(drawn.skip(top.saturating_sub(*start)));
        }
        lines.truncate(height);
        lines
    }
}

/// `▸ line 12 · 2 of 3 · accepted`
fn head(review: &Review, change: &Change, hunk: usize, width: usize, theme: &Theme) -> Line<'static> {
    let here = review.at.1 == hunk;
    let decided = review.decided.get(review.at.0).and_then(|all| all.get(hunk)).copied().flatten();
    let (word, style) = match decided {
        Some(true) => ("✓ accepted", theme.ok),
        Some(false) => ("✗ rejected", theme.error),
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

/// Rows under the hunks: what is decided, which stands in the title where there is little room, and the keys.
fn foot(area: Rect) -> u16 {
    match area.height {
        0..=4 => 0,
        5..=SHORT => 1,
        _ => 2,
    }
}

fn body(area: Rect) -> Rect {
    let foot = foot(area);
    let below = area.height.saturating_sub(1);
    Rect { y: area.y + u16::from(area.height > 0), height: below.saturating_sub(foot), ..area }
}

/// The row at the top, how many there are, and how many are seen.
pub(super) fn place(review: &Review, area: Rect, theme: &Theme) -> (usize, usize, usize) {
    let height = usize::from(body(area).height);
    let layout = layout(review, area.width, height, theme);
    (layout.top(review, height), layout.rows(), height)
}

pub(super) fn draw(review: &Review, area: Rect, canvas: &mut Canvas<'_>) {
    let name =
        review.change().map(|change| sanitise::line(&clean::name(&change.name)).into_owned()).unwrap_or_default();
    let new = match review.change() {
        Some(change) if change.gone => " · goes away",
        Some(change) if change.new => " · new file",
        _ => "",
    };
    let files = if review.changes.len() > 1 {
        format!(" · file {} of {}", review.at.0 + 1, review.changes.len())
    } else {
        String::new()
    };
    let (accepted, rejected, open) = review.counts();
    let decided = match foot(area) {
        2 => String::new(),
        _ => format!("{} of {} decided", accepted + rejected, accepted + rejected + open),
    };
    let room = usize::from(area.width).saturating_sub(sanitise::width(&files) + new.len() + decided.len() + 9);
    canvas.title(area, &format!("{}{new}{files}", cut_front(&name, room)), &decided);
    let inner = body(area);
    let height = usize::from(inner.height);
    let layout = layout(review, area.width, height, canvas.theme);
    let top = layout.top(review, height);
    let lines = layout.seen(review, top, height, usize::from(area.width), canvas.theme);
    for (n, line) in (0u16..).zip(lines) {
        canvas.line(inner, n, line);
    }
    if inner.bottom() < area.bottom() {
        let foot = Rect { y: inner.bottom(), height: area.bottom() - inner.bottom(), ..area };
        let then = match review.then {
            Then::Nothing => "",
            Then::Fix => " · then it runs again",
            Then::Undo(_) => " · undo",
        };
        let count = format!("{accepted} accepted · {rejected} rejected · {open} to decide{then}");
        if foot.height > 1 {
            canvas.line(foot, 0, Line::styled(cut(&count, usize::from(area.width)), canvas.theme.dim));
        }
        canvas.line(foot, foot.height - 1, keys(usize::from(area.width), canvas.theme));
    }
}

fn keys(width: usize, theme: &Theme) -> Line<'static> {
    let columns: usize =
        Hints::REVIEW.keys().map(|(key, word)| sanitise::width(&key) + 1 + sanitise::width(word)).sum();
    // arrows are tried by everybody
    let spans = Hints::REVIEW
        .keys()
        .filter(|(_, word)| columns <= width || !word.is_empty())
        .flat_map(|(key, word)| [Span::styled(key, theme.accent), Span::styled(format!(" {word}"), theme.dim)]);
    Line::from(spans.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Ground;
    use proptest::prelude::*;

    fn assert_as_high_as_drawn(text: &str, width: usize) {
        let theme = Theme::plain(Ground::Dark);
        for sign in ["+", "   12 -"] {
            let drawn = rows_of(sign, text, width, Style::new(), &theme).len();
            assert_eq!(height_of(sign, text, width, &theme), drawn, "{text:?} in {width} columns");
        }
    }

    #[test]
    fn a_line_cut_behind_a_sign_is_as_high_as_it_is_drawn() {
        assert_as_high_as_drawn("!!a0A{AAA aa A0A", 8);
    }

    proptest! {
        #[test]
        fn a_line_is_as_high_as_it_is_drawn(text in "[a-c \\t中\u{1b}]{0,60}|[ -~]{0,200}", width in 1usize..40) {
            assert_as_high_as_drawn(&text, width);
        }
    }
}
