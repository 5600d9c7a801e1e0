//! `zord-quantize modelfile`: on stdout, or into a file.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::atomic::spare;
use crate::cli::output;
use crate::error::{ExitCode, UserError};
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
    /// Of an adapter: the GGUF file that it belongs to, or what Ollama calls it [default: what the adapter names]
    #[arg(long, value_name = "NAME")]
    base: Option<String>,
    /// Tokens of context to run it with
    #[arg(long, value_name = "TOKENS")]
    ctx: Option<u32>,
}

pub(super) fn run(args: &ModelfileArgs) -> Result<ExitCode, UserError> {
    let header = Header::read(&args.file)?;
    if let Some(output) = &args.output {
        spare(output, [args.file.as_path()])?;
    }
    let name = named(&args.file, args.output.as_deref())?;
    let made = modelfile::text(&header, &name, args.base.as_deref(), args.ctx)?;
    let text = made.text;
    for notice in &made.notices {
        output::note(format!("notice: {notice}"));
    }
    match &args.output {
        None => output::print(&text)?,
        Some(path) => crate::atomic::write(path, &text)
            .map_err(|error| UserError::failed(format!("cannot write `{}`: {error}", path.display())))?,
    }
    Ok(ExitCode::Done)
}

/// What stands behind `FROM`: Ollama looks from the Modelfile's folder, and takes a bare name for one of its library.
fn named(file: &Path, modelfile: Option<&Path>) -> Result<String, UserError> {
    let folder = |path: &Path| path.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned);
    let beside = modelfile.is_none_or(|modelfile| folder(modelfile).is_none() || folder(modelfile) == folder(file));
    if file.is_absolute() || !beside {
        let whole = std::path::absolute(file);
        return whole
            .map(|path| path.to_string_lossy().into_owned())
            .map_err(|error| UserError::failed(error.to_string()));
    }
    let near = if modelfile.is_some_and(|modelfile| folder(modelfile).is_some()) {
        file.file_name().map(Path::new)
    } else {
        None
    };
    let name = near.unwrap_or(file).to_string_lossy();
    Ok(if name.contains('/') { name.into_owned() } else { format!("./{name}") })
}
