//! Search/replace blocks: a line with a file's name, the lines that stand there now, the lines that shall.
//!
//! ```text
//! src/main.rs
//! <<<<<<< SEARCH
//! old lines
//! =======
//! new lines
//! >>>>>>> REPLACE
//! ```
//!
//! Read tolerantly, for models write them carelessly: fences around or inside, marks of a wrong length, a name in bold. A
//! block is applied whole or not at all; one that fits no place or several is refused with the reason, never guessed.

use super::{Problem, lines};

/// Bytes of a name at most.
const LONGEST_NAME: usize = 400;
/// Blocks of one answer at most.
const MOST: usize = 200;

/// What a line is, if it belongs to the form of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Before the old lines.
    Search,
    /// Between old and new.
    Divider,
    /// Behind the new lines.
    Replace,
}

/// A block as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The file's name; `None` where the answer has none so far.
    pub name: Option<String>,
    /// The lines to be found, each ended.
    pub search: String,
    /// What takes their place, each line ended.
    pub replace: String,
}

/// What a line is, and what stands behind its mark.
pub(super) fn mark(line: &str) -> Option<(Mark, &str)> {
    let line = line.trim_end();
    let sign = line.chars().next().filter(|c| matches!(c, '<' | '=' | '>'))?;
    let rest = line.trim_start_matches(sign);
    let run = line.len() - rest.len();
    let rest = rest.trim_start();
    let behind = |words: &[&str]| words.iter().find_map(|word| rest.strip_prefix(word)).map(str::trim);
    match sign {
        '<' if (5..=9).contains(&run) => match behind(&["SEARCH", "ORIGINAL", "HEAD"]) {
            Some(rest) => Some((Mark::Search, rest)),
            None => (run == 7 && rest.is_empty()).then_some((Mark::Search, "")),
        },
        '=' => ((6..=8).contains(&run) && rest.is_empty()).then_some((Mark::Divider, "")),
        '>' if (5..=9).contains(&run) => match behind(&["REPLACE", "UPDATED"]) {
            Some(rest) => Some((Mark::Replace, rest)),
            None => (run == 7 && rest.is_empty()).then_some((Mark::Replace, "")),
        },
        _ => None,
    }
}

/// Whether a text has something like a block in it.
pub fn has_blocks(text: &str) -> bool {
    text.lines().any(|line| matches!(mark(line), Some((Mark::Search, _))))
}

fn is_fence(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("```") || line.starts_with("~~~")
}

/// A file's name that a line consists of; `known` are names that may have blanks in them.
fn name_in(line: &str, known: &[&str]) -> Option<String> {
    let mut line = line.trim();
    if is_fence(line) {
        // "```rust src/main.rs" and "```rust:src/main.rs"
        let info = line.trim_start_matches(['`', '~']);
        line = info.split_once([' ', ':']).map_or("", |(_, rest)| rest.trim());
    }
    let line = line.trim_start_matches(['#', '*', '-', '/', ' ', '>']).trim();
    let line = ["File:", "file:", "Path:", "path:", "Filename:", "filename:", "FILE:"]
        .iter()
        .find_map(|word| line.strip_prefix(word))
        .unwrap_or(line);
    let line = line.trim().trim_matches(['`', '*', ':', '"', '\'']).trim();
    if known.contains(&line) {
        return Some(line.to_owned());
    }
    let shaped = !line.is_empty()
        && line.len() <= LONGEST_NAME
        && line.contains(['.', '/'])
        && !line.ends_with(['.', '/'])
        && !line.contains(|c: char| c.is_whitespace() || c.is_control() || "(){}<>;=,|\"'`".contains(c));
    shaped.then(|| line.to_owned())
}

fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// What is inside a fence that a model put around the lines; `None` without one.
fn unfenced<'a, 'b>(lines: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let first = lines.iter().position(|line| !line.trim().is_empty())?;
    let last = lines.iter().rposition(|line| !line.trim().is_empty())?;
    (last > first && is_fence(lines[first]) && is_fence(lines[last])).then(|| &lines[first + 1..last])
}

