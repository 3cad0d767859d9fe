//! The way in: pushed bytes become rows, rows become writes. Memory holds one
//! piece of the body, one row under way and the rows in flight, whatever the
//! import's size.
//!
//! Up to [`FLIGHT_ROWS`] rows are written at once, so that the committer joins
//! them; the same record is never written twice in one flight, so rows of one
//! record take effect in their order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::decode::Decoder;
use super::row::{self, Parsed};
use super::rows::{Row, Rows};
use super::{Format, ImportOptions, Target, Transfer, stops};
use crate::{
    config::Limits,
    domain::{Entity, RecordId, TenantSlug, tenant::slugify},
    service::{
        Caller, Code, Error, Result, Scope, TenantAccess,
        records::{Action, Operation, OutcomeKind, Records},
        tenants::Tenants,
    },
};

/// Rows that are written at once.
const FLIGHT_ROWS: usize = 256;
/// Or as many bytes of them.
const FLIGHT_BYTES: usize = 4 << 20;
/// A queue that is full for a moment is asked again so often before the import stops.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct ImportReport {
    /// Rows read, bad ones too.
    pub rows: u64,
    /// Records made.
    pub created: u64,
    /// Records changed.
    pub updated: u64,
    /// Records that had the row's data already.
    pub unchanged: u64,
    /// Bad rows.
    pub failed: u64,
    /// Tenants made.
    pub tenants_created: u64,
    /// The first bad rows, by line.
    pub errors: Vec<RowError>,
    /// Bad rows beyond those listed.
    pub errors_omitted: u64,
}

/// A bad row.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct RowError {
    /// The line on which it begins.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// An import under way.
pub struct Importer {
    records: Arc<Records>,
    tenants: Arc<Tenants>,
    limits: Arc<Limits>,
    caller: Caller,
    entity: Arc<Entity>,
    options: ImportOptions,
    decoder: Decoder,
    rows: Rows,
    known: HashMap<TenantSlug, Known>,
    access: Option<TenantAccess>,
    flight: Vec<Pending>,
    flight_bytes: usize,
    in_flight: HashSet<(String, String, String)>,
    report: ImportReport,
}

/// A tenant that rows of this import named.
struct Known {
    access: TenantAccess,
    /// What the rows called it.
    value: String,
}

struct Pending {
    line: u64,
    access: TenantAccess,
    operation: Operation,
}

impl Importer {
    pub(super) fn new(
        transfer: &Transfer,
        caller: Caller,
        access: Option<TenantAccess>,
        entity: Arc<Entity>,
        options: ImportOptions,
    ) -> Result<Self> {
        let limits = transfer.core.limits.clone();
        let longest = limits.import_line_bytes_max;
        let rows = match options.format {
            Format::Ndjson => Rows::ndjson(options.first_line, longest),
            Format::Csv => Rows::csv(entity.clone(), options.first_line, longest),
        };
        Ok(Self {
            records: transfer.records.clone(),
            tenants: transfer.tenants.clone(),
            decoder: Decoder::of(options.encoding.as_deref())?,
            limits,
            caller,
            entity,
            options,
            rows,
            known: HashMap::new(),
            access,
            flight: Vec::new(),
            flight_bytes: 0,
            in_flight: HashSet::new(),
            report: ImportReport::default(),
        })
    }

    /// Takes the next piece of the body.
    pub async fn push(&mut self, mut piece: &[u8]) -> Result<()> {
        let mut plain = Vec::new();
        while !piece.is_empty() {
            let used = self.decoder.push(piece, &mut plain)?;
            piece = &piece[used..];
            self.plain(&plain).await?;
            if used == 0 && plain.is_empty() {
                return Err(Error::new(
                    Code::BadRequest,
                    "The body goes on behind the end of the packed data.",
                ));
            }
            plain.clear();
        }
        Ok(())
    }

    /// Ends the import: what is under way is written, and the whole is told.
    pub async fn finish(mut self) -> Result<ImportReport> {
        let mut plain = Vec::new();
        let ended = self.decoder.finish(&mut plain);
        self.plain(&plain).await?;
        if ended.is_ok()
            && let Some(row) = self.rows.last()?
        {
            self.row(row).await?;
        }
        self.flush().await?;
        ended?;
        self.report.errors.sort_by_key(|error| error.line);
        Ok(self.report)
    }

    async fn plain(&mut self, mut plain: &[u8]) -> Result<()> {
        while !plain.is_empty() {
            let (used, row) = self.rows.next(plain)?;
            plain = &plain[used..];
            if let Some(row) = row {
                self.row(row).await?;
            }
        }
        Ok(())
    }

