//! Errors counted by tree-sitter, with a limit on the work, so that no text keeps it busy.

use std::fmt;
use std::ops::ControlFlow;

use tree_sitter::{InputEdit, ParseOptions, Parser, Point, Tree};

use crate::fim::Site;
use crate::lang::Syntax;

/// Times the parser may report progress, which it does every hundred operations: ten times what 36 KiB of usual code take.
const MOST_STEPS: usize = 1500;
/// Errors that are told apart.
const MOST_ERRORS: usize = 200;

/// The text around a cursor, parsed.
pub(super) struct Parsed {
    parser: Parser,
    tree: Tree,
    errors: usize,
}

impl Parsed {
    /// `None` where there is no grammar, or the work would be too much.
    pub(super) fn new(site: &Site, text: &str) -> Option<Self> {
        let mut parser = Parser::new();
        parser.set_language(&grammar(site)?).ok()?;
        let tree = parse(&mut parser, text, None)?;
        let errors = count(&tree);
        Some(Self { parser, tree, errors })
    }

    /// Errors without a candidate.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Errors of `text`, which is the text with `candidate` inserted at the byte `at`.
    pub(super) fn errors_with(&mut self, text: &str, at: usize, candidate: &str) -> Option<usize> {
        let end = at + candidate.len();
        let mut old = self.tree.clone();
        old.edit(&InputEdit {
            start_byte: at,
            old_end_byte: at,
            new_end_byte: end,
            start_position: point(text, at),
            old_end_position: point(text, at),
            new_end_position: point(text, end),
        });
        parse(&mut self.parser, text, Some(&old)).map(|tree| count(&tree))
    }
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("errors", &self.errors).finish_non_exhaustive()
    }
}

fn grammar(site: &Site) -> Option<tree_sitter::Language> {
    let jsx = site.path.as_deref().is_some_and(|path| path.ends_with("x"));
    Some(match site.language? {
        Syntax::Python => tree_sitter_python::LANGUAGE.into(),
        Syntax::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
        Syntax::TypeScript if jsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
        Syntax::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
        Syntax::Cpp => tree_sitter_cpp::LANGUAGE.into(),
        Syntax::Rust => tree_sitter_rust::LANGUAGE.into(),
        Syntax::Go => tree_sitter_go::LANGUAGE.into(),
        Syntax::Java => tree_sitter_java::LANGUAGE.into(),
        Syntax::Bash => tree_sitter_bash::LANGUAGE.into(),
        Syntax::Other => return None,
    })
}

fn parse(parser: &mut Parser, text: &str, old: Option<&Tree>) -> Option<Tree> {
    let mut steps = 0;
    let mut progress = |_: &_| {
        steps += 1;
        if steps > MOST_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    let bytes = text.as_bytes();
    let tree = parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), old, Some(options));
    if tree.is_none() {
        // A parse given up would be gone on with at the next call.
        parser.reset();
    }
    tree
}

fn point(text: &str, at: usize) -> Point {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    Point::new(before.bytes().filter(|byte| *byte == b'\n').count(), at - line)
}

/// Nodes that are errors, or that the parser put in because they were missing.
fn count(tree: &Tree) -> usize {
    let mut cursor = tree.walk();
    let mut errors = 0;
    loop {
        let node = cursor.node();
        errors += usize::from(node.is_error() || node.is_missing());
        if errors >= MOST_ERRORS {
            return errors;
        }
        if node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return errors;
            }
        }
    }
}
