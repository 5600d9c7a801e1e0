//! Unified diffs as models write them: with or without names, with line numbers that are wrong or missing, with context
//! lines that lost their blank. Each hunk becomes a search/replace block, so that it stands where its lines stand.

use super::blocks::{self, Block};
use super::lines;

/// What a diff says about one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The file as it is called after the change; `None` where the diff names none.
    pub name: Option<String>,
    /// It takes the file away.
    pub gone: bool,
    /// Its hunks.
    pub hunks: Vec<Hunk>,
}

/// Lines that take the place of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// The line that the diff says it begins at, from 1.
    pub at: Option<usize>,
    /// The lines that stand there, each ended.
    pub old: String,
    /// Those that shall, each ended.
    pub new: String,
}

/// Whether a block of code is a diff: its fence says so, or its lines do.
pub fn is_diff(info: &str, text: &str) -> bool {
    let word = info.split([' ', ':', ',', '{']).next().unwrap_or("").to_ascii_lowercase();
    let signs = || text.lines().any(|line| line.starts_with('+')) || text.lines().any(|line| line.starts_with('-'));
    let hunks = text.lines().any(|line| line.starts_with("@@ -"));
    let heads = text.lines().zip(text.lines().skip(1)).any(|(a, b)| a.starts_with("--- ") && b.starts_with("+++ "));
    match word.as_str() {
        "diff" | "patch" | "udiff" => signs(),
        _ => heads && hunks,
    }
}

/// `a/src/x.rs`, `src/x.rs\t2024-01-01`: `src/x.rs`; `None` for no file.
fn name_in(head: &str) -> Option<String> {
    let head = head.split('\t').next().unwrap_or(head).trim().trim_matches('"');
    let bare = ["a/", "b/", "./"].iter().find_map(|start| head.strip_prefix(start)).unwrap_or(head);
    (!bare.is_empty() && bare != "/dev/null").then(|| bare.to_owned())
}

