//! The jobs of an app file.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::problems::{Place, Problems};
use super::table::{Entry, Table};
use crate::domain::{
    duration,
    job::{
        JOBS_MAX, Job, Kind, Missed, Overlap, RETRIES_MAX, Retries, Schedule, Scope, Setting,
        TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, Zone, kind::Entities,
    },
    names::JobName,
    similar,
};

const EXPECTED: &str = "a table, as in [job.daily-report]";
/// The most runs of one job at once that may be asked for.
const RUNNING_MAX: usize = 10_000;

const KEYS: [&str; 13] = [
    "kind",
    "schedule",
    "every",
    "timezone",
    "for",
    "where",
    "spread",
    "timeout",
    "retries",
    "overlap",
    "missed",
    "max_running",
    "with",
];

/// Reads the jobs of the whole file's table.
pub(super) fn read_jobs(
    root: &Table<'_, '_>,
    entities: &Entities,
    problems: &mut Problems,
) -> BTreeMap<JobName, Arc<Job>> {
    let mut jobs = declared_jobs(root, entities, problems);
    if entities.values().any(|entity| entity.archive.is_some()) {
        add_archive_jobs(&mut jobs, root, problems);
    }
    jobs
}

/// Jobs that an archive rule brings along, where no job of their kind is declared:
/// name and kind, schedule, spread.
const ARCHIVE_JOBS: [(&str, Option<&str>, i64); 3] = [
    ("archive", Some("0 1 * * *"), 3 * 3_600_000),
    ("purge", Some("0 5 * * *"), 3_600_000),
    ("restore", None, 0),
];
/// How long one of them, or a backup, may take.
const LONG_TIMEOUT_MS: i64 = 12 * 3_600_000;

fn add_archive_jobs(
    jobs: &mut BTreeMap<JobName, Arc<Job>>,
    root: &Table<'_, '_>,
    problems: &mut Problems,
) {
    for (kind, schedule, spread_ms) in ARCHIVE_JOBS {
        if jobs.values().any(|job| job.kind.name() == kind) {
            continue;
        }
        // Each is the name of a kind and a name of a job; a test sees that.
        let (Ok(name), Some(Ok(does))) = (
            JobName::parse(kind),
            Kind::parse(kind, Map::new(), &Entities::new()),
        ) else {
            continue;
        };
        if jobs.contains_key(&name) {
            let place = root
                .get("job")
                .map_or_else(|| root.place.clone(), |jobs| jobs.locate(&[kind.into()]));
            let message = format!(
                "the name is taken: archive rules bring a job {kind} along; give this one another name"
            );
            problems.add(&place, message);
            continue;
        }
        let job = Job {
            name: name.clone(),
            kind: does,
            schedule: schedule.and_then(|text| Schedule::cron(text).ok()),
            timezone: Zone::Tenant,
            scope: Scope::EachTenant(BTreeMap::new()),
            spread_ms,
            timeout_ms: LONG_TIMEOUT_MS,
            retries: Retries::default(),
            overlap: Overlap::Skip,
            missed: Missed::RunOnce,
            running_max: None,
        };
        jobs.insert(name, Arc::new(job));
    }
}

fn declared_jobs(
    root: &Table<'_, '_>,
    entities: &Entities,
    problems: &mut Problems,
) -> BTreeMap<JobName, Arc<Job>> {
    let mut jobs = BTreeMap::new();
    let Some(entry) = root.get("job") else {
        return jobs;
    };
    let Some(declared) = entry.table("tables, as in [job.daily-report]", problems) else {
        return jobs;
    };
    if declared.members.len() > JOBS_MAX {
        let message = format!("{} jobs; at most {JOBS_MAX}", declared.members.len());
        problems.add(&declared.place, message);
    }
    for (name, key, entry) in declared.entries() {
        let parsed = JobName::parse(name).map_err(|error| problems.add(&key, error.to_string()));
        let table = entry.table(EXPECTED, problems);
        let job = table.and_then(|t| read_job(parsed.as_ref().ok(), &t, entities, problems));
        if let (Ok(name), Some(job)) = (parsed, job) {
            jobs.insert(name, Arc::new(job));
        }
    }
    jobs
}

