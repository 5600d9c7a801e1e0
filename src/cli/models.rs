//! `zord models`: what is here, what there is, and how it gets here.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{Scene, output, progress};
use crate::budget::shape::Shape;
use crate::device::memory::Probe;
use crate::error::{ExitCode, UserError};
use crate::models::{Catalogue, Hub, Request, Store, net, pull, record, store};
use crate::size::bytes;
use crate::weights::gguf::Header;

#[derive(Args, Debug)]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Models that are installed, and those that can be downloaded by name
    List {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Download a model by name, as hf:owner/repo/file, or a whole checkpoint as hf:owner/repo
    Pull {
        /// Which [default: the one recommended for this device]
        name: Option<String>,
    },
    /// Install a GGUF file that is on this device already: checked, then linked or copied
    Add {
        /// The file
        file: PathBuf,
    },
    /// Remove a model, or an unfinished download
    Remove {
        /// Which
        name: String,
    },
    /// All that is known of a model
    Show {
        /// Which
        name: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Check installed models against the checksums they came with
    Verify {
        /// Which [default: all]
        name: Option<String>,
    },
}

pub(super) fn run(scene: &Scene, args: ModelsArgs) -> Result<ExitCode, UserError> {
    let store = Store::new(scene.paths.models());
    let swept = store.sweep();
    if swept > 0 {
        output::note(format_args!("removed {} that an interrupted `models add` or `remove` had left", bytes(swept)));
    }
    match args.action {
        Action::List { json } => list(&store, json),
        Action::Pull { name } => fetch(scene, store, name),
        Action::Add { file } => {
            if file.is_file() {
                // What could not be loaded later is told now, before a hundred megabytes are read.
                Shape::from_header(&Header::read(&file)?)?;
            }
            let cancel = progress::cancel_on_signals()?;
            let total = std::fs::metadata(&file).ok().map(|data| data.len());
            let (mut bar, mut read) = (progress::Bar::new("adding"), 0);
            let mut step = |bytes| {
                read += bytes;
                bar.show(read, total);
            };
            let stored = store.add(&file, &mut step, &cancel);
            bar.end();
            let stored = match stored {
                Err(store::StoreError::Cancelled) => {
                    let message = "stopped; nothing was installed";
                    return Err(UserError::interrupted(message));
                }
                stored => stored?,
            };
            output::print(&format!("{}\n", stored.name))?;
            Ok(ExitCode::Done)
        }
        Action::Remove { name } => {
            let removed = match store.remove(&name) {
                Err(error) => store.remove_partial(&name).map_err(|_| error)?,
                Ok(bytes) => bytes,
            };
            output::note(format_args!("{} freed", bytes(removed)));
            Ok(ExitCode::Done)
        }
        Action::Show { name, json } => show(scene, &store, &name, json),
        Action::Verify { name } => verify(&store, name.as_deref()),
    }
}

fn list(store: &Store, as_json: bool) -> Result<ExitCode, UserError> {
    let stored = store.list()?;
    let partials = store.partials()?;
    let free = Probe::new().memory().available;
    let recommended = Catalogue::builtin().recommend(free, store.free_disk()).map(|entry| entry.name.as_str());
    if as_json {
        let known = |entry: &crate::models::Entry| {
            json!({"name": entry.name, "title": entry.title, "params": entry.params, "licence": entry.licence,
                   "size": entry.gguf.as_ref().map(|gguf| gguf.size), "recommended": recommended == Some(&*entry.name)})
        };
        let here: Vec<Value> =
            stored.iter().map(|model| json!({"name": model.name, "path": model.path, "size": model.size})).collect();
        let parts: Vec<Value> = partials.iter().map(|part| json!({"name": part.name, "size": part.size})).collect();
        let catalogue: Vec<Value> = Catalogue::builtin().models.iter().map(known).collect();
        output::json(&json!({"stored": here, "partial": parts, "catalogue": catalogue, "recommended": recommended}))?;
        return Ok(ExitCode::Done);
    }
    let mut text = String::new();
    if stored.is_empty() {
        text.push_str("no model is installed yet\n");
    } else {
        text.push_str("installed:\n");
        let rows: Vec<_> = stored.iter().map(|model| vec![format!("  {}", model.name), bytes(model.size)]).collect();
        text.push_str(&output::table(&rows));
    }
    for part in &partials {
        text.push_str(&format!("  {}  unfinished download, {}\n", part.name, bytes(part.size)));
    }
    text.push_str("\navailable (`zord models pull NAME` downloads one):\n");
    let rows = Catalogue::builtin().models.iter().map(|entry| {
        let size = entry.gguf.as_ref().map(|gguf| gguf.size).or(entry.q4_k_m);
        vec![
            format!("{} {}", if recommended == Some(&*entry.name) { "*" } else { " " }, entry.name),
            size.map_or_else(|| "?".into(), bytes),
            if entry.gguf.is_some() { String::new() } else { "no file known".into() },
            entry.licence.clone(),
        ]
    });
    text.push_str(&output::table(&rows.collect::<Vec<_>>()));
    if recommended.is_some() {
        text.push_str(&format!("\n* recommended: best fit for the {} of memory free\n", bytes(free)));
    }
    output::print(&text)?;
    Ok(ExitCode::Done)
}

fn fetch(scene: &Scene, store: Store, name: Option<String>) -> Result<ExitCode, UserError> {
    let name = match name {
        Some(name) => name,
        None => Catalogue::builtin()
            .recommend(Probe::new().memory().available, store.free_disk())
            .map(|entry| entry.name.clone())
            .ok_or_else(|| {
                UserError::failed("no model fits the free memory and disk")
                    .hint("close other programs or free some disk, or name one from `zord models list`")
            })?,
    };
    let hub = Hub::from_environment(scene.config.models.endpoint.as_deref())?;
    let request = Request::named(&name, hub, store)?;
    let cancel = progress::cancel_on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| UserError::failed(format!("cannot start: {error}")))?;
    let client = net::client(None)?;
    if output::stderr_is_terminal() {
        output::note(format_args!("downloading {name}; Ctrl-C stops it, the same command resumes"));
    }
    let mut bar = progress::Bar::new(&name);
    let mut step = |progress: crate::models::Progress<'_>| bar.show(progress.done, progress.total);
    let pulled = runtime.block_on(pull(&client, &request, &mut step, &cancel));
    bar.end();
    let pulled = match pulled {
        Err(_) if cancel.is_cancelled() => {
            let message = "stopped; the same command resumes";
            return Err(UserError::interrupted(message));
        }
        pulled => pulled?,
    };
    if pulled.already {
        output::note("already installed");
    } else if !pulled.verified {
        output::note("notice: the hub sent no checksum; only the length was checked");
    }
    output::print(&format!("{}\n", pulled.path.display()))?;
    Ok(ExitCode::Done)
}

