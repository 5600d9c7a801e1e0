//! What is known of programming languages, a row for each: what it and its files are called, its comments and its
//! indentation, the grammar that colours it, and by which rules completing, editing and training read it.
//!
//! Data, and functions that look things up. It knows no other room, and refuses to read a file or to parse a program.

mod table;

use serde::{Deserialize, Serialize};

pub(crate) use table::LANGUAGES;

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

/// The languages whose quotes, brackets and blocks completing knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Syntax {
    Python,
    JavaScript,
    TypeScript,
    /// C too.
    Cpp,
    Rust,
    Go,
    Java,
    Bash,
    /// Anything else.
    Other,
}

/// How tests are written that stand inside a file of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestStyle {
    /// Attributes and modules of tests.
    Rust,
    /// Functions and classes called after tests; prompts in comments.
    Python,
    /// Calls of `describe`, `it` and `test`.
    Script,
    /// Functions that take a `*testing.T`.
    Go,
    /// Methods with an annotation.
    Classes,
    /// Macros, and functions called `test_…`.
    C,
    /// Blocks that end with `end`.
    Words,
    /// Sections of a configuration.
    Sections,
    /// Targets.
    Makefile,
}

/// A language, or another kind of file that a person edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// As a person spells it; also a name for fences, in any case. Empty for [`PLAIN`].
    pub name: &'static str,
    /// What else stands behind a fence, in small letters; extensions do as well and are not repeated here.
    pub words: &'static [&'static str],
    /// Endings of its files in small letters, without the dot; a new file gets the first.
    pub extensions: &'static [&'static str],
    /// Whole names of files, as they are usually written.
    pub files: &'static [&'static str],
    /// Programs that a script's first line names, without their version.
    pub interpreters: &'static [&'static str],
    /// What a comment line begins with, and what it ends with where it must.
    pub comment: Option<(&'static str, &'static str)>,
    /// How it is indented where the file does not say.
    pub unit: Unit,
    /// Words and signs besides brackets that open a block at the end of a line.
    pub opens: &'static [&'static str],
    /// The grammar that colours it, by an extension or a name that the highlighter's grammars know; empty for none.
    pub grammar: &'static str,
    /// Whose rules completing follows.
    pub syntax: Syntax,
    /// By whose rules its quotes and brackets can be checked, if they can.
    pub checked: Option<Syntax>,
    /// How tests inside its files are known, if they are.
    pub tests: Option<TestStyle>,
    /// Languages of one family import each other; empty for a language that stands alone.
    pub family: &'static str,
    /// Made of prose, in which anything may stand.
    pub prose: bool,
    /// Prose that may hold fenced code.
    pub fences: bool,
    /// A block of it is rather typed into a shell, or written by a program, than a file.
    pub typed: bool,
    /// Extensions whose files are source code to train on when a recipe names none.
    pub corpus: &'static [&'static str],
    /// What a line begins with that imports something.
    pub imports: &'static [&'static str],
    /// What a line begins with, behind visibility and the like, that declares something.
    pub declares: &'static [&'static str],
}

/// Nothing in particular.
pub const PLAIN: Language = Language {
    name: "",
    words: &[],
    extensions: &[],
    files: &[],
    interpreters: &[],
    comment: None,
    unit: Unit::Spaces(4),
    opens: &[],
    grammar: "",
    syntax: Syntax::Other,
    checked: None,
    tests: None,
    family: "",
    prose: false,
    fences: false,
    typed: false,
    corpus: &[],
    imports: &["import ", "use ", "require ", "#include"],
    declares: &["def ", "fn ", "func ", "function ", "class ", "struct "],
};

/// What comments begin with in text whose language is not known.
pub(crate) const COMMENTS: [&str; 7] = ["//", "#", "--", ";", "/*", "<!--", "%"];

/// The longest name shown of a language that is not known here.
const LONGEST_NAME: usize = 20;

/// By the file's name, else by the interpreter that its first line names, else [`PLAIN`].
pub fn of(name: &str, first_line: &str) -> &'static Language {
    of_file(name).or_else(|| of_shebang(first_line)).unwrap_or(&PLAIN)
}

/// By the file's name, in any case.
pub fn of_file(name: &str) -> Option<&'static Language> {
    let file = file_of(name);
    let whole = |language: &&Language| language.files.iter().any(|known| known.eq_ignore_ascii_case(file));
    LANGUAGES.iter().find(whole).or_else(|| of_extension(extension(file)))
}

