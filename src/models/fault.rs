//! Everything that can stop a pull, with the way out. It decides nothing: who retries is said in [`super::download`].

use std::io;
use std::path::PathBuf;

use super::names::NameError;
use super::net::NetError;
use super::record::NotGguf;
use super::store::StoreError;
use crate::error::Advise;
use crate::weights::gguf::GgufError;

/// A model did not come. What was received so far is kept for the next attempt unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A name that is not allowed.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no client.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The hub's address is no address.
    #[error("`{0}` is not the address of a hub")]
    Endpoint(String),
    /// The network let us down, also after trying again.
    #[error("cannot get `{what}`")]
    Connection {
        /// The file or listing.
        what: String,
        /// The last failure.
        source: reqwest::Error,
        /// Whether the certificate was the reason.
        tls: bool,
        /// Whether the host's name was the reason.
        lookup: bool,
    },
    /// The connection ended early, again and again.
    #[error("the server stopped at {got} of {want} bytes of `{what}`")]
    Short {
        /// The file.
        what: String,
        /// Bytes received.
        got: u64,
        /// Bytes announced.
        want: u64,
    },
    /// 401 or 403.
    #[error("the hub refuses `{what}` (status {status}{})", reason(.detail))]
    Denied {
        /// The file or listing.
        what: String,
        /// The status.
        status: u16,
        /// The hub's own word for it.
        detail: Option<String>,
    },
    /// 404 or 410.
    #[error("the hub has no `{what}`{}", reason(.detail))]
    Missing {
        /// The file or listing.
        what: String,
        /// The hub's own word for it.
        detail: Option<String>,
    },
    /// 416, even for the whole file.
    #[error("the server cannot give that part of `{what}` (status 416)")]
    Range {
        /// The file.
        what: String,
    },
    /// 429 or 5xx, also after trying again.
    #[error("the hub is busy or broken: status {status} for `{what}`")]
    Busy {
        /// The file or listing.
        what: String,
        /// The status.
        status: u16,
        /// Seconds it asks to wait.
        wait: Option<u64>,
    },
    /// Any other status.
    #[error("the server answered `{what}` with status {status}")]
    Status {
        /// The file or listing.
        what: String,
        /// The status.
        status: u16,
    },
    /// Redirected too often, in a circle, or to where we do not go.
    #[error("`{what}` is redirected {why}")]
    Redirect {
        /// The file or listing.
        what: String,
        /// Where to, in words.
        why: String,
    },
    /// The server contradicts itself about the length.
    #[error("the server lies about the length of `{what}`: {want} bytes announced, {got} given")]
    Length {
        /// The file.
        what: String,
        /// Bytes announced.
        want: u64,
        /// Bytes it gives.
        got: u64,
    },
    /// No length and no end.
    #[error("the server does not say how long `{what}` is and sent more than {limit} bytes")]
    Endless {
        /// The file or listing.
        what: String,
        /// Bytes accepted without a length.
        limit: u64,
    },
    /// An answer that makes no sense.
    #[error("the answer for `{what}` makes no sense: {why}")]
    Nonsense {
        /// The file or listing.
        what: String,
        /// Why.
        why: String,
    },
    /// The file is not the one that was announced; what was received is gone.
    #[error("`{what}` arrived damaged: SHA-256 {got} instead of {want}")]
    Hash {
        /// The file.
        what: String,
        /// Announced.
        want: String,
        /// Received.
        got: String,
    },
    /// The hub has another file than the catalogue or the listing says.
    #[error("`{what}` on the hub is not the expected file: {got} instead of {want}")]
    Changed {
        /// The file.
        what: String,
        /// Expected: a checksum or a length.
        want: String,
        /// Offered.
        got: String,
    },
    /// It came whole and is no model; it is gone.
    #[error("`{what}` is not a GGUF model: {source}")]
    NotGguf {
        /// The file.
        what: String,
        /// Why.
        source: NotGguf,
    },
    /// It ends before its own header says; it is gone.
    #[error("`{what}` is not whole on the hub: its header describes {want} bytes, and it has {got}")]
    Cut {
        /// The file.
        what: String,
        /// Bytes by the header.
        want: u64,
        /// Bytes there are.
        got: u64,
    },
    /// Its header contradicts itself; it is gone.
    #[error("`{what}` is damaged on the hub")]
    Damaged {
        /// The file.
        what: String,
        /// Why.
        source: GgufError,
    },
    /// One file of a model that was split; nothing here reads such a model.
    #[error("`{what}` is one of {count} files of a split model, and zord reads models of one file")]
    Part {
        /// The file.
        what: String,
        /// Files there are.
        count: u64,
    },
    /// A repository without safetensors.
    #[error("`{repo}` holds no safetensors checkpoint")]
    NoCheckpoint {
        /// The repository.
        repo: String,
        /// GGUF files it holds instead.
        ggufs: Vec<String>,
    },
    /// The part cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program pulls the same.
    #[error("another program is downloading `{0}`")]
    Locked(String),
    /// Stopped by the person.
    #[error("stopped")]
    Cancelled,
}

