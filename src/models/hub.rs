//! One request to a hub: who is asked, who gets the token, and what the first answer says about the file.
//!
//! Redirects are walked here, one by one: the facts about a file (`X-Linked-Etag`, `X-Linked-Size`, `X-Repo-Commit`)
//! stand only on the hub's own answer, and the token is for the hub's own host. It refuses to go from `https` to `http`,
//! to other schemes, and in circles.

use std::time::Duration;

use futures_util::future::{Either, select};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, RANGE,
    RETRY_AFTER,
};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::fault::PullError;
use super::names::Source;
use super::net;
use crate::cancel::Cancel;
use crate::text::clean::printable;

/// The public hub.
pub const PUBLIC: &str = "https://huggingface.co";

/// Redirects that are followed for one request.
const HOPS: usize = 8;

/// How often a waiting request looks at the cancel flag.
const TICK: Duration = Duration::from_millis(50);

/// Where models come from, and as whom.
#[derive(Clone)]
pub struct Hub {
    endpoint: Url,
    token: Option<HeaderValue>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token stays out of every log.
        f.debug_struct("Hub").field("endpoint", &self.endpoint.as_str()).field("token", &self.token.is_some()).finish()
    }
}

impl Hub {
    /// A hub at an address, with or without a token.
    ///
    /// # Errors
    /// [`PullError::Endpoint`] for what is no `http` or `https` address.
    pub fn new(endpoint: &str, token: Option<&str>) -> Result<Self, PullError> {
        let wrong = || PullError::Endpoint(printable(endpoint));
        let url = Url::parse(endpoint.trim()).map_err(|_| wrong())?;
        let plain =
            url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
            return Err(wrong());
        }
        let header = |token: &str| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let token = token.map(str::trim).filter(|token| !token.is_empty()).and_then(header);
        Ok(Self { endpoint: url, token })
    }

    /// `HF_ENDPOINT`, else the configured address, else the public hub; the token from `HF_TOKEN`.
    ///
    /// # Errors
    /// What [`Self::new`] says.
    pub fn from_environment(configured: Option<&str>) -> Result<Self, PullError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let endpoint =
            variable("HF_ENDPOINT").or_else(|| configured.map(str::to_owned)).unwrap_or_else(|| PUBLIC.into());
        Self::new(&endpoint, variable("HF_TOKEN").as_deref())
    }

    /// The address, as it is shown to a person.
    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str()
    }

    /// The address of a file of a repository.
    pub(super) fn file_url(&self, source: &Source, file: &str) -> Url {
        self.url(source.repo.split('/').chain(["resolve", &source.revision]).chain(file.split('/')))
    }

    /// The address of the list of a repository's files.
    pub(super) fn tree_url(&self, source: &Source) -> Url {
        let mut url =
            self.url(["api", "models"].into_iter().chain(source.repo.split('/')).chain(["tree", &source.revision]));
        url.set_query(Some("recursive=true"));
        url
    }

    fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Asks for a file, from an offset on if there is one, and walks the redirects. `what` names it in errors.
    ///
    /// # Errors
    /// A connection that fails (as [`Fault::Again`]), or a redirect that is refused.
    pub(super) async fn get(
        &self,
        client: &Client,
        url: Url,
        from: Option<u64>,
        what: &str,
        cancel: &Cancel,
    ) -> Result<Answer, Fault> {
        let home = self.endpoint.origin();
        let mut at = url;
        let mut facts = Facts::default();
        let mut left_home = at.origin() != home;
        for _ in 0..=HOPS {
            let mut request = client.request(Method::GET, at.clone()).header(ACCEPT_ENCODING, "identity");
            if let (Some(token), false) = (&self.token, left_home) {
                request = request.header(AUTHORIZATION, token.clone());
            }
            if let Some(offset) = from {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            let response = or_cancel(request.send(), cancel).await?.map_err(|error| connection(what, error))?;
            if !left_home {
                facts.read(response.headers());
            }
            if !is_redirect(response.status()) {
                return Ok(Answer { facts, response });
            }
            at = next(&at, &response, what)?;
            // Once away, no server can send us back with the token.
            left_home |= at.origin() != home;
        }
        Err(redirect(what, "too often or in a circle"))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn redirect(what: &str, why: impl Into<String>) -> Fault {
    Fault::Final(PullError::Redirect { what: what.into(), why: why.into() })
}

fn next(at: &Url, response: &Response, what: &str) -> Result<Url, Fault> {
    let location = text(response.headers(), &LOCATION).ok_or_else(|| redirect(what, "without an address"))?;
    let mut to = at
        .join(&location)
        .map_err(|_| redirect(what, format!("to `{}`, which is no address", printable(&location))))?;
    match (at.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => return Err(redirect(what, "from https to http, which anyone in between could read")),
        (_, other) => return Err(redirect(what, format!("to `{}`, which is no web address", printable(other)))),
    }
    if to.host_str().is_none() {
        return Err(redirect(what, "to an address without a host"));
    }
    // Credentials in an address would be sent as they are.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    Ok(to)
}

/// What the hub says about a file before a byte of it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// The hub's name for this content: the linked tag where there is one.
    pub etag: Option<String>,
    /// The content's SHA-256, for files in large-file storage.
    pub sha256: Option<String>,
    /// Its length, for the same.
    pub size: Option<u64>,
    /// The commit it belongs to.
    pub commit: Option<String>,
}

impl Facts {
    fn read(&mut self, headers: &HeaderMap) {
        let linked = tag(headers, &HeaderName::from_static("x-linked-etag"));
        if let Some(linked) = linked {
            self.sha256 = is_sha256(&linked).then(|| linked.clone());
            self.etag = Some(linked);
            self.size = text(headers, &HeaderName::from_static("x-linked-size")).and_then(|size| size.parse().ok());
        } else if self.sha256.is_none() {
            self.etag = tag(headers, &ETAG).or(self.etag.take());
        }
        self.commit = text(headers, &HeaderName::from_static("x-repo-commit"))
            .filter(|commit| is_word(commit))
            .or(self.commit.take());
    }
}

fn tag(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let text = text(headers, name)?;
    let bare = text.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    (is_word(&bare)).then_some(bare)
}

/// Tags and commits are written to disk and compared: nothing but plain characters, and not many.
fn is_word(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

/// 64 lower-case hex digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The last answer of a walk, with what the hub said on the way.
pub(super) struct Answer {
    pub facts: Facts,
    pub response: Response,
}

impl Answer {
    /// Offset and total length that a part claims to have.
    pub(super) fn content_range(&self) -> Option<(u64, u64)> {
        let range = text(self.response.headers(), &CONTENT_RANGE)?;
        let (span, total) = range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
        let (start, _) = span.split_once('-')?;
        Some((start.trim().parse().ok()?, total.trim().parse().ok()?))
    }

    /// Seconds the server asks to wait. Dates are not read: they need a clock that is right.
    fn retry_after(&self) -> Option<u64> {
        text(self.response.headers(), &RETRY_AFTER)?.trim().parse().ok()
    }

    /// The next page of a listing, on the same host only.
    pub(super) fn next_page(&self) -> Option<Url> {
        let links = text(self.response.headers(), &LINK)?;
        let link = links.split(',').find(|link| link.contains("rel=\"next\""))?;
        let to = self.response.url().join(link.split_once('<')?.1.split_once('>')?.0).ok()?;
        (to.origin() == self.response.url().origin()).then_some(to)
    }

    /// An error for every status but 200 and 206.
    pub(super) fn accept(self, what: &str) -> Result<Self, Fault> {
        let what = what.to_owned();
        let status = self.response.status().as_u16();
        let word = HeaderName::from_static("x-error-message");
        let detail = text(self.response.headers(), &word).map(|detail| printable(&detail));
        Err(match status {
            200 | 206 => return Ok(self),
            401 | 403 => Fault::Final(PullError::Denied { what, status, detail }),
            404 | 410 => Fault::Final(PullError::Missing { what, detail }),
            416 => Fault::Final(PullError::Range { what }),
            408 | 425 | 429 | 500..=599 => {
                let wait = self.retry_after();
                Fault::Again { wait: wait.map(Duration::from_secs), cause: PullError::Busy { what, status, wait } }
            }
            _ => Fault::Final(PullError::Status { what, status }),
        })
    }

    /// The whole body, up to a limit in bytes.
    pub(super) async fn body(mut self, limit: u64, what: &str, cancel: &Cancel) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = chunk(&mut self.response, what, cancel).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(Fault::Final(PullError::Endless { what: what.into(), limit }));
            }
        }
        Ok(bytes)
    }
}

