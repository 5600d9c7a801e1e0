//! The languages whose blocks, comments and declarations are known, and how a file tells which it is.

/// A programming language as far as completing it needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Language {
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

impl Language {
    /// By the file's name; `None` when the name says nothing.
    pub fn from_path(path: &str) -> Option<Self> {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let (stem, extension) = name.rsplit_once('.')?;
        if stem.is_empty() {
            return matches!(extension, "bashrc" | "profile" | "bash_profile" | "bash_aliases").then_some(Self::Bash);
        }
        Some(match extension.to_ascii_lowercase().as_str() {
            "py" | "pyi" | "pyw" => Self::Python,
            "js" | "mjs" | "cjs" | "jsx" => Self::JavaScript,
            "ts" | "tsx" | "mts" | "cts" => Self::TypeScript,
            "c" | "cc" | "cpp" | "cxx" | "h" | "hh" | "hpp" | "hxx" | "ipp" | "ino" => Self::Cpp,
            "rs" => Self::Rust,
            "go" => Self::Go,
            "java" => Self::Java,
            "sh" | "bash" => Self::Bash,
            _ => Self::Other,
        })
    }

    /// By the interpreter that a script's first line names.
    pub fn from_shebang(text: &str) -> Option<Self> {
        let line = text.strip_prefix("#!")?.lines().next()?;
        let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
        let program = words.find(|word| *word != "env" && !word.starts_with('-'))?;
        match program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "python" | "pypy" => Some(Self::Python),
            "sh" | "bash" | "dash" | "ksh" | "zsh" => Some(Self::Bash),
            "node" | "deno" | "bun" => Some(Self::JavaScript),
            _ => None,
        }
    }

    /// As a person and a prompt spell it; empty for [`Language::Other`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::TypeScript => "TypeScript",
            Self::Cpp => "C++",
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Java => "Java",
            Self::Bash => "Bash",
            Self::Other => "",
        }
    }

    /// What begins a comment that goes to the line's end.
    pub fn comment(self) -> &'static str {
        match self {
            Self::Python | Self::Bash | Self::Other => "#",
            Self::JavaScript | Self::TypeScript | Self::Cpp | Self::Rust | Self::Go | Self::Java => "//",
        }
    }

    /// Whether a line is nothing but a comment.
    pub(super) fn is_comment(self, trimmed: &str) -> bool {
        trimmed.starts_with(self.comment()) || (self.comment() == "//" && trimmed.starts_with("/*"))
    }

    /// Whether a block begins after this line. A comment behind code is not looked for.
    pub(super) fn opens(self, line: &str) -> bool {
        let line = line.trim_end();
        if self.is_comment(line.trim_start()) {
            return false;
        }
        let bracket = line.ends_with(['{', '(', '[']);
        match self {
            Self::Python => bracket || line.ends_with(':'),
            Self::Bash => {
                bracket || matches!(line.rsplit([' ', '\t', ';']).next(), Some("then" | "do" | "else" | "in"))
            }
            Self::Cpp | Self::Java => bracket || (line.ends_with(':') && !line.ends_with("::")),
            Self::Go => bracket || line.ends_with(':'),
            Self::JavaScript | Self::TypeScript => bracket || line.ends_with("=>") || line.ends_with(':'),
            Self::Rust => bracket || line.ends_with("=>"),
            Self::Other => bracket || line.ends_with(':'),
        }
    }

    /// Whether nothing of the same block can usefully follow this line.
    pub(super) fn leaves(self, line: &str) -> bool {
        let word = line.trim_start().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        match self {
            Self::Python => matches!(word, "return" | "raise" | "break" | "continue"),
            Self::Bash => matches!(word, "return" | "exit" | "break" | "continue"),
            Self::JavaScript | Self::TypeScript | Self::Java | Self::Cpp => {
                matches!(word, "return" | "throw" | "break" | "continue" | "goto") && line.trim_end().ends_with(';')
            }
            Self::Rust | Self::Go => matches!(word, "return" | "break" | "continue" | "panic"),
            Self::Other => matches!(word, "return" | "break" | "continue"),
        }
    }

    /// Whether a line does nothing but close what stands above it.
    pub(super) fn closes(self, trimmed: &str) -> bool {
        if trimmed.is_empty() {
            return false;
        }
        trimmed.chars().all(|c| matches!(c, '}' | ')' | ']' | ';' | ','))
            || (self == Self::Bash && matches!(trimmed, "fi" | "done" | "esac" | ";;"))
    }
}

/// Columns that a line is indented by; a tab goes to the next multiple of four.
pub(super) fn indent(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        match c {
            ' ' => columns += 1,
            '\t' => columns = (columns / 4 + 1) * 4,
            _ => break,
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_lines_tell_the_language() {
        for (path, want) in [
            ("src/main.rs", Some(Language::Rust)),
            ("a/b.TSX", Some(Language::TypeScript)),
            ("x.h", Some(Language::Cpp)),
            (".bashrc", Some(Language::Bash)),
            ("notes.txt", Some(Language::Other)),
            ("Makefile", None),
            (".gitignore", None),
        ] {
            assert_eq!(Language::from_path(path), want, "{path}");
        }
        for (text, want) in [
            ("#!/usr/bin/env python3.11\n", Some(Language::Python)),
            ("#!/bin/sh -e\n", Some(Language::Bash)),
            ("#!/usr/bin/env -S node\n", Some(Language::JavaScript)),
            ("#!/usr/bin/perl\n", None),
            ("# python\n", None),
        ] {
            assert_eq!(Language::from_shebang(text), want, "{text}");
        }
    }

    #[test]
    fn lines_open_leave_and_close_blocks() {
        assert!(Language::Python.opens("if x:"));
        assert!(Language::Bash.opens("if [ -f a ]; then"));
        assert!(!Language::Bash.opens("echo within"));
        assert!(!Language::Cpp.opens("std::"));
        assert!(Language::Python.leaves("    return x"));
        assert!(!Language::Python.leaves("    returned = 1"));
        assert!(Language::Bash.closes("done"));
        assert!(Language::Rust.closes("});"));
        assert!(!Language::Rust.closes(""));
        assert_eq!(indent("\t  x"), 6);
        assert_eq!(indent("  \tx"), 4);
    }
}
