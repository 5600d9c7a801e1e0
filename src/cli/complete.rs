//! `zord complete`: what could stand at a place in a file, or in what an editor sends on stdin. The same path as in the
//! editor pane, its cache on disk included.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::stream::Session;
use super::{Scene, output, prepare};
use crate::engine::{InfillRequest, Infilled, LocalSpec, Outcome, Spec, Work};
use crate::error::{ExitCode, UserError};
use crate::fim::Site;
use crate::fim::cache::{self, Cache};

#[derive(Args, Debug)]
pub(super) struct CompleteArgs {
    /// The file
    #[arg(long, value_name = "FILE", required_unless_present = "stdin", requires = "line")]
    file: Option<PathBuf>,
    /// The line of the cursor, from 1
    #[arg(long, value_name = "N", requires = "col", value_parser = clap::value_parser!(u64).range(1..))]
    line: Option<u64>,
    /// The column of the cursor, from 1, in characters
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    col: Option<u64>,
    /// Read one JSON object with `prefix`, `suffix` and `path` from stdin
    #[arg(long, conflicts_with = "file")]
    stdin: bool,
    /// The longest completion, in tokens
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_tokens: u32,
    /// How many alternatives to give
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    alternatives: u32,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What an editor sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    prefix: String,
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    path: Option<String>,
}

/// A file or a request larger than this is no source code.
const LARGEST: u64 = 64 << 20;
/// The prompt's tokens at most.
const PROMPT_TOKENS: u32 = 1024;

pub(super) fn run(scene: &Scene, args: CompleteArgs) -> Result<ExitCode, UserError> {
    let place = match (&args.file, args.line, args.col) {
        (Some(file), Some(line), Some(col)) => place(file, line, col)?,
        _ => from_stdin()?,
    };
    if place.prefix.trim().is_empty() {
        return Err(UserError::failed("there is nothing before the cursor to continue"));
    }
    let site = site(&place);
    // As large as the prompt and what is written need, and no larger: a context costs time and memory.
    let wanted = PROMPT_TOKENS + InfillRequest::MOST * (args.max_tokens + 32);
    let mut config = scene.config.clone();
    config.context.size = scene.flags.ctx.or(Some(wanted));
    let ready = prepare::ready_to_fill(&config, &scene.paths)?;
    let model = fingerprint(&ready.spec);
    let file = scene.paths.suggestions();
    let mut known = Cache::load(&file);
    let started = Instant::now();
    let found = known.get(model, &site).filter(|found| found.len() >= args.alternatives as usize);
    let cached = found.is_some();
    let mut filled = match found {
        Some(alternatives) => Infilled { alternatives, method: "cache".into(), ..Infilled::default() },
        None => {
            let mut session = Session::start(ready.spec)?;
            let filled = fill(&mut session, &args, site.clone());
            let interrupted = session.interrupted();
            session.stop();
            let filled = filled?;
            if interrupted || filled.cancelled {
                return Err(UserError::interrupted("interrupted"));
            }
            known.put(model, &site, filled.alternatives.clone());
            if let Err(error) = known.save(&file) {
                tracing::warn!("the suggestion is not kept: {error}");
            }
            filled
        }
    };
    let ms = started.elapsed().as_secs_f64() * 1e3;
    filled.alternatives.truncate(args.alternatives as usize);
    let text = filled.alternatives.first().map(|best| best.text.clone()).unwrap_or_default();
    if args.json {
        let alternatives: Vec<_> =
            filled.alternatives.iter().map(|one| json!({"text": one.text, "score": one.score})).collect();
        output::json(&json!({
            "text": text, "alternatives": alternatives, "prefilled_tokens": filled.stats.prefilled_tokens,
            "prompt_tokens": filled.stats.prompt_tokens, "generated_tokens": filled.stats.generated_tokens,
            "cached": cached, "ms": ms, "method": filled.method,
        }))?;
    } else if args.alternatives > 1 {
        for one in &filled.alternatives {
            output::print(&format!("{:>8.2}  {:?}\n", one.score, one.text))?;
        }
    } else {
        output::print(&(text + "\n"))?;
    }
    Ok(ExitCode::Done)
}

fn fill(session: &mut Session, args: &CompleteArgs, site: Site) -> Result<Infilled, UserError> {
    let request = InfillRequest {
        site,
        chunks: Vec::new(),
        max_tokens: args.max_tokens,
        alternatives: args.alternatives,
        prompt_tokens: PROMPT_TOKENS,
    };
    match session.work(Work::Infill(request), |_| true)? {
        Outcome::Infilled(filled) => Ok(filled),
        _ => Err(UserError::failed("nothing was filled in")),
    }
}

