//! A checkpoint as a person names it: a folder, or `hf:owner/repo`, which is fetched into the store if it is not there.

use std::path::{Path, PathBuf};

use crate::cli::progress;
use crate::config;
use crate::error::{ExitCode, Report};
use crate::models::{Hub, Request, Store, net, pull};
use crate::paths::Paths;

/// The folder.
pub(crate) fn folder(name: &Path) -> Result<PathBuf, Report> {
    let text = name.to_string_lossy();
    if !text.starts_with("hf:") {
        return Ok(name.to_owned());
    }
    let paths = Paths::find();
    let config = config::load(&paths.config_file())?;
    let hub = Hub::from_environment(config.models.endpoint.as_deref())?;
    let request = Request::named(&text, hub, Store::new(paths.models()))?;
    let cancel = progress::cancel_on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Report::failed(format!("cannot start: {error}")))?;
    let client = net::client(None)?;
    let mut bar = progress::Bar::new(&text);
    let mut step = |progress: crate::models::Progress<'_>| bar.show(progress.done, progress.total);
    let pulled = runtime.block_on(pull(&client, &request, &mut step, &cancel));
    bar.end();
    match pulled {
        Err(_) if cancel.is_cancelled() => {
            let message = "interrupted; the same command goes on where it stopped".into();
            Err(Report { message, hint: None, code: ExitCode::Interrupted })
        }
        pulled => Ok(pulled?.path),
    }
}
