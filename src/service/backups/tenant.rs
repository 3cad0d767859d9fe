//! One tenant out of a backup, beside those that live.
//!
//! Its rows are restored into a scratch store. There the app file that is applied now is
//! applied too, so that its index rows and counters become what they would be today; the
//! store is checked; and what is in it is written to the living store under the tenant's
//! name, or another one.
//!
//! What comes back: records of both tiers as they were, legal holds, receipts of purges,
//! dictionaries, settings, and under its own name the secrets that sign webhooks. What does
//! not: API keys, remembered answers, and the runs of jobs; schedules begin anew.

use std::sync::Arc;

use super::{
    Operation,
    verify::{Ground, engine_of, of_service, open},
};
use crate::{
    base::Instant,
    domain::{AppFile, Tenant, TenantSlug},
    service::{
        Caller, Core, Result as ServiceResult,
        apps::{AppState, ApplyOptions, Apps, IndexState},
        check::{Check, CheckOptions},
        counts,
        tenants::{Arrival, Tenants},
    },
    store::{
        Batch, Condition, Key, OpenStore, Scan, Tree, Value,
        backup::{self, BackupError, BackupReader},
        codec,
        keys::{self, Counted, TenantKeys},
    },
};

/// Rows of one commit.
const ROWS: usize = 128;
const BYTES: usize = 256 << 10;
/// Families of a tenant's system rows that come back.
const FAMILIES: [&str; 7] = [
    "~count", "~hold", "~lifted", "~held", "~dict", "~dictnow", "~receipt",
];
/// Comes back where the tenant keeps its name: who receives its webhooks knows it.
const SECRETS: &str = "~secret";

/// Whom to bring back, and as whom.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The tenant, as it was called.
    pub tenant: TenantSlug,
    /// As it will be called.
    pub name: TenantSlug,
}

impl Wanted {
    /// Whether a key is needed to bring the tenant back.
    fn takes(&self, key: &Key) -> bool {
        let own = TenantKeys::new(&self.tenant).everything();
        if let Some(rest) = key.strip_prefix(&own[..]) {
            let end = rest.iter().position(|b| matches!(b, b'#' | b'@'));
            let family = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]);
            let kept =
                FAMILIES.contains(&&*family) || (family == SECRETS && self.tenant == self.name);
            return kept || !family.starts_with('~');
        }
        let whole = ["~#app#", "~#work#index#", keys::SHARED_DICTIONARIES];
        *key == keys::tenant(&self.tenant) || whole.iter().any(|p| key.starts_with(p.as_bytes()))
    }
}

/// Brings a tenant back out of an open backup; says what came of it. `scratch` is an empty
/// or missing folder.
pub async fn bring_back(
    (tenants, apps): (&Tenants, &Apps),
    ground: &Ground,
    mut reader: BackupReader,
    scratch: &std::path::Path,
    operation: &Operation,
    wanted: &Wanted,
) -> Result<String, BackupError> {
    let engine = engine_of(&reader)?;
    let mut watch = |(read, length): (u64, u64)| {
        operation.at(|progress| (progress.bytes, progress.bytes_expected) = (read, length))
    };
    let takes = |key: &Key| wanted.takes(key);
    let restored = backup::into_folder(&mut reader, scratch, engine, &takes, &mut watch)?;
    let moment = Instant(restored.trailer.moment_ms).to_rfc3339();
    let (store, core) = open(ground, scratch)?;
    let state = apps.refresh().await.map_err(of_service)?;
    let done = async {
        let tenant = tenant(&core, wanted, &moment).await?;
        adapt(&store, &core, &state).await?;
        copy((tenants, &core), &state, operation, wanted, tenant).await
    };
    let keys = done.await;
    store.close();
    let keys = keys?;
    Ok(format!(
        "the tenant {} as it was at {moment} is back as {}: {keys} keys; make API keys for it",
        wanted.tenant, wanted.name
    ))
}

/// The tenant's settings, under the name that it will have.
async fn tenant(core: &Core, wanted: &Wanted, moment: &str) -> Result<Tenant, BackupError> {
    let row = core
        .engine
        .get(Tree::Hot, &keys::tenant(&wanted.tenant))
        .await?;
    let Some(row) = row else {
        return Err(BackupError::Refused(format!(
            "At {moment}, of which this backup is, there was no tenant {}.",
            wanted.tenant
        )));
    };
    Ok(Tenant {
        id: wanted.name.clone(),
        updated_at: core.clock.now(),
        ..codec::decode(&row)?
    })
}

/// Applies the living app file to the scratch store, and checks what comes out.
async fn adapt(store: &OpenStore, core: &Core, living: &AppState) -> Result<(), BackupError> {
    // The one tenant of this store.
    let mut count = Batch::default();
    count.add(Tree::Hot, keys::TENANT_COUNT, 1);
    core.engine.commit(count).await?;
    let apps = Arc::new(Apps::load(core.clone()).await.map_err(of_service)?);
    let settle = || async {
        while apps.work_step().await.map_err(of_service)? {}
        Ok::<_, BackupError>(())
    };
    settle().await?;
    let file = AppFile::parse(&living.file.source).map_err(|_| {
        BackupError::Refused("the applied app file is not understood any more".into())
    })?;
    let applied = apps
        .apply(&Caller::Local, file, ApplyOptions::default())
        .await;
    applied.map_err(|error| {
        BackupError::Refused(format!(
            "The tenant does not fit the app file that is applied now. {}",
            of_service(error)
        ))
    })?;
    settle().await?;
    let state = apps.current();
    let failed = state
        .head
        .indexes
        .iter()
        .find_map(|entry| match &entry.state {
            IndexState::Failed(why) => Some(format!("{} of {}: {why}", entry.index, entry.entity)),
            _ => None,
        });
    if let Some(why) = failed {
        return Err(BackupError::Refused(format!(
            "An index cannot be built: {why}"
        )));
    }
    let check = Check::new(core.clone(), apps, store.maintenance.clone());
    let found = check.run(&Caller::Local, CheckOptions::default()).await;
    let found = found.map_err(of_service)?;
    match found.problems.first() {
        None => Ok(()),
        Some(first) => Err(BackupError::Refused(format!(
            "The tenant's rows are not in order ({} problems; the first: {}: {}).",
            found.problems_total, first.key, first.detail
        ))),
    }
}

