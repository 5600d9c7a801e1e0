//! How many tests a command says it ran: those that passed and those that failed. What was skipped did not run.
//!
//! It reads the summaries of programs that run tests, and only of those that print one whether or not the tests pass.
//! It refuses to guess: where nothing is told, nothing is known.

/// Tests counted in what a command writes, line by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// `None` while nothing was told.
    ran: Option<u64>,
    /// Go tells each test, else only packages.
    verbose: bool,
    /// The tests of a summary whose skipped ones come in a line of their own.
    open: u64,
}

impl Tally {
    /// Of a whole text.
    pub fn of(text: &str) -> Self {
        let mut tally = Self::default();
        text.lines().for_each(|line| tally.line(line));
        tally
    }

    /// The tests that ran, if that was told.
    pub fn ran(&self) -> Option<u64> {
        self.ran
    }

    fn add(&mut self, more: u64) {
        self.ran = Some(self.ran.unwrap_or(0).saturating_add(more));
    }

    fn less(&mut self, less: u64) {
        self.ran = self.ran.map(|ran| ran.saturating_sub(less));
    }

    /// Takes one line in; escapes are gone from it.
    pub fn line(&mut self, line: &str) {
        let text = line.trim();
        if text.is_empty() || text.len() > 400 {
            return;
        }
        let told = self.go(line) || self.unittest(text) || self.whole(text);
        if !told && let Some(ran) = pytest(text) {
            self.add(ran);
        }
    }

    /// `go test`: each test with `-v`, else packages.
    fn go(&mut self, line: &str) -> bool {
        if line.starts_with("=== RUN") {
            if !self.verbose {
                // packages were counted so far
                self.ran = None;
            }
            self.verbose = true;
            return true;
        }
        let case = line.trim_start();
        if self.verbose && (case.starts_with("--- PASS:") || case.starts_with("--- FAIL:")) {
            self.add(1);
            return true;
        }
        let package = line.strip_prefix("ok  \t").or_else(|| line.strip_prefix("FAIL\t"));
        if let Some(package) = package {
            if !self.verbose && !package.contains("[no test") {
                self.add(1);
            }
            return true;
        }
        false
    }

    /// Python's `unittest`, Ruby's, gtest: a line with all of them, then one with what was skipped.
    fn unittest(&mut self, text: &str) -> bool {
        if let Some(rest) = text.strip_prefix("Ran ")
            && let Some(ran) = before(rest, " test").filter(|_| rest.contains(" in "))
        {
            self.add(ran);
            self.open = ran;
            return true;
        }
        if (text.starts_with("OK") || text.starts_with("FAILED (")) && self.open > 0 {
            let skipped: u64 = ["skipped=", "expected failures="].iter().filter_map(|word| behind(text, word)).sum();
            self.less(skipped.min(self.open));
            self.open = 0;
            return true;
        }
        if text.starts_with("[  SKIPPED ]")
            && let Some(skipped) = behind(text, "] ").filter(|_| text.contains(" test"))
        {
            self.less(skipped);
            return true;
        }
        false
    }

    /// Summaries of one line.
    fn whole(&mut self, text: &str) -> bool {
        let both =
            |passed: &str, failed: &str| Some(before(text, passed).unwrap_or(0) + before(text, failed).unwrap_or(0));
        let ran = if text.starts_with("test result:") {
            // cargo test
            both(" passed", " failed")
        } else if text.starts_with("Summary [") {
            // cargo nextest
            before(text, " tests run").or_else(|| before(text, " test run"))
        } else if let Some(rest) = text.strip_prefix("Tests:") {
            // jest; PHPUnit has a comma where jest has words
            match rest.trim_start().split(',').next().and_then(|first| first.trim().parse::<u64>().ok()) {
                Some(all) => Some(all.saturating_sub(behind(text, "Skipped: ").unwrap_or(0))),
                None => both(" passed", " failed"),
            }
        } else if text.starts_with("Tests ") && text.ends_with(')') {
            // vitest
            both(" passed", " failed")
        } else if ["# pass ", "# fail ", "ℹ pass ", "ℹ fail "].iter().any(|word| text.starts_with(word)) {
            // node --test, tape
            text.rsplit(' ').next().and_then(|n| n.parse().ok())
        } else if text.starts_with("[==========]") && text.contains(" ran") {
            behind(text, "] ")
        } else if let Some((_, rest)) = text.split_once("tests passed, ") {
            // ctest
            behind(rest, "out of ")
        } else if let Some(rest) = text.strip_prefix("Passed!").or_else(|| text.strip_prefix("Failed!")) {
            // dotnet test
            Some(behind(rest, "Passed: ").unwrap_or(0) + behind(rest, "Failed: ").unwrap_or(0))
        } else if let Some(rest) = text.strip_prefix("OK (") {
            before(rest, " test")
        } else if text.contains(" examples, ") || text.contains(" example, ") {
            // rspec
            let all = before(text, " example");
            all.map(|all| all.saturating_sub(before(text, " pending").unwrap_or(0)))
        } else if text.contains(" runs, ") && text.contains(" assertions, ") {
            // minitest
            before(text, " runs").map(|all| all.saturating_sub(before(text, " skips").unwrap_or(0)))
        } else if text.starts_with("ok | ") || text.starts_with("FAILED | ") {
            // deno
            both(" passed", " failed")
        } else {
            return self.alone(text);
        };
        if let Some(ran) = ran {
            self.add(ran);
        }
        ran.is_some()
    }

