//! Examples from Parquet files, in which data sets are handed on: a row is what a line of JSON is elsewhere.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::Value as Json;

use super::guard::guarded;

/// Rows that a byte of a file may stand for: runs of equal ones take next to nothing, and would be read for years.
const ROWS_A_BYTE: u64 = 1 << 10;

/// Hands every row to `each`, with its number from 1 and the share of rows read with it, or what is wrong with it.
///
/// # Errors
/// The file cannot be read, or whatever `each` says.
pub(super) fn rows<E: From<std::io::Error>>(
    path: &Path,
    mut each: impl FnMut(usize, f64, Result<Json, String>) -> Result<(), E>,
) -> Result<(), E> {
    let damaged = |error: parquet::errors::ParquetError| std::io::Error::other(error.to_string());
    let reader = SerializedFileReader::new(File::open(path)?).map_err(damaged)?;
    let all = reader.metadata().file_metadata().num_rows();
    let size = std::fs::metadata(path)?.len();
    if u64::try_from(all).is_ok_and(|all| all / ROWS_A_BYTE > size) {
        return Err(std::io::Error::other(format!("it has {size} bytes and claims to have {all} rows")).into());
    }
    let all = all.max(1) as f64;
    let mut rows = reader.get_row_iter(None).map_err(damaged)?;
    for number in 1.. {
        // Some damage makes the reader panic. It is not used again then.
        let next = guarded(|| rows.next());
        let Some(row) = next.ok_or_else(|| std::io::Error::other("a page is damaged"))? else { break };
        // Behind a damaged page nothing is known any more, so that it is no single wrong row.
        each(number, (number as f64 / all).min(1.0), Ok(object(&row.map_err(damaged)?)))?;
    }
    Ok(())
}

fn object(row: &Row) -> Json {
    Json::Object(row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect())
}

/// A value as JSON has it. Bytes are a text where they are UTF-8, as many writers leave the annotation out; others are no
/// text and must not be taken for one.
fn json(field: &Field) -> Json {
    match field {
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Json::Bool(false), Json::from),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        other => other.to_json_value(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::basic::Compression;
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::chat::Role;
    use crate::distill::data::example::Example;
    use crate::distill::data::source::examples;

    const SCHEMA: &str =
        "message rows { REQUIRED group messages (LIST) { REPEATED group list { REQUIRED group element {
        REQUIRED BYTE_ARRAY role (UTF8); REQUIRED BYTE_ARRAY content (UTF8); } } } }";

    /// Conversations of two turns each, two row groups of them.
    fn write(path: &Path, compression: Compression) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
        for group in [["eins?", "zwei", "größer?", "nein"], ["a", "b", "c", "d"]] {
            let mut columns = writer.next_row_group().unwrap();
            for texts in [["user", "assistant", "user", "assistant"], group] {
                let values: Vec<ByteArray> = texts.into_iter().map(ByteArray::from).collect();
                let mut column = columns.next_column().unwrap().unwrap();
                column.typed::<ByteArrayType>().write_batch(&values, Some(&[1; 4]), Some(&[0, 1, 0, 1])).unwrap();
                column.close().unwrap();
            }
            columns.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn read(path: &Path) -> std::io::Result<Vec<Example>> {
        let mut all = Vec::new();
        examples::<std::io::Error>(path, |found| {
            all.push(found.example.map_err(std::io::Error::other)?);
            assert_eq!(found.place.number, all.len());
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn rows_are_examples() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
            write(&path, compression);
            let all = read(&path).unwrap();
            assert_eq!(all.len(), 4);
            let Example::Chat { turns, .. } = &all[1] else { panic!("{all:?}") };
            assert_eq!((turns[0].role, turns[0].content.as_str()), (Role::User, "größer?"));
            assert_eq!((turns[1].role, turns[1].content.as_str()), (Role::Assistant, "nein"));
        }
    }

    #[test]
    fn bytes_are_texts_where_they_are_utf_8_and_columns_may_be_null() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let schema = "message rows { REQUIRED BYTE_ARRAY text; OPTIONAL BYTE_ARRAY chosen (UTF8); }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(&path).unwrap(), schema, Default::default()).unwrap();
        let mut columns = writer.next_row_group().unwrap();
        let texts = ["größer".into(), ByteArray::from(vec![0xff, 0xfe])];
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        let mut column = columns.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&[], Some(&[0; 2]), None).unwrap();
        column.close().unwrap();
        columns.close().unwrap();
        writer.close().unwrap();
        let mut all = Vec::new();
        examples::<std::io::Error>(&path, |found| {
            all.push((found.read, found.example));
            Ok(())
        })
        .unwrap();
        assert_eq!(all[0], (0.5, Ok(Example::Text { text: "größer".to_owned(), marks: true })));
        assert!(all[1].1.as_ref().unwrap_err().contains("`text` is no text"), "{all:?}");
    }

    #[test]
    fn damage_is_an_error_and_nothing_worse() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        write(&path, Compression::SNAPPY);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 3, 8, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0xff;
            std::fs::write(&path, &wrong).unwrap();
            // Some bytes are only names or texts; none may end the program.
            let _ = read(&path);
        }
    }
}
