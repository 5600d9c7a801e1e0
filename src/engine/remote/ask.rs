//! One request to a server: sent in a form that it takes, read until something ends it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::header::LOCATION;
use reqwest::{Method, Response, Url};
use serde_json::{Value, json};

use super::answer::Answer;
use super::stream::{self, Lines};
use super::{LARGEST_ANSWER, RemoteError, Server, Waited, address, quote, wait};
use crate::engine::start::Sink;
use crate::engine::{Cancel, ChatRequest, Event, Job, Outcome, Sampling, Stop};
use crate::error::chain;

/// After the answer's end its counts may follow; so long they are waited for.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Redirects followed for one request.
const REDIRECTS: usize = 4;

/// How much of a request a server understands. Servers that check what they are sent refuse keys they do not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manners {
    /// With what the servers that people run at home understand.
    #[default]
    All,
    /// OpenAI's own keys.
    Plain,
    /// Nothing that could be left out.
    Bare,
}

impl Manners {
    fn fewer(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::Plain),
            Self::Plain => Some(Self::Bare),
            Self::Bare => None,
        }
    }
}

impl Server {
    /// One request; `cut` is told when the server takes it, before its first piece.
    pub(super) async fn generate(
        &self,
        job: &Job,
        path: &str,
        body: Value,
        request: &ChatRequest,
        mut cut: Option<Event>,
        sink: &mut Sink,
    ) -> Result<Outcome, RemoteError> {
        let mut answer = Answer::new(request, self.n_ctx, Instant::now());
        let Some(response) = self.accepted(&job.cancel, path, &body, request).await? else {
            return Ok(answer.outcome(Stop::Cancelled));
        };
        let mut tell = |text: String| {
            if !text.is_empty() {
                cut.take().into_iter().for_each(&mut *sink);
                sink(Event::Piece { job: job.id, text });
            }
        };
        let stop = self.read(&job.cancel, response, &mut answer, &mut tell).await?;
        answer.finish();
        tell(answer.fresh());
        cut.into_iter().for_each(sink);
        Ok(answer.outcome(stop))
    }

    /// Sends the request in the fullest form that the server takes, and remembers which that was. `None`: cancelled.
    async fn accepted(
        &self,
        cancel: &Cancel,
        path: &str,
        body: &Value,
        request: &ChatRequest,
    ) -> Result<Option<Response>, RemoteError> {
        let mut manners = self.manners.get();
        let mut refused: Option<RemoteError> = None;
        loop {
            let told = refused.as_ref().map(ToString::to_string).unwrap_or_default();
            let body = self.filled_in(body.clone(), request, manners, &told);
            let sent = self.sent(Method::POST, self.address.door(path), Some(&body));
            let error = match wait(cancel, Instant::now() + self.silence, sent).await {
                Waited::Cancelled => return Ok(None),
                Waited::Late => return Err(self.silent()),
                Waited::Came(Ok(response)) => {
                    self.manners.set(manners);
                    return Ok(Some(response));
                }
                Waited::Came(Err(error)) => error,
            };
            let strict = matches!(error, RemoteError::Status { status: 400 | 422, .. }) && !error.is_too_long();
            match manners.fewer().filter(|_| strict) {
                Some(fewer) => manners = fewer,
                // What it said of the request counts for more than that it then hung up.
                None if matches!(error, RemoteError::Unreachable { .. }) => return Err(refused.unwrap_or(error)),
                None => return Err(error),
            }
            refused = Some(error);
        }
    }

