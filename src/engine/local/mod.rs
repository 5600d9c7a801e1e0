//! A GGUF model in this process: the thread that owns model and context, one job after the other.
//!
//! `run` is the thread. `context`, `pool` (its threads) and `log` (llama.cpp's words) are the only parts that call
//! llama.cpp with raw pointers; `words` turns text into tokens, `prompt` chooses what is sent, `generate` evaluates and
//! decodes, `choose` picks tokens, `snapshot` keeps KV caches on disk.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Instant, SystemTime};

use super::admission;
use super::speculate::Costs;
use super::start::{Sink, Threads};
use super::{Event, Facts, Job, JobId, LocalSpec, Outcome, Work};
use crate::chat::template::{Hints, Template};
use crate::crash::{Doing, Step};
use crate::error::{Advise, UserError, chain};
use crate::fim::form::{FimIds, Form};
use crate::weights::gguf::Header;

mod choose;
mod context;
mod generate;
mod infill;
pub mod kernels;
mod log;
mod pool;
mod prompt;
mod snapshot;
mod words;

pub use log::system_info;
pub use snapshot::content;

use context::{Adapter, Context, DecodeError, MAX_OUTPUTS, Model};
use snapshot::Fingerprint;
use words::Words;

/// Why a job or the loading failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("cannot load `{model}`: {reason}")]
    Load { model: String, reason: String },
    #[error("cannot load the adapter `{file}`: {reason}")]
    Lora { file: String, reason: String },
    #[error("cannot make a context of {n_ctx} tokens: {reason}")]
    Context { n_ctx: u32, reason: String },
    #[error("message too long: {tokens} tokens, room for {n_ctx}")]
    TooLong { tokens: usize, n_ctx: usize },
    #[error("there is nothing to answer")]
    Empty,
    #[error("no room for a completion: the chat uses {used} of {cells} tokens")]
    NoRoom { used: usize, cells: usize },
    #[error("the chat template failed: {0}")]
    Template(String),
    #[error("evaluation failed with code {0}")]
    Decode(i32),
    #[error("the model gave no usable logits")]
    Logits,
    #[error("cannot write the snapshot `{file}`")]
    Snapshot { file: String, source: std::io::Error },
    #[error("loading was cancelled")]
    GivenUp,
}

impl Advise for EngineError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Load { reason, .. } if is_about_memory(reason) => {
                "close other programs, or choose a smaller model or `--ctx`: `zord plan` shows what fits".into()
            }
            Self::Load { .. } => "`zord models verify` tells whether the file is whole".into(),
            Self::Lora { .. } => "an adapter must be a GGUF made for this very model".into(),
            Self::Context { .. } => "a smaller `--ctx` or `--kv-type q8_0` takes less memory".into(),
            Self::TooLong { .. } => "ask something shorter, attach less, or use a larger `--ctx`".into(),
            Self::Decode(_) | Self::Logits => "the model file may be damaged: `zord models verify`".into(),
            Self::Snapshot { .. } => "is the disk full?".into(),
            Self::NoRoom { .. } => "a new conversation, or a larger `--ctx`".into(),
            Self::Empty | Self::Template(_) | Self::GivenUp => return None,
        })
    }
}

/// Whether a reason that the system or llama.cpp gives is a lack of memory.
fn is_about_memory(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["out of memory", "cannot allocate", "failed to allocate", "unable to allocate", "enomem"]
        .iter()
        .any(|words| reason.contains(words))
}

/// The engine's thread: loads, then works until nobody can send jobs any more.
pub(super) fn run(spec: LocalSpec, threads: Threads, inbox: Receiver<Job>, mut sink: Sink) {
    let mut queue = Queue { inbox, waiting: VecDeque::new() };
    let loading = Doing::now(Step::Loading);
    let loaded = Worker::load(spec, threads, &mut queue, &mut sink);
    drop(loading);
    match loaded {
        Ok((mut worker, facts)) => {
            sink(Event::Loaded(Box::new(facts)));
            while let Some(job) = queue.next() {
                let end = worker.work(&job, &mut queue, &mut sink);
                sink(end);
            }
        }
        Err(EngineError::GivenUp) => {}
        Err(error) => {
            sink(Event::LoadFailed(error.into()));
            while let Some(job) = queue.next() {
                sink(Event::Failed { job: job.id, error: UserError::failed("no model is loaded") });
            }
        }
    }
}

/// Jobs in the order they came, but for completions, which do not wait for an answer to end.
struct Queue {
    inbox: Receiver<Job>,
    waiting: VecDeque<Job>,
}

impl Queue {
    /// The next job, waited for; `None` when nobody is left to send one.
    fn next(&mut self) -> Option<Job> {
        self.waiting.pop_front().or_else(|| self.inbox.recv().ok())
    }

    /// Puts what came in meanwhile aside; `false` when nobody is left to work for.
    fn drain(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.waiting.is_empty(),
            }
        }
    }

    /// A completion that is asked for.
    fn infill(&mut self) -> Option<Job> {
        self.drain();
        let at = self.waiting.iter().position(|job| matches!(job.work, Work::Infill(_)))?;
        self.waiting.remove(at)
    }
}

/// Model, context and what is in it.
struct Worker {
    spec: LocalSpec,
    threads: Threads,
    model: Arc<Model>,
    words: Words,
    template: Template,
    /// Tokens that end a turn of this template.
    marks: Vec<i32>,
    adapters: Vec<Adapter>,
    fits: Fingerprint,
    /// `None` after a release; made again for the next job.
    context: Option<Context>,
    /// The tokens whose cells are in the chat's sequence.
    cached: Vec<i32>,
    /// The tokens whose cells are in the completions' sequence.
    filled: Vec<i32>,
    /// Tokens typed since the suffix in there was evaluated.
    stale: usize,
    form: Form,
    costs: Costs,
}

