//! What of a conversation the model is shown.

use super::{Attachment, Conversation, Node, NodeId};
use crate::chat::{Message, Role, compact, fence, thinking};
use crate::edits::prompt;

impl Conversation {
    /// What the model is asked with: the system prompt (with the folder's notes and the cut's summary), then the kept part of the branch; past
    /// thinking is taken out, attachments stand before their message, open and empty answers are left out.
    pub fn turns(&self) -> Vec<Message> {
        let cut = self.cut();
        let summary = cut.and_then(|cut| cut.summary.as_deref());
        let notes = self.notes().map(noted);
        let said = [self.system(), notes.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        let said = Some(said).filter(|said| !said.is_empty());
        let system = compact::with_summary(said.as_deref(), summary).map(|text| Message::new(Role::System, text));
        let mut turns: Vec<Message> = system.into_iter().collect();
        let first = cut.map_or(NodeId(0), |cut| cut.first_kept);
        let kept = self.path().into_iter().skip_while(|id| *id < first).filter_map(|id| self.node(id));
        for node in kept {
            match node.role {
                Role::Assistant if node.is_open() => {}
                Role::Assistant => {
                    let said = thinking::strip(&node.text);
                    if !said.trim().is_empty() {
                        turns.push(Message::new(Role::Assistant, said));
                    }
                }
                Role::User | Role::System => turns.push(Message::new(Role::User, asked(node))),
            }
        }
        turns
    }
}

fn attached(attachment: &Attachment) -> String {
    let text = fence::fenced(&attachment.text, fence::language_of(&attachment.name));
    format!("{}:\n{text}", fence::inline(&attachment.name))
}

/// The folder's notes as the model reads them.
fn noted(notes: &Attachment) -> String {
    format!("Notes on this project, from {}", attached(notes).trim_end())
}

/// A person's message as the model reads it.
fn asked(node: &Node) -> String {
    let mut text = String::new();
    for attachment in &node.attachments {
        text.push_str(&attached(attachment));
        text.push('\n');
    }
    text.push_str(&prompt::put(&node.text));
    text
}
