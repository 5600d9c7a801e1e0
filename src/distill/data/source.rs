//! Examples from files: JSON lines, a JSON list, and tables.
//!
//! A file is read piece by piece, whatever its form. What is no such file at all is refused once, and not line by line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value as Json;

use super::example::{Example, understand};
use super::pieces;
use super::table::rows as table;
use crate::text::document::BOM;

/// The longest example read, in bytes.
pub(super) const LONGEST: usize = 16 << 20;
/// Bytes by which the form of a file is told.
const LOOKED_AT: usize = 1 << 18;
/// What some editors write before UTF-8.
pub(super) const MARK: &[u8] = b"\xef\xbb\xbf";

/// Where an example stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    unit: &'static str,
    /// From 1.
    pub(super) number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit, self.number)
    }
}

/// An example and what is known of where it stood.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: Place,
    /// The share of the file that has been read with it.
    pub(super) read: f64,
    /// Its columns `license`, `licence` or `licenses`, several joined by `AND`.
    pub(super) licence: Option<String>,
    /// The example, or what is wrong with it.
    pub(super) example: Result<Example, String>,
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Lines,
    /// One JSON list.
    List,
    /// JSON values that go over several lines.
    Values,
    Table,
}

/// Hands every example of a file to `each`.
///
/// # Errors
/// The file cannot be read or is of no known form, or whatever `each` says.
pub(super) fn examples<E: From<io::Error>>(path: &Path, mut each: impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
    let file = File::open(path)?;
    let all = file.metadata()?.len().max(1) as f64;
    let mut reader = BufReader::with_capacity(LOOKED_AT, file);
    let named = path.extension().is_some_and(|end| end == "parquet");
    let form = if named { Form::Table } else { form(reader.fill_buf()?)? };
    let unit = match form {
        Form::Lines => "line",
        Form::Table => "row",
        Form::List | Form::Values => "example",
    };
    let mut found = |number, read, row: Result<Json, String>| {
        let licence = row.as_ref().ok().and_then(licence);
        let place = Place { unit, number };
        each(Found { place, read, licence, example: row.and_then(|row| understand(&row)) })
    };
    let parse = |text: &str| serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"));
    let mut piece = |number, done: usize, text: Result<&str, String>| {
        found(number, (done as f64 / all).min(1.0), text.and_then(parse))
    };
    match form {
        Form::Table => table(path, found),
        Form::Lines => lines(&mut reader, piece),
        Form::List => pieces::each(&mut reader, 1, &mut piece),
        Form::Values => pieces::each(&mut reader, 0, &mut piece),
    }
}

/// Tells the form of a file by its beginning.
fn form(start: &[u8]) -> io::Result<Form> {
    if start.starts_with(b"PAR1") {
        return Ok(Form::Table);
    }
    let others: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "compressed by gzip"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xff\xfe", "UTF-16"),
        (b"\xfe\xff", "UTF-16"),
        (b"ARROW1", "an Arrow file"),
    ];
    // Two such bytes alone are damage like any other; UTF-16 has a zero in every letter of JSON.
    let is = |(magic, what): &&(&[u8], &str)| start.starts_with(magic) && (*what != "UTF-16" || start.contains(&0));
    if let Some((_, what)) = others.iter().find(is) {
        let what = format!("it is {what}; JSON lines or a JSON list in UTF-8, or Parquet, are wanted");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let start = start.strip_prefix(MARK).unwrap_or(start);
    let mut lines = start.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (first, second) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    // A line that ends inside a value is damaged, or the value goes on in the next one, which then begins no other.
    let open = || serde_json::from_slice::<Json>(first).is_err_and(|error| error.is_eof());
    Ok(match first.first() {
        Some(b'[') => Form::List,
        Some(b'{') if !second.is_empty() && second[0] != b'{' && open() => Form::Values,
        _ => Form::Lines,
    })
}

/// What an example says of its licence.
fn licence(json: &Json) -> Option<String> {
    let said =
        ["license", "licence", "licenses"].iter().find_map(|key| json.get(key).filter(|said| !said.is_null()))?;
    let text = match said {
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" AND "),
        other => other.as_str()?.to_owned(),
    };
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Lines that are not empty, as text or as what is wrong with them, with their number and the bytes read with them.
pub(super) fn lines<E: From<io::Error>>(
    reader: &mut impl BufRead,
    mut each: impl FnMut(usize, usize, Result<&str, String>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut line, mut done) = (Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let size = reader.by_ref().take(LONGEST as u64).read_until(b'\n', &mut line)?;
        if size == 0 {
            break;
        }
        done += size;
        if line.len() == LONGEST && line.last() != Some(&b'\n') {
            each(number, done, Err(too_long()))?;
            done += skip_line(reader)?;
            continue;
        }
        match text(&line) {
            Ok("") => {}
            text => each(number, done, text)?,
        }
    }
    Ok(())
}

pub(super) fn too_long() -> String {
    format!("it is longer than {LONGEST} bytes")
}

