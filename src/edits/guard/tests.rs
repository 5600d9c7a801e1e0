//! What is a test, and that it stays.

use super::*;

#[test]
fn files_of_tests_are_known_by_their_names() {
    for name in [
        "test_calc.py",
        "calc_test.py",
        "pkg/tests.py",
        "tests/helper.py",
        "conftest.py",
        "a/__tests__/x.js",
        "x.test.ts",
        "x.spec.js",
        "shape_test.go",
        "ShapeTest.java",
        "src/TestShape.java",
        "ShapeTests.cs",
        "ShapeIT.java",
        "shape_spec.rb",
        "t/basic.t",
        "x.snap",
        "tests/it.rs",
        "jest.config.js",
        "pytest.ini",
        "TESTS/x.c",
        "test.sh",
        "run-tests.sh",
        "fixtures/a.json",
        "x.bats",
    ] {
        assert!(is_test_file(name), "{name}");
    }
    for name in [
        "calc.py",
        "src/main.rs",
        "contest.py",
        "latest.js",
        "Contest.java",
        "attest/a.go",
        "testing.py",
        "src/tester.rs",
        "Testify.java",
        "inspect.py",
        "UNIT.java",
        "package.json",
    ] {
        assert!(!is_test_file(name), "{name}");
    }
}

/// The lines of a text that belong to tests, marked in it by a bar at their beginning.
fn check(name: &str, marked: &str) {
    let text: String = marked.lines().map(|line| format!("{}\n", line.get(1..).unwrap_or(""))).collect();
    let wanted: Vec<bool> = marked.lines().map(|line| line.starts_with('|')).collect();
    assert!(wanted.contains(&true) && wanted.contains(&false), "a case shows both");
    let found = test_lines(name, &text);
    let shown: String = found
        .iter()
        .zip(text.lines())
        .map(|(test, line)| format!("{}{line}\n", if *test { '|' } else { ' ' }))
        .collect();
    assert_eq!(found, wanted, "{name}:\n{shown}");
}

#[test]
fn tests_inside_other_files_are_known_to_their_last_line() {
    check(
        "src/lib.rs",
        " fn add() {\n     1\n }\n \n|#[cfg(test)]\n|mod tests {\n|    use super::*;\n|\n|    #[test]\n|    fn a() {\n|        assert_eq!(add(), \"}\");\n|    }\n|}\n \n fn more() {}\n",
    );
    check(
        "src/lib.rs",
        "|/// ```\n|/// assert_eq!(add(), 1);\n|/// ```\n fn add() {}\n|#[tokio::test(\n|    flavor = \"x\"\n|)]\n|async fn b() {\n|    add();\n|}\n fn c() {}\n|#[cfg(test)] mod more;\n fn d() {}\n",
    );
    check(
        "a.py",
        " def add(a, b):\n     \"\"\"Adds.\n \n|    >>> add(1, 2)\n|    3\n     \"\"\"\n     return a - b\n \n \n|@pytest.mark.parametrize(\"a\", [\n|    1,\n|])\n|def test_add(a):\n|    x = '''\n|one\n|'''\n|    assert add(1, 2) == 3\n \n|class TestMore:\n|    def setup(self):\n|        pass\n \n|@pytest.fixture\n|def one():\n|    return 1\n \n \n x = 1\n|assert add(1, 1) == 2\n|if __name__ == \"__main__\":\n|    unittest.main()\n",
    );
    check(
        "a.ts",
        " export const add = (a) => a;\n|describe(\"add\", () => {\n|  it('adds', () => {\n|    expect(add(1)).toBe(1);\n|  });\n|});\n test(add);\n|if (import.meta.vitest) {\n|  run();\n|}\n const x = 1;\n",
    );
    check(
        "A.java",
        " class A {\n     int a() { return 1; }\n|    // adds\n|    @Test\n|    @Timeout(5)\n|    void b() {\n|        assertEquals(1, a());\n|    }\n     int c() { return 2; }\n }\n",
    );
    check(
        "a.c",
        " int add(int a) { return a; }\n|TEST(Add, Adds)\n|{\n|    EXPECT_EQ(add(1), 1);\n|}\n|static void test_more(void) {\n|    add(1);\n|}\n int main(void) { return 0; }\n",
    );
    check("a.zig", " fn add() u8 { return 1; }\n|test \"add\" {\n|    try expect(add() == 1);\n|}\n");
    check(
        "package.json",
        " {\n   \"name\": \"x\",\n   \"scripts\": {\n     \"build\": \"tsc\",\n|    \"test\": \"jest\"\n   },\n|  \"jest\": {\n|    \"verbose\": true\n|  },\n   \"main\": \"a.js\"\n }\n",
    );
    check("pyproject.toml", " [project]\n name = \"x\"\n|[tool.pytest.ini_options]\n|addopts = \"-q\"\n [build]\n");
    check("Makefile", " all: a.o\n \tcc a.o\n|test: all\n|\t./a --check\n clean:\n \trm a\n");
}

