//! What was sent before, to be called back with the arrow keys. Kept in memory; whoever owns files loads and appends.

/// Most entries kept; older ones go.
pub const MOST: usize = 500;

/// Earlier inputs and the place in them.
#[derive(Clone, Debug, Default)]
pub struct History {
    items: Vec<String>,
    /// What is shown: an entry, or (`None`) the draft.
    at: Option<usize>,
    /// What was being written when the walk began.
    draft: String,
}

impl History {
    /// From entries, oldest first.
    pub fn new(mut items: Vec<String>) -> Self {
        items.drain(..items.len().saturating_sub(MOST));
        Self { items, at: None, draft: String::new() }
    }

    /// Remembers an input unless it repeats the newest; tells whether it did.
    pub fn push(&mut self, text: &str) -> bool {
        self.at = None;
        if text.trim().is_empty() || self.items.last().is_some_and(|last| last == text) {
            return false;
        }
        self.items.push(text.to_owned());
        if self.items.len() > MOST {
            self.items.remove(0);
        }
        true
    }

    /// The newest entry that begins so.
    pub fn newest(&self, begins: &str) -> Option<&str> {
        self.items.iter().rev().find(|item| item.starts_with(begins)).map(String::as_str)
    }

    /// The entry before what is shown; `current` is kept when the walk begins.
    pub fn older(&mut self, current: &str) -> Option<&str> {
        let next = match self.at {
            None => {
                let newest = self.items.len().checked_sub(1)?;
                self.draft = current.to_owned();
                newest
            }
            Some(at) => at.checked_sub(1)?,
        };
        self.at = Some(next);
        self.items.get(next).map(String::as_str)
    }

    /// The entry after what is shown; after the newest comes the draft.
    pub fn newer(&mut self) -> Option<&str> {
        let at = self.at?;
        self.at = (at + 1 < self.items.len()).then_some(at + 1);
        Some(self.at.map_or(self.draft.as_str(), |at| self.items[at].as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walking_up_and_down_comes_back_to_the_draft() {
        let mut history = History::new(vec!["one".into(), "two".into()]);
        assert_eq!(history.older("dra"), Some("two"));
        assert_eq!(history.older("two"), Some("one"));
        assert_eq!(history.older("one"), None);
        assert_eq!(history.newer(), Some("two"));
        assert_eq!(history.newer(), Some("dra"));
        assert_eq!(history.newer(), None);
    }

    #[test]
    fn repeats_and_blanks_are_not_kept() {
        let mut history = History::default();
        assert!(history.push("a"));
        assert!(!history.push("a"));
        assert!(!history.push("  \n"));
        assert_eq!(history.older(""), Some("a"));
        assert_eq!(history.older("a"), None);
    }

    #[test]
    fn it_never_grows_past_its_bound() {
        let mut history = History::default();
        for n in 0..MOST + 10 {
            history.push(&n.to_string());
        }
        assert_eq!(history.items.len(), MOST);
        assert_eq!(history.older(""), Some((MOST + 9).to_string().as_str()));
    }
}
