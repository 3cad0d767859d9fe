//! Where settings come from, in rising order: the file, the environment, the
//! flags. All three become one map from `section.key` to a value that remembers
//! its origin, so that a problem can name the line or the variable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{ConfigProblem, Origin};

/// A configuration file is a page of text; more than this is a mistaken path.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything [`super::Config::load`] reads.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The configuration file; a missing one is a problem. `None` means no file.
    pub file: Option<PathBuf>,
    /// The environment; only `TENANTRY_DATA` and `TENANTRY_SECTION__KEY` are looked at.
    pub env: Vec<(OsString, OsString)>,
    /// What the command line says.
    pub flags: Flags,
}

/// The settings that have a flag of their own.
#[derive(Debug, Default, Clone)]
pub struct Flags {
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--listen ADDR:PORT`
    pub listen: Option<String>,
}

impl Sources {
    /// The process's own environment, these flags, and this file; without one
    /// named, `config.toml` of the current folder where it exists.
    pub fn of_process(file: Option<PathBuf>, flags: Flags) -> Self {
        let file = file.or_else(|| {
            let usual = PathBuf::from(super::FILE_NAME);
            usual.is_file().then_some(usual)
        });
        Self {
            file,
            env: std::env::vars_os().collect(),
            flags,
        }
    }
}

/// A value as it was written, before anyone asked for its type.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    /// A string of the file.
    Text(String),
    /// An integer of the file.
    Integer(i64),
    /// `true` or `false` of the file.
    Boolean(bool),
    /// A list of the file that holds only strings.
    Texts(Vec<String>),
    /// Whatever else the file holds, which no key expects: what to call it.
    Other(&'static str),
    /// From the environment or a flag: text whose meaning the key's type decides.
    Given(OsString),
}

impl Raw {
    fn of_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("an integer beyond 64 bits"), Self::Integer),
            DeValue::Array(items) => items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .map_or(Self::Other("a list of other things"), Self::Texts),
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

/// One setting and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub value: Raw,
    pub origin: Origin,
}

/// All settings, the later source in place of the earlier.
pub(super) fn gather(
    sources: &Sources,
    problems: &mut Vec<ConfigProblem>,
) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    if let Some(path) = &sources.file {
        read_file(path, &mut entries, problems);
    }
    for (name, value) in &sources.env {
        if let Some(key) = env_key(name) {
            let origin = Origin::Environment(name.to_string_lossy().into_owned());
            let value = Raw::Given(value.clone());
            entries.insert(key, Entry { value, origin });
        }
    }
    let flags = [
        (
            "data",
            "--data",
            sources.flags.data.clone().map(PathBuf::into_os_string),
        ),
        (
            "server.listen",
            "--listen",
            sources.flags.listen.clone().map(OsString::from),
        ),
    ];
    for (key, flag, value) in flags {
        if let Some(value) = value {
            let origin = Origin::Flag(flag.to_owned());
            let value = Raw::Given(value);
            entries.insert(key.to_owned(), Entry { value, origin });
        }
    }
    entries
}

/// `TENANTRY_SERVER__LISTEN` is `server.listen`; names of ours without `__`
/// (but `TENANTRY_DATA`) are not settings.
fn env_key(name: &OsStr) -> Option<String> {
    let rest = name.to_str()?.strip_prefix("TENANTRY_")?;
    if rest == "DATA" {
        return Some("data".to_owned());
    }
    let (section, key) = rest.split_once("__")?;
    Some(format!("{section}.{key}").to_ascii_lowercase())
}

fn read_file(
    path: &Path,
    entries: &mut BTreeMap<String, Entry>,
    problems: &mut Vec<ConfigProblem>,
) {
    let whole = |message: String| ConfigProblem {
        origin: Origin::File {
            path: path.to_owned(),
            line: None,
        },
        key: String::new(),
        message,
    };
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            problems.push(whole(format!(
                "expected a configuration file of at most {FILE_BYTES_MAX} bytes, found {}",
                meta.len()
            )));
            return;
        }
        Ok(_) | Err(_) => {}
    }
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(whole(format!("cannot be read: {error}")));
            return;
        }
    };
    let (table, errors) = DeTable::parse_recoverable(&text);
    let place = |span: std::ops::Range<usize>| Origin::File {
        path: path.to_owned(),
        line: Some(line_of(&text, span.start)),
    };
    for error in errors {
        problems.push(ConfigProblem {
            origin: place(error.span().unwrap_or(0..0)),
            key: String::new(),
            message: error.message().to_owned(),
        });
    }
    for (name, value) in table.get_ref() {
        flatten(name, value.get_ref(), &place, entries);
    }
}

/// Top-level keys stay as they are, a table's keys become `table.key`; anything
/// deeper stays a table value, which no key expects.
fn flatten(
    name: &Spanned<DeString<'_>>,
    value: &DeValue<'_>,
    place: &dyn Fn(std::ops::Range<usize>) -> Origin,
    entries: &mut BTreeMap<String, Entry>,
) {
    let mut put = |key: String, span, value: &DeValue<'_>| {
        let (value, origin) = (Raw::of_toml(value), place(span));
        entries.insert(key, Entry { value, origin });
    };
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                let full = format!("{}.{}", name.get_ref(), key.get_ref());
                put(full, key.span(), value.get_ref());
            }
        }
        other => put(name.get_ref().to_string(), name.span(), other),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let end = offset.min(text.len());
    1 + text.as_bytes()[..end]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}
