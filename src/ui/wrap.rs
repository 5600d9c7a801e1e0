//! Text into lines of a given width, by grapheme and by the columns it takes. Knows nothing of Markdown.
//!
//! Prose breaks at spaces and beside wide characters; a word that is wider than a line is broken anywhere. Code breaks
//! behind blanks and signs near the end of the line. A grapheme that is wider than the line becomes a dot: no line is ever wider than asked.

use ratatui::style::Style;
use ratatui::text::Span;
use unicode_segmentation::UnicodeSegmentation;

use super::sanitise::grapheme_width;

/// Stands for a grapheme that is wider than a whole line.
const TOO_WIDE: &str = "·";

/// Closing marks: no line begins with one.
const NOT_FIRST: &str = "、。，．：；！？）］｝〉》」』】〕〗’”…‥・ー々ゝゞっゃゅょッャュョァィゥェォ％‰";

/// Opening marks: no line ends with one.
const NOT_LAST: &str = "（［｛〈《「『【〔〖‘“";

/// Text of one style. It has been sanitised; `\n` is a line end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The text.
    pub text: String,
    /// Its style.
    pub style: Style,
}

impl Run {
    /// A run.
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// The spans of one line, and how many columns they take.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) spans: Vec<Span<'static>>,
    pub(crate) width: usize,
}

impl Row {
    pub(crate) fn push(&mut self, text: &str, width: usize, style: Style) {
        self.width += width;
        match self.spans.last_mut() {
            Some(span) if span.style == style => span.content.to_mut().push_str(text),
            _ => self.spans.push(Span::styled(text.to_owned(), style)),
        }
    }

    pub(crate) fn pad(&mut self, columns: usize, style: Style) {
        if columns > 0 {
            self.push(&" ".repeat(columns), columns, style);
        }
    }
}

/// A grapheme, its columns and its style.
type Piece<'a> = (&'a str, usize, Style);

/// The graphemes of a text with their columns.
fn graphemes(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let ascii = text.is_ascii();
    let (bytes, clusters) = if ascii { (text, "") } else { ("", text) };
    let single = (0..bytes.len()).map(move |at| (&bytes[at..=at], 1));
    single.chain(clusters.graphemes(true).map(|grapheme| (grapheme, grapheme_width(grapheme))))
}

/// Prose in lines of at most `width` columns. Spaces at the ends of lines go. There is at least one line, except at
/// width 0, where there is none.
pub(crate) fn prose(runs: &[Run], width: usize) -> Vec<Row> {
    if width == 0 {
        return Vec::new();
    }
    let mut wrapper =
        Wrapper { width, rows: Vec::new(), row: Row::default(), word: Vec::new(), word_width: 0, spaces: None };
    let mut before = "";
    for run in runs {
        for (grapheme, columns) in graphemes(&run.text) {
            match grapheme {
                "\n" => wrapper.end_line(),
                " " => wrapper.space(run.style),
                _ => {
                    if breaks_between(before, grapheme, columns) {
                        wrapper.end_word();
                    }
                    wrapper.word.push((grapheme, columns, run.style));
                    wrapper.word_width += columns;
                }
            }
            before = grapheme;
        }
    }
    wrapper.end_word();
    if wrapper.row.width > 0 || wrapper.rows.is_empty() {
        wrapper.rows.push(wrapper.row);
    }
    wrapper.rows
}

/// Whether a line may end between two graphemes that are no spaces.
fn breaks_between(before: &str, grapheme: &str, columns: usize) -> bool {
    if before.is_empty() || columns == 0 || (before.is_ascii() && columns < 2) {
        return false;
    }
    let wide = columns == 2 || grapheme_width(before) == 2;
    wide && !NOT_FIRST.contains(grapheme) && !NOT_LAST.contains(before)
}

struct Wrapper<'a> {
    width: usize,
    rows: Vec<Row>,
    row: Row,
    word: Vec<Piece<'a>>,
    word_width: usize,
    /// Spaces waiting for a word, with the style they stand in.
    spaces: Option<(usize, Style)>,
}

impl Wrapper<'_> {
    fn space(&mut self, style: Style) {
        self.end_word();
        let count = self.spaces.map_or(0, |(count, _)| count);
        self.spaces = Some((count + 1, style));
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let (spaces, style) = self.spaces.take().unwrap_or_default();
        let spaces = if self.row.width == 0 { 0 } else { spaces };
        if self.row.width + spaces + self.word_width <= self.width {
            self.row.pad(spaces, style);
        } else if self.row.width > 0 {
            self.next_row();
        }
        for (grapheme, columns, style) in std::mem::take(&mut self.word) {
            let (grapheme, columns) = if columns > self.width { (TOO_WIDE, 1) } else { (grapheme, columns) };
            if self.row.width + columns > self.width {
                self.next_row();
            }
            self.row.push(grapheme, columns, style);
        }
        self.word_width = 0;
    }

    fn end_line(&mut self) {
        self.end_word();
        self.spaces = None;
        self.next_row();
    }

    fn next_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }
}