/// Writes everything to the living store; takes it back where that fails.
async fn copy(
    (tenants, from): (&Tenants, &Core),
    living: &AppState,
    operation: &Operation,
    wanted: &Wanted,
    tenant: Tenant,
) -> Result<u64, BackupError> {
    let arrival = tenants
        .arrive(wanted.name.clone(), living)
        .await
        .map_err(of_service)?;
    let copied = async {
        dictionaries(from, tenants, &arrival).await?;
        let keys = rows(from, &arrival, operation, wanted).await?;
        recount_bytes(from, living, &arrival, wanted).await?;
        let holds = TenantKeys::new(&wanted.tenant).holds_count();
        let holds = from.engine.get(Tree::Hot, &holds).await?;
        let holds = codec::decode_counter(holds.as_ref())?;
        arrival.finish(&tenant, holds).await.map_err(of_service)?;
        Ok(keys)
    };
    let copied = copied.await;
    if copied.is_err()
        && let Err(error) = arrival.undo().await
    {
        tracing::error!(%error, tenant = %wanted.name, "what was written of a tenant is erased at the next start");
    }
    copied
}

/// Dictionaries made from schemas stand among the installation's rows.
async fn dictionaries(
    from: &Core,
    tenants: &Tenants,
    arrival: &Arrival<'_>,
) -> Result<(), BackupError> {
    let scan = Scan::prefix(Tree::Hot, keys::SHARED_DICTIONARIES);
    let mut pages = Pages(Some(scan));
    while let Some(rows) = pages.next(from).await? {
        for (key, value) in rows {
            // Its id comes from its bytes: one of that id is the same.
            if tenants.has(&key).await.map_err(of_service)? {
                continue;
            }
            let mut batch = Batch::default();
            batch.put(Tree::Hot, key, value);
            arrival.write(batch).await.map_err(of_service)?;
        }
    }
    Ok(())
}

/// The tenant's own rows, under its new name. How many.
async fn rows(
    from: &Core,
    arrival: &Arrival<'_>,
    operation: &Operation,
    wanted: &Wanted,
) -> Result<u64, BackupError> {
    let (old, new) = (
        TenantKeys::new(&wanted.tenant),
        TenantKeys::new(&wanted.name),
    );
    let (old, new) = (old.everything(), new.everything());
    let mut count = 0;
    for tree in Tree::ALL {
        let mut scan = Scan::prefix(tree, old.clone());
        (scan.limit, scan.bytes_max) = (ROWS, BYTES);
        let mut pages = Pages(Some(scan));
        while let Some(rows) = pages.next(from).await? {
            let mut batch = Batch::default();
            for (key, value) in rows {
                let renamed = [&new[..], &key[old.len()..]].concat();
                batch.expect(tree, renamed.clone(), Condition::Absent);
                batch.put(tree, renamed, value);
                count += 1;
            }
            arrival.write(batch).await.map_err(of_service)?;
            operation.at(|progress| progress.keys = count)?;
        }
    }
    Ok(count)
}

/// The counted bytes of records have their keys in them, which another name makes longer
/// or shorter.
async fn recount_bytes(
    from: &Core,
    living: &AppState,
    arrival: &Arrival<'_>,
    wanted: &Wanted,
) -> Result<(), BackupError> {
    let length = |slug: &TenantSlug| slug.as_str().len() as i64;
    let longer = length(&wanted.name) - length(&wanted.tenant);
    let (old, new) = (
        TenantKeys::new(&wanted.tenant),
        TenantKeys::new(&wanted.name),
    );
    let mut batch = Batch::default();
    for entity in living.file.entities.keys() {
        for tree in Tree::ALL {
            let records = counts::of_entity(from, &old, entity, tree, Counted::Records).await;
            let records = i64::try_from(records.map_err(of_service)?).unwrap_or(0);
            let bytes = new.count(entity, tree, Counted::Bytes);
            batch.add(Tree::Hot, bytes, records.saturating_mul(longer));
        }
    }
    arrival.write(batch).await.map_err(of_service)
}

/// Pages of a scan.
struct Pages(Option<Scan>);

impl Pages {
    async fn next(&mut self, core: &Core) -> Result<Option<Vec<(Key, Value)>>, BackupError> {
        let Some(mut scan) = self.0.take() else {
            return Ok(None);
        };
        let page = core.engine.scan(&scan).await?;
        self.0 = page.next.map(|next| {
            scan.after = Some(next);
            scan
        });
        Ok(Some(page.rows))
    }
}

/// Reads the names in a request.
pub fn wanted(tenant: &str, name: Option<&str>) -> ServiceResult<Wanted> {
    let parse = |what: &str, text: &str| {
        TenantSlug::parse(text).map_err(|error| {
            let detail = format!("{what}: {error}.");
            crate::service::Error::new(crate::service::Code::BadRequest, detail)
        })
    };
    let tenant = parse("tenant", tenant)?;
    let name = match name {
        Some(name) => parse("as", name)?,
        None => tenant.clone(),
    };
    Ok(Wanted { tenant, name })
}