/// The next piece of a body; a connection that breaks is worth another attempt.
pub(super) async fn chunk(
    response: &mut Response,
    what: &str,
    cancel: &Cancel,
) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, Fault> {
    let piece = or_cancel(response.chunk(), cancel).await?;
    piece.map_err(|error| match connection(what, error) {
        // The head came, so the host is there: whatever breaks now may work next time.
        Fault::Unreached(cause) => Fault::Again { wait: None, cause },
        other => other,
    })
}

/// What one attempt ended in.
#[derive(Debug)]
pub(super) enum Fault {
    /// Trying again may help, after the time the server asks for.
    Again { wait: Option<Duration>, cause: PullError },
    /// The host was not reached at all: worth trying again only if it was there before.
    Unreached(PullError),
    /// Trying again would not help.
    Final(PullError),
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        Self::Final(error)
    }
}

fn connection(what: &str, source: reqwest::Error) -> Fault {
    let (tls, lookup, unreached) = (net::is_tls(&source), net::is_lookup(&source), source.is_connect());
    // The address may hold a signature that is as good as a token.
    let cause = PullError::Connection { what: what.into(), source: source.without_url(), tls, lookup };
    match (tls, lookup || unreached) {
        (true, _) => Fault::Final(cause),
        (false, true) => Fault::Unreached(cause),
        (false, false) => Fault::Again { wait: None, cause },
    }
}

