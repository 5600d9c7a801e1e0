//! What is typed and not sent yet: kept outside within a second, as the editor keeps its text, so that it stands in the
//! input again after a kill. A message that waits for the model is part of it until it is in the conversation.

use super::msg::Effect;
use super::{App, Out};

/// Milliseconds from the first change to the writing of it.
const PAUSE: u64 = 700;

/// What is known to be kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsent {
    kept: String,
    due: Option<u64>,
}

impl Unsent {
    pub(crate) fn wakes_at(&self) -> Option<u64> {
        self.due
    }
}

impl App {
    /// The message that waits, and what is in the input.
    fn unsent_parts(&self) -> [&str; 2] {
        let waiting = self.outgoing.as_ref().filter(|outgoing| !outgoing.draft().fix);
        [waiting.map_or("", |outgoing| &outgoing.draft().text), self.composer.field.text()]
    }

    fn unsent(&self) -> String {
        let parts = self.unsent_parts();
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn unsent_is_kept(&self) -> bool {
        let [waiting, typed] = self.unsent_parts();
        let gap = usize::from(!waiting.is_empty() && !typed.is_empty());
        let kept = &self.unsent.kept;
        kept.len() == waiting.len() + gap + typed.len() && kept.starts_with(waiting) && kept.ends_with(typed)
    }

    /// Has it kept if it is time. What was sent is not kept any longer, at once.
    pub(crate) fn keep_unsent(&mut self, at_once: bool, out: &mut Out) {
        if self.unsent_is_kept() {
            self.unsent.due = None;
            return;
        }
        let due = *self.unsent.due.get_or_insert(self.clock + PAUSE);
        let sent = self.unsent_parts().iter().all(|part| part.is_empty());
        if at_once || sent || self.clock >= due {
            self.unsent = Unsent { kept: self.unsent(), due: None };
            out.push(Effect::KeepUnsent(self.unsent.kept.clone()));
        }
    }
}
