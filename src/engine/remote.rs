//! A model on a server that speaks OpenAI's chat completions (llama-server, Ollama, vLLM), behind the same interface.
//!
//! The thread runs a small event loop of its own: a request streams, and between two pieces the cancel flag is looked
//! at, so that stopping closes the connection at once and the server stops too.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::pieces::Pieces;
use super::start::Sink;
use super::{
    Cancel, ChatRequest, CompleteRequest, Event, Facts, Job, Outcome, RemoteSpec, Sampling, Stats, Stop, Work,
};
use crate::chat::compact::{self, Fit};
use crate::error::{Advise, chain};
use crate::models::net;

mod fill;
mod stream;

use stream::{Lines, Part};

/// How often the cancel flag is looked at while nothing arrives.
const POLL: Duration = Duration::from_millis(20);
/// How long a server may take to list its models.
const GREETING: Duration = Duration::from_secs(20);
/// A list of models or an error page is read up to here, in bytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// An error page is quoted up to here.
const QUOTE: usize = 300;

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
                "the address ends before `/chat/completions`, with or without `/v1`".into()
            }
            Self::Status { .. } | Self::Broken { .. } => "the server's own log may say more".into(),
        })
    }
}

/// The engine's thread for a server.
pub(crate) fn run(spec: RemoteSpec, inbox: Receiver<Job>, mut sink: Sink) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let connected = match &runtime {
        Ok(runtime) => runtime.block_on(Server::connect(spec)),
        Err(error) => Err(RemoteError::Unreachable { url: spec.url, reason: error.to_string() }),
    };
    match (runtime, connected) {
        (Ok(runtime), Ok((server, facts))) => {
            sink(Event::Loaded(Box::new(facts)));
            for job in inbox {
                let end = match runtime.block_on(server.work(&job, &mut sink)) {
                    Ok(outcome) => Event::Done { job: job.id, outcome },
                    Err(error) => Event::Failed { job: job.id, message: chain(&error), hint: error.hint() },
                };
                sink(end);
            }
        }
        (_, Err(error)) => {
            sink(Event::LoadFailed { message: chain(&error), hint: error.hint() });
            for job in inbox {
                sink(Event::Failed { job: job.id, message: "there is no server".into(), hint: None });
            }
        }
        (Err(_), Ok(_)) => {}
    }
}

struct Server {
    client: reqwest::Client,
    base: String,
    model: String,
    key: Option<String>,
}

impl Server {
    async fn connect(spec: RemoteSpec) -> Result<(Self, Facts), RemoteError> {
        let started = Instant::now();
        let base = base(&spec.url)?;
        let address = reqwest::Url::parse(&base).map_err(|_| RemoteError::Url { url: spec.url.clone() })?;
        let client = net::client_to(&address, None)
            .map_err(|error| RemoteError::Unreachable { url: spec.url.clone(), reason: chain(&error) })?;
        let mut server = Self { client, base, model: spec.model.clone().unwrap_or_default(), key: spec.key };
        let url = format!("{}/models", server.base);
        let list = async { server.whole(server.sent(server.client.get(&url)).await?).await };
        let list = tokio::time::timeout(GREETING, list)
            .await
            .map_err(|_| RemoteError::Unreachable { url: url.clone(), reason: "no answer".into() })??;
        let list: Value = serde_json::from_slice(&list).map_err(|error| server.language(&error.to_string()))?;
        let models = list["data"].as_array().ok_or_else(|| server.language("no list of models"))?;
        let found = match &spec.model {
            Some(name) => models.iter().find(|model| model["id"] == name.as_str()),
            None => models.first(),
        };
        if spec.model.is_none() {
            let first = found.and_then(|model| model["id"].as_str());
            server.model = first.ok_or_else(|| server.language("its list of models is empty"))?.to_owned();
        }
        let size = |key: &str| found.and_then(|model| model["meta"][key].as_u64()).unwrap_or(0) as u32;
        let facts = Facts {
            name: server.model.rsplit('/').next().unwrap_or_default().to_owned(),
            n_ctx: size("n_ctx"),
            n_ctx_train: size("n_ctx_train"),
            template: "server".into(),
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
            // A server tells no token counts of its own in this interface; four bytes a token is near for code.
            Work::Count(text) => Ok(Outcome::Counted(text.len().div_ceil(4) as u32)),
            Work::Save(_) => Ok(Outcome::Saved(0)),
            Work::Restore(_) => Ok(Outcome::Restored(0)),
            Work::Infill(request) => self.infill(job, request).await,
            Work::Release | Work::Forget => Ok(Outcome::Released),
        }
    }

