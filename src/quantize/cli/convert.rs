//! `zord-quantize convert`: a checkpoint's folder to one GGUF file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use regex::Regex;

use super::threads;
use crate::cli::{output, progress, source};
use crate::error::{ExitCode, UserError};
use crate::quantize::convert::{self, Request, Type};
use crate::size::bytes;

#[derive(Args, Debug)]
pub(super) struct ConvertArgs {
    /// The checkpoint, or a LoRA adapter as PEFT saves it: a folder, or hf:owner/repo
    #[arg(value_name = "HF_DIR")]
    folder: PathBuf,
    /// The GGUF file to write
    #[arg(short, long, value_name = "OUT.gguf")]
    output: PathBuf,
    /// Of an adapter: the checkpoint it was trained on, of which `config.json` is enough [default: the one it names]
    #[arg(long, value_name = "HF_DIR")]
    base: Option<PathBuf>,
    /// What matrices are stored in; `auto` keeps 16 bits as they are
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "auto")]
    kind: Kind,
    /// The model's name [default: the checkpoint's or its folder's]
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The pre-tokenizer, by llama.cpp's name [default: told by the checkpoint's pattern]
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,
    /// Leave out tensors whose name in the checkpoint matches this expression
    #[arg(long, value_name = "PATTERN")]
    skip: Option<Regex>,
    /// Convert weights that are NaN or infinite too
    #[arg(long)]
    allow_nan: bool,
    /// Threads [default: one for each core, at most 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    F32,
    F16,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
    Auto,
}

pub(super) fn run(args: ConvertArgs) -> Result<ExitCode, UserError> {
    let folder = source::folder(&args.folder)?;
    let request = Request {
        folder,
        base: args.base.as_deref().map(source::folder).transpose()?,
        output: args.output,
        kind: match args.kind {
            Kind::F32 => Type::F32,
            Kind::F16 => Type::F16,
            Kind::Bf16 => Type::Bf16,
            Kind::Q8_0 => Type::Q8_0,
            Kind::Auto => Type::Auto,
        },
        name: args.name,
        pre: args.pre,
        allow_nan: args.allow_nan,
        skip: args.skip,
        threads: args.threads.unwrap_or_else(|| threads(None).min(8)).into(),
    };
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::new("converting");
    let done = convert::run(&request, &cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    let done = done?;
    for notice in &done.notices {
        output::note(format!("notice: {notice}"));
    }
    if done.fallen_back > 0 {
        output::note(format!("notice: {} tensors are F16, as their rows are no multiple of 32", done.fallen_back));
    }
    if done.not_finite > 0 {
        output::note(format!("notice: {} weights are no finite numbers", done.not_finite));
    }
    output::note(format!(
        "{}: {}, {} tensors, {:.1} M parameters, {} in {}",
        request.output.display(),
        done.architecture,
        done.tensors,
        done.parameters as f64 / 1e6,
        bytes(done.bytes),
        done.kind
    ));
    Ok(ExitCode::Done)
}
