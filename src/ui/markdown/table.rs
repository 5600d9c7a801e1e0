//! Tables: columns shrunk until they fit and their cells wrapped; where even that is too narrow, one line a cell.

use pulldown_cmark::Alignment;
use ratatui::style::Style;

use crate::ui::sanitise;
use crate::ui::theme::Theme;
use crate::ui::wrap::{self, Row, Run};

/// Narrower columns than this on average, and a table is drawn as a list of its cells.
const NARROWEST: usize = 5;

/// Columns that are looked at; more would cost time and never fit.
const MOST_COLUMNS: usize = 64;

type Cell = Vec<Run>;

/// A table that is being read; its first row is the head.
pub(super) struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(alignments: Vec<Alignment>) -> Self {
        Self { alignments, rows: Vec::new() }
    }

    pub(super) fn begin_row(&mut self) {
        self.rows.push(Vec::new());
    }

    pub(super) fn push_cell(&mut self, cell: Cell) {
        if let Some(row) = self.rows.last_mut().filter(|row| row.len() < MOST_COLUMNS) {
            row.push(cell);
        }
    }

    /// Rows of at most `width` columns.
    pub(super) fn draw(&self, width: usize, theme: &Theme) -> Vec<Row> {
        let columns = self.alignments.len().clamp(1, MOST_COLUMNS);
        let gap = if width >= columns * 12 { 3 } else { 1 };
        let room = width.saturating_sub((columns - 1) * gap);
        if room < columns * NARROWEST && room < self.widths().1.iter().sum() {
            return self.draw_as_list(width, theme);
        }
        let (words, whole) = self.widths();
        let widths = share(room, &words, &whole);
        let mut out = Vec::new();
        let mut tall_before = false;
        for (at, row) in self.rows.iter().enumerate() {
            let lines = self.draw_row(row, &widths, gap, at == 0, theme);
            let tall = lines.len() > 1;
            if at == 1 {
                out.push(border(&widths, gap, "─", "┼", theme));
            } else if at > 1 && (tall || tall_before) {
                out.push(border(&widths, gap, "╌", "┼", theme));
            }
            tall_before = tall;
            out.extend(lines);
        }
        if self.rows.len() == 1 {
            out.push(border(&widths, gap, "─", "┼", theme));
        }
        out
    }

    /// Of each column: its longest word and its longest cell.
    fn widths(&self) -> (Vec<usize>, Vec<usize>) {
        let columns = self.alignments.len().clamp(1, MOST_COLUMNS);
        let (mut words, mut whole) = (vec![1; columns], vec![1; columns]);
        for (at, cell) in self.rows.iter().flat_map(|row| row.iter().take(columns).enumerate()) {
            let text: String = cell.iter().map(|run| run.text.as_str()).collect();
            whole[at] = text.split('\n').map(sanitise::width).fold(whole[at], usize::max);
            words[at] = text.split([' ', '\n']).map(sanitise::width).fold(words[at], usize::max);
        }
        (words, whole)
    }

    fn draw_row(&self, row: &[Cell], widths: &[usize], gap: usize, head: bool, theme: &Theme) -> Vec<Row> {
        let empty = Cell::new();
        let cells: Vec<Vec<Row>> = widths
            .iter()
            .enumerate()
            .map(|(at, width)| {
                let cell = row.get(at).unwrap_or(&empty);
                if head { wrap::prose(&headed(cell, theme), *width) } else { wrap::prose(cell, *width) }
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let mut lines: Vec<Row> = (0..height).map(|_| Row::default()).collect();
        for (at, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
            let mut cell = cell.into_iter();
            for line in &mut lines {
                if at > 0 {
                    line.push(if gap == 3 { " │ " } else { "│" }, gap, theme.table_border);
                }
                let content = cell.next().unwrap_or_default();
                let blank = width.saturating_sub(content.width);
                let before = match self.alignments.get(at) {
                    Some(Alignment::Right) => blank,
                    Some(Alignment::Center) => blank / 2,
                    _ => 0,
                };
                line.pad(before, Style::new());
                line.width += content.width;
                line.spans.extend(content.spans);
                if at + 1 < widths.len() {
                    line.pad(blank - before, Style::new());
                }
            }
        }
        lines
    }

    /// `head: cell`, a line each, and a rule between rows.
    fn draw_as_list(&self, width: usize, theme: &Theme) -> Vec<Row> {
        let Some((head, rows)) = self.rows.split_first() else { return Vec::new() };
        let mut out = Vec::new();
        for row in rows {
            let mut rule = Row::default();
            rule.push(&"─".repeat(width), width, theme.table_border);
            out.push(rule);
            for (at, cell) in row.iter().enumerate() {
                let mut runs = head.get(at).map(|name| headed(name, theme)).unwrap_or_default();
                runs.push(Run::new(": ", theme.table_border));
                runs.extend(cell.iter().cloned());
                out.extend(wrap::prose(&runs, width));
            }
        }
        if rows.is_empty() {
            out.extend(head.iter().flat_map(|name| wrap::prose(&headed(name, theme), width)));
        }
        out
    }
}

fn headed(cell: &Cell, theme: &Theme) -> Cell {
    cell.iter().map(|run| Run::new(run.text.clone(), run.style.patch(theme.table_head))).collect()
}

fn border(widths: &[usize], gap: usize, line: &str, cross: &str, theme: &Theme) -> Row {
    let mut text = String::new();
    for (at, width) in widths.iter().enumerate() {
        if at > 0 {
            let beside = line.repeat(gap / 2);
            text.push_str(&beside);
            text.push_str(cross);
            text.push_str(&beside);
        }
        text.push_str(&line.repeat(*width));
    }
    let mut row = Row::default();
    row.push(&text, widths.iter().sum::<usize>() + gap * (widths.len() - 1), theme.table_border);
    row
}

/// Widths that add up to at most `room`: as wide as the cells if they fit, else not narrower than the longest words if
/// those fit, and the widest give first.
fn share(room: usize, words: &[usize], whole: &[usize]) -> Vec<usize> {
    if whole.iter().sum::<usize>() <= room {
        return whole.to_vec();
    }
    let narrow =
        if words.iter().sum::<usize>() <= room { words.to_vec() } else { level(room, words, &vec![1; words.len()]) };
    if narrow.iter().sum::<usize>() >= room { narrow } else { level(room, whole, &narrow) }
}

/// `wanted`, but none above a common height (or its own `least`), the largest for which the sum fits.
fn level(room: usize, wanted: &[usize], least: &[usize]) -> Vec<usize> {
    let at = |height: usize| -> Vec<usize> {
        wanted.iter().zip(least).map(|(wanted, least)| (*wanted).min(height).max(*least)).collect()
    };
    let (mut low, mut high) = (0, room);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if at(middle).iter().sum::<usize>() <= room { low = middle } else { high = middle - 1 }
    }
    let mut widths = at(low);
    let mut left = room.saturating_sub(widths.iter().sum());
    for (width, wanted) in widths.iter_mut().zip(wanted) {
        if left > 0 && *width < *wanted {
            *width += 1;
            left -= 1;
        }
    }
    widths
}
