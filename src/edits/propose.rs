//! From an answer to changes of files. What the files hold comes in through a function, so that this is pure.

use super::diff::Diff;
use super::guard::Guard;
use super::place::{self, Piece};
use super::{Change, Problem, blocks, lines, patch};
use crate::text::clean;

/// Lines of a file that is short enough for a new one to be shown in its place.
const SHORT: usize = 24;

/// What shall become changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Its number; it comes back with what was worked out.
    pub number: u64,
    /// An answer that may have search/replace blocks.
    pub answer: String,
    /// Its blocks of code, taken where it has no search/replace blocks.
    pub pieces: Vec<Piece>,
    /// The number of the first of them, as the person reads it.
    pub first: usize,
    /// The file that the person named for them.
    pub name: Option<String>,
    /// Names of the files that go with the conversation, the newest first.
    pub attached: Vec<String>,
    /// What those of them are called that are shown otherwise.
    pub real: Vec<(String, String)>,
    /// The tests that must stay as they are.
    pub guard: Option<Guard>,
}

/// What an answer would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proposed {
    /// The number of what was wanted.
    pub number: u64,
    /// The changes; each has at least one hunk.
    pub changes: Vec<Change>,
    /// What does not apply.
    pub problems: Vec<Problem>,
    /// Blocks that might go anywhere: only the person knows.
    pub homeless: Vec<Homeless>,
}

/// A block of code that names no file and resembles none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homeless {
    /// Its number, as the person reads it.
    pub number: usize,
    /// The word behind its fence.
    pub lang: String,
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name inside the folder.
    pub name: String,
    /// Its text; `None` if there is no such file.
    pub text: Option<String>,
}

/// How files are looked at: a name gives what is there, or why it must not be looked at.
pub type Read<'a> = &'a dyn Fn(&str) -> Result<Found, String>;

/// A file while blocks are put into it.
struct Draft {
    found: Found,
    now: String,
    /// What is to be searched and replaced in it: all at once, since each means what stood there before.
    blocks: Vec<(String, blocks::Block)>,
}

struct Desk<'a> {
    read: Read<'a>,
    attached: &'a [String],
    drafts: Vec<Draft>,
    problems: Vec<Problem>,
    homeless: Vec<Homeless>,
}

impl Draft {
    /// Puts a block of code in its place; gives what is to be told about it. One that shares nothing with the file takes
    /// the place of all of it where the person said so, or where it is about as long.
    fn merge(&mut self, piece: &Piece, name: &str, chosen: bool, number: usize) -> Option<String> {
        let code = place::code(piece, name);
        let merged = if self.now.is_empty() { Some(lines::fit("", code)) } else { place::merge(&self.now, code) };
        if let Some(text) = merged {
            let same = text == self.now;
            self.now = text;
            return same.then(|| "skipped: identical to the file".to_owned());
        }
        let (ours, theirs) = (code.lines().count(), self.now.lines().count());
        if !chosen && ours * 2 < theirs && theirs > SHORT {
            let name = clean::name(name);
            return Some(format!(
                "it shares no line with the file, so its place is not known; `/apply {number} {name}` puts it in the place of the whole file"
            ));
        }
        self.now = lines::fit(&self.now, code);
        Some("it shares no line with the file, so it takes the place of all of it".to_owned())
    }
}

/// Whether a block of code was cut at a fence inside it: one was opened there and never closed, for the line that should
/// close it has closed the block.
fn ends_inside(text: &str) -> bool {
    let mut fences = text.lines().map(str::trim).filter(|line| line.starts_with("```"));
    // the line that closes it would be the last of them
    fences.next_back().is_some_and(|line| !line.trim_start_matches('`').is_empty())
}

