//! `zord` without a command: the terminal interface.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{EngineOptions, Scene, prepare};
use crate::app::editor::files::path_and_place;
use crate::app::editor::msg::Place;
use crate::app::msg::Load;
use crate::budget::Plan;
use crate::budget::watch::{Marker, Unclean};
use crate::config::Config;
use crate::crash;
use crate::engine::Spec;
use crate::error::{ExitCode, UserError};
use crate::models::names::nearest;
use crate::models::store::Store;
use crate::paths::Paths;
use crate::run::last;
use crate::run::start::{Check, Prepare, Prepared, Start};
use crate::size::bytes;

pub(super) fn run(scene: Scene, path: Option<PathBuf>, go_on: bool) -> Result<ExitCode, UserError> {
    let (folder, open) = place(path.as_deref())?;
    // without a place for markers an unclean end goes unnoticed, and that is all
    let (marker, unclean) = Marker::set(&scene.paths.cache.join("running"))
        .map_or((None, None), |(marker, unclean)| (Some(Arc::new(marker)), unclean));
    crash::mark_in(marker.as_ref().map(|marker| marker.file()));
    let outcome = start(scene, folder, open, marker.clone(), unclean, go_on);
    crash::mark_in(None);
    if let Some(marker) = marker {
        marker.clear();
    }
    outcome
}

/// A file to open, and where.
type File = (PathBuf, Option<Place>);

/// The folder to open, and the file to begin with.
fn place(path: Option<&Path>) -> Result<(PathBuf, Option<File>), UserError> {
    let here =
        std::env::current_dir().map_err(|error| UserError::failed(format!("there is no current folder: {error}")))?;
    let Some(path) = path else { return Ok((here, None)) };
    if path.is_dir() {
        return Ok((here.join(path), None));
    }
    let there = path.symlink_metadata().is_ok();
    let (file, place) = if there { (path.to_owned(), None) } else { path_and_place(&path.to_string_lossy()) };
    // whoever opens it says best why it cannot be
    let denied = file.metadata().is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound);
    if !file.is_file() && !there && !denied {
        return Err(no_such(path));
    }
    Ok((here, Some((file, place))))
}

/// Neither a folder nor a file: maybe a command that was mistyped.
fn no_such(path: &Path) -> UserError {
    use clap::CommandFactory;
    let typed = path.to_string_lossy();
    let commands = super::Cli::command();
    let known = commands.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name);
    let is_word = typed.chars().all(|c| c.is_ascii_alphabetic());
    let hint = match nearest(&typed, known).first().filter(|_| is_word) {
        Some(name) => format!("did you mean `zord {name}`"),
        None => "`zord` takes a folder or a file; `/open NAME` begins a new file, `zord chat` asks right away".into(),
    };
    UserError::failed(format!("no file or folder `{typed}`")).hint(hint)
}

/// Said after a kill, with what the plan leaves out of it, if anything; `usual` is the plan without the kill.
fn killed(before: Option<u32>, plan: &Plan, usual: Option<&Plan>) -> String {
    let less = match (before, usual) {
        (Some(before), _) if plan.n_ctx < before => format!("context {} instead of {before}", plan.n_ctx),
        (_, Some(usual)) if plan.total < usual.total => {
            format!("{} instead of {}", bytes(plan.total), bytes(usual.total))
        }
        _ => return "Zord was killed last time".to_owned(),
    };
    format!("Zord was killed last time; using less memory: {less}")
}

