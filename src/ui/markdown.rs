//! Markdown as lines of a given width: what models write, and what people paste.
//!
//! No line is wider than asked, at any width; nothing reaches a line but through [`sanitise`]. HTML is
//! shown, not obeyed; nothing is fetched. Text that still grows is laid out as if its open ends were closed
//! ([`Options::growing`]), and [`Growing`] lays out only the block that grows.

mod code;
mod growing;
mod table;
mod tail;
mod walk;

use ratatui::text::Line;

use super::highlight::Highlighter;
use super::sanitise::{self, Tabs};
use super::theme::Theme;
use crate::edits::blocks;

pub use growing::Growing;

/// How a text is laid out.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Colours for code; without it code is drawn in the theme's one.
    pub highlighter: Option<&'a Highlighter>,
    /// The number of the first code block; the next ones count on.
    pub first_number: usize,
    /// The text is not at its end yet: what is open there is drawn as if it were closed.
    pub growing: bool,
    /// Every line end is one (for what people type); otherwise lines of a paragraph flow together.
    pub breaks: bool,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { highlighter: None, first_number: 1, growing: false, breaks: false }
    }
}

/// A text, laid out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// Lines of at most the width asked for.
    pub lines: Vec<Line<'static>>,
    /// The code blocks in order.
    pub blocks: Vec<CodeBlock>,
}

/// A code block, for copying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeBlock {
    /// The number in its head line.
    pub number: usize,
    /// The language's word after the fence; empty when there is none.
    pub lang: String,
    /// The code as it was written, tabs included, without control characters; ends with a line end unless empty.
    pub text: String,
    /// The line (in [`Rendered::lines`]) its head stands on.
    pub first_line: usize,
}

/// Lays a text out in lines of at most `width` columns. At width 0 there are no lines, only blocks.
pub fn layout(text: &str, width: u16, theme: &Theme, options: Options<'_>) -> Rendered {
    let text = sanitise::text_with(text, Tabs::Keep);
    let text = blocks::shown(&text, options.growing);
    let text = if options.growing { tail::close(&text) } else { text };
    walk::walk(&text, usize::from(width), theme, options).0
}

#[cfg(test)]
mod tests;
