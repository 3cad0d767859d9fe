//! Takes settings out of the gathered map one by one, each with its type, its
//! default and its bounds. It never stops at a mistake: it notes the problem and
//! goes on with the default, so that everything wrong is told at once. What
//! nobody took at the end is a key that does not exist.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::Setting;
use super::problem::{ConfigProblem, Origin};
use super::sources::{Entry, Raw};

pub(super) struct Reader {
    entries: BTreeMap<String, Entry>,
    known: Vec<&'static str>,
    settings: Vec<Setting>,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    pub fn new(entries: BTreeMap<String, Entry>, problems: Vec<ConfigProblem>) -> Self {
        Self {
            entries,
            known: Vec::new(),
            settings: Vec::new(),
            problems,
        }
    }

    /// A whole number within `range`; `K`, `M` and `_` are not read, plain digits
    /// (in the environment also with `_`) are.
    pub fn integer<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<i64> + Serialize,
    {
        let expected = format!(
            "expected an integer from {} to {}",
            range.start(),
            range.end()
        );
        let Some((value, origin)) = self.take(key) else {
            return self.default(key, default);
        };
        let (number, found) = match &value {
            Raw::Integer(number) => (Some(*number), number.to_string()),
            Raw::Given(text) => {
                let text = text.to_string_lossy();
                (text.replace('_', "").parse().ok(), format!("\"{text}\""))
            }
            other => (None, describe(other)),
        };
        let number = number.and_then(|number| T::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => self.stands(key, number, origin),
            None => self.wrong(origin, key, format!("{expected}, found {found}"), default),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        let Some((value, origin)) = self.take(key) else {
            return self.default(key, default);
        };
        let read = match &value {
            Raw::Boolean(read) => Some(*read),
            Raw::Given(text) => text.to_str().and_then(|text| text.parse().ok()),
            _ => None,
        };
        match read {
            Some(read) => self.stands(key, read, origin),
            None => {
                let message = format!("expected true or false, found {}", describe(&value));
                self.wrong(origin, key, message, default)
            }
        }
    }

    /// Text that `parse` understands; `expected` completes "expected ...".
    pub fn parsed<T: Serialize>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> T {
        let Some((value, origin)) = self.take(key) else {
            return self.default(key, default);
        };
        let text = match &value {
            Raw::Text(text) => Some(text.as_str()),
            Raw::Given(text) => text.to_str(),
            _ => None,
        };
        match text.and_then(parse) {
            Some(parsed) => self.stands(key, parsed, origin),
            None => {
                let message = format!("expected {expected}, found {}", describe(&value));
                self.wrong(origin, key, message, default)
            }
        }
    }

    /// Text that its type parses by itself.
    pub fn text_as<T: FromStr + Serialize>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
    ) -> T {
        self.parsed(key, default, expected, |text| text.parse().ok())
    }

    /// A list of strings (in the environment separated by commas), each of which passes `check`.
    pub fn texts(
        &mut self,
        key: &'static str,
        items_max: usize,
        expected: &str,
        check: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        self.texts_or(key, &[], items_max, expected, check)
    }

    /// The same with a default that is not empty.
    pub fn texts_or(
        &mut self,
        key: &'static str,
        default: &[&str],
        items_max: usize,
        expected: &str,
        check: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        let Some((value, origin)) = self.take(key) else {
            let default = default.iter().map(|item| (*item).to_owned()).collect();
            return self.default(key, default);
        };
        let items: Option<Vec<String>> = match &value {
            Raw::Texts(items) => Some(items.clone()),
            Raw::Given(text) => text.to_str().map(|text| {
                text.split(',')
                    .map(|item| item.trim().to_owned())
                    .filter(|item| !item.is_empty())
                    .collect()
            }),
            _ => None,
        };
        let Some(items) = items else {
            let message = format!("expected a list of {expected}, found {}", describe(&value));
            return self.wrong(origin, key, message, Vec::new());
        };
        if items.len() > items_max {
            let message = format!("expected at most {items_max} items, found {}", items.len());
            return self.wrong(origin, key, message, Vec::new());
        }
        for item in items.iter().filter(|item| !check(item)) {
            let message = format!("expected {expected}, found \"{item}\"");
            self.wrong(origin.clone(), key, message, ());
        }
        self.stands(key, items, origin)
    }

