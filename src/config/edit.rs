//! Changes one key in the text of a configuration, and nothing else of it: comments, order and spelling stay. Where the
//! keys stand is the parser's to say; the result is read again and must differ in that key alone.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text with `key` (its table before a dot) set to `value`; `None` where the file is written in a way that this does
/// not know how to change.
pub(super) fn with(text: &str, key: &str, value: &toml::Value) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    let (place, new) = change(text, root.get_ref(), key, &value.to_string());
    let changed = format!("{}{new}{}", text.get(..place.start)?, text.get(place.end..)?);
    let mut wanted: toml::Table = toml::from_str(text).ok()?;
    put(&mut wanted, key, value.clone())?;
    (toml::from_str::<toml::Table>(&changed).ok()? == wanted).then_some(changed)
}

fn put(table: &mut toml::Table, key: &str, value: toml::Value) -> Option<()> {
    match key.split_once('.') {
        Some((name, rest)) => {
            let inner = table.entry(name).or_insert_with(|| toml::Table::new().into());
            put(inner.as_table_mut()?, rest, value)
        }
        None => {
            table.insert(key.to_owned(), value);
            Some(())
        }
    }
}

/// What is replaced by what.
fn change(text: &str, root: &DeTable<'_>, key: &str, value: &str) -> (Range<usize>, String) {
    let Some((table, name)) = key.split_once('.') else {
        return match find(root, key) {
            Some((_, old)) => (old.span(), value.to_owned()),
            None => own_line(text, behind_plain_keys(text, root), &format!("{key} = {value}")),
        };
    };
    let Some((at, inner)) = find(root, table) else {
        let gap = if text.is_empty() { "" } else { "\n" };
        return own_line(text, text.len(), &format!("{gap}[{table}]\n{name} = {value}"));
    };
    let DeValue::Table(entries) = inner.get_ref() else { return (0..0, String::new()) };
    if let Some((_, old)) = find(entries, name) {
        return (old.span(), value.to_owned());
    }
    let span = inner.span();
    if is_header(text, at.start) {
        own_line(text, line_end(text, at.end), &format!("{name} = {value}"))
    } else if text.get(span.clone()).is_some_and(|inline| inline.starts_with('{')) {
        let comma = if entries.is_empty() { " " } else { "," };
        (span.start + 1..span.start + 1, format!(" {name} = {value}{comma}"))
    } else {
        own_line(text, line_end(text, end(inner)), &format!("{table}.{name} = {value}"))
    }
}

fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(Range<usize>, &'a Spanned<DeValue<'i>>)> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, value)| (key.span(), value))
}

/// A line of its own at a place where a line begins, or at the text's end.
fn own_line(text: &str, at: usize, line: &str) -> (Range<usize>, String) {
    let broken = text.get(..at).is_some_and(|before| before.is_empty() || before.ends_with('\n'));
    let break_before = if broken { "" } else { "\n" };
    (at..at, format!("{break_before}{line}\n"))
}

/// Behind the last key that stands under no header: what comes below a header is of that table.
fn behind_plain_keys(text: &str, root: &DeTable<'_>) -> usize {
    let plain = root.iter().filter(|(key, _)| !is_header(text, key.span().start));
    plain.map(|(_, value)| line_end(text, end(value))).max().unwrap_or(0)
}

/// Whether the line of a place is a table's header.
fn is_header(text: &str, at: usize) -> bool {
    let line = text.get(..at).map_or("", |before| before.rsplit('\n').next().unwrap_or(before));
    line.trim_start().starts_with('[')
}

/// Where a value ends; keys with dots make tables that have no place of their own.
fn end(value: &Spanned<DeValue<'_>>) -> usize {
    match value.get_ref() {
        DeValue::Table(entries) => entries.iter().map(|(_, value)| end(value)).max().unwrap_or(0).max(value.span().end),
        _ => value.span().end,
    }
}

/// The beginning of the next line.
fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |found| at + found + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_changes_and_everything_else_stays() {
        let table = [
            ("", "ui.mouse", "[ui]\nmouse = 8\n"),
            ("", "model", "model = 8\n"),
            ("# mine\nmodel = 1 # old\n", "model", "# mine\nmodel = 8 # old\n"),
            ("# mine\n[ui] # look\n", "model", "model = 8\n# mine\n[ui] # look\n"),
            (
                "a = [\n1,\n] # three\n# of ui\n[ui]\nx = 1\n",
                "model",
                "a = [\n1,\n] # three\nmodel = 8\n# of ui\n[ui]\nx = 1\n",
            ),
            ("[ui] # look\n# above\ntheme = 1\n[b]\n", "ui.mouse", "[ui] # look\nmouse = 8\n# above\ntheme = 1\n[b]\n"),
            ("[ui]\nmouse = 1 # why\n", "ui.mouse", "[ui]\nmouse = 8 # why\n"),
            ("[b]\nx = 1", "ui.mouse", "[b]\nx = 1\n\n[ui]\nmouse = 8\n"),
            ("[ui]", "ui.mouse", "[ui]\nmouse = 8\n"),
            ("ui = { theme = 1 } # x\n", "ui.mouse", "ui = { mouse = 8, theme = 1 } # x\n"),
            ("ui = {}\n", "ui.mouse", "ui = { mouse = 8 }\n"),
            ("ui.theme = 1 # x\n[b]\n", "ui.mouse", "ui.theme = 1 # x\nui.mouse = 8\n[b]\n"),
            ("[ \"ui\" ]\r\ntheme = 1\r\n", "ui.mouse", "[ \"ui\" ]\r\nmouse = 8\ntheme = 1\r\n"),
            ("[[lora]]\npath = 'ü[ui]'\n", "ui.mouse", "[[lora]]\npath = 'ü[ui]'\n\n[ui]\nmouse = 8\n"),
            ("s = '''\n[ui]\n'''\n", "ui.mouse", "s = '''\n[ui]\n'''\n\n[ui]\nmouse = 8\n"),
        ];
        for (text, key, expected) in table {
            assert_eq!(with(text, key, &8.into()).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for (text, key) in [("ui = 3\n", "ui.mouse"), ("[[ui]]\nx = 1\n", "ui.mouse"), ("[ui\n", "ui.mouse")] {
            assert_eq!(with(text, key, &8.into()), None, "{text}");
        }
    }
}
