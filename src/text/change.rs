//! An edit as a value: what was cut where, what was put there. Applied to the text it was made for it gives the new one,
//! and its inverse gives the old one back.

use ropey::Rope;

/// One replacement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Where, in characters.
    pub at: usize,
    /// The text that stood there.
    pub cut: String,
    /// The text that stands there now.
    pub put: String,
}

impl Change {
    /// Replaces a range of characters of `rope`, which is cut to what there is.
    pub fn new(rope: &Rope, range: std::ops::Range<usize>, put: impl Into<String>) -> Self {
        let end = range.end.min(rope.len_chars());
        let at = range.start.min(end);
        Self { at, cut: super::graphemes::text(rope, at, end), put: put.into() }
    }

    /// Behind what was put.
    pub fn end(&self) -> usize {
        self.at + self.put.chars().count()
    }

    /// Changes nothing.
    pub fn is_empty(&self) -> bool {
        self.cut == self.put
    }

    /// Applies it. Positions behind the end are taken as the end, so that a damaged record cannot end the program.
    pub fn apply(&self, rope: &mut Rope) {
        let at = self.at.min(rope.len_chars());
        let end = (at + self.cut.chars().count()).min(rope.len_chars());
        debug_assert!(rope.slice(at..end) == self.cut.as_str(), "{self:?} is for another text");
        if end > at {
            rope.remove(at..end);
        }
        if !self.put.is_empty() {
            rope.insert(at, &self.put);
        }
    }

    /// What undoes it.
    pub fn inverted(&self) -> Self {
        Self { at: self.at, cut: self.put.clone(), put: self.cut.clone() }
    }
}

/// Changes made as one: each is meant for the text that the one before it left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction(pub Vec<Change>);

impl Transaction {
    /// Applies all of them.
    pub fn apply(&self, rope: &mut Rope) {
        self.0.iter().for_each(|change| change.apply(rope));
    }

    /// What undoes all of them.
    pub fn inverted(&self) -> Self {
        Self(self.0.iter().rev().map(Change::inverted).collect())
    }

    /// Changes nothing.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Change::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_edit_and_its_inverse_give_the_text_back(
            text in "[a-z\r\n 中é👩]{0,60}",
            edits in proptest::collection::vec((0usize..80, 0usize..20, "[x-z\r\n中]{0,8}"), 0..20),
        ) {
            let mut rope = Rope::from_str(&text);
            let mut transaction = Transaction::default();
            for (at, len, put) in edits {
                let change = Change::new(&rope, at..at.saturating_add(len), put);
                change.apply(&mut rope);
                transaction.0.push(change);
            }
            let after = rope.clone();
            transaction.inverted().apply(&mut rope);
            prop_assert_eq!(rope.to_string(), text);
            transaction.apply(&mut rope);
            prop_assert_eq!(&rope, &after);
            prop_assert_eq!(transaction.inverted().inverted(), transaction);
        }
    }
}
