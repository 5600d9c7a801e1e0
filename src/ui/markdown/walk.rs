//! From the parser's events to lines.

mod rows;

use pulldown_cmark::{CodeBlockKind, Event, Options as Syntax, Parser, Tag, TagEnd};
use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthChar;

use self::rows::Level;
use super::code::{self, Draft};
use super::table::Table;
use super::{Options, Rendered};
use crate::ui::sanitise;
use crate::ui::theme::Theme;
use crate::ui::wrap::Run;

/// Where the last block at the top level begins that stands after an empty line: what is before it does not change when
/// the text grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mark {
    /// Byte in the text, at the start of a line.
    pub(super) offset: usize,
    /// Lines before it.
    pub(super) lines: usize,
    /// Code blocks before it.
    pub(super) blocks: usize,
    /// Whether an empty line is due.
    pub(super) gap: bool,
}

pub(super) fn walk(text: &str, width: usize, theme: &Theme, options: Options<'_>) -> (Rendered, Mark) {
    let syntax = Syntax::ENABLE_TABLES | Syntax::ENABLE_STRIKETHROUGH | Syntax::ENABLE_TASKLISTS;
    let mut walker = Walker::new(text, width, theme, options);
    for (event, range) in Parser::new_ext(text, syntax).into_offset_iter() {
        walker.event(event, range);
    }
    walker.end_prose();
    // an empty quote or item at the end has left its gap
    while walker.out.lines.len() > walker.mark.lines
        && walker.out.lines.last().is_some_and(|line| line.spans.is_empty())
    {
        walker.out.lines.pop();
    }
    (walker.out, walker.mark)
}

struct Link {
    address: String,
    /// Where its text begins: the run, and the bytes of it that stand before.
    start: (usize, usize),
    image: bool,
}

struct Walker<'a> {
    source: &'a str,
    width: usize,
    theme: &'a Theme,
    options: Options<'a>,
    out: Rendered,
    mark: Mark,
    depth: usize,
    levels: Vec<Level>,
    /// The lists around: the next number, or `None` for bullets.
    lists: Vec<Option<u64>>,
    prose: Vec<Run>,
    styles: Vec<Style>,
    links: Vec<Link>,
    code: Option<Draft>,
    table: Option<Table>,
    /// An empty line is due before the next block.
    gap: bool,
}

impl<'a> Walker<'a> {
    fn new(source: &'a str, width: usize, theme: &'a Theme, options: Options<'a>) -> Self {
        Self {
            source,
            width,
            theme,
            options,
            out: Rendered::default(),
            mark: Mark::default(),
            depth: 0,
            levels: Vec::new(),
            lists: Vec::new(),
            prose: Vec::new(),
            styles: Vec::new(),
            links: Vec::new(),
            code: None,
            table: None,
            gap: false,
        }
    }

