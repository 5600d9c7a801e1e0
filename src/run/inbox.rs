//! What comes in to the loop: a bounded channel for everyone else, and a queue for what the loop's own thread has to say
//! to itself.
//!
//! That thread is the only one that empties the channel. It cannot wait there for room, and what finds no room is lost:
//! a job that no engine takes would never end. It refuses to bound the queue: each entry answers something that the loop
//! itself did, and the next turn empties it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Told;

/// The loop's own way in.
#[derive(Clone, Default)]
pub(super) struct Own(Rc<RefCell<VecDeque<Told>>>);

impl Own {
    /// Comes in at the next turn, however full the channel is.
    pub(super) fn put(&self, told: Told) {
        self.0.borrow_mut().push_back(told);
    }

    fn take(&self) -> Option<Told> {
        self.0.borrow_mut().pop_front()
    }
}

/// Both of them.
pub(super) struct Inbox {
    channel: Receiver<Told>,
    own: Own,
}

impl Inbox {
    /// With room for `most` entries of others.
    pub(super) fn new(most: usize) -> (Sender<Told>, Own, Self) {
        let (post, channel) = mpsc::channel(most);
        let own = Own::default();
        (post, own.clone(), Self { channel, own })
    }

    /// What comes next, waited for; `None` when nobody is left to say anything. May be dropped at any time.
    pub(super) async fn next(&mut self) -> Option<Told> {
        match self.own.take() {
            Some(told) => Some(told),
            None => self.channel.recv().await,
        }
    }

    /// What is there.
    pub(super) fn try_next(&mut self) -> Option<Told> {
        self.own.take().or_else(|| self.channel.try_recv().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loop_tells_itself_comes_in_though_the_channel_is_full() {
        let (post, own, mut inbox) = Inbox::new(1);
        assert!(post.try_send(Told::Drawable).is_ok() && post.try_send(Told::Drawable).is_err());
        own.put(Told::EngineGone(1));
        own.put(Told::EngineGone(2));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(matches!(runtime.block_on(inbox.next()), Some(Told::EngineGone(1))));
        assert!(matches!(inbox.try_next(), Some(Told::EngineGone(2))));
        assert!(matches!(inbox.try_next(), Some(Told::Drawable)));
        assert!(inbox.try_next().is_none());
    }
}
