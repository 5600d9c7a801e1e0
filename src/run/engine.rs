//! The engine in use: one at a time, each with a number, so that late words of an earlier one are known as such.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::inbox::Own;
use super::start::Prepared;
use super::{Desk, Told, notice};
use crate::app::msg::{Level, Load, Msg};
use crate::engine::{Cancel, Engine, Event, Job, JobId, Sink, Spec, Work};
use crate::error::UserError;

/// How long the end of the program waits for the engine's.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Between two tries to get something into a full channel.
const FULL: Duration = Duration::from_millis(2);

/// The engine and its jobs.
pub(super) struct Slot {
    engine: Option<Engine>,
    number: u64,
    jobs: HashMap<JobId, Cancel>,
    own: Own,
}

/// Tells when the engine's thread is at its end, however it came to it.
struct Gone(Sender<Told>, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        hand_over(&self.0, Told::EngineGone(self.1));
    }
}

/// Puts something into the channel, however long that takes. A server's words come from inside an async runtime, where
/// the channel's own way of blocking is forbidden.
fn hand_over(post: &Sender<Told>, mut told: Told) {
    while let Err(TrySendError::Full(back)) = post.try_send(told) {
        told = back;
        std::thread::sleep(FULL);
    }
}

impl Slot {
    pub(super) fn new(own: Own) -> Self {
        Self { engine: None, number: 0, jobs: HashMap::new(), own }
    }

    pub(super) fn is_current(&self, number: u64) -> bool {
        self.number == number
    }

    /// Jobs that ended need no flag any more.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Done { job, .. } | Event::Failed { job, .. } = event {
            self.jobs.remove(job);
        }
    }

    /// A job is being made ready: it can be cancelled from now on. Gives the number of the engine that it is for.
    pub(super) fn expect(&mut self, id: JobId) -> u64 {
        self.jobs.insert(id, Cancel::new());
        self.number
    }

    /// Queues a job; a dead engine answers by its last event.
    pub(super) fn submit(&mut self, id: JobId, work: Work) {
        let cancel = self.jobs.remove(&id).unwrap_or_default();
        let job = Job { id, cancel: cancel.clone(), work };
        let taken = self.engine.as_ref().is_some_and(|engine| engine.submit(job));
        if taken {
            self.jobs.insert(id, cancel);
        } else {
            let gone = Event::Failed { job: id, error: UserError::failed("the engine is not running") };
            self.own.put(Told::Engine(self.number, gone));
        }
    }

    /// The process that it runs in, if that is another one.
    pub(super) fn process(&self) -> Option<u32> {
        self.engine.as_ref().and_then(Engine::process)
    }

    /// Has it stand still while this program does.
    pub(super) fn pause(&self, pause: bool) {
        if let Some(engine) = &self.engine {
            engine.pause(pause);
        }
    }

    pub(super) fn limit_threads(&self, most: u32) {
        if let Some(engine) = &self.engine {
            engine.limit_threads(most);
        }
    }

    pub(super) fn cancel(&self, id: JobId) {
        if let Some(cancel) = self.jobs.get(&id) {
            cancel.cancel();
        }
    }

    /// Takes the engine out, its jobs stopped; what it still says is of an earlier number.
    fn take(&mut self) -> Option<Engine> {
        self.number += 1;
        for (_, cancel) in self.jobs.drain() {
            cancel.cancel();
        }
        self.engine.take()
    }

    /// Ends it with the program.
    pub(super) async fn stop(mut self) {
        if let Some(engine) = self.take() {
            let end = tokio::task::spawn_blocking(move || engine.stop());
            let _ = tokio::time::timeout(PATIENCE, end).await;
        }
    }
}

impl Desk {
    /// Ends the engine in use, if any, and prepares another; its memory must be free before the new plan is made.
    pub(super) fn prepare_engine(&mut self, load: Load) {
        let load = self.placed(load);
        let before = self.engine.take();
        let number = self.engine.number;
        let (prepare, post) = (self.start.prepare.clone(), self.post.clone());
        tokio::task::spawn_blocking(move || {
            if let Some(engine) = before {
                engine.stop();
            }
            let _ = post.blocking_send(Told::Prepared(number, prepare(&load).map(Box::new)));
        });
    }

