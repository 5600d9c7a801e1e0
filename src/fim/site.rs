//! The text around a cursor, bounded, and what can be read off it at once.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::blocks::indent;
use super::scan::Scan;
use super::trim;
use crate::lang::Syntax;

/// Bytes kept on each side of the cursor.
pub(super) const SIDE: usize = 64 << 10;

/// A place in a file where something may be inserted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Of the file, relative to the opened folder, with `/`.
    pub path: Option<String>,
    /// The opened folder's name.
    pub repo: Option<String>,
    /// What the file is written in.
    pub language: Option<Syntax>,
    /// The text before the cursor; where the file is long, from the beginning of a line.
    pub prefix: String,
    /// The text after it; where the file is long, to the end of a line.
    pub suffix: String,
}

impl Site {
    /// Takes what is near the cursor: at most 64 KiB on each side, whole lines where that is possible.
    pub fn new(path: Option<&str>, repo: Option<&str>, before: &str, after: &str) -> Self {
        let language = path.and_then(Syntax::from_path).or_else(|| Syntax::from_shebang(before));
        Self {
            path: path.map(str::to_owned),
            repo: repo.map(str::to_owned),
            language,
            prefix: last_bytes(before).to_owned(),
            suffix: first_bytes(after).to_owned(),
        }
    }

    /// The cursor's line, left of the cursor.
    pub fn line_before(&self) -> &str {
        self.prefix.rsplit('\n').next().unwrap_or_default()
    }

    /// The cursor's line, right of the cursor, without its end.
    pub fn line_after(&self) -> &str {
        self.suffix.split('\n').next().unwrap_or_default().trim_end_matches('\r')
    }

    /// The same place after `text` was accepted there.
    #[must_use]
    pub fn with(&self, text: &str) -> Self {
        let prefix = format!("{}{text}", self.prefix);
        Self { prefix: last_bytes(&prefix).to_owned(), ..self.clone() }
    }

    pub(super) fn tongue(&self) -> Syntax {
        self.language.unwrap_or(Syntax::Other)
    }

    /// Brackets and quotes open at the cursor.
    pub(super) fn scan(&self) -> Scan {
        let mut scan = Scan::new(self.tongue());
        self.prefix.chars().for_each(|c| scan.push(c));
        scan
    }

    /// Columns of one level of indentation: the least that a line of the file is indented by, else four.
    pub(super) fn indent_unit(&self) -> usize {
        let lines = self.lines_above().chain(self.suffix.lines().skip(1).filter(|line| !line.trim().is_empty()));
        lines.map(indent).filter(|columns| *columns > 1).min().unwrap_or(4).min(8)
    }

    /// How many brackets the cursor's line opened left of the cursor and did not close there.
    pub(super) fn opened_on_line(&self) -> usize {
        let above = self.prefix.len() - self.line_before().len();
        let mut scan = Scan::new(self.tongue());
        for (at, c) in self.prefix.char_indices() {
            if at == above {
                scan.mark();
            }
            scan.push(c);
        }
        if self.line_before().is_empty() { 0 } else { scan.depth() }
    }

    /// The lines above the cursor's that are not blank, nearest first.
    pub(super) fn lines_above(&self) -> impl Iterator<Item = &str> {
        self.prefix.rsplit('\n').skip(1).map(|line| line.trim_end_matches('\r')).filter(|line| !line.trim().is_empty())
    }

    /// The lines below the cursor's that are not blank, nearest first. Where the cursor stands before all the text of
    /// its line, that line is the first of them.
    pub(super) fn lines_below(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let own = self.is_before_line().then(|| Cow::from(format!("{}{}", self.line_before(), self.line_after())));
        let lines = self.suffix.split('\n').skip(1).map(|line| line.trim_end_matches('\r'));
        own.into_iter().chain(lines.filter(|line| !line.trim().is_empty()).map(Cow::from))
    }

    /// Whether the cursor's line has text, all of it right of the cursor.
    pub(super) fn is_before_line(&self) -> bool {
        self.line_before().trim().is_empty() && !self.line_after().trim().is_empty()
    }

    /// How far the first line below is indented; `None` when there is none.
    pub(super) fn indent_below(&self) -> Option<usize> {
        self.lines_below().next().map(|line| indent(&line))
    }
}

fn last_bytes(text: &str) -> &str {
    if text.len() <= SIDE {
        return text;
    }
    let tail = trim::tail(text, SIDE);
    tail.split_once('\n').map_or(tail, |(_, lines)| lines)
}

fn first_bytes(text: &str) -> &str {
    if text.len() <= SIDE {
        return text;
    }
    let head = trim::head(text, SIDE);
    head.rfind('\n').and_then(|end| head.get(..=end)).unwrap_or(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_cut_at_lines() {
        let text = "é234567\n".repeat(20_000);
        let site = Site::new(Some("a.py"), None, &text, &text);
        assert!(site.prefix.len() <= SIDE && site.prefix.len() > SIDE - 16);
        assert!(site.prefix.starts_with("é2") && site.suffix.ends_with("7\n"));
        let line = "x".repeat(SIDE * 2);
        assert_eq!(Site::new(None, None, &line, &line).prefix.len(), SIDE);
    }

    #[test]
    fn the_line_of_the_cursor_and_its_neighbours_are_found() {
        let site = Site::new(Some("a.py"), None, "a\n\nb = ", "c\r\n\n  d\n");
        assert_eq!((site.line_before(), site.line_after()), ("b = ", "c"));
        assert_eq!(site.lines_above().collect::<Vec<_>>(), ["a"]);
        assert_eq!(site.lines_below().collect::<Vec<_>>(), ["  d"]);
        assert_eq!(site.indent_below(), Some(2));
        let before = Site::new(None, None, "a\n  ", "c\n");
        assert!(before.is_before_line());
        assert_eq!(before.lines_below().next().as_deref(), Some("  c"));
        assert_eq!(before.indent_below(), Some(2));
    }
}
