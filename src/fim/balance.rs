//! How the brackets and quotes of a whole text stand, line by line. No parser: it knows what [`super::scan`] knows, and
//! is wrong where that is.

use super::scan::Scan;
use crate::lang::Syntax;

/// What is wrong with a text; lines count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This closes nothing.
    Stray(char, usize),
    /// Something opened in this line is never closed by this.
    Open(char, usize),
    /// Quotes opened in this line are never closed.
    Quote(usize),
}

/// A text's lines and their brackets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balance {
    /// By line: how many brackets are open where it begins; behind the last one how many are at the end.
    pub(crate) depth: Vec<usize>,
    /// By line: it begins inside quotes or a comment of several lines.
    pub(crate) inside: Vec<bool>,
    /// The first thing that is wrong.
    pub(crate) fault: Option<Fault>,
}

/// Reads a whole text.
pub(crate) fn read(language: Syntax, text: &str) -> Balance {
    let mut scan = Scan::new(language);
    let mut found = Balance::default();
    // what is open, and since which line
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut quoted = 0;
    for (n, line) in text.split_inclusive('\n').enumerate() {
        found.depth.push(scan.open());
        found.inside.push(scan.in_long_text());
        for c in line.chars() {
            let (before, in_text) = (scan.open(), scan.in_text());
            scan.push(c);
            match scan.open() {
                now if now > before => open.extend(scan.innermost().map(|close| (close, n))),
                now if now < before => drop(open.pop()),
                _ => {}
            }
            if scan.in_text() && !in_text {
                quoted = n;
            }
            if scan.took_stray() {
                found.fault = found.fault.or(Some(Fault::Stray(c, n)));
            }
            if c == '\n' && in_text && !scan.in_text() {
                found.fault = found.fault.or(Some(Fault::Quote(quoted)));
            }
        }
    }
    found.depth.push(scan.open());
    if found.fault.is_none() {
        found.fault = match open.last() {
            _ if scan.in_text() => Some(Fault::Quote(quoted)),
            Some((close, line)) => Some(Fault::Open(*close, *line)),
            None => None,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_that_is_wrong_is_found_with_its_line() {
        for (language, text, fault) in [
            (Syntax::Python, "f(a,\n  [1])\n", None),
            (Syntax::Python, "f(a\n\ng()\n", Some(Fault::Open(')', 0))),
            (Syntax::Python, "x = 1)\n", Some(Fault::Stray(')', 0))),
            (Syntax::Python, "x = 1\ny = 'a\n", Some(Fault::Quote(1))),
            (Syntax::Python, "\"\"\"a\n'(\n\"\"\"\nx = \"\"\n", None),
            (Syntax::Python, "\"\"\"a\n", Some(Fault::Quote(0))),
            (Syntax::Python, "x = ''", None),
            (Syntax::Rust, "fn a<'b>() {\n    \"(\n(\"\n}\n", None),
            (Syntax::Rust, "fn a() {\n    if b {\n}\n", Some(Fault::Open('}', 0))),
            (Syntax::JavaScript, "a(`\n${b}`);\n})", Some(Fault::Stray('}', 2))),
        ] {
            assert_eq!(read(language, text).fault, fault, "{text:?}");
        }
    }

    #[test]
    fn lines_know_how_deep_they_begin() {
        let found = read(Syntax::Rust, "mod a {\n    fn b() {\n        \"\n}\";\n    }\n}\n");
        assert_eq!(found.depth, [0, 1, 2, 2, 2, 1, 0]);
        assert_eq!(found.inside, [false, false, false, true, false, false]);
    }
}
