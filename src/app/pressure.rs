//! What to do when memory is short, in the order that `budget::watch` decides: the cache, then new questions. An answer
//! under way is stopped for it and keeps what was written: a program that is killed keeps less.

use super::msg::Level;
use super::{App, Out};
use crate::budget::watch::Action;
use crate::error::UserError;

impl App {
    pub(crate) fn on_pressure(&mut self, action: Action, out: &mut Out) {
        // a server's memory is not ours, and asking it takes none
        if !self.model.is_local() && action != Action::AllowWork {
            return;
        }
        match action {
            Action::FreeChat => self.free_chat(out),
            Action::RefuseWork => {
                self.refusing = true;
                // it may have come back since it was given away
                self.free_chat(out);
                self.tell(Level::Warning, "almost out of memory: no questions until some is free");
            }
            Action::AllowWork => {
                self.refusing = false;
                self.tell(Level::Info, "memory is available again");
                self.send_waiting(out);
            }
        }
    }

    fn free_chat(&mut self, out: &mut Out) {
        if !self.give_cache_back(out) {
            return;
        }
        if self.turn.answer().is_some_and(|answer| !answer.stopping) {
            self.stop_answer(out);
            let words = "low memory: answer stopped, cache moved to disk; `/finish` continues it";
            self.tell(Level::Warning, words);
        } else {
            self.tell(Level::Warning, "low memory: cache moved to disk");
        }
    }

    /// Whether a question would be too much now; says so.
    pub(crate) fn refuses(&mut self) -> bool {
        if self.refusing {
            self.show_error(
                &UserError::failed("almost out of memory: no questions until some is free")
                    .hint("close other programs, or choose a smaller model with `/model`"),
            );
        }
        self.refusing
    }
}
