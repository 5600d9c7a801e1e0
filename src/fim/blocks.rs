//! How lines open, leave and close blocks, by the rules of the languages that completing knows.

use crate::lang::Syntax;
use crate::text::wrap::TAB;

impl Syntax {
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

/// Columns that a line is indented by; a tab goes to the next multiple of [`TAB`].
pub(super) fn indent(line: &str) -> usize {
    let mut columns = 0;
    for c in line.chars() {
        match c {
            ' ' => columns += 1,
            '\t' => columns = (columns / TAB + 1) * TAB,
            _ => break,
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_open_leave_and_close_blocks() {
        assert!(Syntax::Python.opens("if x:"));
        assert!(Syntax::Bash.opens("if [ -f a ]; then"));
        assert!(!Syntax::Bash.opens("echo within"));
        assert!(!Syntax::Cpp.opens("std::"));
        assert!(Syntax::Python.leaves("    return x"));
        assert!(!Syntax::Python.leaves("    returned = 1"));
        assert!(Syntax::Bash.closes("done"));
        assert!(Syntax::Rust.closes("});"));
        assert!(!Syntax::Rust.closes(""));
        assert_eq!(indent("\t  x"), 6);
        assert_eq!(indent("  \tx"), 4);
    }
}