fn show(scene: &Scene, store: &Store, name: &str, as_json: bool) -> Result<ExitCode, UserError> {
    let entry = Catalogue::builtin().find(name);
    let stored = match store.find(name) {
        Err(error) if entry.is_none() && !std::path::Path::new(name).is_file() => return Err(error.into()),
        found => found.ok(),
    };
    let file = stored.as_ref().map(|stored| stored.path.clone()).or_else(|| store.resolve(name).ok());
    let header = file.as_deref().filter(|file| file.is_file()).map(Header::read).transpose()?;
    let mut facts: Vec<(&str, Value)> = Vec::new();
    if let Some(entry) = entry {
        facts.extend([
            ("name", json!(entry.name)),
            ("title", json!(entry.title)),
            ("repository", json!(entry.repo)),
            ("parameters", json!(entry.params)),
            ("licence", json!(entry.licence)),
            ("licence note", json!(entry.licence_note)),
            ("note", json!(entry.note)),
            ("context", json!(entry.context)),
            ("system prompt", json!(entry.system)),
        ]);
    }
    if let Some(stored) = &stored {
        facts.extend([("file", json!(stored.path)), ("size", json!(stored.size))]);
        if let Some(record) = &stored.record {
            facts.extend([("source", json!(record.source)), ("sha256", json!(record.sha256()))]);
        }
    }
    if let Some(header) = &header {
        let keys = ["general.architecture", "general.name", "general.license"];
        facts.extend(keys.iter().filter_map(|key| header.str(key).map(|value| (*key, json!(value)))));
        let shape = Shape::from_header(header)?;
        let kinds: Vec<String> =
            shape.by_kind().iter().map(|(kind, size)| format!("{kind:?} {}", bytes(*size))).collect();
        facts.extend([("tensors", json!(header.tensors.len())), ("types", json!(kinds.join(", ")))]);
    }
    facts.retain(|(_, value)| !value.is_null());
    if as_json {
        let object: serde_json::Map<_, _> =
            facts.into_iter().map(|(key, value)| (key.replace(' ', "_"), value)).collect();
        output::json(&object)?;
    } else {
        let cell = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let rows: Vec<_> = facts
            .into_iter()
            .map(|(key, value)| vec![key.to_owned(), crate::ui::sanitise::line(&cell(value)).into_owned()])
            .collect();
        output::print(&output::table(&rows))?;
    }
    let _ = scene;
    Ok(ExitCode::Done)
}

fn verify(store: &Store, name: Option<&str>) -> Result<ExitCode, UserError> {
    let cancel = progress::cancel_on_signals()?;
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => store.list()?.into_iter().map(|model| model.name).collect(),
    };
    let mut whole = true;
    for name in names {
        let (mut bar, mut read) = (progress::Bar::new(&name), 0);
        let total = store.find(&name).ok().map(|stored| stored.size);
        let mut step = |bytes| {
            read += bytes;
            bar.show(read, total);
        };
        let verdicts = store.verify(&name, &mut step, &cancel);
        bar.end();
        match verdicts {
            Ok(verdicts) => {
                for (file, verdict) in verdicts {
                    whole &= verdict == record::Verdict::Good;
                    output::print(&format!("{file}: {verdict}\n"))?;
                }
            }
            Err(store::StoreError::Unrecorded(name)) => {
                output::print(&format!("{name}: no checksum is recorded\n"))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if whole {
        Ok(ExitCode::Done)
    } else {
        Err(UserError::failed("a model is damaged").hint("`zord models remove NAME`, then pull or add it again"))
    }
}
