//! Where the lines of a document break on the screen. A line is cut into stretches of [`STRETCH`] characters, each wrapped
//! by itself, so that nothing here costs more than a stretch, however long the line and however large the file. The same
//! arithmetic serves moving the cursor, scrolling and drawing.

use ropey::Rope;
use unicode_segmentation::UnicodeSegmentation;

use super::graphemes::{cells, settle, text};

/// Characters that are wrapped at once.
pub const STRETCH: usize = 2048;

/// One row on the screen, in characters of the document, without the line's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line, from 0.
    pub line: usize,
    /// First character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// It begins the line.
    pub first: bool,
    /// It ends the line.
    pub last: bool,
}

/// The characters of a line, without its end.
pub fn line_span(rope: &Rope, line: usize) -> (usize, usize) {
    let lines = rope.len_lines();
    let line = line.min(lines.saturating_sub(1));
    let start = rope.line_to_char(line);
    if line + 1 >= lines {
        return (start, rope.len_chars());
    }
    let end = rope.line_to_char(line + 1) - 1;
    let carriage = end > start && rope.get_char(end - 1) == Some('\r');
    (start, end - usize::from(carriage))
}

/// The line of a position.
pub fn line_of(rope: &Rope, at: usize) -> usize {
    rope.char_to_line(at.min(rope.len_chars()))
}

/// Rows one after the other, in both directions.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    rope: &'a Rope,
    width: usize,
    line: usize,
    stretch: usize,
    rows: Vec<Row>,
    at: usize,
}

impl<'a> Walk<'a> {
    /// Begins at the row of a position. At a soft break a position belongs to the row that it starts.
    pub fn new(rope: &'a Rope, width: usize, position: usize) -> Self {
        let position = position.min(rope.len_chars());
        let line = line_of(rope, position);
        let (start, end) = line_span(rope, line);
        let position = position.min(end);
        let mut stretch = ((position - start) / STRETCH).min(stretches(start, end) - 1);
        if stretch > 0 && position < settle(rope, start + stretch * STRETCH) {
            stretch -= 1;
        }
        let rows = wrapped(rope, width, line, stretch);
        let at = rows.partition_point(|row| row.start <= position).saturating_sub(1);
        Self { rope, width, line, stretch, rows, at }
    }

    /// The row.
    pub fn row(&self) -> Row {
        self.rows[self.at]
    }

    fn enter(&mut self, line: usize, stretch: usize) {
        (self.line, self.stretch) = (line, stretch);
        self.rows = wrapped(self.rope, self.width, line, stretch);
    }

    /// To the next row; `false` on the last.
    pub fn down(&mut self) -> bool {
        if self.at + 1 < self.rows.len() {
            self.at += 1;
            return true;
        }
        let (start, end) = line_span(self.rope, self.line);
        if self.stretch + 1 < stretches(start, end) {
            self.enter(self.line, self.stretch + 1);
        } else if self.line + 1 < self.rope.len_lines() {
            self.enter(self.line + 1, 0);
        } else {
            return false;
        }
        self.at = 0;
        true
    }

    /// To the row before; `false` on the first.
    pub fn up(&mut self) -> bool {
        if self.at > 0 {
            self.at -= 1;
            return true;
        }
        if self.stretch > 0 {
            self.enter(self.line, self.stretch - 1);
        } else if self.line > 0 {
            let (start, end) = line_span(self.rope, self.line - 1);
            self.enter(self.line - 1, stretches(start, end) - 1);
        } else {
            return false;
        }
        self.at = self.rows.len() - 1;
        true
    }
}

fn stretches(start: usize, end: usize) -> usize {
    (end - start).div_ceil(STRETCH).max(1)
}

