//! `zord doctor`: the device, the store, and what to do about each.

use clap::Args;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Scene, output, prepare, timezone};
use crate::chat::calendar::Moment;
use crate::device::memory::Probe;
use crate::device::{Device, Finding, State, Surroundings, advice};
use crate::error::{ExitCode, UserError};
use crate::retention::{self, Category, Holding, Limits};
use crate::size::bytes;

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(scene: &Scene, args: &DoctorArgs) -> Result<ExitCode, UserError> {
    let device = Device::probe();
    let chosen = prepare::chosen(&scene.config, &scene.paths);
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
        threads: scene.config.threads.count.or(tuned.threads),
    };
    let mut findings = advice(&device, &surroundings);
    #[cfg(feature = "engine")]
    findings.extend(super::kernels::finding(&super::kernels::learn(&scene.paths)));
    if let Some(trouble) = trouble {
        findings.push(Finding { topic: "model", state: State::Warning, detail: trouble.message, hint: trouble.hint });
    }
    let kept = retention::holdings(&scene.paths);
    findings.extend(own_files(&kept, &timezone::here()));
    if args.json {
        output::json(
            &json!({"version": env!("CARGO_PKG_VERSION"), "engine": engine(), "findings": findings, "kept": kept}),
        )?;
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

/// What the program keeps for itself, a line for each kind of which there is something.
fn own_files(kept: &[Holding], zone: &TimeZone) -> Vec<Finding> {
    let there: Vec<Finding> =
        kept.iter().filter(|holding| holding.count > 0).map(|holding| own_file(holding, zone)).collect();
    if there.is_empty() {
        let detail = "none besides settings, models and conversations".to_owned();
        return vec![Finding { topic: "own files", state: State::Good, detail, hint: None }];
    }
    there
}

fn own_file(holding: &Holding, zone: &TimeZone) -> Finding {
    let Holding { category, count, bytes: taken, oldest } = holding;
    let mut detail = format!("{count} taking {}", bytes(*taken));
    if let Some(oldest) = oldest {
        detail.push_str(&format!(", the oldest from {}", Moment::at(*oldest, zone.clone()).format("%Y-%m-%d")));
    }
    detail.push_str(&match category.limits() {
        None => "; kept until you see them again".to_owned(),
        Some(Limits { age, bytes: most }) => {
            let days = age.as_secs() / (24 * 60 * 60);
            let up_to = most.map_or_else(String::new, |most| format!(" and up to {}", bytes(most)));
            format!("; kept for {days} {}{up_to}", if days == 1 { "day" } else { "days" })
        }
    });
    let hint = match category {
        Category::Drafts => Some("`zord` in the folder of such a file names it, and opening the file shows the draft"),
        Category::Unsent => Some("`zord` in the folder where one was typed puts it back into the input"),
        Category::Downloads => Some("`zord models list` names them; `pull` goes on with one, `remove` discards it"),
        Category::Snapshots
        | Category::UndoRecords
        | Category::SetAside
        | Category::Suggestions
        | Category::Temporary => None,
    };
    let state = if hint.is_some() { State::Note } else { State::Good };
    Finding { topic: category.name(), state, detail, hint: hint.map(str::to_owned) }
}

#[cfg(feature = "engine")]
fn engine() -> String {
    crate::engine::local::system_info()
}

#[cfg(not(feature = "engine"))]
fn engine() -> String {
    "no engine inside: `--remote URL` only".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there_is_told_in_plain_words() {
        let holding = |category, count, bytes, oldest| Holding { category, count, bytes, oldest };
        let kept = [
            holding(Category::Snapshots, 3, 120 << 20, Some(1_767_225_600)),
            holding(Category::UndoRecords, 0, 0, None),
            holding(Category::Drafts, 1, 2048, Some(0)),
            holding(Category::Temporary, 1, 0, Some(0)),
        ];
        let told = own_files(&kept, &TimeZone::UTC);
        let said: Vec<_> = told.iter().map(|found| (found.topic, found.state, found.detail.as_str())).collect();
        let expected = [
            (
                "chat snapshots",
                State::Good,
                "3 taking 120.0 MiB, the oldest from 2026-01-01; kept for 30 days and up to 2.0 GiB",
            ),
            (
                "unsaved drafts",
                State::Note,
                "1 taking 2.0 KiB, the oldest from 1970-01-01; kept until you see them again",
            ),
            ("temporary files", State::Good, "1 taking 0 B, the oldest from 1970-01-01; kept for 1 day"),
        ];
        assert_eq!(said, expected);
        assert!(told.iter().all(|found| found.hint.is_some() == (found.state == State::Note)));
        let [none] = &own_files(&[], &TimeZone::UTC)[..] else { panic!() };
        assert_eq!((none.topic, none.state), ("own files", State::Good));
    }
}
