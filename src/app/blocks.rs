//! The numbers of code blocks: they count through the answers of the current branch, so that `/copy 3` means one thing.
//! A block is what the chat pane draws as one; the pane takes its first number for each answer from here.

use std::collections::HashMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::chat::Role;
use crate::chat::thinking::{Part, parts};
use crate::chat::tree::{Conversation, Node, NodeId};
use crate::edits::blocks as forms;
use crate::edits::place::Piece;
use crate::text::clean;

/// A code block of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The word after the fence.
    pub lang: String,
    /// All that stands behind the fence.
    pub info: String,
    /// The paragraph before it.
    pub before: String,
    /// The code.
    pub text: String,
}

impl From<Block> for Piece {
    fn from(block: Block) -> Self {
        Self { info: block.info, before: block.before, text: block.text }
    }
}

/// The code blocks of an answer, thinking left out.
pub fn of(text: &str) -> Vec<Block> {
    let said = |part| match part {
        Part::Text(text) => Some(text),
        Part::Thinking { .. } => None,
    };
    parts(text, false).into_iter().filter_map(said).flat_map(of_markdown).collect()
}

fn of_markdown(text: &str) -> Vec<Block> {
    // most answers of a long conversation have none, and this is asked of all of them at once
    if !text.contains("```")
        && !text.contains("~~~")
        && !text.contains("<<<<<")
        && !text.contains("    ")
        && !text.contains('\t')
    {
        return Vec::new();
    }
    let text = clean::pasted(text);
    // as they are drawn
    let text = forms::fenced(&text, false);
    let syntax = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut before = String::new();
    for event in Parser::new_ext(&text, syntax) {
        match (event, &mut open) {
            (Event::Start(Tag::CodeBlock(kind)), _) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => info.trim().to_owned(),
                    CodeBlockKind::Indented => String::new(),
                };
                let lang = info.split_whitespace().next().unwrap_or("").to_owned();
                open = Some(Block { lang, info, before: std::mem::take(&mut before), text: String::new() });
            }
            (Event::Text(piece), Some(block)) => block.text.push_str(&piece),
            (Event::End(TagEnd::CodeBlock), _) => blocks.extend(open.take()),
            (Event::Start(Tag::Paragraph | Tag::Heading { .. } | Tag::Item), None) => before.clear(),
            (Event::Text(piece), None) => before.push_str(&piece),
            (Event::Code(code), None) => before.extend(["`", &code, "`"]),
            (Event::SoftBreak | Event::HardBreak, None) => before.push(' '),
            _ => {}
        }
    }
    blocks
}

/// Where each answer's numbers begin.
#[derive(Clone, Debug, Default)]
pub struct BlockIndex {
    /// By message: its length when counted, and its blocks.
    counts: HashMap<NodeId, (usize, usize)>,
    firsts: HashMap<NodeId, usize>,
}

impl BlockIndex {
    /// The number of an answer's first block.
    pub fn first(&self, node: NodeId) -> usize {
        self.firsts.get(&node).copied().unwrap_or(1)
    }

    /// Counts again along a branch; answers counted before and not grown since are not read again.
    pub fn follow(&mut self, conversation: &Conversation, path: &[NodeId]) {
        self.firsts.clear();
        let mut next = 1;
        for node in path.iter().filter_map(|id| conversation.node(*id)) {
            self.firsts.insert(node.id, next);
            next += self.count(node);
        }
    }

    /// Forgets everything: ids mean something else now.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn count(&mut self, node: &Node) -> usize {
        if node.role != Role::Assistant {
            return 0;
        }
        match self.counts.get(&node.id) {
            Some((len, count)) if *len == node.text.len() => *count,
            _ => {
                let count = of(&node.text).len();
                self.counts.insert(node.id, (node.text.len(), count));
                count
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_wherever_markdown_has_them() {
        let text = "<think>\n```\nno\n```\n</think>a\n```rust\nfn a() {}\n```\n- b\n  ~~~\n  x\n  ~~~\n\n    indented\n\n```py\nopen";
        let langs: Vec<_> = of(text).into_iter().map(|block| (block.lang, block.text)).collect();
        let pair = |lang: &str, text: &str| (lang.to_owned(), text.to_owned());
        assert_eq!(langs[0], pair("rust", "fn a() {}\n"));
        assert_eq!(langs[1], pair("", "x\n"));
        assert_eq!(langs.last(), Some(&pair("py", "open")));
        let named = of("Old words.\n\nIn `a.rs`,\nas **said**:\n```rust src/a.rs\nx\n```\n```\ny\n```\n");
        assert_eq!((named[0].before.as_str(), named[0].info.as_str()), ("In `a.rs`, as said:", "rust src/a.rs"));
        assert_eq!(named[1].before, "");
    }
}