    /// A number and a word in a line of their own: mocha, bun; Maven tells classes first and then all of them.
    fn alone(&mut self, text: &str) -> bool {
        let mut words = text.split_whitespace();
        let (number, word) = (words.next().and_then(|word| word.parse::<u64>().ok()), words.next().unwrap_or(""));
        if let Some(number) = number {
            let last = words.next().is_none_or(|more| more.starts_with('('));
            if ["passing", "failing", "pass", "fail"].contains(&word) && last {
                self.add(number);
                return true;
            }
        }
        let maven = text.trim_start_matches("[INFO] ").trim_start_matches("[ERROR] ").trim_start_matches("[WARNING] ");
        if maven.starts_with("Tests run: ") && !text.contains("Time elapsed") {
            let ran = behind(maven, "Tests run: ").unwrap_or(0).saturating_sub(behind(maven, "Skipped: ").unwrap_or(0));
            self.add(ran);
            return true;
        }
        false
    }
}

/// `=== 1 failed, 2 passed, 1 skipped in 0.12s ===`, with or without its frame.
fn pytest(text: &str) -> Option<u64> {
    let bare = text.trim_matches(['=', ' ']);
    let (counts, time) = bare.rsplit_once(" in ")?;
    if !time.starts_with(|c: char| c.is_ascii_digit()) || !time.split(' ').next()?.ends_with('s') {
        return None;
    }
    if counts.starts_with("no tests ran") {
        return Some(0);
    }
    let mut ran = None;
    for part in counts.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word {
            "passed" | "failed" | "error" | "errors" | "xpassed" => ran = Some(ran.unwrap_or(0) + number),
            "skipped" | "xfailed" | "deselected" | "warning" | "warnings" | "rerun" => ran = ran.or(Some(0)),
            _ => return None,
        }
    }
    ran
}

/// The number right before a word.
fn before(text: &str, word: &str) -> Option<u64> {
    let head = text[..text.find(word)?].trim_end();
    let digits = head.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The number right behind a word.
fn behind(text: &str, word: &str) -> Option<u64> {
    let rest = text[text.find(word)? + word.len()..].trim_start();
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_many_programs_are_read() {
        for (text, ran) in [
            ("..F\n=========== 1 failed, 2 passed, 4 skipped in 0.12s ===========", Some(3)),
            ("3 passed in 0.01s", Some(3)),
            ("===== 2 passed, 1 xfailed, 1 warning in 61.2s (0:01:01) =====", Some(2)),
            ("no tests ran in 0.00s", Some(0)),
            ("1 error in 0.05s", Some(1)),
            (
                "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored",
                Some(4),
            ),
            ("     Summary [   0.005s] 3 tests run: 2 passed, 1 failed, 0 skipped", Some(3)),
            ("Ran 5 tests in 0.001s\n\nFAILED (failures=1, skipped=2)", Some(3)),
            ("Ran 1 test in 0.001s\n\nOK", Some(1)),
            (
                "ok  \texample.com/a\t0.1s\nFAIL\texample.com/b\t0.1s\n?   \tc\t[no test files]\nok  \td\t0.1s [no tests to run]\nFAIL",
                Some(2),
            ),
            (
                "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n    --- FAIL: TestB/x (0.00s)\n--- SKIP: TestC\nFAIL\tx\t0.1s",
                Some(2),
            ),
            ("Tests:       1 failed, 1 skipped, 2 passed, 4 total\nTest Suites: 1 failed, 1 total", Some(3)),
            (" Test Files  1 failed (1)\n      Tests  1 failed | 2 passed (3)", Some(3)),
            ("  3 passing (10ms)\n  1 pending\n  1 failing", Some(4)),
            ("ℹ tests 3\nℹ pass 2\nℹ fail 1\nℹ skipped 0", Some(3)),
            ("# tests 3\n# pass 2\n# fail 1", Some(3)),
            (" 3 pass\n 0 fail\nRan 3 tests across 1 file. [8.00ms]", Some(3)),
            (
                "[==========] 3 tests from 1 test suite ran. (0 ms total)\n[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test, listed below:",
                Some(2),
            ),
            ("50% tests passed, 1 tests failed out of 2", Some(2)),
            ("OK (3 tests, 5 assertions)", Some(3)),
            ("Tests: 3, Assertions: 3, Failures: 1, Skipped: 1.", Some(2)),
            ("4 examples, 1 failure, 1 pending", Some(3)),
            ("3 runs, 3 assertions, 1 failures, 0 errors, 1 skips", Some(2)),
            ("Failed!  - Failed:     1, Passed:     2, Skipped:     1, Total:     4", Some(3)),
            (
                "[ERROR] Tests run: 5, Failures: 1, Errors: 0, Skipped: 1, Time elapsed: 0.1 s\n[ERROR] Tests run: 5, Failures: 1, Errors: 0, Skipped: 1",
                Some(4),
            ),
            ("FAILED | 2 passed | 1 failed (5ms)", Some(3)),
            ("Traceback: 3 things in 5 steps\nerror[E0308]: mismatched types\n2 files changed in 3s", None),
            ("", None),
        ] {
            assert_eq!(Tally::of(text).ran(), ran, "{text}");
        }
    }
}
