use super::*;

/// What is kept of `written`, pushed in pieces of three characters; after it, whether something ended it.
fn kept(path: &str, before: &str, after: &str, written: &str) -> (String, bool) {
    let site = Site::new(Some(path), None, before, after);
    let mut watch = Watch::new(&site, Mode::of(&site));
    let characters: Vec<char> = written.chars().collect();
    for piece in characters.chunks(3) {
        if let Some(keep) = watch.push(&piece.iter().collect::<String>()) {
            return (watch.text()[..keep].to_owned(), true);
        }
    }
    (watch.text()[..watch.end(false)].to_owned(), false)
}

fn check(path: &str, cases: &[(&str, &str, &str, &str)]) {
    for (before, after, written, want) in cases {
        let (text, over) = kept(path, before, after, written);
        assert_eq!((text.as_str(), over), (*want, true), "{before:?} | {after:?} + {written:?}");
    }
}

#[test]
fn text_right_of_the_cursor_or_lines_of_the_block_below_mean_one_line() {
    check(
        "a.py",
        &[
            ("f(", ")\n", "x, y)\nz", "x, y)"),
            ("x = ", "\ny = 2\n", "1\nz = 3\n", "1"),
            ("def f():\n    a = 1\n    ", "\n    return a\n", "b = 2\n    c = 3\n", "b = 2"),
            ("def f():\n    a = 1\n", "    return a\n", "    b = 2\n    c = 3\n", "    b = 2\n"),
            ("for x in y:\n", "        z()\n", "    if x:\n        z()\n", "    if x:\n"),
            ("x = {\n", "    'b': 1,\n}\n", "    'a': 0,\n    'b': 1,\n", "    'a': 0,\n"),
            ("x = 1", "\ny\n", "\nz = 3\n", ""),
        ],
    );
}

#[test]
fn an_empty_block_is_filled_to_its_end() {
    check(
        "a.py",
        &[
            ("if x:\n    ", "\nelse:\n    y()\n", "a()\n    b()\nelse:\n", "a()\n    b()"),
            ("def f(x):", "\n\ny = 1\n", "\n    a = x\n    return a\n\n\ndef g", "\n    a = x\n    return a"),
            ("def f(x", "\n\ny = 1\n", "):\n    a = x\n    return a\n    b\n", "):\n    a = x\n    return a"),
            ("if x:\n", "\nz\n", "    a()\nb()\n", "    a()"),
            (
                "def f():\n",
                "",
                "    for x in y:\n        if x:\n            return x\n    z()\n\n",
                "    for x in y:\n        if x:\n            return x\n    z()",
            ),
            ("def f():\n    a = 1\n", "", "    return a\n    b\n", "    return a"),
            ("def f():\n", "\nz\n", "b = 1\n", ""),
            ("", "", "def f():\n    return 1\ndef g():\n", "def f():\n    return 1"),
            ("x = 1\n", "", "y = 2\n\nz = 3\n", "y = 2"),
        ],
    );
}

#[test]
fn a_line_that_opens_a_block_brings_the_block() {
    check(
        "a.py",
        &[("def f():\n    a = 1\n    ", "\n    return a\n", "if a:\n        b()\n    c()\n", "if a:\n        b()")],
    );
    check(
        "a.rs",
        &[(
            "fn f() {\n    a();\n    ",
            "\n    b()\n}\n",
            "if a {\n        c();\n    }\n    d();\n",
            "if a {\n        c();\n    }",
        )],
    );
}

#[test]
fn brackets_end_blocks_that_nothing_below_closes() {
    check(
        "a.rs",
        &[
            ("fn f() {\n    ", "\n}\n", "a();\n    b();\n}\n\nfn", "a();\n    b();"),
            ("fn f() {\n    ", "", "a();\n    b();\n}\nfn g() {\n", "a();\n    b();\n}"),
            ("fn f() {", "\n}\n", "\n    a();\n}\n", "\n    a();"),
            (
                "fn f() ",
                "\n\nfn g() {}\n",
                "{\n    a(&[\n        1,\n    ]);\n}\nfn",
                "{\n    a(&[\n        1,\n    ]);\n}",
            ),
            (
                "fn f() {\n    ",
                "\n}\n",
                "if a {\n        b();\n    } else {\n        c();\n    }\n}\n",
                "if a {\n        b();\n    } else {\n        c();\n    }",
            ),
        ],
    );
    check(
        "a.sh",
        &[
            ("if a; then\n    ", "", "b\n    c\nfi\nd\n", "b\n    c\nfi"),
            ("for x in y; do\n    ", "\ndone\n", "b\ndone\n", "b"),
        ],
    );
}

