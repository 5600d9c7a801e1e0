//! Whose turn it is in the conversation. One thing at a time: while another conversation is on its way nothing is asked, and
//! while an answer comes none is opened.

use super::answer::Answer;
use crate::engine::JobId;

/// Whose turn it is.
#[derive(Clone, Debug, Default)]
pub enum Turn {
    /// The person's: a question can be asked.
    #[default]
    Idle,
    /// Nobody's: another conversation is on its way. What is sent meanwhile waits.
    Opening,
    /// The model's: it reads the question, or writes its answer.
    Answering(Box<Answer>),
}

impl Turn {
    /// Whether a question can be asked.
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Whether another conversation is on its way.
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Opening)
    }

    /// Whether an answer is on its way.
    pub fn is_answering(&self) -> bool {
        self.answer().is_some()
    }

    /// The answer that is on its way.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answering(answer) => Some(answer),
            Self::Idle | Self::Opening => None,
        }
    }

    pub(crate) fn answer_mut(&mut self) -> Option<&mut Answer> {
        match self {
            Self::Answering(answer) => Some(answer),
            Self::Idle | Self::Opening => None,
        }
    }

    /// The answer that a job writes; `None`: its words are for nobody any more.
    pub(crate) fn answer_of(&mut self, job: JobId) -> Option<&mut Answer> {
        self.answer_mut().filter(|answer| answer.job == job)
    }

    /// An answer begins.
    pub(crate) fn begin(&mut self, answer: Answer) {
        *self = Self::Answering(Box::new(answer));
    }

    /// The answer has ended.
    pub(crate) fn end(&mut self) -> Option<Answer> {
        match std::mem::take(self) {
            Self::Answering(answer) => Some(*answer),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Another conversation is asked for.
    pub(crate) fn open(&mut self) {
        if self.is_idle() {
            *self = Self::Opening;
        }
    }

    /// It is here, or cannot be opened.
    pub(crate) fn opened(&mut self) {
        if self.is_opening() {
            *self = Self::Idle;
        }
    }
}