/// By what stands behind a fence, in any case: the language's name, another word for it, or an extension.
pub fn of_word(word: &str) -> Option<&'static Language> {
    let called = |language: &&Language| {
        language.name.eq_ignore_ascii_case(word) || language.words.iter().any(|known| known.eq_ignore_ascii_case(word))
    };
    LANGUAGES.iter().find(called).or_else(|| of_extension(word))
}

/// By an extension without its dot, in any case.
pub fn of_extension(extension: &str) -> Option<&'static Language> {
    let has = |language: &&Language| language.extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
    LANGUAGES.iter().find(has)
}

/// By the interpreter that a script's first line names.
pub fn of_shebang(text: &str) -> Option<&'static Language> {
    let line = text.strip_prefix("#!")?.lines().next()?;
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LANGUAGES.iter().find(|language| language.interpreters.contains(&program))
}

/// Whether this is, to the letter, the whole name of a file that is known without an extension.
pub(crate) fn is_whole_name(file: &str) -> bool {
    LANGUAGES.iter().any(|language| language.files.contains(&file))
}

/// The last part of a path.
pub(crate) fn file_of(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What stands behind the last dot of a file's name; empty where there is no dot.
pub(crate) fn extension(path: &str) -> &str {
    file_of(path).rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The language's word in a fence's info string: the first one, without what some writers attach to it.
pub fn word_of(info: &str) -> &str {
    let info = info.trim_start_matches(['{', '.', ' ']);
    let end = info.find(|c: char| c.is_whitespace() || matches!(c, ',' | ':' | ';' | '{' | '}' | '(' | '"' | '\''));
    &info[..end.unwrap_or(info.len())]
}

/// What a language is called: its own name, or the (shortened) word where it is not known.
pub fn name_of(word: &str) -> String {
    match of_word(word) {
        Some(language) => language.name.to_owned(),
        None => word.chars().take(LONGEST_NAME).collect(),
    }
}

/// The extensions of files to train on when a recipe names none.
pub fn corpus_extensions() -> impl Iterator<Item = &'static str> {
    LANGUAGES.iter().flat_map(|language| language.corpus).copied()
}

impl Language {
    /// Whether a file of the one may be about, or import, a file of the other.
    pub(crate) fn is_kin(&self, other: &Self) -> bool {
        self.name == other.name || (!self.family.is_empty() && self.family == other.family)
    }
}

impl Syntax {
    /// By the file's name; `None` when the name says nothing.
    pub fn from_path(path: &str) -> Option<Self> {
        let known = of_file(path).map(|language| language.syntax).filter(|syntax| *syntax != Self::Other);
        let has_extension = file_of(path).rsplit_once('.').is_some_and(|(stem, _)| !stem.is_empty());
        known.or(has_extension.then_some(Self::Other))
    }

    /// By the interpreter that a script's first line names.
    pub fn from_shebang(text: &str) -> Option<Self> {
        of_shebang(text).map(|language| language.syntax).filter(|syntax| *syntax != Self::Other)
    }

    /// The row that stands for it: the first of those that follow its rules.
    pub(crate) fn language(self) -> &'static Language {
        let row = LANGUAGES.iter().find(|language| language.syntax == self);
        row.filter(|_| self != Self::Other).unwrap_or(&PLAIN)
    }

    /// As a person and a prompt spell it; empty for [`Syntax::Other`].
    pub fn name(self) -> &'static str {
        self.language().name
    }

    /// What begins a comment that goes to the line's end.
    pub fn comment(self) -> &'static str {
        self.language().comment.map_or("#", |(open, _)| open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every word, extension or whole name, with the row it stands in.
    fn all(of: impl Fn(&'static Language) -> &'static [&'static str]) -> Vec<(&'static str, &'static Language)> {
        LANGUAGES.iter().flat_map(|row| of(row).iter().map(move |text| (*text, row))).collect()
    }

    #[test]
    fn nothing_belongs_to_two_languages() {
        let fences = LANGUAGES.iter().map(|row| (row.name.to_ascii_lowercase(), row.name));
        let words = all(|row| row.words).into_iter().chain(all(|row| row.extensions));
        let mut fences: Vec<_> = fences.chain(words.map(|(word, row)| (word.to_owned(), row.name))).collect();
        fences.sort_unstable();
        fences.dedup();
        let twice = fences.windows(2).filter(|pair| pair[0].0 == pair[1].0).collect::<Vec<_>>();
        assert!(twice.is_empty(), "{twice:?}");
        for mut texts in [all(|row| row.extensions), all(|row| row.files), all(|row| row.interpreters)] {
            assert!(texts.len() > 20 || texts.iter().any(|(text, _)| *text == "python"));
            texts.sort_unstable_by_key(|(text, _)| *text);
            assert!(texts.windows(2).all(|pair| pair[0].0 != pair[1].0));
        }
    }

    #[test]
    fn every_row_is_found_by_all_that_it_says() {
        assert!(LANGUAGES.len() > 50);
        for row in LANGUAGES {
            assert_eq!(of_word(row.name), Some(row), "{}", row.name);
            assert!(!(row.extensions.is_empty() && row.files.is_empty() && row.words.is_empty()), "{}", row.name);
            for word in row.words.iter().chain(row.extensions) {
                assert_eq!(word.to_lowercase(), *word);
                assert_eq!(of_word(&word.to_uppercase()), Some(row), "{word}");
            }
            for extension in row.extensions {
                assert_eq!(of_file(&format!("a/b.{}", extension.to_uppercase())), Some(row), "{extension}");
            }
            for file in row.files {
                assert_eq!(of_file(&format!("a/{file}")), Some(row), "{file}");
                assert!(is_whole_name(file));
            }
            for program in row.interpreters {
                assert_eq!(of("tool", &format!("#!/usr/bin/env {program}")), row, "{program}");
            }
            assert!(row.corpus.iter().all(|extension| row.extensions.contains(extension)), "{}", row.name);
            assert!(row.prose || !row.fences, "{}", row.name);
            assert!(row.checked.is_none_or(|syntax| syntax != Syntax::Other && syntax != Syntax::Bash));
        }
    }

    #[test]
    fn files_are_known_by_name_extension_or_first_line() {
        assert_eq!(of("src/Main.RS", "").name, "Rust");
        assert_eq!(of("a/Makefile", "").unit, Unit::Tab);
        assert_eq!(of("a/CMakeLists.txt", "").name, "CMake");
        assert_eq!(of("tool", "#!/usr/bin/env python3").name, "Python");
        assert_eq!(of("notes.unknown", ""), &PLAIN);
        assert_eq!(of("", ""), &PLAIN);
        assert_eq!(of_word(""), None);
    }

    #[test]
    fn names_and_first_lines_tell_the_syntax() {
        for (path, want) in [
            ("src/main.rs", Some(Syntax::Rust)),
            ("a/b.TSX", Some(Syntax::TypeScript)),
            ("x.h", Some(Syntax::Cpp)),
            (".bashrc", Some(Syntax::Bash)),
            ("notes.txt", Some(Syntax::Other)),
            ("Cargo.lock", Some(Syntax::Other)),
            ("Makefile", None),
            (".gitignore", None),
        ] {
            assert_eq!(Syntax::from_path(path), want, "{path}");
        }
        for (text, want) in [
            ("#!/usr/bin/env python3.11\n", Some(Syntax::Python)),
            ("#!/bin/sh -e\n", Some(Syntax::Bash)),
            ("#!/usr/bin/env -S node\n", Some(Syntax::JavaScript)),
            ("#!/usr/bin/env -S A=b bash\n", Some(Syntax::Bash)),
            ("#!/usr/bin/perl\n", None),
            ("# python\n", None),
        ] {
            assert_eq!(Syntax::from_shebang(text), want, "{text}");
        }
    }

    #[test]
    fn every_syntax_has_a_row_that_stands_for_it() {
        for (syntax, name, comment) in [
            (Syntax::Python, "Python", "#"),
            (Syntax::JavaScript, "JavaScript", "//"),
            (Syntax::TypeScript, "TypeScript", "//"),
            (Syntax::Cpp, "C++", "//"),
            (Syntax::Rust, "Rust", "//"),
            (Syntax::Go, "Go", "//"),
            (Syntax::Java, "Java", "//"),
            (Syntax::Bash, "Bash", "#"),
            (Syntax::Other, "", "#"),
        ] {
            assert_eq!((syntax.name(), syntax.comment()), (name, comment));
        }
    }

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
        assert_eq!(name_of("RS"), "Rust");
        assert_eq!(name_of("brainfuck"), "brainfuck");
        assert_eq!(name_of(&"x".repeat(99)).len(), LONGEST_NAME);
    }

    #[test]
    fn languages_that_import_each_other_are_kin() {
        let kin = |a: &str, b: &str| of_extension(a).unwrap().is_kin(of_extension(b).unwrap());
        assert!(kin("ts", "vue") && kin("py", "pyi") && kin("java", "kt") && kin("h", "cpp") && kin("mm", "c"));
        assert!(!kin("py", "css") && !kin("rs", "go") && !kin("md", "txt"));
    }
}
