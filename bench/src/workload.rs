//! The loads: what each connection asks, one request after the other.

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::{Context as _, Result};

use crate::{
    data::{Minute, Numbers, patch, ticket},
    load::{self, Maker, Report},
    subject::{Requests, Running},
};

/// Connections that fill a subject.
const FILLERS: usize = 64;

/// One kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Creates tickets of 0.8 KB in every tenant by turns.
    Create,
    /// Gets tickets at random.
    Get,
    /// Patches tickets at random.
    Update,
    /// Lists 50 by (status, date), another tenant's each time and before another
    /// date, so that no page repeats.
    List,
    /// Lists the newest 50 by (status, date), another tenant's each time, as a
    /// page that is looked at again and again.
    FirstPage,
    /// Reads, lists and writes over all tenants; half of the connections are one
    /// noisy tenant's. What is reported are the other tenants'.
    Mixed,
}

impl Load {
    /// All, in the order in which they are run: what grows the data comes last.
    pub const ALL: [Load; 6] = [
        Load::Get,
        Load::List,
        Load::FirstPage,
        Load::Update,
        Load::Mixed,
        Load::Create,
    ];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Load::Create => "create",
            Load::Get => "get",
            Load::Update => "update",
            Load::List => "list of 50",
            Load::FirstPage => "first page of 50",
            Load::Mixed => "mixed, quiet tenants",
        }
    }
}

/// The tickets of each tenant, by their ids.
pub type Ids = Rc<Vec<Vec<String>>>;

/// Creates `count` tickets over `tenants` by turns.
pub async fn fill(running: &Running, tenants: usize, count: usize) -> Result<(Ids, Report)> {
    let requests = running.requests.clone();
    let mut numbers = Numbers::new(7);
    let ids = Rc::new(RefCell::new(vec![Vec::new(); tenants]));
    let found = ids.clone();
    let report = load::fill(
        running.process.address,
        FILLERS,
        count,
        move |number, out| requests.create(out, number % tenants, &ticket(&mut numbers)),
        move |number, body| {
            let id = id_of(body).context("an answer without an id")?;
            found.borrow_mut()[number % tenants].push(id);
            Ok(())
        },
    )
    .await?;
    Ok((Rc::new(ids.take()), report))
}

/// The first `"id":"..."` in an answer.
fn id_of(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"id\":\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// Runs one load; the report is of the class that counts.
pub async fn run(
    running: &Running,
    load: Load,
    ids: &Ids,
    connections: usize,
    time: Duration,
) -> Result<Report> {
    let makers = (0..connections).map(|connection| {
        let noisy = load == Load::Mixed && connections > 1 && connection % 2 == 1;
        let maker = maker(
            load,
            noisy,
            connection,
            running.requests.clone(),
            ids.clone(),
        );
        (usize::from(noisy), maker)
    });
    let reports = load::run(running.process.address, time, makers.collect()).await?;
    reports.into_iter().next().context("no report")
}

fn maker(
    load: Load,
    noisy: bool,
    connection: usize,
    requests: Rc<dyn Requests>,
    ids: Ids,
) -> Maker {
    let mut numbers = Numbers::new(connection as u64 + 100);
    let tenants = ids.len();
    // Connections start at different tenants and go round.
    let mut turn = connection * 31;
    Box::new(move |out| {
        turn += 1;
        // The noisy tenant is the last one, and nobody else's.
        let tenant = match (load, noisy) {
            (Load::Mixed, true) => tenants - 1,
            (Load::Mixed, false) => turn % (tenants - 1).max(1),
            _ => turn % tenants,
        };
        let of_tenant = &ids[tenant];
        let id = &of_tenant[numbers.below(of_tenant.len())];
        let now = match load {
            Load::Mixed => match numbers.below(20) {
                0..12 => Load::Get,
                12..16 => Load::FirstPage,
                16..18 => Load::Update,
                _ => Load::Create,
            },
            other => other,
        };
        match now {
            Load::Get => requests.get(out, tenant, id),
            Load::List => requests.list(out, tenant, Some(Minute::any(&mut numbers))),
            Load::FirstPage => requests.list(out, tenant, None),
            Load::Update => requests.update(out, tenant, id, &patch(&mut numbers)),
            Load::Create | Load::Mixed => requests.create(out, tenant, &ticket(&mut numbers)),
        }
    })
}
