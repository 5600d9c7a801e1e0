//! The words people and models write after a fence, the languages' own names, and the grammar for each.

/// Words (lower case), the name shown, the grammar's token; an empty token has no grammar.
pub(super) const LANGUAGES: &[(&[&str], &str, &str)] = &[
    (&["bash", "sh", "shell", "zsh", "console", "shellsession", "termux"], "Bash", "bash"),
    (&["fish"], "fish", "bash"),
    (&["bat", "batch", "cmd"], "Batch", "bat"),
    (&["c"], "C", "c"),
    (&["h"], "C", "h"),
    (&["cpp", "c++", "cxx", "cc", "hpp", "hxx"], "C++", "cpp"),
    (&["cs", "csharp", "c#"], "C#", "cs"),
    (&["clj", "clojure", "edn"], "Clojure", "clj"),
    (&["css"], "CSS", "css"),
    (&["scss", "sass", "less"], "CSS", "css"),
    (&["d"], "D", "d"),
    (&["dart"], "Dart", "java"),
    (&["diff", "patch"], "Diff", "diff"),
    (&["dockerfile", "docker"], "Dockerfile", "bash"),
    (&["elixir", "ex", "exs"], "Elixir", "rb"),
    (&["erlang", "erl"], "Erlang", "erl"),
    (&["go", "golang"], "Go", "go"),
    (&["groovy", "gradle"], "Groovy", "groovy"),
    (&["haskell", "hs"], "Haskell", "hs"),
    (&["html", "xhtml", "vue", "svelte"], "HTML", "html"),
    (&["ini", "cfg", "conf", "properties"], "INI", "properties"),
    (&["java"], "Java", "java"),
    (&["javascript", "js", "mjs", "cjs", "node"], "JavaScript", "js"),
    (&["jsx"], "JSX", "js"),
    (&["json", "jsonc", "json5", "jsonl"], "JSON", "json"),
    (&["julia", "jl"], "Julia", "py"),
    (&["kotlin", "kt", "kts"], "Kotlin", "scala"),
    (&["latex", "tex"], "LaTeX", "tex"),
    (&["lisp", "scheme", "elisp", "racket"], "Lisp", "lisp"),
    (&["lua"], "Lua", "lua"),
    (&["make", "makefile", "mk"], "Makefile", "makefile"),
    (&["markdown", "md"], "Markdown", "md"),
    (&["matlab"], "MATLAB", "matlab"),
    (&["nix"], "Nix", ""),
    (&["objc", "objective-c", "objectivec"], "Objective-C", "objective-c"),
    (&["ocaml", "ml"], "OCaml", "ml"),
    (&["pascal"], "Pascal", "pas"),
    (&["perl", "pl"], "Perl", "pl"),
    (&["php"], "PHP", "php"),
    (&["powershell", "ps1", "pwsh"], "PowerShell", ""),
    (&["python", "py", "python3", "pycon", "ipython"], "Python", "py"),
    (&["r"], "R", "r"),
    (&["ruby", "rb"], "Ruby", "rb"),
    (&["rust", "rs"], "Rust", "rs"),
    (&["scala"], "Scala", "scala"),
    (&["sql", "mysql", "postgresql", "sqlite", "plsql"], "SQL", "sql"),
    (&["swift"], "Swift", "rs"),
    (&["text", "txt", "plain", "plaintext", "output"], "text", ""),
    (&["toml"], "TOML", "properties"),
    (&["typescript", "ts", "mts"], "TypeScript", "js"),
    (&["tsx"], "TSX", "js"),
    (&["xml", "svg"], "XML", "xml"),
    (&["yaml", "yml"], "YAML", "yaml"),
    (&["zig"], "Zig", "rs"),
];

/// The longest name shown of a language that is not known here.
const LONGEST_NAME: usize = 20;

/// The language's word in a fence's info string: the first one, without what some writers attach to it.
pub fn word_of(info: &str) -> &str {
    let info = info.trim_start_matches(['{', '.', ' ']);
    let end = info.find(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';' | '{' | '}' | '(' | '"' | '\''));
    &info[..end.unwrap_or(info.len())]
}

/// What a language is called: its own name, or the (shortened) word where it is not known.
pub fn name_of(word: &str) -> String {
    match known(word) {
        Some((_, name, _)) => (*name).to_owned(),
        None => word.chars().take(LONGEST_NAME).collect(),
    }
}

/// The grammar for a word.
pub(super) fn grammar_of(word: &str) -> Option<&'static str> {
    known(word).map(|(_, _, token)| *token).filter(|token| !token.is_empty())
}

fn known(word: &str) -> Option<&'static (&'static [&'static str], &'static str, &'static str)> {
    LANGUAGES.iter().find(|(words, _, _)| words.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_in_what_models_write() {
        for (info, word) in [
            ("rust", "rust"),
            ("rust,ignore", "rust"),
            ("python title=\"a.py\"", "python"),
            ("{.python .numberLines}", "python"),
            ("ts:src/a.ts", "ts"),
            ("c++", "c++"),
            ("c#", "c#"),
            ("", ""),
        ] {
            assert_eq!(word_of(info), word);
        }
    }

    #[test]
    fn names_are_the_languages_own_or_the_word() {
        assert_eq!(name_of("RS"), "Rust");
        assert_eq!(name_of("brainfuck"), "brainfuck");
        assert_eq!(name_of(&"x".repeat(99)).len(), LONGEST_NAME);
        assert_eq!(grammar_of("nix"), None);
    }
}
