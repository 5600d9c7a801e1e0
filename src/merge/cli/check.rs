//! `zord-merge check`: what a recipe would do, from headers alone.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::output;
use crate::error::{ExitCode, UserError};
use crate::merge::plan::{Plan, Summary, peak, route, seconds};
use crate::merge::recipe::{Layers, Recipe, Scalar, resolve};
use crate::size::bytes;

/// Kinds of problems that are shown; a hostile file has as many as tensors.
const SHOWN: usize = 100;

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The recipe: YAML as mergekit reads it, or TOML
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Every tensor with what it is made of
    #[arg(long)]
    tensors: bool,
    /// Threads that the memory is reckoned for [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, UserError> {
    let (recipe, plan) = super::open::outline(&args.recipe)?;
    let threads = super::threads(args.threads);
    let (peak, seconds) = (peak(&plan, threads), seconds(&plan, threads));
    let code = if plan.problems.is_empty() { ExitCode::Done } else { ExitCode::Failed };
    if args.json {
        output::json(&json!({
            "ok": plan.problems.is_empty(),
            "problems": plan.problems,
            "tensors": plan.outputs.len(),
            "output_bytes": plan.output_bytes(),
            "gguf_bytes": plan.gguf_bytes(),
            "peak_bytes": peak,
            "seconds": seconds,
            "input_bytes": plan.input_bytes(),
            "notices": plan.notices,
        }))?;
        return Ok(code);
    }
    output::page(&text(&recipe, &plan, (peak, seconds), args.tensors))?;
    Ok(code)
}

fn text(recipe: &Recipe, plan: &Plan, (peak, seconds): (u64, f64), tensors: bool) -> String {
    let mut text = String::new();
    for model in &plan.models {
        text.push_str(&format!("{}: {}, {} tensors\n", model.reference, model.architecture(), model.weights.len()));
    }
    for notice in &plan.notices {
        text.push_str(&format!("notice: {notice}\n"));
    }
    if tensors {
        let rows: Vec<Vec<String>> = plan.outputs.iter().map(|output| row(plan, output)).collect();
        text.push_str(&format!("\n{}", output::table(&rows)));
    }
    text.push_str(&format!(
        "\n{}: {} layers, {} tensors, {} ({} more while a GGUF file is made of it); {} are read; at most {} of memory; \
         about {:.0} s\n",
        plan.method.name(),
        plan.layers,
        plan.outputs.len(),
        bytes(plan.output_bytes()),
        bytes(plan.gguf_bytes()),
        bytes(plan.input_bytes()),
        bytes(peak),
        seconds.ceil()
    ));
    if plan.problems.is_empty() {
        text.push_str("nothing is wrong with it\n");
        return text;
    }
    text.push_str(&format!("\n{} problems:\n", plan.problems.len()));
    let lines = Summary::of(&plan.problems).lines;
    let more = lines.len().saturating_sub(SHOWN);
    for (name, count, reason) in lines.into_iter().take(SHOWN) {
        let times = if count > 1 { format!(" ({count} tensors)") } else { String::new() };
        let name = if name.is_empty() { String::new() } else { format!("`{name}`{times}: ") };
        text.push_str(&format!("  {name}{reason}\n"));
    }
    if more > 0 {
        text.push_str(&format!("  and {more} more; `--json` lists them all\n"));
    }
    if let Some(route) = route(plan, &weights(recipe)) {
        text.push_str(&format!("\n{route}"));
    }
    text
}

fn row(plan: &Plan, output: &crate::merge::plan::Output) -> Vec<String> {
    let from = output.inputs.iter().map(|input| {
        let name = plan.models.get(input.model).map(|model| model.reference.to_string()).unwrap_or_default();
        if input.weight.name == output.name { name } else { format!("{name} `{}`", input.weight.name) }
    });
    vec![output.name.clone(), format!("{:?}", output.shape), output.dtype.name(), from.collect::<Vec<_>>().join(", ")]
}

/// Models with the weights that the recipe gives them, shares of one where it gives none.
fn weights(recipe: &Recipe) -> Vec<(String, f64)> {
    let models = match &recipe.slices {
        Layers::Whole(models) => models.iter().map(|model| (&model.model, &model.parameters)).collect::<Vec<_>>(),
        Layers::Sliced(slices) => {
            slices.iter().flat_map(|slice| &slice.sources).map(|part| (&part.model, &part.parameters)).collect()
        }
    };
    let even = 1.0 / models.len().max(1) as f64;
    let weight = |own| match resolve("weight", &[own, &recipe.parameters], "", 0.0) {
        Some(Scalar::Number(number)) => number,
        _ => even,
    };
    models.into_iter().map(|(model, own)| (model.to_string(), weight(own))).collect()
}
