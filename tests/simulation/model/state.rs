//! One tenant as it should be: a plain map, and what an operation makes of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use tenantry::{
    service::{Code, records::OutcomeKind},
    store::Tree,
};

/// Where a record may be. One is enough to say where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    pub hot: bool,
    pub archive: bool,
    pub gone: bool,
}

impl Places {
    pub const HOT: Self = Self::only(Tree::Hot);
    pub const ARCHIVE: Self = Self::only(Tree::Archive);

    pub const fn only(tier: Tree) -> Self {
        Self {
            hot: matches!(tier, Tree::Hot),
            archive: matches!(tier, Tree::Archive),
            gone: false,
        }
    }

    fn is_certain(self) -> bool {
        usize::from(self.hot) + usize::from(self.archive) + usize::from(self.gone) == 1
    }
}

/// A record's incarnation: as it was seen, or drawn for an operation that nobody has
/// heard of yet, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incarnation {
    Seen(u64),
    By(u64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub version: u64,
    pub data: Json,
    pub incarnation: Incarnation,
    pub places: Places,
}

/// A record as an answer shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub version: u64,
    pub incarnation: Incarnation,
    pub tier: Tree,
    pub data: Json,
}

/// Entity and id. An id that only the server knows begins with `?`.
pub type Name = (&'static str, String);

#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Create,
    Put,
    Patch,
    Delete,
    Archive,
    Restore,
}

/// One operation of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct One {
    pub name: Name,
    pub act: Act,
    pub body: Json,
    /// Version and incarnation.
    pub if_match: Option<(u64, u64)>,
    pub if_none_match: bool,
}

/// What became of one operation, as the server tells.
pub type Became = (OutcomeKind, Name, Option<View>);

/// What is asked of a tenant.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// All or nothing; under an `Idempotency-Key`.
    Write(Vec<One>, Option<String>),
    Get(Name),
    /// A legal hold on a record, with a reason that names it.
    Hold(Name, String),
    Lift(String),
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Became(Vec<Became>),
    Found(View),
    /// The hold's id.
    Held(String),
    Lifted,
    Refused(Code),
    /// Nobody knows whether it was done.
    Unknown,
}

/// A legal hold, by its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    pub name: Name,
    /// As it was seen.
    pub id: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    pub records: BTreeMap<Name, Record>,
    /// By the reason.
    pub holds: BTreeMap<String, Hold>,
    /// What was remembered under each key.
    pub remembered: BTreeMap<String, Vec<Became>>,
}

/// What an operation would come to: it may succeed with this, or be refused for any of
/// these reasons.
pub struct Verdict {
    pub done: Option<(State, Vec<Became>)>,
    pub reasons: Vec<Code>,
}

impl State {
    /// The states that this one may be, with every record of `names` in one place.
    pub fn settled(&self, names: &[&Name]) -> Vec<State> {
        let mut states = vec![self.clone()];
        for name in names {
            states = states.into_iter().flat_map(|s| s.placed(name)).collect();
        }
        states
    }

    fn placed(self, name: &Name) -> Vec<State> {
        let Some(places) = self.records.get(name).map(|record| record.places) else {
            return vec![self];
        };
        if places.is_certain() {
            return vec![self];
        }
        let mut states = Vec::new();
        for (may, tier) in [(places.hot, Tree::Hot), (places.archive, Tree::Archive)] {
            if may {
                let mut state = self.clone();
                let record = state.records.get_mut(name).unwrap();
                record.places = Places::only(tier);
                states.push(state);
            }
        }
        if places.gone {
            let mut state = self;
            state.records.remove(name);
            states.push(state);
        }
        states
    }

    /// Background work may move every record, or purge it from the archive.
    pub fn moved(&mut self, purges: bool) {
        let held: BTreeSet<&Name> = self.holds.values().map(|hold| &hold.name).collect();
        for (name, record) in &mut self.records {
            record.places.hot = true;
            record.places.archive = true;
            record.places.gone |= purges && !held.contains(name);
        }
    }

    fn is_held(&self, name: &Name) -> bool {
        self.holds.values().any(|hold| hold.name == *name)
    }

    /// What becomes of a write, the request of this number. Everything that it is about
    /// is in one place.
    pub fn write(&self, request: u64, ones: &[One]) -> Verdict {
        let mut state = self.clone();
        let mut became = Vec::new();
        let mut reasons = Vec::new();
        let mut certain = true;
        for (at, one) in ones.iter().enumerate() {
            let found = state.records.get(&one.name).cloned();
            match one.conditions(found.as_ref()) {
                Some(true) => {}
                Some(false) => {
                    reasons.push(Code::PreconditionFailed);
                    certain = false;
                }
                // It depends on an incarnation that nobody has seen.
                None => reasons.push(Code::PreconditionFailed),
            }
            let drawn = Incarnation::By(request * 100 + at as u64);
            match state.one(drawn, one, found) {
                Ok(kind) => became.push((kind, one.name.clone(), state.view(&one.name))),
                Err(code) => {
                    reasons.push(code);
                    certain = false;
                }
            }
        }
        if state.has_two_of_a_number() {
            reasons.push(Code::UniqueViolation);
            certain = false;
        }
        Verdict {
            done: certain.then_some((state, became)),
            reasons,
        }
    }