/// What an answer would change, and what of it does not apply.
pub fn propose(wanted: &Wanted, read: Read<'_>) -> Proposed {
    let mut desk =
        Desk { read, attached: &wanted.attached, drafts: Vec::new(), problems: Vec::new(), homeless: Vec::new() };
    if blocks::has_blocks(&wanted.answer) {
        desk.search_replace(wanted);
    } else {
        let alone = wanted.pieces.len() == 1 || wanted.name.is_some();
        let usable = |piece: &&Piece| alone || place::can_be_file(piece) || patch::is_diff(&piece.info, &piece.text);
        for (n, piece) in wanted.pieces.iter().enumerate().filter(|(_, piece)| usable(piece)) {
            desk.piece(wanted.first + n, piece, wanted.name.as_deref());
        }
    }
    let change = |draft: Draft| {
        let diff = Diff::new(draft.found.text.as_deref().unwrap_or_default(), draft.now);
        Change { name: draft.found.name, new: draft.found.text.is_none(), gone: false, diff }
    };
    let changes: Vec<Change> =
        desk.drafts.into_iter().map(change).filter(|change| !change.diff.hunks().is_empty()).collect();
    let (mut problems, mut homeless) = (desk.problems, desk.homeless);
    let changes: Vec<Change> = match &wanted.guard {
        None => changes,
        Some(guard) => {
            let (kept, refused): (Vec<_>, Vec<_>) = changes.into_iter().map(|change| guard.keep(change)).unzip();
            problems.extend(refused.into_iter().flatten());
            kept.into_iter().flatten().collect()
        }
    };
    if !changes.is_empty() {
        // there is something to show first; these can be asked about by their numbers
        let reason = "it names no file and resembles none that was attached; `/apply N FILE` says where it goes";
        problems.extend(homeless.drain(..).map(|block| Problem::new(format!("block {}", block.number), reason)));
    }
    Proposed { number: wanted.number, changes, problems, homeless }
}