fn read_job(
    name: Option<&JobName>,
    table: &Table<'_, '_>,
    entities: &Entities,
    problems: &mut Problems,
) -> Option<Job> {
    table.check_keys(&KEYS, &[], problems);
    let schedule = schedule(table, problems);
    let timezone = timezone(table, problems);
    let scope = scope(table, problems);
    let spread_ms = duration_of(table, "spread", duration::DURATION_MS_MAX, problems);
    let timeout_ms = duration_of(table, "timeout", TIMEOUT_MS_MAX, problems);
    if timeout_ms == Some(0) {
        problems.add(&place_of(table, "timeout"), "expected more than nothing");
    }
    let retries = retries(table, problems);
    let overlap = one_of(
        table,
        "overlap",
        &[
            ("skip", Overlap::Skip),
            ("queue", Overlap::Queue),
            ("cancel-running", Overlap::CancelRunning),
        ],
        problems,
    );
    let missed = one_of(
        table,
        "missed",
        &[("run-once", Missed::RunOnce), ("skip", Missed::Skip)],
        problems,
    );
    let running_max = table.size("max_running", RUNNING_MAX, problems);
    let kind = kind(table, entities, problems)?;
    if let Some(message) = kind.refuses(&scope) {
        problems.add(&place_of(table, "for"), message);
    }
    if schedule.is_none() && spread_ms.is_some() {
        problems.add(
            &place_of(table, "spread"),
            "spreads a schedule, and there is none",
        );
    }
    // How long a whole store takes is not known beforehand.
    let timeout_ms_default = match kind {
        Kind::Backup => LONG_TIMEOUT_MS,
        _ => TIMEOUT_MS_DEFAULT,
    };
    Some(Job {
        name: name?.clone(),
        kind,
        schedule,
        timezone,
        scope,
        spread_ms: spread_ms.unwrap_or(0),
        timeout_ms: timeout_ms.unwrap_or(timeout_ms_default),
        retries,
        overlap: overlap.unwrap_or(Overlap::Skip),
        missed: missed.unwrap_or(Missed::RunOnce),
        running_max,
    })
}

/// Where a key stands, or the table it is missing from.
fn place_of(table: &Table<'_, '_>, key: &str) -> Place {
    table
        .get(key)
        .map_or_else(|| table.place.clone(), |entry| entry.place)
}

