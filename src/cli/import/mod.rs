//! `tenantry import`: reads a file of any size in chunks that end between rows and
//! sends them one after the other; what each answers is added up. Memory holds one
//! chunk, whatever the file's size.

mod input;
mod report;
mod split;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use hyper::Method;
use serde_json::json;

use super::args::{Format, Import};
use super::client::{Client, Target};
use super::commands::has_code;
use super::output::{Progress, grouped, note};
use super::{Context, Told};
use input::Input;
use report::Report;
use split::{Chunk, Limits, Splitter};

/// A chunk ends with the row that reaches either.
const CHUNK_BYTES: usize = 1 << 20;
const CHUNK_ROWS: usize = 2_000;

pub fn run(context: &Context, import: &Import) -> Result<()> {
    let input = Input::open(&import.file, import.format)?;
    let mut report = Report::open(import.errors.as_deref())?;
    let config = context.config()?;
    let limits = Limits {
        chunk_bytes: CHUNK_BYTES,
        // The answer lists no more errors than this; a chunk of so many rows has all of its own listed.
        chunk_rows: CHUNK_ROWS.min(config.limits.import_errors_max),
        row_bytes_max: config.limits.import_line_bytes_max,
    };
    let session = context.session("import")?;
    if let Some(tenant) = import.tenant.as_deref().filter(|_| import.create_tenants) {
        report.tenants_created += u64::from(make_tenant(&session, tenant)?);
    }
    let started = Instant::now();
    let copied = copy(&session, import, input, limits, &mut report);
    if let Err(error) = copied {
        report.flush()?;
        return Err(error.context(broken_off(import, &report)));
    }
    session.close()?;
    report.finish(started.elapsed(), context.out)?;
    if report.all_failed() {
        Err(Told.into())
    } else {
        Ok(())
    }
}

fn copy(
    client: &Client,
    import: &Import,
    input: Input,
    limits: Limits,
    report: &mut Report,
) -> Result<()> {
    let target = target(import, input.format);
    let kind = match input.format {
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
    };
    let started = Instant::now();
    let mut progress = Progress::new(input.bytes);
    let position = input.position.clone();
    let mut splitter = Splitter::new(input.reader, input.format, limits);
    let mut sent = 0;
    loop {
        let chunk = splitter.next_chunk().context("cannot read on")?;
        for refused in splitter.take_refused() {
            report.refused(refused.line, &refused.reason)?;
        }
        // A file without rows is sent too, so that a mistaken tenant or entity is told.
        let Some(chunk) = chunk.or_else(|| (sent == 0).then(|| splitter.empty_chunk())) else {
            break;
        };
        sent += 1;
        let Chunk { bytes, first_line } = chunk;
        let target = target.clone().query("first_line", &first_line.to_string());
        let answer = client.send(Method::POST, &target, kind, Bytes::from(bytes))?;
        report.add(&answer)?;
        progress.at(position.get(), || {
            let rate = report.rate(started.elapsed());
            let failed = match report.failed {
                0 => String::new(),
                failed => format!(", {} bad", grouped(failed)),
            };
            format!(
                "{} rows, {} rows/s{failed}",
                grouped(report.rows),
                grouped(rate)
            )
        });
    }
    progress.done();
    Ok(())
}

fn target(import: &Import, format: Format) -> Target {
    let target = match &import.tenant {
        Some(tenant) => Target::new("/v1/tenants").segment(tenant).segment("import"),
        None => Target::new("/v1/import"),
    };
    let format = match format {
        Format::Ndjson => "ndjson",
        Format::Csv => "csv",
    };
    let target = target
        .query("entity", &import.entity)
        .query("format", format)
        .query_opt("id_field", import.id_field.as_deref())
        .query_opt("tenant_field", import.tenant_field.as_deref())
        .query_opt("tenant_default", import.tenant_default.as_deref());
    if import.tenant_field.is_some() && import.create_tenants {
        target.query("create_tenants", "true")
    } else {
        target
    }
}

/// Makes the tenant unless it is there; whether it was made.
fn make_tenant(client: &Client, tenant: &str) -> Result<bool> {
    match client.json(
        Method::POST,
        &Target::new("/v1/tenants"),
        &json!({ "id": tenant }),
    ) {
        Ok(_) => Ok(true),
        Err(error) if has_code(&error, "already_exists") => Ok(false),
        Err(error) => Err(error),
    }
}

fn broken_off(import: &Import, report: &Report) -> String {
    let file = if import.file == Path::new("-") {
        "standard input".to_owned()
    } else {
        import.file.display().to_string()
    };
    let again = if import.id_field.is_some() {
        "it can be run again as it is"
    } else {
        "rows sent before would be made again if it were run again: without --id-field every row makes a new record"
    };
    let told = report.rows > 0;
    if told {
        note(format_args!(
            "{} rows were read, {} created, {} updated; {again}",
            grouped(report.rows),
            grouped(report.created),
            grouped(report.updated)
        ));
    }
    format!("the import of {file} broke off")
}

#[cfg(test)]
mod tests;
