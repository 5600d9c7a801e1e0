//! Titles: one clean line out of whatever was said.

/// Characters of a title.
pub(crate) const LIMIT: usize = 80;

/// The first line of `text` that says something, cut to a title's length.
pub(crate) fn title_from(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let title = one_line(line, LIMIT);
    if title.is_empty() { "new session".to_owned() } else { title }
}

/// `text` on one line: control characters out, white space as single spaces, at most `limit` characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let space = usize::from(count > 0);
        let left = limit.saturating_sub(count + space);
        let length = word.chars().count();
        if left == 0 || (length > left && left < 2) {
            out.push('…');
            return out;
        }
        if space > 0 {
            out.push(' ');
        }
        if length > left {
            out.extend(word.chars().take(left - 1));
            out.push('…');
            return out;
        }
        out.push_str(word);
        count += space + length;
    }
    out
}