    fn one(
        &mut self,
        drawn: Incarnation,
        one: &One,
        found: Option<Record>,
    ) -> Result<OutcomeKind, Code> {
        let Some(mut record) = found else {
            return match one.act {
                Act::Create | Act::Put => {
                    self.records.insert(
                        one.name.clone(),
                        Record {
                            version: 1,
                            data: one.body.clone(),
                            incarnation: drawn,
                            places: Places::HOT,
                        },
                    );
                    Ok(OutcomeKind::Created)
                }
                _ => Err(Code::NotFound),
            };
        };
        let archived = record.places == Places::ARCHIVE;
        let kind = match one.act {
            Act::Create => return Err(Code::AlreadyExists),
            Act::Put | Act::Patch if archived => return Err(Code::RecordArchived),
            Act::Put | Act::Patch => {
                match one.act {
                    Act::Put => record.data = one.body.clone(),
                    _ => merge(&mut record.data, &one.body),
                }
                record.version += 1;
                OutcomeKind::Updated
            }
            Act::Delete if self.is_held(&one.name) => return Err(Code::LegalHold),
            Act::Delete => {
                self.records.remove(&one.name);
                return Ok(OutcomeKind::Deleted);
            }
            Act::Archive if archived => OutcomeKind::Unchanged,
            Act::Restore if !archived => OutcomeKind::Unchanged,
            Act::Archive => {
                record.places = Places::ARCHIVE;
                OutcomeKind::Archived
            }
            Act::Restore => {
                record.places = Places::HOT;
                OutcomeKind::Restored
            }
        };
        self.records.insert(one.name.clone(), record);
        Ok(kind)
    }

    fn view(&self, name: &Name) -> Option<View> {
        let record = self.records.get(name)?;
        Some(View {
            version: record.version,
            incarnation: record.incarnation,
            tier: if record.places == Places::HOT {
                Tree::Hot
            } else {
                Tree::Archive
            },
            data: record.data.clone(),
        })
    }

    /// Records that have a number which a write takes, unless they are purged.
    pub fn rivals(&self, ones: &[One]) -> impl Iterator<Item = &Name> {
        let taken: Vec<_> = ones
            .iter()
            .filter_map(|one| one.body["number"].as_i64())
            .collect();
        let may = move |record: &Record| {
            let number = record.data["number"].as_i64();
            record.places.gone && number.is_some_and(|number| taken.contains(&number))
        };
        let records = self.records.iter().filter(move |(_, record)| may(record));
        records.map(|(name, _)| name)
    }

    fn has_two_of_a_number(&self) -> bool {
        let mut seen = BTreeSet::new();
        let numbers = self
            .records
            .values()
            .filter_map(|record| record.data["number"].as_i64());
        numbers.into_iter().any(|number| !seen.insert(number))
    }

    /// Whether an answer shows this record; learns its incarnation and place from it.
    pub fn is_seen(&mut self, name: &Name, view: &View) -> bool {
        let Some(record) = self.records.get_mut(name) else {
            return false;
        };
        let there = match view.tier {
            Tree::Hot => record.places.hot,
            Tree::Archive => record.places.archive,
        };
        let drawn = match record.incarnation {
            Incarnation::Seen(_) => record.incarnation == view.incarnation,
            Incarnation::By(_) => true,
        };
        if !there || !drawn || record.version != view.version || record.data != view.data {
            return false;
        }
        record.places = Places::only(view.tier);
        record.incarnation = view.incarnation;
        true
    }

    /// What was drawn for an operation is seen.
    pub fn is_drawn(&mut self, drawn: Incarnation, seen: Incarnation) {
        for record in self.records.values_mut() {
            if record.incarnation == drawn {
                record.incarnation = seen;
            }
        }
    }

    /// A record that only the server had a name for is called by it now.
    pub fn is_called(&mut self, by: &Name, name: &Name) {
        if by != name
            && let Some(record) = self.records.remove(by)
        {
            self.records.insert(name.clone(), record);
        }
    }
}

impl One {
    /// Whether the conditions hold; `None` where that cannot be told.
    fn conditions(&self, found: Option<&Record>) -> Option<bool> {
        let needs_one = !matches!(self.act, Act::Create | Act::Put);
        let Some(record) = found else {
            return Some(needs_one || self.if_match.is_none());
        };
        if self.if_none_match {
            return Some(false);
        }
        match (self.if_match, record.incarnation) {
            (None, _) => Some(true),
            (Some((version, _)), _) if version != record.version => Some(false),
            (Some((_, wanted)), Incarnation::Seen(seen)) => Some(wanted == seen),
            (Some(_), Incarnation::By(_)) => None,
        }
    }
}

/// RFC 7396 of flat objects.
fn merge(data: &mut Json, patch: &Json) {
    let (Json::Object(data), Json::Object(patch)) = (data, patch) else {
        return;
    };
    for (field, value) in patch {
        match value {
            Json::Null => drop(data.remove(field)),
            value => drop(data.insert(field.clone(), value.clone())),
        }
    }
}
