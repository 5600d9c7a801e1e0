//! A checkpoint as a person names it: a folder, or `hf:owner/repo`, which is fetched into the store if it is not there.

use std::path::{Path, PathBuf};

use crate::cli::progress;
use crate::config;
use crate::engine::Cancel;
use crate::error::UserError;
use crate::models::{self, Hub, PullError, Request, Store, net, pull};
use crate::paths::Paths;

/// The folder.
pub(crate) fn folder(name: &Path) -> Result<PathBuf, UserError> {
    let text = name.to_string_lossy();
    if !text.starts_with("hf:") {
        return Ok(name.to_owned());
    }
    let hub = Asked::named(&text)?;
    let mut bar = progress::Bar::new(&text);
    let mut step = |progress: models::Progress<'_>| bar.show(progress.done, progress.total);
    let pulled = hub.runtime.block_on(pull(&hub.client, &hub.request, &mut step, &hub.cancel));
    bar.end();
    Ok(hub.judge(pulled)?.path)
}

/// The folder of `hf:owner/repo` if it is in the store; else its headers alone, in `place`, with the bytes of the whole.
pub(crate) fn headers(text: &str, place: &Path) -> Result<(PathBuf, Option<u64>), UserError> {
    let hub = Asked::named(text)?;
    let name = hub.request.source.stored_name().map_err(PullError::from)?;
    let stored = hub.request.store.place(&name).map_err(PullError::from)?;
    if stored.exists() {
        return Ok((stored, None));
    }
    let fault = |error| UserError::failed(format!("cannot write `{}`: {error}", place.display()));
    std::fs::create_dir_all(place).map_err(fault)?;
    let mut bar = progress::Bar::new(text);
    let mut step = |done, total| bar.show(done, total);
    let got = hub.runtime.block_on(models::headers(&hub.client, &hub.request, place, &mut step, &hub.cancel));
    bar.end();
    Ok((place.to_owned(), Some(hub.judge(got)?)))
}

/// A request to a hub, with all that it takes to carry it out.
struct Asked {
    request: Request,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    cancel: Cancel,
}

impl Asked {
    fn named(text: &str) -> Result<Self, UserError> {
        let paths = Paths::find();
        let config = config::load(&paths.config_file())?;
        let hub = Hub::from_environment(config.models.endpoint.as_deref())?;
        let request = Request::named(text, hub, Store::new(paths.models()))?;
        let cancel = progress::cancel_on_signals()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| UserError::failed(format!("cannot start: {error}")))?;
        Ok(Self { request, client: net::client(None)?, runtime, cancel })
    }

    fn judge<T>(&self, got: Result<T, PullError>) -> Result<T, UserError> {
        match got {
            Err(_) if self.cancel.is_cancelled() => {
                let message = "stopped; the same command resumes";
                Err(UserError::interrupted(message))
            }
            got => Ok(got?),
        }
    }
}
