//! `kind = "purge"`: erases archived records whose time is over, with what goes along
//! with them, and keeps receipts.

use serde::{Deserialize, Serialize};

use super::{Made, moving::Pace};
use crate::{
    base::Instant,
    domain::{
        Entity, EntityName, RecordId, archive::ArchiveRule, duration, job::kind::archive::Params,
        job::run::Progress,
    },
    jobs::context::{Context, Failure, checkpoint},
    service::{
        archive::{A_COMMIT, Receipt, Way, archive_end},
        records::{Action, Operation, Outcome, OutcomeKind},
    },
    store::{Batch, Tree},
};

/// How far a run has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct State {
    /// The entity that is worked on.
    entity: Option<String>,
    /// The last row that is done.
    after: Option<Vec<u8>>,
    /// What was erased, and since when.
    receipts: Vec<(i64, Receipt)>,
    /// Records erased, of all entities.
    erased: u64,
    /// Records that a legal hold keeps.
    held: u64,
}

impl State {
    /// The receipt that records of an entity go on; its number among all of them.
    fn receipt(&mut self, new: Receipt, now: Instant) -> usize {
        let same = |r: &Receipt| r.entity == new.entity && r.along_with == new.along_with;
        let found = self.receipts.iter().position(|(_, receipt)| same(receipt));
        found.unwrap_or_else(|| {
            // They are kept by this moment, so no two of a run have the same.
            let last = self
                .receipts
                .iter()
                .map(|(began_at, _)| *began_at + 1)
                .max();
            let began_at = now.0.max(last.unwrap_or(now.0));
            self.receipts.push((began_at, new));
            self.receipts.len() - 1
        })
    }
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
            state.entity = Some(name.to_owned());
            state.after = None;
        }
        let archive = context.archive();
        if archive
            .purge_after_ms(access, &entity.name)
            .await?
            .is_none()
        {
            continue;
        }
        if archive.is_held(access, &entity.name, None).await? {
            context.say(&format!("{name}: under a legal hold; nothing is erased"));
            continue;
        }
        if !archive.is_ready(&entity).await? {
            context.say(&format!(
                "{name}: an index that finds what is due, or what goes along, is being built"
            ));
            continue;
        }
        let purge = Purge {
            context,
            pace: &pace,
            entity: &entity,
            rule,
        };
        purge.all(&mut state).await?;
    }
    for (_, receipt) in &state.receipts {
        let along = receipt.along_with.as_ref();
        let along = along.map(|with| format!(" that went along with {with}"));
        context.say(&format!(
            "{}: erased {} records{} of {} bytes from {} to {}; digest {}",
            receipt.entity,
            receipt.records,
            along.unwrap_or_default(),
            receipt.bytes,
            receipt.oldest,
            receipt.newest,
            receipt.digest
        ));
    }
    context.archive().forget_dictionaries(access).await?;
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
}

/// What goes in one commit.
struct Due {
    /// The time of what goes by its own rule is before this.
    end: Instant,
    /// The rule's duration, as people write it.
    purge_after: String,
    going: Vec<Going>,
}