fn schedule(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Schedule> {
    let cron = table.string("schedule", problems);
    let every = table.string("every", problems);
    let (read, place) = match (cron, every) {
        (Some(_), Some((_, place))) => {
            problems.add(&place, "expected one of schedule and every");
            return None;
        }
        (Some((text, place)), None) => (Schedule::cron(text), place),
        (None, Some((text, place))) => (Schedule::every(text), place),
        // By hand only.
        (None, None) => return None,
    };
    read.map_err(|message| problems.add(&place, message)).ok()
}

fn timezone(table: &Table<'_, '_>, problems: &mut Problems) -> Zone {
    match table.string("timezone", problems) {
        None | Some(("tenant", _)) => Zone::Tenant,
        Some((text, place)) => text.parse().map_or_else(
            |_| {
                let message = "expected \"tenant\" or an IANA time zone, as in \"Europe/Vienna\"";
                problems.add(&place, message);
                Zone::Tenant
            },
            Zone::Fixed,
        ),
    }
}

fn scope(table: &Table<'_, '_>, problems: &mut Problems) -> Scope {
    let whom = one_of(
        table,
        "for",
        &[("each-tenant", true), ("installation", false)],
        problems,
    );
    let conditions = conditions(table, problems);
    if whom.unwrap_or(true) {
        return Scope::EachTenant(conditions);
    }
    if let Some(entry) = table.get("where") {
        problems.add(&entry.place, "narrows tenants; the installation is one");
    }
    Scope::Installation
}

/// `where = { "meta.tier" = ["pro"], locale = "de" }`
fn conditions(table: &Table<'_, '_>, problems: &mut Problems) -> BTreeMap<Setting, Vec<String>> {
    let mut conditions = BTreeMap::new();
    let Some(given) = table
        .get("where")
        .and_then(|entry| entry.table("a table, as in { \"meta.tier\" = [\"pro\"] }", problems))
    else {
        return conditions;
    };
    for (name, place, entry) in given.entries() {
        match (name, entry.value.as_table()) {
            // meta.tier without quotes is a table of its own.
            ("meta", Some(members)) => {
                let meta = Table {
                    members,
                    place: entry.place.clone(),
                };
                for (key, _, entry) in meta.entries() {
                    let values = texts(entry, problems);
                    conditions.insert(Setting::Meta(key.to_owned()), values);
                }
            }
            _ => match Setting::parse(name) {
                Some(setting) => drop(conditions.insert(setting, texts(entry, problems))),
                None => problems.add(&place, "expected id, timezone, locale or meta.KEY"),
            },
        }
    }
    conditions
}

/// A string, or a list of them.
fn texts(entry: Entry<'_, '_>, problems: &mut Problems) -> Vec<String> {
    const EXPECTED: &str = "a string or a list of strings";
    if let Some(text) = entry.value.as_str() {
        return vec![text.to_owned()];
    }
    let place = entry.place.clone();
    let items = entry.items(EXPECTED, problems).unwrap_or_default();
    let mut texts = Vec::new();
    for item in items {
        match item.value.as_str() {
            Some(text) => texts.push(text.to_owned()),
            None => item.wrong_type("a string", problems),
        }
    }
    if texts.is_empty() {
        problems.missing(&place, format!("expected {EXPECTED}, at least one"));
    }
    texts
}

fn duration_of(
    table: &Table<'_, '_>,
    key: &str,
    most_ms: i64,
    problems: &mut Problems,
) -> Option<i64> {
    let (text, place) = table.string(key, problems)?;
    match duration::parse(text) {
        Some(ms) if ms <= most_ms => Some(ms),
        Some(_) => {
            let most = duration::format(most_ms);
            problems.add(&place, format!("expected at most {most}"));
            None
        }
        None => {
            problems.add(&place, format!("expected {}", duration::EXPECTED));
            None
        }
    }
}

fn retries(table: &Table<'_, '_>, problems: &mut Problems) -> Retries {
    let mut retries = Retries::default();
    let Some(given) = table
        .get("retries")
        .and_then(|entry| entry.table("a table, as in { max = 3 }", problems))
    else {
        return retries;
    };
    given.check_keys(&["max", "backoff", "first", "most"], &[], problems);
    if let Some(entry) = given.get("max") {
        let read = entry
            .value
            .as_integer()
            .and_then(|i| i.as_str().parse().ok());
        match read.filter(|max| *max <= RETRIES_MAX) {
            Some(max) => retries.max = max,
            None => {
                let message = format!("expected an integer from 0 to {RETRIES_MAX}");
                problems.add(&entry.place, message);
            }
        }
    }
    let backoff = [("exponential", true), ("fixed", false)];
    if let Some(exponential) = one_of(&given, "backoff", &backoff, problems) {
        retries.exponential = exponential;
    }
    let first = duration_of(&given, "first", duration::DURATION_MS_MAX, problems);
    let most = duration_of(&given, "most", duration::DURATION_MS_MAX, problems);
    retries.first_ms = first.unwrap_or(retries.first_ms);
    // A long first wait alone is meant.
    retries.most_ms = most.unwrap_or(retries.most_ms.max(retries.first_ms));
    if retries.most_ms < retries.first_ms {
        problems.add(&place_of(&given, "most"), "expected at least `first`");
    }
    retries
}

fn one_of<T: Copy>(
    table: &Table<'_, '_>,
    key: &str,
    known: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let (text, place) = table.string(key, problems)?;
    let found = known.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names = known.iter().map(|(name, _)| *name);
        let hint = similar::hint(text, names.clone());
        let names: Vec<_> = names.map(|name| format!("{name:?}")).collect();
        problems.add(&place, format!("expected {}{hint}", names.join(" or ")));
    }
    found.map(|(_, value)| *value)
}

fn kind(table: &Table<'_, '_>, entities: &Entities, problems: &mut Problems) -> Option<Kind> {
    let Some((name, place)) = table.string("kind", problems) else {
        if table.get("kind").is_none() {
            let known = Kind::NAMES.join(", ");
            problems.missing(
                &table.place,
                format!("kind is missing: expected one of {known}"),
            );
        }
        return None;
    };
    let with = table.get("with");
    let before = problems.len();
    let members = match &with {
        None => Map::new(),
        Some(entry) => match entry.to_json(problems) {
            Value::Object(members) => members,
            _ => {
                entry.wrong_type("a table, as in { entity = \"ticket\" }", problems);
                return None;
            }
        },
    };
    if problems.len() > before {
        return None;
    }
    let Some(read) = Kind::parse(name, members, entities) else {
        let hint = similar::hint(name, Kind::NAMES.iter().copied());
        let known = Kind::NAMES.join(", ");
        problems.add(
            &place,
            format!("there is no such kind; expected one of {known}{hint}"),
        );
        return None;
    };
    read.map_err(|found| {
        for problem in found {
            let place = match &with {
                Some(entry) => entry.locate(&problem.path),
                None => table.place.clone(),
            };
            problems.add(&place, problem.message);
        }
    })
    .ok()
}
