//! Signals, as something to wait for.

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::UserError;

/// The signals that matter to someone who holds a terminal.
pub(super) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    /// Begins to listen; from now on none of them ends the program by itself.
    pub(super) fn new() -> Result<Self, UserError> {
        let one = |number: i32| Some((number, signal(SignalKind::from_raw(number)).ok()?));
        let all: Vec<_> = [SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT].into_iter().filter_map(one).collect();
        if all.is_empty() { Err(UserError::failed("cannot listen for signals")) } else { Ok(Self(all)) }
    }

    /// The next one's number.
    pub(super) async fn next(&mut self) -> i32 {
        let waits = self.0.iter_mut().map(|(number, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *number
            })
        });
        futures_util::future::select_all(waits).await.0
    }
}
