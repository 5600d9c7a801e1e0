//! What every command that writes a checkpoint does: licences, weights, hashes, manifest, the final name.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::{output, progress};
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError};
use crate::merge::plan::Plan;
use crate::merge::provenance::{self, Facts, hash, licence};
use crate::merge::recipe::Recipe;
use crate::merge::stream::{self, Done, Options};
use crate::merge::{MergeError, output as beside};
use crate::quantize::convert::{self, Type};
use crate::size::bytes;

/// How a checkpoint is written.
#[derive(Args, Debug)]
pub(super) struct WriteArgs {
    /// The folder to write, or a file whose name ends with `.gguf` for the same in one file of f16
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
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

/// Carries a plan out.
pub(super) fn write(args: &WriteArgs, recipe: &Recipe, plan: &Plan, cancel: &Cancel) -> Result<ExitCode, UserError> {
    plan.notices.iter().for_each(|notice| output::note(format!("notice: {notice}")));
    if !plan.problems.is_empty() {
        return Err(MergeError::Problems(plan.problems.clone()).into());
    }
    beside::verify(recipe, plan)?;
    let licences = licence::judge(&plan.models);
    licences.notices.iter().for_each(|notice| output::note(format!("notice: {notice}")));
    if !licences.problems.is_empty() && !args.accept_licence {
        return Err(MergeError::Licence { what: licences.problems.join("; ") }.into());
    }
    let gguf = args.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let options = Options {
        output: args.output.clone(),
        threads: super::threads(args.threads),
        shard: args.shard_size.unwrap_or(stream::SHARD).max(1 << 20),
        allow_nan: args.allow_nan,
        more: if gguf { plan.gguf_bytes() } else { 0 },
    };
    let mut bar = progress::Bar::new("merging");
    let (done, hashes) = std::thread::scope(|scope| {
        let hashes = (!args.no_hash).then(|| scope.spawn(|| hash(plan, cancel)));
        let done = stream::run(plan, &options, cancel, |done, all| bar.show(done, Some(all)));
        if done.is_err() {
            // Nobody will read them.
            cancel.cancel();
        }
        (done, hashes.and_then(|hashes| hashes.join().ok()))
    });
    bar.end();
    let done = done?;
    let hashes = hashes.transpose()?;
    let facts = Facts { recipe, plan, stats: &done.stats, hashes: hashes.as_deref(), licences: &licences };
    provenance::write(&facts, &done.folder)?;
    beside::write(recipe, plan, &done.folder)?;
    let kept = if done.resumed > 0 { format!(", {} of them from an earlier run", done.resumed) } else { String::new() };
    if gguf {
        convert(&args.output, &done, options.threads, args.allow_nan, cancel)?;
    } else {
        done.finish(&args.output)?;
    }
    output::note(format!(
        "{}: {} tensors{kept}, {} by {}",
        args.output.display(),
        plan.outputs.len(),
        bytes(plan.output_bytes()),
        plan.method.name()
    ));
    Ok(ExitCode::Done)
}

/// The finished folder to one GGUF file in f16; the folder is gone then, the manifest lies beside the file.
fn convert(output: &Path, done: &Done, threads: usize, allow_nan: bool, cancel: &Cancel) -> Result<(), UserError> {
    let request = convert::Request {
        folder: done.folder.clone(),
        base: None,
        output: output.to_owned(),
        kind: Type::F16,
        name: output.file_stem().map(|name| name.to_string_lossy().into_owned()),
        pre: None,
        allow_nan,
        skip: None,
        threads,
    };
    let mut bar = progress::Bar::new("converting");
    let converted = convert::run(&request, cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    converted.map_err(|error| {
        let mut report = UserError::from(error);
        // The ways out of `zord-quantize convert` are options of that program.
        if report.hint.as_ref().is_some_and(|hint| hint.contains("`--")) {
            report.hint =
                Some("name a folder with `-o`; `zord-quantize convert` makes the file of it, in any type".to_owned());
        }
        report
    })?;
    let manifest = done.folder.join(provenance::MANIFEST);
    let beside = output.with_extension("merge-manifest.json");
    let fault = |source| MergeError::Write { path: beside.clone(), source };
    std::fs::rename(manifest, &beside).map_err(fault)?;
    std::fs::remove_dir_all(&done.folder).map_err(fault)?;
    Ok(())
}
