//! `/diff` and `/commit`: what has changed in the folder, and a message for it that the model proposes. Nothing is
//! committed here: the command is put into the input, and asked about like any other.

use crate::app::msg::{Changed, Effect, Level};
use crate::app::overlay::{Overlay, Page};
use crate::app::{App, Out};
use crate::chat::thinking;
use crate::chat::tree::{Attachment, NodeId};
use crate::edits::prompt;
use crate::text::clean;

/// What is asked for.
const WISH: &str = "Write a commit message for this change: one line of at most 72 characters that says what it does, in the \
                    imperative, without quotes; then, only if it needs one, an empty line and a short reason. Answer with the message \
                    alone.";
/// Bytes of a message at most.
const LONGEST: usize = 2000;

/// `/diff`.
pub(crate) fn diff(_app: &mut App, _args: &str, out: &mut Out) {
    out.push(Effect::Changed { commit: false });
}

/// `/commit`.
pub(crate) fn commit(app: &mut App, _args: &str, out: &mut Out) {
    if app.is_free() && app.can_send(out) {
        out.push(Effect::Changed { commit: true });
    }
}

impl App {
    /// What has changed is shown as a page.
    pub(crate) fn on_changed(&mut self, changed: &Changed) {
        if changed.text.trim().is_empty() && changed.new.is_empty() {
            self.tell(Level::Info, format!("nothing has changed since {}", changed.since));
            return;
        }
        if self.is_covered() {
            return;
        }
        let fence = "`".repeat(changed.text.split(|c| c != '`').map(str::len).max().unwrap_or(0).max(2) + 1);
        let new: Vec<String> = changed.new.iter().map(|name| format!("- `{}`\n", clean::name(name))).collect();
        let new = if new.is_empty() { String::new() } else { format!("\nNew files:\n\n{}", new.concat()) };
        let diff = if changed.text.is_empty() {
            String::new()
        } else {
            format!("{fence}diff\n{}{fence}\n", ended(&changed.text))
        };
        let title = format!("changes since {}", changed.since);
        self.overlay = Some(Overlay::Page(Page { title, markdown: format!("{diff}{new}"), top: 0, back: false }));
    }

    /// The change that shall be committed: the model is asked for a message.
    pub(crate) fn on_to_commit(&mut self, text: &str, all: bool, out: &mut Out) {
        if text.trim().is_empty() {
            self.tell(Level::Info, "there is nothing to commit; `git add` takes new files in");
            return;
        }
        if !self.is_free() || !self.can_send(out) {
            return;
        }
        let room = (self.model.n_ctx() as usize).clamp(2048, 16 << 10);
        let shown = &text[..text.floor_char_boundary(room)];
        let cut = if shown.len() < text.len() { "\n[…]\n" } else { "" };
        let command = if all { "git diff HEAD" } else { "git diff --cached" };
        let change = Attachment { name: prompt::output_of(command), text: format!("{shown}{cut}"), real: None };
        self.submit(WISH.to_owned(), vec![change], Vec::new(), Vec::new(), out);
        let answer = self.turn.answer().map(|answer| answer.node);
        self.edits.commit = answer.map(|answer| (answer, all));
    }

    /// The answer is the message: the command that commits with it is put into the input.
    pub(crate) fn commit_answered(&mut self, node: NodeId) {
        let Some((_, all)) = self.edits.commit.take_if(|(answer, _)| *answer == node) else { return };
        let text = self.conversation.node(node).map(|node| message(&node.text)).unwrap_or_default();
        if text.is_empty() {
            self.tell(Level::Warning, "the model proposed no message");
            return;
        }
        let all = if all { " -a" } else { "" };
        let command = format!("/run git commit{all} -m '{}'", text.replace('\'', "'\\''"));
        if self.composer.field.is_empty() {
            self.composer.set(&command);
            self.tell(Level::Info, "Enter commits with this message, after a question; change it as you like");
        } else {
            self.composer.history.push(&command);
            self.tell(Level::Info, "the command that commits is the newest of the earlier inputs: Up shows it");
        }
    }
}

fn ended(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

/// The message in an answer: without thinking, fences, quotes and a word before it.
fn message(answer: &str) -> String {
    let text = clean::pasted(thinking::strip(answer).trim());
    let fenced = text.split_once("```").and_then(|(_, rest)| rest.split_once('\n')).map(|(_, rest)| rest);
    let text = fenced.map_or(text.as_str(), |rest| rest.split("```").next().unwrap_or(rest));
    let text = unquoted(text);
    let words = ["**Commit message:**", "Commit message:", "commit message:", "Subject:"];
    let text = unquoted(words.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text));
    text[..text.floor_char_boundary(LONGEST)].to_owned()
}

/// A text without the quotes around all of it.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inner = ["\"", "`", "**"].iter().find_map(|sign| text.strip_prefix(sign)?.strip_suffix(sign));
    inner.unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_what_is_left_of_the_answer() {
        for answer in [
            "Add b",
            "<think>hm</think>\nAdd b\n",
            "```\nAdd b\n```\nThis says it.",
            "\"Add b\"",
            "**Commit message:** Add b",
            "Commit message: `Add b`",
        ] {
            assert_eq!(message(answer), "Add b", "{answer}");
        }
        assert_eq!(message("Add b\n\nIt was missing."), "Add b\n\nIt was missing.");
    }
}