    async fn row(&mut self, row: Row) -> Result<()> {
        self.report.rows += 1;
        let line = row.line;
        let tenant_field = match &self.options.into {
            Target::Field { field, .. } => Some(field.as_str()),
            Target::Tenant(_) => None,
        };
        let id_field = self.options.id_field.as_deref();
        let parsed = row
            .json
            .and_then(|json| row::parse(&json, id_field, tenant_field))
            .and_then(|parsed| check_id(&parsed).map(|()| parsed));
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(reason) => {
                self.fail(line, reason);
                return Ok(());
            }
        };
        match self.tenant(parsed.tenant.as_deref()).await? {
            Ok(access) => self.add(line, access, parsed).await,
            Err(reason) => {
                self.fail(line, reason);
                Ok(())
            }
        }
    }

    async fn add(&mut self, line: u64, access: TenantAccess, parsed: Parsed) -> Result<()> {
        let entity = parsed
            .entity
            .unwrap_or_else(|| self.entity.name.to_string());
        if let Some(id) = &parsed.id {
            let record = (access.tenant().to_owned(), entity.clone(), id.clone());
            if self.in_flight.contains(&record) {
                self.flush().await?;
            }
            self.in_flight.insert(record);
        }
        self.flight_bytes += parsed.data.len();
        self.flight.push(Pending {
            line,
            access,
            operation: Operation {
                entity,
                action: Action::Import {
                    id: parsed.id,
                    restored: parsed.restored,
                },
                body: parsed.data.into(),
                if_match: None,
                if_none_match: None,
            },
        });
        if self.flight.len() >= FLIGHT_ROWS || self.flight_bytes >= FLIGHT_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the rows in flight and waits for all of them.
    async fn flush(&mut self) -> Result<()> {
        let flight = std::mem::take(&mut self.flight);
        self.in_flight.clear();
        self.flight_bytes = 0;
        let records = self.records.clone();
        let written = join_all(flight.iter().map(|pending| write(&records, pending))).await;
        let mut stopped = None;
        for (pending, written) in flight.iter().zip(written) {
            match written {
                Ok(OutcomeKind::Created) => self.report.created += 1,
                Ok(OutcomeKind::Unchanged) => self.report.unchanged += 1,
                Ok(OutcomeKind::Updated | OutcomeKind::Deleted) => self.report.updated += 1,
                Err(error) if stops(&error) => stopped = Some(error),
                Err(error) => self.fail(pending.line, reason_of(&error)),
            }
        }
        stopped.map_or(Ok(()), |error| {
            Err(error
                .with("created", self.report.created)
                .with("updated", self.report.updated))
        })
    }

    fn fail(&mut self, line: u64, reason: String) {
        self.report.failed += 1;
        if self.report.errors.len() < self.limits.import_errors_max {
            self.report.errors.push(RowError { line, reason });
        } else {
            self.report.errors_omitted += 1;
        }
    }

    /// The tenant that a row goes to, or why it cannot.
    async fn tenant(&mut self, named: Option<&str>) -> Result<Result<TenantAccess, String>> {
        let Target::Field {
            field,
            default,
            create,
        } = &self.options.into
        else {
            let access = self.access.clone();
            return Ok(access.ok_or_else(|| "has no tenant".to_owned()));
        };
        let own = named.and_then(|value| Some((value, slug_of(value)?)));
        let default = || {
            let value = default.as_deref()?;
            Some((value, slug_of(value)?))
        };
        let Some((value, slug)) = own.or_else(default) else {
            let reason = match named {
                Some(value) => format!(
                    "names the tenant {value:?} in {field:?}, which has no letter or digit, and no tenant_default was given"
                ),
                None => format!(
                    "names no tenant: {field:?} is missing or empty, and no tenant_default was given"
                ),
            };
            return Ok(Err(reason));
        };
        if let Some(known) = self.known.get(&slug) {
            if known.value != value {
                return Ok(Err(format!(
                    "names the tenant {value:?}, whose slug {slug} is also that of {:?}; make them different, or the same",
                    known.value
                )));
            }
            return Ok(Ok(known.access.clone()));
        }
        if *create {
            match self.tenants.ensure(&self.caller, &slug, value).await {
                Ok(created) => self.report.tenants_created += u64::from(created),
                Err(error) if stops(&error) => return Err(error),
                Err(error) => return Ok(Err(error.detail)),
            }
        }
        let found = self
            .tenants
            .access(&self.caller, slug.as_str(), Scope::Write)
            .await;
        match found {
            Ok(access) => {
                let known = Known {
                    access: access.clone(),
                    value: value.to_owned(),
                };
                self.known.insert(slug, known);
                Ok(Ok(access))
            }
            Err(error) if error.code == Code::NotFound => Ok(Err(format!(
                "names the tenant {slug}, which does not exist; make it, or import with create_tenants"
            ))),
            Err(error) => Err(error),
        }
    }
}

fn slug_of(value: &str) -> Option<TenantSlug> {
    TenantSlug::parse(value).ok().or_else(|| slugify(value))
}

fn check_id(parsed: &Parsed) -> Result<(), String> {
    match parsed.id.as_deref().map(RecordId::parse) {
        Some(Err(error)) => Err(error.to_string()),
        Some(Ok(_)) | None => Ok(()),
    }
}

async fn write(records: &Records, pending: &Pending) -> Result<OutcomeKind> {
    let operations = std::slice::from_ref(&pending.operation);
    let mut tries = 0;
    loop {
        match records.apply(&pending.access, operations).await {
            Ok(outcomes) => {
                let first = outcomes.first().map(|outcome| outcome.kind);
                return first.ok_or_else(|| Error::internal("an import without an outcome"));
            }
            Err(error) if error.retry_after_s.is_some() && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_WAIT).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The problem in one line, its fields included.
fn reason_of(error: &Error) -> String {
    let mut reason = error.detail.clone();
    let fields = ["errors", "problems"]
        .iter()
        .find_map(|name| error.members.get(*name)?.as_array());
    for field in fields.into_iter().flatten().take(3) {
        let part = |name: &str| field[name].as_str().unwrap_or_default();
        reason.push_str(&format!(" {} {};", part("pointer"), part("message")));
    }
    reason.trim_end_matches(';').to_owned()
}
