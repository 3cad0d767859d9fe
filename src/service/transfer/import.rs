//! The way in: pushed bytes become rows, rows become writes. Memory holds one
//! piece of the body, one row under way and the rows in flight, whatever the
//! import's size.

use std::collections::HashMap;
use std::sync::Arc;

use super::decode::Decoder;
use super::flight::{Flight, Pending};
use super::row::{self, Parsed};
use super::rows::{Row, Rows};
use super::{Format, ImportOptions, Target, Transfer, stops};
use crate::{
    config::Limits,
    domain::{Entity, RecordId, TenantSlug, tenant::slugify},
    service::{
        Caller, Code, Error, Result, Scope, TenantAccess,
        records::{Action, Operation, Records},
        tenants::Tenants,
    },
};

/// Rows that are read before they are written.
const FLIGHT_ROWS: usize = 2_000;
/// Or as many bytes of them.
const FLIGHT_BYTES: usize = 4 << 20;

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
    flight: Flight,
    report: ImportReport,
}

/// A tenant that rows of this import named.
struct Known {
    access: TenantAccess,
    /// What the rows called it.
    value: String,
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
            flight: Flight::default(),
            report: ImportReport::default(),
        })
    }

    /// Takes the next piece of the body. After an error the import is over; give
    /// the error to [`Importer::stop`].
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
        match self.end().await {
            Ok(()) => {
                self.report.errors.sort_by_key(|error| error.line);
                Ok(self.report)
            }
            Err(error) => Err(self.stop(error).await),
        }
    }

    async fn end(&mut self) -> Result<()> {
        let mut plain = Vec::new();
        let ended = self.decoder.finish(&mut plain);
        self.plain(&plain).await?;
        ended?;
        if let Some(row) = self.rows.last()? {
            self.row(row).await?;
        }
        self.flush().await
    }

    /// Breaks the import off: what was read whole before is written still, where
    /// the store takes it. The error then says how far the import came.
    pub async fn stop(mut self, error: Error) -> Error {
        let error = match stops(&error) {
            true => error,
            false => self.flush().await.err().unwrap_or(error),
        };
        let report = &self.report;
        let mut error = error
            .with("rows", report.rows)
            .with("created", report.created)
            .with("updated", report.updated)
            .with("unchanged", report.unchanged)
            .with("failed", report.failed);
        error.detail.push_str(&format!(
            " The import stopped there: of {} rows read, {} were created, {} updated and {} unchanged before.",
            report.rows, report.created, report.updated, report.unchanged
        ));
        error
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
            .and_then(|json| match self.options.format {
                Format::Ndjson => row::parse(&json, id_field, tenant_field),
                Format::Csv => row::parse_data(&json, id_field, tenant_field),
            })
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
        let operation = Operation {
            entity,
            action: Action::Import {
                id: parsed.id,
                restored: parsed.restored,
                tier: parsed.tier,
            },
            body: parsed.data.into(),
            if_match: None,
            if_none_match: None,
        };
        self.flight.add(&access, Pending::new(line, operation));
        if self.flight.rows() >= FLIGHT_ROWS || self.flight.bytes() >= FLIGHT_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the rows in flight and waits for all of them.
    async fn flush(&mut self) -> Result<()> {
        let landed = std::mem::take(&mut self.flight).land(&self.records).await;
        self.report.created += landed.created;
        self.report.updated += landed.updated;
        self.report.unchanged += landed.unchanged;
        for (line, error) in landed.failed {
            self.fail(line, error.detail);
        }
        landed.stopped.map_or(Ok(()), Err)
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