impl Worker {
    fn load(
        spec: LocalSpec,
        threads: Threads,
        queue: &mut Queue,
        sink: &mut Sink,
    ) -> Result<(Self, Facts), EngineError> {
        let started = Instant::now();
        let failed = |reason: String| EngineError::Load { model: spec.model.display().to_string(), reason };
        let header = Header::read(&spec.model).map_err(|error| failed(chain(&error)))?;
        admission::check(&header).map_err(|error| failed(error.to_string()))?;
        let mut given_up = false;
        let mut progress = |done: f32| {
            given_up = !queue.drain();
            sink(Event::Loading(done));
            !given_up
        };
        let model = Model::load(&spec.model, spec.plan.repack, &mut progress);
        if given_up {
            return Err(EngineError::GivenUp);
        }
        let model = Arc::new(model.map_err(failed)?);
        let words = Words::new(&model);
        let mut adapters = Vec::new();
        for (file, scale) in &spec.lora {
            let failed = |reason| EngineError::Lora { file: file.display().to_string(), reason };
            admission::check_adapter(file, &header).map_err(failed)?;
            adapters.push(Adapter::load(&model, file, *scale).map_err(failed)?);
        }
        let fits = Fingerprint::new(&spec.model, &spec.plan, &spec.lora).map_err(|error| failed(error.to_string()))?;
        let text = |key: &str| header.str(key).unwrap_or_default().to_owned();
        let (architecture, name) = (text("general.architecture"), text("general.name"));
        let has = |token: &str| words.has(token);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let hints = Hints { architecture: &architecture, name: &name, has_token: &has, now };
        let (template, notice) = Template::new(header.str("tokenizer.chat_template"), &hints);
        if let Some(notice) = notice {
            tracing::warn!("{notice}");
        }
        let ids = FimIds::read(&|key| header.u32(key));
        let form = Form::choose(&ids, &|text| words.id(text), spec.known);
        let mut worker = Self {
            costs: Costs::new(MAX_OUTPUTS.min(spec.plan.n_ubatch as usize)),
            spec,
            threads,
            marks: template.stops().iter().filter_map(|stop| words.id(stop)).collect(),
            words,
            template,
            adapters,
            fits,
            context: None,
            cached: Vec::new(),
            filled: Vec::new(),
            stale: 0,
            form,
            model,
        };
        let n_ctx = worker.context()?.n_ctx() as u32;
        let facts = Facts {
            name: if name.is_empty() { file_name(&worker.spec.model) } else { name },
            architecture,
            n_ctx,
            n_ctx_train: worker.model.view().n_ctx_train(),
            plan: Some(worker.spec.plan.clone()),
            server: None,
            content: worker.fits.content(),
            load_ms: started.elapsed().as_secs_f64() * 1e3,
            template: worker.template.origin().to_owned(),
            thinks: worker.template.opens_thinking(),
        };
        Ok((worker, facts))
    }

    /// The context, made again if it was given back.
    fn context(&mut self) -> Result<&mut Context, EngineError> {
        if self.context.is_none() {
            let plan = &self.spec.plan;
            let failed = |reason| EngineError::Context { n_ctx: plan.n_ctx, reason };
            let fresh =
                Context::new(&self.model, plan, &self.spec.cpus, &self.threads, &mut self.adapters).map_err(failed)?;
            self.cached.clear();
            self.filled.clear();
            self.context = Some(fresh);
        }
        self.context.as_mut().ok_or(EngineError::Logits)
    }

    fn work(&mut self, job: &Job, queue: &mut Queue, sink: &mut Sink) -> Event {
        let outcome = match &job.work {
            Work::Chat(request) => self.chat(job, request, queue, sink),
            Work::Complete(request) => self.complete(job, request, queue, sink),
            Work::Infill(request) => self.infill(job, request, sink),
            Work::Count(text) => Ok(Outcome::Counted(self.words.tokens(text, false).len() as u32)),
            Work::Save(file) => self.save(file),
            Work::Restore(file) => self.restore(file),
            Work::Release => {
                self.context = None;
                self.cached.clear();
                self.filled.clear();
                Ok(Outcome::Released)
            }
        };
        match outcome {
            Ok(outcome) => Event::Done { job: job.id, outcome },
            Err(error) => failure(job.id, &error),
        }
    }

    fn save(&mut self, file: &Path) -> Result<Outcome, EngineError> {
        let Some(context) = self.context.as_mut().filter(|_| !self.cached.is_empty()) else {
            return Ok(Outcome::Saved(0));
        };
        let cached = &self.cached;
        snapshot::write(file, &self.fits, |part| context.save(part, context::CHAT, cached))
            .map_err(|source| EngineError::Snapshot { file: file.display().to_string(), source })?;
        Ok(Outcome::Saved(self.cached.len() as u32))
    }

    fn restore(&mut self, file: &Path) -> Result<Outcome, EngineError> {
        if let Err(reason) = snapshot::check(file, &self.fits) {
            tracing::info!("the snapshot {} is ignored: {reason}", file.display());
            return Ok(Outcome::Restored(0));
        }
        let context = self.context()?;
        context.remove(context::CHAT, 0, None);
        let tokens = context.restore(file, context::CHAT);
        if tokens.is_none() {
            context.remove(context::CHAT, 0, None);
        }
        self.cached = tokens.unwrap_or_default();
        Ok(Outcome::Restored(self.cached.len() as u32))
    }
}

fn failure(job: JobId, error: &EngineError) -> Event {
    Event::Failed { job, error: UserError::of(error) }
}

fn file_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
