//! Runs one job on a fresh engine and hands its events on, with Ctrl-C and a dropped pipe as cancellation.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::output;
use crate::device::{Easing, Effort};
use crate::engine::{Cancel, Engine, Event, Facts, Job, JobId, Outcome, Spec, Work};
use crate::error::UserError;
use crate::run::battery::Battery;

/// How often the signals' flag is looked at while a model loads.
const GLANCE: Duration = Duration::from_millis(50);

/// An engine that works for a command, one job at a time.
pub(super) struct Session {
    engine: Engine,
    events: mpsc::Receiver<Event>,
    cancel: Cancel,
    /// What was loaded.
    pub(super) facts: Facts,
    jobs: u64,
    ease: Option<Ease>,
}

/// What is known of battery and heat.
struct Ease {
    battery: Battery,
    easing: Easing,
    since: Instant,
}

impl Session {
    /// Loads; Ctrl-C meanwhile gives up.
    ///
    /// # Errors
    /// Whatever loading meets.
    pub(super) fn start(spec: Spec) -> Result<Self, UserError> {
        let cancel = Cancel::new();
        // The second signal ends the process where the first one does not get through.
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&cancel.0))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&cancel.0)));
            registered.map_err(|error| UserError::failed(format!("cannot listen for signals: {error}")))?;
        }
        let (sender, events) = mpsc::sync_channel(256);
        let engine = Engine::start(spec, Box::new(move |event| drop(sender.send(event))))
            .map_err(|error| UserError::failed(format!("cannot start a thread: {error}")))?;
        loop {
            match events.recv_timeout(GLANCE) {
                // A server that does not answer sends no events either.
                _ if cancel.is_cancelled() => {
                    return Err(UserError::interrupted("interrupted"));
                }
                Ok(Event::Loaded(facts)) => {
                    return Ok(Self { engine, events, cancel, facts: *facts, jobs: 0, ease: None });
                }
                Ok(Event::LoadFailed(error)) => return Err(error),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(UserError::failed("the engine ended while loading")),
            }
        }
    }

    /// From now on works with fewer threads where the device is hot or its battery low, and says so.
    pub(super) fn ease(&mut self) {
        self.ease = Some(Ease { battery: Battery::default(), easing: Easing::default(), since: Instant::now() });
    }

    fn look_at_power(&mut self) {
        let (Some(ease), Some(plan)) = (&mut self.ease, &self.facts.plan) else { return };
        let Some(power) = ease.battery.look() else { return };
        let before = ease.easing.effort();
        let now = u64::try_from(ease.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        ease.easing = ease.easing.after(&power, now);
        let effort = ease.easing.effort();
        if effort != before {
            let threads = effort.threads(plan.threads);
            self.engine.limit_threads(threads);
            if before == Effort::Full && threads < plan.threads {
                let why = ease.easing.reason();
                output::note(format_args!("notice: {why}: {threads} of {} threads work", plan.threads));
            }
        }
    }

    /// Whether a signal came.
    pub(super) fn interrupted(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Does one piece of work. `each` sees every event before the end; when it says `false` (nobody reads any more)
    /// the job is cancelled.
    ///
    /// # Errors
    /// The job failed.
    pub(super) fn work(&mut self, work: Work, mut each: impl FnMut(&Event) -> bool) -> Result<Outcome, UserError> {
        self.look_at_power();
        self.jobs += 1;
        let id = JobId(self.jobs);
        if !self.engine.submit(Job { id, cancel: self.cancel.clone(), work }) {
            return Err(UserError::failed("the engine is gone"));
        }
        loop {
            match self.events.recv() {
                Ok(Event::Done { job, outcome }) if job == id => return Ok(outcome),
                Ok(Event::Failed { job, error }) if job == id => return Err(error),
                Ok(event) => {
                    self.look_at_power();
                    if !each(&event) {
                        self.cancel.cancel();
                    }
                }
                Err(_) => return Err(UserError::failed("the engine ended in the middle of a job")),
            }
        }
    }

    /// Ends the engine.
    pub(super) fn stop(self) {
        drop(self.events);
        self.engine.stop();
    }
}
