//! `zord-merge lora` and `extract-lora`: adapters into a base, and out of a fine-tune.

use std::path::PathBuf;

use clap::Args;

use super::write::{WriteArgs, write};
use crate::cli::{output, progress};
use crate::error::{ExitCode, UserError};
use crate::merge::lora::{Adapter, bake, extract};

#[derive(Args, Debug)]
pub(super) struct LoraArgs {
    /// The base: a folder, a GGUF file, or owner/repo
    #[arg(value_name = "BASE")]
    base: String,
    /// An adapter's folder, with a weight after `@` if it is not 1; several are added up
    #[arg(short, long, value_name = "DIR[@WEIGHT]", required = true)]
    adapter: Vec<String>,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Args, Debug)]
pub(super) struct ExtractArgs {
    /// What the fine-tune began from
    #[arg(value_name = "BASE")]
    base: String,
    /// The fine-tune
    #[arg(value_name = "TUNED")]
    tuned: String,
    /// The adapter's folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The adapter's rank
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    rank: u16,
    /// Keep embeddings, the output and norms whole where they changed (PEFT's modules_to_save)
    #[arg(long)]
    save_modules: bool,
    /// One JSON document on stdout: every tensor with what is left of its difference
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &LoraArgs) -> Result<ExitCode, UserError> {
    let mut model = super::open::named(&args.base)?;
    let mut adapters = Vec::new();
    for text in &args.adapter {
        let (name, weight) = match text.rsplit_once('@').map(|(name, weight)| (name, weight.parse::<f32>())) {
            Some((name, Ok(weight))) if weight.is_finite() => (name, weight),
            Some((_, Err(_))) | None => (text.as_str(), 1.0),
            Some(_) => return Err(UserError::usage(format!("the weight of `{text}` is no number"))),
        };
        adapters.push((Adapter::open(&super::open::folder(name)?)?, weight));
    }
    bake(&mut model, &adapters)?;
    let (recipe, plan) = super::open::alone(model)?;
    write(&args.write, &recipe, &plan, &progress::cancel_on_signals()?)
}

pub(super) fn extract(args: &ExtractArgs) -> Result<ExitCode, UserError> {
    let (base, tuned) = (super::open::named(&args.base)?, super::open::named(&args.tuned)?);
    if args.output.exists() {
        let report = UserError::failed(format!("`{}` is there already", args.output.display()));
        return Err(report.hint("name another place, or remove it first"));
    }
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::counting("extracting", "tensors");
    let rank = usize::from(args.rank);
    let wanted = extract::Wanted { rank, whole: args.save_modules };
    let found = extract::run(&base, &tuned, wanted, &args.output, &cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    let found = found?;
    if args.json {
        output::json(&found)?;
        return Ok(ExitCode::Done);
    }
    let length = |one: &extract::Extracted| one.difference.powi(2);
    let of_all = found.iter().map(length).sum::<f64>();
    let share = |left: f64| format!("{:.2} %", (left / of_all).sqrt() * 100.0);
    let error = found.iter().map(|one| length(one) * one.error.powi(2)).sum::<f64>();
    let whole = found.iter().filter(|one| one.whole).count();
    output::note(format!(
        "{}: {} matrices at rank {rank}, {whole} tensors whole; {} of the change is left out",
        args.output.display(),
        found.iter().filter(|one| one.rank > 0).count(),
        share(error)
    ));
    let left: Vec<_> = found.iter().filter(|one| one.rank == 0 && !one.whole).collect();
    if !left.is_empty() {
        let names: Vec<String> = left.iter().take(4).map(|one| format!("`{}`", one.tensor)).collect();
        let way = if args.save_modules { "" } else { "; `--save-modules` keeps all of them but biases" };
        output::note(format!(
            "notice: {} tensors changed that no product of matrices holds, {} of the change: {}{way}",
            left.len(),
            share(left.iter().map(|one| length(one)).sum()),
            names.join(", ")
        ));
    }
    Ok(ExitCode::Done)
}
