//! What an operation makes of a record.

use super::version::Version;
use crate::{
    base::{Instant, Random},
    domain::{
        Entity, RecordMeta,
        archive::{OnWrite, time_of},
    },
    service::{
        Code, Error, Result,
        records::{
            Action, Only, Operation,
            conditions::exists,
            document::{Document, parse_stored},
            read::missing,
            targets::Target,
        },
    },
    store::Tree,
};

/// What an operation makes of a record.
pub(super) enum Next {
    /// It is as it was.
    Unchanged,
    /// It goes away.
    Gone,
    /// It has other data.
    Document(Document, Tree),
    /// It moves to the other tier, or forgets that it was restored.
    Kept(Tree, RecordMeta),
}

/// Decides what `operation` makes of the record that is there now.
pub(super) fn next(
    entity: &Entity,
    operation: &Operation,
    target: &Target,
    before: Option<&Version>,
    now: Instant,
) -> Result<Next> {
    let Some(before) = before else {
        return absent(entity, operation, target);
    };
    let body = &operation.body;
    match &operation.action {
        Action::Create { .. } => Err(exists(entity, target, &before.meta)),
        Action::Import { .. } => {
            let document = Document::whole(entity, body)?;
            if document.json == before.json {
                return Ok(Next::Unchanged);
            }
            writable(entity, target, before)?;
            Ok(Next::Document(document, Tree::Hot))
        }
        Action::Put { .. } => {
            writable(entity, target, before)?;
            Ok(Next::Document(Document::whole(entity, body)?, Tree::Hot))
        }
        Action::Patch { .. } => {
            writable(entity, target, before)?;
            let document = Document::patched(entity, &before.json, body)?;
            Ok(Next::Document(document, Tree::Hot))
        }
        Action::Delete { .. } => Ok(Next::Gone),
        Action::Archive { only, .. } => Ok(match before.tier {
            Tree::Archive => Next::Unchanged,
            Tree::Hot => archived(entity, before, *only, now)?,
        }),
        Action::Restore { only, .. } => Ok(match (before.tier, only) {
            (Tree::Hot, _) => Next::Unchanged,
            (_, Only::Version(version)) if *version != before.meta.version => Next::Unchanged,
            _ => Next::Kept(Tree::Hot, restored(entity, &before.meta, now)),
        }),
        Action::Purge { before: end, .. } => {
            let over = match end {
                Some(end) => time(entity, before)?.is_some_and(|time| time < *end),
                None => true,
            };
            match over && before.tier == Tree::Archive {
                true => Ok(Next::Gone),
                false => Ok(Next::Unchanged),
            }
        }
    }
}

fn absent(entity: &Entity, operation: &Operation, target: &Target) -> Result<Next> {
    let whole = || Document::whole(entity, &operation.body);
    match &operation.action {
        Action::Create { .. } | Action::Put { .. } => Ok(Next::Document(whole()?, Tree::Hot)),
        Action::Import { tier, .. } => Ok(Next::Document(whole()?, *tier)),
        // Somebody deleted it meanwhile.
        Action::Purge { .. } => Ok(Next::Unchanged),
        Action::Archive { only, .. } | Action::Restore { only, .. } if *only != Only::Anyhow => {
            Ok(Next::Unchanged)
        }
        Action::Patch { .. }
        | Action::Delete { .. }
        | Action::Archive { .. }
        | Action::Restore { .. } => Err(missing(entity, target.id.as_str())),
    }
}

/// The time that the rule counts from; `None` where the rule does not apply.
fn time(entity: &Entity, record: &Version) -> Result<Option<Instant>> {
    let Some(rule) = &entity.archive else {
        return Ok(None);
    };
    let data = parse_stored(&record.json)?;
    Ok(time_of(rule, &record.meta, &data))
}

fn archived(entity: &Entity, before: &Version, only: Only, now: Instant) -> Result<Next> {
    let moved = Next::Kept(
        Tree::Archive,
        RecordMeta {
            restored_until: None,
            ..before.meta
        },
    );
    Ok(match only {
        Only::Anyhow | Only::IfThere => moved,
        Only::Version(version) if version == before.meta.version => moved,
        Only::Version(_) => Next::Unchanged,
        Only::Due(end) => {
            let over = before.meta.restored_until.is_none_or(|until| until <= now);
            let due = time(entity, before)?.is_some_and(|time| time < end);
            match (over, due) {
                (true, true) => moved,
                (true, false) if before.meta.restored_until.is_some() => Next::Kept(
                    Tree::Hot,
                    RecordMeta {
                        restored_until: None,
                        ..before.meta
                    },
                ),
                _ => Next::Unchanged,
            }
        }
    })
}

/// A record's head when it comes back: it stays for a while.
fn restored(entity: &Entity, meta: &RecordMeta, now: Instant) -> RecordMeta {
    let stays = entity.archive.as_ref().map(|rule| rule.restored_ms);
    RecordMeta {
        restored_until: stays.map(|ms| now.plus_ms(ms)),
        ..*meta
    }
}

/// An archived record is not changed, unless the rule says that a write restores it.
fn writable(entity: &Entity, target: &Target, before: &Version) -> Result<()> {
    let rule = entity.archive.as_ref();
    let restores = rule.is_some_and(|rule| rule.on_write == OnWrite::Restore);
    if before.tier == Tree::Hot || restores {
        return Ok(());
    }
    let id = target.id.as_str();
    Err(Error::new(
        Code::RecordArchived,
        format!(
            "The record {id:?} of the entity {} is in the archive, where nothing is changed. Restore it first (POST .../records/{}/{id}/restore), or set on_write = \"restore\" in the entity's archive rule.",
            entity.name, entity.name
        ),
    )
    .with("entity", entity.name.as_str())
    .with("record", id))
}

/// The head of a record that an operation writes.
pub(super) fn next_meta(
    entity: &Entity,
    operation: &Operation,
    target: &Target,
    before: Option<&Version>,
    (now, random): (Instant, &Random),
) -> Result<RecordMeta> {
    if let Some(before) = before {
        let meta = match before.tier {
            Tree::Hot => before.meta,
            Tree::Archive => restored(entity, &before.meta, now),
        };
        return Ok(RecordMeta {
            version: meta.version + 1,
            updated_at: now.max(meta.updated_at),
            ..meta
        });
    }
    // Nobody is to guess the ETag of a record to come.
    let incarnation = random.u64().map_err(Error::internal)?;
    if let Action::Import {
        restored: Some(restored),
        ..
    } = &operation.action
    {
        return Ok(RecordMeta {
            incarnation,
            ..*restored
        });
    }
    let created_at = target.made.unwrap_or(now);
    Ok(RecordMeta {
        version: 1,
        created_at,
        updated_at: created_at,
        incarnation,
        restored_until: None,
    })
}