fn start(
    scene: Scene,
    folder: PathBuf,
    open: Option<File>,
    marker: Option<Arc<Marker>>,
    unclean: Option<Unclean>,
    go_on: bool,
) -> Result<ExitCode, UserError> {
    let Scene { paths, mut config, flags } = scene;
    let mut notices = Vec::from_iter(forget_missing(&flags, &mut config, &paths));
    let model = config.remote.url.clone().or_else(|| prepare::chosen(&config, &paths));
    config.chat.system = prepare::system(&config.chat, model.as_deref().and_then(prepare::entry));
    let resume = if go_on { last::find(&paths, &folder) } else { None };
    if go_on && resume.is_none() {
        notices.push("no earlier conversation in this folder; `/sessions` lists those of all folders".to_owned());
    }
    let crashed = unclean.and_then(|unclean| unclean.crashed);
    if let Some(step) = crashed {
        notices.push(format!("Zord crashed last time{}", step.told()));
    }
    // memory is to blame for a kill, not for a crash; told with the first plan
    let after_kill = unclean.filter(|unclean| unclean.crashed.is_none());
    let untold = AtomicBool::new(after_kill.is_some());
    // the folder that is open need not be the current one
    for lora in &mut config.lora {
        lora.path = std::path::absolute(&lora.path).unwrap_or_else(|_| lora.path.clone());
    }
    let check: Check = {
        let (paths, config) = (paths.clone(), config.clone());
        Arc::new(move |load: &Load| prepare::check(&wanted(&config, load), &paths))
    };
    let prepare: Prepare = {
        let (paths, config) = (paths.clone(), config.clone());
        Arc::new(move |load: &Load| {
            let config = wanted(&config, load);
            let ready = |careful| prepare::ready_for_both(&config, &paths, careful);
            // what fits only without care is better than nothing
            let chosen = ready(after_kill.is_some()).or_else(|refused| ready(false).map_err(|_| refused))?;
            let plan = planned(&chosen.spec).cloned();
            if let (Some(marker), Some(plan)) = (&marker, &plan) {
                marker.note_context(plan.n_ctx);
            }
            let first = untold.swap(false, Ordering::Relaxed);
            let notice = after_kill.filter(|_| first).map(|unclean| match &plan {
                Some(plan) => {
                    let usual = ready(false).ok();
                    killed(unclean.n_ctx, plan, usual.as_ref().and_then(|usual| planned(&usual.spec)))
                }
                None => "Zord was killed last time".to_owned(),
            });
            Ok(Prepared { name: chosen.name, spec: chosen.spec, plan, notice })
        })
    };
    let start = Start {
        engine: engine(),
        paths,
        folder,
        prepare,
        check,
        model,
        resume,
        unclean: unclean.is_some(),
        crashed: crashed.is_some(),
        notices,
        open,
        config,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| UserError::failed(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(crate::run::tui(start));
    // nobody waits for a search or a listing that is still under way
    runtime.shutdown_background();
    outcome
}

/// A remembered model that is gone must not keep the program shut: another one is taken, and named, or the welcome
/// screen offers one.
fn forget_missing(flags: &EngineOptions, config: &mut Config, paths: &Paths) -> Option<String> {
    if flags.model.is_some() || config.remote.url.is_some() {
        return None;
    }
    let store = Store::new(paths.models());
    let gone = config.model.take_if(|name| store.resolve(name).is_err())?;
    let other = prepare::chosen(config, paths)?;
    Some(format!("`{gone}` is no longer there; using `{other}`"))
}

/// The program for an engine in a process of its own; `ZORD_ENGINE=thread` keeps it inside, to compare.
fn engine() -> Option<PathBuf> {
    let inside = !cfg!(feature = "engine") || std::env::var_os("ZORD_ENGINE").is_some_and(|place| place == "thread");
    let program = crate::program::path();
    (!inside && program.is_absolute()).then_some(program)
}

/// The settings with what shall be loaded in place of theirs.
fn wanted(config: &Config, load: &Load) -> Config {
    let mut config = config.clone().with_adapters(&load.lora);
    if let Some(model) = &load.model {
        config.model = Some(model.clone());
        config.remote.url = None;
    }
    config
}

fn planned(spec: &Spec) -> Option<&Plan> {
    match spec {
        Spec::Local(spec) => Some(&spec.plan),
        Spec::Remote(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_kill_only_what_is_true_is_said() {
        const GIB: u64 = 1 << 30;
        let plan = |n_ctx, total| Plan { n_ctx, total, ..Plan::default() };
        let usual = plan(8192, 2 * GIB);
        let said = |before, now: &Plan| killed(before, now, Some(&usual));
        assert_eq!(
            said(Some(8192), &plan(2048, GIB)),
            "Zord was killed last time; using less memory: context 2048 instead of 8192"
        );
        assert_eq!(
            said(Some(8192), &plan(8192, GIB)),
            "Zord was killed last time; using less memory: 1.0 GiB instead of 2.0 GiB"
        );
        assert_eq!(said(None, &plan(8192, 2 * GIB)), "Zord was killed last time");
        assert_eq!(killed(None, &plan(2048, GIB), None), "Zord was killed last time");
    }

    #[test]
    fn a_remembered_model_that_is_gone_is_replaced_and_named() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::under(home.path().to_owned());
        let gone = home.path().join("gone.gguf").display().to_string();
        let mut config = Config { model: Some(gone.clone()), ..Config::default() };
        let named = EngineOptions { model: Some(gone.clone()), ..EngineOptions::default() };
        assert_eq!(forget_missing(&named, &mut config, &paths), None);
        assert_eq!(config.model.as_ref(), Some(&gone), "what the command line says stays, and is an error");
        std::fs::create_dir_all(paths.models()).unwrap();
        std::fs::write(paths.models().join("other.gguf"), "GGUF").unwrap();
        let told = forget_missing(&EngineOptions::default(), &mut config, &paths).unwrap();
        assert!(told.contains(&gone) && told.contains("using `other"), "{told}");
        assert_eq!(config.model, None);
    }

    #[test]
    fn a_file_is_opened_at_its_line_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rs");
        std::fs::write(&file, "").unwrap();
        let with_line = format!("{}:12", file.display());
        let at = Place { line: 12, column: 1 };
        assert_eq!(place(Some(Path::new(&with_line))).unwrap().1, Some((file, Some(at))));
        assert_eq!(place(Some(folder.path())).unwrap(), (folder.path().to_owned(), None));
        assert!(place(Some(&folder.path().join("b.rs"))).is_err());
    }

    #[test]
    fn a_mistyped_command_is_recognised() {
        let told = |typed: &str| no_such(Path::new(typed)).to_string();
        assert!(told("chta").contains("no file or folder `chta`") && told("chta").contains("did you mean `zord chat`"));
        assert!(told("modles").contains("`zord models`"));
        assert!(!told("some/where/else.rs").contains("did you mean"));
    }
}
