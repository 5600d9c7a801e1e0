//! `zord-quantize quantize`: one or several smaller files from one, or the best that fits a size.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value as Json, json};

use super::{fit, threads};
use crate::budget::KvType;
use crate::cli::{output, progress};
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError};
use crate::quantize::shrink::{self, Budget, Mixture, Planned, Request};
use crate::size::bytes;
use crate::weights::gguf::GgmlType;

/// Tokens of context at most.
const LONGEST_CONTEXT: u32 = 1 << 24;

#[derive(Args, Debug)]
pub(super) struct QuantizeArgs {
    /// The GGUF file to start from, best in 16 bits; of several parts the first
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write; `{type}` in it is replaced, and must be there for several types
    #[arg(value_name = "OUT", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    /// The type, like Q4_K_M, IQ4_XS, Q8_0 or COPY; again for another file; a wrong one is answered with all of them
    #[arg(long = "type", value_name = "TYPE", value_parser = Mixture::named, required_unless_present_any = ["fit", "fit_ram"])]
    kinds: Vec<Mixture>,
    /// Choose the best mixture whose file is no larger than this
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["kinds", "fit_ram"], value_parser = size)]
    fit: Option<u64>,
    /// Choose the best mixture that runs in this much memory with so many tokens of context, reckoned for this machine's
    /// processor
    #[arg(long, value_name = "SIZE@TOKENS", conflicts_with = "kinds", value_parser = size_at)]
    fit_ram: Option<(u64, u32)>,
    /// The KV cache that `--fit-ram` counts with: f16, q8_0 or q4_0
    #[arg(long, value_name = "TYPE", default_value = "f16", value_parser = kv_type)]
    kv_type: KvType,
    /// An importance matrix, from `zord-quantize imatrix`
    #[arg(long, value_name = "FILE")]
    imatrix: Option<PathBuf>,
    /// The type of tensors whose name matches an expression; the first that matches counts
    #[arg(long, value_name = "PATTERN=TYPE", value_parser = tensor)]
    tensor_type: Vec<(String, GgmlType)>,
    /// The type of the output tensor
    #[arg(long, value_name = "TYPE", value_parser = shrink::weight_type)]
    output_type: Option<GgmlType>,
    /// The type of the token embeddings
    #[arg(long, value_name = "TYPE", value_parser = shrink::weight_type)]
    embedding_type: Option<GgmlType>,
    /// Leave the output tensor as it is
    #[arg(long)]
    leave_output: bool,
    /// Every tensor in the same type
    #[arg(long)]
    pure: bool,
    /// Layers to leave out, like 20,21
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    prune_layers: Vec<u32>,
    /// Quantize what is quantized already
    #[arg(long)]
    allow_requantize: bool,
    /// As many parts as the input has
    #[arg(long)]
    keep_split: bool,
    /// Say what each tensor and the file would become, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Rows in memory at once
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    max_buffer: u64,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &QuantizeArgs) -> Result<ExitCode, UserError> {
    let template = args.output.as_ref().map(|path| path.to_string_lossy().into_owned());
    if args.kinds.len() > 1 && template.as_ref().is_some_and(|name| !name.contains("{type}")) {
        return Err(UserError::usage("several types need several names").hint("put `{type}` into the output's name"));
    }
    if let Some((_, twice)) =
        args.kinds.iter().enumerate().find(|(at, kind)| args.kinds.iter().take(*at).any(|other| other == *kind))
    {
        return Err(UserError::usage(format!("`--type {}` is there twice", twice.name)));
    }
    let cancel = progress::cancel_on_signals()?;
    let budget = match (args.fit, args.fit_ram) {
        (Some(bytes), _) => Some(Budget::File(bytes)),
        (_, Some((bytes, tokens))) => Some(Budget::Memory(bytes, tokens, args.kv_type)),
        _ => None,
    };
    let named = |request: &Request| {
        let name = template.as_ref().map(|name| PathBuf::from(name.replace("{type}", request.kind.name)));
        name.filter(|_| !args.dry_run)
    };
    let mut documents = Vec::new();
    if let Some(budget) = budget {
        documents.push(fit::run(&args.request(Mixture::COPY), budget, named, args.json, &cancel)?);
    }
    for &kind in &args.kinds {
        let request = args.request(kind);
        documents.push(match named(&request) {
            Some(name) => write(&request, &name, &cancel)?,
            None => foresee(&request, args.json, &cancel)?,
        });
    }
    if args.json {
        output::json(&documents)?;
    }
    Ok(ExitCode::Done)
}

