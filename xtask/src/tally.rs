//! Counts of tests, read from the closing lines of the runners.

use std::fmt;

/// What the runners said so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// How many closing lines were read.
    pub lines: u64,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.lines += other.lines;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Whose closing lines are read. A test may print another runner's lines, so
/// each step reads only its own.
#[derive(Debug, Clone, Copy)]
pub enum Runner {
    Nextest,
    CargoTest,
    Vitest,
}

impl Runner {
    /// The counts in one line of output; nothing in any other line.
    pub fn tally_of(self, line: &str) -> Tally {
        let line = without_colours(line);
        let line = line.trim();
        let counts = match self {
            // Summary [ 0.015s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped
            Self::Nextest if line.starts_with("Summary [") => {
                line.split_once(" run: ").map(|(_, counts)| counts)
            }
            // test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out
            Self::CargoTest => line
                .strip_prefix("test result: ")
                .and_then(|rest| rest.split_once(". "))
                .map(|(_, counts)| counts),
            // Tests  1 failed | 9 passed | 1 skipped (11)
            Self::Vitest => line.strip_prefix("Tests  "),
            Self::Nextest => None,
        };
        counts.map(count).unwrap_or_default()
    }
}

fn count(counts: &str) -> Tally {
    let mut tally = Tally {
        lines: 1,
        ..Tally::default()
    };
    for part in counts.split([',', ';', '|']) {
        let mut words = part.split_whitespace();
        let Some(number) = words.next().and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        match (words.next(), words.next()) {
            (Some("passed"), _) => tally.passed += number,
            (Some("failed"), _) | (Some("timed"), Some("out")) | (Some("exec"), Some("failed")) => {
                tally.failed += number
            }
            (Some("skipped" | "ignored" | "todo"), _) => tally.skipped += number,
            _ => {}
        }
    }
    tally
}

/// The text without escape sequences such as `ESC [ 3 2 m`.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(runner: Runner, line: &str) -> (u64, u64, u64) {
        let tally = runner.tally_of(line);
        (tally.passed, tally.failed, tally.skipped)
    }

    #[test]
    fn nextest() {
        let line = "     Summary [   0.015s] 4 tests run: 4 passed, 0 skipped";
        assert_eq!(counts(Runner::Nextest, line), (4, 0, 0));
        let line = "Summary [ 61.2s] 9/12 tests run: 5 passed (1 slow, 2 flaky), 2 failed, 1 timed out, 1 exec failed, 3 skipped";
        assert_eq!(counts(Runner::Nextest, line), (5, 4, 3));
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m7\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m";
        assert_eq!(counts(Runner::Nextest, line), (1, 0, 7));
    }

    #[test]
    fn cargo_test() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 5 filtered out; finished in 0.00s";
        assert_eq!(counts(Runner::CargoTest, line), (3, 1, 2));
    }

    #[test]
    fn vitest() {
        assert_eq!(
            counts(Runner::Vitest, "      Tests  19 passed (19)"),
            (19, 0, 0)
        );
        let line = "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[31m1 failed\u{1b}[39m | 9 passed | 1 skipped (11)";
        assert_eq!(counts(Runner::Vitest, line), (9, 1, 1));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "Test Files  1 failed (1)",
            "test result: odd",
            "3 passed",
            "",
        ] {
            for runner in [Runner::Nextest, Runner::CargoTest, Runner::Vitest] {
                assert_eq!(runner.tally_of(line), Tally::default(), "{line}");
            }
        }
        let foreign = "test result: ok. 3 passed; 0 failed";
        assert_eq!(Runner::Nextest.tally_of(foreign), Tally::default());
    }
}
