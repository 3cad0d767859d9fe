//! What a tenant's answers may be, given what was asked of it.
//!
//! Requests overlap, so the model is the set of all states that a tenant may be in:
//! whenever something is answered, those are kept in which the answer makes sense with
//! the requests done one after the other, in some order that does not contradict what
//! was over before what began (linearizability, checked as it goes). No state left is a
//! defect.

pub mod state;

use std::collections::BTreeMap;

use tenantry::service::Code;

use self::state::{Ask, Became, Hold, Incarnation, Name, Seen, State, View};

/// What a request came to in a state, before its answer was heard.
#[derive(Debug, Clone, PartialEq)]
enum Early {
    Became(Vec<Became>),
    Held(String),
    Lifted,
    Refused(Code),
}

/// One of the states a tenant may be in.
#[derive(Debug, Clone, PartialEq, Default)]
struct Case {
    state: State,
    /// Requests under way that are done in this case.
    early: BTreeMap<u64, Early>,
}

impl Case {
    /// This case in another state, with a request that is done.
    fn with(&self, state: State, (number, done): (u64, Early)) -> Self {
        let mut early = self.early.clone();
        early.insert(number, done);
        Self { state, early }
    }

    /// A record that only the server had a name for is called by it now, also in what is
    /// still to be heard and what is remembered.
    fn is_called(&mut self, by: &Name, name: &Name) {
        self.state.is_called(by, name);
        let told = self.early.values_mut().filter_map(|early| match early {
            Early::Became(became) => Some(became),
            _ => None,
        });
        for (_, named, _) in told.chain(self.state.remembered.values_mut()).flatten() {
            if named == by {
                *named = name.clone();
            }
        }
    }
}

/// One tenant.
pub struct Model {
    cases: Vec<Case>,
    pending: BTreeMap<u64, Ask>,
    /// Work under way that moves records; and of these, what purges.
    movers: usize,
    purgers: usize,
}

impl Model {
    pub fn new() -> Self {
        Self {
            cases: vec![Case::default()],
            pending: BTreeMap::new(),
            movers: 0,
            purgers: 0,
        }
    }

    /// A state that the tenant may be in, to choose requests by.
    pub fn any(&self) -> &State {
        &self.cases[0].state
    }

    /// A request begins.
    pub fn begin(&mut self, number: u64, ask: &Ask) {
        self.pending.insert(number, ask.clone());
    }

    /// Work begins that moves records.
    pub fn move_begins(&mut self, purges: bool) {
        self.movers += 1;
        self.purgers += usize::from(purges);
    }

    /// It is over.
    pub fn move_ends(&mut self, purges: bool) {
        // What is not answered yet may have been done before the last move.
        self.reorder();
        self.widen();
        self.movers -= 1;
        self.purgers -= usize::from(purges);
    }

    /// Of what is under way, anything may have been done by now.
    fn reorder(&mut self) {
        let cases = self.cases.iter().flat_map(|case| self.orders(case));
        self.cases = cases.collect();
        self.distinct();
    }

    fn widen(&mut self) {
        if self.movers > 0 {
            for case in &mut self.cases {
                case.state.moved(self.purgers > 0);
            }
            self.distinct();
        }
    }

    fn distinct(&mut self) {
        let mut distinct: Vec<Case> = Vec::new();
        for case in self.cases.drain(..) {
            if !distinct.contains(&case) {
                distinct.push(case);
            }
        }
        self.cases = distinct;
    }

    /// A request is answered. What is read while the store is `unsteady` may be undone or
    /// be out of step: it has to make sense, but nothing is learnt from it.
    pub fn end(&mut self, number: u64, seen: &Seen, unsteady: bool) -> Result<(), String> {
        self.widen();
        let Some(ask) = self.pending.remove(&number) else {
            return Err(format!("nobody asked {number}"));
        };
        let mut cases = Vec::new();
        for case in &self.cases {
            self.answered(case, (number, &ask), seen, &mut cases);
        }
        if cases.is_empty() {
            return Err(format!(
                "{ask:#?}\nwas answered with\n{seen:#?}\nwhich makes no sense in any of {} cases, as\n{:#?}\nwith these under way: {:#?}",
                self.cases.len(),
                self.cases[0],
                self.pending
            ));
        }
        if unsteady && reads(seen) {
            for case in &mut self.cases {
                case.early.remove(&number);
            }
        } else {
            self.cases = cases;
        }
        self.distinct();
        Ok(())
    }

