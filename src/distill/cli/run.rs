//! `zord-distill run`: training, with a page on a terminal and lines elsewhere.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::device::Device;
use super::page::Live;
use super::{RecipeArgs, clean};
use crate::cli::{output, progress};
use crate::distill::run::{Event, Line, Options, Outcome, train, unfit};
use crate::error::{ExitCode, UserError};
use crate::size::bytes;

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    recipe: RecipeArgs,
    /// The folder for the trained model or adapter; the run's own files go to `run` in it
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Stop after so many steps
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Where to train: `list` shows what there is, `auto` takes a graphics card if there is one, `gpu:0,gpu:1` takes two
    #[arg(long, value_name = "list|auto|cpu|gpu:N", default_value = "auto")]
    device: Device,
    /// Start over and discard an earlier run
    #[arg(long)]
    fresh: bool,
    /// JSON lines: one a step, the last for the whole run
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, UserError> {
    if args.device == Device::List {
        return super::device::list().map(|()| ExitCode::Done);
    }
    let recipe = args.recipe.read()?;
    let cards = args.device.settle(unfit(&recipe, true).is_none())?;
    for card in &cards {
        output::note(format!("training on `gpu:{}`, {}", card.number, card.name));
    }
    let cancel = progress::cancel_on_signals()?;
    let options = Options { max_steps: args.max_steps, fresh: args.fresh, cards, cancel };
    let teachers = progress::Bar::counting("asking the teacher", "windows");
    let live = (output::stderr_is_terminal() && !args.json).then(Live::new);
    let mut shown = Shown { json: args.json, teachers, live };
    let mut tell = |event: &Event<'_>| shown.event(event);
    let outcome = train(&recipe, &args.output, &options, &mut tell).map_err(|error| {
        let report = UserError::from(error);
        if options.cancel.is_cancelled() { UserError { code: ExitCode::Interrupted, ..report } } else { report }
    })?;
    if outcome.interrupted {
        let message = format!("interrupted; checkpoint saved at step {}", outcome.steps);
        let report = UserError::interrupted(message);
        return Err(report.hint("run the same command to resume"));
    }
    if args.json {
        let text = serde_json::to_string(&outcome).unwrap_or_default();
        output::print(&(text + "\n"))?;
    } else {
        output::print(&page(&outcome, &args.output))?;
    }
    Ok(ExitCode::Done)
}

/// Where a run's events are shown.
struct Shown {
    json: bool,
    teachers: progress::Bar,
    /// On a terminal, unless another program reads.
    live: Option<Live>,
}

impl Shown {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Data { head, tally, notices } => {
                notices.iter().for_each(output::note);
                output::note(format!(
                    "{} documents, {} tokens in {} windows",
                    head.documents, head.tokens, head.windows
                ));
                tally.iter().flat_map(|tally| tally.notices()).for_each(output::note);
            }
            Event::Teacher(progress) => {
                if let Some(live) = self.live.as_mut().filter(|live| live.is_drawn()) {
                    live.note(format!("asking the teacher: {} of {} windows", progress.done, progress.all));
                    return;
                }
                self.teachers.show(progress.done, Some(progress.all));
                if progress.done == progress.all {
                    self.teachers.end();
                    output::note(format!("teacher `{}`: done", progress.teacher.display()));
                }
            }
            Event::Told(what) => self.note((*what).to_owned()),
            Event::Wrote { step } => self.note(format!("student samples written and scored before step {}", step + 1)),
            Event::Resumed { step, steps } => self.note(format!("resuming after step {step} of {steps}")),
            Event::Step { line, steps } => {
                if self.json {
                    // A reader that went away does not stop a training.
                    let _ = output::print(&(json!(line).to_string() + "\n"));
                }
                let line = Line { sample: line.sample.as_deref().map(clean), ..(*line).clone() };
                match &mut self.live {
                    Some(live) => live.step(&line, *steps),
                    None => output::note(told(&line, *steps)),
                }
            }
            Event::Returned { step } => {
                self.note(format!("too many bad steps: restored the checkpoint of step {step}"))
            }
            Event::Saved { step } => self.note(format!("checkpoint saved at step {step}")),
        }
    }

    fn note(&mut self, text: String) {
        match self.live.as_mut().filter(|live| live.is_drawn()) {
            Some(live) => live.note(text),
            None => output::note(text),
        }
    }
}

/// A step as a line.
fn told(line: &Line, steps: u64) -> String {
    let mut text = format!(
        "step {} of {steps}  loss {:.4}  rate {:.2e}  gradient {:.3}  {:.0} tokens/s",
        line.step, line.loss, line.rate, line.norm, line.tokens_per_s
    );
    if let Some(loss) = line.val_loss {
        text.push_str(&format!("  held-out {loss:.4}"));
    }
    if let Some(fault) = line.fault {
        text.push_str(&format!("  skipped: {fault:?}"));
    }
    if let Some(sample) = &line.sample {
        text.push_str(&format!("\n  sample: {}", sample.replace('\n', "\n  ")));
    }
    text
}

fn page(outcome: &Outcome, folder: &std::path::Path) -> String {
    let loss = |loss: Option<f64>| loss.map_or_else(|| "–".to_owned(), |loss| format!("{loss:.4}"));
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    output::table(&[
        row("steps", outcome.steps.to_string()),
        row("tokens", outcome.tokens.to_string()),
        row("loss", format!("{} → {}", loss(outcome.loss_first), loss(outcome.loss_last))),
        row("held-out loss", format!("{} → {}", loss(outcome.val_loss_before), loss(outcome.val_loss_after))),
        row("tokens/s", format!("{:.1}", outcome.tokens_per_s)),
        row("peak memory", bytes(outcome.peak_rss)),
        row("written to", folder.display().to_string()),
    ])
}
