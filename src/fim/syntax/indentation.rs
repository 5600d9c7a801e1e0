//! Whether Python's lines are indented as its blocks need it.

use crate::fim::blocks::indent;
use crate::fim::scan::Scan;
use crate::lang::Syntax;

/// Places where a block should begin and does not, where one begins without reason, or where one ends at no block's
/// depth.
pub(super) fn faults(text: &str) -> usize {
    let mut scan = Scan::new(Syntax::Python);
    let mut blocks: Vec<usize> = Vec::new();
    let mut faults = 0;
    let (mut opens, mut joined) = (false, false);
    for line in text.split('\n') {
        let content = line.trim();
        let code = !content.is_empty() && !content.starts_with('#');
        if code && !joined && scan.open() == 0 && !scan.in_long_text() {
            faults += usize::from(!enter(&mut blocks, indent(line), opens));
        }
        let last = last_code(&mut scan, line);
        if code {
            joined = last == Some('\\');
            opens = last == Some(':') && scan.open() == 0;
        }
    }
    faults
}

/// A statement begins at this depth; whether it may. The blocks are then as if it might.
fn enter(blocks: &mut Vec<usize>, columns: usize, opens: bool) -> bool {
    let Some(&deepest) = blocks.last() else {
        blocks.push(columns);
        return true;
    };
    if columns > deepest {
        blocks.push(columns);
        return opens;
    }
    while blocks.last().is_some_and(|&block| block > columns) {
        blocks.pop();
    }
    let fits = blocks.last() == Some(&columns) || blocks.is_empty();
    if blocks.last() != Some(&columns) {
        blocks.push(columns);
    }
    fits && !opens
}

/// The line's last character that is code and no blank; reads the line with its end.
fn last_code(scan: &mut Scan, line: &str) -> Option<char> {
    let mut last = None;
    for c in line.chars() {
        scan.push(c);
        if !c.is_whitespace() && !scan.in_comment() {
            last = if scan.in_text() || scan.in_long_text() { Some('"') } else { Some(c) };
        }
    }
    scan.push('\n');
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_where_they_should_be() {
        for text in [
            "",
            "def f():\n    return 1\n\n\nx = 1\n",
            "if a:\n    b\nelif c: # :\n    d\nelse:\n  e\n",
            "x = {\n        'a': 1,\n  'b':\n 2}\ny\n",
            "def f():\n    '''a:\n  b\n    '''\n    x = [\n 1]\n    # c\n  # d\n    return\n",
            "if a: return 0\nb\n",
            "x = a + \\\n        b\ny\n",
            "    in_the_middle\n  out\nout\n",
            "x = ':'\ny\n",
        ] {
            assert_eq!(faults(text), 0, "{text}");
        }
    }

    #[test]
    fn blocks_that_are_missing_or_too_many_are_counted() {
        for (text, want) in [
            ("if a:\nb\n", 1),
            ("a\n    b\n    c\n", 1),
            ("if a:\n        b\n    c\n", 1),
            ("def f():\n    if a:\n    b\n      c\n", 2),
        ] {
            assert_eq!(faults(text), want, "{text}");
        }
    }
}
