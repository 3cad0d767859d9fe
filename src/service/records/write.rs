//! One write, tried until it is committed or refused for good.
//!
//! Every try reads what it changes and commits with the expectation that it is
//! still so. A write that lost a race is planned again, behind the others that
//! lost the same one, so that contention slows writers down and fails none.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::{
    Action, Idempotency, Operation, Outcome, Records, Reply,
    idempotency::{self, Known, Place},
    stage::{Meaning, Staged, Stager},
    targets::{self, Target},
};
use crate::{
    domain::{EntityName, app_file::is_built_in},
    service::{Code, Error, Result, TenantAccess},
    store::{Batch, StoreError},
};

/// Places where writes that lost a race wait.
pub(super) const TURNS: usize = 64;
/// Tries of one write; each one lost means that others were committed.
const TRIES_MAX: usize = 200;

/// Makes the answer from what was done.
pub type MakeReply<'a> = &'a (dyn Fn(&[Outcome]) -> Reply + Send + Sync);

/// Makes what is committed together with what was done.
pub type With<'a> = &'a (dyn Fn(&[Outcome]) -> Result<Batch> + Send + Sync);

/// Where a try ended.
enum Tried {
    Done(Vec<Outcome>, Option<Reply>),
    Answered(Reply),
    /// Lost for the key with this hash.
    Lost(u64),
    /// What it was to be committed with does not hold.
    Refused,
}

impl Records {
    /// Carries out operations, all or none, and remembers the answer under an
    /// `Idempotency-Key`. The flag tells that the answer is a remembered one. The
    /// error of an operation that fails has the member `operation`, its number
    /// from 0.
    pub async fn write(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
        idempotency: Option<Idempotency>,
        reply: MakeReply<'_>,
    ) -> Result<(Reply, bool)> {
        let remember = idempotency.as_ref().map(|request| (request, reply));
        refuse_built_in(operations)?;
        match self.settle(access, operations, remember, None).await? {
            Tried::Answered(reply) => Ok((reply, true)),
            Tried::Done(_, Some(made)) => Ok((made, false)),
            Tried::Done(outcomes, None) => Ok((reply(&outcomes), false)),
            Tried::Lost(_) | Tried::Refused => Err(contended()),
        }
    }

    /// As [`Records::write`] for a single operation: its error names no number.
    pub async fn write_one(
        &self,
        access: &TenantAccess,
        operation: Operation,
        idempotency: Option<Idempotency>,
        reply: MakeReply<'_>,
    ) -> Result<(Reply, bool)> {
        let written = self.write(access, &[operation], idempotency, reply).await;
        written.map_err(|mut error| {
            error.members.remove("operation");
            error
        })
    }

    /// As [`Records::write`], with what was done as the answer.
    pub async fn apply(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
    ) -> Result<Vec<Outcome>> {
        refuse_built_in(operations)?;
        match self.settle(access, operations, None, None).await? {
            Tried::Done(outcomes, _) => Ok(outcomes),
            Tried::Answered(_) | Tried::Lost(_) | Tried::Refused => Err(contended()),
        }
    }

    /// As [`Records::apply`], in one commit with what `with` makes of the outcomes, whose
    /// expectations have to hold; `None` where one does not. For jobs, which may write built-in entities.
    pub async fn apply_with(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
        with: With<'_>,
    ) -> Result<Option<Vec<Outcome>>> {
        match self.settle(access, operations, None, Some(with)).await? {
            Tried::Done(outcomes, _) => Ok(Some(outcomes)),
            Tried::Refused => Ok(None),
            Tried::Answered(_) | Tried::Lost(_) => Err(contended()),
        }
    }

