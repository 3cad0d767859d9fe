//! What a check found, and how it is told.

use serde::Serialize;
use serde_json::{Value, json};

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and may not for ever.
    Warn,
    /// It does not work, or data is at risk.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How serious it is.
    pub status: Status,
    /// What was found there.
    pub found: String,
    /// What to do; none where all is well.
    pub advice: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            status: Status::Ok,
            found: found.into(),
            advice: None,
        }
    }

    /// It works, and may not for ever.
    pub fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status: Status::Warn,
            advice: Some(advice.into()),
            ..Self::ok(check, found)
        }
    }

    /// It does not work, or data is at risk.
    pub fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status: Status::Fail,
            ..Self::warn(check, found, advice)
        }
    }
}

/// For programs.
pub fn as_json(findings: &[Finding]) -> Value {
    json!({ "items": findings })
}

/// For people: a line each, what to do below it.
pub fn as_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|f| f.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let word = match finding.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let indent = " ".repeat(width + 8);
        let found = finding.found.replace('\n', &format!("\n{indent}"));
        text += &format!("{word:4}  {:width$}  {found}\n", finding.check);
        if let Some(advice) = &finding.advice {
            text += &format!("{indent}-> {advice}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_what_to_do() {
        let findings = [
            Finding::ok("clock", "synchronised"),
            Finding::fail("disk space", "1 MB\nof 2 MB", "make room"),
        ];
        assert_eq!(
            as_text(&findings),
            "ok    clock       synchronised\n\
             FAIL  disk space  1 MB\n                  of 2 MB\n                  -> make room\n"
        );
    }
}
