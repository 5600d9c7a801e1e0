//! How much a template may compute: bytes it writes, bytes of values on the way, and how deeply values are nested.
//!
//! minijinja counts steps only, and one step can double a text or fill gigabytes. Every operation whose result can be larger
//! than what went in is therefore checked before it runs, by what its result would take; `watch.rs` puts the checks there.

use std::borrow::Cow;
use std::cell::Cell;

use minijinja::value::{Tuple, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind};

/// Bytes of values that a rendering may compute besides [`MADE_PER_BYTE`] for each byte that was said. All of them count,
/// also those that are gone again.
const MADE: usize = 24 << 20;
const MADE_PER_BYTE: usize = 16;
/// Values that may be looked at to find out how large others are.
const LOOKS: usize = 4_000_000;
/// Lists in lists, and maps.
const DEPTH: usize = 32;
/// What an element of a list takes.
const ELEMENT: usize = 24;

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(Left { written: 0, made: 0, looks: 0 }) };
}

/// What the rendering under way may still do.
#[derive(Clone, Copy, Debug)]
struct Left {
    written: usize,
    made: usize,
    looks: usize,
}

/// Begins a rendering of `said` bytes that may write `written`.
pub(super) fn begin(written: usize, said: usize) {
    let made = MADE.saturating_add(said.saturating_mul(MADE_PER_BYTE));
    LEFT.set(Left { written, made, looks: LOOKS });
}

fn too_much() -> Error {
    Error::from(ErrorKind::WriteFailure)
}

fn spend(part: impl Fn(&mut Left) -> &mut usize, bytes: usize) -> Result<(), Error> {
    let mut left = LEFT.get();
    let room = part(&mut left);
    *room = room.checked_sub(bytes).ok_or_else(too_much)?;
    LEFT.set(left);
    Ok(())
}

/// Counts bytes that are written, also into a variable.
pub(super) fn write(bytes: usize) -> Result<(), Error> {
    spend(|left| &mut left.written, bytes)
}

fn make(bytes: usize) -> Result<(), Error> {
    spend(|left| &mut left.made, bytes)
}

/// Bytes that a value takes as a text, about.
///
/// # Errors
/// It is nested too deeply, holds itself, or is too large to be looked at.
pub(super) fn size(value: &Value) -> Result<usize, Error> {
    sized(value, DEPTH)
}

fn sized(value: &Value, depth: usize) -> Result<usize, Error> {
    spend(|left| &mut left.looks, 1)?;
    let nested = || depth.checked_sub(1).ok_or_else(too_deep);
    match value.kind() {
        ValueKind::String => Ok(value.as_str().map_or(0, str::len)),
        ValueKind::Bytes => Ok(value.as_bytes().map_or(0, <[u8]>::len)),
        ValueKind::Seq | ValueKind::Iterable => {
            let depth = nested()?;
            let mut all = 2_usize;
            for item in value.try_iter()?.checked() {
                all = all.saturating_add(sized(&item?, depth)?.saturating_add(2));
            }
            Ok(all)
        }
        ValueKind::Map => {
            let depth = nested()?;
            let mut all = 2_usize;
            for key in value.try_iter()?.checked() {
                let key = key?;
                let item = value.get_item(&key)?;
                all = all.saturating_add(sized(&key, depth)?.saturating_add(sized(&item, depth)?)).saturating_add(4);
            }
            Ok(all)
        }
        _ => Ok(ELEMENT),
    }
}

fn too_deep() -> Error {
    Error::new(ErrorKind::InvalidOperation, "values are nested too deeply")
}

fn is_single(value: &Value) -> bool {
    !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map)
}

