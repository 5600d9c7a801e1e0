//! Whether a question was seen before it is answered. What was typed ahead of a question, or in the moment it appeared,
//! answers nothing.

use super::Overlay;
use crate::app::App;

/// Milliseconds that a person needs at least to see something and to press a key because of it.
const REACTION: u64 = 250;

/// When a question was first drawn, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<u64>);

impl Seen {
    /// A frame with the question in it was drawn. A clock that was put back begins anew.
    pub(crate) fn drawn(&mut self, now: u64) {
        if self.0.is_none_or(|at| now < at) {
            self.0 = Some(now);
        }
    }

    /// Whether a key at this time can be an answer.
    pub fn counts(self, now: u64) -> bool {
        self.0.is_some_and(|at| now >= at.saturating_add(REACTION))
    }
}

impl App {
    /// A frame was drawn: what stands on it is seen from now on.
    pub fn drawn(&mut self, now: u64) {
        match &mut self.overlay {
            Some(Overlay::Review(review)) => review.shown.drawn(now),
            Some(Overlay::Confirm(confirm)) => confirm.shown.drawn(now),
            Some(Overlay::Resume(resume)) => resume.shown.drawn(now),
            Some(Overlay::Notes(consent)) => consent.shown.drawn(now),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_a_moment_after_the_first_frame() {
        let mut seen = Seen::default();
        assert!(!seen.counts(u64::MAX), "it was never drawn");
        seen.drawn(1000);
        seen.drawn(1200);
        assert!(!seen.counts(1000) && !seen.counts(1000 + REACTION - 1) && seen.counts(1000 + REACTION));
        seen.drawn(10);
        assert!(!seen.counts(20) && seen.counts(10 + REACTION), "the clock was put back");
    }
}
