//! The lines of tests inside a file of something else.

use std::ops::Range;

use crate::edits::items::indent;
use crate::fim::balance;
use crate::lang::{self, Language, Syntax, TestStyle};

/// How far a test goes that begins in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// To where its brackets are closed, or its statement ends.
    Brackets,
    /// Over the lines that are indented deeper.
    Indent,
    /// To the next title of a section.
    Section,
    /// It is all of the file.
    Whole,
}

/// By line: whether it belongs to a test. In a file of tests that is asked for every line by its name, not here.
pub fn test_lines(name: &str, text: &str) -> Vec<bool> {
    let lines: Vec<&str> = text.split_inclusive('\n').map(str::trim_end).collect();
    let mut found = vec![false; lines.len()];
    let language = lang::of_file(name);
    let Some(heads) = heads_of(name, language) else { return found };
    let shape = balance::read(language.and_then(|language| language.checked).unwrap_or(Syntax::Other), text);
    let inside = |n: usize| shape.inside.get(n) == Some(&true);
    let mut at = 0;
    while at < lines.len() {
        let head = (!inside(at)).then(|| heads(&lines, at)).flatten();
        let Some(reach) = head else {
            at += 1;
            continue;
        };
        let start = lead(&lines, at, &shape.depth);
        let end = match reach {
            Reach::Whole => lines.len(),
            Reach::Section => section(&lines, at),
            Reach::Indent => indented(&lines, at, &inside),
            Reach::Brackets => closed(&lines, at, &shape.depth),
        };
        let range: Range<usize> = if reach == Reach::Whole { 0..lines.len() } else { start..end.max(at + 1) };
        at = range.end;
        found[range].fill(true);
    }
    mark_examples(language.and_then(|language| language.tests), &lines, &mut found);
    found
}

type Heads = fn(&[&str], usize) -> Option<Reach>;

/// How the beginning of a test is known in a file; `None` where nothing is known of tests.
fn heads_of(name: &str, language: Option<&Language>) -> Option<Heads> {
    if matches!(lang::file_of(name), "package.json" | "composer.json" | "deno.json") {
        return Some(in_json);
    }
    Some(match language?.tests? {
        TestStyle::Rust => in_rust,
        TestStyle::Python => in_python,
        TestStyle::Script => in_script,
        TestStyle::Go => in_go,
        TestStyle::Classes => in_classes,
        TestStyle::C => in_c,
        TestStyle::Words => in_words,
        TestStyle::Sections => in_sections,
        TestStyle::Makefile => in_makefile,
    })
}

/// Attributes, decorators and comments right above belong to a test, also those that go over several lines.
fn lead(lines: &[&str], head: usize, depth: &[usize]) -> usize {
    let (own, deep) = (indent(lines[head]), |n: usize| depth.get(n).copied().unwrap_or(0));
    let mut start = head;
    for n in (0..head).rev() {
        let text = lines[n].trim_start();
        let leads = indent(lines[n]) == own && ["#[", "@", "//", "# ", "["].iter().any(|sign| text.starts_with(sign));
        if leads && deep(n) == deep(head) {
            start = n;
        } else if deep(n) <= deep(head) {
            break;
        }
    }
    start
}

fn indented(lines: &[&str], head: usize, inside: &dyn Fn(usize) -> bool) -> usize {
    let own = indent(lines[head]);
    let mut at = head + 1;
    let mut end = at;
    while at < lines.len() {
        let line = lines[at];
        let deeper = inside(at) || indent(line) > own;
        // a signature over several lines closes where it began; Ruby's `end`
        let closes = indent(line) == own && (line.trim_start().starts_with([')', ']']) || line.trim() == "end");
        if !line.trim().is_empty() {
            if !deeper && !closes {
                break;
            }
            end = at + 1;
        }
        at += 1;
    }
    end
}

/// The end of what begins with a line: attributes, a head over several lines, a body in braces.
fn closed(lines: &[&str], head: usize, depth: &[usize]) -> usize {
    let deep = |n: usize| depth.get(n).copied().unwrap_or(0);
    let own = deep(head);
    for n in head..lines.len() {
        let text = lines[n].trim();
        let leads = ["#[", "@", "//", "["].iter().any(|sign| text.starts_with(sign)) && !text.ends_with(['}', ';']);
        if deep(n + 1) > own || (leads && deep(n) == own) || text.is_empty() {
            continue;
        }
        if deep(n + 1) < own {
            return if n == head { n + 1 } else { n };
        }
        // the body's brace may stand in the next line
        let opens = lines.get(n + 1).is_some_and(|next| next.trim_start().starts_with('{'));
        if text.ends_with(['}', ';', ')', ',']) && !opens {
            return n + 1;
        }
        if n > head + 40 {
            return n;
        }
    }
    lines.len()
}

fn section(lines: &[&str], head: usize) -> usize {
    let title = |line: &&str| line.starts_with('[');
    lines[head + 1..].iter().position(title).map_or(lines.len(), |next| head + 1 + next)
}

fn in_rust(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let cfg = line.contains("cfg(") && words(line).any(|word| word == "test") && !line.contains("not(test");
    if line.starts_with("#![") && cfg {
        return Some(Reach::Whole);
    }
    let attribute = line.strip_prefix("#[").is_some_and(|rest| {
        let name = rest.split([']', '(', ' ']).next().unwrap_or("");
        let last = name.rsplit("::").next().unwrap_or("");
        ["test", "rstest", "bench", "test_case", "quickcheck", "proptest", "should_panic"].contains(&last)
            || last.ends_with("_test")
    });
    let macros = ["proptest!", "quickcheck!"].iter().any(|name| line.starts_with(name));
    let module = ["mod tests", "mod test "].iter().any(|name| line.starts_with(name)) && !line.ends_with(';');
    (attribute || macros || module || (line.starts_with("#[") && cfg)).then_some(Reach::Brackets)
}

