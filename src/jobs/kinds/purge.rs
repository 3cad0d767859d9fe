//! `kind = "purge"`: erases archived records whose time is over, and keeps a receipt.

use serde::{Deserialize, Serialize};

use super::{Made, moving::Pace};
use crate::{
    base::Instant,
    domain::{
        Entity, RecordId, archive::ArchiveRule, duration, job::kind::archive::Params,
        job::run::Progress,
    },
    jobs::context::{Context, Failure, checkpoint},
    service::{
        archive::{A_COMMIT, Receipt, archive_end, terms},
        records::{Action, Operation, Outcome, OutcomeKind},
    },
    store::{Batch, Tree},
};

/// How far a run has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    /// The entity that is worked on.
    entity: Option<String>,
    /// The last row that is done.
    after: Option<Vec<u8>>,
    /// What was erased of it, and since when.
    receipt: Option<(i64, Receipt)>,
    /// Records erased, of all entities.
    erased: u64,
    /// Records that a legal hold keeps.
    held: u64,
}

/// A record that is to go.
struct Going {
    id: RecordId,
    at: Instant,
    bytes: u64,
}

/// Purges.
pub async fn run(context: &Context, params: &Params) -> Result<Made, Failure> {
    let mut state: State = context.state()?;
    let now = context.runs().now();
    let tenant = context.claimed().tenant.as_ref();
    let access = context.tenant()?;
    let pace = Pace::new(context, params.per_second);
    for entity in context.archive().entities().await? {
        let name = entity.name.as_str();
        let passed = state.entity.as_deref().is_some_and(|at| name < at);
        let Some(rule) = entity.archive.as_ref().filter(|_| !passed) else {
            continue;
        };
        if !params.means(&entity.name) {
            continue;
        }
        if state.entity.as_deref() != Some(name) {
            state = State {
                entity: Some(name.to_owned()),
                after: None,
                receipt: None,
                ..state
            };
        }
        let Some(purge_ms) = terms(&entity, rule, tenant).purge_after_ms else {
            continue;
        };
        if context
            .archive()
            .is_held(access, &entity.name, None)
            .await?
        {
            context.say(&format!("{name}: under a legal hold; nothing is erased"));
            continue;
        }
        if !context.archive().is_ready(&entity).await? {
            context.say(&format!(
                "{name}: the index that finds what is due is being built"
            ));
            continue;
        }
        let end = archive_end(purge_ms, now);
        let purge = Purge {
            context,
            pace: &pace,
            entity: &entity,
            rule,
            end,
            purge_after: duration::format(purge_ms),
        };
        purge.all(&mut state).await?;
        if let Some((_, receipt)) = &state.receipt {
            context.say(&format!(
                "{name}: erased {} records of {} bytes from {} to {}; digest {}",
                receipt.records, receipt.bytes, receipt.oldest, receipt.newest, receipt.digest
            ));
            context
                .archive()
                .forget_dictionaries(access, &entity)
                .await?;
        }
    }
    context.archive().trim_receipts(access).await?;
    match (state.erased, state.held) {
        (0, 0) => Err(Failure::skip("nothing is due")),
        (_, 0) => Ok(None),
        (_, held) => {
            context.say(&format!("{held} records are under a legal hold and stay"));
            Ok(None)
        }
    }
}

struct Purge<'a> {
    context: &'a Context,
    pace: &'a Pace<'a>,
    entity: &'a Entity,
    rule: &'a ArchiveRule,
    end: Instant,
    purge_after: String,
}

