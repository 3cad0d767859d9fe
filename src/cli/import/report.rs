//! Adds up what the chunks of an import answered and tells it: all bad rows into
//! a file where one was named, the first of them otherwise.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::output::{Output, grouped, note, plain};

/// Bad rows that are shown where no file takes them all.
const SHOWN: usize = 20;

/// The sum so far.
#[derive(Default)]
pub struct Report {
    /// Rows read, bad ones too.
    pub rows: u64,
    /// Records made.
    pub created: u64,
    /// Records changed.
    pub updated: u64,
    /// Rows that were there already as they are.
    pub unchanged: u64,
    /// Bad rows.
    pub failed: u64,
    /// Tenants made.
    pub tenants_created: u64,
    /// Bad rows whose line and reason the server left out of its answer.
    pub unlisted: u64,
    first: Vec<Value>,
    file: Option<BufWriter<File>>,
}

impl Report {
    /// A report that writes bad rows to `errors` where it is named.
    pub fn open(errors: Option<&Path>) -> Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let file = errors.map(create).transpose()?.map(BufWriter::new);
        Ok(Self {
            file,
            ..Self::default()
        })
    }

    /// Adds a chunk's answer.
    pub fn add(&mut self, answer: &Value) -> Result<()> {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.rows += count("rows");
        self.created += count("created");
        self.updated += count("updated");
        self.unchanged += count("unchanged");
        self.failed += count("failed");
        self.tenants_created += count("tenants_created");
        let none = Vec::new();
        let errors = answer["errors"].as_array().unwrap_or(&none);
        self.unlisted += count("failed").saturating_sub(errors.len() as u64);
        errors.iter().try_for_each(|error| self.list(error))
    }

    /// Adds a row that was not sent.
    pub fn refused(&mut self, line: u64, reason: &str) -> Result<()> {
        self.rows += 1;
        self.failed += 1;
        self.list(&json!({"line": line, "reason": reason}))
    }

    fn list(&mut self, error: &Value) -> Result<()> {
        if self.first.len() < SHOWN {
            self.first.push(error.clone());
        }
        match &mut self.file {
            Some(file) => writeln!(file, "{error}").context("cannot write the bad rows"),
            None => Ok(()),
        }
    }

    /// Whether there were rows and none was good.
    pub fn all_failed(&self) -> bool {
        self.rows > 0 && self.failed == self.rows
    }

    /// Rows a second.
    pub fn rate(&self, elapsed: Duration) -> u64 {
        (self.rows as f64 / elapsed.as_secs_f64().max(0.001)) as u64
    }

    /// Brings the bad rows to their file.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) => file.flush().context("cannot write the bad rows"),
            None => Ok(()),
        }
    }

    /// Tells the whole.
    pub fn finish(&mut self, elapsed: Duration, out: Output) -> Result<()> {
        self.flush()?;
        if self.file.is_none() && !out.json {
            for error in &self.first {
                note(format_args!(
                    "line {}: {}",
                    plain(&error["line"]),
                    plain(&error["reason"])
                ));
            }
        }
        let listed = if self.file.is_some() {
            self.unlisted
        } else {
            self.failed - self.first.len() as u64
        };
        if listed > 0 {
            note(format_args!(
                "{} further bad rows are not listed; --errors FILE lists all",
                grouped(listed)
            ));
        }
        let rate = self.rate(elapsed);
        let result = json!({
            "rows": self.rows,
            "created": self.created,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "tenants_created": self.tenants_created,
            "seconds": (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0,
            "rows_per_second": rate,
            "errors": self.first,
        });
        out.result(&result, || self.text(elapsed, rate))
    }

    fn text(&self, elapsed: Duration, rate: u64) -> String {
        let mut text = format!(
            "{} rows in {:.1} s ({} rows/s): {} created, {} updated, {} unchanged, {} bad",
            grouped(self.rows),
            elapsed.as_secs_f64(),
            grouped(rate),
            grouped(self.created),
            grouped(self.updated),
            grouped(self.unchanged),
            grouped(self.failed),
        );
        if self.tenants_created > 0 {
            let _ = write!(text, "; {} tenants made", grouped(self.tenants_created));
        }
        text
    }
}