fn in_python(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let bare = line.strip_prefix("async ").unwrap_or(line);
    let def = bare.strip_prefix("def ").is_some_and(|name| name.starts_with("test"));
    let class = line.strip_prefix("class ").is_some_and(|name| name.starts_with("Test") || name.contains("TestCase"));
    let defines = bare.starts_with("def ") || line.starts_with("class ");
    let mut above = lines[..at].iter().rev().map(|line| line.trim_start()).take_while(|line| line.starts_with('@'));
    let fixture = defines && above.any(|line| line.starts_with("@pytest."));
    let block = |n: usize| &lines[n + 1..indented(lines, n, &|_| false)];
    let checks = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("assert ")
            || line.contains("unittest.")
            || line.contains("testmod(")
            || line.contains("pytest.")
    };
    let main = line.starts_with("if __name__") && block(at).iter().any(checks);
    let assert = indent(lines[at]) == 0 && line.starts_with("assert ");
    (def || class || fixture || main || assert).then_some(Reach::Indent)
}

fn in_script(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let call = |name: &&str| {
        line.strip_prefix(*name).is_some_and(|rest| {
            let rest = rest.trim_start();
            let quoted = rest.strip_prefix('(').is_some_and(|rest| rest.trim_start().starts_with(['"', '\'', '`']));
            quoted
                || [".each", ".only", ".skip", ".todo", ".concurrent", ".failing"]
                    .iter()
                    .any(|kind| rest.starts_with(kind))
        })
    };
    let suites = ["describe", "it", "test", "suite", "context", "Deno.test", "QUnit.test"].iter().any(call);
    let inner = line.contains("import.meta.vitest") && line.contains('{');
    let assert =
        indent(lines[at]) == 0 && ["assert(", "assert.", "console.assert("].iter().any(|s| line.starts_with(s));
    (suites || inner || assert).then_some(Reach::Brackets)
}

fn in_go(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at];
    let name = line.strip_prefix("func ")?;
    (["Test", "Benchmark", "Fuzz"].iter().any(|word| name.starts_with(word)) && name.contains("*testing."))
        .then_some(Reach::Brackets)
}

fn in_classes(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let marks = ["@Test", "@ParameterizedTest", "@RepeatedTest", "[Fact", "[Theory", "[Test", "[TestMethod", "#[Test"];
    let swift = line.starts_with("func test") || line.contains("function test");
    (swift || marks.iter().any(|mark| line.starts_with(mark))).then_some(Reach::Brackets)
}

fn in_c(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let macros = ["TEST(", "TEST_F(", "TEST_P(", "TEST_CASE(", "SCENARIO(", "BOOST_AUTO_TEST_CASE(", "START_TEST("];
    let zig = line.starts_with("test \"") || line.starts_with("test {") || line.starts_with("unittest");
    let types = ["void ", "int ", "bool ", "static void ", "static int ", "static bool "];
    let named = types.iter().any(|kind| line.strip_prefix(kind).is_some_and(|rest| rest.starts_with("test_")));
    (zig || named || macros.iter().any(|name| line.starts_with(name))).then_some(Reach::Brackets)
}

fn in_words(lines: &[&str], at: usize) -> Option<Reach> {
    let line = lines[at].trim_start();
    let starts =
        ["def test", "describe ", "describe(", "it ", "it(", "test \"", "test '", "context ", "@testset", "@test "];
    let class = line.starts_with("class ") && (line.contains("Test::Unit") || line.contains("Minitest"));
    (class || starts.iter().any(|word| line.starts_with(word))).then_some(Reach::Indent)
}

/// What a script called `test` does, and what is set for those that run tests.
fn in_json(lines: &[&str], at: usize) -> Option<Reach> {
    let key = lines[at]
        .trim_start()
        .strip_prefix('"')?
        .split_once('"')
        .filter(|(_, rest)| rest.trim_start().starts_with(':'))?
        .0;
    let known = ["jest", "vitest", "mocha", "ava", "c8", "nyc"].contains(&key);
    (known || words(key).any(|word| word == "test" || word == "tests")).then_some(Reach::Brackets)
}

fn in_makefile(lines: &[&str], at: usize) -> Option<Reach> {
    let (target, _) = lines[at].split_once(':').filter(|(target, _)| !target.starts_with(char::is_whitespace))?;
    words(target).any(|word| ["test", "tests", "check"].contains(&word)).then_some(Reach::Indent)
}

fn in_sections(lines: &[&str], at: usize) -> Option<Reach> {
    let title = lines[at].strip_prefix('[')?;
    let tests =
        words(title).any(|word| ["pytest", "test", "tests", "unittest", "tox", "coverage", "nose2"].contains(&word));
    tests.then_some(Reach::Section)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
}

/// Examples in comments that are run as tests: Rust's fences, Python's prompts.
fn mark_examples(tests: Option<TestStyle>, lines: &[&str], found: &mut [bool]) {
    let mut open = false;
    for (n, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        match tests {
            Some(TestStyle::Rust) => {
                let doc = text.strip_prefix("///").or_else(|| text.strip_prefix("//!"));
                let fence = doc.is_some_and(|doc| doc.trim_start().starts_with("```"));
                found[n] |= fence || (open && doc.is_some());
                open = doc.is_some() && (open != fence);
            }
            Some(TestStyle::Python) => {
                open = text.starts_with(">>> ")
                    || (open && !text.is_empty() && !text.starts_with("\"\"\"") && !text.starts_with("'''"));
                found[n] |= open;
            }
            _ => {}
        }
    }
}
