//! Makes a suggestion out of what a model wrote: without what follows the cursor anyway, without blanks that nobody
//! asked for; or refuses it.

use super::Site;
use super::blocks::indent;
use super::scan::Scan;
use crate::lang::Syntax;

/// Brackets and quotes right of the cursor that are compared with the end of a candidate.
const ENDS: usize = 16;
/// Bytes of a suggestion.
const LONGEST: usize = 8 << 10;

/// The text to show and insert at the cursor, or `None` where there is nothing worth showing. Where all the text of
/// the cursor's line is right of the cursor and `candidate` is a whole line, the suggestion ends with a line end and
/// the line's own indentation.
pub fn finish(candidate: &str, site: &Site) -> Option<String> {
    let mut text = candidate.replace("\r\n", "\n");
    if text.len() > LONGEST || text.chars().any(is_harmful) {
        return None;
    }
    let alone = site.line_before().trim().is_empty();
    if alone {
        text = without_blank_lines(&text, site.line_before()).to_owned();
        text = without_second_indent(text, site);
    }
    let whole_line = site.is_before_line() && text.ends_with('\n');
    let joins = !site.line_after().is_empty() && !whole_line;
    if joins {
        text.truncate(without_overlap(&text, site).len());
        text.truncate(without_closers_to_the_right(&text, site).len());
    }
    text.truncate(without_lines_below(&text, site).len());
    if !joins || site.line_after().starts_with(char::is_whitespace) || text.trim().is_empty() {
        text.truncate(text.trim_end().len());
    }
    if text.trim().is_empty() || repeats_neighbours(&text, site, whole_line) {
        return None;
    }
    if whole_line {
        text.push('\n');
        text.push_str(site.line_before());
    }
    if site.prefix.contains("\r\n") || site.suffix.contains("\r\n") {
        text = text.replace('\n', "\r\n");
    }
    Some(text)
}

/// Characters that would do something to a terminal or to the reading order, or that stand for broken bytes.
pub(super) fn is_harmful(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffd}')
        || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

pub(super) fn is_closer(c: char) -> bool {
    matches!(c, '}' | ')' | ']' | ';' | ',')
}

/// Blank lines at the beginning are left out; the indentation that already stands before the cursor is not repeated.
fn without_blank_lines<'a>(text: &'a str, before: &str) -> &'a str {
    let lead = text.len() - text.trim_start().len();
    match text[..lead].rfind('\n') {
        Some(end) => {
            let line = &text[end + 1..];
            line.strip_prefix(before).unwrap_or(line)
        }
        None => text,
    }
}

/// Where the cursor is indented already as far as its block is, without indentation that the text begins with, in all
/// its lines if they agree.
fn without_second_indent(text: String, site: &Site) -> String {
    let before = site.line_before();
    let lead = &text[..text.len() - text.trim_start().len()];
    if before.is_empty() || lead.is_empty() || lead.contains('\n') || site.tongue() == Syntax::Other {
        return text;
    }
    let whole = match site.lines_above().next() {
        None => 0,
        Some(above) if site.tongue().opens(above) => indent(above) + site.indent_unit(),
        // the line goes on below: how far that is indented is a matter of taste
        Some(above)
            if above.trim_end().ends_with(|c: char| {
                !c.is_alphanumeric() && !matches!(c, ';' | ')' | ']' | '}' | '"' | '\'' | '`')
            }) =>
        {
            return text;
        }
        Some(above) => indent(above),
    };
    if indent(before) < whole {
        return text;
    }
    let deep = format!("{before}{lead}");
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let agree = rest.lines().all(|line| line.trim().is_empty() || line.starts_with(&deep));
    let mut out = first[lead.len()..].to_owned();
    if text.contains('\n') {
        for line in rest.split('\n') {
            let shorter = if agree { line.strip_prefix(&deep).map(|rest| format!("{before}{rest}")) } else { None };
            out.extend(["\n", shorter.as_deref().unwrap_or(line)]);
        }
    }
    out
}

