//! Requests by chance, carried out by the services.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tenantry::{
    app::App,
    domain::{query::ListRequest, record::EtagMatch},
    service::{
        Caller, Code, Error, Scope, TenantAccess,
        archive::Way,
        holds::NewHold,
        records::{Action, Idempotency, Only, Operation, Outcome, OutcomeKind, Reply},
    },
    store::Tree,
};

use crate::{
    dice::Dice,
    model::state::{Act, Ask, Became, Incarnation, Name, One, Seen, State, View},
};

/// Ids that clients choose.
const IDS: usize = 6;
/// Numbers, of which no two tickets may have the same.
const NUMBERS: usize = 5;
const KINDS: [OutcomeKind; 7] = [
    OutcomeKind::Created,
    OutcomeKind::Updated,
    OutcomeKind::Unchanged,
    OutcomeKind::Deleted,
    OutcomeKind::Archived,
    OutcomeKind::Restored,
    OutcomeKind::Purged,
];

/// What stands in everything that is a tenant's, and in no other's.
pub fn mark(tenant: &str) -> String {
    format!("<{tenant}>")
}

/// A request for a tenant whose state may be `state`.
pub fn ask(dice: &Dice, tenant: &str, state: &State, number: u64, now: &str) -> Ask {
    let write = |count: usize| {
        let mut ones: Vec<One> = Vec::new();
        while ones.len() < count {
            let place = ones.len();
            let one = one(dice, tenant, state, (number, place), now);
            if ones.iter().all(|other| other.name != one.name) {
                ones.push(one);
            }
        }
        ones
    };
    match dice.weighted(&[(50, 0), (12, 1), (12, 2), (16, 3), (5, 4), (5, 5)]) {
        0 => Ask::Write(write(1), None),
        1 => Ask::Write(write(2 + dice.below(3)), None),
        2 => Ask::Write(write(1 + dice.below(2)), Some(format!("key-{number}"))),
        3 => Ask::Get(name(dice, state)),
        4 => Ask::Hold(name(dice, state), format!("{} {number}", mark(tenant))),
        _ => match state.holds.iter().find(|(_, hold)| hold.id.is_some()) {
            Some((reason, _)) => Ask::Lift(reason.clone()),
            None => Ask::Get(name(dice, state)),
        },
    }
}

/// A record that may be there.
pub fn name(dice: &Dice, state: &State) -> Name {
    let known: Vec<&Name> = state
        .records
        .keys()
        .filter(|name| !name.1.starts_with('?'))
        .collect();
    if !known.is_empty() && dice.percent(60) {
        return (*dice.pick(&known)).clone();
    }
    match dice.percent(70) {
        true => ("ticket", format!("t{}", dice.below(IDS))),
        false => ("comment", format!("c{}", dice.below(IDS))),
    }
}

fn one(dice: &Dice, tenant: &str, state: &State, (number, place): (u64, usize), now: &str) -> One {
    let mut name = name(dice, state);
    let choices = match state.records.contains_key(&name) || dice.percent(10) {
        true => [(1, 0), (8, 1), (8, 2), (5, 3), (5, 4), (5, 5)],
        false => [(4, 0), (6, 1), (0, 2), (0, 3), (0, 4), (0, 5)],
    };
    let acts = [
        Act::Create,
        Act::Put,
        Act::Patch,
        Act::Delete,
        Act::Archive,
        Act::Restore,
    ];
    let act = acts[dice.weighted(&choices)].clone();
    if act == Act::Create && dice.percent(50) {
        name.1 = format!("?{number}.{place}");
    }
    let token = format!("{} {number}.{place}", mark(tenant));
    let whole = matches!(act, Act::Create | Act::Put);
    let body = match act {
        Act::Create | Act::Put | Act::Patch => data(dice, name.0, &token, whole, now),
        _ => Json::Null,
    };
    let found = state.records.get(&name);
    let etag = found.and_then(|record| match record.incarnation {
        Incarnation::Seen(seen) => Some((record.version - u64::from(dice.percent(20)), seen)),
        Incarnation::By(_) => None,
    });
    One {
        if_match: etag.filter(|_| dice.percent(25) && act != Act::Create),
        if_none_match: act == Act::Put && dice.percent(15),
        name,
        act,
        body,
    }
}