impl QuantizeArgs {
    fn request(&self, kind: Mixture) -> Request {
        Request {
            input: self.input.clone(),
            kind,
            kinds: self.tensor_type.clone(),
            output_kind: self.output_type,
            embedding_kind: self.embedding_type,
            imatrix: self.imatrix.clone(),
            requantize: self.allow_requantize,
            leave_output: self.leave_output,
            pure: self.pure,
            keep_split: self.keep_split,
            prune: self.prune_layers.clone(),
            threads: threads(self.threads),
            buffer: self.max_buffer,
        }
    }
}

pub(super) fn write(request: &Request, name: &Path, cancel: &Cancel) -> Result<Json, UserError> {
    let mut bar = progress::Bar::counting(request.kind.name, "tensors");
    let done = shrink::run(request, name, cancel, |done, all| bar.show(done, Some(all)));
    bar.end();
    written(request, name, &done?)
}

/// Tells what was written.
pub(super) fn written(request: &Request, name: &Path, done: &Planned) -> Result<Json, UserError> {
    fallbacks(done);
    let files = shrink::outputs(request, name)?;
    let size = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|facts| facts.len()).sum();
    let name = files.first().map_or(name, PathBuf::as_path);
    let more = if files.len() > 1 { format!(" and {} more", files.len() - 1) } else { String::new() };
    output::note(format!("{}{more}: {}, {}", name.display(), request.kind.name, bytes(size)));
    let mut document = document(request, done);
    document["file"] = json!(name);
    document["files"] = json!(files);
    document["file_bytes"] = json!(size);
    Ok(document)
}

pub(super) fn foresee(request: &Request, quiet: bool, cancel: &Cancel) -> Result<Json, UserError> {
    let planned = shrink::dry(request, cancel)?;
    if !quiet {
        let rows = planned.tensors.iter().map(|(name, old, new)| {
            vec![name.clone(), old.to_string(), if old == new { String::new() } else { new.to_string() }]
        });
        let table = output::table(&rows.collect::<Vec<_>>());
        output::page(&format!("{table}\n{}: {} of weights\n", request.kind.name, bytes(planned.bytes)))?;
    }
    fallbacks(&planned);
    if planned.wants_imatrix && request.imatrix.is_none() {
        output::note(format!("notice: {} needs an importance matrix", request.kind.name));
    }
    Ok(document(request, &planned))
}

fn document(request: &Request, planned: &Planned) -> Json {
    let tensors =
        planned.tensors.iter().map(|(name, old, new)| json!({"name": name, "from": old.name(), "to": new.name()}));
    let fallen = planned
        .fallen_back
        .iter()
        .map(|(name, row, wanted, got)| json!({"name": name, "row": row, "wanted": wanted, "got": got}));
    json!({
        "type": request.kind.name, "bytes": planned.bytes, "tensors": tensors.collect::<Vec<_>>(),
        "fallen_back": fallen.collect::<Vec<_>>(),
    })
}

/// What the person should know: also which tensors could not have their type, a line for each kind of fall.
fn fallbacks(planned: &Planned) {
    for notice in &planned.notices {
        output::note(format!("notice: {notice}"));
    }
    let mut kinds: Vec<(u64, &str, &str, Vec<&str>)> = Vec::new();
    for (name, row, wanted, got) in &planned.fallen_back {
        match kinds.iter_mut().find(|kind| (kind.0, kind.1, kind.2) == (*row, wanted, got)) {
            Some(kind) => kind.3.push(name),
            None => kinds.push((*row, wanted, got, vec![name])),
        }
    }
    for (row, wanted, got, names) in kinds {
        let first = names.first().copied().unwrap_or_default();
        let others = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        output::note(format!(
            "notice: `{first}`{others}: {got} instead of {wanted}, as rows of {row} are no whole blocks"
        ));
    }
}

fn size(text: &str) -> Result<u64, String> {
    crate::size::parse_size(text).map_err(|error| error.to_string())
}

fn size_at(text: &str) -> Result<(u64, u32), String> {
    let (bytes, tokens) = text.split_once('@').ok_or("a size and a number of tokens, like 1.2GiB@4096")?;
    let tokens = tokens.parse().ok().filter(|tokens| (1..=LONGEST_CONTEXT).contains(tokens));
    let tokens = tokens.ok_or_else(|| format!("a number of tokens from 1 to {LONGEST_CONTEXT} goes behind the `@`"))?;
    Ok((size(bytes)?, tokens))
}

fn kv_type(text: &str) -> Result<KvType, String> {
    let all = [KvType::F16, KvType::Q8_0, KvType::Q4_0];
    all.into_iter().find(|kv| kv.name() == text).ok_or_else(|| "`f16`, `q8_0` or `q4_0`".into())
}

fn tensor(text: &str) -> Result<(String, GgmlType), String> {
    let (pattern, kind) = text.rsplit_once('=').ok_or("a pattern and a type, like ffn_down=q6_K")?;
    Ok((pattern.to_owned(), shrink::weight_type(kind)?))
}