/// The blocks of an answer and what is wrong with others. `known` are the names of files that the answer may mean.
pub fn parse(answer: &str, known: &[&str]) -> (Vec<Block>, Vec<Problem>) {
    let lines: Vec<&str> = answer.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let (mut blocks, mut problems) = (Vec::new(), Vec::new());
    let mut name: Option<String> = None;
    let mut at = 0;
    let mut behind = 0;
    while at < lines.len() {
        let Some((Mark::Search, rest)) = mark(lines[at]) else {
            at += 1;
            continue;
        };
        // the nearest name of the two lines with something on them
        let before = lines[behind..at].iter().rev().filter(|line| !line.trim().is_empty()).take(2);
        if let Some(found) = name_in(rest, known).or_else(|| before.into_iter().find_map(|line| name_in(line, known))) {
            name = Some(found);
        }
        let number = blocks.len() + problems.len() + 1;
        let what = |name: &Option<String>| match name {
            Some(name) => format!("block {number} for {name}"),
            None => format!("block {number}"),
        };
        let find = |from: usize, wanted: &[Mark]| {
            (from..lines.len()).find(|n| mark(lines[*n]).is_some_and(|(mark, _)| wanted.contains(&mark)))
        };
        let divider = find(at + 1, &[Mark::Divider, Mark::Replace, Mark::Search]);
        let Some(divider) = divider else {
            problems.push(Problem::new(what(&name), "it was cut off before its `=======`"));
            break;
        };
        if !matches!(mark(lines[divider]), Some((Mark::Divider, _))) {
            problems.push(Problem::new(what(&name), "it has no `=======`"));
            at = if matches!(mark(lines[divider]), Some((Mark::Search, _))) { divider } else { divider + 1 };
            behind = at;
            continue;
        }
        let Some(end) = find(divider + 1, &[Mark::Replace, Mark::Search]) else {
            problems.push(Problem::new(what(&name), "it was cut off before its `>>>>>>> REPLACE`"));
            break;
        };
        let closed = matches!(mark(lines[end]), Some((Mark::Replace, _)));
        if closed {
            blocks.push(Block {
                name: name.clone(),
                search: joined(&lines[at + 1..divider]),
                replace: joined(&lines[divider + 1..end]),
            });
        } else {
            problems.push(Problem::new(what(&name), "it has no `>>>>>>> REPLACE`"));
        }
        at = if closed { end + 1 } else { end };
        behind = at;
        if blocks.len() + problems.len() >= MOST {
            problems.push(Problem::new("the rest", format!("an answer may have {MOST} blocks")));
            break;
        }
    }
    (blocks, problems)
}

/// A line of a file that is being changed.
#[derive(Clone, Debug)]
struct Line {
    text: String,
    /// It stood there before the first block.
    original: bool,
}

/// A text after the blocks that fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The text, with the line ends it had.
    pub text: String,
    /// The blocks that do not fit, by their place in what was given, and why.
    pub refused: Vec<(usize, String)>,
}

/// How a line of a block is held against one of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ease {
    Exact,
    Ends,
    Indent,
}

/// Applies blocks one after the other. Where a text stood before the first block it is meant there, not in what an
/// earlier block brought.
pub fn apply(text: &str, blocks: &[&Block]) -> Applied {
    let plain = text.strip_prefix(lines::BOM).unwrap_or(text);
    let mut now: Vec<Line> = lines::split(plain)
        .into_iter()
        .map(|line| Line { text: lines::body(line).to_owned(), original: true })
        .collect();
    let mut refused = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        if let Err(reason) = one(&mut now, block) {
            refused.push((n, reason));
        }
    }
    let joined: String = now.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
    Applied { text: lines::fit(text, &joined), refused }
}

fn one(now: &mut Vec<Line>, block: &Block) -> Result<(), String> {
    let search: Vec<&str> = block.search.lines().collect();
    let replace: Vec<&str> = block.replace.lines().collect();
    let bare = (unfenced(&search), unfenced(&replace));
    // a fence around the new lines alone is the model's, unless the old ones have fences of their own
    let inner = match bare.1 {
        Some(inner) if !search.iter().any(|line| is_fence(line)) => inner,
        _ => &replace,
    };
    match (fit_in(now, &search, inner), bare.0) {
        (Err(_), Some(search)) => fit_in(now, search, bare.1.unwrap_or(&replace)),
        (result, _) => result,
    }
}