    /// Sends the turns; when the server says that they are too many, older ones go, as they would here.
    async fn chat(&self, job: &Job, request: &ChatRequest, sink: &mut Sink) -> Result<Outcome, RemoteError> {
        let size = |turns: &[crate::chat::Message]| turns.iter().map(|turn| turn.content.len() + 16).sum::<usize>();
        let mut turns = request.turns.clone();
        let mut room = size(&turns);
        let mut cut = None;
        loop {
            let body = json!({"messages": turns});
            let error = match self.generate(job, "chat/completions", body, request, cut.take(), sink).await {
                Err(error) if too_long(&error) => error,
                done => return done,
            };
            room = room * 2 / 3;
            let Ok(fit) = compact::fit(&request.turns, room, |turns| Ok::<_, ()>(size(turns))) else {
                return Err(error);
            };
            if room < 64 || size(&fit.turns) < 64 {
                return Err(error);
            }
            let Fit { dropped, trimmed_lines, earlier_lines, .. } = fit;
            cut = Some(Event::Cut { job: job.id, turns: dropped, trimmed_lines, earlier_lines, summary: None });
            turns = fit.turns;
        }
    }

    /// One request; `cut` is told when the server takes it, before its first piece.
    async fn generate(
        &self,
        job: &Job,
        path: &str,
        mut body: Value,
        request: &ChatRequest,
        mut cut: Option<Event>,
        sink: &mut Sink,
    ) -> Result<Outcome, RemoteError> {
        let mut answer = Answer::new(request, Instant::now());
        body["model"] = json!(self.model);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        if let Some(most) = request.max_tokens {
            body["max_tokens"] = json!(most);
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        put_sampling(&mut body, &request.sampling);
        let post = self.client.post(format!("{}/{path}", self.base)).json(&body);
        let mut tell = |text| {
            cut.take().into_iter().for_each(&mut *sink);
            sink(Event::Piece { job: job.id, text });
        };
        let stop = self.stream(&job.cancel, post, &mut answer, &mut tell).await?;
        answer.rest(tell);
        cut.into_iter().for_each(sink);
        Ok(answer.outcome(stop))
    }

    /// Sends and reads until something ends it; says what.
    async fn stream(
        &self,
        cancel: &Cancel,
        post: reqwest::RequestBuilder,
        answer: &mut Answer,
        tell: &mut impl FnMut(String),
    ) -> Result<Stop, RemoteError> {
        let Some(response) = unless(cancel, self.sent(post)).await.transpose()? else { return Ok(Stop::Cancelled) };
        let mut bytes = response.bytes_stream();
        let mut lines = Lines::default();
        loop {
            // Dropping the response closes the connection, and the server stops.
            let Some(next) = unless(cancel, bytes.next()).await else { return Ok(Stop::Cancelled) };
            let Some(chunk) = next.transpose().map_err(|error| self.broken(&error))? else {
                return match answer.ended {
                    Some(stop) => Ok(stop),
                    None => {
                        Err(RemoteError::Broken { url: self.base.clone(), reason: "the stream ended early".into() })
                    }
                };
            };
            for part in lines.push(&chunk) {
                let part = part.map_err(|reason| self.language(&reason))?;
                if answer
                    .take(part, &mut *tell)
                    .map_err(|reason| RemoteError::Broken { url: self.base.clone(), reason })?
                {
                    return Ok(answer.ended.unwrap_or(Stop::End));
                }
            }
        }
    }

    async fn sent(&self, mut request: reqwest::RequestBuilder) -> Result<reqwest::Response, RemoteError> {
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await.map_err(|error| RemoteError::Unreachable {
            url: self.base.clone(),
            reason: chain(&error.without_url()),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let text = self.whole(response).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let told = serde_json::from_str::<Value>(&text).ok();
        let told = told.as_ref().and_then(|told| told["error"]["message"].as_str().or(told["error"].as_str()));
        let text = told.unwrap_or(&text).chars().filter(|c| !c.is_control()).take(QUOTE).collect();
        Err(RemoteError::Status { url: self.base.clone(), status, text })
    }

    /// The body of an answer that is no stream.
    async fn whole(&self, mut response: reqwest::Response) -> Result<Vec<u8>, RemoteError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.language("an answer has no end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn language(&self, reason: &str) -> RemoteError {
        RemoteError::Language { url: self.base.clone(), reason: reason.to_owned() }
    }

    fn broken(&self, error: &reqwest::Error) -> RemoteError {
        RemoteError::Broken { url: self.base.clone(), reason: chain(error) }
    }
}

/// What came so far.
struct Answer {
    started: Instant,
    first: Option<Instant>,
    pieces: Pieces,
    text: String,
    thinking: bool,
    ended: Option<Stop>,
    stats: Stats,
}

impl Answer {
    fn new(request: &ChatRequest, started: Instant) -> Self {
        Self {
            started,
            first: None,
            pieces: Pieces::new(request.stop.iter().cloned()),
            text: String::new(),
            thinking: false,
            ended: None,
            stats: Stats::default(),
        }
    }

    /// Takes one message of the stream; `true` when it was the last.
    fn take(&mut self, part: Part, mut tell: impl FnMut(String)) -> Result<bool, String> {
        match part {
            Part::End => Ok(true),
            Part::Error(text) => Err(text),
            Part::Message(message) => {
                let choice = &message["choices"][0];
                let delta = &choice["delta"];
                // Some servers take thinking out of the text; it goes back to where the model wrote it.
                if let Some(thought) = delta["reasoning_content"].as_str().filter(|text| !text.is_empty()) {
                    let open = if self.thinking { "" } else { "<think>" };
                    self.thinking = true;
                    self.say(&format!("{open}{thought}"), &mut tell);
                }
                if let Some(text) =
                    delta["content"].as_str().or(choice["text"].as_str()).filter(|text| !text.is_empty())
                {
                    let close = if self.thinking { "</think>" } else { "" };
                    self.thinking = false;
                    self.say(&format!("{close}{text}"), &mut tell);
                }
                match choice["finish_reason"].as_str() {
                    Some("length") => self.ended = Some(Stop::Length),
                    Some(_) => self.ended = Some(Stop::End),
                    None => {}
                }
                self.count(&message);
                if self.pieces.stopped() {
                    self.ended = Some(Stop::Text);
                }
                Ok(self.pieces.stopped())
            }
        }
    }

    fn say(&mut self, text: &str, tell: &mut impl FnMut(String)) {
        self.first.get_or_insert_with(Instant::now);
        let certain = self.pieces.push(text.as_bytes());
        self.stats.generated_tokens += 1;
        if !certain.is_empty() {
            self.text.push_str(&certain);
            tell(certain);
        }
    }

    /// What was held back because it could have become a stop text.
    fn rest(&mut self, mut tell: impl FnMut(String)) {
        let rest = self.pieces.finish();
        if !rest.is_empty() {
            self.text.push_str(&rest);
            tell(rest);
        }
    }

    fn count(&mut self, message: &Value) {
        let tokens = |key: &str| message["usage"][key].as_u64().map(|n| n as u32);
        if let Some(prompt) = tokens("prompt_tokens") {
            self.stats.prompt_tokens = prompt;
            self.stats.prefilled_tokens = prompt;
            self.stats.generated_tokens = tokens("completion_tokens").unwrap_or(self.stats.generated_tokens);
        }
        if let Some(cached) = message["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64() {
            self.stats.prefilled_tokens = self.stats.prompt_tokens.saturating_sub(cached as u32);
        }
        let timing = |key: &str| message["timings"][key].as_f64();
        if let Some(rate) = timing("prompt_per_second") {
            self.stats.prefill_tps = rate;
        }
        if let Some(prefilled) = timing("prompt_n") {
            self.stats.prefilled_tokens = prefilled as u32;
        }
    }

    fn outcome(mut self, stop: Stop) -> Outcome {
        if let Some(first) = self.first {
            self.stats.first_token_ms = (first - self.started).as_secs_f64() * 1e3;
            let seconds = first.elapsed().as_secs_f64();
            if seconds > 0.0 {
                self.stats.decode_tps = f64::from(self.stats.generated_tokens.saturating_sub(1)) / seconds;
            }
        }
        self.stats.context_tokens = self.stats.prompt_tokens + self.stats.generated_tokens;
        Outcome::Generated { text: self.text, stop, stats: self.stats }
    }
}

/// The future's value, or `None` as soon as the flag is raised.
async fn unless<T>(cancel: &Cancel, future: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(future);
    loop {
        if cancel.is_cancelled() {
            return None;
        }
        if let Ok(value) = tokio::time::timeout(POLL, &mut future).await {
            return Some(value);
        }
    }
}

fn too_long(error: &RemoteError) -> bool {
    matches!(error, RemoteError::Status { status: 400 | 413, text, .. } if text.contains("context"))
}

fn put_sampling(body: &mut Value, sampling: &Sampling) {
    body["temperature"] = json!(sampling.temperature);
    body["top_p"] = json!(sampling.top_p);
    body["seed"] = json!(sampling.seed);
    // Beyond OpenAI's own keys, understood by the servers people run at home and ignored by the others.
    body["top_k"] = json!(sampling.top_k);
    body["min_p"] = json!(sampling.min_p);
    body["repeat_penalty"] = json!(sampling.repeat_penalty);
    body["repeat_last_n"] = json!(sampling.repeat_last_n);
}

fn base(url: &str) -> Result<String, RemoteError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if parsed.is_none() {
        return Err(RemoteError::Url { url: url.to_owned() });
    }
    let base = url.trim_end_matches('/').trim_end_matches("/chat/completions");
    Ok(if base.ends_with("/v1") { base.to_owned() } else { format!("{base}/v1") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_and_without_its_version() {
        assert_eq!(base("http://host:1/").unwrap(), "http://host:1/v1");
        assert_eq!(base("http://host:1/v1").unwrap(), "http://host:1/v1");
        assert_eq!(base("https://host/api/v1/chat/completions").unwrap(), "https://host/api/v1");
        for bad in ["", "host:1", "ftp://host", "http://"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn separate_thinking_goes_back_into_the_text() {
        let mut answer = Answer::new(&ChatRequest::default(), Instant::now());
        let mut told = String::new();
        for delta in [json!({"reasoning_content": "hm"}), json!({"reasoning_content": "…"}), json!({"content": "yes"})]
        {
            let message = json!({"choices": [{"delta": delta}]});
            assert_eq!(answer.take(Part::Message(message), |text| told += &text), Ok(false));
        }
        assert_eq!(told, "<think>hm…</think>yes");
    }
}
