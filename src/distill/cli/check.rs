//! `zord-distill check`: what a recipe comes to, without training.

use clap::Args;
use serde_json::json;

use super::RecipeArgs;
use super::dataset::{prepared, tokenizer};
use crate::budget::{Probe, bytes};
use crate::cli::{output, progress};
use crate::distill::recipe;
use crate::distill::run::estimate;
use crate::error::{ExitCode, Report};

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Time a part of a step too; it loads the model
    #[arg(long)]
    measure: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, Report> {
    let recipe = args.recipe.read()?;
    let cancel = progress::cancel_on_signals()?;
    let sizes = estimate::sizes(&recipe)?;
    let tokenizer = tokenizer(&recipe)?;
    let folder = tempfile::tempdir().map_err(|error| Report::failed(format!("cannot make a folder: {error}")))?;
    let data = prepared(&recipe, &tokenizer, folder.path(), &cancel)?;
    let steps = recipe.schedule.steps(data.train.len(), recipe.batch());
    let seconds = if args.measure { Some(estimate::seconds(&recipe, &data.train)?) } else { None };
    let mut problems = Vec::new();
    let free = Probe::new().memory().available;
    if sizes.memory.total > free {
        problems.push(format!(
            "it takes {} of memory, and {} are free: `optimiser.recompute = \"block\"`, a smaller `optimiser.micro_batch` \
             with more `optimiser.accumulate`, or an `[adapter]` need less",
            bytes(sizes.memory.total),
            bytes(free)
        ));
    }
    problems.extend(tokenizer.notice.clone());
    if args.json {
        output::json(&json!({
            "ok": problems.is_empty(),
            "problems": problems,
            "parameters": sizes.parameters,
            "trained": sizes.trained,
            "layers": sizes.layers.len(),
            "kept_layers": sizes.layers,
            "memory": sizes.memory,
            "documents": data.train.head.documents,
            "tokens": data.train.head.tokens,
            "learnt": data.train.head.learnt,
            "windows": data.train.len(),
            "held_out_windows": data.validation.as_ref().map_or(0, |held| held.len()),
            "steps": steps,
            "seconds_per_step": seconds,
            "recipe": recipe,
        }))?;
        return Ok(ExitCode::Done);
    }
    let memory = &sizes.memory;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = vec![
        row("parameters", format!("{}, {} of them trained", sizes.parameters, sizes.trained)),
        row("layers", layers(&sizes)),
        row(
            "memory",
            format!(
                "{}: weights {}, gradients {}, optimiser {}, layers {}, logits {}",
                bytes(memory.total),
                bytes(memory.weights),
                bytes(memory.gradients),
                bytes(memory.optimiser),
                bytes(memory.layers),
                bytes(memory.logits)
            ),
        ),
        row("data", format!("{} tokens, {} of them learnt", data.train.head.tokens, data.train.head.learnt)),
        row("steps", format!("{steps} of {} windows", recipe.batch())),
    ];
    if let Some(seconds) = seconds {
        let all = (seconds * steps as f64) as u64;
        rows.push(row("time", format!("{seconds:.1} s a step, {}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60)));
    }
    output::print(&format!("{}\n{}", recipe::text(&recipe), output::table(&rows)))?;
    for problem in &problems {
        output::note(format!("problem: {problem}"));
    }
    Ok(ExitCode::Done)
}

/// How many layers there are, and which of the checkpoint's they are where some are left out.
fn layers(sizes: &estimate::Sizes) -> String {
    let (kept, all) = (sizes.layers.len(), sizes.all_layers);
    if kept == all {
        return all.to_string();
    }
    let names: Vec<String> = sizes.layers.iter().map(ToString::to_string).collect();
    format!(
        "{kept} of {all}: {} (the first and the last differ most from what is beside them; the rest is evenly spread)",
        names.join(", ")
    )
}