/// Without an end that repeats what stands right of the cursor: all of that, or brackets and quotes that the text
/// closes although they were opened before it.
fn without_overlap<'a>(text: &'a str, site: &Site) -> &'a str {
    let after = site.line_after().trim_end();
    let blank = after.len() - after.trim_start().len();
    if after.trim_start().is_empty() {
        return text;
    }
    let mine = text.trim_end_matches([' ', '\t', '\n']);
    // All of it is the same code, unless it is but an end of what the text itself began.
    let ambiguous = |c: char| matches!(c, '}' | ')' | ']' | '"' | '\'' | '`' | '>');
    let sure = after.chars().filter(|c| c.is_alphanumeric()).count() >= 2 || !after.contains(ambiguous);
    for rest in [after, &after[blank..]] {
        if let Some(kept) = mine.strip_suffix(rest)
            && (sure || closes_from_before(mine, kept, site))
        {
            return kept;
        }
    }
    let ends = after.char_indices().map(|(at, c)| at + c.len_utf8());
    let head = ends
        .take(blank + ENDS)
        .take_while(|end| after[blank.min(*end)..*end].chars().all(is_end))
        .filter(|end| *end > blank);
    for end in head.collect::<Vec<_>>().into_iter().rev() {
        for rest in [&after[..end], &after[blank..end]] {
            if let Some(kept) = mine.strip_suffix(rest)
                && closes_from_before(mine, kept, site)
            {
                return kept;
            }
        }
    }
    text
}

/// Ends where the text closes a bracket or a quote that was open at the cursor and whose closer stands right of it
/// already, whatever the text writes after that (`names):` before a `)`). Text that opens the same again before its end
/// leaves the closer on the right something to close, and stays whole.
fn without_closers_to_the_right<'a>(text: &'a str, site: &Site) -> &'a str {
    let mut cursor = site.scan();
    cursor.mark();
    let open = cursor.open();
    let cut_where = |is_over: &dyn Fn(&Scan) -> bool| {
        let mut scan = cursor.clone();
        let mut cut = None;
        for (at, c) in text.char_indices() {
            scan.push(c);
            if cut.is_none() && is_over(&scan) {
                cut = Some(at);
            }
        }
        (cut.unwrap_or(text.len()), scan)
    };
    if cursor.in_comment() {
        return text;
    }
    if cursor.in_text() {
        let mut right = cursor.clone();
        site.line_after().chars().take(1).for_each(|c| right.push(c));
        let (cut, end) = cut_where(&|scan| scan.left_text());
        return if right.left_text() && !end.in_text() { &text[..cut] } else { text };
    }
    let closers = site.line_after().trim_start().chars().take_while(|c| matches!(c, ')' | ']' | '}'));
    let closed_by_them = |scan: &Scan| {
        let mut right = scan.clone();
        closers.clone().for_each(|c| right.push(c));
        scan.open() - right.open()
    };
    let standing = closed_by_them(&cursor);
    // Those of this line alone that the text must still close so that the line is whole.
    let needed = site.opened_on_line().saturating_sub(standing);
    let (cut, end) = cut_where(&|scan| scan.below(open) > needed);
    let excess = end.below(open).saturating_sub(needed);
    let opened_again = end.depth() >= excess && closed_by_them(&end) == standing;
    if standing == 0 || opened_again { text } else { &text[..cut] }
}

fn is_end(c: char) -> bool {
    is_closer(c) || matches!(c, '"' | '\'' | '`' | ':' | '>')
}

/// The end of `text` beyond `kept` closes what was open at the cursor.
fn closes_from_before(text: &str, kept: &str, site: &Site) -> bool {
    let before = site.scan();
    let run = |text: &str| {
        let mut scan = before.clone();
        scan.mark();
        text.chars().for_each(|c| scan.push(c));
        scan
    };
    let closed = |scan: &Scan| scan.below(before.open());
    let (whole, part) = (run(text), run(kept));
    closed(&whole) > closed(&part) || (whole.left_text() && !part.left_text())
}

/// Without lines at the end that are the first lines below the cursor.
fn without_lines_below<'a>(text: &'a str, site: &Site) -> &'a str {
    let below: Vec<_> = site.lines_below().take(16).collect();
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    // The longest overlap first: it begins at the earliest line.
    for end in ends {
        let lines: Vec<&str> = text[end + 1..].lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let same = !lines.is_empty()
            && lines.len() <= below.len()
            && lines.iter().zip(&below).all(|(a, b)| *a == b.trim_end());
        let closers = lines.iter().all(|line| line.trim().chars().all(is_closer));
        if same && (!closers || closes_from_before(text, &text[..end], site)) {
            return &text[..end];
        }
    }
    text
}

