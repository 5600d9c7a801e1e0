//! `zord-merge run`: a recipe to a checkpoint.

use std::path::PathBuf;

use clap::Args;

use crate::budget::bytes;
use crate::cli::{output, progress};
use crate::error::{ExitCode, Report};
use crate::merge::provenance::{self, Facts, hash, licence};
use crate::merge::stream::{self, Options};
use crate::merge::{MergeError, output as beside};

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The recipe: YAML as mergekit reads it, or TOML
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Where chance begins, for methods that leave something to it [default: the recipe's, else 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The most a file of weights may hold, like 2GiB
    #[arg(long, value_name = "SIZE", value_parser = crate::cli::size)]
    shard_size: Option<u64>,
    /// Merge weights that are NaN or infinite too
    #[arg(long)]
    allow_nan: bool,
    /// Merge although licences forbid something or contradict each other
    #[arg(long)]
    accept_licence: bool,
    /// Leave the inputs' SHA-256 out of the manifest
    #[arg(long)]
    no_hash: bool,
}

pub(super) fn run(args: &RunArgs) -> Result<ExitCode, Report> {
    let (recipe, plan) = super::open::plan(&args.recipe, args.seed)?;
    for notice in &plan.notices {
        output::note(format!("notice: {notice}"));
    }
    let options = Options {
        output: args.output.clone(),
        threads: super::threads(args.threads),
        shard: args.shard_size.unwrap_or(stream::SHARD).max(1 << 20),
        allow_nan: args.allow_nan,
    };
    let licences = licence::judge(&plan.models);
    licences.notices.iter().for_each(|notice| output::note(format!("notice: {notice}")));
    if !licences.problems.is_empty() && !args.accept_licence {
        return Err(MergeError::Licence { what: licences.problems.join("; ") }.into());
    }
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::new("merging");
    let (done, hashes) = std::thread::scope(|scope| {
        let hashes = (!args.no_hash && plan.problems.is_empty()).then(|| scope.spawn(|| hash(&plan, &cancel)));
        let done = stream::run(&plan, &options, &cancel, |done, all| bar.show(done, Some(all)));
        if done.is_err() {
            // Nobody will read them.
            cancel.cancel();
        }
        (done, hashes.and_then(|hashes| hashes.join().ok()))
    });
    bar.end();
    let done = done.map_err(interrupted)?;
    let hashes = hashes.transpose().map_err(interrupted)?;
    let resumed = done.resumed;
    let facts =
        Facts { recipe: &recipe, plan: &plan, stats: &done.stats, hashes: hashes.as_deref(), licences: &licences };
    provenance::write(&facts, &done.folder)?;
    beside::write(&recipe, &plan, &done.folder)?;
    done.finish(&args.output)?;
    let kept = if resumed > 0 { format!(", {resumed} of them from an earlier run") } else { String::new() };
    output::note(format!(
        "{}: {} tensors{kept}, {} by {}",
        args.output.display(),
        plan.outputs.len(),
        bytes(plan.output_bytes()),
        plan.method.name()
    ));
    Ok(ExitCode::Done)
}

fn interrupted(error: MergeError) -> Report {
    match error {
        MergeError::Interrupted => Report { code: ExitCode::Interrupted, ..Report::from(error) },
        error => Report::from(error),
    }
}
