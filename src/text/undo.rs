//! The edits that were made, to be taken back and made again without limit. A run of typing is one step for each word; a
//! step, once left, is never changed again.

use super::change::Transaction;
use super::document::Selection;

/// What made an edit: only equal kinds may join in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A character or a short text, typed.
    Typing,
    /// Deleting backwards or forwards by graphemes.
    Deleting,
    /// Anything else: a step of its own.
    Other,
}

/// Names a state of the text within its history; the state before any edit is 0.
pub type StepId = u64;

#[derive(Clone, Debug)]
struct Step {
    id: StepId,
    transaction: Transaction,
    kind: Kind,
    before: Selection,
    after: Selection,
}

/// What was done and what was undone.
#[derive(Clone, Debug, Default)]
pub struct Undo {
    done: Vec<Step>,
    undone: Vec<Step>,
    next: StepId,
    sealed: bool,
}

impl Undo {
    /// Remembers an edit; what was undone before it can no longer be made again.
    pub fn push(&mut self, transaction: Transaction, kind: Kind, before: Selection, after: Selection) {
        self.undone.clear();
        if !self.sealed
            && let Some(last) = self.done.last_mut()
            && joins(last, &transaction, kind, before)
        {
            last.transaction.0.extend(transaction.0);
            last.after = after;
            return;
        }
        self.sealed = false;
        self.next += 1;
        self.done.push(Step { id: self.next, transaction, kind, before, after });
    }

    /// The next edit begins a step of its own.
    pub fn seal(&mut self) {
        self.sealed = true;
    }

    /// The state that the text is in.
    pub fn state(&self) -> StepId {
        self.done.last().map_or(0, |step| step.id)
    }

    /// What takes the last step back, and the selection from before it.
    pub fn undo(&mut self) -> Option<(Transaction, Selection)> {
        let step = self.done.pop()?;
        let back = (step.transaction.inverted(), step.before);
        self.undone.push(step);
        self.sealed = true;
        Some(back)
    }

    /// What makes the last undone step again, and the selection from after it.
    pub fn redo(&mut self) -> Option<(Transaction, Selection)> {
        let step = self.undone.pop()?;
        let again = (step.transaction.clone(), step.after);
        self.done.push(step);
        self.sealed = true;
        Some(again)
    }
}

/// A word typed on, or graphemes deleted one after the other.
fn joins(last: &Step, new: &Transaction, kind: Kind, before: Selection) -> bool {
    if last.kind != kind || last.after != before {
        return false;
    }
    let ([.., old], [new]) = (&last.transaction.0[..], &new.0[..]) else { return false };
    match kind {
        Kind::Typing => {
            let blank = |text: &str| text.chars().all(char::is_whitespace);
            let word_begins = blank(&old.put) && !blank(&new.put);
            new.cut.is_empty() && new.at == old.end() && !word_begins && !new.put.contains('\n')
        }
        Kind::Deleting => new.put.is_empty() && (new.at + new.cut.chars().count() == old.at || new.at == old.at),
        Kind::Other => false,
    }
}