#[test]
fn what_follows_the_cursor_ends_the_completion() {
    check(
        "a.py",
        &[
            ("if x:\n    ", "\ny = f(x)\n", "a()\n    b()\ny = f(x)\n", "a()\n    b()"),
            ("x = 1\n", "y = 2\n", "y = 2\nz", ""),
            ("def f():\n    x = 1\n    ", "\n\n    return x\n", "return x\n", ""),
        ],
    );
}

#[test]
fn circles_fences_and_endless_lines_are_cut() {
    check(
        "a.py",
        &[
            ("def f():\n", "", "    a = 1\n    b = 1\n    b = 1\n    b = 1\n    b = 1\n", "    a = 1\n    b = 1"),
            ("def f():\n", "", "    a = 1\n```\nThis", "    a = 1"),
            ("", "", &"ab, ".repeat(200), ""),
            ("x = 1\n", "", "\n\n\n\n", ""),
        ],
    );
    let words: String = (0..200).map(|i| format!("word{i} ")).collect();
    assert_eq!(kept("a.py", "# ", "", &words), (String::new(), true));
}

#[test]
fn blank_lines_inside_brackets_and_texts_end_nothing() {
    for written in ["f(\n\n    1,\n", "'''a\n\nb\n", "if a:\n\n        b()\n"] {
        let (text, over) = kept("a.py", "def f():\n    ", "", written);
        assert_eq!((text.as_str(), over), (written.trim_end(), false));
    }
}

#[test]
fn a_quote_that_was_misread_does_not_make_lines_endless() {
    check(
        "a.sh",
        &[("cat <<E\ndon't\nE\nif a; then\n    ", "", "b\n\nc\n", "b"), ("echo don't\nx=", "\ny=2\n", "1\nz=3\n", "1")],
    );
    check("a.py", &[("def f():\n    '''A\n    ", "\n    '''\n", "line.\n    Another.\n", "line.")]);
}

#[test]
fn without_an_end_the_last_line_is_kept_unless_it_was_cut_off() {
    let site = Site::new(Some("a.py"), None, "def f():\n", "");
    let mut watch = Watch::new(&site, Mode::of(&site));
    assert_eq!(watch.push("    a = 1\n    b = "), None);
    assert_eq!(&watch.text()[..watch.end(true)], "    a = 1");
    assert_eq!(&watch.text()[..watch.end(false)], "    a = 1\n    b = ");
    let mut copy = watch.clone();
    assert_eq!(copy.push("2\n\n"), Some(19));
    assert_eq!((copy.push("more"), copy.end(true)), (Some(19), 19));
    assert_eq!(watch.push("3"), None);
}

proptest::proptest! {
    #[test]
    fn pieces_do_not_matter_and_the_end_is_within_the_text(
        before in "[a-z({:\"'# \n]{0,40}", after in "[a-z)}:\" \n]{0,40}", written in "[a-z(){}\\[\\]:\"'`# \n\té]{0,120}",
        size in 1usize..9, language in 0usize..4,
    ) {
        let path = ["a.py", "a.rs", "a.sh", "a.ts"][language];
        let site = Site::new(Some(path), None, &before, &after);
        let mut whole = Watch::new(&site, Mode::of(&site));
        let mut pieces = whole.clone();
        let over = whole.push(&written);
        let characters: Vec<char> = written.chars().collect();
        for piece in characters.chunks(size) {
            pieces.push(&piece.iter().collect::<String>());
        }
        proptest::prop_assert_eq!(pieces.end(true), whole.end(true));
        proptest::prop_assert_eq!(pieces.text(), written.as_str());
        for keep in [whole.end(true), whole.end(false), over.unwrap_or(0)] {
            proptest::prop_assert!(written.is_char_boundary(keep) && keep <= written.len());
        }
    }
}
