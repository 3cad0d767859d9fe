//! A look at everything that is there while nothing is under way, and what always holds
//! of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value as Json;
use tenantry::{
    app::App,
    domain::job::{RunId, RunState},
    service::{
        Caller, Error,
        check::CheckOptions,
        runs::{RunFilter, RunView},
    },
};

use crate::{
    disk::Disk,
    model::state::{Incarnation, Name, View},
    requests::{access, request, tier_of},
    world::{Defect, TENANTS},
};

/// What was found of one tenant.
pub struct Found {
    pub records: BTreeMap<Name, View>,
    /// Ids of the holds, by their reasons.
    pub holds: BTreeMap<String, String>,
    /// Versions of the reports, by their ids.
    pub reports: BTreeMap<String, u64>,
}

/// Everything that was found.
pub struct Looked {
    pub tenants: Vec<Found>,
    pub runs: Vec<RunView>,
    /// What is wrong in itself.
    pub defects: Vec<String>,
}

impl Looked {
    pub fn records(&self) -> usize {
        self.tenants.iter().map(|found| found.records.len()).sum()
    }
}

/// Looks at everything through the services, in lists of pages of so many records.
pub async fn look(app: &Arc<App>, disk: &Disk, limit: usize) -> Result<Looked, Error> {
    let report = app
        .check
        .run(&Caller::Local, CheckOptions::default())
        .await?;
    let problems = report.problems.iter();
    let mut defects: Vec<String> = problems.map(|problem| format!("{problem:?}")).collect();
    if report.unsettled > 0 {
        defects.push(format!("{} places do not settle", report.unsettled));
    }
    let mut tenants = Vec::new();
    for tenant in TENANTS {
        tenants.push(found(app, tenant, limit, &mut defects).await?);
    }
    foreign_bytes(disk, &mut defects);
    Ok(Looked {
        tenants,
        runs: runs(app).await?,
        defects,
    })
}

async fn found(
    app: &App,
    tenant: &str,
    limit: usize,
    defects: &mut Vec<String>,
) -> Result<Found, Error> {
    let mut records = BTreeMap::new();
    for entity in ["ticket", "comment"] {
        for item in items(app, tenant, entity, "", limit).await? {
            let (id, view) = seen(app, tenant, entity, &item).await?;
            records.insert((entity, id), view);
        }
    }
    let tickets: Vec<_> = records
        .iter()
        .filter(|(name, _)| name.0 == "ticket")
        .collect();
    for (query, holds) in [
        (
            "status=closed",
            &(|data: &Json| data["status"] == "closed") as &dyn Fn(&Json) -> bool,
        ),
        ("tags=d", &|data: &Json| data["tags"].is_array()),
        ("number[gte]=0", &|data: &Json| data["number"].is_i64()),
    ] {
        let listed = items(app, tenant, "ticket", query, limit).await?;
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        let wanted = tickets.iter().filter(|(_, view)| holds(&view.data));
        let wanted: BTreeSet<_> = wanted.map(|(name, _)| name.1.as_str()).collect();
        if listed != wanted {
            defects.push(format!(
                "{tenant} ?{query} gives {listed:?}, not {wanted:?}"
            ));
        }
    }
    let access = access(app, tenant).await?;
    let held = app.holds.list(&Caller::Local, &access, false, None, 500);
    let holds = held.await?.0.into_iter().map(|hold| (hold.reason, hold.id));
    let mut reports = BTreeMap::new();
    for item in items(app, tenant, "report", "", limit).await? {
        let version = item["version"].as_u64().unwrap();
        reports.insert(item["id"].as_str().unwrap().to_owned(), version);
    }
    Ok(Found {
        records,
        holds: holds.collect(),
        reports,
    })
}

