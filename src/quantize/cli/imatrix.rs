//! `zord-quantize imatrix`: which weights matter, from a text that the model reads; and files of it merged.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sha2::{Digest, Sha256};

use super::texts::{self, Text};
use super::threads;
use crate::atomic::spare;
use crate::chat::template::{Hints, Template};
use crate::cli::{output, progress};
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError};
use crate::fim::form::FimIds;
use crate::hex::hex;
use crate::llama::child::{self, ChildError};
use crate::quantize::imatrix::{Imatrix, gather};
use crate::quantize::measure::Kind;
use crate::quantize::work::Work;
use crate::weights::gguf::{Header, Parts};

#[derive(Args, Debug)]
pub(super) struct ImatrixArgs {
    /// The model, best in 16 bits
    #[arg(short, long, value_name = "FILE", required_unless_present = "merge")]
    model: Option<PathBuf>,
    /// A text to read; again for more [default: a sample of prose and code that comes with the program]
    #[arg(short, long = "file", value_name = "TEXT")]
    files: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "imatrix.gguf")]
    output: PathBuf,
    /// Its form
    #[arg(long, value_enum, default_value = "gguf")]
    format: Format,
    /// Add these files' sums; without a model, only these
    #[arg(long, value_name = "FILE")]
    merge: Vec<PathBuf>,
    /// Go on where an interrupted run with `--every`, or the output file itself, stopped
    #[arg(long, conflicts_with = "merge")]
    resume: bool,
    /// Tokens of a window
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=32768))]
    ctx: u32,
    /// Windows at most [default: all]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    chunks: u32,
    /// Windows after which what is there is kept in `OUTPUT.unfinished`, for `--resume` [default: nothing is kept]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    every: u32,
    /// Sum the output tensor's inputs too
    #[arg(long)]
    process_output: bool,
    /// Read only the files, without the same code in the model's chat and fill-in-the-middle forms
    #[arg(long)]
    plain: bool,
    /// With `--plain`: control tokens written in the files count as such, which they do without it
    #[arg(long)]
    parse_special: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Gguf,
    /// llama.cpp's older one
    Dat,
}

pub(super) fn run(args: &ImatrixArgs) -> Result<ExitCode, UserError> {
    spare(&args.output, args.model.iter().chain(&args.files).map(PathBuf::as_path))?;
    let part = part(&args.output);
    let stopped = [&part, &args.output].into_iter().find(|path| args.resume && path.is_file());
    let mut all = stopped.map(|path| Imatrix::read(path)).transpose()?;
    let mut ours = all.is_some();
    if let Some(model) = &args.model {
        let new = gathered(args, model, all.as_ref(), &part, &mut ours)?;
        merge(&mut all, new)?;
    }
    for file in &args.merge {
        let mut more = Imatrix::read(file)?;
        more.count_inputs(args.ctx);
        merge(&mut all, more)?;
    }
    let all = all.ok_or_else(|| UserError::usage("there is nothing to sum"))?;
    match args.format {
        Format::Gguf => all.write(&args.output)?,
        Format::Dat => all.write_legacy(&args.output)?,
    }
    if ours {
        // It was there for the case that the run stopped.
        let _ = std::fs::remove_file(part);
    }
    let (entries, chunks) = (all.entries.len(), all.chunks);
    output::note(format!("{}: {entries} matrices, {chunks} windows", args.output.display()));
    Ok(ExitCode::Done)
}

fn merge(all: &mut Option<Imatrix>, more: Imatrix) -> Result<(), UserError> {
    match all {
        Some(all) => all.merge(more)?,
        None => *all = Some(more),
    }
    Ok(())
}

/// Where an unfinished run keeps what it has.
fn part(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".unfinished");
    name.into()
}

/// The sums of the rest of the texts; `ours` becomes true when `part` was written.
fn gathered(
    args: &ImatrixArgs,
    model: &Path,
    before: Option<&Imatrix>,
    part: &Path,
    ours: &mut bool,
) -> Result<Imatrix, UserError> {
    let parts = Parts::read(model)?;
    let mut texts = texts::read(&args.files)?;
    if !args.plain {
        formed(parts.first(), &mut texts);
    }
    let source = source(args, &parts, &texts);
    if let Some(before) = before {
        before.fits(&parts)?;
        goes_on(before, &source, args.ctx)?;
    }
    let into = tempfile_beside(&args.output)?;
    let job = gather::Job {
        model: model.to_owned(),
        texts: texts.into_iter().map(|text| (text.name, text.text)).collect(),
        window: args.ctx,
        chunks: args.chunks,
        skip: before.map_or(0, |before| before.chunks),
        threads: threads(args.threads).into(),
        output: args.process_output,
        special: args.parse_special || !args.plain,
        into: into.clone(),
        every: args.every,
        source,
    };
    let cancel = progress::cancel_on_signals()?;
    let mut failed = None;
    let keep = || -> Result<(), UserError> {
        let mut all = before.cloned();
        merge(&mut all, Imatrix::read(&into)?)?;
        all.map_or(Ok(()), |all| Ok(all.write(part)?))
    };
    let done = watched(&job, &cancel, || match keep() {
        Ok(()) => *ours = true,
        Err(error) => failed = Some(error),
    });
    if let Some(error) = failed {
        // The sums themselves are there, so the run is not lost.
        output::note(format!("notice: what was there could not be kept meanwhile: {}", error.message));
    }
    let sums = done.map_err(UserError::from).and_then(|()| Ok(Imatrix::read(&into)?));
    // What was read is in memory; what failed is not wanted.
    let _ = std::fs::remove_file(&into);
    sums.map_err(|error| {
        let hint = format!("`--resume` goes on after what `{}` has", part.display());
        if error.code == ExitCode::Interrupted && part.is_file() { error.hint(hint) } else { error }
    })
}

