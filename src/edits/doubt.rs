//! What is odd about a file as it would become: it no longer parses, or a line of it belongs to the answer's form and not
//! to the file. A person decides; this only says where to look.
//!
//! It refuses to judge what was odd before.

use super::blocks::mark;
use super::diff::Diff;
use super::place::stands_for_more;
use super::{Change, lines};
use crate::fim::balance::{self, Fault};
use crate::fim::syntax;
use crate::lang::{self, Syntax};
use crate::text::clean;

/// Bytes of a file that is looked at.
const LARGEST: usize = 512 << 10;
/// Things told of one file.
const MOST: usize = 3;

/// What is odd about a change of which `new` is the outcome: sentences in lower case, no full stop.
pub fn doubts(change: &Change, new: &str) -> Vec<String> {
    let old = change.diff.old();
    if change.gone || new == old || new.len() > LARGEST || old.len() > LARGEST {
        return Vec::new();
    }
    let mut found: Vec<String> = broken(&change.name, old, new).into_iter().collect();
    found.extend(strange(&change.name, old, new));
    found.truncate(MOST);
    found
}

/// The language whose brackets and quotes are known well enough to complain.
fn language(name: &str) -> Option<Syntax> {
    lang::of_file(name)?.checked
}

fn broken(name: &str, old: &str, new: &str) -> Option<String> {
    const AFTER: &str = "after this change it no longer parses";
    let language = language(name)?;
    if balance::read(language, old).fault.is_none()
        && let Some(fault) = balance::read(language, new).fault
    {
        let why = match fault {
            Fault::Stray(c, line) => format!("`{c}` in line {} closes nothing", line + 1),
            Fault::Open(close, line) => format!("line {} opens what no `{close}` closes", line + 1),
            Fault::Quote(line) => format!("the quotes opened in line {} are not closed", line + 1),
        };
        return Some(format!("{AFTER}: {why}"));
    }
    syntax::is_broken_by(name, old, new).then(|| AFTER.to_owned())
}

/// Whether a file is made of prose, in which anything may stand.
fn is_prose(name: &str) -> bool {
    lang::extension(name).is_empty() || lang::of_file(name).is_some_and(|language| language.prose)
}

/// Lines that came and do not belong into the file.
fn strange(name: &str, old: &str, new: &str) -> Vec<String> {
    if is_prose(name) {
        return Vec::new();
    }
    let inside = language(name).map(|language| balance::read(language, new).inside).unwrap_or_default();
    let all = lines::split(new);
    let diff = Diff::new(old, new);
    let come = diff.hunks().iter().flat_map(|hunk| hunk.new.clone());
    let known: std::collections::HashSet<&str> = old.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for n in come {
        let line = all.get(n).copied().map_or("", lines::body);
        if known.contains(line.trim()) || inside.get(n) == Some(&true) {
            continue;
        }
        let shown = clean::one_line(line.trim());
        let number = n + 1;
        if is_own_name(line, name) && !(n == 0 && is_comment(line)) {
            found.push(format!("line {number} is the file's own name: `{shown}`"));
        } else if mark(line).is_some() || line.trim_start().starts_with("```") {
            found.push(format!("line {number} belongs to the answer's form: `{shown}`"));
        } else if stands_for_more(line) {
            found.push(format!("line {number} stands for code that was left out: `{shown}`"));
        } else if is_cut(line, name) {
            found.push(format!("line {number} seems to be cut off: `{shown}`"));
        }
    }
    found
}

fn is_comment(line: &str) -> bool {
    lang::COMMENTS.iter().any(|sign| line.trim_start().starts_with(sign))
}

/// Whether a line says nothing but what the file is called.
fn is_own_name(line: &str, name: &str) -> bool {
    let signs = |c: char| c.is_whitespace() || "#/*-`\"':;<>!%=".contains(c);
    let bare = line.trim_matches(signs);
    let bare = ["File:", "file:", "Path:", "path:"].iter().find_map(|word| bare.strip_prefix(word)).unwrap_or(bare);
    let bare = bare.trim_matches(signs).trim_start_matches("./");
    let file = name.rsplit('/').next().unwrap_or(name);
    bare.contains('.')
        && (bare == name || bare == file || name.strip_suffix(bare).is_some_and(|rest| rest.ends_with('/')))
}

