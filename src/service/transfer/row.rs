//! What one row of an import says: a record's data, or a whole line of an export.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::{base::Instant, domain::RecordMeta, store::Tree};

/// The members of an export's line: with these, and [`RESTORED`], a row is one.
const EXPORTED: [&str; 7] = [
    "created_at",
    "data",
    "entity",
    "id",
    "tier",
    "updated_at",
    "version",
];
/// The member that a line has besides where a record came back from the archive.
const RESTORED: &str = "restored_until";

/// A row, read.
pub(super) struct Parsed {
    /// The entity, where the row names its own.
    pub entity: Option<String>,
    /// The id that the row carries.
    pub id: Option<String>,
    /// Version and times of an export.
    pub restored: Option<RecordMeta>,
    /// The tier of an export.
    pub tier: Tree,
    /// The record's data.
    pub data: Vec<u8>,
    /// What the field with the tenant holds.
    pub tenant: Option<String>,
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Reads a row that may be a line of an export; the error says what is wrong with it.
pub(super) fn parse(
    json: &[u8],
    id_field: Option<&str>,
    tenant_field: Option<&str>,
) -> Result<Parsed, String> {
    let members = members(json)?;
    let given = members.keys().map(String::as_str);
    if given.filter(|name| *name != RESTORED).eq(EXPORTED) {
        return exported(&members, tenant_field);
    }
    data(json, &members, id_field, tenant_field)
}

/// Reads a row that is a record's data and nothing else.
pub(super) fn parse_data(
    json: &[u8],
    id_field: Option<&str>,
    tenant_field: Option<&str>,
) -> Result<Parsed, String> {
    data(json, &members(json)?, id_field, tenant_field)
}

fn data(
    json: &[u8],
    members: &Members<'_>,
    id_field: Option<&str>,
    tenant_field: Option<&str>,
) -> Result<Parsed, String> {
    let id = match id_field {
        None => None,
        Some(field) => {
            let id = text_of(members, field, "id_field")?;
            Some(id.ok_or_else(|| format!("has no id: the field {field:?} is missing or empty"))?)
        }
    };
    Ok(Parsed {
        entity: None,
        id,
        restored: None,
        tier: Tree::Hot,
        tenant: tenant_of(members, tenant_field)?,
        data: json.to_vec(),
    })
}

fn members(json: &[u8]) -> Result<Members<'_>, String> {
    if json.first() != Some(&b'{') {
        return Err("is not a JSON object".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| format!("is not JSON: {error}"))
}

fn exported(members: &Members<'_>, tenant_field: Option<&str>) -> Result<Parsed, String> {
    let text = |name: &str| {
        let text = text_of(members, name, name)?;
        text.ok_or_else(|| format!("is a line of an export whose {name:?} is empty"))
    };
    let instant = |name: &str| {
        let parsed = Instant::parse_rfc3339(&text(name)?);
        parsed.ok_or_else(|| format!("is a line of an export whose {name:?} is no RFC 3339 time"))
    };
    let version: u64 = text("version")?
        .parse()
        .ok()
        .filter(|version| *version > 0)
        .ok_or("is a line of an export whose \"version\" is no whole number above 0")?;
    let tier = text("tier")?;
    let tier = Tree::ALL.into_iter().find(|tree| tree.name() == tier);
    let tier = tier.ok_or("is a line of an export whose \"tier\" is neither hot nor archive")?;
    let data = members["data"].get().as_bytes();
    let tenant = match tenant_field {
        Some(_) => tenant_of(&self::members(data)?, tenant_field)?,
        None => None,
    };
    Ok(Parsed {
        entity: Some(text("entity")?),
        id: Some(text("id")?),
        restored: Some(RecordMeta {
            version,
            created_at: instant("created_at")?,
            updated_at: instant("updated_at")?,
            // A restored record is another one: it gets its own when it is written.
            incarnation: 0,
            restored_until: match text_of(members, RESTORED, RESTORED)? {
                Some(_) => Some(instant(RESTORED)?),
                None => None,
            },
        }),
        tier,
        data: data.to_vec(),
        tenant,
    })
}

fn tenant_of(members: &Members<'_>, field: Option<&str>) -> Result<Option<String>, String> {
    field.map_or(Ok(None), |field| text_of(members, field, "tenant_field"))
}

/// A string, or a number as it was written; `None` where it is missing, null or empty.
fn text_of(members: &Members<'_>, field: &str, role: &str) -> Result<Option<String>, String> {
    let Some(raw) = members.get(field).map(|raw| raw.get()) else {
        return Ok(None);
    };
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).map_err(|e| e.to_string())?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        Some(b'-' | b'0'..=b'9') => Ok(Some(raw.to_owned())),
        _ => Err(format!(
            "has a list, an object or a truth value in {field:?} ({role}); expected a string or a number"
        )),
    }
}