    async fn settle(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
        remember: Option<(&Idempotency, MakeReply<'_>)>,
        with: Option<With<'_>>,
    ) -> Result<Tried> {
        let targets = targets::settle(&self.core, operations)?;
        let mut lost = match self
            .attempt(access, operations, &targets, remember, with)
            .await?
        {
            Tried::Lost(hash) => hash,
            ended => return Ok(ended),
        };
        let mut waited_for = lost;
        let mut turn = Some(self.turn(lost).lock().await);
        for _ in 1..TRIES_MAX {
            if lost != waited_for {
                // Never two turns at once: two writes could wait for each other.
                drop(turn.take());
                turn = Some(self.turn(lost).lock().await);
                waited_for = lost;
            }
            match self
                .attempt(access, operations, &targets, remember, with)
                .await?
            {
                Tried::Lost(hash) => lost = hash,
                ended => return Ok(ended),
            }
        }
        Ok(Tried::Lost(lost))
    }

    fn turn(&self, hash: u64) -> &tokio::sync::Mutex<()> {
        &self.turns[hash as usize % TURNS]
    }

    async fn attempt(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
        targets: &[Target],
        remember: Option<(&Idempotency, MakeReply<'_>)>,
        with: Option<With<'_>>,
    ) -> Result<Tried> {
        let place = match remember {
            Some((request, _)) => match idempotency::look_up(&self.core, access, request).await? {
                Known::Answered(reply) => return Ok(Tried::Answered(reply)),
                Known::Nothing(place) => Some(place),
                Known::Gone => return Ok(Tried::Lost(0)),
            },
            None => None,
        };
        let state = self.apps.current();
        let mut stager = Stager::new(&self.core, access, &state);
        for (number, (operation, target)) in operations.iter().zip(targets).enumerate() {
            let added = stager.add(operation, target).await;
            added.map_err(|error| error.with("operation", number))?;
        }
        let (mut staged, refusal) = stager.finish().await?;
        if let Some(refusal) = refusal {
            return self.refuse(staged, refusal).await;
        }
        let reply = self.remember(&mut staged, remember, place)?;
        if let Some(with) = with {
            let Batch {
                expectations,
                writes,
            } = with(&staged.outcomes)?;
            let fences = expectations.iter().map(|_| Meaning::Fence);
            staged.meanings.extend(fences);
            staged.batch.expectations.extend(expectations);
            staged.batch.writes.extend(writes);
        }
        self.commit(staged, reply).await
    }

    /// Adds the answer to the batch where it is to be remembered.
    fn remember(
        &self,
        staged: &mut Staged,
        remember: Option<(&Idempotency, MakeReply<'_>)>,
        place: Option<Place>,
    ) -> Result<Option<Reply>> {
        let (Some((request, make)), Some(place)) = (remember, place) else {
            return Ok(None);
        };
        let reply = make(&staged.outcomes);
        place.remember(&self.core, &mut staged.batch, request, &reply)?;
        staged.meanings.push(Meaning::Raced);
        Ok(Some(reply))
    }

    /// Refuses for what several reads found, if all of it was so at one moment: a value
    /// that goes from one record to another may be seen at both, or at neither.
    async fn refuse(&self, mut staged: Staged, refusal: Error) -> Result<Tried> {
        staged.batch.writes.clear();
        staged.outcomes.clear();
        match self.commit(staged, None).await? {
            Tried::Done(..) => Err(refusal),
            lost => Ok(lost),
        }
    }

    async fn commit(&self, staged: Staged, reply: Option<Reply>) -> Result<Tried> {
        let Staged {
            batch,
            meanings,
            outcomes,
        } = staged;
        // Also where nothing is written: what is told is then on the disk, and still so.
        let keys: Vec<_> = batch.expectations.iter().map(|e| e.key.clone()).collect();
        match self.core.engine.commit(batch).await {
            Ok(()) => {
                self.moved.count(&outcomes);
                Ok(Tried::Done(outcomes, reply))
            }
            Err(StoreError::Conflict { index, .. }) => {
                let raced_for =
                    BuildHasherDefault::<DefaultHasher>::default().hash_one(keys.get(index));
                match meanings.get(index) {
                    Some(Meaning::Tenant) => Err(Error::not_found("such tenant any more")),
                    Some(Meaning::Fence) => Ok(Tried::Refused),
                    Some(Meaning::App) => {
                        self.apps.refresh().await?;
                        Ok(Tried::Lost(raced_for))
                    }
                    _ => Ok(Tried::Lost(raced_for)),
                }
            }
            Err(other) => Err(other.into()),
        }
    }
}

/// Records of built-in entities are made by jobs; deleting them is everybody's.
fn refuse_built_in(operations: &[Operation]) -> Result<()> {
    let ours = |name: &str| EntityName::parse(name).is_ok_and(|name| is_built_in(&name));
    let refused = operations.iter().find(|operation| {
        matches!(
            operation.action,
            Action::Create { .. } | Action::Put { .. } | Action::Patch { .. }
        ) && ours(&operation.entity)
    });
    match refused {
        Some(operation) => Err(Error::new(
            Code::InvalidRecord,
            format!(
                "Records of the built-in entity {} are made by jobs; they can be read and deleted.",
                operation.entity
            ),
        )),
        None => Ok(()),
    }
}

fn contended() -> Error {
    Error::new(
        Code::Unavailable,
        format!("Others changed the same records {TRIES_MAX} times meanwhile; try again."),
    )
    .retry_after(1)
}
