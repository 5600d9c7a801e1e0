//! `zord-quantize export`: a GGUF file as a Hugging Face folder.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{output, progress};
use crate::error::{ExitCode, UserError};
use crate::quantize::export;
use crate::weights::safetensors::Dtype;

#[derive(Args, Debug)]
pub(super) struct ExportArgs {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to write, which is empty or not there yet
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// How weights are stored there
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value = "bf16")]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    F32,
    F16,
    Bf16,
}

pub(super) fn run(args: &ExportArgs) -> Result<ExitCode, UserError> {
    let kind = match args.kind {
        Kind::F32 => Dtype::F32,
        Kind::F16 => Dtype::F16,
        Kind::Bf16 => Dtype::BF16,
    };
    let cancel = progress::cancel_on_signals()?;
    let mut bar = progress::Bar::new("exporting");
    let done = export::run(&args.file, &args.output, kind, &cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    done?;
    output::note(format!("{}: written", args.output.display()));
    Ok(ExitCode::Done)
}
