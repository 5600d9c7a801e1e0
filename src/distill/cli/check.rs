//! `zord-distill check`: what a recipe comes to, without training.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::RecipeArgs;
use crate::cli::{output, progress};
use crate::device::memory::Probe;
use crate::distill::data::prepare::{self, Estimate};
use crate::distill::objective::Kind;
use crate::distill::recipe::{self, Recipe};
use crate::distill::run::check::{self, Findings, Opened};
use crate::distill::run::estimate::{self, Sizes};
use crate::distill::run::measure;
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError, chain};
use crate::size::bytes;

/// Bytes of each source that are read; more is estimated.
const MOST: u64 = 2 << 20;

#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Time a step too; it loads the model
    #[arg(long)]
    measure: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// All that is said of a recipe; what could not be found out is left out.
struct Said {
    recipe: Recipe,
    found: Findings,
    sizes: Option<Sizes>,
    data: Option<Estimate>,
    seconds: Option<f64>,
}

pub(super) fn run(args: &CheckArgs) -> Result<ExitCode, UserError> {
    let folder = tempfile::tempdir().map_err(|error| UserError::failed(format!("cannot make a folder: {error}")))?;
    let (recipe, problems) = args.recipe.read_headers(folder.path(), args.measure)?;
    let cancel = progress::cancel_on_signals()?;
    let follows = problems.is_empty();
    let mut said =
        Said { recipe, found: Findings { problems, ..Findings::default() }, sizes: None, data: None, seconds: None };
    let opened = check::open(&said.recipe, &mut said.found);
    if let Some(source) = &opened.source {
        check::fits(&said.recipe, source, &mut said.found);
    }
    // Numbers of a recipe that cannot be meant would be nonsense too.
    if follows {
        said.count(&opened, folder.path(), &cancel)?;
        if args.measure {
            said.time(&opened)?;
        }
    }
    if args.json {
        output::json(&said.json())?;
        return Ok(if said.found.problems.is_empty() { ExitCode::Done } else { ExitCode::Failed });
    }
    output::print(&said.text())?;
    said.found.notes.iter().for_each(output::note);
    match said.found.problems.as_slice() {
        [] => Ok(ExitCode::Done),
        problems => Err(UserError::failed(format!("the recipe has problems:\n  {}", problems.join("\n  ")))),
    }
}

impl Said {
    /// Sizes and data, as far as files allow.
    fn count(&mut self, opened: &Opened, folder: &Path, cancel: &Cancel) -> Result<(), UserError> {
        let Self { recipe, found, .. } = self;
        let (Some(source), Some(tokenizer)) = (&opened.source, &opened.tokenizer) else { return Ok(()) };
        let rows = if tokenizer.added.is_empty() { 0 } else { tokenizer.len() };
        // What is wrong with the shape has been said.
        self.sizes = estimate::sizes(recipe, source, rows, &opened.teachers).ok();
        let free = Probe::new().memory().available;
        if let Some(memory) = self.sizes.as_ref().map(|sizes| &sizes.memory).filter(|memory| memory.total > free) {
            found.problems.push(format!(
                "it needs {} of memory and {} are free: `optimiser.recompute = \"block\"`, a smaller \
                 `optimiser.micro_batch` with more `optimiser.accumulate`, or an `[adapter]` need less",
                bytes(memory.total),
                bytes(free)
            ));
        }
        let pairs = recipe.objective.kind == Kind::Dpo;
        let interrupted = || cancel.is_cancelled();
        match prepare::estimate(&recipe.data, pairs, recipe.seed, tokenizer, folder, MOST, &interrupted) {
            Err(error @ prepare::DataError::Interrupted) => return Err(error.into()),
            Err(error) => found.problems.push(chain(&error)),
            Ok(data) => {
                found.notes.extend(data.prepared.tally.iter().flat_map(prepare::Tally::notices));
                let steps = recipe.schedule.steps(data.heads[0].windows, recipe.batch());
                found.problems.extend(check::gap(recipe, steps));
                self.data = Some(data);
            }
        }
        Ok(())
    }

