//! `zord-quantize measure`: a base and its smaller versions, side by side.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value as Json, json};

use super::{texts, threads};
use crate::cli::{output, progress};
use crate::engine::Cancel;
use crate::error::{ExitCode, UserError};
use crate::llama::child;
use crate::quantize::inspect::Contents;
use crate::quantize::measure::{Kind, Sizes, Tally, lockstep};
use crate::quantize::work::Work;
use crate::size::bytes;
use crate::weights::gguf::Header;

#[derive(Args, Debug)]
pub(super) struct MeasureArgs {
    /// The model to compare with, best in 16 bits
    #[arg(long, value_name = "BASE.gguf")]
    base: PathBuf,
    /// The smaller ones; all are in memory at once
    #[arg(long, value_name = "QUANT.gguf", num_args = 1.., required = true)]
    quants: Vec<PathBuf>,
    /// A text to read; again for more. What is no .txt, .md, .rst or .raw counts as code [default: a sample that comes
    /// with the program]
    #[arg(short, long = "file", value_name = "TEXT")]
    files: Vec<PathBuf>,
    /// Tokens of a window, of which the second half is scored
    #[arg(long, value_name = "TOKENS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=32768))]
    ctx: u32,
    /// Windows of each kind of text at most [default: all]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    chunks: u32,
    /// Do not measure rates and memory
    #[arg(long)]
    no_rates: bool,
    /// A picture to draw, of size against divergence; again for another form
    #[arg(long, value_name = "FILE.svg|png", value_parser = picture)]
    picture: Vec<PathBuf>,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &MeasureArgs) -> Result<ExitCode, UserError> {
    // What cannot be read is told before minutes are spent.
    let files: Vec<&Path> = std::iter::once(&args.base).chain(&args.quants).map(PathBuf::as_path).collect();
    let contents = files.iter().map(|file| Contents::of(file)).collect::<Result<Vec<_>, _>>()?;
    let texts = texts::read(&args.files)?;
    alike(&files)?;
    let threads = threads(args.threads).into();
    let job = lockstep::Job {
        base: args.base.clone(),
        quants: args.quants.clone(),
        texts: texts.into_iter().map(|text| lockstep::Text { kind: text.kind, text: text.text }).collect(),
        window: args.ctx,
        chunks: args.chunks,
        threads,
    };
    let cancel = progress::cancel_on_signals()?;
    let tallies = compare(job, &cancel)?;
    let mut models = Vec::new();
    for ((file, contents), kinds) in files.iter().zip(&contents).zip(&tallies) {
        let mut model = document(file, contents, kinds);
        if !args.no_rates {
            let job = lockstep::RateJob { model: file.to_path_buf(), threads };
            let told = |value: Json| extend(&mut model, value);
            child::run(&Work::Rate(job), &cancel, told, |_| ())?;
        }
        models.push(model);
    }
    for path in &args.picture {
        draw(path, &models)?;
    }
    if args.json {
        let base = models.remove(0);
        output::json(&json!({"base": base, "quants": models}))?;
    } else {
        output::page(&page(&models))?;
    }
    Ok(ExitCode::Done)
}

/// Probabilities can only be compared token by token.
fn alike(files: &[&Path]) -> Result<(), UserError> {
    let tokens = |file: &Path| Header::read(file)?.strings("tokenizer.ggml.tokens");
    let Some((base, quants)) = files.split_first() else { return Ok(()) };
    let base = tokens(base)?;
    for quant in quants {
        let theirs = tokens(quant)?;
        let (found, expected) = (theirs.len(), base.len());
        let what = match theirs.iter().zip(&base).position(|(a, b)| a != b) {
            _ if found != expected => format!("has {found} tokens, and the base {expected}"),
            Some(at) => format!("has another vocabulary than the base, from token {at} on"),
            None => continue,
        };
        return Err(UserError::failed(format!("`{}` {what}", quant.display())).hint("compare versions of one model"));
    }
    Ok(())
}

/// The tallies of each kind of text, the base's first.
pub(super) fn compare(job: lockstep::Job, cancel: &Cancel) -> Result<Vec<Vec<Tally>>, UserError> {
    let mut bar = progress::Bar::counting("comparing", "windows");
    let mut tallies = None;
    let done = child::run(
        &Work::Compare(job),
        cancel,
        |value| {
            let number = |key: &str| value.get(key).and_then(Json::as_u64);
            if let Some(done) = number("done") {
                bar.show(done, number("all"));
            } else if let Some(told) = value.get("tallies") {
                // JSON has no NaN, which is what a damaged model gives.
                tallies = serde_json::from_value(told.clone()).ok();
            }
        },
        |_| (),
    );
    bar.end();
    done?;
    tallies.ok_or_else(|| {
        UserError::failed("a model's probabilities are no numbers").hint("its weights are damaged, or have NaN in them")
    })
}