fn reason(detail: &Option<String>) -> String {
    detail.as_ref().map(|detail| format!(", {detail}")).unwrap_or_default()
}

impl Advise for PullError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Name(error) => return error.hint(),
            Self::Store(StoreError::Taken(name)) => {
                format!("to replace it, `zord models remove {name}` first, then pull again")
            }
            Self::Store(error) => return error.hint(),
            Self::Net(error) => return error.hint(),
            Self::Endpoint(_) => "set `HF_ENDPOINT` to something like `https://hub.example`, or unset it".into(),
            Self::Connection { tls: true, .. } => {
                "behind a proxy that opens TLS, add its root with `SSL_CERT_FILE`; also look at the device's clock"
                    .into()
            }
            Self::Connection { lookup: true, .. } => {
                "are you online? `HF_ENDPOINT` names another hub, `zord models add FILE` takes a file you already have"
                    .into()
            }
            Self::Connection { .. } | Self::Short { .. } => {
                "run the same command again: it resumes where it stopped".into()
            }
            Self::Denied { status: 401, .. } => {
                "check the spelling of the repository; if it is private or gated, put a token into `HF_TOKEN`".into()
            }
            Self::Denied { .. } => {
                "accept the model's terms on its page, and put a token of that account into `HF_TOKEN`".into()
            }
            Self::Missing { .. } => {
                "check repository, file name and revision on the hub; names are case-sensitive".into()
            }
            Self::Range { .. } => "`zord models list` names the unfinished download: remove it, then pull again".into(),
            Self::Busy { wait: Some(wait), .. } => {
                format!("wait {wait} seconds and run the same command again: it resumes where it stopped")
            }
            Self::Busy { .. } => "try again later: it resumes where it stopped".into(),
            Self::Status { .. } | Self::Redirect { .. } | Self::Nonsense { .. } => {
                "is `HF_ENDPOINT` a hub? A login page of a network looks like this too".into()
            }
            Self::Length { .. } | Self::Endless { .. } => {
                "the hub or a proxy in between is broken; try another `HF_ENDPOINT`".into()
            }
            Self::Hash { .. } => {
                "pull again; if it happens again, the hub or a proxy in between damages the file".into()
            }
            Self::Changed { .. } => "pull again, or name the file you want as `hf:owner/repo@revision/file`".into(),
            Self::NotGguf { .. } => "the repository may hold another format under this name; look at its page".into(),
            Self::Cut { .. } | Self::Damaged { .. } => {
                "look for another upload of the model; this one was cut off when it was made".into()
            }
            Self::Part { .. } => "pull a file that is not split, from the same repository or another; or download all \
                 files, join them with `llama-gguf-split --merge`, and `zord models add` the result"
                .into(),
            Self::NoCheckpoint { ggufs, repo } => match ggufs.first() {
                Some(file) => format!("name one of its files, for example `hf:{repo}/{file}`"),
                None => "look for a repository with `.safetensors` files".into(),
            },
            Self::Write { source, .. } => return super::store::io_hint(source),
            Self::Locked(_) => "wait until it has finished".into(),
            Self::Cancelled => "run the same command again: it resumes where it stopped".into(),
        })
    }
}
