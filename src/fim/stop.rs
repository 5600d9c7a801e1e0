//! Watches a completion grow and says when it is over: a line where a line was wanted, a block where one was begun,
//! and nothing that follows the cursor anyway. It reads each character once and looks at whole lines only.
//!
//! Text right of the cursor, or a line of the same block below it, make the completion a single line; a block that was
//! just opened and has nothing in it, or the end of the file, let it be more.

use std::borrow::Cow;
use std::sync::Arc;

use super::blocks::indent;
use super::scan::Scan;
use super::{Site, trim};
use crate::lang::Syntax;

mod repeat;

/// How much is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To the end of the line; of the block, where the line opens one that is not filled yet.
    Line,
    /// To the end of the block.
    Block,
}

impl Mode {
    /// What the place asks for.
    pub fn of(site: &Site) -> Self {
        if !site.line_after().trim().is_empty() {
            return Self::Line;
        }
        let Some(below) = site.indent_below() else { return Self::Block };
        let opener = Shape::opener(site);
        if opener.is_some_and(|opener| below <= indent(&opener)) { Self::Block } else { Self::Line }
    }
}

/// Blank lines that may come before the first text.
const LEADING: usize = 2;
/// Lines of a completion.
const MOST_LINES: usize = 40;
/// Bytes of a line.
const LONGEST_LINE: usize = 400;

/// What is known of the place before the first token.
#[derive(Debug)]
struct Shape {
    language: Syntax,
    before: String,
    /// The line that opened the block the cursor is in, if it is empty so far.
    opener: Option<String>,
    /// The first line below with text, as it stands.
    below: Option<String>,
    indent_below: Option<usize>,
    /// Text stands right of the cursor.
    single: bool,
    /// That text is the line's whole text: a line may be put before it.
    before_line: bool,
    /// The opener's bracket is not closed below.
    unclosed: bool,
    /// Brackets open at the cursor.
    open: usize,
    /// The cursor stands between quotes.
    in_text: bool,
}

/// One completion under way. A clone costs little; make one where candidates part.
#[derive(Clone, Debug)]
pub struct Watch {
    shape: Arc<Shape>,
    mode: Mode,
    scan: Scan,
    text: String,
    /// Where the line being written begins.
    line: usize,
    /// The end of the last line with text, without its line end.
    last: usize,
    blanks: usize,
    /// Lines with text.
    count: usize,
    /// Lines indented less end the block.
    floor: Option<usize>,
    /// The floor is only more than the opener's depth; the first line of the block will tell.
    loose: bool,
    /// The line being written closes the block from outside and is its last.
    closing: bool,
    /// A block was opened at the floor.
    opened: bool,
    over: Option<usize>,
}

impl Watch {
    /// Nothing written yet.
    pub fn new(site: &Site, mode: Mode) -> Self {
        let mut scan = site.scan();
        scan.mark();
        Self {
            shape: Arc::new(Shape::new(site, &scan)),
            mode,
            scan,
            text: String::new(),
            line: 0,
            last: 0,
            blanks: 0,
            count: 0,
            floor: None,
            loose: false,
            closing: false,
            opened: false,
            over: None,
        }
    }

    /// All that was pushed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was pushed up to the end of the last line with text, without its line end.
    pub fn whole_lines(&self) -> &str {
        self.text.get(..self.last).unwrap_or_default()
    }

    /// Takes the next piece. `Some` once it is over: how many bytes of [`Watch::text`] to keep, perhaps none.
    pub fn push(&mut self, piece: &str) -> Option<usize> {
        for c in piece.chars() {
            if self.over.is_none() {
                self.over = self.take(c);
            } else {
                self.text.push(c);
            }
        }
        self.over
    }

    /// What to keep when nothing here ended it: the model's own end, or (`cut`) the limit of tokens, which leaves the
    /// last line of a block unfinished.
    pub fn end(&self, cut: bool) -> usize {
        let unfinished = self.text.get(self.line..).is_some_and(|line| !line.trim().is_empty());
        match self.over {
            Some(keep) => keep,
            None if unfinished && cut && self.count > 0 => self.last,
            None if unfinished => self.text.len(),
            None => self.last,
        }
    }