fn extend(model: &mut Json, more: Json) {
    if let (Json::Object(model), Json::Object(more)) = (model, more) {
        model.extend(more);
    }
}

fn document(file: &Path, contents: &Contents, kinds: &[Tally]) -> Json {
    let mut all = Tally::default();
    kinds.iter().for_each(|tally| all.add(tally));
    let mut by_kind = serde_json::Map::new();
    for (kind, tally) in Kind::ALL.into_iter().zip(kinds) {
        if tally.scores().is_some() {
            by_kind.insert(kind.name().to_owned(), scored(tally));
        }
    }
    let mut model = json!({"file": file, "bytes": contents.bytes, "bpw": contents.bits_per_weight()});
    extend(&mut model, scored(&all));
    extend(&mut model, json!({"by_kind": by_kind}));
    model
}

fn scored(tally: &Tally) -> Json {
    let mut all = json!(tally.scores());
    if let Some(compared) = tally.compared() {
        extend(&mut all, json!(compared));
    }
    all
}

fn page(models: &[Json]) -> String {
    let number = |value: &Json, key: &str| value.get(key).and_then(Json::as_f64);
    let shown = |value: &Json, key: &str, digits: usize| {
        number(value, key).map_or_else(String::new, |number| format!("{number:.digits$}"))
    };
    let mut text = String::new();
    let names = ["file", "size", "bits", "perplexity", "±", "KLD", "median", "99 %", "max", "top-1", "Δp"];
    let rates = ["prefill/s", "decode/s", "peak"];
    let mut rows = vec![names.into_iter().chain(rates).map(str::to_owned).collect::<Vec<_>>()];
    for model in models {
        rows.push(vec![
            name(model),
            number(model, "bytes").map_or_else(String::new, |size| bytes(size as u64)),
            shown(model, "bpw", 2),
            shown(model, "ppl", 4),
            shown(model, "ppl_err", 4),
            shown(model, "kld_mean", 5).replace("-0.00000", "0.00000"),
            shown(model, "kld_median", 5).replace("-0.00000", "0.00000"),
            shown(model, "kld_p99", 4),
            shown(model, "kld_max", 3),
            number(model, "top1").map_or_else(String::new, |share| format!("{:.1} %", share * 100.0)),
            number(model, "dp_mean").map_or_else(String::new, |change| format!("{:+.3} %", change * 100.0)),
            shown(model, "prefill_tps", 1),
            shown(model, "decode_tps", 1),
            number(model, "peak_rss").map_or_else(String::new, |size| bytes(size as u64)),
        ]);
    }
    text += &output::table(&rows);
    for kind in Kind::ALL {
        let part = |model: &Json| model.get("by_kind").and_then(|kinds| kinds.get(kind.name())).cloned();
        let mut rows = Vec::new();
        for model in models {
            if let Some(part) = part(model) {
                rows.push(vec![
                    format!("  {}", name(model)),
                    shown(&part, "ppl", 4),
                    shown(&part, "kld_mean", 5),
                    shown(&part, "kld_median", 5),
                    shown(&part, "kld_p99", 4),
                    shown(&part, "kld_max", 3),
                    number(&part, "top1").map_or_else(String::new, |share| format!("{:.1} %", share * 100.0)),
                ]);
            }
        }
        if !rows.is_empty() {
            let head = [kind.name(), "perplexity", "KLD", "median", "99 %", "max", "top-1"].map(str::to_owned).to_vec();
            text += "\n";
            text += &output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
        }
    }
    text
}

fn name(model: &Json) -> String {
    let file = model.get("file").and_then(Json::as_str).unwrap_or_default();
    Path::new(file).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

fn draw(path: &Path, models: &[Json]) -> Result<(), UserError> {
    let number = |model: &Json, key: &str| model.get(key).and_then(Json::as_f64);
    let points: Vec<(String, f64, f64)> = models
        .iter()
        .filter_map(|model| Some((name(model), number(model, "bytes")? / 1e6, number(model, "kld_mean")?)))
        .collect();
    crate::picture::write(&Sizes { points }, path)
        .map_err(|error| UserError::failed(format!("cannot write `{}`: {error}", path.display())))
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let known = path.extension().is_some_and(|end| end == "svg" || end == "png");
    if known { Ok(path) } else { Err("pictures are drawn as `….svg` or `….png`".to_owned()) }
}
