//! The handle of the engine's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::{Event, Job, Spec};

/// Where events go; called on the engine's thread. It may block (a full channel slows the engine, not the drawing).
pub type Sink = Box<dyn FnMut(Event) + Send>;

/// How many threads an engine may work with, said from outside while it works.
#[derive(Clone, Debug)]
pub(super) struct Threads(Arc<AtomicU32>);

impl Default for Threads {
    /// As many as were planned.
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(u32::MAX)))
    }
}

impl Threads {
    pub(super) fn set(&self, most: u32) {
        self.0.store(most.max(1), Ordering::Relaxed);
    }

    /// Of so many planned ones.
    #[cfg(feature = "engine")]
    pub(super) fn of(&self, planned: u32) -> u32 {
        self.0.load(Ordering::Relaxed).min(planned)
    }
}

/// A running engine. Dropping it cancels nothing by itself: cancel the jobs first, then drop, and the thread ends after
/// the job it is at.
#[derive(Debug)]
pub struct Engine(Place);

/// Where it runs.
#[derive(Debug)]
enum Place {
    /// On a thread of this process.
    Thread { jobs: Sender<Job>, threads: Threads, thread: JoinHandle<()> },
    /// In a process of its own.
    #[cfg(feature = "engine")]
    Process(super::process::Handle),
}

impl Engine {
    /// Starts the thread; loading begins at once and is reported through `sink`.
    pub fn start(spec: Spec, sink: Sink) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let threads = Threads::default();
        #[cfg(feature = "engine")]
        let limit = threads.clone();
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || {
            crate::crash::roomy_stack();
            match spec {
                #[cfg(feature = "engine")]
                Spec::Local(spec) => super::local::run(spec, limit, inbox, sink),
                #[cfg(not(feature = "engine"))]
                Spec::Local(_) => {
                    let mut sink = sink;
                    sink(Event::LoadFailed(
                        crate::error::UserError::failed("this build has no engine inside")
                            .hint("build with `--features engine`, or use `--remote URL`"),
                    ));
                    drop(inbox);
                }
                Spec::Remote(spec) => super::remote::run(spec, inbox, sink),
            }
        })?;
        Ok(Self(Place::Thread { jobs, threads, thread }))
    }

    /// Starts `program`, which must be this one, as the engine in a process of its own. When that dies it is started
    /// again ([`Event::Died`]) and its jobs go on.
    #[cfg(feature = "engine")]
    pub fn start_process(program: std::path::PathBuf, spec: super::LocalSpec, sink: Sink) -> std::io::Result<Self> {
        super::process::Handle::start(program, spec, sink).map(|handle| Self(Place::Process(handle)))
    }

    /// Queues a job; `false` when the engine is gone (its last event said why).
    pub fn submit(&self, job: Job) -> bool {
        match &self.0 {
            Place::Thread { jobs, .. } => jobs.send(job).is_ok(),
            #[cfg(feature = "engine")]
            Place::Process(handle) => handle.submit(job),
        }
    }

    /// Works with at most so many threads from the next evaluation on; more than were planned are not there. Of no
    /// effect on a server.
    pub fn limit_threads(&self, most: u32) {
        match &self.0 {
            Place::Thread { threads, .. } => threads.set(most),
            #[cfg(feature = "engine")]
            Place::Process(handle) => handle.limit_threads(most),
        }
    }

    /// The process that it runs in, if that is another one; nothing while there is none.
    pub fn process(&self) -> Option<u32> {
        match &self.0 {
            Place::Thread { .. } => None,
            #[cfg(feature = "engine")]
            Place::Process(handle) => handle.running().id(),
        }
    }

    /// Has a process of its own stand still with this one, or go on.
    #[cfg_attr(not(feature = "engine"), allow(unused_variables, reason = "only the engine has a process of its own"))]
    pub fn pause(&self, pause: bool) {
        match &self.0 {
            Place::Thread { .. } => {}
            #[cfg(feature = "engine")]
            Place::Process(handle) => handle.running().pause(pause),
        }
    }

    /// Ends the thread and waits for it.
    pub fn stop(self) {
        match self.0 {
            Place::Thread { jobs, thread, .. } => {
                drop(jobs);
                let _ = thread.join();
            }
            #[cfg(feature = "engine")]
            Place::Process(handle) => handle.stop(),
        }
    }
}
