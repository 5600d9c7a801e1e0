//! `zord plan`: what a model will take here, from its header alone, and why.

use clap::Args;
use serde_json::json;

use super::{Scene, output, prepare};
use crate::budget::probe::Probe;
use crate::budget::{Plan, Refusal, bytes};
use crate::device::Device;
use crate::error::{ExitCode, Report};

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The model; like `--model`
    #[arg(value_name = "MODEL")]
    name: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(scene: &Scene, args: &PlanArgs) -> Result<ExitCode, Report> {
    let chosen = args.name.clone().or_else(|| prepare::chosen(&scene.engine, &scene.config, &scene.paths));
    let found = prepare::find(chosen.as_deref(), &scene.paths)?;
    let policy = prepare::policy(&scene.engine, &scene.config, &prepare::tuned(&scene.paths, &found));
    let memory = Probe::new().memory();
    let planned = prepare::plan(&found, &policy, &memory, &Device::probe());
    if args.json {
        output::json(&match &planned {
            Ok(plan) => {
                let mut value = json!(plan);
                value["fits"] = json!(true);
                value
            }
            Err(refusal) => json!({"fits": false, "need": refusal.need, "have": refusal.have, "hint": refusal.hint}),
        })?;
        return Ok(ExitCode::Done);
    }
    output::print(&match planned {
        Ok(plan) => format!("{}\n{}", found.name, table(&plan)),
        Err(refusal) => refused(&found.name, &refusal),
    })?;
    Ok(ExitCode::Done)
}

/// A plan as people read it; the TUI's `/plan` shows the same.
pub(crate) fn table(plan: &Plan) -> String {
    let row = |name: &str, value: String, note: &str| vec![format!("  {name}"), value, note.to_owned()];
    let copied = if plan.weights_copied > 0 { "rearranged for speed, in memory of our own" } else { "" };
    let mut rows = vec![
        row("weights", bytes(plan.weights), "mapped from the file; the system may take its pages back"),
        row("  copied", bytes(plan.weights_copied), copied),
        row("KV cache", bytes(plan.kv), &format!("{} tokens in {}", plan.n_ctx, plan.kv_type.name())),
        row("compute", bytes(plan.compute), &format!("{} tokens at once", plan.n_ubatch)),
        row("program", bytes(plan.program), ""),
        row("total", bytes(plan.total), &format!("of a budget of {}", bytes(plan.budget))),
        row("threads", plan.threads.to_string(), ""),
    ];
    rows.retain(|row| row[0] != "    copied" || plan.weights_copied > 0);
    format!("{}  {}\n", output::table(&rows), plan.reason)
}

fn refused(name: &str, refusal: &Refusal) -> String {
    format!("{name} does not fit: {refusal}\n\nhint: {}\n", refusal.hint)
}
