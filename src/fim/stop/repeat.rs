//! Models that turn in circles: the same lines again and again, or the same few characters.

/// Lines of the longest circle looked for.
const LONGEST: usize = 4;
/// Characters repeated at most, in bytes; rules of dashes and rows of zeros are shorter.
const ROW: usize = 96;

/// If the text ends in lines repeated too often, how many bytes to keep: up to the end of the first time. `text` ends
/// with a whole line, without its line end. One line may stand three times, several lines twice.
pub(super) fn of_lines(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.rsplit('\n').take(LONGEST * 3).collect();
    for period in 1..=LONGEST {
        let times = if period == 1 { 4 } else { 3 };
        let Some(circle) = lines.get(..period * times) else { continue };
        let same = circle.iter().zip(&circle[period..]).all(|(a, b)| a == b);
        if same && circle[..period].iter().any(|line| line.trim().len() > 1) {
            let again: usize = circle[..period * (times - 1)].iter().map(|line| line.len() + 1).sum();
            return Some(text.len() - again);
        }
    }
    None
}

/// Whether a line ends in a row of the same few characters.
pub(super) fn in_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    let Some(row) = bytes.len().checked_sub(ROW).and_then(|from| bytes.get(from..)) else { return false };
    (1..=24).any(|period| row.iter().zip(&row[period..]).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_of_lines_are_cut_to_the_first_time() {
        assert_eq!(of_lines("x = 1\ny = 1\ny = 1\ny = 1\ny = 1"), Some(11));
        assert_eq!(of_lines("y = 1\ny = 1\ny = 1"), None);
        assert_eq!(of_lines("aa\nbb\naa\nbb\naa\nbb"), Some(5));
        assert_eq!(of_lines("}\n}\n}\n}\n}"), None);
        assert_eq!(of_lines("  }\n }\n}\n"), None);
    }

    #[test]
    fn rows_in_a_line_are_seen() {
        assert!(in_line(&"0, ".repeat(40)));
        assert!(!in_line(&"-".repeat(80)));
        let different: String = (0..60).map(|i| format!("{i}, ")).collect();
        assert!(!in_line(&different));
    }
}