/// Waits for something, looking at the flag now and then.
pub(super) async fn or_cancel<T>(work: impl Future<Output = T>, cancel: &Cancel) -> Result<T, PullError> {
    let stopped = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(TICK).await;
        }
    };
    match select(std::pin::pin!(stopped), std::pin::pin!(work)).await {
        Either::Left(((), _)) => Err(PullError::Cancelled),
        Either::Right((done, _)) => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_from_escaped_parts() {
        let hub = Hub::new("https://hub.example/mirror/", None).unwrap();
        let source = Source::parse("hf:a/b@v1/x y#?.gguf");
        assert!(source.is_err(), "a question mark is no name");
        let source = Source::parse("hf:a/b@v1/sub/x y#%.gguf").unwrap();
        let url = hub.file_url(&source, source.file.as_deref().unwrap());
        assert_eq!(url.as_str(), "https://hub.example/mirror/a/b/resolve/v1/sub/x%20y%23%25.gguf");
        assert_eq!(hub.tree_url(&source).as_str(), "https://hub.example/mirror/api/models/a/b/tree/v1?recursive=true");
    }

    #[test]
    fn an_endpoint_is_a_plain_web_address() {
        for bad in ["", "hub", "ftp://hub", "file:///etc", "https://user:pw@hub", "https://hub/?x=1", "data:x"] {
            assert!(Hub::new(bad, None).is_err(), "{bad} was taken");
        }
        let shown = format!("{:?}", Hub::new("http://127.0.0.1:1", Some("secret")).unwrap());
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn a_linked_tag_is_a_checksum_only_when_it_looks_like_one() {
        let mut headers = HeaderMap::new();
        let sha = "ab".repeat(32);
        headers.insert("etag", HeaderValue::from_static("W/\"plain\""));
        let mut facts = Facts::default();
        facts.read(&headers);
        assert_eq!((facts.etag.as_deref(), &facts.sha256), (Some("plain"), &None));
        headers.insert("x-linked-etag", HeaderValue::from_str(&format!("\"{sha}\"")).unwrap());
        headers.insert("x-linked-size", HeaderValue::from_static("12"));
        facts.read(&headers);
        assert_eq!((facts.sha256.as_deref(), facts.size), (Some(sha.as_str()), Some(12)));
        headers.insert("x-linked-etag", HeaderValue::from_static("../../etc"));
        facts.read(&headers);
        assert_eq!(facts.sha256, None);
    }
}