/// The suggestion says again what the nearest lines above or below say.
fn repeats_neighbours(text: &str, site: &Site, whole_line: bool) -> bool {
    let first = format!("{}{text}", site.line_before());
    let mine: Vec<&str> = first.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    if mine.iter().all(|line| line.trim().chars().all(is_closer)) {
        return false;
    }
    // A part of a line that stays a part cannot repeat a line.
    if !site.line_after().trim().is_empty() && !whole_line {
        return false;
    }
    let mut above: Vec<&str> = site.lines_above().take(mine.len()).map(str::trim_end).collect();
    above.reverse();
    let below: Vec<_> = site.lines_below().take(mine.len()).collect();
    let said_above = mine == above && !is_row(&mine, site.tongue());
    said_above || (mine.len() == below.len() && mine.iter().zip(&below).all(|(a, b)| same_line(a, b)))
}

/// One short item of a list, which may well come twice.
fn is_row(lines: &[&str], language: Syntax) -> bool {
    matches!(lines, [line] if line.trim().len() < 6 && line.ends_with(',') && !language.is_comment(line.trim()))
}

fn same_line(a: &str, b: &str) -> bool {
    indent(a) == indent(b) && a.trim() == b.trim()
}

/// At most so many bytes from the beginning, whole characters.
pub(super) fn head(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// At most so many bytes from the end, whole characters.
pub(super) fn tail(text: &str, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(bytes))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn py(before: &str, after: &str, candidate: &str) -> Option<String> {
        finish(candidate, &Site::new(Some("a.py"), None, before, after))
    }

    #[test]
    fn what_follows_the_cursor_is_not_written_twice() {
        for (before, after, candidate, want) in [
            ("f(", ")", "x)", Some("x")),
            ("f(", ")", "g(x)", Some("g(x)")),
            ("f(", "):", "g(x)):", Some("g(x)")),
            ("if f(", "):", "x)", Some("x")),
            ("a = [", "]", "1, 2]  ", Some("1, 2")),
            ("s = \"a", "\"", "bc\"", Some("bc")),
            ("s = ", "", "\"bc\"", Some("\"bc\"")),
            ("x = ", "foo(y)", "1 + foo(y)", Some("1 + ")),
            ("x = ", " + y", "z  ", Some("z")),
            ("x = ", "y", "z + ", Some("z + ")),
            ("x = f(", "", "a)", Some("a)")),
            ("[1, ", ",", "2,", Some("2")),
            ("for x ", ":", "in y:", Some("in y")),
            ("['a", "s',", "bs',", Some("b")),
        ] {
            assert_eq!(py(before, after, candidate).as_deref(), want, "{before}|{after} {candidate}");
        }
    }

    #[test]
    fn closers_right_of_the_cursor_are_not_written_twice_whatever_follows_them() {
        for (path, before, after, candidate, want) in [
            ("a.py", "for i, name in enumerate(", ")", "names):", Some("names")),
            ("a.py", "for i, name in enumerate(", ")  # all", "names):  # each", Some("names")),
            ("a.py", "d = {\"a\": f(", ")}", "1)}  # one", Some("1")),
            ("a.py", "s = \"a", "\"", "bc\".upper()", Some("bc")),
            ("a.py", "print(\"a", "\")", "b\" + x + \"c", Some("b\" + x + \"c")),
            ("a.py", "x = f(", ")", "a) + g(b", Some("a) + g(b")),
            ("a.py", "x = f(g(", ")", "a)):", Some("a)")),
            ("a.py", "x = f(g(", "))", "a)):", Some("a")),
            ("a.py", "f(\n    a, ", ")", "b):", Some("b")),
            ("a.py", "x = f(", "y)", "a) + (", Some("a) + (")),
            ("a.js", "if (user.isActive(", ")", ")) {", Some(")")),
            ("a.js", "if (user.isActive(", ")) {", ")) {", None),
            ("a.js", "items.map((a) => a[", "]);", "0]); // first", Some("0")),
            ("a.rs", "let s = format!(", ")", "\"{}\", \"World\");", Some("\"{}\", \"World\"")),
            ("a.rs", "let v = vec![", "];", "1, 2]; // two", Some("1, 2")),
            ("a.go", "fmt.Println(", ")", "\")\", x) // said", Some("\")\", x")),
            ("a.cpp", "while (it != end(", ")) {", "v)) {  ++n;", Some("v")),
        ] {
            let got = finish(candidate, &Site::new(Some(path), None, before, after));
            assert_eq!(got.as_deref(), want, "{before}|{after} {candidate}");
        }
    }

    #[test]
    fn a_cursor_that_is_indented_already_is_not_indented_again() {
        for (path, before, candidate, want) in [
            ("a.py", "def f():\n    ", "    return 1", "return 1"),
            ("a.py", "def f():\n    ", "    a = 1\n        return a", "a = 1\n    return a"),
            ("a.py", "def f():\n    ", "    a = 1\n    return a", "a = 1\n    return a"),
            ("a.py", "def f():\n  ", "  return 1", "  return 1"),
            ("a.py", "class A:\n  x = 1\n\n  def f(self):\n    ", "  return 1", "return 1"),
            ("a.py", "def f():\n\t", "\treturn 1", "return 1"),
            ("a.py", "def f():\n    a = 1\n    ", "    b = 2", "b = 2"),
            ("a.py", "x = [1,\n    ", "    2]", "    2]"),
            ("a.py", "x = a +\\\n    ", "    b", "    b"),
            ("a.rs", "fn f() {\n    ", "    g();\n        h();", "g();\n    h();"),
            ("a.js", "if (a) {\n  b();\n  ", "  c();", "c();"),
            ("a.txt", "- a\n  ", "  - b", "  - b"),
        ] {
            let got = finish(candidate, &Site::new(Some(path), None, before, ""));
            assert_eq!(got.as_deref(), Some(want), "{before}| {candidate}");
        }
    }

    #[test]
    fn lines_below_the_cursor_are_not_written_twice() {
        let below = "\n    return a\n";
        assert_eq!(py("def f():\n    ", below, "a = 1\n    return a").as_deref(), Some("a = 1"));
        assert_eq!(py("def f():\n    ", below, "return a"), None);
        let rust = |candidate: &str| finish(candidate, &Site::new(Some("a.rs"), None, "fn f() {\n    ", "\n}\n"));
        assert_eq!(rust("g();\n}").as_deref(), Some("g();"));
        assert_eq!(rust("if a {\n        g();\n    }").as_deref(), Some("if a {\n        g();\n    }"));
    }

    #[test]
    fn a_whole_line_goes_before_the_line_of_the_cursor() {
        assert_eq!(py("def f():\n", "    return a\n", "    a = 1\n").as_deref(), Some("    a = 1\n"));
        assert_eq!(py("def f():\n    ", "return a\n", "a = 1\n").as_deref(), Some("a = 1\n    "));
        assert_eq!(py("def f():\n    ", "return a\n", "return a\n"), None);
    }

    #[test]
    fn nothing_echoes_and_nothing_harmful_is_shown() {
        for candidate in ["", "  \n\n", "a = \u{1b}[31m1", "a = \u{202e}1", "a\u{0}", "\u{fffd}", "a\u{10fffd}b"] {
            assert_eq!(py("x\n", "", candidate), None, "{candidate:?}");
        }
        assert_eq!(py("i += 1\n", "", "i += 1"), None);
        assert_eq!(py("    0,\n", "", "    0,").as_deref(), Some("    0,"));
        assert_eq!(py("x\n", "", &"a".repeat(LONGEST + 1)), None);
        let brackets = Site::new(Some("a.rs"), None, "a {\n b {\n c\n }\n", "");
        assert_eq!(finish(" }", &brackets).as_deref(), Some(" }"));
    }

    #[test]
    fn blank_lines_go_and_line_ends_are_the_file_s() {
        assert_eq!(py("a = 1\n", "", "\n\nb = 2\n\n").as_deref(), Some("b = 2"));
        assert_eq!(py("if a:\n    ", "", "\n    b = 2").as_deref(), Some("b = 2"));
        assert_eq!(py("def f():", "", "\n    return 1\n").as_deref(), Some("\n    return 1"));
        assert_eq!(py("a = 1\r\n", "", "if b:\n    c\n").as_deref(), Some("if b:\r\n    c"));
    }

    proptest::proptest! {
        #[test]
        fn any_candidate_is_taken_or_refused(
            before in "[a-z(\\[{\"' :\n]{0,40}", after in "[a-z)\\]}\"' :\n]{0,40}", candidate in "\\PC{0,20}[a-z()\"':, \n]{0,40}",
        ) {
            if let Some(text) = py(&before, &after, &candidate) {
                proptest::prop_assert!(!text.trim().is_empty());
                proptest::prop_assert!(!text.chars().any(is_harmful));
            }
        }
    }
}