    fn answered(&self, case: &Case, (number, ask): (u64, &Ask), seen: &Seen, into: &mut Vec<Case>) {
        if let Some(early) = case.early.get(&number) {
            let mut case = case.clone();
            case.early.remove(&number);
            let sense = match (early, seen) {
                (_, Seen::Unknown) => true,
                (Early::Became(expected), Seen::Became(became)) => {
                    learn(&mut case.state, expected, became)
                }
                (Early::Held(reason), Seen::Held(id)) => {
                    let hold = case.state.holds.get_mut(reason);
                    // It may have been lifted since.
                    hold.is_none_or(|hold| {
                        hold.id = Some(id.clone());
                        true
                    })
                }
                (Early::Lifted, Seen::Lifted) => true,
                (Early::Refused(was), Seen::Refused(code)) => was == code,
                _ => false,
            };
            if sense {
                into.push(case);
            }
            return;
        }
        if *seen == Seen::Unknown {
            into.push(case.clone());
        }
        for before in self.orders(case) {
            into.extend(outcomes(&before, (number, ask), Some(seen)));
        }
    }

    /// The case itself, and all cases that it is after some of the requests under way.
    fn orders(&self, case: &Case) -> Vec<Case> {
        let mut all = vec![case.clone()];
        let mut at = 0;
        while at < all.len() {
            let from = all[at].clone();
            at += 1;
            for (number, ask) in &self.pending {
                if from.early.contains_key(number) {
                    continue;
                }
                for case in outcomes(&from, (*number, ask), None) {
                    if !all.contains(&case) {
                        all.push(case);
                    }
                }
            }
        }
        all
    }

    /// The server is gone: of what was under way, anything may have been done.
    pub fn crash(&mut self) {
        self.widen();
        self.reorder();
        self.widen();
        for case in &mut self.cases {
            case.early.clear();
        }
        self.pending.clear();
        (self.movers, self.purgers) = (0, 0);
        self.distinct();
    }

    /// This is all that is there: records, and holds by their reasons.
    pub fn is(
        &mut self,
        records: &BTreeMap<Name, View>,
        holds: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        self.widen();
        self.reorder();
        self.widen();
        let before = std::mem::take(&mut self.cases);
        for mut case in before.clone() {
            if is_all(&mut case, records, holds) {
                self.cases.push(case);
            }
        }
        self.distinct();
        if self.cases.is_empty() {
            return Err(format!(
                "there are\n{records:#?}\nand the holds {holds:?}, which is none of {} cases, as\n{:#?}\nwith these under way: {:#?}",
                before.len(),
                before[0],
                self.pending
            ));
        }
        Ok(())
    }
}

/// Whether an answer tells what a read found, which need not be on the disk. That nothing
/// changed is told by way of the committer.
fn reads(seen: &Seen) -> bool {
    matches!(seen, Seen::Found(_) | Seen::Refused(_))
}

/// The cases after a request: with its answer, or before that is heard, where it went by
/// the committer.
fn outcomes(case: &Case, (number, ask): (u64, &Ask), seen: Option<&Seen>) -> Vec<Case> {
    if let Some(Seen::Refused(Code::Unavailable)) = seen {
        return vec![case.clone()];
    }
    let seen = seen.filter(|seen| **seen != Seen::Unknown);
    let names: Vec<&Name> = match ask {
        Ask::Write(ones, _) => {
            let names = ones.iter().map(|one| &one.name);
            names.chain(case.state.rivals(ones)).collect()
        }
        Ask::Get(name) | Ask::Hold(name, _) => vec![name],
        Ask::Lift(_) => Vec::new(),
    };
    let states = case.state.settled(&names).into_iter();
    let after = states.flat_map(|state| {
        let refused = early_refusal(&state, (number, ask)).filter(|_| seen.is_none());
        let refused = refused.map(|early| case.with(state.clone(), (number, early)));
        let mut state = state;
        let done = outcome(&mut state, (number, ask), seen).and_then(|early| match seen {
            Some(_) => Some(Case {
                state,
                early: case.early.clone(),
            }),
            None => Some(case.with(state, (number, early?))),
        });
        done.into_iter().chain(refused)
    });
    after.collect()
}

/// That a write is refused for a value which another has is told by way of the committer,
/// and later than it is true.
fn early_refusal(state: &State, (number, ask): (u64, &Ask)) -> Option<Early> {
    let Ask::Write(ones, key) = ask else {
        return None;
    };
    if key
        .as_ref()
        .is_some_and(|key| state.remembered.contains_key(key))
    {
        return None;
    }
    let code = Code::UniqueViolation;
    let refused = state.write(number, ones).reasons.contains(&code);
    refused.then_some(Early::Refused(code))
}