/// One line of code in rows of at most `width` columns, every space kept. Rows after the first begin with `mark`, where
/// there is room for it. A row ends behind a blank or a sign where that fills at least half of it, else anywhere.
pub(crate) fn code<'a>(pieces: impl Iterator<Item = (&'a str, Style)>, width: usize, mark: &'a Run) -> Vec<Row> {
    if width == 0 {
        return Vec::new();
    }
    let mark_width = super::sanitise::width(&mark.text);
    let marked = width >= mark_width + 4;
    let mut rows = Vec::new();
    let mut row: Vec<Piece<'a>> = Vec::new();
    let mut used = 0;
    for (text, style) in pieces {
        for (grapheme, columns) in graphemes(text) {
            let (grapheme, columns) = if columns > width { (TOO_WIDE, 1) } else { (grapheme, columns) };
            while used + columns > width {
                let first = usize::from(marked && !rows.is_empty());
                let rest = row.split_off(row_end(&row, first, width));
                rows.push(built(&row));
                row = if marked { vec![(mark.text.as_str(), mark_width, mark.style)] } else { Vec::new() };
                row.extend(rest);
                used = row.iter().map(|(_, columns, _)| columns).sum();
            }
            row.push((grapheme, columns, style));
            used += columns;
        }
    }
    rows.push(built(&row));
    rows
}

/// Where a row of code that is full ends: behind its last blank, else behind its last sign, else where it is full. Pieces
/// before `first` are no code.
fn row_end(row: &[Piece<'_>], first: usize, width: usize) -> usize {
    let mut filled: usize = row.iter().map(|(_, columns, _)| columns).sum();
    let begins = row.iter().skip(first).position(|(grapheme, ..)| *grapheme != " ").map_or(row.len(), |at| at + first);
    let mut sign = None;
    for at in (begins + 1..=row.len()).rev() {
        if filled * 2 < width {
            break;
        }
        let (grapheme, columns, _) = row[at - 1];
        if grapheme == " " {
            return at;
        }
        let is_sign =
            grapheme.len() == 1 && grapheme != "_" && grapheme.bytes().all(|byte| byte.is_ascii_punctuation());
        if is_sign && sign.is_none() {
            sign = Some(at);
        }
        filled -= columns;
    }
    sign.unwrap_or(row.len())
}

fn built(pieces: &[Piece<'_>]) -> Row {
    let mut row = Row::default();
    pieces.iter().for_each(|(grapheme, columns, style)| row.push(grapheme, *columns, *style));
    row
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sanitise;
    use super::*;

    fn text_of(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|row| row.spans.iter().map(|span| span.content.as_ref()).collect()).collect()
    }

    fn wrap(text: &str, width: usize) -> Vec<String> {
        text_of(&prose(&[Run::new(text, Style::new())], width))
    }

    fn cut(text: &str, width: usize) -> Vec<String> {
        text_of(&code(std::iter::once((text, Style::new())), width, &Run::new("↳ ", Style::new())))
    }

    #[test]
    fn words_go_to_the_next_line_and_spaces_at_the_ends_go() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("one  two", 8), ["one  two"]);
        assert_eq!(wrap("a\nb", 8), ["a", "b"]);
        assert_eq!(wrap("", 8), [""]);
    }

    #[test]
    fn long_words_are_broken() {
        assert_eq!(wrap("see abcdefghij", 6), ["see", "abcdef", "ghij"]);
    }

    #[test]
    fn wide_characters_break_anywhere_but_before_closing_marks() {
        assert_eq!(wrap("中文字符，好", 8), ["中文字", "符，好"]);
        assert_eq!(wrap("中文（好）", 6), ["中文", "（好）"]);
        assert_eq!(wrap("use 中文ok", 8), ["use 中文", "ok"]);
    }

    #[test]
    fn styles_do_not_part_words() {
        let bold = Style::new().add_modifier(ratatui::style::Modifier::BOLD);
        let runs = [Run::new("aa b", Style::new()), Run::new("bb", bold), Run::new(" c", Style::new())];
        assert_eq!(text_of(&prose(&runs, 5)), ["aa", "bbb c"]);
    }

    #[test]
    fn code_keeps_its_spaces_and_marks_what_goes_on() {
        assert_eq!(cut("    let x = 1;", 8), ["    let ", "↳ x = 1;"]);
        assert_eq!(cut("    let x = 1;", 5), ["    l", "et x ", "= 1;"]);
        assert_eq!(cut("", 5), [""]);
    }

    #[test]
    fn code_is_not_cut_inside_words_where_that_can_be_helped() {
        assert_eq!(cut("let total = compute(alpha, beta);", 20), ["let total = ", "↳ compute(alpha, ", "↳ beta);"]);
        assert_eq!(cut("configuration.get_value(key)", 20), ["configuration.", "↳ get_value(key)"]);
        assert_eq!(cut("abcdefghijklmnopqrstuvwxyz", 20), ["abcdefghijklmnopqrst", "↳ uvwxyz"]);
        assert_eq!(
            cut("x = abcdefghijklmnopqrstuvwxyz", 20)[0],
            "x = abcdefghijklmnop",
            "half a row is not given away"
        );
    }

    #[test]
    fn what_is_wider_than_the_line_becomes_a_dot() {
        assert_eq!(wrap("中a", 1), ["·", "a"]);
        assert_eq!(cut("中a", 1), ["·", "a"]);
        assert!(wrap("abc", 0).is_empty());
    }

    proptest! {
        #[test]
        fn every_row_fits(text in "\\PC{0,60}", width in 0usize..12) {
            let text = sanitise::text(&text);
            for row in wrap(&text, width).iter().chain(&cut(&text, width)) {
                prop_assert!(sanitise::width(row) <= width, "{row:?}");
            }
        }
    }
}