fn change(name: &str, old: &str, new: &str) -> Change {
    Change { name: name.into(), new: old.is_empty(), gone: false, diff: Diff::new(old, new) }
}

const LIB: &str = "fn add(a: i32) -> i32 {\n    a - 1\n}\n\nfn more() {}\n\nfn and() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(super::add(1), 2);\n    }\n}\n";

#[test]
fn of_a_change_the_part_stays_that_leaves_the_tests_alone() {
    let guard = Guard::default();
    let fixed = LIB.replace("a - 1", "a + 1");
    let (kept, problem) = guard.keep(change("src/lib.rs", LIB, &fixed));
    assert!(problem.is_none() && kept.unwrap().diff.proposed() == fixed);
    let (kept, problem) = guard.keep(change("src/lib.rs", LIB, &fixed.replace("(1), 2", "(1), 0")));
    assert_eq!(kept.unwrap().diff.proposed(), fixed, "the expected value stays");
    assert!(problem.unwrap().reason.contains("changes a test"));
    let head = &LIB[..LIB.find("#[cfg(test)]").unwrap()];
    for new in [
        LIB.replace("(1), 2", "(1), 0"),
        LIB.replace("        assert_eq!(super::add(1), 2);\n", ""),
        LIB.replace("    #[test]\n", "    #[test]\n    #[ignore]\n"),
        LIB.replace("#[cfg(test)]\n", "#[cfg(any())]\n"),
        LIB.replace("    #[test]\n", ""),
        LIB.replace("    fn adds() {\n", "    fn adds() {\n        return;\n"),
        head.to_owned(),
        format!("{head}/*\n{}*/\n", &LIB[head.len()..]),
    ] {
        let (kept, problem) = guard.keep(change("src/lib.rs", LIB, &new));
        assert!(kept.is_none() && problem.is_some(), "{new}");
    }
    // a test moved away from where it ran
    let moved = format!("{head}fn adds() {{\n    assert_eq!(super::add(1), 2);\n}}\n");
    assert!(
        guard
            .keep(change("src/lib.rs", LIB, &moved))
            .0
            .is_none_or(|kept| kept.diff.proposed().contains("#[cfg(test)]"))
    );
}

#[test]
fn a_file_of_tests_changes_only_where_it_was_named() {
    let wanted = || change("tests/test_a.py", "assert f() == 1\n", "assert f() == 2\n");
    let (kept, problem) = Guard::default().keep(wanted());
    assert!(kept.is_none() && problem.unwrap().reason.contains("`/fix @FILE COMMAND`"));
    for named in ["tests/test_a.py", "./tests/test_a.py", "tests", "tests/", "tests/*.py", "**/test_*.py"] {
        let guard = Guard { named: vec![named.into()] };
        assert!(guard.keep(wanted()).0.is_some() && !guard.bars("tests/test_a.py"), "{named}");
    }
    for named in ["test_a.py", "tests/test_ab.py", "src", "tests/test_a"] {
        assert!(Guard { named: vec![named.into()] }.bars("tests/test_a.py"), "{named}");
    }
    assert!(Guard::default().keep(change("conftest.py", "", "collect_ignore = ['a']\n")).0.is_none());
    assert!(Guard::default().keep(change("src/new.rs", "", "fn a() {}\n")).0.is_some());
    assert_eq!(Guard::default().barred("src/lib.rs", LIB).iter().filter(|bar| **bar).count(), 7);
}
