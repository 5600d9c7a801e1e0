//! Definitions in a piece of code, found by their first line and their indentation: enough to say which function of a
//! file a block means, in any of the languages people ask about. No parser: a block is often half a program.

use std::ops::Range;

use crate::text::wrap::TAB;

/// A definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// What it defines: keyword and name.
    pub(super) key: String,
    /// Its lines, with the comments and attributes right above it.
    pub(super) lines: Range<usize>,
    /// The line that begins it.
    pub(super) head: usize,
    /// Columns before it.
    pub(super) indent: usize,
}

const MODIFIERS: &[&str] = &[
    "pub",
    "async",
    "export",
    "default",
    "static",
    "unsafe",
    "public",
    "private",
    "protected",
    "final",
    "abstract",
    "override",
    "inline",
    "virtual",
    "declare",
    "constexpr",
    "open",
    "extern",
    "\"C\"",
    "synchronized",
    "readonly",
];
const KEYWORDS: &[&str] = &[
    "fn",
    "def",
    "class",
    "struct",
    "enum",
    "trait",
    "interface",
    "function",
    "func",
    "mod",
    "namespace",
    "module",
    "union",
    "macro_rules!",
    "type",
    "record",
    "object",
];
const BINDINGS: &[&str] = &["const", "let", "var", "static"];
const CONTROL: &[&str] = &[
    "if", "for", "while", "switch", "return", "else", "catch", "do", "try", "match", "with", "elif", "case", "new",
    "throw", "await", "yield", "loop", "foreach", "when", "and", "or", "not", "in",
];

/// Columns before a line; every tab counts in full.
pub(super) fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { TAB } else { 1 }).sum()
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
    &text[..end]
}