    /// The body with everything that these manners allow; `told` is what the server said of the one before.
    fn filled_in(&self, mut body: Value, request: &ChatRequest, manners: Manners, told: &str) -> Value {
        body["model"] = json!(self.model);
        body["stream"] = json!(true);
        if let Some(most) = request.max_tokens {
            let newer = manners == Manners::Bare && told.contains("max_completion_tokens");
            body[if newer { "max_completion_tokens" } else { "max_tokens" }] = json!(most);
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        if manners != Manners::Bare {
            body["stream_options"] = json!({"include_usage": true});
            put_sampling(&mut body, &request.sampling);
        }
        if manners == Manners::All {
            put_extras(&mut body, &request.sampling);
        }
        body
    }

    /// Reads until something ends it; says what. Pieces that come together are told together.
    async fn read(
        &self,
        cancel: &Cancel,
        response: Response,
        answer: &mut Answer,
        tell: &mut impl FnMut(String),
    ) -> Result<Stop, RemoteError> {
        let mut bytes = response.bytes_stream();
        let mut lines = Lines::default();
        let mut deadline = Instant::now() + self.silence;
        loop {
            // Dropping the response closes the connection, and the server stops.
            let (parts, last) = match wait(cancel, deadline, bytes.next()).await {
                Waited::Cancelled => return Ok(Stop::Cancelled),
                Waited::Late => return answer.ended.ok_or_else(|| self.silent()),
                Waited::Came(Some(Ok(chunk))) => (lines.push(&chunk), false),
                Waited::Came(Some(Err(error))) => return answer.ended.ok_or_else(|| self.broken(&error)),
                Waited::Came(None) => (lines.finish(), true),
            };
            let had_ended = answer.ended.is_some();
            let end = self.take(cancel, parts, answer);
            let fresh = answer.fresh();
            let has_words = !fresh.is_empty();
            tell(fresh);
            match end.transpose()? {
                Some(stop) => return Ok(stop),
                None if last => return answer.ended.ok_or_else(|| self.ended_early()),
                // Signs of life without a word do not count: they may go on for ever.
                None if answer.ended.is_some() != had_ended => deadline = Instant::now() + AFTERWARDS,
                None if has_words && !had_ended => deadline = Instant::now() + self.silence,
                None if Instant::now() >= deadline => return answer.ended.ok_or_else(|| self.silent()),
                None => {}
            }
        }
    }

    /// Takes what came together; `Some` when it was the end.
    fn take(
        &self,
        cancel: &Cancel,
        parts: Vec<Result<stream::Part, String>>,
        answer: &mut Answer,
    ) -> Option<Result<Stop, RemoteError>> {
        for part in parts {
            if cancel.is_cancelled() {
                return Some(Ok(Stop::Cancelled));
            }
            let part = match part {
                Ok(part) => part,
                Err(reason) => return Some(Err(self.language(&quote(&reason)))),
            };
            match answer.take(part) {
                Ok(false) => {}
                Ok(true) => return Some(Ok(answer.ended.unwrap_or(Stop::End))),
                Err(reason) => {
                    return Some(Err(RemoteError::Broken { url: self.address.to_string(), reason: quote(&reason) }));
                }
            }
        }
        None
    }

    /// Sends a request; redirects are followed on the same host, where the key may go.
    pub(super) async fn sent(
        &self,
        method: Method,
        mut url: Url,
        body: Option<&Value>,
    ) -> Result<Response, RemoteError> {
        for _ in 0..REDIRECTS {
            let mut request = self.client.request(method.clone(), url.clone());
            if let Some(body) = body {
                request = request.json(body);
            }
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.map_err(|error| RemoteError::Unreachable {
                url: self.address.to_string(),
                reason: chain(&error.without_url()),
            })?;
            if response.status().is_success() {
                return Ok(response);
            }
            let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).filter(|_| moved);
            let Some(location) = location else { return Err(self.refusal(response).await) };
            match address::followed(&url, location) {
                Ok(next) if response.status().as_u16() != 303 => url = next,
                Ok(to) | Err(Some(to)) => return Err(self.moved(&to)),
                Err(None) => return Err(self.refusal(response).await),
            }
        }
        Err(self.moved(&url))
    }

    fn moved(&self, to: &Url) -> RemoteError {
        RemoteError::Moved { url: self.address.to_string(), to: quote(&address::shown(to)) }
    }

    /// Why the server refused, in its own words.
    async fn refusal(&self, response: Response) -> RemoteError {
        let status = response.status().as_u16();
        let text = self.whole(response).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let told = serde_json::from_str::<Value>(&text).ok();
        let told = told.as_ref().and_then(|told| stream::told(told.get(0).unwrap_or(told)));
        RemoteError::Status { url: self.address.to_string(), status, text: quote(told.as_deref().unwrap_or(&text)) }
    }

    /// The body of an answer that is no stream.
    pub(super) async fn whole(&self, mut response: Response) -> Result<Vec<u8>, RemoteError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.language("an answer has no end"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn silent(&self) -> RemoteError {
        RemoteError::Silent { url: self.address.to_string(), seconds: self.silence.as_secs_f64().ceil() as u64 }
    }

    pub(super) fn language(&self, reason: &str) -> RemoteError {
        RemoteError::Language { url: self.address.to_string(), reason: reason.to_owned() }
    }

    fn ended_early(&self) -> RemoteError {
        RemoteError::Broken { url: self.address.to_string(), reason: "the stream ended early".into() }
    }

    fn broken(&self, error: &reqwest::Error) -> RemoteError {
        RemoteError::Broken { url: self.address.to_string(), reason: chain(error) }
    }
}

fn put_sampling(body: &mut Value, sampling: &Sampling) {
    body["temperature"] = json!(sampling.temperature);
    body["top_p"] = json!(sampling.top_p);
    body["seed"] = json!(sampling.seed);
}

/// Beyond OpenAI's own keys, understood by the servers people run at home.
fn put_extras(body: &mut Value, sampling: &Sampling) {
    body["top_k"] = json!(sampling.top_k);
    body["min_p"] = json!(sampling.min_p);
    body["repeat_penalty"] = json!(sampling.repeat_penalty);
    body["repeat_last_n"] = json!(sampling.repeat_last_n);
}
