//! A recipe's text as a tree whose every part knows its line: the same tree from YAML and from TOML.
//!
//! What it refuses to do: grow without bound. Aliases are expanded (recipes use them), so a file of a few lines could name
//! billions of nodes; the tree is cut off long before.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Nodes a recipe may have, aliases expanded.
const MOST_NODES: usize = 1 << 18;
/// How deep lists and maps may stand in each other.
const DEEPEST: usize = 32;

/// A part of a recipe.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Counted from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// It, or something in it, has a name by which other places take it in.
    pub(super) anchored: bool,
}

/// What a part is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a text is no tree, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

impl Node {
    /// For messages.
    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a truth value",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

/// A text in YAML.
pub(super) fn yaml(text: &str) -> Result<Node, Fault> {
    let mut tree = Tree { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    loop {
        let (event, span) = tree.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd | Event::DocumentEnd => return Ok(Node { line: 1, kind: Kind::Null, anchored: false }),
            event => {
                let node = tree.node(event, span, 0)?;
                return tree.end().map(|()| node);
            }
        }
    }
}

struct Tree<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Tree<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Fault { line: error.marker().line(), what: error.info().to_owned() }),
            None => Err(Fault { line: 1, what: "the text breaks off".to_owned() }),
        }
    }

    /// Nothing may follow the one document.
    fn end(&mut self) -> Result<(), Fault> {
        loop {
            match self.next()? {
                (Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, span) => {
                    let what = "a second document begins; a recipe is one".to_owned();
                    return Err(Fault { line: span.start.line(), what });
                }
            }
        }
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(more);
        let what = || format!("the recipe has more than {MOST_NODES} parts");
        if self.nodes > MOST_NODES { Err(Fault { line, what: what() }) } else { Ok(()) }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let line = span.start.line();
        self.count(1, line)?;
        if depth > DEEPEST {
            return Err(Fault { line, what: format!("it is nested deeper than {DEEPEST}") });
        }
        let before = self.nodes;
        let (kind, anchor) = match event {
            Event::Scalar(text, ScalarStyle::Plain, anchor, _) => (plain(&text), anchor),
            Event::Scalar(text, _, anchor, _) => (Kind::Text(text.into_owned()), anchor),
            Event::Alias(anchor) => {
                let unknown = || Fault { line, what: "an alias names no anchor before it".to_owned() };
                let size = self.anchors.get(&anchor).ok_or_else(unknown)?.1;
                self.count(size, line)?;
                return self.anchors.get(&anchor).map(|found| found.0.clone()).ok_or_else(unknown);
            }
            Event::SequenceStart(anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break (Kind::List(items), anchor),
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, _) => (Kind::Map(self.map(depth)?), anchor),
            _ => return Err(Fault { line, what: "a value was expected".to_owned() }),
        };
        let inside = match &kind {
            Kind::List(items) => items.iter().any(|item| item.anchored),
            Kind::Map(fields) => fields.iter().any(|(_, field)| field.anchored),
            _ => false,
        };
        let node = Node { line, kind, anchored: anchor != 0 || inside };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before + 1));
        }
        Ok(node)
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Fault> {
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let line = span.start.line();
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Fault { line, what: "a key must be a text".to_owned() }),
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let anchored = value.anchored;
            match (key.as_str(), value.kind) {
                // `<<: *anchor`: keys of another map, unless they are given here; of several the first counts.
                ("<<", Kind::Map(more)) => merged.extend(more),
                ("<<", Kind::List(all)) if all.iter().all(|one| matches!(one.kind, Kind::Map(_))) => {
                    merged.extend(
                        all.into_iter().flat_map(|one| if let Kind::Map(more) = one.kind { more } else { Vec::new() }),
                    );
                }
                (_, kind) if fields.iter().all(|(name, _)| *name != key) => {
                    // The line of the key: a value may begin on a later one.
                    fields.push((key, Node { line, kind, anchored }));
                }
                _ => return Err(Fault { line, what: format!("`{key}` is there twice") }),
            }
        }
        for (key, node) in merged {
            if fields.iter().all(|(name, _)| *name != key) {
                fields.push((key, node));
            }
        }
        Ok(fields)
    }
}

/// A word without quotes, as YAML 1.1 reads it; numbers with an exponent and no point are numbers too, as recipes mean
/// them.
fn plain(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Kind::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".inf" | "+.inf" => return Kind::Number(f64::INFINITY),
        "-.inf" => return Kind::Number(f64::NEG_INFINITY),
        ".nan" | ".NaN" => return Kind::Number(f64::NAN),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.replace('_', "").parse::<f64>() {
        Ok(value) if number => Kind::Number(value),
        _ => Kind::Text(text.to_owned()),
    }
}

/// A text in TOML.
pub(super) fn toml(text: &str) -> Result<Node, Fault> {
    let line = |at: usize| 1 + text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| Fault {
        line: error.span().map_or(1, |span| line(span.start)),
        what: error.message().to_owned(),
    })?;
    let fields = table.into_inner().into_iter().map(|(key, value)| field(key, value, &line));
    Ok(Node { line: 1, kind: Kind::Map(fields.collect()), anchored: false })
}

fn field(
    key: Spanned<std::borrow::Cow<'_, str>>,
    value: Spanned<DeValue<'_>>,
    line: &dyn Fn(usize) -> usize,
) -> (String, Node) {
    let at = line(key.span().start);
    (key.into_inner().into_owned(), Node { line: at, ..value_of(value, line) })
}

fn value_of(value: Spanned<DeValue<'_>>, line: &dyn Fn(usize) -> usize) -> Node {
    let at = line(value.span().start);
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Kind::Text(number.as_str().to_owned()), |number| Kind::Number(number as f64)),
        DeValue::Float(number) => {
            number.as_str().parse().map_or_else(|_| Kind::Text(number.as_str().to_owned()), Kind::Number)
        }
        DeValue::Boolean(value) => Kind::Bool(value),
        DeValue::Datetime(value) => Kind::Text(value.to_string()),
        DeValue::Array(items) => Kind::List(items.into_iter().map(|item| value_of(item, line)).collect()),
        DeValue::Table(table) => Kind::Map(table.into_iter().map(|(key, value)| field(key, value, line)).collect()),
    };
    Node { line: at, kind, anchored: false }
}
