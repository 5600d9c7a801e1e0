use super::*;

fn judge(path: &str, before: &str, after: &str, candidate: &str) -> Verdict {
    verdict(&Site::new(Some(path), None, before, after), candidate)
}

#[test]
fn python_s_indentation_is_judged_without_a_grammar_too() {
    let (before, after) = ("def f(x):\n    if x:\n", "    return 2\n");
    assert_eq!(judge("a.py", before, after, "        return 1\n"), Verdict::Fine);
    assert_ne!(judge("a.py", before, after, "    return 1\n"), Verdict::Fine);
    assert_eq!(judge("a.py", "a = 1\n", "b = 2\n", "    c = 3\n"), Verdict::Worse);
    assert_eq!(judge("a.py", "a = 1\n", "b = 2\n", "if c:\n"), Verdict::Worse);
}

#[test]
fn what_no_grammar_is_for_is_unknown() {
    for path in ["a.txt", "Makefile"] {
        assert_eq!(judge(path, "a (", "\n", "b {"), Verdict::Unknown);
    }
}

#[cfg(feature = "grammars")]
mod grammars {
    use super::*;

    #[test]
    fn every_language_tells_a_whole_statement_from_a_broken_one() {
        for (path, before, after, good, bad) in [
            ("a.py", "def f(a):\n    b = 1\n    ", "\n    return b\n", "b = g(a, [1])", "b = g(a, [1)"),
            ("a.js", "function f(a) {\n  ", "\n}\n", "return a.map((x) => x + 1);", "return a.map((x => x + 1);"),
            ("a.ts", "function f(a: number): number {\n  ", "\n}\n", "const b: number = a;", "const b: = a;"),
            ("a.tsx", "const a = () => {\n  ", "\n};\n", "return <p>{b}</p>;", "return <p>{b</p>;"),
            ("a.cpp", "int f(int a) {\n  ", "\n}\n", "return a + 1;", "return a + ;"),
            ("a.rs", "fn f(a: u8) -> u8 {\n    ", "\n}\n", "a.max(1)", "a.max(1"),
            ("a.go", "package a\n\nfunc f(a int) int {\n\t", "\n}\n", "return a + 1", "return (a + 1"),
            ("A.java", "class A {\n  int f(int a) {\n    ", "\n  }\n}\n", "return a + 1;", "return a + 1; }"),
            ("a.sh", "f() {\n  ", "\n}\n", "if [ -f a ]; then b; fi", "if [ -f a ]; then b"),
        ] {
            assert_eq!(judge(path, before, after, good), Verdict::Fine, "{path}");
            assert_eq!(judge(path, before, after, bad), Verdict::Worse, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_broken_already_can_be_mended_or_left() {
        assert_eq!(judge("a.rs", "fn f() {\n    g(", "\n}\n", "1);"), Verdict::Fine);
        assert_eq!(judge("a.rs", "fn f( {\n    g();\n    ", "\n}\n", "h();"), Verdict::Unknown);
    }

    #[test]
    fn a_candidate_is_cut_where_it_goes_wrong() {
        let mut judge = Judge::new(&Site::new(Some("a.rs"), None, "fn f() {\n    ", "\n}\n"));
        assert_eq!(judge.shorten("g();\n    h();").as_deref(), Some("g();\n    h();"));
        assert_eq!(judge.shorten("g();\n    h();\n    i(").as_deref(), Some("g();\n    h();"));
        assert_eq!(judge.shorten("i("), None);
        // The judge is as it was.
        assert_eq!(judge.verdict("g();"), Verdict::Fine);
    }

    #[test]
    fn a_large_file_is_judged_by_what_is_near() {
        let far = "fn broken( {\n".to_owned() + &"fn f() {\n    g();\n}\n\n".repeat(3000);
        let site = Site::new(
            Some("a.rs"),
            None,
            &format!("{far}fn h() {{\n    "),
            &format!("\n}}\n\n{}", "fn f() {\n}\n\n".repeat(5000)),
        );
        assert_eq!(verdict(&site, "g();"), Verdict::Fine);
        assert_eq!(verdict(&site, "g(;"), Verdict::Worse);
    }

    #[test]
    fn hostile_texts_are_given_up_on() {
        for text in ["(".repeat(60_000), "`${".repeat(20_000), "a<".repeat(30_000), "\"\\".repeat(30_000)] {
            for path in ["a.ts", "a.cpp", "a.py", "a.sh"] {
                judge(path, &text, &text, "x");
            }
        }
    }
}
