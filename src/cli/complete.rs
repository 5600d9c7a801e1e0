//! `zord complete`: continues code at a place in a file, or what an editor sends on stdin.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::stream::Session;
use super::{Scene, output, prepare};
use crate::engine::{CompleteRequest, Outcome, Sampling, Work};
use crate::error::{ExitCode, Report};

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

pub(super) fn run(scene: &Scene, args: CompleteArgs) -> Result<ExitCode, Report> {
    let place = match (&args.file, args.line, args.col) {
        (Some(file), Some(line), Some(col)) => place(file, line, col)?,
        _ => from_stdin()?,
    };
    if place.prefix.trim().is_empty() {
        return Err(Report::failed("there is nothing before the cursor to continue"));
    }
    tracing::debug!(path = place.path, suffix = place.suffix.len(), "plain continuation");
    let ready = prepare::ready(&scene.engine, &scene.config, &scene.paths, false)?;
    let mut session = Session::start(ready.spec)?;
    let started = Instant::now();
    let request = CompleteRequest {
        prefix: place.prefix,
        sampling: Sampling::default(),
        max_tokens: args.max_tokens,
        // A blank line ends a piece of code; what follows it is another.
        stop: vec!["\n\n".into()],
        ignore_end: false,
    };
    let outcome = session.work(Work::Complete(request), |_| true)?;
    let ms = started.elapsed().as_secs_f64() * 1e3;
    let interrupted = session.interrupted();
    session.stop();
    let Outcome::Generated { text, stats, .. } = outcome else { return Ok(ExitCode::Failed) };
    if args.alternatives > 1 {
        output::note("notice: a plain continuation has one alternative");
    }
    if args.json {
        output::json(&json!({
            "text": text, "alternatives": [{"text": text, "score": 0.0}], "prefilled_tokens": stats.prefilled_tokens,
            "generated_tokens": stats.generated_tokens, "cached": false, "ms": ms, "method": "continuation",
        }))?;
    } else {
        output::print(&(text + "\n"))?;
    }
    Ok(if interrupted { ExitCode::Interrupted } else { ExitCode::Done })
}

/// The text before and after a line and column.
fn place(file: &Path, line: u64, col: u64) -> Result<Place, Report> {
    let name = file.display();
    let failed = |error: std::io::Error| Report::failed(format!("cannot read `{name}`: {error}"));
    let mut bytes = Vec::new();
    std::fs::File::open(file).map_err(failed)?.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| Report::failed(format!("`{name}` is not UTF-8")))?;
    let at = offset(&text, line, col).map_err(|reason| Report::failed(format!("`{name}` {reason}")))?;
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

fn from_stdin() -> Result<Place, Report> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| Report::failed(format!("cannot read stdin: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Report::failed(format!("stdin is not the JSON it should be: {error}"))
            .hint(r#"like {"prefix": "def f(", "suffix": "\n", "path": "a.py"}"#)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
