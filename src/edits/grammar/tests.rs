//! What may be written next.

use super::*;
use crate::edits::blocks;
use proptest::prelude::*;

const TEXT: &str = "fn a() {\n    one();\n}\n\nfn b() {\n    two();\n}\n";

fn begun(bytes: &str) -> Constraint {
    let mut constraint = Constraint::new([("src/a.rs", TEXT), ("b.py", "x = 1\n")]);
    assert!(constraint.allows(bytes.as_bytes()), "{bytes:?}");
    constraint.push(bytes.as_bytes());
    constraint
}

fn forced(constraint: &Constraint) -> String {
    String::from_utf8(constraint.forced().unwrap_or_default()).unwrap()
}

#[test]
fn only_lines_of_the_file_can_be_searched() {
    let open = begun("src/a.rs\n<<<<<<< SEARCH\n");
    assert!(open.allows(b"fn a() {\n    one"));
    assert!(open.allows(b"    two();\n}\n=======\n"));
    for wrong in ["fn c", "one();\n", "    one();\n\n", "=======", "\n", "    one();\n}\nfn b", "fn a() { "] {
        assert!(!open.allows(wrong.as_bytes()), "{wrong:?}");
    }
    assert!(!open.may_end());
}

#[test]
fn a_search_goes_on_until_it_stands_in_one_place() {
    let open = begun("src/a.rs\n<<<<<<< SEARCH\n");
    assert!(!open.allows(b"}\n======="), "`}}` stands twice");
    assert!(open.allows(b"}\n\n======="));
    let last = begun("src/a.rs\n<<<<<<< SEARCH\n    two();\n}\n");
    assert_eq!(forced(&last), "=======\n", "the file is at its end");
}

