//! Where blocks go.

use super::*;

fn piece(info: &str, before: &str, text: &str) -> Piece {
    Piece { info: info.into(), before: before.into(), text: text.into() }
}

fn names(info: &str, before: &str, text: &str) -> Vec<String> {
    named(&piece(info, before, text)).into_iter().map(|named| named.name).collect()
}

#[test]
fn a_name_is_found_in_the_fence_the_first_line_or_the_sentence_before() {
    assert_eq!(names("rust src/main.rs", "", ""), ["src/main.rs"]);
    assert_eq!(names("rust:src/main.rs", "", ""), ["src/main.rs"]);
    assert_eq!(names("js title=\"app.js\"", "", ""), ["app.js"]);
    assert_eq!(names("py", "", "# app/main.py\nx = 1\n"), ["app/main.py"]);
    assert_eq!(names("html", "", "<!-- index.html -->\n"), ["index.html"]);
    assert_eq!(names("c", "", "/* File: a.c */\n"), ["a.c"]);
    assert_eq!(names("", "Change `src/a.rs` like this:", ""), ["src/a.rs"]);
    assert_eq!(names("", "In **lib/b.py**, e.g. the loop. Version 1.2 of it.", ""), ["lib/b.py"]);
    assert!(names("rust", "Call `foo.bar()` here, i.e. now.", "// adds a number\nfn a() {}\n").is_empty());
    assert!(!named(&piece("", "see `a.rs`", ""))[0].explicit);
    assert!(named(&piece("", "Create `a.rs`:", ""))[0].explicit);
    assert_eq!(code(&piece("", "", "# a.py\n\nx\n"), "a.py"), "x\n");
    assert_eq!(code(&piece("", "", "# adds\nx\n"), "a.py"), "# adds\nx\n");
}

#[test]
fn what_only_looks_like_a_file_is_proposed_as_none() {
    let new = |info: &str, before: &str, text: &str| {
        named(&piece(info, before, text)).into_iter().find(|named| named.explicit).map(|named| named.name)
    };
    assert_eq!(new("vb.net", "", ""), None);
    assert_eq!(new("py", "", "# math.sqrt\nx = 1\n"), None);
    assert_eq!(new("js", "Create a Node.js server:", ""), None);
    assert_eq!(new("py", "Save it as app.py:", "").as_deref(), Some("app.py"));
    assert_eq!(new("Main.java", "", "").as_deref(), Some("Main.java"));
    assert_eq!(new("sh tools/run", "", ""), None, "it has no ending");
    assert_eq!(new("", "", "# Makefile\nall:\n").as_deref(), Some("Makefile"));
    assert_eq!(new("", "", "///etc/x.conf\n").as_deref(), Some("/etc/x.conf"), "it is judged as what it says");
    assert_eq!(new("rs", "", "/// src/a.rs\n").as_deref(), Some("src/a.rs"));
    assert_eq!((extension_of("Python"), extension_of("whatever")), ("py", "txt"));
}

#[test]
fn a_block_is_recognised_in_the_file_it_comes_from() {
    let texts =
        ["def add(a, b):\n    return a + b\n", "def load(path):\n    with open(path) as f:\n        return f.read()\n"];
    assert_eq!(
        resembles("def load(path, mode):\n    with open(path, mode) as f:\n        return f.read()\n", texts),
        Some(1)
    );
    assert_eq!(resembles("print('something else')\n", texts), None);
    assert_eq!(resembles("", texts), None);
}

const FILE: &str = "import os\n\n# Adds.\ndef add(a, b):\n    return a - b\n\n\nclass List:\n    def one(self):\n        return 1\n\n    def two(self):\n        return 2\n\n    def three(self):\n        return 3\n\n\nadd(1, 2)\n";

fn merge_file(block: &str) -> String {
    merge(FILE, block).expect("it has a place")
}

#[test]
fn one_function_takes_its_place_and_leaves_the_rest() {
    let fixed = FILE.replace("a - b", "a + b");
    assert_eq!(merge_file("def add(a, b):\n    return a + b\n"), fixed, "the comment above stays");
    assert_eq!(merge_file("import os\n\ndef add(a, b):\n    return a + b\n\nadd(1, 2)\n"), fixed);
    assert_eq!(
        merge_file("import sys\n\ndef add(a, b):\n    return a + b\n"),
        fixed.replace("import os\n", "import os\nimport sys\n")
    );
}

#[test]
fn a_method_is_moved_to_its_indentation() {
    let wanted = FILE.replace("return 2", "return 22");
    assert_eq!(merge_file("def two(self):\n    return 22\n"), wanted);
    assert_eq!(merge_file("class List:\n    def two(self):\n        return 22\n"), wanted, "the other methods stay");
}

#[test]
fn new_definitions_come_behind_the_one_before_them() {
    let block = "def add(a, b):\n    return a - b\n\ndef sub(a, b):\n    return a + b\n";
    assert_eq!(merge_file(block), FILE.replace("a - b\n", "a - b\n\ndef sub(a, b):\n    return a + b\n"));
    let block = "class List:\n    def four(self):\n        return 4\n\n    def one(self):\n        return 1\n";
    let merged = merge_file(block);
    assert!(merged.contains("return 3\n\n    def four(self):\n        return 4\n"), "{merged}");
    assert!(merged.contains("def two") && merged.contains("add(1, 2)"));
}

#[test]
fn a_whole_file_takes_the_place_of_all_of_it() {
    let whole = FILE.replace("a - b", "a + b").replace("import os\n", "").replace("add(1, 2)", "print(add(1, 2))");
    assert_eq!(merge_file(&whole), whole);
    assert_eq!(merge("", "x\n").as_deref(), Some("x\n"));
    assert_eq!(
        merge("# a\nold text\nmore text\n", "# a\nnew text\nmore text\n").as_deref(),
        Some("# a\nnew text\nmore text\n")
    );
}

#[test]
fn lines_left_out_are_filled_from_the_file() {
    let wanted = FILE.replace("a - b", "a + b");
    assert_eq!(
        merge_file(
            "import os\n\n# Adds.\ndef add(a, b):\n    return a + b\n\n\n# ... existing code ...\n\n\nadd(1, 2)\n"
        ),
        wanted
    );
    assert_eq!(merge_file("def add(a, b):\n    return a + b\n\n# ... rest of the code\n"), wanted);
    let class = "class List:\n    # ...\n    def three(self):\n        return 33\n";
    assert_eq!(merge_file(class), FILE.replace("return 3\n", "return 33\n"));
}

#[test]
fn loose_lines_go_between_their_anchors() {
    let old = "fn main() {\n    let a = 1;\n    let b = 2;\n    print(a);\n}\n";
    let merged = merge(old, "let a = 1;\nlet b = 3;\nprint(a);\n").unwrap();
    assert_eq!(merged, old.replace("b = 2", "b = 3"));
    assert_eq!(
        merge(old, "    let b = 3;\n    print(a);\n}\n").unwrap(),
        old.replace("    print", "    let b = 3;\n    print")
    );
    assert_eq!(merge(old, "nothing in common\n"), None);
}