    /// A path; one from the file is relative to the file's folder, any other to the
    /// current one. Always absolute afterwards.
    pub fn path(&mut self, key: &'static str, default: &Path, file: Option<&Path>) -> PathBuf {
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let (path, origin) = match self.take(key) {
            None => (folder.join(default), Origin::Default),
            Some((Raw::Text(text), origin)) if !text.is_empty() => (folder.join(text), origin),
            Some((Raw::Given(text), origin)) if !text.is_empty() => (PathBuf::from(text), origin),
            Some((value, origin)) => {
                let message = format!("expected a folder's path, found {}", describe(&value));
                let path = self.wrong(origin.clone(), key, message, PathBuf::from(default));
                (path, origin)
            }
        };
        let path = std::path::absolute(&path).unwrap_or(path);
        self.stands(key, path, origin)
    }

    /// The path of a file, where one is given: empty is none. Relative as with [`Reader::path`].
    pub fn optional_path(&mut self, key: &'static str, file: Option<&Path>) -> Option<PathBuf> {
        let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let Some((value, origin)) = self.take(key) else {
            self.default(key, "");
            return None;
        };
        let path = match &value {
            Raw::Text(text) => folder.join(text),
            Raw::Given(text) => PathBuf::from(text),
            other => {
                let message = format!("expected a file's path, found {}", describe(other));
                return self.wrong(origin, key, message, None);
            }
        };
        if matches!(&value, Raw::Text(text) if text.is_empty()) || path.as_os_str().is_empty() {
            self.stands(key, "", origin);
            return None;
        }
        let path = std::path::absolute(&path).unwrap_or(path);
        Some(self.stands(key, path, origin))
    }

    /// Notes a problem between two settings; `key` is the one to change.
    pub fn conflict(&mut self, key: &'static str, message: String) {
        let origin = self
            .entries
            .get(key)
            .map_or(Origin::Default, |entry| entry.origin.clone());
        self.wrong(origin, key, message, ());
    }

    /// Notes what was set but never asked for, and hands over every problem.
    pub fn finish(mut self) -> Vec<ConfigProblem> {
        for (key, entry) in &self.entries {
            if !self.known.contains(&key.as_str()) {
                self.problems.push(ConfigProblem {
                    origin: entry.origin.clone(),
                    key: key.clone(),
                    message: unknown(key, &self.known),
                });
            }
        }
        self.problems.sort_by_key(|problem| problem.origin.rank());
        self.problems
    }

    /// Every setting that was read, as it stands.
    pub fn settings(&mut self) -> Vec<Setting> {
        std::mem::take(&mut self.settings)
    }

    fn default<T: Serialize>(&mut self, key: &'static str, default: T) -> T {
        self.stands(key, default, Origin::Default)
    }

    /// Notes what a setting is and where that came from.
    fn stands<T: Serialize>(&mut self, key: &'static str, value: T, origin: Origin) -> T {
        // Numbers, texts and lists of texts: they all have their JSON.
        let json = serde_json::to_value(&value).unwrap_or_default();
        self.settings.push(Setting {
            key,
            value: json,
            origin,
        });
        value
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub fn known(&self) -> &[&'static str] {
        &self.known
    }

    fn take(&mut self, key: &'static str) -> Option<(Raw, Origin)> {
        self.known.push(key);
        let entry = self.entries.get(key)?;
        Some((entry.value.clone(), entry.origin.clone()))
    }

    fn wrong<T>(&mut self, origin: Origin, key: &str, message: String, instead: T) -> T {
        let key = key.to_owned();
        self.problems.push(ConfigProblem {
            origin,
            key,
            message,
        });
        instead
    }
}

fn describe(value: &Raw) -> String {
    match value {
        Raw::Text(text) => format!("\"{text}\""),
        Raw::Integer(number) => format!("the integer {number}"),
        Raw::Boolean(_) => "a boolean".to_owned(),
        Raw::Texts(_) => "a list".to_owned(),
        Raw::Other(what) => (*what).to_owned(),
        Raw::Given(text) => format!("\"{}\"", text.to_string_lossy()),
    }
}

/// Says that a key does not exist, and which one may have been meant.
fn unknown(key: &str, known: &[&'static str]) -> String {
    let close = known
        .iter()
        .map(|candidate| (distance(key, candidate), *candidate))
        .filter(|(distance, candidate)| {
            *distance <= 3 || candidate.starts_with(key) || ends_alike(key, candidate)
        })
        .min();
    match close {
        Some((_, candidate)) => format!("unknown key; did you mean {candidate}?"),
        None => "unknown key; config.toml of `tenantry init` lists every one".to_owned(),
    }
}

/// The right name in the wrong section.
fn ends_alike(key: &str, candidate: &str) -> bool {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    last(key) == last(candidate)
}

/// Levenshtein's distance, by one row.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