impl Desk<'_> {
    /// The draft of a file; a name that several attached files end with is none of them, and one that the person `chose`
    /// is exactly that.
    fn draft(&mut self, name: &str, chosen: bool) -> Result<usize, String> {
        let mut found = (self.read)(name)?;
        if found.text.is_none() && !chosen {
            let ends = |known: &&String| known.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
            let mut near = self.attached.iter().filter(ends);
            if let (Some(one), None) = (near.next(), near.next()) {
                found = (self.read)(one)?;
            }
        }
        if let Some(known) = self.drafts.iter().position(|draft| draft.found.name == found.name) {
            return Ok(known);
        }
        let now = found.text.clone().unwrap_or_default();
        self.drafts.push(Draft { found, now, blocks: Vec::new() });
        Ok(self.drafts.len() - 1)
    }

    fn search_replace(&mut self, wanted: &Wanted) {
        let known = |name: &str| {
            self.attached.iter().any(|known| known == name) || (self.read)(name).is_ok_and(|found| found.text.is_some())
        };
        let (found, problems) = blocks::parse(&wanted.answer, &known);
        self.problems.extend(problems);
        for (n, mut block) in found.into_iter().enumerate() {
            let number = n + 1;
            let name = wanted.name.clone().or_else(|| block.name.clone()).or_else(|| self.holder(&block));
            let Some(name) = name else {
                self.problems.push(Problem::new(
                    format!("Edit {number}"),
                    "it names no file, and no attached one has its lines",
                ));
                continue;
            };
            let what = format!("Edit {number} of {}", clean::name(&name));
            match self.draft(&name, wanted.name.is_some()) {
                Ok(at) => {
                    let draft = &mut self.drafts[at];
                    block.name = Some(draft.found.name.clone());
                    if draft.found.text.is_none() && !block.search.trim().is_empty() && draft.blocks.is_empty() {
                        self.problems.push(Problem::new(what, "there is no such file"));
                        continue;
                    }
                    draft.blocks.push((what, block));
                }
                Err(reason) => self.problems.push(Problem::new(what, reason)),
            }
        }
        for draft in &mut self.drafts {
            let all: Vec<&blocks::Block> = draft.blocks.iter().map(|(_, block)| block).collect();
            let applied = blocks::apply(&draft.now, &all);
            draft.now = applied.text;
            let refused = applied.refused.into_iter();
            self.problems.extend(refused.filter_map(|(n, reason)| Some(Problem::new(&draft.blocks.get(n)?.0, reason))));
        }
    }

    /// The attached file that has a block's lines, if only one has.
    fn holder(&self, block: &blocks::Block) -> Option<String> {
        if let [only] = self.attached {
            return Some(only.clone());
        }
        let fits = |name: &&String| {
            let text = (self.read)(name).ok().and_then(|found| found.text);
            text.is_some_and(|text| blocks::apply(&text, &[block]).refused.is_empty())
        };
        let mut holders = self.attached.iter().filter(fits);
        holders.next().filter(|_| holders.next().is_none()).cloned()
    }

    fn piece(&mut self, number: usize, piece: &Piece, chosen: Option<&str>) {
        if patch::is_diff(&piece.info, &piece.text)
            && !chosen.is_some_and(|name| name.ends_with(".diff") || name.ends_with(".patch"))
        {
            return self.diff(number, piece, chosen);
        }
        let what = |name: &str| format!("block {number} for {}", clean::name(name));
        match self.place(piece, chosen) {
            Err((name, reason)) => self.problems.push(Problem::new(what(&name), reason)),
            Ok(None) => {
                let lang = piece.info.split([' ', ':', ',', '{']).next().unwrap_or("").to_owned();
                self.homeless.push(Homeless { number, lang });
            }
            Ok(Some(name)) => match self.draft(&name, chosen.is_some()) {
                Err(reason) => self.problems.push(Problem::new(what(&name), reason)),
                Ok(at) => {
                    if ends_inside(&piece.text) {
                        let reason = "it seems to end at a fence inside it; what stands behind that was not taken";
                        self.problems.push(Problem::new(what(&name), reason));
                    }
                    let merged = self.drafts[at].merge(piece, &name, chosen.is_some(), number);
                    self.problems.extend(merged.map(|reason| Problem::new(what(&name), reason)));
                }
            },
        }
    }

    /// A diff: each of its hunks in the file that it names, or in the one that was chosen or that has its lines.
    fn diff(&mut self, number: usize, piece: &Piece, chosen: Option<&str>) {
        let named = place::named(piece).into_iter().map(|named| named.name);
        let exists = |name: &String| (self.read)(name).is_ok_and(|found| found.text.is_some());
        let spoken = named.into_iter().find(exists);
        for patch in patch::parse(&piece.text) {
            let asked = chosen.map(str::to_owned).or(patch.name).or_else(|| spoken.clone());
            let Some(name) = asked.or_else(|| self.hunks_holder(&patch.hunks)) else {
                let reason =
                    "the diff names no file, and no attached one has its lines; `/apply N FILE` says where it goes";
                self.problems.push(Problem::new(format!("block {number}"), reason));
                continue;
            };
            let what = format!("block {number} for {}", clean::name(&name));
            match self.draft(&name, chosen.is_some()) {
                Err(reason) => self.problems.push(Problem::new(what, reason)),
                Ok(_) if patch.gone => {
                    self.problems.push(Problem::new(what, "the diff deletes the file; that is left to you"));
                }
                Ok(at) => {
                    let draft = &mut self.drafts[at];
                    let (now, refused) = patch::apply(&draft.now, &patch.hunks);
                    draft.now = now;
                    let told = |(n, reason)| Problem::new(format!("Hunk {n} of {}", clean::name(&name)), reason);
                    self.problems.extend(refused.into_iter().map(told));
                }
            }
        }
    }

    /// The attached file that all hunks of a diff fit, if only one does.
    fn hunks_holder(&self, hunks: &[patch::Hunk]) -> Option<String> {
        if let [only] = self.attached {
            return Some(only.clone());
        }
        let text = |name: &String| (self.read)(name).ok().and_then(|found| found.text);
        let fits = |name: &&String| text(name).is_some_and(|text| patch::apply(&text, hunks).1.is_empty());
        let mut holders = self.attached.iter().filter(fits);
        holders.next().filter(|_| holders.next().is_none()).cloned()
    }

    /// The file that a block belongs to: chosen, named and there, resembled, named and new; `None` where nothing says.
    fn place(&self, piece: &Piece, chosen: Option<&str>) -> Result<Option<String>, (String, String)> {
        if let Some(chosen) = chosen {
            return Ok(Some(chosen.to_owned()));
        }
        let named = place::named(piece);
        let attached =
            |name: &str| self.attached.iter().any(|known| known == name || known.ends_with(&format!("/{name}")));
        let mut outside = None;
        for one in &named {
            match (self.read)(&one.name) {
                Ok(found) if found.text.is_some() || attached(&one.name) => return Ok(Some(one.name.clone())),
                Ok(_) => {}
                // what leads outside is not quietly put elsewhere
                Err(reason) if one.explicit && outside.is_none() => outside = Some((one.name.clone(), reason)),
                Err(_) => {}
            }
        }
        if let Some(refused) = outside {
            return Err(refused);
        }
        let new = named.iter().find(|one| one.explicit);
        if let Some(new) = new.filter(|_| !piece.text.trim().is_empty()) {
            return Ok(Some(new.name.clone()));
        }
        let texts: Vec<(String, String)> =
            self.attached.iter().filter_map(|name| Some((name.clone(), (self.read)(name).ok()?.text?))).collect();
        let alike = place::resembles(&piece.text, texts.iter().map(|(_, text)| text.as_str()));
        Ok(alike.and_then(|at| texts.into_iter().nth(at)).map(|(name, _)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<Found, String> {
        let text = match name {
            "src/a.py" => Some("def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a + b\n"),
            "b.py" => Some("x = 1\n"),
            name if name.starts_with("..") => return Err("it lies outside the opened folder".into()),
            _ => None,
        };
        Ok(Found { name: name.into(), text: text.map(str::to_owned) })
    }

    fn wanted(answer: &str, pieces: &[(&str, &str, &str)]) -> Wanted {
        let piece = |(info, before, text): &(&str, &str, &str)| Piece {
            info: (*info).into(),
            before: (*before).into(),
            text: (*text).into(),
        };
        Wanted {
            answer: answer.into(),
            pieces: pieces.iter().map(piece).collect(),
            attached: vec!["src/a.py".into(), "b.py".into()],
            first: 4,
            ..Wanted::default()
        }
    }

    fn texts(proposed: &Proposed) -> Vec<(&str, String)> {
        proposed.changes.iter().map(|change| (change.name.as_str(), change.diff.proposed().to_owned())).collect()
    }

    #[test]
    fn blocks_for_several_files_become_one_change_each() {
        let answer = "src/a.py\n<<<<<<< SEARCH\n    return a - b\n=======\n    return a + b\n>>>>>>> REPLACE\n\n\
                      <<<<<<< SEARCH\ndef sub(a, b):\n    return a + b\n=======\ndef sub(a, b):\n    return a - b\n>>>>>>> REPLACE\n\
                      new.py\n<<<<<<< SEARCH\n=======\ny = 2\n>>>>>>> REPLACE\n";
        let proposed = propose(&wanted(answer, &[]), &read);
        assert_eq!(proposed.problems, []);
        assert_eq!(
            texts(&proposed),
            [
                ("src/a.py", "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a - b\n".into()),
                ("new.py", "y = 2\n".into()),
            ]
        );
        assert!(proposed.changes[1].new && !proposed.changes[0].new);
    }

    #[test]
    fn what_does_not_apply_is_listed_and_the_rest_is_proposed() {
        let answer = "b.py\n<<<<<<< SEARCH\nx = 2\n=======\nx = 3\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nx = 1\n=======\nx = 4\n>>>>>>> REPLACE\n\
                      ../out.py\n<<<<<<< SEARCH\n=======\nz\n>>>>>>> REPLACE\nnone.py\n<<<<<<< SEARCH\nq\n=======\nz\n>>>>>>> REPLACE\n";
        let proposed = propose(&wanted(answer, &[]), &read);
        assert_eq!(texts(&proposed), [("b.py", "x = 4\n".into())]);
        let reasons: Vec<_> = proposed.problems.iter().map(|problem| problem.reason.as_str()).collect();
        assert_eq!(
            reasons,
            ["it lies outside the opened folder", "there is no such file", "`x = 2` is not in the file"]
        );
    }

    #[test]
    fn a_block_goes_where_it_is_named_or_where_it_resembles() {
        let code = "def add(a, b):\n    return a + b\n";
        let fixed = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a + b\n";
        for piece in [
            ("py src/a.py", "", code),
            ("py", "In `a.py`:", code),
            ("py", "", code),
            ("py", "", &format!("# src/a.py\n{code}")),
        ] {
            let proposed = propose(&wanted("", &[piece]), &read);
            assert_eq!(texts(&proposed), [("src/a.py", fixed.to_owned())], "{piece:?}");
        }
        let proposed = propose(&wanted("", &[("py new/c.py", "", "y = 1\n")]), &read);
        assert!(proposed.changes[0].new && proposed.changes[0].name == "new/c.py");
        let proposed = propose(&wanted("", &[("py ../c.py", "", code)]), &read);
        assert_eq!(
            (proposed.changes.len(), proposed.problems[0].reason.as_str()),
            (0, "it lies outside the opened folder")
        );
        let proposed = propose(&wanted("", &[("sh", "Run:", "cargo test\n")]), &read);
        assert_eq!(proposed.homeless, [Homeless { number: 4, lang: "sh".into() }]);
        let chosen = Wanted { name: Some("b.py".into()), ..wanted("", &[("", "", "x = 1\nz = 3\n")]) };
        assert_eq!(texts(&propose(&chosen, &read)), [("b.py", "x = 1\nz = 3\n".into())]);
    }

    #[test]
    fn a_name_that_the_person_chose_is_exactly_that() {
        let chosen = Wanted { name: Some("a.py".into()), ..wanted("", &[("py", "", "y = 1\n")]) };
        let proposed = propose(&chosen, &read);
        assert!(proposed.changes[0].new && proposed.changes[0].name == "a.py");
        let answer = "<<<<<<< SEARCH\n=======\ny = 1\n>>>>>>> REPLACE\n";
        let chosen = Wanted { name: Some("a.py".into()), ..wanted(answer, &[]) };
        assert_eq!(texts(&propose(&chosen, &read)), [("a.py", "y = 1\n".into())]);
    }

    #[test]
    fn blocks_without_a_place_are_told_beside_the_others_by_their_numbers() {
        let proposed = propose(&wanted("", &[("css", "", "a {}\n"), ("py b.py", "", "x = 1\ny = 2\n")]), &read);
        assert_eq!((proposed.changes.len(), proposed.homeless.len()), (1, 0));
        assert!(proposed.problems[0].what == "block 4" && proposed.problems[0].reason.contains("/apply N FILE"));
    }

    #[test]
    fn a_diff_is_applied_as_a_diff() {
        let fixed = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a + b\n";
        let hunk = "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n";
        let named = format!("--- a/src/a.py\n+++ b/src/a.py\n{hunk}");
        for (info, before, text) in [
            ("diff", "", named.as_str()),
            ("", "", named.as_str()),
            ("diff", "", hunk),
            ("diff", "In `src/a.py`:", hunk),
            ("diff src/a.py", "", "-    return a - b\n+    return a + b\n"),
        ] {
            let proposed = propose(&wanted("", &[(info, before, text)]), &read);
            assert_eq!(texts(&proposed), [("src/a.py", fixed.to_owned())], "{text}: {:?}", proposed.problems);
        }
        let chosen = Wanted { name: Some("src/a.py".into()), ..wanted("", &[("diff", "", hunk)]) };
        assert_eq!(texts(&propose(&chosen, &read)), [("src/a.py", fixed.to_owned())]);
        let gone = "--- a/b.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n";
        let proposed = propose(&wanted("", &[("diff", "", gone)]), &read);
        assert!(proposed.changes.is_empty() && proposed.problems[0].reason.contains("deletes the file"));
        let wrong = "--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-x = 5\n+x = 6\n";
        let proposed = propose(&wanted("", &[("diff", "", wrong)]), &read);
        assert_eq!(proposed.problems[0].told(), "Hunk 1 of b.py: `x = 5` is not in the file");
    }

    #[test]
    fn a_rewrite_of_a_named_file_is_shown_and_what_is_told_is_true() {
        let chosen = Wanted { name: Some("b.py".into()), ..wanted("", &[("py", "", "y = 2\nz = 3\n")]) };
        let named = wanted("", &[("py b.py", "", "y = 2\nz = 3\n")]);
        for wanted in [chosen, named] {
            let proposed = propose(&wanted, &read);
            assert_eq!(texts(&proposed), [("b.py", "y = 2\nz = 3\n".into())]);
            assert!(proposed.problems[0].reason.contains("takes the place of all of it"), "{:?}", proposed.problems);
        }
        let long = |name: &str| match name {
            "long.py" => Ok(Found { name: name.into(), text: Some("a = 1\n".repeat(200)) }),
            name => read(name),
        };
        let proposed = propose(&wanted("", &[("py long.py", "", "y = 2\n")]), &long);
        assert!(proposed.changes.is_empty() && proposed.problems[0].reason.contains("`/apply 4 long.py`"));
        let chosen = Wanted { name: Some("long.py".into()), ..wanted("", &[("py", "", "y = 2\n")]) };
        assert_eq!(texts(&propose(&chosen, &long)), [("long.py", "y = 2\n".into())]);
        let proposed = propose(&wanted("", &[("py b.py", "", "x = 1\n")]), &read);
        assert_eq!(proposed.problems[0].told(), "block 4 for b.py skipped: identical to the file");
    }

    #[test]
    fn a_block_that_was_cut_at_a_fence_inside_it_is_told() {
        let cut = ("markdown new.md", "", "# Title\n\n```bash\nmake\n");
        let proposed = propose(&wanted("", &[cut]), &read);
        assert_eq!(proposed.changes.len(), 1);
        assert!(proposed.problems[0].reason.contains("at a fence inside it"), "{:?}", proposed.problems);
        let whole = ("markdown new.md", "", "# Title\n\n```bash\nmake\n```\nmore\n");
        assert!(propose(&wanted("", &[whole]), &read).problems.is_empty());
    }

    #[test]
    fn what_is_typed_into_a_shell_is_no_file_beside_one_that_is() {
        let shell = ("bash", "Run it:", "python b.py\n");
        let proposed = propose(&wanted("", &[("py b.py", "", "x = 1\ny = 2\n"), shell]), &read);
        assert_eq!((proposed.changes.len(), proposed.problems.len(), proposed.homeless.len()), (1, 0, 0));
        let script = ("bash", "", "#!/bin/sh\nmake\n");
        assert_eq!(propose(&wanted("", &[script, shell]), &read).homeless.len(), 1);
    }

    #[test]
    fn tests_stay_where_a_guard_says_so() {
        let answer = "tests/test_a.py\n<<<<<<< SEARCH\n=======\ndef test_a(): pass\n>>>>>>> REPLACE\n\
                      b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n";
        let guarded = Wanted { guard: Some(Guard::default()), ..wanted(answer, &[]) };
        let proposed = propose(&guarded, &read);
        assert_eq!(texts(&proposed), [("b.py", "x = 2\n".into())]);
        assert!(proposed.problems[0].what == "tests/test_a.py" && proposed.problems[0].reason.contains("it is a test"));
    }

    #[test]
    fn absolute_names_and_files_without_an_ending_are_what_they_say() {
        let block = "<<<<<<< SEARCH\n=======\nz\n>>>>>>> REPLACE\n";
        let outside = |name: &str| match name.starts_with('/') {
            true => Err("it lies outside the opened folder".to_owned()),
            false => read(name),
        };
        let proposed = propose(&wanted(&format!("b.py\n{block}/etc/motd\n{block}//etc/x.d\n{block}"), &[]), &outside);
        assert!(proposed.changes.is_empty());
        let outside = proposed.problems.iter().filter(|problem| problem.reason.contains("outside")).count();
        assert_eq!(outside, 2, "{:?}", proposed.problems);
        let there = |name: &str| match name {
            "run-tests" => Ok(Found { name: name.into(), text: Some("all:\n".into()) }),
            name => read(name),
        };
        let answer = "b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n\
                      run-tests\n<<<<<<< SEARCH\nall:\n=======\nall: a\n>>>>>>> REPLACE\n";
        let proposed = propose(&wanted(answer, &[]), &there);
        assert_eq!(texts(&proposed), [("b.py", "x = 2\n".into()), ("run-tests", "all: a\n".into())]);
    }
}
