//! Fences of Markdown's code blocks, line by line. What stands before a fence (blanks, marks of quotes) is for the caller
//! to take away: how much may stand there differs.

/// Follows fences through a text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fences {
    /// The mark that opened a block, and how many of them.
    open: Option<(char, usize)>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It opens a block.
    Opens,
    /// It closes the block.
    Closes,
    /// It stands inside a block.
    Code,
    /// It stands outside.
    Text,
}

impl Fences {
    /// Takes the next line.
    pub(crate) fn take(&mut self, line: &str) -> Line {
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'));
        let run = mark.map_or(0, |mark| line.chars().take_while(|c| *c == mark).count());
        let rest = line.get(run..).unwrap_or_default();
        match (self.open, mark) {
            (None, Some(mark)) if run >= 3 && !(mark == '`' && rest.contains('`')) => {
                self.open = Some((mark, run));
                Line::Opens
            }
            (None, _) => Line::Text,
            (Some((open, least)), Some(mark)) if mark == open && run >= least && rest.trim().is_empty() => {
                self.open = None;
                Line::Closes
            }
            (Some(_), _) => Line::Code,
        }
    }

    /// What a line must be to close the block that is open.
    pub(crate) fn left_open(self) -> Option<String> {
        self.open.map(|(mark, run)| mark.to_string().repeat(run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_closed_by_one_of_its_kind_that_is_as_long() {
        let mut fences = Fences::default();
        let seen: Vec<Line> =
            ["a", "````md", "```", "~~~~", "```` x", "````` ", "~~~", "```", "~~~~\n", "``` a`b", "``"]
                .map(|line| fences.take(line))
                .to_vec();
        use Line::{Closes, Code, Opens, Text};
        assert_eq!(seen, [Text, Opens, Code, Code, Code, Closes, Opens, Code, Closes, Text, Text]);
        assert_eq!(fences.left_open(), None);
        assert_eq!(fences.take("~~~~ sh"), Opens);
        assert_eq!(fences.left_open().as_deref(), Some("~~~~"));
    }
}