/// A piece of a file without what stands around it. Files that were put together have marks inside.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())?;
    Ok(text.trim_matches(|c: char| c.is_whitespace() || c == BOM))
}

/// Leaves out the rest of a line; how many bytes it had.
fn skip_line(reader: &mut impl BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let (used, over) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        skipped += used;
        if over {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each example stands, and what it is.
    type Read = Vec<(String, Result<Example, String>)>;

    fn read(bytes: &[u8]) -> io::Result<Read> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, bytes).unwrap();
        let (mut all, mut last) = (Vec::new(), 0.0);
        examples::<io::Error>(&path, |found| {
            assert!(found.read >= last && found.read <= 1.0, "{found:?}");
            last = found.read;
            all.push((found.place.to_string(), found.example));
            Ok(())
        })?;
        Ok(all)
    }

    fn example(text: &str) -> Result<Example, String> {
        Ok(Example::Text { text: text.to_owned(), marks: true })
    }

    #[test]
    fn licences_are_read_from_their_column() {
        for (line, said) in [
            (r#"{"license":"mit"}"#, Some("mit")),
            (r#"{"licenses":["MIT","Apache-2.0"]}"#, Some("MIT AND Apache-2.0")),
            (r#"{"license":null,"licence":" ISC "}"#, Some("ISC")),
            (r#"{"license":""}"#, None),
            ("{}", None),
        ] {
            assert_eq!(licence(&serde_json::from_str(line).unwrap()).as_deref(), said, "{line}");
        }
    }

    #[test]
    fn every_form_of_a_file_gives_the_same_examples() {
        let (one, two) = (r#"{"text": "eins [,]"}"#, r#"{"text": "zwei \"{"}"#);
        let spread = "{\n  \"text\":\n  \"eins [,]\"\n}\n{\n  \"text\": \"zwei \\\"{\"\n}\n";
        for (content, unit) in [
            (format!("{one}\n\n{two}\n"), "line"),
            (format!("\u{feff}{one}\r\n{two}"), "line"),
            (format!("{one}\n\u{feff}{two}\n"), "line"),
            (format!("[{one},{two}]"), "example"),
            (format!("\u{feff} [\n  {one},\n  {two}\n]\n"), "example"),
            (spread.to_owned(), "example"),
        ] {
            let all = read(content.as_bytes()).unwrap();
            let examples: Vec<_> = all.iter().map(|(_, example)| example.clone()).collect();
            assert_eq!(examples, [example("eins [,]"), example("zwei \"{")], "{content}");
            assert!(all.iter().all(|(place, _)| place.starts_with(unit)), "{content}: {all:?}");
        }
        assert_eq!(read(b"[]").unwrap(), []);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn a_damaged_line_costs_itself_only() {
        let all = read(b"{\"text\": \"cut\n{\"text\": \"a\"}\n\xff\n{\"text\": \"b\"}\n").unwrap();
        let right: Vec<_> = all.iter().map(|(place, example)| (place.as_str(), example.is_ok())).collect();
        assert_eq!(right, [("line 1", false), ("line 2", true), ("line 3", false), ("line 4", true)]);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said_once() {
        for (content, right, word) in [
            ("[{\"text\": \"a\"}, {\"text\": \"b\"}", 2, "does not end"),
            ("[{\"text\": \"a\"}, {\"text\": \"b", 1, "does not end"),
            ("[{\"text\": \"a\"}] {\"text\": \"b\"}", 1, "behind the end"),
            ("[{\"text\": \"a\"}, 7, {\"text\": \"b\"}]", 2, "no object"),
            ("[{\"text\": \"a\"}, {\"text\": }, {\"text\": \"b\"}]", 2, "no JSON"),
        ] {
            let all = read(content.as_bytes()).unwrap();
            let wrong: Vec<_> = all.iter().filter_map(|(_, example)| example.as_ref().err()).collect();
            assert_eq!((all.len() - wrong.len(), wrong.len()), (right, 1), "{content}: {all:?}");
            assert!(wrong[0].contains(word), "{content}: {wrong:?}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused_once() {
        for (start, word) in
            [(&b"\x1f\x8b\x08"[..], "gzip"), (b"\xff\xfe{\0", "UTF-16"), (b"PK\x03\x04", "zip"), (b"ARROW1", "Arrow")]
        {
            assert!(read(start).unwrap_err().to_string().contains(word), "{word}");
        }
    }

    #[test]
    fn an_example_that_is_too_long_is_left_out_and_the_next_is_read() {
        let long = "x".repeat(LONGEST);
        for content in
            [format!("{{\"text\": \"{long}\"}}\n{{\"text\": \"b\"}}"), format!("[\"{long}\", {{\"text\": \"b\"}}]")]
        {
            let all = read(content.as_bytes()).unwrap();
            assert!(all.len() == 2 && all[0].1.as_ref().unwrap_err().contains("longer than"));
            assert_eq!(all[1].1, example("b"));
        }
    }
}
