//! `zord doctor`: the device, the store, and what to do about each.

use clap::Args;
use serde_json::json;

use super::{Scene, output, prepare};
use crate::device::memory::Probe;
use crate::device::{Device, Finding, State, Surroundings, advice};
use crate::error::{ExitCode, Report};

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(scene: &Scene, args: &DoctorArgs) -> Result<ExitCode, Report> {
    let device = Device::probe();
    let chosen = prepare::chosen(&scene.engine, &scene.config, &scene.paths);
    let found = chosen.as_deref().map(|name| prepare::find(Some(name), &scene.paths)).transpose();
    let (model, trouble) = match found {
        Ok(found) => (found, None),
        Err(report) => (None, Some(report)),
    };
    let tuned = model.as_ref().map(|found| prepare::tuned(&scene.paths, found)).unwrap_or_default();
    let surroundings = Surroundings {
        memory: Probe::new().memory(),
        store: scene.paths.models(),
        model: model.as_ref().map(|found| found.file.clone()),
        threads: scene.engine.threads.or(scene.config.threads.count).or(tuned.threads),
    };
    let mut findings = advice(&device, &surroundings);
    #[cfg(feature = "engine")]
    findings.extend(super::kernels::finding(&super::kernels::learn(&scene.paths)));
    if let Some(trouble) = trouble {
        findings.push(Finding { topic: "model", state: State::Warning, detail: trouble.message, hint: trouble.hint });
    }
    if args.json {
        output::json(&json!({"version": env!("CARGO_PKG_VERSION"), "engine": engine(), "findings": findings}))?;
        return Ok(ExitCode::Done);
    }
    let mut text = format!("zord {}\n{}\n\n", env!("CARGO_PKG_VERSION"), engine());
    for finding in &findings {
        let mark = match finding.state {
            State::Good => "ok  ",
            State::Note => "note",
            State::Warning => "warn",
        };
        text.push_str(&format!("{mark}  {}: {}\n", finding.topic, finding.detail));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("      hint: {hint}\n"));
        }
    }
    output::print(&crate::ui::sanitise::text(&text))?;
    Ok(ExitCode::Done)
}

#[cfg(feature = "engine")]
fn engine() -> String {
    crate::engine::local::system_info()
}

#[cfg(not(feature = "engine"))]
fn engine() -> String {
    "no engine inside: `--remote URL` only".to_owned()
}