/// Whether a namespace is in it: one that holds another could come to hold itself.
fn has_namespace(value: &Value, depth: usize) -> Result<bool, Error> {
    spend(|left| &mut left.looks, 1)?;
    if is_single(value) {
        return Ok(false);
    }
    if value.as_object().is_some_and(|object| object.type_name().ends_with("Namespace")) {
        return Ok(true);
    }
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let is_map = value.kind() == ValueKind::Map;
    for item in value.try_iter()?.checked() {
        let item = item?;
        let item = if is_map { value.get_item(&item)? } else { item };
        if has_namespace(&item, depth)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What came of an operation: counted, not nested too deeply, and a list as a list. Those that are computed when they are
/// asked would otherwise stand on each other without end.
pub(super) fn made(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => make(size(&value)?)?,
        ValueKind::Map => _ = size(&value)?,
        ValueKind::Seq | ValueKind::Iterable => {
            let whole =
                value.downcast_object_ref::<Vec<Value>>().is_some() || value.downcast_object_ref::<Tuple>().is_some();
            let mut items = Vec::new();
            let mut nested = false;
            for item in value.try_iter()?.checked() {
                let item = item?;
                make(ELEMENT)?;
                nested |= !is_single(&item);
                if !whole {
                    items.push(item);
                }
            }
            if nested {
                size(&value)?;
            }
            return Ok(if whole { value } else { Value::from(items) });
        }
        _ => {}
    }
    Ok(value)
}

/// Checks an operation by its mark and its operands.
///
/// # Errors
/// What it would make is too large.
pub(super) fn check(mark: &str, values: &[Value]) -> Result<(), Error> {
    let name = mark.get(1..).unwrap_or_default();
    match (mark.get(..1).unwrap_or_default(), values) {
        ("~", all) => all.iter().try_for_each(|value| make(size(value)?)),
        ("+", all) => all.iter().filter(|value| is_single(value)).try_for_each(|value| make(size(value)?)),
        ("*", [one, other]) => {
            let times = |text: &Value, count: &Value| match (is_text(text), count_of(count)) {
                (true, Some(count)) => make(size(text)?.saturating_mul(count)),
                _ => Ok(()),
            };
            times(one, other)?;
            times(other, one)
        }
        ("[", [value, ..]) => {
            if is_single(value) {
                make(size(value)?)
            } else {
                Ok(())
            }
        }
        ("=", [one, other]) if !is_single(one) => size(one).and(size(other)).map(drop),
        ("=", _) => Ok(()),
        ("s", [value, _]) if has_namespace(value, DEPTH)? => {
            Err(Error::new(ErrorKind::InvalidOperation, "a namespace cannot hold another"))
        }
        ("|" | "." | "(" | "?", values) => call(name, values),
        _ => Ok(()),
    }
}

fn is_text(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::String | ValueKind::Bytes)
}

/// A number as how often something is done; none for what is no number above zero.
fn count_of(value: &Value) -> Option<usize> {
    if value.kind() != ValueKind::Number {
        return None;
    }
    let number = i128::try_from(value.clone()).ok();
    let number = number.or_else(|| f64::try_from(value.clone()).ok().map(|number| number as i128))?;
    Some(usize::try_from(number.max(0)).unwrap_or(usize::MAX))
}

/// Filters and the like whose numbers say nothing about how much they make.
const PLAIN: [&str; 9] = ["abs", "int", "float", "round", "default", "d", "bool", "get", "divisibleby"];
/// Those that look at the elements of a list without looking into them.
const SHALLOW: [&str; 23] = [
    "length",
    "count",
    "first",
    "last",
    "list",
    "reverse",
    "items",
    "keys",
    "values",
    "get",
    "selectattr",
    "rejectattr",
    "select",
    "reject",
    "defined",
    "undefined",
    "none",
    "sequence",
    "iterable",
    "mapping",
    "default",
    "d",
    "boolean",
];
/// What `map` may call for each element; others are counted for one value only.
const MAPPED: [&str; 16] = [
    "upper",
    "lower",
    "trim",
    "string",
    "length",
    "first",
    "last",
    "list",
    "int",
    "float",
    "capitalize",
    "title",
    "items",
    "abs",
    "bool",
    "default",
];

/// A filter, a test, a method or a function by its name.
fn call(name: &str, values: &[Value]) -> Result<(), Error> {
    let mut arguments = 0_usize;
    let plain = PLAIN.contains(&name);
    for value in values {
        arguments = arguments.saturating_add(match value.kind() {
            ValueKind::Number if plain => 0,
            ValueKind::Number => count_of(value).unwrap_or(0).saturating_mul(each(name)),
            ValueKind::Map if is_named(value) => named(value, plain)?.saturating_mul(each(name)),
            _ if is_single(value) => 0,
            // What they make of a list is counted afterwards.
            _ if SHALLOW.contains(&name) => 0,
            _ => size(value)?,
        });
    }
    make(arguments)?;
    grown(name, values)
}

