//! A text that grows, laid out again and again: what stands before its last block is kept.

use super::walk::{self, Mark};
use super::{Options, Rendered, tail};
use crate::edits::blocks;
use crate::ui::sanitise::{self, Tabs};
use crate::ui::theme::Theme;

/// The layout of a growing text. A definition of a link at the end does not reach blocks that were done before it; the
/// last layout, by [`super::layout`], gets that right.
#[derive(Default)]
pub struct Growing {
    /// The text before the last block, as it was laid out.
    done: String,
    gap: bool,
    lines: usize,
    blocks: usize,
    asked: Option<(u16, Theme, usize, bool, u64)>,
    rendered: Rendered,
}

impl Growing {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Like [`super::layout`] with [`Options::growing`]. Cheap when `text` is the last one with something added.
    pub fn layout(&mut self, text: &str, width: u16, theme: &Theme, options: Options<'_>) -> &Rendered {
        let generation = options.highlighter.map_or(0, |highlighter| highlighter.generation());
        let asked = (width, theme.clone(), options.first_number, options.breaks, generation);
        if self.asked.as_ref() != Some(&asked) || !text.starts_with(&self.done) {
            *self = Self { asked: Some(asked), ..Self::default() };
        }
        let clean = sanitise::text_with(&text[self.done.len()..], Tabs::Keep);
        let shown = blocks::shown(&clean, true);
        let rest = tail::close(&shown);
        let options = Options { first_number: options.first_number + self.blocks, growing: true, ..options };
        let (mut rendered, mark) = walk::walk(&rest, usize::from(width), theme, options);
        self.rendered.lines.truncate(self.lines);
        self.rendered.blocks.truncate(self.blocks);
        if self.gap && self.lines > 0 && !rendered.lines.is_empty() {
            self.rendered.lines.push(ratatui::text::Line::default());
        }
        let (above, before) = (self.rendered.lines.len(), self.rendered.blocks.len());
        rendered.blocks.iter_mut().for_each(|block| block.first_line += above);
        self.rendered.lines.append(&mut rendered.lines);
        self.rendered.blocks.append(&mut rendered.blocks);
        // offsets hold for the text as it came only where nothing before them had to be taken out or mended
        if mark.offset > 0 && text[self.done.len()..].get(..mark.offset) == rest.get(..mark.offset) {
            self.keep(text, &mark, above, before);
        }
        &self.rendered
    }

    fn keep(&mut self, text: &str, mark: &Mark, above: usize, before: usize) {
        let end = self.done.len() + mark.offset;
        self.done.push_str(&text[self.done.len()..end]);
        self.lines = above + mark.lines;
        self.blocks = before + mark.blocks;
        self.gap = mark.gap;
    }
}
