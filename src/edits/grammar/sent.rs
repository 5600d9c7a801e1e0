//! The form of an answer as it is sent to an engine in another process: what it was made from.

use serde::{Deserialize, Serialize};

use super::{Constraint, File};

/// What tells one form from another before anything was answered.
#[derive(Serialize, Deserialize)]
pub(super) struct Sent {
    files: Vec<SentFile>,
    thinks: bool,
    changing: bool,
}

#[derive(Serialize, Deserialize)]
struct SentFile {
    name: String,
    lines: Vec<String>,
    hidden: Vec<bool>,
}

impl From<Constraint> for Sent {
    fn from(constraint: Constraint) -> Self {
        // both came from texts
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let file = |file: &File| SentFile {
            name: text(&file.name),
            lines: file.lines.iter().map(text).collect(),
            hidden: file.hidden.clone(),
        };
        let files = constraint.files.iter().map(file).collect();
        Self { files, thinks: constraint.thinks, changing: constraint.changing }
    }
}

impl From<Sent> for Constraint {
    fn from(sent: Sent) -> Self {
        let file = |file: SentFile| {
            let lines: Vec<&str> = file.lines.iter().map(String::as_str).collect();
            let mut hidden = file.hidden;
            hidden.resize(lines.len(), false);
            File::new(&file.name, &lines, hidden)
        };
        let fresh = Self::of_files(sent.files.into_iter().map(file).collect());
        Self { thinks: sent.thinks, changing: sent.changing, ..fresh }
    }
}