/// Whether a request comes to what was seen (anything, where nothing was), and what
/// there is to be heard of it.
fn outcome(
    state: &mut State,
    (number, ask): (u64, &Ask),
    seen: Option<&Seen>,
) -> Option<Option<Early>> {
    match ask {
        Ask::Write(ones, key) => {
            let known = key
                .as_ref()
                .and_then(|key| state.remembered.get(key))
                .cloned();
            if let Some(known) = known {
                return match seen {
                    Some(Seen::Became(became)) => same(&known, became).then_some(None),
                    Some(_) => None,
                    // Nothing changes until it is answered.
                    None => None,
                };
            }
            let verdict = state.write(number, ones);
            match (seen, verdict.done) {
                (Some(Seen::Refused(code)), _) => verdict.reasons.contains(code).then_some(None),
                (Some(Seen::Became(became)), Some((after, expected))) => {
                    *state = after;
                    learn(state, &expected, became).then(|| remember(state, key, became))
                }
                (None, Some((after, expected))) => {
                    *state = after;
                    remember(state, key, &expected);
                    Some(Some(Early::Became(expected)))
                }
                _ => None,
            }
        }
        Ask::Get(name) => match seen? {
            Seen::Found(view) => state.is_seen(name, view).then_some(None),
            Seen::Refused(Code::NotFound) => (!state.records.contains_key(name)).then_some(None),
            _ => None,
        },
        Ask::Hold(name, reason) => {
            let there = state.records.contains_key(name);
            let id = match seen {
                Some(Seen::Held(id)) if there => Some(id.clone()),
                Some(Seen::Refused(Code::NotFound)) if !there => return Some(None),
                None if there => None,
                _ => return None,
            };
            let name = name.clone();
            state.holds.insert(reason.clone(), Hold { name, id });
            Some(Some(Early::Held(reason.clone())))
        }
        Ask::Lift(reason) => match (seen, state.holds.remove(reason)) {
            (Some(Seen::Lifted) | None, Some(_)) => Some(Some(Early::Lifted)),
            (Some(Seen::Refused(Code::NotFound)), None) => Some(None),
            _ => None,
        },
    }
}

fn remember(state: &mut State, key: &Option<String>, became: &[Became]) -> Option<Early> {
    if let Some(key) = key {
        state.remembered.insert(key.clone(), became.to_vec());
    }
    None
}

/// Whether an answer is the expected one, but for what only the server knew.
fn same(expected: &[Became], became: &[Became]) -> bool {
    let is = |(expected, became): (&Became, &Became)| {
        let view = match (&expected.2, &became.2) {
            (Some(expected), Some(became)) => {
                let mut became = became.clone();
                if let Incarnation::By(_) = expected.incarnation {
                    became.incarnation = expected.incarnation;
                }
                *expected == became
            }
            (expected, became) => expected == became,
        };
        let named = expected.1 == became.1 || expected.1.1.starts_with('?');
        expected.0 == became.0 && named && view
    };
    expected.len() == became.len() && expected.iter().zip(became).all(is)
}

/// As [`same`]; the state learns what only the server knew. A record may have been
/// changed again since.
fn learn(state: &mut State, expected: &[Became], became: &[Became]) -> bool {
    if !same(expected, became) {
        return false;
    }
    for (expected, (_, name, view)) in expected.iter().zip(became) {
        if expected.1 != *name && state.records.contains_key(name) {
            return false;
        }
        state.is_called(&expected.1, name);
        if let (Some(expected), Some(view)) = (&expected.2, view) {
            state.is_drawn(expected.incarnation, view.incarnation);
        }
    }
    for known in state.remembered.values_mut() {
        if same(known, became) {
            *known = became.to_vec();
        }
    }
    true
}

/// Whether this is all that there is in a case, which learns from it.
fn is_all(
    case: &mut Case,
    records: &BTreeMap<Name, View>,
    holds: &BTreeMap<String, String>,
) -> bool {
    for (name, view) in records {
        if !case.state.records.contains_key(name) {
            // One whose maker has not heard its id; what it holds tells which it is.
            let mut nameless = case.state.records.iter();
            let by =
                nameless.find(|(by, record)| by.1.starts_with('?') && record.data == view.data);
            if let Some(by) = by.map(|(by, _)| by.clone()) {
                case.is_called(&by, name);
            }
        }
        if !case.state.is_seen(name, view) {
            return false;
        }
    }
    let state = &mut case.state;
    state
        .records
        .retain(|name, record| records.contains_key(name) || !record.places.gone);
    let there = state.records.len() == records.len() && state.holds.len() == holds.len();
    there
        && state.holds.iter_mut().all(|(reason, hold)| {
            let id = holds.get(reason);
            let known = hold.id.is_none() || hold.id.as_ref() == id;
            hold.id = id.cloned();
            known && id.is_some()
        })
}
