//! The lines of a cut-off text that the rest leans on: imports and the heads of declarations.

use crate::fim::language::{Language, indent};

/// Lines of the outline at most.
const MOST: usize = 80;

/// Imports, then the nearest declarations, in the order of the text, with a comment of dots where code is left out.
/// Empty when there is nothing to tell.
pub(super) fn of(text: &str, language: Language, budget: usize, count: &mut dyn FnMut(&str) -> usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut left = budget;
    let mut kept = Vec::new();
    let mut keep = |at: usize, left: &mut usize, kept: &mut Vec<usize>| {
        // A line of dots may come with each.
        let cost = count(lines.get(at).copied().unwrap_or_default()) + 4;
        let fits = cost <= *left && kept.len() < MOST;
        if fits {
            *left -= cost;
            kept.push(at);
        }
        fits
    };
    // Imports may take half, or declarations would never be seen in a file that begins with fifty of them.
    let mut for_imports = left / 2;
    let before = for_imports;
    for at in (0..lines.len()).filter(|at| is_import(lines[*at], language)) {
        if !keep(at, &mut for_imports, &mut kept) {
            break;
        }
    }
    left -= before - for_imports;
    for at in (0..lines.len()).rev().filter(|at| is_declaration(lines[*at], language)) {
        if !keep(at, &mut left, &mut kept) {
            break;
        }
    }
    kept.sort_unstable();
    write(&lines, &kept, language)
}

fn write(lines: &[&str], kept: &[usize], language: Language) -> String {
    let mut text = String::new();
    let mut next = 0;
    for &at in kept {
        let line = lines.get(at).copied().unwrap_or_default();
        if at > next && lines.get(next..at).is_some_and(|gap| gap.iter().any(|line| !line.trim().is_empty())) {
            dots(&mut text, indent(line), language);
        }
        text.push_str(line.trim_end());
        text.push('\n');
        next = at + 1;
    }
    if !text.is_empty() {
        dots(&mut text, 0, language);
    }
    text
}

fn dots(text: &mut String, columns: usize, language: Language) {
    text.extend(std::iter::repeat_n(' ', columns));
    text.push_str(language.comment());
    text.push_str(" ...\n");
}

fn is_import(line: &str, language: Language) -> bool {
    let starts = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
    match language {
        Language::Python => starts(&["import ", "from "]),
        Language::JavaScript | Language::TypeScript => {
            starts(&["import "]) || (starts(&["const ", "let ", "var "]) && line.contains("require("))
        }
        Language::Cpp => starts(&["#include", "using "]),
        Language::Rust => starts(&["use ", "pub use ", "extern crate "]),
        Language::Go => starts(&["import ", "package "]),
        Language::Java => starts(&["import ", "package "]),
        Language::Bash => starts(&["source ", ". "]),
        Language::Other => starts(&["import ", "use ", "require ", "#include"]),
    }
}

fn is_declaration(line: &str, language: Language) -> bool {
    let mut text = line.trim_start();
    for word in ["export ", "default ", "pub ", "pub(crate) ", "pub(super) ", "async ", "unsafe ", "static ", "public "]
    {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    let starts = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    match language {
        Language::Python => starts(&["def ", "class "]),
        Language::JavaScript | Language::TypeScript => {
            starts(&["function ", "class ", "interface ", "type ", "enum "])
                || (starts(&["const ", "let "]) && text.contains("=>"))
                || is_method(text)
        }
        Language::Rust => starts(&["fn ", "struct ", "enum ", "trait ", "impl", "type ", "mod ", "const fn "]),
        Language::Go => starts(&["func ", "type "]),
        Language::Cpp => starts(&["class ", "struct ", "enum ", "namespace ", "template"]) || is_method(text),
        Language::Java => starts(&["class ", "interface ", "enum ", "record "]) || is_method(text),
        Language::Bash => starts(&["function "]) || text.trim_end().ends_with("() {"),
        Language::Other => starts(&["def ", "fn ", "func ", "function ", "class ", "struct "]),
    }
}

/// `name(…) {` that is no statement.
fn is_method(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let statement = matches!(
        word,
        "" | "if" | "for" | "while" | "switch" | "catch" | "do" | "else" | "try" | "return" | "case" | "new" | "throw"
    );
    !statement && text.contains('(') && text.trim_end().ends_with('{') && !text.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, language: Language) -> String {
        of(text, language, 10_000, &mut |text| text.len())
    }

    #[test]
    fn imports_and_heads_stay_and_bodies_become_dots() {
        let text = "import os\nfrom a import b\n\nX = 1\n\nclass A:\n    def f(self):\n        return 1\n\n    def g(self):\n        pass\n";
        let want =
            "import os\nfrom a import b\n# ...\nclass A:\n    def f(self):\n    # ...\n    def g(self):\n# ...\n";
        assert_eq!(all(text, Language::Python), want);
        assert_eq!(all("x = 1\n", Language::Python), "");
    }

    #[test]
    fn each_language_knows_its_heads() {
        for (language, yes, no) in [
            (Language::Rust, "    pub(crate) async fn f() {", "    if a(b) {"),
            (Language::Java, "    private int f(int a) {", "    while (f(a)) {"),
            (Language::Cpp, "void A::f(int a) {", "  for (;;) {"),
            (Language::TypeScript, "export const f = (a: number) => {", "const a = 1"),
            (Language::Go, "func (a *A) F() {", "\tgo func() {"),
            (Language::Bash, "build() {", "if true; then"),
        ] {
            assert!(is_declaration(yes, language), "{yes}");
            assert!(!is_declaration(no, language), "{no}");
        }
    }

    #[test]
    fn the_nearest_heads_win_when_there_is_little_room() {
        let text: String = (0..50).map(|i| format!("def f{i}():\n    pass\n")).collect();
        let short = of(&text, Language::Python, 60, &mut |text| text.len());
        assert!(short.contains("f49") && !short.contains("f10"));
        assert!(of(&text, Language::Python, 0, &mut |text| text.len()).is_empty());
    }
}
