//! A code block: a head line with number and language, the code in full width, a line under it.

use ratatui::style::Style;

use super::CodeBlock;
use crate::lang;
use crate::text::wrap::TAB;
use crate::ui::highlight::{Highlighter, Ink, Pieces};
use crate::ui::sanitise;
use crate::ui::theme::{Depth, Theme};
use crate::ui::wrap::{self, Row, Run};

/// Begins the rows a long line of code goes on in.
const GOES_ON: &str = "↳ ";

/// A block that is being read.
pub(super) struct Draft {
    lang: String,
    fenced: bool,
    pub(super) text: String,
}

impl Draft {
    /// `info` is what stands after the fence; `None` for indented code.
    pub(super) fn new(info: Option<&str>) -> Self {
        let lang = lang::word_of(info.unwrap_or_default());
        Self { lang: sanitise::line(lang).into_owned(), fenced: info.is_some(), text: String::new() }
    }

    /// Whether the closing fence is missing in the block's source.
    pub(super) fn is_open(&self, source: &str) -> bool {
        let is_fence = |line: &str| {
            let marks = line.trim_start_matches(['>', ' ', '\t']).trim_end();
            marks.len() >= 3 && (marks.bytes().all(|b| b == b'`') || marks.bytes().all(|b| b == b'~'))
        };
        self.fenced && !source.lines().skip(1).last().is_some_and(is_fence)
    }

    pub(super) fn finish(self, number: usize, first_line: usize) -> CodeBlock {
        CodeBlock { number, lang: self.lang, text: self.text, first_line }
    }
}

/// The rows of a block. Where the theme has a ground for code, it fills the width.
pub(super) fn draw(
    block: &CodeBlock,
    width: usize,
    open: bool,
    theme: &Theme,
    highlighter: Option<&Highlighter>,
) -> Vec<Row> {
    if width == 0 {
        return Vec::new();
    }
    let mut rows = vec![head(block, width, theme)];
    let known = match highlighter {
        Some(highlighter) if theme.depth != Depth::None => highlighter.lines(&block.lang, &block.text),
        _ => Vec::new(),
    };
    let mark = Run::new(GOES_ON, theme.block_border);
    for (at, line) in block.text.lines().enumerate() {
        let clean = sanitise::text(line);
        // pieces are ranges of the line as it was written
        let pieces = known.get(at).filter(|_| clean == line || line.contains('\t'));
        rows.extend(match pieces {
            Some(pieces) => {
                wrap::code(inked(line, pieces, theme).iter().map(|(text, style)| (text.as_str(), *style)), width, &mark)
            }
            None => wrap::code(std::iter::once((clean.as_ref(), theme.block)), width, &mark),
        });
    }
    if !open {
        let mut foot = Row::default();
        foot.push(&"─".repeat(width), width, theme.block_border);
        rows.push(foot);
    }
    if theme.block.bg.is_some() {
        rows.iter_mut().for_each(|row| row.pad(width.saturating_sub(row.width), theme.block));
    }
    rows
}

/// `── 1 Rust ─────`
fn head(block: &CodeBlock, width: usize, theme: &Theme) -> Row {
    let name = sanitise::line(&lang::name_of(&block.lang)).into_owned();
    let label = if name.is_empty() { format!(" {} ", block.number) } else { format!(" {} {name} ", block.number) };
    let mut row = Row::default();
    let label = wrap::code(
        std::iter::once((label.as_str(), theme.block_label)),
        width.saturating_sub(2).max(1),
        &Run::new("", Style::new()),
    );
    if width > 4 {
        row.push("──", 2, theme.block_border);
    }
    if let Some(label) = label.into_iter().next().filter(|label| row.width + label.width <= width) {
        row.width += label.width;
        row.spans.extend(label.spans);
    }
    let rest = width.saturating_sub(row.width);
    if rest > 0 {
        row.push(&"─".repeat(rest), rest, theme.block_border);
    }
    row
}

/// The line's pieces in their colours, tabs expanded by column; what the pieces leave out is plain.
fn inked(line: &str, pieces: &Pieces, theme: &Theme) -> Vec<(String, Style)> {
    let mut out: Vec<(String, Style)> = Vec::with_capacity(pieces.len() + 1);
    let mut at = 0;
    let mut column = 0;
    let mut push = |text: &str, ink: Ink| {
        let mut expanded = String::with_capacity(text.len());
        for part in text.split_inclusive('\t') {
            let word = part.trim_end_matches('\t');
            expanded.push_str(word);
            column += sanitise::width(word);
            if word.len() < part.len() {
                let spaces = TAB - column % TAB;
                expanded.push_str(&" ".repeat(spaces));
                column += spaces;
            }
        }
        if !expanded.is_empty() {
            out.push((expanded, ink.style(theme)));
        }
    };
    for (ink, range) in pieces.iter() {
        if let Some(text) = line.get(range.clone()).filter(|_| range.start == at) {
            push(text, *ink);
            at = range.end;
        }
    }
    push(line.get(at..).unwrap_or_default(), Ink::Plain);
    out
}