/// The rows of one stretch of a line, at least one.
fn wrapped(rope: &Rope, width: usize, line: usize, stretch: usize) -> Vec<Row> {
    let width = width.max(1);
    let (line_start, line_end) = line_span(rope, line);
    let bound = |n: usize| if n == 0 { line_start } else { settle(rope, (line_start + n * STRETCH).min(line_end)) };
    let (start, end) = (bound(stretch), bound(stretch + 1).min(line_end));
    let row =
        |from: usize, to: usize| Row { line, start: from, end: to, first: from == line_start, last: to == line_end };
    let body = text(rope, start, end);
    if body.len() <= width && body.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return vec![row(start, end)];
    }
    let mut rows = Vec::new();
    let (mut from, mut at, mut used) = (start, start, 0);
    // (behind a blank, cells up to there)
    let mut chance: Option<(usize, usize)> = None;
    for grapheme in body.graphemes(true) {
        let size = cells(grapheme);
        while used + size > width && at > from {
            // a break that leaves half of the row empty is worse than a word cut in two
            match chance.take().filter(|(behind, before)| *behind > from && before * 2 >= width) {
                Some((behind, before)) => {
                    rows.push(row(from, behind));
                    from = behind;
                    used -= before;
                }
                None => {
                    rows.push(row(from, at));
                    from = at;
                    used = 0;
                }
            }
        }
        at += grapheme.chars().count();
        used += size;
        if grapheme == " " || grapheme == "\t" {
            chance = Some((at, used));
        }
    }
    rows.push(row(from, at));
    rows
}

/// The cell of a position in its row.
pub fn cell(rope: &Rope, row: Row, at: usize) -> usize {
    text(rope, row.start, at.clamp(row.start, row.end)).graphemes(true).map(cells).sum()
}

/// The position at a cell of a row: the start of the grapheme that covers it, or the row's last position. Behind the last
/// grapheme of a row that goes on, a position would belong to the next one: there it is the one before.
pub fn position(rope: &Rope, row: Row, wanted: usize) -> usize {
    let (mut at, mut used, mut last) = (row.start, 0, row.start);
    for grapheme in text(rope, row.start, row.end).graphemes(true) {
        used += cells(grapheme);
        if used > wanted {
            return at;
        }
        last = at;
        at += grapheme.chars().count();
    }
    if row.last { row.end } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(content: &str, width: usize) -> Vec<String> {
        let rope = Rope::from_str(content);
        let mut walk = Walk::new(&rope, width, 0);
        let mut rows = Vec::new();
        loop {
            rows.push(text(&rope, walk.row().start, walk.row().end));
            if !walk.down() {
                return rows;
            }
        }
    }

    #[test]
    fn rows_break_at_blanks_near_the_end_else_anywhere() {
        assert_eq!(all("let total = sum;", 10), ["let total ", "= sum;"]);
        assert_eq!(all("a bcdefghijkl", 6), ["a bcde", "fghijk", "l"]);
        assert_eq!(all("a\r\n\nb", 6), ["a", "", "b"]);
        assert_eq!(all("", 6), [""]);
        assert_eq!(all("中文字", 5), ["中文", "字"]);
    }

    #[test]
    fn a_line_of_a_megabyte_costs_a_stretch() {
        let rope = Rope::from_str(&"x".repeat(1 << 20));
        let mut walk = Walk::new(&rope, 40, 700_000);
        assert!(walk.row().start <= 700_000 && walk.row().end > 700_000);
        assert!(walk.rows.len() <= STRETCH / 40 + 1);
        let before = walk.row();
        assert!(walk.up() && walk.down());
        assert_eq!(walk.row(), before);
    }

    proptest! {
        #[test]
        fn rows_hold_every_character_once_and_fit(content in "[a-c 中é\u{301}\t\r\n👩‍💻]{0,80}", width in 4usize..12) {
            let rope = Rope::from_str(&content);
            let mut walk = Walk::new(&rope, width, 0);
            let mut seen = vec![walk.row()];
            while walk.down() {
                seen.push(walk.row());
            }
            for pair in seen.windows(2) {
                let (one, two) = (pair[0], pair[1]);
                prop_assert!(two.start == one.end || (one.last && two.first && two.line == one.line + 1));
            }
            prop_assert_eq!(seen[seen.len() - 1].end, rope.len_chars());
            for row in &seen {
                let body = text(&rope, row.start, row.end);
                prop_assert!(body.graphemes(true).map(cells).sum::<usize>() <= width || body.graphemes(true).count() == 1);
            }
            let mut back = vec![walk.row()];
            while walk.up() {
                back.push(walk.row());
            }
            back.reverse();
            prop_assert_eq!(&back, &seen);
            let mut at = 0;
            while at < rope.len_chars() {
                let row = Walk::new(&rope, width, at).row();
                prop_assert!(seen.contains(&row));
                prop_assert!(row.start <= at && at <= row.end);
                prop_assert_eq!(position(&rope, row, cell(&rope, row, at)), at);
                at = crate::text::graphemes::next(&rope, at);
            }
        }
    }
}