/// What is summed, and how: the model's tensors, the texts, the options that change sums.
fn source(args: &ImatrixArgs, model: &Parts, texts: &[Text]) -> String {
    let mut digest = Sha256::new();
    for tensor in model.tensors() {
        digest.update(format!("{} {} {:?}\n", tensor.name, tensor.kind, tensor.dims));
    }
    for text in texts {
        digest.update(format!("{} {}\n{}\n", text.name, text.text.len(), text.text));
    }
    digest.update(format!("{} {} {}", args.ctx, args.process_output, args.parse_special || !args.plain));
    hex(&digest.finalize())
}

/// Sums can only be gone on with when they are of the same windows of the same texts.
fn goes_on(before: &Imatrix, source: &str, window: u32) -> Result<(), UserError> {
    if before.chunk_size != 0 && before.chunk_size != window {
        let size = before.chunk_size;
        let message = format!("what is there was summed over windows of {size} tokens, not {window}");
        return Err(UserError::failed(message).hint(format!("`--ctx {size}` goes on")));
    }
    if before.source == source {
        return Ok(());
    }
    let other = format!("what is there was summed otherwise: over `{}`", before.datasets.join("`, `"));
    let why = if before.source.is_empty() { "what is there does not say what it was summed over" } else { &other };
    let hint = "name the same model, the same files in the same order and the same options, or add sums with `--merge`";
    Err(UserError::failed(why).hint(hint))
}

fn tempfile_beside(target: &Path) -> Result<PathBuf, UserError> {
    crate::atomic::beside(target)
        .map_err(|error| UserError::failed(format!("cannot write `{}`: {error}", target.display())))
}

fn watched(job: &gather::Job, cancel: &Cancel, mut saved: impl FnMut()) -> Result<(), ChildError> {
    let mut bar = progress::Bar::counting("reading", "windows");
    let done = child::run(
        &Work::Imatrix(job.clone()),
        cancel,
        |value| {
            let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64);
            if let Some(done) = number("done") {
                bar.show(done, number("all"));
            } else if number("saved").is_some() {
                saved();
            }
        },
        |_| (),
    );
    bar.end();
    done
}

/// Characters of a question, an answer, and a document with a hole.
const PIECE: usize = 900;

/// Adds the code again as the model meets it at work: as an answer in its chat form, and with holes in its own form.
fn formed(header: &Header, texts: &mut Vec<Text>) {
    let pieces: Vec<String> = texts
        .iter()
        .filter(|text| text.kind == Kind::Code)
        .flat_map(|text| text.text.chars().collect::<Vec<_>>().chunks(PIECE).map(String::from_iter).collect::<Vec<_>>())
        .take(400)
        .collect();
    let tokens = header.strings("tokenizer.ggml.tokens").unwrap_or_default();
    let ids = FimIds::read(&|key| header.u32(key));
    let token = |id: Option<i32>| tokens.get(usize::try_from(id?).ok()?);
    if let (Some(pre), Some(suf), Some(mid)) = (token(ids.pre), token(ids.suf), token(ids.mid)) {
        let mut text = String::new();
        for piece in &pieces {
            let lines: Vec<&str> = piece.split_inclusive('\n').collect();
            let at = lines.len() / 2;
            let part = |range: std::ops::Range<usize>| lines.get(range).unwrap_or_default().concat();
            let (before, hole, after) = (part(0..at), part(at..at + 1), part(at + 1..lines.len()));
            text.push_str(&format!("{pre}{before}{suf}{after}{mid}{hole}"));
        }
        texts.push(Text { name: "code with holes".to_owned(), kind: Kind::Fim, text });
    }
    let hints = Hints {
        architecture: header.str("general.architecture").unwrap_or_default(),
        name: header.str("general.name").unwrap_or_default(),
        has_token: &|text| tokens.iter().any(|token| token == text),
        now: 0,
    };
    let Some(source) = header.str("tokenizer.chat_template") else { return };
    let (template, _) = Template::new(Some(source), &hints);
    let chat: String = pieces.iter().filter_map(|piece| turn(&template, piece)).collect();
    if !chat.is_empty() {
        texts.push(Text { name: "code as answers".to_owned(), kind: Kind::Code, text: chat });
    }
}

fn turn(template: &Template, code: &str) -> Option<String> {
    use crate::chat::{Message, Role};
    let turns = [
        Message::new(Role::User, "Continue this code, and explain what it does."),
        Message::new(Role::Assistant, format!("```\n{code}\n```")),
    ];
    template.render(&turns, "", "", false).ok()
}