/// What is made for each of a number: lists, or bytes.
fn each(name: &str) -> usize {
    if ["batch", "slice"].contains(&name) { 4 * ELEMENT } else { 1 }
}

/// Arguments by name, which come as a map of their own kind.
fn is_named(value: &Value) -> bool {
    value.is_kwargs()
}

fn named(value: &Value, plain: bool) -> Result<usize, Error> {
    let mut all = 0_usize;
    for key in value.try_iter()?.checked() {
        let item = value.get_item(&key?)?;
        all = all.saturating_add(match item.kind() {
            ValueKind::Number if plain => 0,
            ValueKind::Number => count_of(&item).unwrap_or(0),
            _ => size(&item)?,
        });
    }
    Ok(all)
}

/// What makes more than the sum of what it is given.
fn grown(name: &str, values: &[Value]) -> Result<(), Error> {
    let text = |at: usize| {
        values.get(at).map_or(Cow::Borrowed(""), |value| {
            value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed)
        })
    };
    // Only texts and single values are asked for: those were found small enough.
    let single = |at: usize| values.get(at).is_none_or(is_single);
    match name {
        "replace" if single(0) && single(1) && single(2) => {
            let (whole, from, to) = (text(0), text(1), text(2));
            let found = if from.is_empty() { whole.chars().count() + 1 } else { whole.matches(&*from).count() };
            make(whole.len().saturating_add(found.saturating_mul(to.len())))
        }
        "join" => {
            let between = values.iter().filter(|value| is_single(value)).map(size).sum::<Result<usize, _>>()?;
            let lists = values.iter().filter(|value| !is_single(value) && !is_named(value));
            let count = lists.map(|list| list.len().unwrap_or(0)).fold(0, usize::saturating_add);
            make(between.saturating_mul(count.max(1)))
        }
        "indent" => {
            let lines = values.first().and_then(Value::as_str).map_or(1, |text| text.matches('\n').count() + 1);
            let wide = |value: &Value| count_of(value).or_else(|| value.as_str().map(str::len));
            let kept = values.iter().skip(1).filter(|value| !is_named(value)).filter_map(wide).max();
            let named = values.iter().filter(|value| is_named(value)).filter_map(|value| value.get_attr("width").ok());
            let width = named.filter_map(|width| wide(&width)).max().into_iter().chain(kept).max().unwrap_or(4);
            make(lines.saturating_mul(width.max(4)))
        }
        "format" => {
            let form = text(0);
            let mut places = 0_usize;
            let widths = form.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
            for width in widths {
                places = places.saturating_add(width.parse().unwrap_or(usize::MAX));
            }
            let marks = form.matches(['{', '%']).count();
            let given = values.iter().skip(1).map(size).sum::<Result<usize, _>>()?;
            make(places.saturating_add(marks.saturating_mul(given)).saturating_add(form.len()))
        }
        "split" | "splitlines" | "lines" => {
            let (whole, at) = (text(0), values.get(1).and_then(Value::as_str).unwrap_or_default());
            let pieces = if at.is_empty() { whole.split_whitespace().count() } else { whole.matches(at).count() };
            make(pieces.max(whole.matches('\n').count()).saturating_mul(2 * ELEMENT).saturating_add(whole.len()))
        }
        "list" | "reverse" if single(0) => make(text(0).len().saturating_mul(ELEMENT)),
        "tojson" | "pprint" | "escape" | "e" | "urlencode" => {
            let all = values.iter().map(size).sum::<Result<usize, _>>()?;
            make(all.saturating_mul(6))
        }
        "map" => {
            let filter = values.get(1).and_then(Value::as_str);
            match filter.filter(|filter| !MAPPED.contains(filter)) {
                Some(filter) => Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("`map` with the filter `{filter}` is not done here"),
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The operands of an operation, before the mark that says which it is, turned round as `UnpackList` takes them.
pub(super) fn turned(values: Vec<ValueOrKwargs>) -> Result<Value, Error> {
    let mut values: Vec<Value> = values.into_iter().map(ValueOrKwargs::into_value).collect();
    let mark = values.pop().unwrap_or_default();
    check(mark.as_str().unwrap_or_default(), &values)?;
    values.reverse();
    Ok(Value::from(values))
}