    fn take(&mut self, c: char) -> Option<usize> {
        let starts = !c.is_whitespace() && self.text.get(self.line..).is_some_and(|line| line.trim().is_empty());
        if starts && let Some(keep) = self.start_line(c) {
            self.text.push(c);
            return Some(keep);
        }
        let in_text = self.in_text();
        self.text.push(c);
        self.scan.push(c);
        if c == '\n' {
            return self.end_line(in_text);
        }
        let length = self.text.len() - self.line;
        if length > LONGEST_LINE || (length.is_multiple_of(32) && repeat::in_line(&self.text[self.line..])) {
            return Some(self.last);
        }
        None
    }

    /// The first character of a line is known, and with it how far the line is indented.
    fn start_line(&mut self, c: char) -> Option<usize> {
        if self.line == 0 && !self.shape.before.trim().is_empty() {
            return None;
        }
        let columns = self.columns();
        let shape = &self.shape;
        if self.mode == Mode::Line || self.in_text() {
            return None;
        }
        let closes = matches!(c, '}' | ')' | ']');
        match self.floor {
            None => {
                if shape.must_be_deeper() && shape.opener.as_ref().is_some_and(|opener| columns <= indent(opener)) {
                    return Some(0);
                }
            }
            Some(floor) if columns < floor => {
                if closes && self.scan.depth() > 0 {
                    return None;
                }
                let word = shape.language == Syntax::Bash && matches!(c, 'f' | 'd' | 'e' | ';');
                if (closes || word) && shape.unclosed && self.scan.depth() == 0 {
                    self.closing = true;
                    return None;
                }
                return Some(self.last);
            }
            Some(floor) => {
                // At the top of a file one declaration is enough.
                if floor == 0 && columns == 0 && self.opened && !closes && self.scan.depth() == 0 {
                    return Some(self.last);
                }
            }
        }
        None
    }

    /// Between quotes that the completion opened itself. Where the cursor stands in a text, or is believed to because
    /// of something that looks like a quote, lines end as anywhere.
    fn in_text(&self) -> bool {
        self.scan.in_long_text() && (!self.shape.in_text || self.scan.left_text())
    }

    /// How far the line being written is indented.
    fn columns(&self) -> usize {
        let own = self.text.get(self.line..).unwrap_or_default();
        if self.line == 0 { indent(&format!("{}{own}", self.shape.before)) } else { indent(own) }
    }

    /// `in_text`: the line end stands between quotes.
    fn end_line(&mut self, in_text: bool) -> Option<usize> {
        let start = std::mem::replace(&mut self.line, self.text.len());
        let own = self.text.get(start..).unwrap_or_default().trim_end().to_owned();
        let end = start + own.len();
        if own.trim().is_empty() {
            return self.blank_line(in_text);
        }
        let line = if start == 0 { format!("{}{own}", self.shape.before) } else { own };
        if line.trim_start().starts_with("```") || self.shape.follows_anyway(&line, &self.scan) {
            return Some(self.last);
        }
        if let Some(keep) = repeat::of_lines(&self.text[..end]) {
            return Some(keep);
        }
        let before = std::mem::replace(&mut self.last, end);
        self.count += 1;
        self.blanks = 0;
        match self.mode {
            Mode::Block if in_text => None,
            Mode::Line => self.line_is_enough(&line, end),
            Mode::Block => self.block_goes_on(&line, before, end),
        }
    }

    fn blank_line(&mut self, in_text: bool) -> Option<usize> {
        self.blanks += 1;
        if self.count == 0 {
            // Below a line that is whole, the first line end only finishes it.
            let finishes =
                !self.shape.before.trim().is_empty() && self.text.trim_matches([' ', '\t', '\r', '\n']).is_empty();
            let begun = self.shape.before_opens() && self.mode == Mode::Block;
            let most = if finishes && !begun { 0 } else { LEADING };
            if finishes && begun && self.floor.is_none() {
                self.floor = Some(indent(&self.shape.before) + 1);
                self.loose = true;
                self.blanks = 0;
                return None;
            }
            return (self.blanks > most).then_some(0);
        }
        let pending = self.shape.language.opens(self.text[..self.last].lines().next_back().unwrap_or_default());
        let inside = in_text || self.scan.depth() > 0 || pending;
        (!inside || self.blanks > 1).then_some(self.last)
    }

