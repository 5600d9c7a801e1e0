//! What is known of a file by its name, or by its first line: the language, its comments, how it is indented.

/// One step of indentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A tab.
    Tab,
    /// So many spaces.
    Spaces(usize),
}

impl Unit {
    /// The characters.
    pub fn text(self) -> String {
        match self {
            Self::Tab => "\t".into(),
            Self::Spaces(n) => " ".repeat(n),
        }
    }
}

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// As a fence in Markdown writes it; empty for plain text.
    pub word: &'static str,
    /// What a comment line begins with, and what it ends with where it must.
    pub comment: Option<(&'static str, &'static str)>,
    /// How it is indented where the file does not say.
    pub unit: Unit,
    /// Words and signs besides brackets that open a block at the end of a line.
    pub opens: &'static [&'static str],
    names: &'static [&'static str],
}

const fn language(
    word: &'static str,
    comment: Option<(&'static str, &'static str)>,
    unit: Unit,
    opens: &'static [&'static str],
    names: &'static [&'static str],
) -> Language {
    Language { word, comment, unit, opens, names }
}

const SLASHES: Option<(&str, &str)> = Some(("//", ""));
const HASH: Option<(&str, &str)> = Some(("#", ""));
const DASHES: Option<(&str, &str)> = Some(("--", ""));
const SEMICOLONS: Option<(&str, &str)> = Some((";;", ""));
const PERCENT: Option<(&str, &str)> = Some(("%", ""));
const ANGLES: Option<(&str, &str)> = Some(("<!--", "-->"));
const STARS: Option<(&str, &str)> = Some(("/*", "*/"));
const FOUR: Unit = Unit::Spaces(4);
const TWO: Unit = Unit::Spaces(2);

/// Nothing in particular.
pub const PLAIN: Language = language("", None, FOUR, &[], &[]);

/// Extensions, and whole names, in small letters.
const LANGUAGES: &[Language] = &[
    language("rust", SLASHES, FOUR, &[], &["rs"]),
    language("python", HASH, FOUR, &[":"], &["py", "pyi", "pyw"]),
    language("javascript", SLASHES, TWO, &[], &["js", "mjs", "cjs", "jsx"]),
    language("typescript", SLASHES, TWO, &[], &["ts", "mts", "cts", "tsx"]),
    language("cpp", SLASHES, FOUR, &[], &["cpp", "cc", "cxx", "hpp", "hh", "hxx", "ipp"]),
    language("c", SLASHES, FOUR, &[], &["c", "h"]),
    language("go", SLASHES, Unit::Tab, &[], &["go"]),
    language("java", SLASHES, FOUR, &[], &["java"]),
    language("bash", HASH, FOUR, &["then", "do", "else"], &["sh", "bash", "zsh", ".bashrc", ".profile", "pkgbuild"]),
    language("csharp", SLASHES, FOUR, &[], &["cs"]),
    language("kotlin", SLASHES, FOUR, &[], &["kt", "kts"]),
    language("swift", SLASHES, FOUR, &[], &["swift"]),
    language("scala", SLASHES, TWO, &[], &["scala", "sbt"]),
    language("dart", SLASHES, TWO, &[], &["dart"]),
    language("zig", SLASHES, FOUR, &[], &["zig"]),
    language("php", SLASHES, FOUR, &[], &["php"]),
    language("groovy", SLASHES, FOUR, &[], &["groovy", "gradle"]),
    language("ruby", HASH, TWO, &["do", "then", "else"], &["rb", "gemfile", "rakefile"]),
    language("perl", HASH, FOUR, &[], &["pl", "pm"]),
    language("lua", DASHES, TWO, &["then", "do", "else"], &["lua"]),
    language("haskell", DASHES, TWO, &["where", "do", "of"], &["hs"]),
    language("sql", DASHES, TWO, &[], &["sql"]),
    language("elixir", HASH, TWO, &["do", "->", "else"], &["ex", "exs"]),
    language("clojure", SEMICOLONS, TWO, &[], &["clj", "cljs", "edn"]),
    language("lisp", SEMICOLONS, TWO, &[], &["lisp", "el", "scm", "rkt"]),
    language("r", HASH, TWO, &[], &["r"]),
    language("julia", HASH, FOUR, &[], &["jl"]),
    language("ocaml", Some(("(*", "*)")), TWO, &[], &["ml", "mli"]),
    language("tex", PERCENT, TWO, &[], &["tex", "sty"]),
    language("yaml", HASH, TWO, &[":"], &["yaml", "yml"]),
    language("toml", HASH, TWO, &[], &["toml", "cargo.lock"]),
    language("json", None, TWO, &[], &["json", "jsonl", "jsonc"]),
    language("ini", HASH, TWO, &[], &["ini", "cfg", "conf", "properties", ".gitconfig"]),
    language("makefile", HASH, Unit::Tab, &[], &["makefile", "gnumakefile", "mk"]),
    language("dockerfile", HASH, FOUR, &[], &["dockerfile", "containerfile"]),
    language("", HASH, TWO, &[], &["cmakelists.txt", "cmake", ".gitignore", ".dockerignore"]),
    language("html", ANGLES, TWO, &[], &["html", "htm", "xhtml", "vue", "svelte"]),
    language("xml", ANGLES, TWO, &[], &["xml", "svg"]),
    language("markdown", ANGLES, TWO, &[], &["md", "markdown"]),
    language("css", STARS, TWO, &[], &["css", "scss", "less"]),
    language("diff", None, TWO, &[], &["diff", "patch"]),
];

/// By the file's name, else by what its first line names as its interpreter.
pub fn of(name: &str, first_line: &str) -> &'static Language {
    let file = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let by = |wanted: &str| LANGUAGES.iter().find(|language| language.names.contains(&wanted));
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    by(&file).or_else(|| by(extension)).or_else(|| by(interpreter(first_line)?)).unwrap_or(&PLAIN)
}

fn interpreter(first_line: &str) -> Option<&'static str> {
    let line = first_line.strip_prefix("#!")?;
    let known = [
        ("python", "py"),
        ("bash", "sh"),
        ("zsh", "sh"),
        ("node", "js"),
        ("ruby", "rb"),
        ("perl", "pl"),
        ("lua", "lua"),
        ("sh", "sh"),
    ];
    known.iter().find(|(word, _)| line.contains(word)).map(|(_, extension)| *extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_extension_or_first_line() {
        assert_eq!(of("src/Main.RS", "").word, "rust");
        assert_eq!(of("a/Makefile", "").unit, Unit::Tab);
        assert_eq!(of("tool", "#!/usr/bin/env python3").word, "python");
        assert_eq!(of("notes.txt", ""), &PLAIN);
    }

    #[test]
    fn no_name_belongs_to_two_languages() {
        let mut all: Vec<&str> = LANGUAGES.iter().flat_map(|language| language.names).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
