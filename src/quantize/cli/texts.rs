//! Texts to read, from files and from what comes with the program.

use std::io::Read;
use std::path::Path;

use crate::error::UserError;
use crate::quantize::TEXTS;
use crate::quantize::measure::Kind;

const ENOUGH: &str = "a few megabytes of text are enough";
const PROSE: &str = include_str!("../../../assets/calibration/prose.txt");
const CODE: &str = include_str!("../../../assets/calibration/code.txt");

/// A text with its name.
pub(super) struct Text {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// The files, or the program's own sample when there are none.
pub(super) fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Text>, UserError> {
    if files.is_empty() {
        return Ok(sample());
    }
    let texts: Vec<Text> = files.iter().map(|file| one(file.as_ref())).collect::<Result<_, _>>()?;
    if texts.iter().map(|text| text.text.len() as u64).sum::<u64>() > TEXTS {
        return Err(UserError::failed("the files are longer than 256 MiB").hint(ENOUGH));
    }
    Ok(texts)
}

/// Prose in two languages, and code in eight.
pub(super) fn sample() -> Vec<Text> {
    let text = |name: &str, kind, text: &str| Text { name: name.to_owned(), kind, text: text.to_owned() };
    vec![text("sample, prose", Kind::Prose, PROSE), text("sample, code", Kind::Code, CODE)]
}

fn one(file: &Path) -> Result<Text, UserError> {
    let shown = file.display();
    let fault = |error: std::io::Error| UserError::failed(format!("cannot read `{shown}`: {error}"));
    let mut bytes = Vec::new();
    let whole = std::fs::File::open(file).and_then(|file| file.take(TEXTS + 1).read_to_end(&mut bytes));
    if whole.map_err(fault)? as u64 > TEXTS {
        return Err(UserError::failed(format!("`{shown}` is longer than 256 MiB")).hint(ENOUGH));
    }
    let text = String::from_utf8(bytes).map_err(|_| UserError::failed(format!("`{shown}` is no text in UTF-8")))?;
    let prose = file.extension().is_none_or(|end| ["txt", "md", "rst", "raw"].iter().any(|prose| end == *prose));
    let kind = if prose { Kind::Prose } else { Kind::Code };
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Text { name, kind, text })
}