    fn line_is_enough(&mut self, line: &str, end: usize) -> Option<usize> {
        let shape = &self.shape;
        if shape.single {
            return Some(if shape.before_line { self.text.len() } else { end });
        }
        // A block that this line opens and nothing below fills.
        let columns = indent(line);
        if shape.language.opens(line)
            && shape.indent_below.is_none_or(|below| below <= columns)
            && !shape.closed_below(line)
        {
            self.mode = Mode::Block;
            self.set_floor(columns, self.scan.depth() == 0);
            self.opened = true;
            return None;
        }
        Some(end)
    }

    fn block_goes_on(&mut self, line: &str, before: usize, end: usize) -> Option<usize> {
        let columns = indent(line);
        let opens = self.shape.language.opens(line);
        if self.closing {
            return Some(end);
        }
        if self.loose && self.floor.is_some_and(|floor| columns >= floor) {
            self.set_floor(columns, false);
            self.opened = false;
        }
        let Some(floor) = self.floor else {
            // The line of the cursor itself, or the first of the block.
            let continues = !self.shape.before.trim().is_empty();
            if continues && !opens && self.scan.depth() == 0 {
                return Some(end);
            }
            let deeper = continues && self.scan.depth() == 0;
            self.set_floor(columns, deeper);
            self.opened = opens;
            return (!continues && !opens && self.ends_block(line, columns, columns)).then_some(end);
        };
        if self.count > MOST_LINES {
            return Some(before);
        }
        // Lines of a bracket that the completion opened itself may stand at any depth.
        if self.scan.depth() > 0 {
            self.opened |= columns <= floor;
            return None;
        }
        if columns <= floor && self.shape.language.closes(line.trim()) {
            return self.opened.then_some(end);
        }
        self.opened |= columns <= floor && opens;
        self.ends_block(line, columns, floor).then_some(end)
    }

    fn set_floor(&mut self, columns: usize, deeper: bool) {
        self.floor = Some(columns + usize::from(deeper));
        self.loose = deeper;
    }

    /// After this line nothing of the block can come.
    fn ends_block(&self, line: &str, columns: usize, floor: usize) -> bool {
        columns <= floor
            && self.scan.depth() == 0
            && self.shape.language.leaves(line)
            && !self.shape.language.opens(line)
    }
}

impl Shape {
    fn new(site: &Site, scan: &Scan) -> Self {
        let opener = Self::opener(site);
        let below = site.lines_below().next().map(Cow::into_owned);
        let single = !site.line_after().trim().is_empty();
        let mut shape = Self {
            language: site.tongue(),
            before: site.line_before().to_owned(),
            indent_below: site.indent_below(),
            single,
            before_line: site.is_before_line(),
            unclosed: false,
            open: scan.open(),
            in_text: scan.in_long_text(),
            opener,
            below,
        };
        shape.unclosed =
            shape.opener.as_ref().is_some_and(|opener| !shape.closed_below(opener) && !shape.must_be_deeper());
        shape
    }

    /// The line that opened the block in which the cursor stands, if nothing was written into it above the cursor.
    fn opener(site: &Site) -> Option<String> {
        let before = site.line_before();
        let line = if before.trim().is_empty() { site.lines_above().next()? } else { before };
        site.tongue().opens(line).then(|| line.to_owned())
    }

    fn before_opens(&self) -> bool {
        !self.before.trim().is_empty() && self.language.opens(&self.before)
    }

    /// The opener is one after which only deeper lines make sense.
    fn must_be_deeper(&self) -> bool {
        self.opener.as_ref().is_some_and(|opener| opener.trim_end().ends_with(':') && self.language == Syntax::Python)
    }

    /// The first line below closes what `line` opened.
    fn closed_below(&self, line: &str) -> bool {
        let Some(below) = &self.below else { return false };
        let text = below.trim_start();
        let closer = text.starts_with(['}', ')', ']'])
            || (self.language == Syntax::Bash
                && ["fi", "done", "esac", "else", "elif"].iter().any(|word| text.starts_with(word)));
        closer && indent(below) == indent(line)
    }

    /// The line stands below the cursor already. A line that only closes says so by closing too much.
    fn follows_anyway(&self, line: &str, scan: &Scan) -> bool {
        let Some(below) = &self.below else { return false };
        if line.trim_end() != below.trim_end() {
            return false;
        }
        let closer = line.trim().chars().all(trim::is_closer);
        !closer || scan.below(self.open) > 0
    }
}

#[cfg(test)]
mod tests;
