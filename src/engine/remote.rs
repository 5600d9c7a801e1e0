//! A model on a server that speaks OpenAI's chat completions (llama-server, Ollama, vLLM), behind the same interface.
//!
//! The thread runs a small event loop of its own: a request streams, and between two pieces the cancel flag is looked
//! at, so that stopping closes the connection at once and the server stops too. What a server should bound and does not
//! (length, time) is bounded here.

use std::cell::Cell;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::start::Sink;
use super::{Cancel, ChatRequest, CompleteRequest, Event, Facts, Job, Outcome, RemoteSpec, Work};
use crate::chat::Message;
use crate::chat::compact::{self, Fit};
use crate::error::{Advise, UserError, chain};
use crate::models::net;

mod address;
mod answer;
mod ask;
mod fill;
mod models;
mod stream;

use address::Address;
use ask::Manners;

/// How often the cancel flag is looked at while nothing arrives.
const POLL: Duration = Duration::from_millis(20);
/// How long a server may take to list its models.
const GREETING: Duration = Duration::from_secs(20);
/// A list of models or an error page is read up to here, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// What a server says of an error is quoted up to here, in characters.
const QUOTE: usize = 300;
/// Bytes of text that a token stands for, about: a server tells no counts of its own before it is asked.
const TOKEN_BYTES: usize = 4;
/// Bytes of a turn's own marks, about.
const TURN_BYTES: usize = 16;

/// Why the server could not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    #[error("`{url}` is no address of a server")]
    Url { url: String },
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("`{url}` answered {status}: {text}")]
    Status { url: String, status: u16, text: String },
    #[error("`{url}` does not speak OpenAI's interface: {reason}")]
    Language { url: String, reason: String },
    #[error("`{url}` broke off: {reason}")]
    Broken { url: String, reason: String },
    #[error("`{url}` sends requests on to `{to}`")]
    Moved { url: String, to: String },
    #[error("`{url}` has not said a word for {seconds} seconds")]
    Silent { url: String, seconds: u64 },
}

impl RemoteError {
    /// Whether it is about the length of what was sent.
    fn is_too_long(&self) -> bool {
        let Self::Status { status: 400 | 413 | 422 | 500, text, .. } = self else { return false };
        let text = text.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        (says(&["context"]) && says(&["length", "exceed", "window", "size", "limit", "maximum", "token"]))
            || says(&["too long", "too many tokens", "too large"])
    }
}

impl Advise for RemoteError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Url { .. } => "like `http://127.0.0.1:8080`".into(),
            Self::Unreachable { .. } => "is it running, and is the port right?".into(),
            Self::Status { status: 401 | 403, .. } => {
                "the key is read from the variable that `remote.key_env` names".into()
            }
            Self::Status { status: 404, .. } | Self::Language { .. } => {
                "the address ends before `/chat/completions`; `--model` names a model that is not listed".into()
            }
            Self::Status { .. } | Self::Broken { .. } => "the server's own log may say more".into(),
            Self::Moved { .. } => "if you trust that address, use it instead".into(),
            Self::Silent { .. } => "`remote.timeout` in the configuration says how long to wait, in seconds".into(),
        })
    }
}

/// The engine's thread for a server.
pub(crate) fn run(spec: RemoteSpec, inbox: Receiver<Job>, mut sink: Sink) {
    // Jobs are waited for inside the runtime: while it stands still, no connection is closed, and a server that was told
    // to stop by hanging up goes on.
    let (jobs, waiting) = mpsc::unbounded_channel();
    let (here, gone) = oneshot::channel::<()>();
    let relay = move || {
        for job in inbox {
            if jobs.send(job).is_err() {
                break;
            }
        }
        drop(here);
    };
    let started = std::thread::Builder::new().name("jobs".into()).spawn(relay);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match started.and(runtime) {
        Ok(runtime) => runtime.block_on(serve(spec, waiting, gone, sink)),
        Err(error) => sink(Event::LoadFailed(UserError::failed(format!("cannot start the engine: {error}")))),
    }
}

async fn serve(
    spec: RemoteSpec,
    mut waiting: mpsc::UnboundedReceiver<Job>,
    gone: oneshot::Receiver<()>,
    mut sink: Sink,
) {
    let connected = tokio::select! {
        connected = Server::connect(spec) => connected,
        // Nobody wants it any more.
        _ = gone => return,
    };
    match connected {
        Ok((server, facts)) => {
            sink(Event::Loaded(Box::new(facts)));
            while let Some(job) = waiting.recv().await {
                let end = match server.work(&job, &mut sink).await {
                    Ok(outcome) => Event::Done { job: job.id, outcome },
                    Err(error) => Event::Failed { job: job.id, error: error.into() },
                };
                sink(end);
            }
        }
        Err(error) => {
            sink(Event::LoadFailed(error.into()));
            while let Some(job) = waiting.recv().await {
                sink(Event::Failed { job: job.id, error: UserError::failed("there is no server") });
            }
        }
    }
}

struct Server {
    client: reqwest::Client,
    address: Address,
    model: String,
    key: Option<String>,
    /// Tokens of context; zero where nobody says.
    n_ctx: u32,
    /// The longest time without a word.
    silence: Duration,
    /// The fullest form of a request that it has taken.
    manners: Cell<Manners>,
}

