//! The engine's side of a stream: orders come in, events go out. `zord engine` is this over the socket that it was started
//! with; a server would be it over one that it accepted.
//!
//! One owner and one model a stream. What it refuses to do: go on without its owner.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::wire::{self, BUILD, Order};
use super::{Cancel, Engine, Event, Job, JobId, Spec};
use crate::error::UserError;

/// How the service of a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it was ordered: everything is done, and the model is gone from memory.
    Finished,
    /// The other side is gone in the middle; the engine may still be working.
    Abandoned,
}

/// The flags of jobs that have not ended.
type Flags = Arc<Mutex<HashMap<JobId, Cancel>>>;

/// Serves until it is told to finish, or nobody is there any more.
///
/// # Errors
/// No thread for the engine; or what came is no order.
pub fn serve(mut orders: impl Read, mut events: impl Write + Send + 'static) -> io::Result<End> {
    let Some(Order::Start { build, spec }) = wire::read::<Order>(&mut orders)? else { return Ok(End::Abandoned) };
    if build != BUILD {
        let error =
            UserError::failed(format!("the engine of this program is another version: {BUILD} instead of {build}"))
                .hint("`zord` was replaced while it ran: leave it and start it again");
        wire::write(&mut events, &Event::LoadFailed(error))?;
        return Ok(End::Finished);
    }
    let flags = Flags::default();
    let ended = Arc::clone(&flags);
    let sink = Box::new(move |event: Event| {
        if let Event::Done { job, .. } | Event::Failed { job, .. } = &event {
            ended.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        }
        // who does not listen any more has closed the other direction too
        let _ = wire::write(&mut events, &event);
    });
    let engine = Engine::start(Spec::Local(spec), sink)?;
    loop {
        match wire::read::<Order>(&mut orders) {
            Ok(Some(Order::Work { id, work })) => {
                let cancel = Cancel::new();
                flags.lock().unwrap_or_else(PoisonError::into_inner).insert(id, cancel.clone());
                engine.submit(Job { id, cancel, work });
            }
            Ok(Some(Order::Cancel(id))) => {
                if let Some(flag) = flags.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
                    flag.cancel();
                }
            }
            Ok(Some(Order::Threads(most))) => engine.limit_threads(most),
            Ok(Some(Order::Finish)) => {
                engine.stop();
                return Ok(End::Finished);
            }
            Ok(Some(Order::Start { .. })) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a second model on one stream"));
            }
            Ok(None) => return Ok(End::Abandoned),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
            Err(_) => return Ok(End::Abandoned),
        }
    }
}