/// What a line defines, if it begins a definition.
fn key(line: &str) -> Option<String> {
    let mut rest = line.trim();
    if rest.starts_with("if __name__") {
        return Some("if __name__".into());
    }
    loop {
        let first = rest.split_whitespace().next()?;
        let bare = first.split('(').next().unwrap_or(first);
        if !MODIFIERS.contains(&bare) || (bare == "static" && rest.contains(" = ")) {
            break;
        }
        rest = rest[first.len()..].trim_start();
    }
    let first = rest.split(|c: char| c.is_whitespace() || c == '<' || c == '(').next()?;
    let behind = rest.get(first.len()..)?.trim_start();
    if first == "impl" {
        let what = rest.split('{').next().unwrap_or(rest);
        return Some(what.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if first == "func" && behind.starts_with('(') {
        // a method of Go's: what it belongs to is a part of its name
        let (owner, rest) = behind[1..].split_once(')')?;
        let owner = owner.split_whitespace().last().unwrap_or("").trim_start_matches('*');
        return Some(format!("func {owner}.{}", word(rest.trim_start())));
    }
    if KEYWORDS.contains(&first) {
        let name = word(behind.trim_start_matches(['*', ' ']));
        return (!name.is_empty()).then(|| format!("{first} {name}"));
    }
    if BINDINGS.contains(&first) {
        let name = word(behind.strip_prefix("mut ").unwrap_or(behind));
        let defines = behind.contains("=>") || behind.contains("function") || indent(line) == 0;
        return (!name.is_empty() && defines).then(|| format!("let {name}"));
    }
    // `int add(int a) {`, `add(a) {`, `build() {`
    let open = rest.find('(')?;
    let opens = rest.ends_with('{') || rest.ends_with("{}") || rest.ends_with(") {}");
    let name: String =
        rest[..open].chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '$').collect();
    let name: String = name.chars().rev().collect();
    let before = rest[..open].strip_suffix(name.as_str())?;
    let plain = before.chars().all(|c| c.is_alphanumeric() || " _:<>,*&[]~.@".contains(c));
    (opens && plain && !name.is_empty() && !CONTROL.contains(&name.as_str()) && !CONTROL.contains(&first))
        .then(|| format!("() {name}"))
}

/// Comments, attributes, decorators: what stands right above a definition belongs to it.
fn leads(line: &str) -> bool {
    ["//", "#", "@", "/*", "*", "--", ";"].iter().any(|sign| line.trim_start().starts_with(sign))
}

fn closes(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with(['}', ')', ']', '{']) || line == "end" || line.starts_with("end ")
}

/// All definitions, outer ones before those inside them.
pub(super) fn items(lines: &[&str]) -> Vec<Item> {
    let mut found = Vec::new();
    for (head, line) in lines.iter().enumerate() {
        let Some(key) = key(line) else { continue };
        let own = indent(line);
        let mut end = head + 1;
        let one_line = line.trim_end().ends_with(';') || (line.contains('{') && line.trim_end().ends_with('}'));
        let mut at = head + 1;
        while !one_line && at < lines.len() {
            let next = lines[at];
            if next.trim().is_empty() {
                at += 1;
                continue;
            }
            let deeper = indent(next) > own;
            if !deeper && (indent(next) < own || !closes(next)) {
                break;
            }
            end = at + 1;
            at += 1;
            // the closing brace ends it, unless something opens on the same line
            let last = next.trim();
            if !deeper && (last.starts_with('}') || last.starts_with("end")) && !last.ends_with('{') {
                break;
            }
        }
        let above = lines[..head].iter().rev().take_while(|line| leads(line) && indent(line) == own).count();
        found.push(Item { key, lines: head - above..end, head, indent: own });
    }
    found
}

/// Those that are not inside another.
pub(super) fn outer(items: &[Item]) -> Vec<&Item> {
    let mut end = 0;
    let mut outer: Vec<&Item> = Vec::new();
    for item in items {
        if item.head >= end {
            end = item.lines.end;
            outer.push(item);
        }
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_eight_languages_are_recognised() {
        for (line, wanted) in [
            ("def add(a, b):", "def add"),
            ("    async def run(self):", "def run"),
            ("pub(crate) async fn go<T>(x: T) -> T {", "fn go"),
            ("impl<T> Show for List<T> {", "impl<T> Show for List<T>"),
            ("export default function App() {", "function App"),
            ("export const add = (a, b) => a + b;", "let add"),
            ("export interface User {", "interface User"),
            ("func (s *Server) Start(port int) error {", "func Server.Start"),
            ("public static void main(String[] args) {", "() main"),
            ("std::vector<int> Graph::walk(int from) {", "() walk"),
            ("build() {", "() build"),
            ("template_class Foo {", ""),
            ("if (x) {", ""),
            ("} else if (y) {", ""),
            ("return f(x) {", ""),
            ("    x = add(1)", ""),
            ("    let x = 1;", ""),
        ] {
            assert_eq!(key(line).unwrap_or_default(), wanted, "{line}");
        }
    }

    #[test]
    fn a_definition_reaches_to_its_end_with_what_belongs_to_it() {
        let text = "use a;\n\n/// Adds.\n#[inline]\nfn add(\n    a: i32,\n) -> i32 {\n    a\n\n}\n\nfn b() {}\nconst X: i32 = 1;\n";
        let lines: Vec<&str> = text.lines().collect();
        let found: Vec<_> = items(&lines).into_iter().map(|item| (item.key, item.lines)).collect();
        assert_eq!(found, [("fn add".into(), 2..10), ("fn b".into(), 11..12), ("let X".into(), 12..13)]);
        let python: Vec<&str> =
            "class A:\n    def f(self):\n        pass\n\n    def g(self):\n        return {\n        }\n\nx = 1"
                .lines()
                .collect();
        let found: Vec<_> = items(&python).into_iter().map(|item| (item.key, item.lines)).collect();
        assert_eq!(found, [("class A".into(), 0..7), ("def f".into(), 1..3), ("def g".into(), 4..7)]);
        assert_eq!(outer(&items(&python)).len(), 1);
    }
}
