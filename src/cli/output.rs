//! Stdout and stderr as a good citizen uses them. Everything a command says goes out here: names, metadata and answers
//! come from strangers, and what steers a terminal must not reach one. A pipe gets data as it is.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::error::{ExitCode, UserError};
use crate::text::clean::{one_line, turns, visible};

/// Prints data. A reader that went away is no error: the rest is not wanted. On a terminal, what would steer it is
/// shown instead of obeyed.
///
/// # Errors
/// Anything else that stdout meets, a full disk for one.
pub(crate) fn print(text: &str) -> Result<(), UserError> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(UserError::failed(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints part of something that is still growing, at once.
///
/// # Errors
/// As stdout gives them, a reader that went away among them.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(for_reader(text, out.is_terminal()).as_bytes()).and_then(|()| out.flush())
}

/// What a terminal may get is harmless; anything else gets all of it.
fn for_reader(text: &str, is_terminal: bool) -> Cow<'_, str> {
    if is_terminal { visible(text) } else { Cow::Borrowed(text) }
}

/// Prints one JSON document, indented.
///
/// # Errors
/// As [`fn@print`].
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), UserError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| UserError::failed(error.to_string()))?;
    print(&(escaped(&text) + "\n"))
}

/// serde leaves controls beyond ASCII as they are, and terminals obey them; JSON can spell them.
fn escaped(json: &str) -> String {
    let steers = |c: char| c == '\u{7f}' || ('\u{80}'..='\u{9f}').contains(&c) || turns(c);
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Prints text for people: names out of files stand in it, which must not steer the terminal.
///
/// # Errors
/// As [`fn@print`].
#[cfg(feature = "lab")]
pub(crate) fn page(text: &str) -> Result<(), UserError> {
    print(&harmless(text))
}

fn harmless(text: &str) -> String {
    visible(text).into_owned()
}

/// A notice or an error on stderr. It is for people and no data, so that it is harmless wherever it goes.
pub(crate) fn note(text: impl std::fmt::Display) {
    // Where nobody can be told, the exit code says it.
    let _ = writeln!(io::stderr(), "{}", harmless(&text.to_string()));
}

/// Prints an error, once, and gives what the process exits with: every program ends a failure with this.
pub(crate) fn error(report: &UserError) -> ExitCode {
    note(report);
    report.code
}

/// Whether progress may be drawn over itself.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// `ZORD_LOG=debug` (or any tracing filter) shows what goes on inside, llama.cpp's own log included; to the file that
/// `ZORD_LOG_FILE` names, else to stderr. Without it nothing is logged.
pub(crate) fn start_log() {
    let Ok(filter) = std::env::var("ZORD_LOG") else { return };
    let filter = tracing_subscriber::EnvFilter::new(filter);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let file = std::env::var_os("ZORD_LOG_FILE")
        .and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok());
    let _ = match file {
        Some(file) => log.with_writer(std::sync::Mutex::new(file)).try_init(),
        None => log.with_writer(io::stderr).try_init(),
    };
}

/// Rows as an aligned table; the last column is not padded. Widths are display widths. A cell is one line, whatever
/// stands in it.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    use unicode_width::UnicodeWidthStr;
    // Cells hold names out of files, which must neither steer the terminal nor begin a line.
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_by_display_width() {
        let rows = [["模型", "x"], ["name", "yy"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "模型  x\nname  yy\n");
    }

    #[test]
    fn names_out_of_files_do_not_steer_the_terminal() {
        let name = "blk.0\u{1b}]52;c;aGk=\u{7}\nerror: x\u{202e}".to_owned();
        let table = table(&[vec![name.clone(), "q8_0".to_owned()]]);
        assert!(table.lines().count() == 1 && table.contains("blk.0") && table.contains("q8_0"), "{table:?}");
        let page = harmless(&format!("first\n{name}\nlast\n"));
        for text in [table, page.clone()] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        }
        assert!(page.starts_with("first\n") && page.ends_with("last\n"));
        let json = escaped(&serde_json::to_string(&"a\u{9b}2J\u{202e}\u{1b}ü").unwrap());
        assert!(!json.contains(['\u{9b}', '\u{202e}', '\u{1b}']) && json.contains('ü'), "{json:?}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a\u{9b}2J\u{202e}\u{1b}ü");
    }

    #[test]
    fn a_cell_stays_in_its_row_and_steers_nothing() {
        let rows =
            [["a\nb\x1b]52;c;aGk=\x07", "x"], ["name", "y\u{202e}\u{9b}2J"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), format!("a b␛]52;c;aGk=␇  x\n{:<17}y\u{fffd}\u{fffd}2J\n", "name"));
    }

    #[test]
    fn a_terminal_is_not_steered_and_a_pipe_gets_all() {
        let text =
            "a\tb\x1b]52;c;aGk=\x07\u{9b}2J\u{9d}0;x\u{9c}\u{202e}\u{2066}\u{200b}\r\n👩\u{200d}💻 می\u{200c}خواهم\n";
        let shown = for_reader(text, true);
        let fffd = |count: usize| "\u{fffd}".repeat(count);
        let expected =
            format!("a\tb␛]52;c;aGk=␇{}2J{}0;x{}\n👩\u{200d}💻 می\u{200c}خواهم\n", fffd(1), fffd(1), fffd(4));
        assert_eq!(shown, expected);
        assert_eq!(for_reader(text, false), text);
    }
}