impl Purge<'_> {
    /// Erases what is due of the entity.
    async fn all(&self, state: &mut State) -> Result<(), Failure> {
        let (context, access) = (self.context, self.context.tenant()?);
        let archive = context.archive();
        loop {
            // Whoever makes the time longer while a run works keeps what is left.
            let purge_ms = archive.purge_after_ms(access, &self.entity.name).await?;
            let Some(purge_ms) = purge_ms else {
                return Ok(());
            };
            let end = archive_end(purge_ms, context.runs().now());
            let after = state.after.as_deref();
            let page = archive
                .due(
                    access,
                    self.entity,
                    Tree::Archive,
                    (false, end),
                    after,
                    A_COMMIT,
                )
                .await?;
            let mut due = Due {
                end,
                purge_after: duration::format(purge_ms),
                going: Vec::new(),
            };
            for (id, at) in page.records {
                if self.is_held(&id).await? {
                    state.held += 1;
                    continue;
                }
                self.erase_children((&id, at), &due, state).await?;
                due.going.push(self.going(&self.entity.name, id, at).await?);
            }
            state.after.clone_from(&page.next);
            self.erase((&self.entity.name, None), due, state).await?;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }

    async fn going(
        &self,
        entity: &EntityName,
        id: RecordId,
        at: Instant,
    ) -> Result<Going, Failure> {
        let (archive, access) = (self.context.archive(), self.context.tenant()?);
        let bytes = archive.stored_bytes(access, entity, &id).await?;
        Ok(Going { id, at, bytes })
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
            for tier in Tree::ALL {
                let mut after = None;
                loop {
                    let (ids, next) = archive.children(access, child, id, tier, after).await?;
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
        }
        Ok(false)
    }

    /// Children go first: their parent finds those that are left. Those that were written
    /// when it was archived already are archived before they go.
    async fn erase_children(
        &self,
        (parent, at): (&RecordId, Instant),
        due: &Due,
        state: &mut State,
    ) -> Result<(), Failure> {
        let (context, access) = (self.context, self.context.tenant()?);
        let archive = context.archive();
        for child in &self.rule.with {
            let mut after = None;
            loop {
                let turn = self.pace.turn().await;
                let page = archive.move_page(access, child, parent, Way::Archive, after);
                let (late, next) = page.await?;
                if late > 0 {
                    turn.rest(late).await;
                }
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            let mut after = None;
            loop {
                let page = archive.children(access, child, parent, Tree::Archive, after);
                let (ids, next) = page.await?;
                let mut due = Due {
                    end: due.end,
                    purge_after: due.purge_after.clone(),
                    going: Vec::new(),
                };
                for id in ids {
                    due.going.push(self.going(&child.entity, id, at).await?);
                }
                self.erase((&child.entity, Some(parent)), due, state)
                    .await?;
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Erases records, with the receipt in the same commit: those of `entity`, which are
    /// due or go along with a record that is.
    async fn erase(
        &self,
        (entity, along): (&EntityName, Option<&RecordId>),
        due: Due,
        state: &mut State,
    ) -> Result<(), Failure> {
        if due.going.is_empty() {
            return Ok(());
        }
        let (context, access) = (self.context, self.context.tenant()?);
        let now = context.runs().now();
        let operation = |going: &Going| {
            let action = Action::Purge {
                id: going.id.to_string(),
                before: along.is_none().then_some(due.end),
                along: along.map(|id| (self.entity.name.clone(), id.clone())),
            };
            Operation::of(entity.as_str(), action)
        };
        let operations: Vec<Operation> = due.going.iter().map(operation).collect();
        let base = state.clone();
        let then = |outcomes: &[Outcome]| {
            let mut then = base.clone();
            let gone = due.going.iter().zip(outcomes);
            let gone = gone.filter(|(_, outcome)| outcome.kind == OutcomeKind::Purged);
            let gone: Vec<&Going> = gone.map(|(going, _)| going).collect();
            if gone.is_empty() {
                return (then, None);
            }
            then.erased += gone.len() as u64;
            let run = context.claimed().run.id.to_string();
            let with = along.map(|_| &self.entity.name);
            let new = Receipt::new(run, entity, with, due.purge_after.clone(), now);
            let number = then.receipt(new, now);
            let records: Vec<_> = gone.iter().map(|gone| (&gone.id, gone.at)).collect();
            let bytes = gone.iter().map(|gone| gone.bytes).sum();
            then.receipts[number].1.add(&records, bytes, now);
            (then, Some(number))
        };
        let keep = |outcomes: &[Outcome]| {
            let (then, number) = then(outcomes);
            let mut batch = Batch::default();
            if let Some((began_at, receipt)) = number.and_then(|n| then.receipts.get(n)) {
                let began_at = Instant(*began_at);
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
        let (then, _) = then(&done);
        let bytes = due.going.iter().map(|going| going.bytes).sum::<u64>();
        context.moved(then.erased - state.erased, bytes as usize);
        *state = then;
        turn.rest(done.len()).await;
        Ok(())
    }
}