#[test]
fn what_must_follow_is_known() {
    assert_eq!(forced(&begun("src/a.rs\n")), "<<<<<<< SEARCH\n");
    assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    o")), "ne();\n");
    assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n")), "", "it may end or go on");
    assert_eq!(forced(&begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=")), "======\n");
    let replacing = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n");
    assert_eq!(forced(&replacing), "");
    let mut ending = replacing.clone();
    ending.push(b"x\n>>>>>");
    assert_eq!(forced(&ending), ">> REPLACE");
    assert_eq!(forced(&begun("b.py\n<<<<<<< SEARCH\n")), "x = 1\n=======\n");
}

#[test]
fn changed_lines_are_not_searched_again_and_marks_are_not_written() {
    let block = "src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n    1();\n>>>>>>> REPLACE";
    let mut after = begun(block);
    assert!(after.may_end());
    after.push(b"\n");
    assert!(after.may_end() && after.blocks() == 1);
    assert!(after.allows(b"<<<<<<< SEARCH\nfn a() {\n======="));
    assert!(!after.allows(b"<<<<<<< SEARCH\n    one"));
    assert!(!after.allows(b"<<<<<<< SEARCH\nfn a() {\n    one"));
    let replacing = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n");
    for wrong in ["=======\n", "=", "<<", "<<<<<<< SEARCH", ">>>>>>> x", ">>>> x", "```", "\u{1b}"] {
        assert!(!replacing.allows(wrong.as_bytes()), "{wrong:?}");
    }
    assert!(replacing.allows(b"x ======= x\n>>> y\n<div>\n>>>>>>> REPLACE\n"));
    let mut long = replacing.clone();
    long.push("y\n".repeat(LONGEST + 4).as_bytes());
    assert!(!long.allows(b"y") && !long.allows(b"\n"));
    assert_eq!(forced(&long), ">>>>>>> REPLACE");
    let table = Constraint::new([("a.rst", "Title\n=====\n\ntext\n")]);
    assert!(table.allows(b"a.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\nNew title\n=========\n>>>>>>> REPLACE"));
    assert!(!table.allows(b"a.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\n======\n"));
}

#[test]
fn talk_comes_behind_a_block_and_is_short() {
    let open = begun("");
    for wrong in ["```", "I fix it.", "\n", "<<<<<<< SEARCH"] {
        assert!(!open.allows(wrong.as_bytes()), "{wrong:?}");
    }
    assert!(!open.may_end());
    assert_eq!(forced(&open), "", "there are two files");
    let one = Constraint::new([("a.py", "x = 1\ny = 2\n")]);
    assert_eq!(forced(&one), "a.py\n<<<<<<< SEARCH\n");
    let after = begun("src/a.rs\n<<<<<<< SEARCH\n    one();\n=======\n>>>>>>> REPLACE\n");
    assert!(after.may_end() && after.allows(b"That is all.") && !after.allows(b"```"));
    assert!(!after.allows(&[b'x'; PROSE + 1]) && !after.allows(&[b'\n'; PROSE + 2]));
    let mut long = after.clone();
    long.push(&[b'x'; PROSE]);
    assert!(long.allows(b"\nsrc/a") && !long.allows(b"y") && !long.allows(b"\ny"));
    assert!(!open.allows(b"<think>"));
    let mut thinking = Constraint::new([("src/a.rs", TEXT)]).thinking();
    thinking.push(b"<think>\n```\nfree for as long as it likes\n");
    assert!(thinking.allows(&[b'y'; 1000]) && !thinking.may_end());
    assert!(thinking.allows(b"</think>\n\nsrc/a.rs\n<<<<<<< SEARCH\n    two"));
}

#[test]
fn a_file_that_looks_like_a_block_does_not_confuse_it() {
    let odd = Constraint::new([("a.md", "x\n=======\ny\n>>>>>>> REPLACE\nz\n")]);
    let open = |text: &str| odd.allows(format!("a.md\n<<<<<<< SEARCH\n{text}").as_bytes());
    assert!(open("x\n=======\nnew\n>>>>>>> REPLACE\n"));
    assert!(!open("x\n=======\ny\n=======\n"), "the second mark would be a third part");
    assert!(open("y\n=======\n") && !open("y\n>>>>>"));
    assert!(Constraint::new([("a.rs", "\n\n")]).is_empty());
}

#[test]
fn what_was_not_shown_cannot_be_searched_and_must_not_stand_there_as_well() {
    let text = "a\nx\nb\nhidden\nx\nb\nc\n";
    let open = Constraint::of_parts([("a.txt", text, Some(vec![0..3, 6..7]))]);
    let allows = |search: &str| open.allows(format!("a.txt\n<<<<<<< SEARCH\n{search}").as_bytes());
    assert!(!allows("h") && !allows("b\nhid"));
    assert!(!allows("x\n=======") && !allows("x\nb\n=======\n1"), "it stands in the hidden lines too");
    assert!(allows("a\nx\n=======\n") && allows("c\n=======\n"));
}

#[test]
fn a_block_that_changes_nothing_cannot_be_ended() {
    let mark = b">>>>>>> REPLACE";
    let open = |form: &Constraint, new: &str| {
        let mut form = form.clone();
        let text = format!("src/a.rs\n<<<<<<< SEARCH\nfn a() {{\n    one();\n=======\n{new}");
        assert!(form.allows(text.as_bytes()), "{new:?}");
        form.push(text.as_bytes());
        form
    };
    let form = Constraint::new([("src/a.rs", TEXT)]);
    assert!(!open(&form, "fn a() {\n    one();\n").allows(mark));
    for new in
        ["", "fn a() {\n", "fn a() {\n    one()\n", "fn a() {\n    one();\n\n", "fn a() {\n    one();\n    1();\n"]
    {
        assert!(open(&form, new).allows(mark), "{new:?}");
    }
    // where something shall change, blanks are nothing, and they do not come for ever
    let form = form.changing();
    for new in ["fn a() {\n    one();\n", "fn a() {  \n\n    one();\n", "\nfn a() {\n    one(); \n"] {
        let open = open(&form, new);
        assert!(
            !open.allows(mark)
                && !open.allows(b"\n")
                && !open.allows(b"  \n")
                && open.allows(b"    2();\n>>>>>>> REPLACE")
        );
    }
    assert!(open(&form, "fn a() {\n  one();\n").allows(mark), "indentation counts");
    let mut full = open(&form, &"\n".repeat(LONGEST + 8 - 2));
    full.push(b"fn a() {\n    one();\n");
    assert!(full.allows(mark), "there is always a way on");
}

#[test]
fn lines_that_must_stay_cannot_be_searched() {
    let barred = |name: &str| (name == "src/a.rs").then(|| vec![false, false, false, false, true, true, true]);
    let form = Constraint::new([("src/a.rs", TEXT)]).barring(&barred);
    let allows = |search: &str| form.allows(format!("src/a.rs\n<<<<<<< SEARCH\n{search}").as_bytes());
    assert!(allows("    one();\n=======\n") && !allows("fn b") && !allows("    two"));
    assert!(!allows("}\n======="), "it stands in what must stay as well");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is chosen among what is allowed: the answer can always go on, and its blocks apply.
    #[test]
    fn every_allowed_answer_applies(
        lines in proptest::collection::vec(proptest::sample::select(vec!["a", "b", "", "  a", "=======", "== a"]), 1..9),
        ended in any::<bool>(), choices in proptest::collection::vec(any::<u16>(), 400),
    ) {
        let text = lines.join("\n") + if ended { "\n" } else { "" };
        let files = [("a.txt", text.as_str()), ("b.txt", "only\n")];
        let mut constraint = Constraint::new(files);
        let mut answer = Vec::new();
        let pieces: [&[u8]; 16] = [
            b"a", b"b", b"\n", b" ", b"=", b"<", b">", b"x", b"a.txt\n", b"b.txt", b" SEARCH\n", b" REPLACE\n", b"=======\n",
            b">>>>>>> REPLACE\n", b"a\n", b"  ",
        ];
        for choice in choices {
            if let Some(forced) = constraint.forced() {
                prop_assert!(constraint.allows(&forced), "{:?} after {:?}", String::from_utf8_lossy(&forced), String::from_utf8_lossy(&answer));
            }
            let allowed: Vec<&[u8]> = pieces.iter().copied().filter(|piece| constraint.allows(piece)).collect();
            let byte: Vec<u8> = (0..=255u8).filter(|byte| constraint.allows(&[*byte])).take(1).collect();
            prop_assert!(!byte.is_empty() || constraint.may_end(), "stuck after {:?}", String::from_utf8_lossy(&answer));
            if byte.is_empty() { break; }
            let piece = if allowed.is_empty() { &byte[..] } else { allowed[usize::from(choice) % allowed.len()] };
            constraint.push(piece);
            answer.extend_from_slice(piece);
        }
        let answer = String::from_utf8(answer).unwrap();
        let (found, _) = blocks::parse(&answer, &|name| ["a.txt", "b.txt"].contains(&name));
        prop_assert_eq!(found.len(), constraint.blocks() + usize::from(answer.ends_with("REPLACE") && constraint.may_end()), "{}", answer);
        for (name, text) in files {
            let ours: Vec<&blocks::Block> = found.iter().filter(|block| block.name.as_deref() == Some(name)).collect();
            let refused = blocks::apply(text, &ours).refused;
            prop_assert!(refused.iter().all(|(_, why)| why.contains("identical to the file") || why.contains("times")), "{:?}\n{}", refused, answer);
        }
    }
}

/// As it comes out of another process.
fn sent(constraint: &Constraint) -> Constraint {
    serde_json::from_str(&serde_json::to_string(constraint).unwrap()).unwrap()
}

#[test]
fn a_form_that_was_sent_allows_what_it_allowed_before() {
    let parts = [("src/a.rs", TEXT, Some(vec![0..2, 2..3])), ("b.py", "\u{feff}x = 1\r\n=== \r\n", None)];
    let plain = Constraint::of_parts(parts.clone());
    let barred = Constraint::of_parts(parts).barring(&|name| (name == "b.py").then(|| vec![true, false]));
    for constraint in [plain.clone(), plain.thinking(), barred.changing()] {
        let again = sent(&constraint);
        for answer in [
            "src/a.rs\n<<<<<<< SEARCH\nfn a() {\n=======\nfn c() {\n>>>>>>> REPLACE\n",
            "src/a.rs\n<<<<<<< SEARCH\n    two();\n",
            "src/a.rs\n<<<<<<< SEARCH\nfn a() {\n=======\nfn a() { \n>>>>>>> REPLACE\n",
            "b.py\n<<<<<<< SEARCH\nx = 1\n=======\n=== 2\n>>>>>>> REPLACE\n",
            "<think>so</think>\nb.py\n",
        ] {
            assert_eq!(again.allows(answer.as_bytes()), constraint.allows(answer.as_bytes()), "{answer:?}");
        }
    }
    assert!(sent(&Constraint::new([])).is_empty());
}
