//! Where the rows of a text break at a width, and how offsets and cells translate into each other. The same arithmetic
//! serves moving the cursor and drawing it, so that they cannot disagree.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells of a tab. Fixed: a stop would depend on what stands before, and wrapped rows have no column zero.
pub const TAB: usize = 4;

/// One row on the screen: a range of bytes of the text, without the line feed that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Cells that a grapheme takes.
pub fn cells(grapheme: &str) -> usize {
    match grapheme {
        "\t" => TAB,
        "\n" | "\r\n" => 0,
        // terminals disagree about joined emoji and variation selectors; the screen draws the parts
        other => other.split(['\u{200D}', '\u{FE0E}', '\u{FE0F}']).map(UnicodeWidthStr::width).sum(),
    }
}

/// Cells that a text without line feeds takes.
pub fn width(text: &str) -> usize {
    text.graphemes(true).map(cells).sum()
}

/// Whether a row may end behind this grapheme: after blanks, and between ideographs, which are all words to themselves.
fn breaks_after(grapheme: &str) -> bool {
    grapheme == " " || grapheme == "\t" || (cells(grapheme) == 2 && !grapheme.is_ascii())
}

/// Whether a row should not begin with this grapheme: closing marks stay with what they close.
fn closes(grapheme: &str) -> bool {
    grapheme.chars().next().is_some_and(|c| ",.;:!?)]}，。；：！？）】」』、…”’".contains(c))
}

/// The rows of a text, at least one. Words move to the next row whole if they fit there; blanks that do not fit hang past
/// the edge, where [`place`] keeps the cursor at `width`. A width of zero counts as one.
pub fn rows(text: &str, width: usize) -> Vec<Row> {
    let width = width.max(1);
    let mut rows = Vec::new();
    let mut start = 0;
    for line in text.split('\n') {
        let end = start + line.len();
        wrap_line(text, start, end, width, &mut rows);
        start = end + 1;
    }
    rows
}

fn wrap_line(text: &str, line: usize, end: usize, width: usize, rows: &mut Vec<Row>) {
    let mut start = line;
    let mut used = 0;
    // (offset behind the break, cells up to there)
    let mut chance: Option<(usize, usize)> = None;
    let mut before: Option<(usize, usize)> = None;
    for (offset, grapheme) in text[line..end].grapheme_indices(true) {
        let at = line + offset;
        let size = cells(grapheme);
        if closes(grapheme) && !text[..at].ends_with([' ', '\t']) && chance.is_some_and(|(behind, _)| behind == at) {
            chance = before;
        }
        while used + size > width && at > start && grapheme != " " {
            match chance.take().filter(|(behind, _)| *behind > start) {
                Some((behind, before)) => {
                    rows.push(Row { start, end: behind });
                    start = behind;
                    used -= before.min(used);
                }
                None => {
                    rows.push(Row { start, end: at });
                    start = at;
                    used = 0;
                }
            }
        }
        used += size;
        if breaks_after(grapheme) {
            before = chance;
            chance = Some((at + grapheme.len(), used));
        }
    }
    rows.push(Row { start, end });
}

/// The row and the cell of an offset. At a soft break the offset belongs to the row that it starts. The cell is at most
/// `width`: whoever draws keeps one column more than it wraps at.
pub fn place(text: &str, rows: &[Row], offset: usize, width_limit: usize) -> (usize, usize) {
    let row = rows.partition_point(|row| row.start <= offset).saturating_sub(1);
    let cell = rows.get(row).map_or(0, |found| width(&text[found.start..offset.clamp(found.start, found.end)]));
    (row, cell.min(width_limit.max(1)))
}

/// The offset at a cell of a row: the start of the grapheme that covers it, or the end of the row.
pub fn offset_at(text: &str, row: Row, cell: usize) -> usize {
    let mut used = 0;
    for (offset, grapheme) in text[row.start..row.end].grapheme_indices(true) {
        let size = cells(grapheme);
        if used + size > cell {
            return row.start + offset;
        }
        used += size;
    }
    row.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, width: usize) -> Vec<&str> {
        rows(text, width).into_iter().map(|row| &text[row.start..row.end]).collect()
    }

    #[test]
    fn words_move_whole_and_blanks_hang() {
        assert_eq!(shown("hello world", 5), ["hello ", "world"]);
        assert_eq!(shown("a bc def", 4), ["a bc ", "def"]);
        assert_eq!(shown("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(shown("", 3), [""]);
        assert_eq!(shown("a\n\nb", 3), ["a", "", "b"]);
    }

    #[test]
    fn wide_characters_are_not_cut_in_half() {
        assert_eq!(shown("中文字", 5), ["中文", "字"]);
        assert_eq!(shown("中文字", 1), ["中", "文", "字"]);
        assert_eq!(shown("中文字,中", 6), ["中文", "字,中"]);
        assert_eq!(shown("中é\t", 4), ["中", "é", "\t"]);
        assert_eq!(shown("e\u{301}e\u{301}e\u{301}", 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn the_offset_at_a_break_starts_the_next_row() {
        let text = "hello world";
        let rows = rows(text, 5);
        assert_eq!(place(text, &rows, 5, 5), (0, 5));
        assert_eq!(place(text, &rows, 6, 5), (1, 0));
        assert_eq!(place(text, &rows, 11, 5), (1, 5));
    }

    proptest! {
        #[test]
        fn rows_hold_every_byte_once_and_fit(text in "[a-c 中é\u{301}\t\n👩‍💻]{0,60}", width in 4usize..12) {
            let rows = rows(&text, width);
            let mut next = 0;
            for row in &rows {
                prop_assert!(row.start == next || row.start == next + 1 && text.as_bytes()[next] == b'\n');
                let body = text[row.start..row.end].trim_end_matches(' ');
                prop_assert!(super::width(body) <= width || body.graphemes(true).count() == 1);
                next = row.end;
            }
            prop_assert_eq!(next, text.len());
            for (offset, _) in text.grapheme_indices(true) {
                let (row, cell) = place(&text, &rows, offset, width);
                prop_assert!(row < rows.len() && cell <= width);
            }
        }
    }
}