fn fit_in(now: &mut Vec<Line>, search: &[&str], replace: &[&str]) -> Result<(), String> {
    let first = search.iter().position(|line| !line.trim().is_empty());
    let Some(first) = first else {
        if now.iter().all(|line| line.text.trim().is_empty()) {
            *now = replace.iter().map(|line| Line { text: (*line).to_owned(), original: false }).collect();
            return Ok(());
        }
        return Err("its SEARCH is empty and the file is not".into());
    };
    if search == replace {
        return Err("it changes nothing".into());
    }
    let last = search.iter().rposition(|line| !line.trim().is_empty()).unwrap_or(first);
    let trimmed = &search[first..=last];
    for ease in [Ease::Exact, Ease::Ends, Ease::Indent] {
        for fresh in [false, true] {
            // blank lines at the ends of a SEARCH are dropped as soon as it does not fit to the letter
            let wanted = if ease == Ease::Exact { search } else { trimmed };
            let found = places(now, wanted, ease, fresh);
            match found[..] {
                [] => {}
                [at] => {
                    let new = if ease == Ease::Exact {
                        replace.to_vec()
                    } else {
                        without_blank_ends(search, replace, first, last)
                    };
                    let new = shifted(&now[at..at + wanted.len()], wanted, &new, ease);
                    let new = new.into_iter().map(|text| Line { text, original: false });
                    now.splice(at..at + wanted.len(), new);
                    return Ok(());
                }
                _ => {
                    let lines: Vec<String> = found.iter().take(4).map(|at| (at + 1).to_string()).collect();
                    return Err(format!(
                        "its SEARCH stands {} times in the file (lines {})",
                        found.len(),
                        lines.join(", ")
                    ));
                }
            }
        }
    }
    Err(missing(now, trimmed, replace))
}

/// The replacement without the blank lines that its SEARCH lost at the same end.
fn without_blank_ends<'a>(search: &[&str], replace: &[&'a str], first: usize, last: usize) -> Vec<&'a str> {
    let blank = |line: &&str| line.trim().is_empty();
    let lead = replace.iter().take_while(|line| blank(line)).count().min(first);
    let tail = replace[lead..].iter().rev().take_while(|line| blank(line)).count().min(search.len() - 1 - last);
    replace[lead..replace.len() - tail].to_vec()
}

/// Where the lines stand one after the other; `fresh`: also in what earlier blocks brought.
fn places(now: &[Line], wanted: &[&str], ease: Ease, fresh: bool) -> Vec<usize> {
    let fits = |at: &usize| {
        let window = &now[*at..*at + wanted.len()];
        (fresh || window.iter().all(|line| line.original))
            && window.iter().zip(wanted).all(|(line, wanted)| match ease {
                Ease::Exact => line.text == *wanted,
                Ease::Ends => line.text.trim_end() == wanted.trim_end(),
                Ease::Indent => line.text.trim() == wanted.trim(),
            })
            && (ease != Ease::Indent || shift(window, wanted).is_some())
    };
    (0..=now.len().saturating_sub(wanted.len())).filter(|at| at + wanted.len() <= now.len()).filter(fits).collect()
}

fn indent(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// What the file's lines have before them that the block's lack, or the other way round: the same for all of them.
fn shift<'a>(window: &'a [Line], wanted: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let mut found = None;
    for (line, wanted) in window.iter().zip(wanted).filter(|(line, _)| !line.text.trim().is_empty()) {
        let (theirs, ours) = (indent(&line.text), indent(wanted));
        let one = match (theirs.strip_suffix(ours), ours.strip_suffix(theirs)) {
            (Some(more), _) => (more, ""),
            (None, Some(less)) => ("", less),
            (None, None) => return None,
        };
        if found.is_some_and(|found| found != one) {
            return None;
        }
        found = Some(one);
    }
    found
}