/// `self._` and `self.` at the end of a line: nobody writes that.
fn is_cut(line: &str, name: &str) -> bool {
    let line = line.trim_end();
    let code = language(name).is_some() && !is_comment(line) && !line.contains(['"', '\'']);
    let python = Syntax::from_path(name) == Some(Syntax::Python);
    code && (line.ends_with("._") || (python && line.ends_with('.') && !line.ends_with("..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, old: &str, new: &str) -> String {
        let change = Change { name: name.into(), new: old.is_empty(), gone: false, diff: Diff::new(old, new) };
        doubts(&change, new).join(" | ")
    }

    #[test]
    fn a_change_after_which_the_file_no_longer_parses_is_marked() {
        for (name, old, new, wanted) in [
            ("a.py", "f(1)\n", "f(1\n", "line 1 opens what no `)` closes"),
            ("a.py", "f(1)\n", "f(1))\n", "`)` in line 1 closes nothing"),
            ("a.py", "x = 'a'\n", "x = 'a\n", "the quotes opened in line 1"),
            ("src/a.rs", "fn a() {\n}\n", "fn a() {\n    if b {\n}\n", "no longer parses"),
            ("a.js", "", "function a() {\n", "no longer parses"),
            ("a.json", "{\"a\": [1]}\n", "{\"a\": [1}\n", "no longer parses"),
            ("a.py", "def f():\n    return 1\n", "def f():\nreturn 1\n", "no longer parses"),
            ("a.py", "def f():\n    return 1\n", "def f():\n    return 1\n      x = 2\n", "no longer parses"),
        ] {
            assert!(told(name, old, new).contains(wanted), "{name}: {new:?}: {}", told(name, old, new));
        }
        for (name, old, new) in [
            ("a.py", "f(1)\n", "f(2)\n"),
            ("a.py", "f(1\n", "f(2\n"),
            ("a.sh", "case a in b) c;; esac\n", "case a in d) c;; esac\n"),
            ("a.md", "(a)\n", "(a\n"),
            ("a.rs", "fn a<'b>() {}\n", "fn a<'b>() -> char { '}' }\n"),
        ] {
            assert_eq!(told(name, old, new), "", "{name}: {new:?}");
        }
    }

    #[test]
    fn lines_of_the_answer_in_the_file_are_marked() {
        for (name, old, new, wanted) in [
            ("src/shop/cart.py", "x = 1\n", "src/shop/cart.py\nx = 1\n", "line 1 is the file's own name"),
            ("src/shop/cart.py", "x = 1\n", "x = 1\n# shop/cart.py\ny = 2\n", "line 2 is the file's own name"),
            ("src/a.rs", "fn a() {}\n", "fn a() {}\n**src/a.rs**\n", "line 2 is the file's own name"),
            ("a.py", "x = 1\n", "x = 1\n=======\n", "line 2 belongs to the answer's form"),
            ("a.py", "x = 1\n", "```python\nx = 2\n", "line 1 belongs to the answer's form"),
            ("a.py", "x = 1\ny = 2\n", "x = 1\n# ... rest of the code\n", "line 2 stands for code"),
            ("a.py", "x = 1\n", "self._\n", "line 1 seems to be cut off"),
            ("a.py", "x = 1\n", "y = self.\n", "line 1"),
        ] {
            assert!(told(name, old, new).contains(wanted), "{name}: {new:?}: {}", told(name, old, new));
        }
        for (name, old, new) in [
            ("src/a.rs", "fn a() {}\n", "// src/a.rs\nfn a() {}\n"),
            ("a.py", "x = 1\n", "open(\"a.py\")\n"),
            ("a.py", "x = 1\n", "x = 2  # see a.py\n"),
            ("a.md", "x\n", "```\na.md\n```\n"),
            ("a.py", "=======\n", "=======\nx = 1\n"),
        ] {
            assert!(!told(name, old, new).contains("line"), "{name}: {new:?}: {}", told(name, old, new));
        }
    }
}