/// `@@ -12,3 +12,4 @@`: 12.
fn line_in(head: &str) -> Option<usize> {
    head.split_once('-')?.1.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What a diff says, file by file.
pub fn parse(text: &str) -> Vec<Patch> {
    let all: Vec<&str> = text.lines().collect();
    let mut patches: Vec<Patch> = vec![Patch::default()];
    let mut hunk = Hunk::default();
    let mut n = 0;
    while n < all.len() {
        let line = all[n];
        let next = all.get(n + 1).copied().unwrap_or("");
        let names = line.starts_with("--- ") && next.starts_with("+++ ");
        if names || line.starts_with("diff --git ") || line.starts_with("@@") {
            finish(&mut patches, &mut hunk);
        }
        if names {
            let (old, new) = (name_in(&line[4..]), name_in(&next[4..]));
            let gone = new.is_none() && old.is_some();
            patches.push(Patch { name: new.or(old), gone, hunks: Vec::new() });
            n += 2;
            continue;
        }
        n += 1;
        if line.starts_with("@@") {
            hunk.at = line_in(line);
            continue;
        }
        if is_head(line) && hunk == Hunk::default() {
            continue;
        }
        take(&mut hunk, line);
    }
    finish(&mut patches, &mut hunk);
    patches.retain(|patch| !patch.hunks.is_empty() || patch.gone);
    patches
}

/// Lines of Git's before the names.
fn is_head(line: &str) -> bool {
    let words = [
        "diff --git ",
        "index ",
        "new file mode",
        "deleted file mode",
        "old mode",
        "new mode",
        "similarity ",
        "rename ",
    ];
    words.iter().any(|word| line.starts_with(word))
}

fn take(hunk: &mut Hunk, line: &str) {
    let mut add = |old: bool, new: bool, text: &str| {
        if old {
            hunk.old.extend([text, "\n"]);
        }
        if new {
            hunk.new.extend([text, "\n"]);
        }
    };
    match line.as_bytes().first() {
        Some(b'+') => add(false, true, &line[1..]),
        Some(b'-') => add(true, false, &line[1..]),
        Some(b' ') => add(true, true, &line[1..]),
        // "\ No newline at end of file"
        Some(b'\\') => {}
        // a context line that lost its blank
        _ => add(true, true, line),
    }
}

fn finish(patches: &mut [Patch], hunk: &mut Hunk) {
    let done = std::mem::take(hunk);
    if let Some(patch) = patches.last_mut().filter(|_| done.old != done.new) {
        patch.hunks.push(done);
    }
}

/// A text with a file's hunks in it, and why some of them do not apply, by their number from 1.
pub fn apply(text: &str, hunks: &[Hunk]) -> (String, Vec<(usize, String)>) {
    let mut now = text.to_owned();
    let mut refused = Vec::new();
    // how many lines those before have added
    let mut moved: isize = 0;
    for (n, hunk) in hunks.iter().enumerate() {
        let block = Block { search: hunk.old.clone(), replace: hunk.new.clone(), ..Block::default() };
        let near = hunk.at.and_then(|at| at.checked_sub(1)?.checked_add_signed(moved));
        let applied = blocks::apply(&now, &[&block]);
        let next = match applied.refused.into_iter().next() {
            None => Ok(applied.text),
            Some((_, reason)) => near.and_then(|near| nearest(&now, hunk, near)).ok_or(reason),
        };
        match next {
            Ok(next) => {
                moved += next.lines().count().cast_signed() - now.lines().count().cast_signed();
                now = next;
            }
            Err(reason) => refused.push((n + 1, reason)),
        }
    }
    (now, refused)
}

/// Of several places the one nearest to the line that the diff names; a hunk without old lines goes to that line.
fn nearest(text: &str, hunk: &Hunk, near: usize) -> Option<String> {
    let all: Vec<&str> = lines::split(text).into_iter().map(lines::body).collect();
    let old: Vec<&str> = hunk.old.lines().collect();
    let fits = |at: &usize| {
        let window = all.get(*at..*at + old.len());
        window.is_some_and(|window| window.iter().zip(&old).all(|(a, b)| a.trim_end() == b.trim_end()))
    };
    let at = (0..=all.len()).filter(fits).min_by_key(|at| at.abs_diff(near))?;
    let new = all[..at].iter().copied().chain(hunk.new.lines()).chain(all[at + old.len()..].iter().copied());
    let joined: String = new.flat_map(|line| [line, "\n"]).collect();
    Some(lines::fit(text, &joined))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one\ntwo\nsame\nthree\nfour\nsame\nfive\n";

    fn applied(diff: &str) -> (String, Vec<(usize, String)>) {
        let found = parse(diff);
        assert_eq!(found.len(), 1, "{found:?}");
        apply(TEXT, &found[0].hunks)
    }

    #[test]
    fn a_diff_is_applied_however_carelessly_it_was_written() {
        let want = TEXT.replace("two\n", "2\n");
        for diff in [
            "--- a/x.txt\n+++ b/x.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n same\n",
            "--- x.txt\n+++ x.txt\n@@ -90,3 +90,3 @@ fn x()\n one\n-two\n+2\n same\n",
            "@@ ... @@\n one\n-two\n+2\n",
            "-two\n+2\n",
            "one\n-two\n+2\nsame\n",
            "diff --git a/x.txt b/x.txt\nindex 12..34 100644\n--- a/x.txt\n+++ b/x.txt\n@@ -2 +2 @@\n-two\n+2\n\\ No newline at end of file\n",
        ] {
            assert_eq!(applied(diff), (want.clone(), vec![]), "{diff}");
        }
        assert_eq!(applied("@@ -6 +6 @@\n-same\n+other\n").0, "one\ntwo\nsame\nthree\nfour\nother\nfive\n");
        assert_eq!(
            applied("@@ -1,0 +1,1 @@\n+zero\n one\n@@ -3 +4 @@\n-same\n+other\n").0,
            "zero\none\ntwo\nother\nthree\nfour\nsame\nfive\n"
        );
        let (text, refused) = applied("@@ -1 +1 @@\n-none\n+x\n@@ -7 +7 @@\n-five\n+5\n");
        assert_eq!((text.as_str(), refused.len(), refused[0].0), (&*TEXT.replace("five", "5"), 1, 1));
        assert!(applied("-same\n+x\n").1[0].1.contains("2 times"), "without a number nobody knows which");
    }

    #[test]
    fn the_files_of_a_diff_are_named_made_and_taken_away() {
        let found = parse(
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/new.rs\n@@ -0,0 +1 @@\n+n\n--- a/old.rs\n+++ /dev/null\n@@ -1 +0,0 @@\n-o\n",
        );
        let names: Vec<_> = found.iter().map(|patch| (patch.name.as_deref().unwrap_or(""), patch.gone)).collect();
        assert_eq!(names, [("src/a.rs", false), ("new.rs", false), ("old.rs", true)]);
        assert_eq!(apply("", &found[1].hunks), ("n\n".into(), vec![]));
    }

    #[test]
    fn what_is_a_diff_is_told_from_what_only_begins_with_signs() {
        assert!(is_diff("diff", "-a\n+b\n") && is_diff("patch x", "+b\n") && !is_diff("diff", "a\n"));
        assert!(is_diff("", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"));
        assert!(!is_diff("", "- a\n- b\n") && !is_diff("yaml", "---\n- a\n") && !is_diff("md", "--- a\n+++ b\n"));
    }
}