    fn time(&mut self, opened: &Opened) -> Result<(), UserError> {
        if self.found.problems.is_empty()
            && let Some(data) = &self.data
        {
            self.seconds = Some(measure::seconds(&self.recipe, &data.prepared.train, &opened.teachers)?);
        }
        Ok(())
    }

    fn steps(&self) -> Option<u64> {
        let data = self.data.as_ref()?;
        Some(self.recipe.schedule.steps(data.heads[0].windows, self.recipe.batch()))
    }

    /// Tokens that all steps read.
    fn tokens(&self) -> Option<u64> {
        let head = &self.data.as_ref()?.heads[0];
        let window = head.tokens as f64 / head.windows.max(1) as f64;
        Some((self.steps()? as f64 * self.recipe.batch() as f64 * window).round() as u64)
    }

    fn json(&self) -> Value {
        let (sizes, data) = (self.sizes.as_ref(), self.data.as_ref());
        let head = data.map(|data| &data.heads[0]);
        json!({
            "ok": self.found.problems.is_empty(),
            "problems": self.found.problems,
            "notes": self.found.notes,
            "parameters": sizes.map(|sizes| sizes.parameters),
            "trained": sizes.map(|sizes| sizes.trained),
            "layers": sizes.map(|sizes| sizes.layers.len()),
            "kept_layers": sizes.map(|sizes| &sizes.layers),
            "memory": sizes.map(|sizes| &sizes.memory),
            "estimated": data.map(|data| !data.exact),
            "documents": head.map(|head| head.documents),
            "tokens": head.map(|head| head.tokens),
            "learnt": head.map(|head| head.learnt),
            "windows": head.map(|head| head.windows),
            "held_out_windows": data.map(|data| data.heads[1].windows),
            "steps": self.steps(),
            "training_tokens": self.tokens(),
            "seconds_per_step": self.seconds,
            "recipe": self.recipe,
        })
    }

    fn text(&self) -> String {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = Vec::new();
        if let Some(sizes) = &self.sizes {
            rows.push(row("parameters", format!("{}, {} trained", sizes.parameters, sizes.trained)));
            rows.push(row("layers", layers(sizes)));
            rows.push(row("memory", memory(&sizes.memory)));
        }
        if let Some(data) = &self.data {
            let head = &data.heads[0];
            let about = if data.exact { "" } else { "about " };
            let text = format!(
                "{about}{} tokens, {} of them trained on, in {} windows",
                head.tokens, head.learnt, head.windows
            );
            rows.push(row("data", text));
            if !data.exact {
                let read = format!("from the first {} of each source; `dataset` counts all", bytes(MOST));
                rows.push(row("estimated", read));
            }
        }
        if let (Some(steps), Some(tokens)) = (self.steps(), self.tokens()) {
            rows.push(row("steps", format!("{steps} of {} windows, {tokens} tokens in all", self.recipe.batch())));
            if let Some(seconds) = self.seconds {
                let all = (seconds * steps as f64) as u64;
                let (hours, minutes, rest) = (all / 3600, all / 60 % 60, all % 60);
                rows.push(row(
                    "time",
                    format!("{seconds:.1} s a step, {hours}:{minutes:02}:{rest:02}, not counting the teachers"),
                ));
            }
        }
        format!("{}\n{}", recipe::whole_text(&self.recipe), output::table(&rows))
    }
}

fn memory(memory: &estimate::Memory) -> String {
    let mut text = format!(
        "{}: weights {}, gradients {}, optimiser {}, layers {}, logits {}",
        bytes(memory.total),
        bytes(memory.weights),
        bytes(memory.gradients),
        bytes(memory.optimiser),
        bytes(memory.layers),
        bytes(memory.logits)
    );
    if memory.teacher > 0 {
        text.push_str(&format!("; {} beside the weights while a teacher is asked", bytes(memory.teacher)));
    }
    text
}

/// How many layers there are, and which of the checkpoint's they are where some are left out.
fn layers(sizes: &Sizes) -> String {
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