fn data(dice: &Dice, entity: &str, token: &str, whole: bool, now: &str) -> Json {
    if entity == "comment" {
        let about = format!("t{}", dice.below(IDS));
        return match whole || dice.percent(50) {
            true => json!({"ticket_id": about, "text": token}),
            false => json!({"text": token}),
        };
    }
    let mut data = json!({"subject": token});
    if whole || dice.percent(50) {
        data["status"] = json!(dice.pick(&["open", "pending", "closed"]));
    }
    if whole || dice.percent(50) {
        data["moved_at"] = json!(now);
    }
    if dice.percent(40) {
        data["number"] = json!(dice.below(NUMBERS));
    } else if !whole && dice.percent(20) {
        data["number"] = Json::Null;
    }
    if dice.percent(30) {
        data["tags"] = json!([dice.pick(&["a", "b", "c"]), "d"]);
    }
    data
}

/// What was answered, and every byte of it.
pub struct Answer {
    pub seen: Seen,
    pub text: String,
}

impl Answer {
    pub fn of(result: Result<(Seen, String), Error>) -> Self {
        match result {
            Ok((seen, text)) => Self { seen, text },
            Err(error) => Self {
                seen: match error.code {
                    Code::Internal => Seen::Unknown,
                    // The disk failed in the middle of it.
                    Code::Unavailable if error.members.contains_key("outcome") => Seen::Unknown,
                    code => Seen::Refused(code),
                },
                text: format!("{error} {:?} {:?}", error.members, error.cause),
            },
        }
    }
}

pub async fn access(app: &App, tenant: &str) -> Result<TenantAccess, Error> {
    app.tenants
        .access(&Caller::Local, tenant, Scope::Write)
        .await
}

/// Carries a request out.
pub async fn carry_out(app: Arc<App>, tenant: String, ask: Ask, hold: Option<String>) -> Answer {
    let writes_records = matches!(ask, Ask::Write(..));
    let mut answer = Answer::of(answer(&app, &tenant, ask, hold).await);
    // What reads once more behind its commit may fail there, and be done.
    if !writes_records && answer.text.starts_with("The disk failed") {
        answer.seen = Seen::Unknown;
    }
    answer
}

async fn answer(
    app: &App,
    tenant: &str,
    ask: Ask,
    hold: Option<String>,
) -> Result<(Seen, String), Error> {
    let access = access(app, tenant).await?;
    match ask {
        Ask::Write(ones, key) => {
            let operations: Vec<Operation> = ones.iter().map(operation).collect();
            let idempotency = key.map(|key| Idempotency {
                key,
                route: "POST /batch".into(),
                request_hash: [7; 32],
            });
            let records = &app.records;
            let written = records
                .write(&access, &operations, idempotency, &reply)
                .await;
            let (reply, _) = written?;
            let text = String::from_utf8(reply.body).unwrap();
            Ok((Seen::Became(read_reply(&text)), text))
        }
        Ask::Get((entity, id)) => {
            let record = app.records.get(&access, entity, &id).await?;
            let text = String::from_utf8(record.json.to_vec()).unwrap();
            let view = View {
                version: record.meta.version,
                incarnation: Incarnation::Seen(record.meta.incarnation),
                tier: record.tier,
                data: serde_json::from_str(&text).unwrap(),
            };
            Ok((Seen::Found(view), text))
        }
        Ask::Hold((entity, id), reason) => {
            let wish = NewHold {
                entity: Some(entity.into()),
                record: Some(id),
                reason,
            };
            let hold = app.holds.set(&Caller::Local, &access, wish).await?;
            Ok((Seen::Held(hold.id), hold.reason))
        }
        Ask::Lift(_) => {
            let id = hold.unwrap_or_default();
            let lifted = app.holds.lift(&Caller::Local, &access, &id, "settled");
            Ok((Seen::Lifted, lifted.await?.reason))
        }
    }
}

