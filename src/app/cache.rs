//! The engine's KV cache of this conversation: when to write it beside the journal, when to read it back, when to give
//! it up. A snapshot is a convenience: every failure here is silent, the next answer only takes longer to begin. When
//! memory wants it given up is `pressure`'s.

use super::msg::Effect;
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
    /// It is to be given back as soon as what runs has ended.
    wanted: bool,
}

impl Cache {
    /// Tokens in it.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    pub(crate) fn is_saving(&self) -> bool {
        matches!(self.job, Some((_, Doing::Saving { .. })))
    }

    /// Whether it was given back to the system and did not come back yet.
    pub fn is_away(&self) -> bool {
        self.released
    }

    /// Whether it is on its way back to the system: what is asked meanwhile waits.
    pub(crate) fn is_leaving(&self) -> bool {
        self.wanted || matches!(self.job, Some((_, Doing::Saving { release: true } | Doing::Releasing)))
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
        if !self.turn.is_answering() && self.cache.wakes_at().is_some_and(|at| self.clock >= at) {
            self.start_saving(false, out);
        }
    }

    /// Saves what would be lost by leaving or switching.
    pub(crate) fn save_cache(&mut self, out: &mut Out) {
        if !self.turn.is_answering() && self.cache.job.is_none() && self.cache.unsaved() >= WORTH_KEEPING {
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

    /// Has the cache written and given back to the system, once nothing uses it any more; `false` when it is gone or on
    /// its way already.
    pub(crate) fn give_cache_back(&mut self, out: &mut Out) -> bool {
        if self.cache.is_leaving() || (self.cache.released && !self.turn.is_answering() && self.cache.job.is_none()) {
            return false;
        }
        let (busy, unsaved) = (self.turn.is_answering(), self.cache.unsaved() > 0);
        match &mut self.cache.job {
            Some((_, Doing::Restoring)) => self.cache.wanted = true,
            _ if busy => self.cache.wanted = true,
            Some((_, doing)) => *doing = Doing::Saving { release: true },
            None if unsaved => self.start_saving(true, out),
            None => self.release_cache(out),
        }
        true
    }

    /// What used the cache has ended.
    pub(crate) fn give_cache_back_if_wanted(&mut self, out: &mut Out) {
        if !self.turn.is_answering() && self.cache.job.is_none() && std::mem::take(&mut self.cache.wanted) {
            self.give_cache_back(out);
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
            (Doing::Releasing, _) => {
                self.cache.released = true;
                self.send_waiting(out);
            }
            (Doing::Saving { release: true }, _) => self.release_cache(out),
            (Doing::Saving { release: false } | Doing::Restoring, _) => {}
        }
        self.give_cache_back_if_wanted(out);
    }

    pub(crate) fn on_cache_failed(&mut self, job: JobId, out: &mut Out) {
        if let Some((_, doing)) = self.cache.job.take_if(|(known, _)| *known == job) {
            // not again and again on a full disk
            self.cache.saved = self.cache.tokens;
            match doing {
                Doing::Saving { release: true } => {
                    self.cache.saved = 0;
                    self.release_cache(out);
                }
                // an engine that cannot even do that has other troubles; what waits must not wait for it
                Doing::Releasing => self.send_waiting(out),
                Doing::Saving { release: false } | Doing::Restoring => {}
            }
            self.give_cache_back_if_wanted(out);
        }
    }
}
