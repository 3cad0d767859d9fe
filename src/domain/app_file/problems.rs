//! Mistakes on their way from a place in the text to a line and a column.

use std::fmt::Write as _;
use std::ops::Range;

use super::AppProblem;

/// A part of a key: a name, or a position in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Name(String),
    Item(usize),
}

/// Finds the byte of a key in the text that people know, where that is another one
/// than the one that was parsed.
pub(super) type Locate<'a> = &'a dyn Fn(&[Part]) -> usize;

/// Where something stands: its key and its bytes in the source.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub path: Vec<Part>,
    pub span: Range<usize>,
}

impl Place {
    pub(super) fn name(&self, name: &str, span: Range<usize>) -> Self {
        self.child(Part::Name(name.to_owned()), span)
    }

    pub(super) fn item(&self, position: usize, span: Range<usize>) -> Self {
        self.child(Part::Item(position), span)
    }

    fn child(&self, part: Part, span: Range<usize>) -> Self {
        let mut path = self.path.clone();
        path.push(part);
        Self { path, span }
    }
}

/// A key as people write it: names joined by dots, positions in brackets.
pub(super) fn key(path: &[Part]) -> String {
    let mut key = String::new();
    for part in path {
        match part {
            Part::Item(position) => {
                let _ = write!(key, "[{position}]");
            }
            Part::Name(name) => {
                let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                let dot = if key.is_empty() { "" } else { "." };
                let _ = if !name.is_empty() && name.bytes().all(bare) {
                    write!(key, "{dot}{name}")
                } else {
                    write!(key, "{dot}{name:?}")
                };
            }
        }
    }
    key
}

/// So many problems are told at most; a file of another kind has no end of them.
const PROBLEMS_MAX: usize = 100;

/// And so many are looked at to find the first of them.
const FOUND_MAX: usize = 1_000;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<(Place, String)>,
    /// The text is not even TOML: what seems to be missing may be what was not read.
    pub damaged: bool,
}

impl Problems {
    pub(super) fn add(&mut self, place: &Place, message: impl Into<String>) {
        if self.found.len() < FOUND_MAX {
            self.found.push((place.clone(), message.into()));
        }
    }

    /// Something that may not be so once the text is TOML.
    pub(super) fn missing(&mut self, place: &Place, message: impl Into<String>) {
        if !self.damaged {
            self.add(place, message);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// The problems in the order of the text.
    pub(super) fn finish(mut self, source: &str, locate: Option<Locate<'_>>) -> Vec<AppProblem> {
        if let Some(locate) = locate {
            self.found.truncate(PROBLEMS_MAX);
            for (place, _) in &mut self.found {
                place.span = locate(&place.path)..0;
            }
        }
        self.found.sort_by_key(|(place, _)| place.span.start);
        self.found.truncate(PROBLEMS_MAX);
        self.found
            .into_iter()
            .map(|(place, message)| {
                let (line, column) = line_and_column(source, place.span.start);
                AppProblem {
                    line,
                    column,
                    key: key(&place.path),
                    message,
                }
            })
            .collect()
    }
}

/// Both from 1; the column in characters.
pub(super) fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset.min(source.len())).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}
