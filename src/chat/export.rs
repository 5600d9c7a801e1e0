//! A conversation as Markdown, for people. Pure; writes down the branch that is shown, nothing else.

use super::Role;
use super::calendar::Moment;
use super::fence::{fenced, inline, language_of, left_open};
use super::thinking::{Part, parts};
use super::tree::{Attachment, Conversation, Node, one_line};

/// The branch that is shown, as Markdown: title, model, then each message under a heading. Thinking is folded, code
/// stays code whatever fences it holds, and a block that an answer left open does not swallow what follows.
pub fn export_markdown(conversation: &Conversation) -> String {
    let mut out = format!("# {}\n\n", plain(&conversation.title()));
    let begun = Moment::utc(conversation.created()).minutes();
    out.push_str(&format!("{begun} UTC · {}\n", inline(&one_line(conversation.model(), 200))));
    if let Some(system) = conversation.system() {
        out.push_str("\n## System\n\n");
        out.push_str(&fenced(system, ""));
    }
    if let Some(notes) = conversation.notes() {
        out.push_str("\n## Project notes\n\n");
        attachment(&mut out, notes);
    }
    let cut = conversation.cut();
    for node in conversation.path().into_iter().filter_map(|id| conversation.node(id)) {
        if let Some(cut) = cut.filter(|cut| cut.first_kept == node.id) {
            out.push_str("\n---\n\n*The model no longer saw what stands above.*\n");
            if let Some(summary) = &cut.summary {
                out.push('\n');
                out.push_str(&quoted(summary));
            }
        }
        message(&mut out, node);
    }
    out
}

fn attachment(out: &mut String, file: &Attachment) {
    out.push_str(&format!("{}:\n\n", inline(&one_line(&file.name, 400))));
    out.push_str(&fenced(&file.text, language_of(&file.name)));
}

fn message(out: &mut String, node: &Node) {
    match node.role {
        Role::Assistant => {
            out.push_str("\n## Answer\n\n");
            for part in parts(&node.text, false) {
                match part {
                    Part::Text(text) => body(out, text),
                    Part::Thinking { text, .. } => {
                        out.push_str("<details><summary>Thinking</summary>\n\n");
                        out.push_str(&fenced(text, ""));
                        out.push_str("\n</details>\n\n");
                    }
                }
            }
            if node.is_open() {
                out.push_str("\n*(cut off)*\n");
            }
        }
        Role::User | Role::System => {
            out.push_str("\n## Question\n\n");
            for file in &node.attachments {
                attachment(out, file);
                out.push('\n');
            }
            body(out, &node.text);
        }
    }
}

/// Text that is Markdown already, ended by one line break and with its last fence closed.
fn body(out: &mut String, text: &str) {
    let text = text.trim_end();
    out.push_str(text);
    out.push('\n');
    if let Some(fence) = left_open(text) {
        out.push_str(&fence);
        out.push('\n');
    }
}

fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}\n")).collect()
}

/// A title that stays a title: no mark-up of its own.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if matches!(letter, '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::journal::{Entry, SessionId};
    use crate::chat::tree::NodeId;

    #[test]
    fn fences_inside_fences_survive_the_export() {
        let id = SessionId::new(1_795_256_045_000, 7);
        let file = "# Guide\n```sh\nls\n```\n````\nodd\n".to_owned();
        let entries = [
            Entry::session(id, 1_795_256_045, "Smol`LM"),
            Entry::System { text: Some("Be *brief*".into()) },
            Entry::Node {
                id: NodeId(0),
                parent: None,
                role: Role::User,
                text: "what is `this` # here".into(),
                attachments: vec![Attachment { name: "GUIDE.md".into(), text: file, real: None }],
                at: 1,
            },
            Entry::Node {
                id: NodeId(1),
                parent: Some(NodeId(0)),
                role: Role::Assistant,
                text: String::new(),
                attachments: vec![],
                at: 2,
            },
            Entry::Append { id: NodeId(1), text: "<think>\n```\nhm\n</think>\nLike so:\n```rust\nfn main() {".into() },
            Entry::Node {
                id: NodeId(2),
                parent: Some(NodeId(1)),
                role: Role::User,
                text: "go on".into(),
                attachments: vec![],
                at: 3,
            },
        ];
        let conversation = Conversation::from_entries(&entries).unwrap();
        let expected = "# what is \\`this\\` \\# here\n\n2026-11-21 10:14 UTC · ``Smol`LM``\n\n## System\n\n\
            ```\nBe *brief*\n```\n\n## Question\n\n`GUIDE.md`:\n\n`````md\n# Guide\n```sh\nls\n```\n````\nodd\n`````\n\n\
            what is `this` # here\n\n## Answer\n\n<details><summary>Thinking</summary>\n\n````\n```\nhm\n````\n\n\
            </details>\n\nLike so:\n```rust\nfn main() {\n```\n\n*(cut off)*\n\n## Question\n\ngo on\n";
        assert_eq!(export_markdown(&conversation), expected);
        let code: Vec<String> = code_blocks(&export_markdown(&conversation));
        assert!(code.contains(&"# Guide\n```sh\nls\n```\n````\nodd\n".to_owned()), "{code:?}");
    }

    /// As a Markdown reader sees them.
    fn code_blocks(markdown: &str) -> Vec<String> {
        use pulldown_cmark::{Event, Parser, Tag, TagEnd};
        let (mut blocks, mut open) = (Vec::new(), None);
        for event in Parser::new(markdown) {
            match event {
                Event::Start(Tag::CodeBlock(_)) => open = Some(String::new()),
                Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
                Event::Text(text) => {
                    if let Some(block) = &mut open {
                        block.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        blocks
    }

    proptest::proptest! {
        #[test]
        fn an_attachment_comes_back_from_the_export_as_it_was(text in "(`{1,6}|~~~|a|\n| |#|>|-){0,40}") {
            let block = fenced(&text, "md");
            let mut expected = text.clone();
            if !expected.is_empty() && !expected.ends_with('\n') {
                expected.push('\n');
            }
            proptest::prop_assert_eq!(code_blocks(&format!("before\n\n{block}\nafter")), vec![expected]);
        }
    }
}