/// Whose suggestions are kept: another model, another quantization or another adapter has its own.
fn fingerprint(spec: &Spec) -> u64 {
    match spec {
        Spec::Local(spec) => {
            // what cannot be read is not loaded either
            let content = content(spec).unwrap_or_default();
            let lora = format!("{:?}", spec.lora);
            cache::fingerprint(&[spec.model.as_os_str().as_encoded_bytes(), content.as_bytes(), lora.as_bytes()])
        }
        Spec::Remote(spec) => {
            let model = spec.model.as_deref().unwrap_or_default();
            cache::fingerprint(&[spec.url.as_bytes(), model.as_bytes()])
        }
    }
}

#[cfg(feature = "engine")]
fn content(spec: &LocalSpec) -> std::io::Result<String> {
    crate::engine::local::content(&spec.model, &spec.lora)
}

/// Nothing is filled in by files here.
#[cfg(not(feature = "engine"))]
fn content(_: &LocalSpec) -> std::io::Result<String> {
    Ok(String::new())
}

/// The place with its repository, if the file is in one: the folder's name, and the path inside it.
fn site(place: &Place) -> Site {
    let path = place.path.as_deref().map(Path::new);
    let whole = path.and_then(|path| std::path::absolute(path).ok());
    let root = whole.as_deref().and_then(|whole| whole.ancestors().skip(1).find(|above| above.join(".git").exists()));
    let inside = root.and_then(|root| whole.as_deref()?.strip_prefix(root).ok()).or(path);
    let inside = inside.map(|inside| inside.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/"));
    let repo = root.and_then(|root| root.file_name()).map(|name| name.to_string_lossy().into_owned());
    Site::new(inside.as_deref(), repo.as_deref(), &place.prefix, &place.suffix)
}

/// The text before and after a line and column.
fn place(file: &Path, line: u64, col: u64) -> Result<Place, UserError> {
    let name = file.display();
    let text = crate::small::text(file, LARGEST)
        .map_err(|error| UserError::failed(format!("cannot read `{name}`: {error}")))?;
    let at = offset(&text, line, col).map_err(|reason| UserError::failed(format!("`{name}` {reason}")))?;
    let (prefix, suffix) = text.split_at(at);
    Ok(Place { prefix: prefix.into(), suffix: suffix.into(), path: Some(name.to_string()) })
}

/// The byte where a line and column begin; the column after the last character is the line's end.
fn offset(text: &str, line: u64, col: u64) -> Result<usize, String> {
    let mut from = 0;
    for passed in 1..line {
        match text[from..].find('\n') {
            Some(end) => from += end + 1,
            None => return Err(format!("has {passed} lines, not {line}")),
        }
    }
    let content = text[from..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let ends = content.char_indices().map(|(at, _)| at).chain([content.len()]);
    let columns = content.chars().count() + 1;
    let index = usize::try_from(col - 1).unwrap_or(usize::MAX);
    ends.into_iter()
        .nth(index)
        .map(|at| from + at)
        .ok_or_else(|| format!("has {columns} columns in line {line}, not {col}"))
}

fn from_stdin() -> Result<Place, UserError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| UserError::failed(format!("cannot read stdin: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        UserError::failed(format!("stdin is not the JSON it should be: {error}"))
            .hint(r#"like {"prefix": "def f(", "suffix": "\n", "path": "a.py"}"#)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "engine")]
    #[test]
    fn a_model_trained_further_under_its_name_has_suggestions_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.gguf");
        let (plan, known) = (crate::budget::Plan::default(), crate::fim::form::Known::Nothing);
        let spec = LocalSpec { model, plan, lora: Vec::new(), speculate: false, cpus: Vec::new(), known };
        let of = |weights: &str| {
            std::fs::write(&spec.model, weights).unwrap();
            let file = std::fs::File::options().write(true).open(&spec.model).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            fingerprint(&Spec::Local(spec.clone()))
        };
        assert_eq!(of("before"), of("before"));
        assert_ne!(of("before"), of("behind"));
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "é1\r\nab\n";
        for (line, col, want) in [(1, 1, 0), (1, 2, 2), (1, 3, 3), (2, 1, 5), (2, 3, 7), (3, 1, 8)] {
            assert_eq!(offset(text, line, col), Ok(want), "{line}:{col}");
        }
        assert_eq!(offset(text, 1, 4).unwrap_err(), "has 3 columns in line 1, not 4");
        assert_eq!(offset(text, 9, 1).unwrap_err(), "has 3 lines, not 9");
    }
}
