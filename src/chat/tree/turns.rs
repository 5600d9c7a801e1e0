//! What of a conversation the model is shown.

use super::{Conversation, Node, NodeId};
use crate::chat::{Message, Role, fence, thinking};
use crate::edits::prompt;

impl Conversation {
    /// What the model is asked with: the system prompt (with the cut's summary), then the kept part of the branch; past
    /// thinking is taken out, attachments stand before their message, open and empty answers are left out.
    pub fn turns(&self) -> Vec<Message> {
        let cut = self.cut();
        let summary = cut.and_then(|cut| cut.summary.as_deref());
        let mut turns: Vec<Message> =
            system_text(self.system(), summary).map(|text| Message::new(Role::System, text)).into_iter().collect();
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

/// The system message: the prompt, then the summary of what was left out; `None` when there is neither.
pub fn system_text(system: Option<&str>, summary: Option<&str>) -> Option<String> {
    let summary = summary.map(|text| format!("Summary of the conversation so far:\n{}", text.trim()));
    match (system, summary) {
        (Some(system), Some(summary)) => Some(format!("{system}\n\n{summary}")),
        (Some(system), None) => Some(system.to_owned()),
        (None, summary) => summary,
    }
}

/// A person's message as the model reads it.
fn asked(node: &Node) -> String {
    let mut text = String::new();
    for attachment in &node.attachments {
        text.push_str(&fence::inline(&attachment.name));
        text.push_str(":\n");
        text.push_str(&fence::fenced(&attachment.text, fence::language_of(&attachment.name)));
        text.push('\n');
    }
    text.push_str(&prompt::put(&node.text));
    text
}
