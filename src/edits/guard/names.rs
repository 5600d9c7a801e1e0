//! Files of tests, by their names.

/// Folders whose files are tests or belong to them.
const FOLDERS: [&str; 18] = [
    "test",
    "tests",
    "__tests__",
    "__snapshots__",
    "__mocks__",
    "spec",
    "specs",
    "e2e",
    "testdata",
    "test_data",
    "test-data",
    "testcases",
    "fixtures",
    "unittests",
    "unit_tests",
    "integration_tests",
    "integration-tests",
    "cypress",
];

/// Files that say which tests there are and how they run.
const WHOLE: [&str; 9] = [
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "tox.ini",
    "noxfile.py",
    "phpunit.xml",
    "phpunit.xml.dist",
    ".rspec",
    "nextest.toml",
];

/// What the names of such files begin with.
const BEGINNINGS: [&str; 8] = [
    "jest.config.",
    "jest.setup.",
    "vitest.config.",
    "vitest.setup.",
    "karma.conf.",
    "playwright.config.",
    "cypress.config.",
    ".mocharc",
];

/// Whether a file is one of tests, or says how tests run.
pub fn is_test_file(name: &str) -> bool {
    let mut parts = name.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or(name);
    let small = file.to_ascii_lowercase();
    if parts.any(|part| FOLDERS.contains(&part.to_ascii_lowercase().as_str())) {
        return true;
    }
    if WHOLE.contains(&small.as_str()) || BEGINNINGS.iter().any(|start| small.starts_with(start)) {
        return true;
    }
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let low = stem.to_ascii_lowercase();
    if ["snap", "bats", "feature", "t"].contains(&ending) && !stem.is_empty() {
        return true;
    }
    let words = |text: &str| ["test", "tests", "spec", "specs", "e2e", "cy"].contains(&text);
    let first = low.split(['_', '-', '.']).next().unwrap_or("");
    let last = low.rsplit(['_', '-', '.']).next().unwrap_or("");
    words(last) || ["test", "tests"].contains(&first) || is_camel_test(stem)
}

/// `ShapeTest`, `TestShape`, `ShapeIT`: the words of a name that begins with a capital.
fn is_camel_test(stem: &str) -> bool {
    let ends = ["Test", "Tests", "TestCase", "TestSuite", "Spec", "Specs", "IT"].iter();
    let mut heads = ends.filter_map(|word| stem.strip_suffix(word));
    let begins = stem.strip_prefix("Test").is_some_and(|rest| rest.starts_with(char::is_uppercase));
    begins || heads.any(|rest| rest.ends_with(|c: char| c.is_lowercase() || c.is_ascii_digit()))
}
