//! The engine's KV cache of this conversation: when to write it beside the journal, when to read it back, when to give
//! it up. A snapshot is a convenience: every failure here is silent, the next answer only takes longer to begin.

use super::msg::{Effect, Level};
use super::{App, Out};
use crate::engine::{JobId, Outcome};

/// New tokens that are worth writing tens of megabytes to a phone's flash.
const WORTH_SAVING: u32 = 512;
/// The same when leaving or switching, where it is the last chance.
const WORTH_KEEPING: u32 = 64;
/// Idle milliseconds before it is written.
const QUIET: u64 = 20_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Saving { release: bool },
    Restoring,
    Releasing,
}

/// What is known of the cache.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    /// Tokens in it.
    tokens: u32,
    /// Tokens in the snapshot.
    saved: u32,
    job: Option<(JobId, Doing)>,
    idle_since: u64,
    /// It was given back to the system.
    released: bool,
}

impl Cache {
    /// Tokens in it.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    pub(crate) fn is_saving(&self) -> bool {
        matches!(self.job, Some((_, Doing::Saving { .. })))
    }

    pub(crate) fn answered(&mut self, tokens: u32, now: u64) {
        // a shorter prompt than before: another branch, the snapshot is of the old one
        if tokens < self.saved {
            self.saved = 0;
        }
        self.tokens = tokens;
        self.idle_since = now;
        self.released = false;
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    fn unsaved(&self) -> u32 {
        self.tokens.saturating_sub(self.saved)
    }

    pub(crate) fn wakes_at(&self) -> Option<u64> {
        (self.job.is_none() && self.unsaved() >= WORTH_SAVING).then_some(self.idle_since + QUIET)
    }
}

impl App {
    pub(crate) fn save_cache_if_due(&mut self, out: &mut Out) {
        if self.answer.is_none() && self.cache.wakes_at().is_some_and(|at| self.clock >= at) {
            self.start_saving(false, out);
        }
    }

    /// Saves what would be lost by leaving or switching.
    pub(crate) fn save_cache(&mut self, out: &mut Out) {
        if self.answer.is_none() && self.cache.job.is_none() && self.cache.unsaved() >= WORTH_KEEPING {
            self.start_saving(false, out);
        }
    }

    fn start_saving(&mut self, release: bool, out: &mut Out) {
        if !self.model.is_local() {
            self.cache.saved = self.cache.tokens;
            return;
        }
        let job = self.new_job();
        self.cache.job = Some((job, Doing::Saving { release }));
        out.push(Effect::SaveCache(job, self.conversation.id().clone()));
    }

    /// After opening a conversation, or after loading a model with one open.
    pub(crate) fn restore_cache(&mut self, out: &mut Out) {
        if self.model.is_local() {
            let job = self.new_job();
            self.cache.job = Some((job, Doing::Restoring));
            out.push(Effect::RestoreCache(job, self.conversation.id().clone()));
        }
    }

    /// Before an answer: reads back what memory pressure took.
    pub(crate) fn recall_cache(&mut self, out: &mut Out) {
        if self.cache.released && self.cache.saved > 0 {
            self.cache.released = false;
            self.restore_cache(out);
        }
    }

    pub(crate) fn on_pressure(&mut self, out: &mut Out) {
        if self.answer.is_some() || self.cache.job.is_some() || self.cache.tokens == 0 || self.cache.released {
            return;
        }
        self.tell(Level::Warning, "memory is short: the conversation's cache goes to disk");
        if self.cache.unsaved() > 0 {
            self.start_saving(true, out);
        } else {
            self.release_cache(out);
        }
    }

    fn release_cache(&mut self, out: &mut Out) {
        let job = self.new_job();
        self.cache.job = Some((job, Doing::Releasing));
        out.push(Effect::ReleaseCache(job));
    }

    pub(crate) fn on_cache_done(&mut self, job: JobId, outcome: &Outcome, out: &mut Out) {
        let Some((_, doing)) = self.cache.job.take_if(|(known, _)| *known == job) else { return };
        match (doing, outcome) {
            (Doing::Saving { release }, Outcome::Saved(tokens)) => {
                self.cache.saved = *tokens;
                if release {
                    self.release_cache(out);
                }
            }
            (Doing::Restoring, Outcome::Restored(tokens)) => {
                if *tokens > 0 {
                    self.cache.tokens = *tokens;
                    self.cache.saved = *tokens;
                }
            }
            (Doing::Releasing, _) => self.cache.released = true,
            (Doing::Saving { .. } | Doing::Restoring, _) => {}
        }
    }

    pub(crate) fn on_cache_failed(&mut self, job: JobId, out: &mut Out) {
        if let Some((_, doing)) = self.cache.job.take_if(|(known, _)| *known == job) {
            // not again and again on a full disk
            self.cache.saved = self.cache.tokens;
            if doing == (Doing::Saving { release: true }) {
                self.cache.saved = 0;
                self.release_cache(out);
            }
        }
    }
}