fn operation(one: &One) -> Operation {
    let (entity, id) = (one.name.0, one.name.1.clone());
    let only = Only::Anyhow;
    let action = match one.act {
        Act::Create => Action::Create {
            id: Some(id).filter(|id| !id.starts_with('?')),
        },
        Act::Put => Action::Put { id },
        Act::Patch => Action::Patch { id },
        Act::Delete => Action::Delete { id },
        Act::Archive => Action::Archive { id, only },
        Act::Restore => Action::Restore { id, only },
    };
    Operation {
        body: match &one.body {
            Json::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        },
        if_match: one.if_match.map(|tag| EtagMatch::Tags(vec![tag])),
        if_none_match: one.if_none_match.then_some(EtagMatch::Any),
        ..Operation::of(entity, action)
    }
}

/// The answer to a write, as it is remembered.
fn reply(outcomes: &[Outcome]) -> Reply {
    let line = |outcome: &Outcome| {
        let kind = KINDS.iter().position(|kind| *kind == outcome.kind);
        let record = outcome.record.as_ref().map(|record| {
            let data: Json = serde_json::from_slice(&record.json).unwrap();
            json!([
                record.meta.version,
                record.meta.incarnation,
                record.tier.name(),
                data
            ])
        });
        json!([kind, outcome.entity.as_str(), outcome.id.as_str(), record])
    };
    let lines: Vec<Json> = outcomes.iter().map(line).collect();
    Reply {
        status: 200,
        etag: None,
        location: None,
        body: Json::Array(lines).to_string().into_bytes(),
    }
}

/// Version, incarnation, tier and data.
type Stored = (u64, u64, String, Json);

fn read_reply(text: &str) -> Vec<Became> {
    let lines: Vec<(usize, String, String, Option<Stored>)> = serde_json::from_str(text).unwrap();
    let line = |(kind, entity, id, record): (usize, String, String, Option<_>)| {
        let view = record.map(|(version, incarnation, tier, data): Stored| View {
            version,
            incarnation: Incarnation::Seen(incarnation),
            tier: tier_of(&tier),
            data,
        });
        (KINDS[kind], (entity_of(&entity), id), view)
    };
    lines.into_iter().map(line).collect()
}

pub fn tier_of(name: &str) -> Tree {
    match name {
        "hot" => Tree::Hot,
        _ => Tree::Archive,
    }
}

fn entity_of(name: &str) -> &'static str {
    match name {
        "ticket" => "ticket",
        _ => "comment",
    }
}

/// A page of a list by an index, by chance; the answer's bytes.
pub async fn list(app: Arc<App>, tenant: String, query: String) -> Answer {
    let listed = async {
        let access = access(&app, &tenant).await?;
        let body = app
            .records
            .list(&access, "ticket", &request(&query))
            .await?;
        let text = String::from_utf8(body.to_vec()).unwrap();
        Ok((Seen::Lifted, text))
    };
    Answer::of(listed.await)
}

/// Moves a record with what goes along.
pub async fn move_one(app: Arc<App>, tenant: String, name: Name, way: Way) -> Answer {
    let moved = async {
        let access = access(&app, &tenant).await?;
        let moved = app.archive.move_one(&access, name.0, &name.1, way).await?;
        let text = String::from_utf8(moved.json.to_vec()).unwrap();
        Ok((Seen::Lifted, text))
    };
    Answer::of(moved.await)
}

pub fn query(dice: &Dice) -> String {
    let filter = match dice.below(4) {
        0 => "status=closed&order=-moved_at".to_owned(),
        1 => "status=open".to_owned(),
        2 => format!("number={}", dice.below(NUMBERS)),
        _ => "tags=d".to_owned(),
    };
    format!(
        "{filter}&tier={}&limit=3",
        dice.pick(&["hot", "archive", "all"])
    )
}

pub fn request(query: &str) -> ListRequest {
    let pairs = query.split('&').filter_map(|part| part.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ListRequest::from_pairs(pairs, 50, 500).unwrap()
}
