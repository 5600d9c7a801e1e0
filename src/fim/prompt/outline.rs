//! The lines of a cut-off text that the rest leans on: imports and the heads of declarations.

use crate::fim::blocks::indent;
use crate::lang::Syntax;

/// Lines of the outline at most.
const MOST: usize = 80;

/// Imports, then the nearest declarations, in the order of the text, with a comment of dots where code is left out.
/// Empty when there is nothing to tell.
pub(super) fn of(text: &str, language: Syntax, budget: usize, count: &mut dyn FnMut(&str) -> usize) -> String {
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

fn write(lines: &[&str], kept: &[usize], language: Syntax) -> String {
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

fn dots(text: &mut String, columns: usize, language: Syntax) {
    text.extend(std::iter::repeat_n(' ', columns));
    text.push_str(language.comment());
    text.push_str(" ...\n");
}

fn is_import(line: &str, syntax: Syntax) -> bool {
    let required = matches!(syntax, Syntax::JavaScript | Syntax::TypeScript)
        && ["const ", "let ", "var "].iter().any(|word| line.starts_with(word))
        && line.contains("require(");
    required || syntax.language().imports.iter().any(|word| line.starts_with(word))
}

fn is_declaration(line: &str, syntax: Syntax) -> bool {
    let mut text = line.trim_start();
    for word in ["export ", "default ", "pub ", "pub(crate) ", "pub(super) ", "async ", "unsafe ", "static ", "public "]
    {
        text = text.strip_prefix(word).unwrap_or(text);
    }
    let arrow = || ["const ", "let "].iter().any(|word| text.starts_with(word)) && text.contains("=>");
    let other = match syntax {
        Syntax::JavaScript | Syntax::TypeScript => arrow() || is_method(text),
        Syntax::Cpp | Syntax::Java => is_method(text),
        Syntax::Bash => text.trim_end().ends_with("() {"),
        Syntax::Python | Syntax::Rust | Syntax::Go | Syntax::Other => false,
    };
    other || syntax.language().declares.iter().any(|word| text.starts_with(word))
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

    fn all(text: &str, language: Syntax) -> String {
        of(text, language, 10_000, &mut |text| text.len())
    }

    #[test]
    fn imports_and_heads_stay_and_bodies_become_dots() {
        let text = "import os\nfrom a import b\n\nX = 1\n\nclass A:\n    def f(self):\n        return 1\n\n    def g(self):\n        pass\n";
        let want =
            "import os\nfrom a import b\n# ...\nclass A:\n    def f(self):\n    # ...\n    def g(self):\n# ...\n";
        assert_eq!(all(text, Syntax::Python), want);
        assert_eq!(all("x = 1\n", Syntax::Python), "");
    }

    #[test]
    fn each_language_knows_its_heads() {
        for (language, yes, no) in [
            (Syntax::Rust, "    pub(crate) async fn f() {", "    if a(b) {"),
            (Syntax::Java, "    private int f(int a) {", "    while (f(a)) {"),
            (Syntax::Cpp, "void A::f(int a) {", "  for (;;) {"),
            (Syntax::TypeScript, "export const f = (a: number) => {", "const a = 1"),
            (Syntax::Go, "func (a *A) F() {", "\tgo func() {"),
            (Syntax::Bash, "build() {", "if true; then"),
        ] {
            assert!(is_declaration(yes, language), "{yes}");
            assert!(!is_declaration(no, language), "{no}");
        }
    }

    #[test]
    fn the_nearest_heads_win_when_there_is_little_room() {
        let text: String = (0..50).map(|i| format!("def f{i}():\n    pass\n")).collect();
        let short = of(&text, Syntax::Python, 60, &mut |text| text.len());
        assert!(short.contains("f49") && !short.contains("f10"));
        assert!(of(&text, Syntax::Python, 0, &mut |text| text.len()).is_empty());
    }
}
