//! Real models for the tests, and an engine to ask.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test must be able to fail, in its helpers too")]

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zord::budget::{KvType, Plan};
use zord::engine::{
    Cancel, ChatRequest, Engine, Event, Facts, Job, JobId, LocalSpec, Outcome, Sink, Spec, Stats, Stop, Work,
};
use zord::fim::form::Known;

/// A model file out of the folder that `scripts/test.sh` fills; `None`, said loudly, without it.
pub fn model(name: &str) -> Option<PathBuf> {
    let file = std::env::var_os("ZORD_TEST_MODELS").map(|folder| PathBuf::from(folder).join(name));
    let file = file.filter(|file| file.is_file());
    if file.is_none() {
        eprintln!("SKIPPED: needs `{name}` in the folder that ZORD_TEST_MODELS names");
    }
    file
}

/// SmolLM2-135M-Instruct, Q4_1.
pub fn smollm2() -> Option<PathBuf> {
    model("SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// Gemma-3-270M, base, Q4_K_M.
pub fn gemma3() -> Option<PathBuf> {
    model("gemma-3-270m-q4_k_m.gguf")
}

/// Qwen2.5-Coder-0.5B-Instruct, Q4_K_M: the smallest of the mission's models, with fill-in-the-middle tokens of its own.
pub fn qwen() -> Option<PathBuf> {
    model("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf")
}

/// Qwen2.5-Coder-1.5B-Instruct, Q4_K_M; for benchmarks alone.
pub fn qwen_large() -> Option<PathBuf> {
    model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf")
}

/// Every so-manieth part of a benchmark is worked through, for a quicker look: `ZORD_BENCH_STEP`, else 1.
pub fn step() -> usize {
    std::env::var("ZORD_BENCH_STEP").ok().and_then(|step| step.parse().ok()).filter(|step| *step > 0).unwrap_or(1)
}

/// A plan that decides everything by hand.
pub fn plan(n_ctx: u32) -> Plan {
    Plan {
        n_ctx,
        kv_type: KvType::F16,
        n_ubatch: 256,
        threads: 2,
        n_seq: 1,
        flash: true,
        repack: true,
        ..Plan::default()
    }
}

/// A plan as the program makes it for the homes of the tests.
pub fn one_thread() -> Plan {
    Plan { threads: 1, ..plan(1024) }
}

/// What to start for a file and a plan.
pub fn local(model: PathBuf, plan: Plan) -> LocalSpec {
    LocalSpec { model, plan, lora: Vec::new(), speculate: false, cpus: Vec::new(), known: Known::Nothing }
}

/// An engine with its events.
pub struct Asked {
    engine: Engine,
    pub events: Receiver<Event>,
    pub facts: Facts,
    jobs: u64,
    _turn: MutexGuard<'static, ()>,
}

/// Engines spin on all cores: several at once would only slow each other down.
static TURN: Mutex<()> = Mutex::new(());

impl Asked {
    pub fn start(spec: Spec) -> Result<Self, (String, Option<String>)> {
        Self::begin(|sink| Engine::start(spec, sink))
    }

    /// The same in a process of its own.
    #[cfg(feature = "engine")]
    pub fn start_process(program: &str, spec: LocalSpec) -> Result<Self, (String, Option<String>)> {
        Self::begin(|sink| Engine::start_process(program.into(), spec, sink))
    }

    fn begin(start: impl FnOnce(Sink) -> std::io::Result<Engine>) -> Result<Self, (String, Option<String>)> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, events) = sync_channel(4096);
        let engine = start(Box::new(move |event| drop(sender.send(event)))).unwrap();
        loop {
            match events.recv().unwrap() {
                Event::Loaded(facts) => return Ok(Self { engine, events, facts: *facts, jobs: 0, _turn: turn }),
                Event::LoadFailed(error) => return Err((error.message, error.hint)),
                _ => {}
            }
        }
    }

    pub fn local(model: PathBuf, plan: Plan) -> Self {
        Self::start(Spec::Local(local(model, plan))).unwrap()
    }

    /// The process that the engine runs in, if it is another one.
    pub fn process(&self) -> Option<u32> {
        self.engine.process()
    }

    /// Queues work and gives its flag.
    pub fn submit(&mut self, work: Work) -> (JobId, Cancel) {
        self.jobs += 1;
        let (id, cancel) = (JobId(self.jobs), Cancel::new());
        assert!(self.engine.submit(Job { id, cancel: cancel.clone(), work }));
        (id, cancel)
    }

    /// Waits for the end of a job; gives it with the events before it.
    pub fn wait(&self, id: JobId) -> (Vec<Event>, Result<Outcome, String>) {
        let mut seen = Vec::new();
        loop {
            match self.events.recv().unwrap() {
                Event::Done { job, outcome } if job == id => return (seen, Ok(outcome)),
                Event::Failed { job, error } if job == id => return (seen, Err(error.message)),
                event => seen.push(event),
            }
        }
    }

    pub fn work(&mut self, work: Work) -> (Vec<Event>, Result<Outcome, String>) {
        let (id, _) = self.submit(work);
        self.wait(id)
    }

    pub fn chat(&mut self, request: ChatRequest) -> (String, Stop, Stats) {
        generated(self.work(Work::Chat(request)).1)
    }

    pub fn stop(self) {
        drop(self.events);
        self.engine.stop();
    }
}

pub fn generated(outcome: Result<Outcome, String>) -> (String, Stop, Stats) {
    match outcome {
        Ok(Outcome::Generated { text, stop, stats }) => (text, stop, stats),
        other => panic!("not generated: {other:?}"),
    }
}
