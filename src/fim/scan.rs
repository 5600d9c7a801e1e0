//! Which brackets and quotes are open, character by character. Good enough to know where a statement ends; no parser,
//! and wrong where only a parser can be right (a regular expression in JavaScript, a `case` pattern in Bash).

use crate::lang::Syntax;

/// Brackets deeper than this are not told apart; no code that a person reads has them.
const DEEPEST: usize = 256;

/// Reads code from a known or a fresh state.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    language: Syntax,
    /// Comments begin with slashes.
    slashes: bool,
    open: Vec<char>,
    /// The least that was open since [`Scan::mark`].
    lowest: usize,
    inside: Inside,
    before: char,
    /// After `r` in Rust, how many `#` followed it: what a raw text begins with.
    raw: Option<u8>,
    /// The quote that was open at [`Scan::mark`] was closed since.
    left_text: bool,
    marked_text: bool,
    /// The last character closed nothing.
    stray: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment,
    /// One or two of the same quote, which may become three.
    Opening(char, u8),
    Text(char),
    /// Between triple quotes, after this many of the closing ones.
    Long(char, u8),
    /// After `'` in Rust: a lifetime or a character.
    Tick(u8),
    /// Rust's raw text: how many `#` end it, and how much of that end was just read.
    Raw(u8, u8),
}

impl Scan {
    pub(super) fn new(language: Syntax) -> Self {
        Self {
            language,
            slashes: language.comment() == "//",
            open: Vec::new(),
            lowest: 0,
            inside: Inside::Code,
            before: '\n',
            raw: None,
            left_text: false,
            marked_text: false,
            stray: false,
        }
    }

    /// From here on [`Scan::depth`] and [`Scan::below`] are counted.
    pub(super) fn mark(&mut self) {
        self.settle();
        self.lowest = self.open.len();
        self.left_text = false;
        self.marked_text = self.in_text();
    }

    /// How many brackets are open that were opened after the mark.
    pub(super) fn depth(&self) -> usize {
        self.open.len().saturating_sub(self.lowest)
    }

