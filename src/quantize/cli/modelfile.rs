//! `zord-quantize modelfile`: on stdout, or into a file.

use std::path::PathBuf;

use clap::Args;

use crate::cli::output;
use crate::error::{ExitCode, Report};
use crate::quantize::modelfile;
use crate::weights::gguf::Header;

#[derive(Args, Debug)]
pub(super) struct ModelfileArgs {
    /// The GGUF file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file to write [default: stdout]
    #[arg(short, long, value_name = "Modelfile")]
    output: Option<PathBuf>,
    /// Tokens of context to run it with
    #[arg(long, value_name = "TOKENS")]
    ctx: Option<u32>,
}

pub(super) fn run(args: &ModelfileArgs) -> Result<ExitCode, Report> {
    let header = Header::read(&args.file)?;
    // Ollama takes a bare name for a model of its library.
    let name = args.file.to_string_lossy();
    let name = if name.contains('/') { name.into_owned() } else { format!("./{name}") };
    let (text, known) = modelfile::text(&header, &name, args.ctx);
    if !known {
        output::note("notice: the chat template is of no family that is known here; Ollama may recognise it");
    }
    match &args.output {
        None => output::print(&text)?,
        Some(path) => crate::atomic::write(path, &text)
            .map_err(|error| Report::failed(format!("cannot write `{}`: {error}", path.display())))?,
    }
    Ok(ExitCode::Done)
}