/// All items of a list over both tiers, held against its count where it has one.
async fn items(
    app: &App,
    tenant: &str,
    entity: &str,
    filter: &str,
    limit: usize,
) -> Result<Vec<Json>, Error> {
    let access = access(app, tenant).await?;
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("{filter}&tier=all&limit={limit}{cursor}");
        let page = app.records.list(&access, entity, &request(&query)).await?;
        let mut page: Json = serde_json::from_slice(&page).unwrap();
        if let Json::Array(more) = page["items"].take() {
            items.extend(more);
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    if filter.is_empty() || filter.starts_with("status") {
        let query = format!("{filter}&tier=all&limit=1&count=true");
        let page = app.records.list(&access, entity, &request(&query)).await?;
        let page: Json = serde_json::from_slice(&page).unwrap();
        if page["count"].as_u64() != Some(items.len() as u64) {
            let count = &page["count"];
            let what = format!(
                "{tenant} {entity} ?{filter} counts {count}, and has {}",
                items.len()
            );
            return Err(Error::internal(what));
        }
    }
    Ok(items)
}

/// A record of a list, as a get shows it.
async fn seen(app: &App, tenant: &str, entity: &str, item: &Json) -> Result<(String, View), Error> {
    let id = item["id"].as_str().unwrap().to_owned();
    let record = app
        .records
        .get(&access(app, tenant).await?, entity, &id)
        .await?;
    let view = View {
        version: record.meta.version,
        incarnation: Incarnation::Seen(record.meta.incarnation),
        tier: record.tier,
        data: serde_json::from_slice(&record.json).unwrap(),
    };
    let listed = (
        item["version"].as_u64(),
        tier_of(item["tier"].as_str().unwrap()),
        &item["data"],
    );
    if listed != (Some(view.version), view.tier, &view.data) {
        return Err(Error::internal(format!(
            "{tenant}: listed as {item}, and is {view:?}"
        )));
    }
    Ok((id, view))
}

async fn runs(app: &App) -> Result<Vec<RunView>, Error> {
    let (mut runs, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let filter = RunFilter::default();
        let page = app
            .runs
            .list(&Caller::Local, &filter, 500, cursor.as_deref());
        let (more, next) = page.await?;
        runs.extend(more);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(runs),
        }
    }
}

/// Under a tenant's prefix stands nothing of another one's.
fn foreign_bytes(disk: &Disk, defects: &mut Vec<String>) {
    for (_, key, value) in disk.rows() {
        let owner = TENANTS
            .iter()
            .find(|tenant| key.starts_with(format!("{tenant}#").as_bytes()));
        let Some(owner) = owner else { continue };
        for other in TENANTS.iter().filter(|tenant| *tenant != owner) {
            let mark = crate::requests::mark(other);
            let has = |bytes: &[u8]| {
                bytes
                    .windows(mark.len())
                    .any(|part| part == mark.as_bytes())
            };
            if has(&key) || has(&value) {
                defects.push(format!("{owner} has bytes of {other} under {key:?}"));
            }
        }
    }
}

/// What has to stay as it was once seen.
#[derive(Default)]
pub struct Ledger {
    succeeded: BTreeSet<String>,
}

impl Ledger {
    pub fn compare(&mut self, looked: &Looked) -> Result<(), Defect> {
        if !looked.defects.is_empty() {
            return Err(looked.defects.join("\n"));
        }
        let mut names = BTreeSet::new();
        for run in &looked.runs {
            if !names.insert(run.id.clone()) {
                return Err(format!("the run {} is there twice", run.id));
            }
            one_run(run, looked)?;
            match run.state == RunState::Succeeded {
                true => drop(self.succeeded.insert(run.id.clone())),
                false if self.succeeded.contains(&run.id) => {
                    return Err(format!(
                        "the run {} had succeeded and is {:?}",
                        run.id, run.state
                    ));
                }
                false => {}
            }
        }
        if let Some(lost) = self.succeeded.iter().find(|id| !names.contains(*id)) {
            return Err(format!("the run {lost} had succeeded and is gone"));
        }
        for (tenant, found) in TENANTS.iter().zip(&looked.tenants) {
            for (id, version) in &found.reports {
                if *version != 1 || !names.contains(&format!("{tenant}.{id}")) {
                    return Err(format!(
                        "{tenant}: the report {id} was written {version} times"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// A run stands for a slot of its schedule, has its attempts one after the other, and
/// made its report where it succeeded.
fn one_run(run: &RunView, looked: &Looked) -> Result<(), Defect> {
    let id = RunId::parse(&run.id).unwrap();
    let hours = match id.job.as_str() {
        "hourly" => 1,
        "tidy" => 3,
        _ => 4,
    };
    if id.slot.at.0 % (hours * 3_600_000) != 0 {
        return Err(format!("the run {} is of no slot", run.id));
    }
    let mut open = 0;
    for (at, attempt) in run.attempts.iter().enumerate() {
        open += usize::from(attempt.ended_at.is_none());
        if at > 0 && attempt.number != run.attempts[at - 1].number + 1 {
            return Err(format!("the attempts of {}: {:?}", run.id, run.attempts));
        }
    }
    if open > usize::from(run.state == RunState::Running) {
        return Err(format!("{} attempts of {} are open", open, run.id));
    }
    if id.job.as_str() == "hourly" && run.state == RunState::Succeeded {
        let at = TENANTS
            .iter()
            .position(|tenant| *tenant == id.owner.as_str())
            .unwrap();
        let report = format!("{}.{}", id.job, id.slot.key());
        if !looked.tenants[at].reports.contains_key(&report) {
            return Err(format!("{} succeeded without its report", run.id));
        }
    }
    Ok(())
}