    fn event(&mut self, event: Event<'_>, range: std::ops::Range<usize>) {
        match event {
            Event::Start(tag) => {
                if self.depth == 0 {
                    self.set_mark(range.start);
                }
                self.depth += 1;
                self.start(tag);
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                self.end(tag, range);
            }
            Event::Text(text) => match &mut self.code {
                Some(code) => code.text.push_str(&text),
                None => self.text(&text, self.style()),
            },
            Event::Code(text) => self.text(&text, self.style().patch(self.theme.code)),
            Event::Html(html) => self.text(&html, self.theme.dim),
            Event::InlineHtml(html) if is_break(&html) => self.push_run("\n", self.style()),
            Event::InlineHtml(html) => self.text(&html, self.theme.dim),
            Event::SoftBreak if self.options.breaks => self.push_run("\n", self.style()),
            Event::SoftBreak => self.soft_break(),
            Event::HardBreak => self.push_run("\n", self.style()),
            Event::Rule => {
                if self.depth == 0 {
                    self.set_mark(range.start);
                }
                self.begin_block();
                let line = "─".repeat(self.room());
                self.push_line(vec![Span::styled(line, self.theme.rule)]);
                self.gap = true;
            }
            Event::TaskListMarker(done) => {
                self.text(if done { "[x] " } else { "[ ] " }, self.theme.marker);
            }
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text, self.style());
            }
        }
    }

    fn set_mark(&mut self, offset: usize) {
        let offset = self.source[..offset].rfind('\n').map_or(0, |at| at + 1);
        if !self.source[..offset].ends_with("\n\n") {
            return;
        }
        self.mark = Mark { offset, lines: self.out.lines.len(), blocks: self.out.blocks.len(), gap: self.gap };
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.begin_block(),
            Tag::Heading { level, .. } => {
                self.begin_block();
                let last = self.theme.heading.len() - 1;
                self.styles.push(self.theme.heading[(level as usize - 1).min(last)]);
            }
            Tag::BlockQuote(_) => {
                self.begin_block();
                self.push_level(None, Run::new("│ ", self.theme.quote));
                self.styles.push(self.style().patch(self.theme.quote));
            }
            Tag::CodeBlock(kind) => {
                self.begin_block();
                let info = match &kind {
                    CodeBlockKind::Fenced(info) => Some(info.as_ref()),
                    CodeBlockKind::Indented => None,
                };
                self.code = Some(Draft::new(info));
            }
            Tag::List(first) => {
                self.begin_block();
                self.lists.push(first);
            }
            Tag::Item => self.start_item(),
            Tag::Table(alignments) => {
                self.begin_block();
                self.table = Some(Table::new(alignments));
            }
            Tag::TableHead | Tag::TableRow => {
                if let Some(table) = &mut self.table {
                    table.begin_row();
                }
            }
            Tag::Emphasis => self.styles.push(self.style().patch(self.theme.emphasis)),
            Tag::Strong => self.styles.push(self.style().patch(self.theme.strong)),
            Tag::Strikethrough => self.styles.push(self.style().patch(self.theme.strike)),
            Tag::Link { dest_url, .. } => self.start_link(&dest_url, false),
            Tag::Image { dest_url, .. } => self.start_link(&dest_url, true),
            Tag::TableCell
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: std::ops::Range<usize>) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => {
                self.end_prose();
                self.gap = true;
            }
            TagEnd::Heading(_) => {
                self.end_prose();
                self.styles.pop();
                self.gap = false;
            }
            TagEnd::BlockQuote(_) => {
                self.end_prose();
                self.levels.pop();
                self.styles.pop();
                self.gap = true;
            }
            TagEnd::CodeBlock => self.end_code(range),
            TagEnd::List(_) => {
                self.lists.pop();
                // a list inside an item of a tight list is part of it
                self.gap = self.gap || self.lists.is_empty();
            }
            TagEnd::Item => {
                self.end_prose();
                if self.levels.last().is_some_and(|level| level.first.is_some()) {
                    self.push_line(Vec::new());
                }
                self.levels.pop();
            }
            TagEnd::Table => self.end_table(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.prose);
                if let Some(table) = &mut self.table {
                    table.push_cell(cell);
                }
            }
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.styles.pop();
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    fn start_item(&mut self) {
        self.begin_block();
        let bullet = ["• ", "◦ ", "▪ "][self.lists.len().saturating_sub(1) % 3];
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            _ => bullet.to_owned(),
        };
        let blank = " ".repeat(sanitise::width(&marker));
        self.push_level(Some(Run::new(marker, self.theme.marker)), Run::new(blank, Style::new()));
    }

    fn start_link(&mut self, address: &str, image: bool) {
        let start = self.prose.last().map_or((0, 0), |run| (self.prose.len() - 1, run.text.len()));
        if image {
            self.text("image: ", self.theme.dim);
        }
        self.links.push(Link { address: sanitise::line(address).into_owned(), start, image });
        self.styles.push(self.style().patch(self.theme.link));
    }

    /// The address follows the text, unless it is the text.
    fn end_link(&mut self) {
        self.styles.pop();
        let Some(link) = self.links.pop() else { return };
        let mut shown = String::new();
        for (at, run) in self.prose.iter().enumerate().skip(link.start.0) {
            let before = if at == link.start.0 { link.start.1 } else { 0 };
            shown.push_str(run.text.get(before..).unwrap_or_default());
        }
        let bare = link.address.strip_prefix("mailto:").unwrap_or(&link.address);
        if shown.is_empty() {
            self.push_run(&link.address, self.style().patch(self.theme.link));
        } else if link.image || (shown != link.address && shown != bare && !link.address.is_empty()) {
            self.push_run(&format!(" ({})", link.address), self.theme.dim);
        }
    }

    fn end_code(&mut self, range: std::ops::Range<usize>) {
        let Some(draft) = self.code.take() else { return };
        let number = self.options.first_number + self.out.blocks.len();
        let open = self.options.growing && draft.is_open(&self.source[range]);
        let first_line = self.out.lines.len();
        let block = draft.finish(number, first_line);
        for row in code::draw(&block, self.room(), open, self.theme, self.options.highlighter) {
            self.push_line(row.spans);
        }
        self.out.blocks.push(block);
        self.gap = true;
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else { return };
        for row in table.draw(self.room(), self.theme) {
            self.push_line(row.spans);
        }
        self.gap = true;
    }

    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or(self.theme.text)
    }

    fn text(&mut self, text: &str, style: Style) {
        let clean = sanitise::text(text);
        self.push_run(&clean, style);
    }

    /// Text that is clean already.
    fn push_run(&mut self, text: &str, style: Style) {
        match self.prose.last_mut() {
            Some(run) if run.style == style => run.text.push_str(text),
            _ => self.prose.push(Run::new(text, style)),
        }
    }

    /// Lines flow together with a space, but not after a wide character, where none is written.
    fn soft_break(&mut self) {
        let last = self.prose.last().and_then(|run| run.text.chars().next_back());
        if !last.is_some_and(|c| c.width() == Some(2) && c.is_alphabetic()) {
            self.push_run(" ", self.style());
        }
    }
}

fn is_break(html: &str) -> bool {
    html.trim_matches(['<', '>', '/', ' ']).eq_ignore_ascii_case("br")
}
