//! What the server acknowledged, written down by those who asked.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Which record: the tenant's number and the record's id.
pub type Name = (usize, String);

/// What is known of one record. It has one writer, with one request at a time.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The acknowledged state: the number that its content is made of, or none where
    /// there is no record.
    pub acknowledged: Option<u64>,
    /// What was asked since and not acknowledged: each may have happened.
    pub asked: Vec<Option<u64>>,
}

impl Known {
    /// Whether a record may be found in this state.
    pub fn allows(&self, found: Option<u64>) -> bool {
        found == self.acknowledged || self.asked.contains(&found)
    }
}

/// All that is known.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    records: BTreeMap<Name, Known>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
}

impl Ledger {
    /// A request is about to be sent.
    pub fn ask(&mut self, name: &Name, wanted: Option<u64>) {
        let known = self.records.entry(name.clone()).or_default();
        known.asked.push(wanted);
    }

    /// The last request was answered by a success.
    pub fn acknowledge(&mut self, name: &Name, wanted: Option<u64>) {
        let known = self.records.entry(name.clone()).or_default();
        *known = Known {
            acknowledged: wanted,
            asked: Vec::new(),
        };
        self.acknowledged += 1;
    }

    /// The last request was answered by what says that nothing was done.
    pub fn withdraw(&mut self, name: &Name) {
        if let Some(known) = self.records.get_mut(name) {
            known.asked.pop();
        }
    }

    /// The record was found so: from here on that is what has to be there.
    pub fn found(&mut self, name: &Name, found: Option<u64>) {
        let known = self.records.entry(name.clone()).or_default();
        *known = Known {
            acknowledged: found,
            asked: Vec::new(),
        };
    }

    /// Every record, with what is known of it.
    pub fn records(&self) -> impl Iterator<Item = (&Name, &Known)> {
        self.records.iter()
    }

    /// Records of a tenant that are there, as far as is acknowledged.
    pub fn living(&self, tenant: usize) -> usize {
        let of = self.records.iter().filter(|((of, _), _)| *of == tenant);
        of.filter(|(_, known)| known.acknowledged.is_some()).count()
    }
}

/// A record's content, all of it made from one number, so that a part of another
/// version is seen. Some do not fit into one page of the engines.
pub fn content(number: u64) -> Value {
    let status = ["open", "pending", "closed"][(number % 3) as usize];
    let second = number % 60;
    json!({
        "subject": format!("number {number}"),
        "status": status,
        "opened_at": format!("2026-03-01T00:00:{second:02}Z"),
        "body": number.to_string().repeat((number * 37 % 1_300) as usize),
    })
}

/// The number that a content was made of; none where it is no such content.
pub fn number_of(data: &Value) -> Option<u64> {
    let subject = data["subject"].as_str()?;
    let number = subject.strip_prefix("number ")?.parse().ok()?;
    (*data == content(number)).then_some(number)
}