    /// With adapters whose paths begin at the folder that is open.
    pub(super) fn placed(&self, mut load: Load) -> Load {
        for (file, _) in &mut load.lora {
            *file = super::editing::resolved(&self.start.folder, file);
        }
        load
    }

    pub(super) fn start_engine(&mut self, number: u64, prepared: Result<Box<Prepared>, UserError>) {
        if !self.engine.is_current(number) {
            return;
        }
        let failed = |error| Msg::Engine(Event::LoadFailed(error));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(report) => return self.tell(failed(report)),
        };
        let gone = Gone(self.post.clone(), number);
        let sink = Box::new(move |event| {
            hand_over(&gone.0, Told::Engine(gone.1, event));
        });
        match started(prepared.spec, self.start.engine.clone(), sink) {
            Ok(engine) => {
                self.engine.engine = Some(engine);
                self.tell(Msg::Loading { name: prepared.name, plan: prepared.plan.map(Box::new) });
                if let Some(text) = prepared.notice {
                    self.tell(Msg::Notice(Level::Info, text));
                }
            }
            Err(error) => self.tell(failed(UserError::failed(format!("cannot start the engine: {error}")))),
        }
    }

    /// Tells what went wrong at the next turn of the loop.
    pub(super) fn fail(&self, message: impl Into<String>) {
        self.own.put(super::failure(message));
    }

    /// Tells something at the next turn of the loop.
    pub(super) fn hint(&self, level: Level, text: impl Into<String>) {
        self.own.put(notice(level, text));
    }
}

/// In a process of its own where there is a program for it; a server needs none.
#[cfg_attr(not(feature = "engine"), allow(clippy::match_single_binding, reason = "the other arm needs the engine"))]
fn started(spec: Spec, program: Option<PathBuf>, sink: Sink) -> std::io::Result<Engine> {
    match (spec, program) {
        #[cfg(feature = "engine")]
        (Spec::Local(spec), Some(program)) => Engine::start_process(program, spec, sink),
        (spec, _) => Engine::start(spec, sink),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbox::Inbox;
    use super::*;
    use crate::engine::RemoteSpec;

    #[test]
    fn a_job_that_no_engine_takes_ends_though_the_channel_is_full() {
        let (post, own, mut inbox) = Inbox::new(1);
        assert!(post.try_send(Told::Drawable).is_ok());
        let mut slot = Slot::new(own);
        slot.submit(JobId(7), Work::Release);
        let told: Vec<Told> = std::iter::from_fn(|| inbox.try_next()).collect();
        let failed = |told: &Told| matches!(told, Told::Engine(0, Event::Failed { job: JobId(7), .. }));
        assert_eq!(told.iter().filter(|told| failed(told)).count(), 1);
    }

    #[test]
    fn what_is_cancelled_while_it_is_made_ready_is_queued_cancelled() {
        let (_post, own, _inbox) = Inbox::new(1);
        let spec = RemoteSpec {
            url: "http://127.0.0.1:1".into(),
            model: None,
            key: None,
            ctx: None,
            silence: Duration::from_secs(1),
        };
        let engine = Engine::start(Spec::Remote(spec), Box::new(|_| ())).unwrap();
        let mut slot = Slot { engine: Some(engine), ..Slot::new(own) };
        assert_eq!(slot.expect(JobId(1)), 0);
        slot.cancel(JobId(1));
        for job in [JobId(1), JobId(2)] {
            slot.submit(job, Work::Release);
        }
        assert!(slot.jobs[&JobId(1)].is_cancelled() && !slot.jobs[&JobId(2)].is_cancelled());
        slot.take().unwrap().stop();
        assert!(slot.jobs.is_empty());
    }

    /// A server's engine ends inside a runtime, where the channel's own way of waiting panics.
    #[test]
    fn the_end_of_an_engine_is_told_from_inside_a_runtime() {
        let (post, _own, mut inbox) = Inbox::new(1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { drop(Gone(post, 3)) });
        assert!(matches!(inbox.try_next(), Some(Told::EngineGone(3))));
    }
}
