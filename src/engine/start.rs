//! The handle of the engine's thread.

use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::{Event, Job, Spec};

/// Where events go; called on the engine's thread. It may block (a full channel slows the engine, not the drawing).
pub type Sink = Box<dyn FnMut(Event) + Send>;

/// A running engine. Dropping it cancels nothing by itself: cancel the jobs first, then drop, and the thread ends after
/// the job it is at.
#[derive(Debug)]
pub struct Engine {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread; loading begins at once and is reported through `sink`.
    pub fn start(spec: Spec, sink: Sink) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("engine".into()).spawn(move || match spec {
            #[cfg(feature = "engine")]
            Spec::Local(spec) => super::local::run(spec, inbox, sink),
            #[cfg(not(feature = "engine"))]
            Spec::Local(_) => {
                let mut sink = sink;
                sink(Event::LoadFailed {
                    message: "this build has no engine inside".into(),
                    hint: Some("build with `--features engine`, or use `--remote URL`".into()),
                });
                drop(inbox);
            }
            Spec::Remote(spec) => super::remote::run(spec, inbox, sink),
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Queues a job; `false` when the engine is gone (its last event said why).
    pub fn submit(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    /// Ends the thread and waits for it.
    pub fn stop(mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
