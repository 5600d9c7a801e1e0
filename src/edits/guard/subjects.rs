//! The files that a file of tests is about: those that it imports, and the one that it is called after. What a failing
//! test writes names the test, seldom the program.

use super::is_test_file;
use crate::edits::place::is_code;
use crate::lang::{self, Language, Syntax, TestStyle};

/// Files of one file of tests at most.
const MOST: usize = 4;

/// The files among `all` (names with `/`, relative to the folder) that a file of tests is about, the likeliest first.
pub fn subjects(name: &str, text: &str, all: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let usable = |file: &&String| is_code(file) && !is_test_file(file) && kin(name, file);
    let go = name.ends_with("_test.go");
    for wanted in modules(name, text) {
        let fits = |file: &&String| module_of(file).is_some_and(|module| module == wanted || ends_in(module, &wanted));
        let mut near: Vec<&String> = all.iter().filter(usable).filter(fits).collect();
        near.sort_by_key(|file| (std::cmp::Reverse(shared(file, name)), file.len()));
        let new = near.into_iter().find(|file| !found.contains(file)).cloned();
        found.extend(new);
    }
    if go {
        let beside = |file: &&String| file.rsplit_once('/').map_or("", |(folder, _)| folder) == folder;
        for file in all.iter().filter(usable).filter(beside) {
            if !found.contains(file) {
                found.push(file.clone());
            }
        }
    }
    found.truncate(MOST);
    found
}

/// Whether two files can be of one program: nothing in Python is about a style sheet.
fn kin(test: &str, file: &str) -> bool {
    match (lang::of_file(test), lang::of_file(file)) {
        (Some(ours), _) if ours.syntax == Syntax::Bash => true,
        (Some(ours), Some(theirs)) => ours.is_kin(theirs),
        _ => {
            let ours = lang::extension(test);
            ours.eq_ignore_ascii_case("bats") || ours.eq_ignore_ascii_case(lang::extension(file))
        }
    }
}

/// A file as it is imported: without its ending, and without the name that stands for its folder.
fn module_of(file: &str) -> Option<&str> {
    let (stem, _) = file.rsplit_once('.')?;
    let whole = ["/__init__", "/index", "/mod"].iter().find_map(|name| stem.strip_suffix(name));
    Some(whole.unwrap_or(stem))
}

fn ends_in(module: &str, wanted: &str) -> bool {
    module.strip_suffix(wanted).is_some_and(|rest| rest.ends_with('/'))
}

/// How many folders two names share at their beginning.
fn shared(a: &str, b: &str) -> usize {
    a.split('/').zip(b.split('/')).take_while(|(a, b)| a == b).count()
}

/// What a file of tests imports and is called after, as [`module_of`] writes it.
fn modules(name: &str, text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |module: &str| {
        let module = module.trim_matches(['/', ' ']).to_owned();
        if !module.is_empty() && !found.contains(&module) {
            found.push(module);
        }
    };
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    add(&without_marks(stem));
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text.lines().map(str::trim).take(400) {
        for module in imported(line, folder) {
            add(&module);
        }
    }
    found
}

/// `test_calc`, `calc.test`, `CalcTest`: `calc`.
fn without_marks(stem: &str) -> String {
    let begins = ["test_", "tests_", "test-", "Test"].iter().find_map(|mark| stem.strip_prefix(mark));
    let ends = [
        "_test", "_tests", "-test", ".test", ".tests", ".spec", "_spec", "-spec", "Tests", "TestCase", "Test", "Spec",
        "IT",
    ];
    let bare = ends.iter().find_map(|mark| stem.strip_suffix(mark)).or(begins).unwrap_or("");
    bare.to_owned()
}

fn imported(line: &str, folder: &str) -> Vec<String> {
    if let Some(rest) = line.strip_prefix("from ")
        && let Some((module, names)) = rest.split_once(" import ")
    {
        let path = module.trim().trim_start_matches('.').replace('.', "/");
        let names = names.split([',', '(', ')']).filter_map(|name| name.split_whitespace().next());
        let below = names.map(|name| format!("{path}/{name}")).collect::<Vec<_>>();
        return [path].into_iter().chain(below).collect();
    }
    let quoted = || line.split(['"', '\'', '`']).skip(1).step_by(2).filter(|text| text.starts_with('.'));
    if line.contains("require(")
        || line.contains("import(")
        || (line.starts_with("import ") && quoted().next().is_some())
        || line.contains(" from ")
    {
        return quoted().filter_map(|path| joined(folder, path)).collect();
    }
    if let Some(rest) = line.strip_prefix("import ") {
        let paths = rest.trim_start_matches("static ").trim_end_matches(';').split(',');
        return paths.filter_map(|path| Some(path.split_whitespace().next()?.replace('.', "/"))).collect();
    }
    if let Some(rest) = line.strip_prefix("use ") {
        let path: Vec<&str> =
            rest.trim_end_matches(';').split("::").take_while(|part| !part.starts_with(['{', '*'])).collect();
        // the crate's name is no file; each part of the rest may be one
        let inner = path.get(1..).unwrap_or_default();
        let parts = (1..=inner.len()).rev().map(|n| inner[..n].join("/")).collect::<Vec<_>>();
        return parts.into_iter().chain(["src/lib".to_owned()]).collect();
    }
    if let Some(rest) = line.strip_prefix("#include \"") {
        let path = rest.split('"').next().unwrap_or("");
        return path.rsplit_once('.').map(|(stem, _)| stem.trim_start_matches("../").to_owned()).into_iter().collect();
    }
    Vec::new()
}

/// A path from a folder, without its ending.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    let last = parts.pop()?;
    let script = |language: &Language| language.tests == Some(TestStyle::Script);
    let bare = last.rsplit_once('.').filter(|(_, end)| lang::of_extension(end).is_some_and(script));
    parts.push(bare.map_or(last, |(stem, _)| stem));
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_leads_to_the_files_that_it_is_about() {
        let all: Vec<String> = [
            "py/calc.py",
            "old/calc.py",
            "py/test_calc.py",
            "py/shapes/__init__.py",
            "py/shapes/area.py",
            "py/calc.css",
            "web/src/add.ts",
            "web/src/add.test.ts",
            "web/src/util/index.js",
            "go/calc.go",
            "go/more.go",
            "go/calc_test.go",
            "rs/src/lib.rs",
            "rs/src/geo/area.rs",
            "rs/tests/it.rs",
            "j/src/Shape.java",
            "README.md",
        ]
        .map(String::from)
        .to_vec();
        for (name, text, wanted) in [
            ("py/test_calc.py", "", vec!["py/calc.py"]),
            (
                "py/test_x.py",
                "from shapes.area import area\nfrom calc import add",
                vec!["py/shapes/area.py", "py/calc.py"],
            ),
            ("py/test_x.py", "import shapes, os\n", vec!["py/shapes/__init__.py"]),
            (
                "web/src/add.test.ts",
                "import { add } from './add.js';\nconst u = require('./util');",
                vec!["web/src/add.ts", "web/src/util/index.js"],
            ),
            ("go/calc_test.go", "package calc\n", vec!["go/calc.go", "go/more.go"]),
            ("rs/tests/it.rs", "use demo::geo::area::Area;\n", vec!["rs/src/geo/area.rs", "rs/src/lib.rs"]),
            ("j/test/ShapeTest.java", "import static org.junit.Assert.*;\n", vec!["j/src/Shape.java"]),
            ("py/test_none.py", "import os\n", vec![]),
        ] {
            assert_eq!(subjects(name, text, &all), wanted, "{name}: {text}");
        }
    }
}