impl Purge<'_> {
    /// Erases what is due of the entity.
    async fn all(&self, state: &mut State) -> Result<(), Failure> {
        loop {
            let (context, access) = (self.context, self.context.tenant()?);
            let after = state.after.as_deref();
            let due = (false, self.end);
            let page = context
                .archive()
                .due(access, self.entity, Tree::Archive, due, after, A_COMMIT)
                .await?;
            let mut going = Vec::new();
            for (id, at) in page.records {
                if self.is_held(&id).await? {
                    state.held += 1;
                    continue;
                }
                self.erase_children(&id, state).await?;
                let bytes = context
                    .archive()
                    .stored_bytes(access, &self.entity.name, &id)
                    .await?;
                going.push(Going { id, at, bytes });
            }
            state.after.clone_from(&page.next);
            if !going.is_empty() {
                self.erase(going, state).await?;
            }
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether a hold covers a record, or one that goes along.
    async fn is_held(&self, id: &RecordId) -> Result<bool, Failure> {
        let (archive, access) = (self.context.archive(), self.context.tenant()?);
        if archive.is_held(access, &self.entity.name, Some(id)).await? {
            return Ok(true);
        }
        for child in &self.rule.with {
            if !archive.holds_any_of(access, &child.entity).await? {
                continue;
            }
            let mut after = None;
            loop {
                let (ids, next) = archive
                    .children(access, child, id, Tree::Archive, after)
                    .await?;
                for id in &ids {
                    if archive.is_held(access, &child.entity, Some(id)).await? {
                        return Ok(true);
                    }
                }
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(false)
    }

    /// Children go first: their parent finds those that are left.
    async fn erase_children(&self, parent: &RecordId, state: &mut State) -> Result<(), Failure> {
        let (context, access) = (self.context, self.context.tenant()?);
        for child in &self.rule.with {
            loop {
                let (ids, _) = context
                    .archive()
                    .children(access, child, parent, Tree::Archive, None)
                    .await?;
                if ids.is_empty() {
                    break;
                }
                let operation = |id: &RecordId| {
                    let action = Action::Purge {
                        id: id.to_string(),
                        before: None,
                    };
                    Operation::of(child.entity.as_str(), action)
                };
                let operations: Vec<Operation> = ids.iter().map(operation).collect();
                let turn = self.pace.turn().await;
                let keep = |_: &[Outcome]| {
                    let progress = Progress {
                        done: state.erased,
                        total: None,
                    };
                    Ok((checkpoint(state, progress)?, Batch::default()))
                };
                context.write_and_keep(&operations, &keep).await?;
                turn.rest(ids.len()).await;
            }
        }
        Ok(())
    }

    /// Erases records, with the receipt in the same commit.
    async fn erase(&self, going: Vec<Going>, state: &mut State) -> Result<(), Failure> {
        let (context, access) = (self.context, self.context.tenant()?);
        let now = context.runs().now();
        let operation = |going: &Going| {
            let action = Action::Purge {
                id: going.id.to_string(),
                before: Some(self.end),
            };
            Operation::of(self.entity.name.as_str(), action)
        };
        let operations: Vec<Operation> = going.iter().map(operation).collect();
        let base = state.clone();
        let then = |outcomes: &[Outcome]| {
            let mut then = base.clone();
            let gone = going.iter().zip(outcomes);
            let gone = gone.filter(|(_, outcome)| outcome.kind == OutcomeKind::Purged);
            let gone: Vec<&Going> = gone.map(|(going, _)| going).collect();
            if gone.is_empty() {
                return then;
            }
            then.erased += gone.len() as u64;
            let (_, receipt) = then.receipt.get_or_insert_with(|| {
                let run = context.claimed().run.id.to_string();
                let receipt = Receipt::new(run, &self.entity.name, self.purge_after.clone(), now);
                (now.0, receipt)
            });
            let records: Vec<_> = gone.iter().map(|gone| (&gone.id, gone.at)).collect();
            let bytes = gone.iter().map(|gone| gone.bytes).sum();
            receipt.add(&records, bytes, now);
            then
        };
        let keep = |outcomes: &[Outcome]| {
            let then = then(outcomes);
            let mut batch = Batch::default();
            if let Some((began_at, receipt)) = &then.receipt {
                let (entity, began_at) = (&self.entity.name, Instant(*began_at));
                context
                    .archive()
                    .keep_receipt(&mut batch, access, entity, began_at, receipt)?;
            }
            let progress = Progress {
                done: then.erased,
                total: None,
            };
            Ok((checkpoint(&then, progress)?, batch))
        };
        let turn = self.pace.turn().await;
        let done = context.write_and_keep(&operations, &keep).await?;
        let then = then(&done);
        let bytes = going.iter().map(|going| going.bytes).sum::<u64>();
        context.moved(then.erased - state.erased, bytes as usize);
        *state = then;
        turn.rest(done.len()).await;
        Ok(())
    }
}