    /// How many brackets were closed that had been open at the mark, given how many were open there.
    pub(super) fn below(&self, at_mark: usize) -> usize {
        at_mark.saturating_sub(self.lowest)
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// What would close the bracket opened last.
    pub(super) fn innermost(&self) -> Option<char> {
        self.open.last().copied()
    }

    /// Whether the last character was a bracket that closes nothing.
    pub(super) fn took_stray(&self) -> bool {
        self.stray
    }

    /// Inside quotes, where brackets and ends of lines mean nothing.
    pub(super) fn in_text(&self) -> bool {
        matches!(self.inside, Inside::Text(_) | Inside::Long(..) | Inside::Raw(..) | Inside::Opening(_, 1))
    }

    pub(super) fn in_comment(&self) -> bool {
        matches!(self.inside, Inside::LineComment)
    }

    /// The quotes open at the mark were closed since.
    pub(super) fn left_text(&self) -> bool {
        self.left_text
    }

    /// Inside quotes that may hold ends of lines.
    pub(super) fn in_long_text(&self) -> bool {
        match self.inside {
            Inside::Long(..) | Inside::Raw(..) | Inside::BlockComment => true,
            Inside::Text(mark) => self.spans_lines(mark),
            _ => false,
        }
    }

    pub(super) fn push(&mut self, c: char) {
        self.stray = false;
        match self.inside {
            Inside::Code => self.code(c),
            Inside::LineComment if c == '\n' => self.inside = Inside::Code,
            Inside::BlockComment if c == '/' && self.before == '*' => self.inside = Inside::Code,
            Inside::LineComment | Inside::BlockComment => {}
            Inside::Opening(mark, count) => self.opening(mark, count, c),
            Inside::Text(mark) => self.text(mark, c),
            Inside::Long(mark, count) => self.long(mark, count, c),
            Inside::Tick(count) => self.tick(count, c),
            Inside::Raw(hashes, read) => self.raw(hashes, read, c),
        }
        // A backslash that is itself escaped escapes nothing.
        self.before = if c == '\\' && self.before == '\\' { ' ' } else { c };
    }

    /// An empty pair of quotes at the end of the text so far is whole.
    fn settle(&mut self) {
        match self.inside {
            Inside::Opening(mark, 1) => self.inside = Inside::Text(mark),
            Inside::Opening(..) => self.inside = Inside::Code,
            _ => {}
        }
    }

    fn code(&mut self, c: char) {
        let raw = self.raw.take();
        match c {
            '"' if raw.is_some() => self.inside = Inside::Raw(raw.unwrap_or_default(), 0),
            '#' if raw.is_some() => self.raw = raw.map(|hashes| hashes.saturating_add(1)),
            'r' if self.language == Syntax::Rust && (self.before == 'b' || !self.before.is_alphanumeric()) => {
                self.raw = Some(0);
            }
            '(' => self.enter(')'),
            '[' => self.enter(']'),
            '{' => self.enter('}'),
            ')' | ']' | '}' => self.leave(c),
            '#' if !self.slashes && (self.language == Syntax::Python || self.before.is_whitespace()) => {
                self.inside = Inside::LineComment;
            }
            '/' if self.slashes && self.before == '/' => self.inside = Inside::LineComment,
            '*' if self.slashes && self.before == '/' => self.inside = Inside::BlockComment,
            '"' if self.language == Syntax::Python => self.inside = Inside::Opening(c, 1),
            '\'' if self.language == Syntax::Python => self.inside = Inside::Opening(c, 1),
            '"' if self.before != '\\' => self.inside = Inside::Text(c),
            '\'' if self.language == Syntax::Rust => self.inside = Inside::Tick(0),
            // An apostrophe in a word or a number is no quote.
            '\'' if self.before.is_alphanumeric() || self.before == '\\' => {}
            '\'' => self.inside = Inside::Text(c),
            '`' if matches!(self.language, Syntax::JavaScript | Syntax::TypeScript | Syntax::Go) => {
                self.inside = Inside::Text(c);
            }
            _ => {}
        }
    }

    fn opening(&mut self, mark: char, count: u8, c: char) {
        match (c == mark, count) {
            (true, 1) => self.inside = Inside::Opening(mark, 2),
            (true, _) => self.inside = Inside::Long(mark, 0),
            (false, 1) => {
                self.inside = Inside::Text(mark);
                self.before = mark;
                self.text(mark, c);
            }
            (false, _) => {
                self.inside = Inside::Code;
                self.code(c);
            }
        }
    }

    fn text(&mut self, mark: char, c: char) {
        let escaped = self.before == '\\';
        let ends = if c == '\n' { !self.spans_lines(mark) } else { c == mark };
        let raw = mark == '`' && self.language == Syntax::Go;
        if ends && (raw || !escaped) {
            self.out_of_text();
        }
    }

    fn long(&mut self, mark: char, count: u8, c: char) {
        if c != mark || self.before == '\\' {
            self.inside = Inside::Long(mark, 0);
        } else if count == 2 {
            self.out_of_text();
        } else {
            self.inside = Inside::Long(mark, count + 1);
        }
    }

    fn raw(&mut self, hashes: u8, read: u8, c: char) {
        let read = match (read, c) {
            (_, '"') => 1,
            (1.., '#') => read + 1,
            _ => 0,
        };
        self.inside = Inside::Raw(hashes, read);
        if read > hashes {
            self.out_of_text();
        }
    }

    fn tick(&mut self, count: u8, c: char) {
        self.inside = match (count, c) {
            (0, '\\') => Inside::Text('\''),
            (0, c) if c == '\'' || c.is_whitespace() => Inside::Code,
            (0, _) => Inside::Tick(1),
            (_, '\'') => Inside::Code,
            (_, _) => {
                self.inside = Inside::Code;
                return self.code(c);
            }
        };
    }

    fn out_of_text(&mut self) {
        self.inside = Inside::Code;
        self.left_text |= self.marked_text;
    }

    fn spans_lines(&self, mark: char) -> bool {
        match self.language {
            Syntax::Rust => mark == '"',
            Syntax::Bash => true,
            Syntax::JavaScript | Syntax::TypeScript | Syntax::Go => mark == '`',
            Syntax::Python | Syntax::Cpp | Syntax::Java | Syntax::Other => false,
        }
    }

    fn enter(&mut self, close: char) {
        if self.open.len() < DEEPEST {
            self.open.push(close);
        }
    }

    fn leave(&mut self, c: char) {
        // What does not match is somebody's mistake, or a `case` pattern; it closes nothing.
        if self.open.last() == Some(&c) {
            self.open.pop();
            self.lowest = self.lowest.min(self.open.len());
        } else {
            self.stray = self.open.len() < DEEPEST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(language: Syntax, text: &str) -> Scan {
        let mut scan = Scan::new(language);
        text.chars().for_each(|c| scan.push(c));
        scan
    }

    #[test]
    fn brackets_in_texts_and_comments_do_not_count() {
        for (language, text, open) in [
            (Syntax::Python, "f(a, [1", 2),
            (Syntax::Python, "f('(', \"[\") # (", 0),
            (Syntax::Python, "'''(\n'' (''' (", 1),
            (Syntax::Python, "'' ( \"\"", 1),
            (Syntax::Python, r"'\'(' (", 1),
            (Syntax::Python, r"'\\' (", 1),
            (Syntax::Python, "'un(\n(", 1),
            (Syntax::Rust, "fn f<'a>(x: &'a str) { '{'", 1),
            (Syntax::Rust, r"'\'' '\\' (", 1),
            (Syntax::Rust, "\"(\n(\" // (\n [", 1),
            (Syntax::Rust, "r#\"(\"(#\"# r\"\\\" br##\"\"#(\"## for\"(\" (", 1),
            (Syntax::JavaScript, "`(\n${x}` ( /* ( */", 1),
            (Syntax::Go, "`\\` (", 1),
            (Syntax::Cpp, "1'000 (", 1),
            (Syntax::Bash, "echo $# ( # (", 1),
            (Syntax::Other, "don't (", 1),
        ] {
            assert_eq!(read(language, text).open(), open, "{text}");
        }
    }

    #[test]
    fn what_is_closed_from_before_the_mark_is_counted() {
        let mut scan = read(Syntax::Python, "f(g(");
        let at_mark = scan.open();
        scan.mark();
        for (c, depth, below) in [('(', 1, 0), (')', 0, 0), (')', 0, 1), ('[', 1, 1)] {
            scan.push(c);
            assert_eq!((scan.depth(), scan.below(at_mark)), (depth, below), "{c}");
        }
    }

    #[test]
    fn leaving_the_text_at_the_mark_is_noticed() {
        let mut scan = read(Syntax::Python, "x = \"a");
        scan.mark();
        assert!(scan.in_text() && !scan.left_text());
        scan.push('"');
        assert!(!scan.in_text() && scan.left_text());
        assert!(read(Syntax::Python, "\"\"\" a\n").in_long_text());
    }
}
