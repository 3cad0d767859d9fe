//! What commands print: results on standard output, everything else on standard
//! error. A reader that goes away (`| head`) ends the command, it is no failure to report.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Without a terminal, a line of progress is written this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where results go and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Whether `--json` was given.
    pub json: bool,
}

impl Output {
    /// One line of JSON with `--json`, else the text.
    pub fn result(self, json: &Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.json {
            print(&format!("{json}\n"))
        } else {
            let text = text();
            if text.is_empty() {
                return Ok(());
            }
            print(&format!("{}\n", text.trim_end_matches('\n')))
        }
    }

    /// `{"items": [...]}` with `--json`, else a table of these columns.
    pub fn list(self, items: Vec<Value>, columns: &[&str]) -> Result<()> {
        let text = if self.json {
            String::new()
        } else {
            table(&items, columns)
        };
        self.result(&serde_json::json!({ "items": items }), || text)
    }
}

/// Writes to standard output at once.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A note for the person, on standard error.
pub fn note(text: impl std::fmt::Display) {
    // Where nobody reads standard error any more there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A value as a person reads it: text without quotes, a list with commas, nothing for null.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

/// Every member on a line of its own, nested ones below their name.
pub fn members(value: &Value) -> String {
    fn walk(into: &mut Vec<(String, String)>, prefix: &str, value: &Value) {
        let Value::Object(members) = value else {
            into.push((prefix.to_owned(), plain(value)));
            return;
        };
        for (name, value) in members {
            let path = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            walk(into, &path, value);
        }
    }
    let mut lines = Vec::new();
    walk(&mut lines, "", value);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}").trim_end().to_owned() + "\n")
        .collect()
}

/// A line for each item, with these of its members below their names.
pub fn table(items: &[Value], columns: &[&str]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let head: Vec<String> = columns
        .iter()
        .map(|name| name.replace('_', " ").to_uppercase())
        .collect();
    let rows = items
        .iter()
        .map(|item| columns.iter().map(|name| plain(&item[*name])).collect());
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|c| width(c).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        line.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// How far a long command has come: a bar on a terminal, now and then a line elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// Of `total` steps, or without an end in sight.
    pub fn new(total: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| match total {
            Some(total) => styled(ProgressBar::new(total), "{bar:30} {percent:>3}% {msg}"),
            None => styled(ProgressBar::no_length(), "{spinner} {msg}"),
        });
        let told = Instant::now();
        Self { bar, told }
    }

    /// Now at `position`; `message` is only made where it is shown.
    pub fn at(&mut self, position: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(message());
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            note(message());
        }
    }

    /// Clears the bar away.
    pub fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_and_members_line_up() {
        let items = [
            json!({"id": "a", "name": "Acme", "scopes": ["read", "write"]}),
            json!({"id": "bcd", "name": null, "scopes": []}),
        ];
        assert_eq!(
            table(&items, &["id", "name", "scopes"]),
            "ID   NAME  SCOPES\na    Acme  read,write\nbcd\n"
        );
        assert_eq!(
            members(&json!({"a": 1, "hot": {"keys": 2}})),
            "a         1\nhot.keys  2\n"
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