impl Server {
    async fn connect(spec: RemoteSpec) -> Result<(Self, Facts), RemoteError> {
        let started = Instant::now();
        let address = Address::new(&spec.url)?;
        let client = net::client_to(address.url(), None)
            .map_err(|error| RemoteError::Unreachable { url: spec.url.clone(), reason: chain(&error) })?;
        let mut server = Self {
            client,
            address,
            model: spec.model.clone().unwrap_or_default(),
            key: spec.key,
            n_ctx: spec.ctx.unwrap_or(0),
            silence: spec.silence,
            manners: Cell::default(),
        };
        let sizes = server.greet(spec.model.as_deref()).await?;
        server.n_ctx = match (sizes.context(), spec.ctx) {
            (Some(told), Some(wanted)) => told.min(wanted),
            (told, wanted) => told.or(wanted).unwrap_or(0),
        };
        let facts = Facts {
            name: server.model.rsplit('/').next().unwrap_or_default().to_owned(),
            n_ctx: server.n_ctx,
            n_ctx_train: sizes.trained.unwrap_or(0),
            template: "server".into(),
            server: Some(server.address.host()),
            load_ms: started.elapsed().as_secs_f64() * 1e3,
            ..Facts::default()
        };
        Ok((server, facts))
    }

    async fn work(&self, job: &Job, sink: &mut Sink) -> Result<Outcome, RemoteError> {
        match &job.work {
            Work::Chat(request) if request.raw => {
                let prompt = request.turns.last().map(|turn| turn.content.clone()).unwrap_or_default();
                let body = json!({"prompt": prompt});
                self.generate(job, "completions", body, request, None, sink).await
            }
            Work::Chat(request) => self.chat(job, request, sink).await,
            Work::Complete(CompleteRequest { prefix, sampling, max_tokens, stop, .. }) => {
                let request = ChatRequest {
                    sampling: sampling.clone(),
                    max_tokens: Some(*max_tokens),
                    stop: stop.clone(),
                    ..ChatRequest::default()
                };
                self.generate(job, "completions", json!({"prompt": prefix}), &request, None, sink).await
            }
            // A server tells no token counts of its own in this interface.
            Work::Count(text) => Ok(Outcome::Counted(text.len().div_ceil(TOKEN_BYTES) as u32)),
            Work::Save(_) => Ok(Outcome::Saved(0)),
            Work::Restore(_) => Ok(Outcome::Restored(0)),
            Work::Infill(request) => self.infill(job, request).await,
            Work::Release => Ok(Outcome::Released),
        }
    }

    /// Sends the turns, those that fit by what is known of its context; when the server says that they are too many, more
    /// of the older ones go, as they would here.
    async fn chat(&self, job: &Job, request: &ChatRequest, sink: &mut Sink) -> Result<Outcome, RemoteError> {
        let size = |turns: &[Message]| turns.iter().map(|turn| turn.content.len() + TURN_BYTES).sum::<usize>();
        let mut room = size(&request.turns).min(self.room(request));
        loop {
            let Ok(fit) = compact::fit(&request.turns, room, |turns| Ok::<_, std::convert::Infallible>(size(turns)));
            let is_cut = fit.is_cut();
            let Fit { turns, dropped, trimmed_lines, earlier_lines } = fit;
            let cut = is_cut.then_some(Event::Cut {
                job: job.id,
                turns: dropped,
                trimmed_lines,
                earlier_lines,
                summary: None,
            });
            let body = json!({"messages": turns});
            let error = match self.generate(job, "chat/completions", body, request, cut, sink).await {
                Err(error) if error.is_too_long() => error,
                done => return done,
            };
            room = room.min(size(&turns)) * 2 / 3;
            if room < 64 {
                return Err(error);
            }
        }
    }

    /// Bytes that the turns of a request may take, about.
    fn room(&self, request: &ChatRequest) -> usize {
        let n_ctx = self.n_ctx as usize;
        let wanted = request.max_tokens.map_or(n_ctx / 4, |most| most as usize);
        match n_ctx {
            0 => usize::MAX,
            _ => n_ctx.saturating_sub(wanted.clamp(1, (n_ctx / 2).max(1))).saturating_mul(TOKEN_BYTES),
        }
    }
}

/// What became of something that was waited for.
enum Waited<T> {
    Came(T),
    Cancelled,
    Late,
}

/// Waits for a future until the flag is raised or the deadline passes.
async fn wait<T>(cancel: &Cancel, deadline: Instant, future: impl Future<Output = T>) -> Waited<T> {
    tokio::pin!(future);
    loop {
        if cancel.is_cancelled() {
            return Waited::Cancelled;
        }
        if let Ok(value) = tokio::time::timeout(POLL, &mut future).await {
            return Waited::Came(value);
        }
        if Instant::now() >= deadline {
            return Waited::Late;
        }
    }
}

/// An address as it may be shown: without a password or a key in it.
pub(super) fn without_secrets(url: &str) -> String {
    reqwest::Url::parse(url).map_or_else(|_| "…".to_owned(), |url| address::shown(&url))
}

/// A server's words, as they may stand in a line here.
fn quote(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() && !crate::text::clean::turns(*c)).collect();
    text.trim().chars().take(QUOTE).collect()
}

#[cfg(test)]
mod tests;