fn shifted(window: &[Line], wanted: &[&str], replace: &[&str], ease: Ease) -> Vec<String> {
    let (more, less) = if ease == Ease::Indent { shift(window, wanted).unwrap_or_default() } else { ("", "") };
    let one = |line: &&str| match line.strip_prefix(less) {
        _ if line.trim().is_empty() => (*line).to_owned(),
        Some(rest) => format!("{more}{rest}"),
        None => line.trim_start().to_owned(),
    };
    replace.iter().map(one).collect()
}

/// Why a SEARCH fits nowhere, as far as that can be said in one line.
fn missing(now: &[Line], search: &[&str], replace: &[&str]) -> String {
    let solid: Vec<&str> = replace.iter().copied().filter(|line| !line.trim().is_empty()).collect();
    if !solid.is_empty() && !places(now, replace, Ease::Ends, true).is_empty() {
        return "the file already has its new lines, and not its old ones".into();
    }
    let stands = |line: &&&str| !now.iter().any(|known| known.text.trim() == line.trim());
    match search.iter().filter(|line| !line.trim().is_empty()).find(stands) {
        Some(line) => {
            let mut line = line.trim().replace('`', "'");
            if line.chars().count() > 60 {
                line = line.chars().take(59).chain(['…']).collect();
            }
            format!("`{line}` does not stand in the file")
        }
        None => "its lines stand in the file, but not in this order and indentation".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(search: &str, replace: &str) -> Block {
        Block { name: None, search: search.into(), replace: replace.into() }
    }

    fn applied(text: &str, blocks: &[Block]) -> (String, Vec<String>) {
        let found = apply(text, &blocks.iter().collect::<Vec<_>>());
        (found.text, found.refused.into_iter().map(|(_, reason)| reason).collect())
    }

    #[test]
    fn blocks_are_read_however_they_are_wrapped() {
        let plain = "src/a.rs\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
        let forms = [
            plain.to_owned(),
            format!("I change it:\n\n```\n{plain}```\nDone."),
            plain.replace('\n', "\r\n"),
            "**src/a.rs**\n```rust\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```".into(),
            "### File: `src/a.rs`\n\n<<<<<< SEARCH\na\n========\nb\n>>>>>>>> REPLACE".into(),
            "```rust src/a.rs\n<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED\n```".into(),
            "<<<<<<< SEARCH src/a.rs\n```rust\na\n```\n=======\n```rust\nb\n```\n>>>>>>> REPLACE".into(),
        ];
        for form in forms {
            let (blocks, problems) = parse(&form, &[]);
            assert_eq!((blocks.len(), problems.len()), (1, 0), "{form}");
            assert_eq!(blocks[0].name.as_deref(), Some("src/a.rs"), "{form}");
            assert_eq!(applied("x\na\n", &blocks), ("x\nb\n".to_owned(), vec![]), "{form}");
        }
    }

    #[test]
    fn the_name_holds_until_the_next_and_sentences_are_none() {
        let one = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
        let text = format!("my file.py\n{one}Then this one too.\n{one}b.py\n{one}");
        let names: Vec<_> = parse(&text, &["my file.py"]).0.into_iter().map(|block| block.name.unwrap()).collect();
        assert_eq!(names, ["my file.py", "my file.py", "b.py"]);
        assert_eq!(parse(one, &[]).0[0].name, None);
    }

    #[test]
    fn what_is_cut_off_or_broken_is_told_and_the_others_still_count() {
        let whole = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n";
        for (broken, reason) in [
            ("<<<<<<< SEARCH\nx\n", "before its `=======`"),
            ("<<<<<<< SEARCH\nx\n=======\ny\n", "before its `>>>>>>>"),
        ] {
            let (blocks, problems) = parse(&format!("{whole}{broken}"), &[]);
            assert_eq!(blocks.len(), 1);
            assert!(problems[0].reason.contains(reason), "{problems:?}");
        }
        let (blocks, problems) =
            parse(&format!("<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n{whole}<<<<<<< SEARCH\nx\n=======\n{whole}"), &[]);
        assert_eq!((blocks.len(), problems.len()), (2, 2), "{problems:?}");
    }

    #[test]
    fn a_block_is_applied_where_it_stands_once() {
        assert_eq!(applied("a\nb\nc\n", &[block("b\n", "x\ny\n")]).0, "a\nx\ny\nc\n");
        assert_eq!(applied("a\r\nb\r\nc", &[block("c\n", "d\n")]).0, "a\r\nb\r\nd");
        assert_eq!(applied("a\nb\n", &[block("a\nb\n", "")]).0, "");
        assert_eq!(applied("", &[block("", "new\n")]).0, "new\n");
    }

    #[test]
    fn white_space_is_forgiven_and_indentation_carried_over() {
        let (text, refused) = applied("if x:\n    a()  \n    b()\n", &[block("a()\nb()\n", "a()\nif y:\n  c()\n")]);
        assert_eq!((text.as_str(), refused.len()), ("if x:\n    a()\n    if y:\n      c()\n", 0));
        let (text, _) = applied("a\nb\n", &[block("    a\n", "    c\n        d\n")]);
        assert_eq!(text, "c\n    d\nb\n");
        let (text, _) = applied("a\n\nb\n", &[block("\na\n\n", "\nc\n\n")]);
        assert_eq!(text, "c\n\nb\n");
        // tabs against blanks say nothing about how far
        assert_eq!(applied("\ta\n\t\tb\n", &[block("    a\n        b\n", "c\n")]).1.len(), 1);
    }

    #[test]
    fn what_does_not_apply_is_refused_with_its_reason_and_changes_nothing() {
        let text = "a\nb\na\n";
        for (wrong, reason) in [
            (block("a\n", "x\n"), "stands 2 times in the file (lines 1, 3)"),
            (block("z\n", "x\n"), "`z` does not stand"),
            (block("b\nb\n", "x\n"), "not in this order"),
            (block("\n", "x\n"), "SEARCH is empty"),
            (block("a\n", "a\n"), "changes nothing"),
            (block("q\n", "a\nb\n"), "already has"),
        ] {
            let (after, refused) = applied(text, &[wrong]);
            assert_eq!(after, text);
            assert!(refused[0].contains(reason), "{refused:?}");
        }
    }

    #[test]
    fn a_later_block_means_what_stood_there_before_the_first() {
        let first = block("one\n", "two\ntwo\n");
        let second = block("two\n", "three\n");
        assert_eq!(applied("one\ntwo\n", &[first.clone(), second.clone()]).0, "two\ntwo\nthree\n");
        let (text, refused) = applied("one\n", &[first, second]);
        assert_eq!((text.as_str(), refused.len()), ("two\ntwo\n", 1), "twice in what the first brought");
    }

    #[test]
    fn fences_that_belong_to_the_file_stay() {
        let text = "# a\n```\nx\n```\n";
        assert_eq!(applied(text, &[block("```\nx\n```\n", "```\ny\n```\n")]).0, "# a\n```\ny\n```\n");
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(parts in proptest::collection::vec(proptest::sample::select(vec![
            "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "a\n", "  a\n", "\n", "```\n", "x.rs\n", "<<<<<<<", "b",
        ]), 0..24), text in "([ab ]{0,2}\n){0,6}") {
            let answer = parts.concat();
            let (blocks, _) = parse(&answer, &[]);
            let all: Vec<&Block> = blocks.iter().collect();
            let found = apply(&text, &all);
            prop_assert!(found.refused.len() <= blocks.len());
            if found.refused.len() == blocks.len() {
                prop_assert_eq!(found.text, text);
            }
        }

        #[test]
        fn a_unique_run_is_always_found(lines in proptest::collection::vec("[a-c]{1,2}", 1..10), at in 0usize..10, len in 1usize..4) {
            let at = at.min(lines.len() - 1);
            let end = (at + len).min(lines.len());
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let search: String = lines[at..end].iter().map(|line| format!("{line}\n")).collect();
            let count = lines.windows(end - at).filter(|window| **window == lines[at..end]).count();
            let (after, refused) = applied(&text, &[block(&search, "NEW\n")]);
            prop_assert_eq!(refused.is_empty(), count == 1);
            if count == 1 {
                let wanted: String = lines[..at].iter().map(String::as_str).chain(["NEW"]).chain(lines[end..].iter().map(String::as_str)).map(|line| format!("{line}\n")).collect();
                prop_assert_eq!(after, wanted);
            }
        }
    }
}
