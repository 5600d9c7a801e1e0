//! What Python's Jinja does otherwise than minijinja, where chat templates can tell the difference.

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

/// Lists in lists that are still written as JSON.
const MAX_NESTING: usize = 64;
/// Spaces a template may indent JSON by.
const MAX_INDENT: usize = 16;

/// Methods of Python's strings, lists and dictionaries.
pub(super) fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        match name {
            "removeprefix" => {
                let (prefix,): (&str,) = from_args(args)?;
                return Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)));
            }
            "removesuffix" => {
                let (suffix,): (&str,) = from_args(args)?;
                return Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)));
            }
            _ => {}
        }
    }
    pycompat::unknown_method_callback(state, value, name, args)
}

/// `json.dumps` with `ensure_ascii=False`, as Hugging Face's libraries define the filter.
pub(super) fn tojson(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    let separators: Option<Vec<String>> = kwargs.get("separators")?;
    let sort_keys: Option<bool> = kwargs.get("sort_keys")?;
    // Taken and always off: templates pass it.
    let _: Option<bool> = kwargs.get("ensure_ascii")?;
    kwargs.assert_all_used()?;
    let between = if indent.is_some() { "," } else { ", " };
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.as_str(), key.as_str()),
        _ => (between, ": "),
    };
    let json = Json { indent: indent.map(|width| width.min(MAX_INDENT)), item, key, sort: sort_keys.unwrap_or(false) };
    let mut out = String::new();
    json.write(&mut out, value, 0)?;
    Ok(out)
}

struct Json<'a> {
    indent: Option<usize>,
    item: &'a str,
    key: &'a str,
    sort: bool,
}

impl Json<'_> {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_NESTING {
            return Err(Error::new(ErrorKind::InvalidOperation, "lists are nested too deeply for JSON"));
        }
        match value.kind() {
            ValueKind::None | ValueKind::Undefined => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&value.to_string()),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort {
                    keys.sort();
                }
                let items: Vec<(Option<Value>, Value)> = keys
                    .into_iter()
                    .map(|key| value.get_item(&key).map(|item| (Some(key), item)))
                    .collect::<Result<_, _>>()?;
                self.list(out, ('{', '}'), &items, depth)?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<(Option<Value>, Value)> = value.try_iter()?.map(|item| (None, item)).collect();
                self.list(out, ('[', ']'), &items, depth)?;
            }
            _ => string(out, &value.to_string())?,
        }
        Ok(())
    }

    fn list(
        &self,
        out: &mut String,
        (open, close): (char, char),
        items: &[(Option<Value>, Value)],
        depth: usize,
    ) -> Result<(), Error> {
        out.push(open);
        for (place, (key, item)) in items.iter().enumerate() {
            if place > 0 {
                out.push_str(self.item);
            }
            self.line(out, depth + 1);
            if let Some(key) = key {
                string(out, &key.to_string())?;
                out.push_str(self.key);
            }
            self.write(out, item, depth + 1)?;
        }
        if !items.is_empty() {
            self.line(out, depth);
        }
        out.push(close);
        Ok(())
    }

    fn line(&self, out: &mut String, depth: usize) {
        if let Some(width) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(width * depth));
        }
    }
}

fn string(out: &mut String, text: &str) -> Result<(), Error> {
    let quoted = serde_json::to_string(text)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "cannot write JSON").with_source(error))?;
    out.push_str(&quoted);
    Ok(())
}
