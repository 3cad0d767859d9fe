//! The queue as the dispatcher reads it: for each owner and job the first runs that
//! wait, however many there are behind them.

use std::collections::{BTreeMap, HashMap};

use super::Runs;
use crate::{
    base::Instant,
    domain::{
        job::{RunId, run::Owner},
        names::JobName,
    },
    service::Result,
    store::{Key, Scan, Tree, engine::prefix_end, keys::jobs},
};

/// Runs of one job and owner that are looked at.
pub const WINDOW: usize = 8;
/// Rows read at once.
const ROWS: usize = 512;

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The run.
    pub id: RunId,
    /// Not before.
    pub ready_at: Instant,
}

/// What waits for an owner, by job, the earliest first.
pub type OwnersQueue = BTreeMap<JobName, Vec<Waiting>>;

impl Runs {
    /// What waits for one owner.
    pub async fn queue_of(&self, owner: &Owner) -> Result<OwnersQueue> {
        let rows = 8 * WINDOW;
        let mut queues = self.read_queue(&jobs::queue_of(owner), rows).await?;
        Ok(queues.remove(owner).unwrap_or_default())
    }

    /// What waits for everybody.
    pub async fn queue(&self) -> Result<BTreeMap<Owner, OwnersQueue>> {
        let all = Key::from_static(jobs::QUEUE.as_bytes());
        self.read_queue(&all, ROWS).await
    }

    /// The weights of those owners that have one other than 1.
    pub async fn weights(
        &self,
        owners: impl Iterator<Item = &Owner>,
    ) -> Result<HashMap<Owner, u32>> {
        let mut weights = HashMap::new();
        for owner in owners {
            if let Some(slug) = owner.tenant()
                && let Some(tenant) = super::sync::tenant(&self.core, &slug).await?
                && tenant.weight != 1
            {
                weights.insert(owner.clone(), tenant.weight);
            }
        }
        Ok(weights)
    }

    /// The first rows of each owner and job under a prefix. What lies behind them is
    /// jumped over.
    async fn read_queue(&self, prefix: &Key, rows: usize) -> Result<BTreeMap<Owner, OwnersQueue>> {
        let mut queues: BTreeMap<Owner, OwnersQueue> = BTreeMap::new();
        let mut scan = Scan::prefix(Tree::Hot, prefix.clone());
        scan.limit = rows;
        scan.values = false;
        loop {
            let page = self.core.engine.scan(&scan).await?;
            let mut jump = None;
            for (key, _) in &page.rows {
                let Some((id, ready_at)) = jobs::read_queued(key) else {
                    continue;
                };
                let queue = queues.entry(id.owner.clone()).or_default();
                let window = queue.entry(id.job.clone()).or_default();
                if window.len() < WINDOW {
                    window.push(Waiting { id, ready_at });
                } else {
                    jump = prefix_end(&jobs::queue_of_job(&id.owner, &id.job));
                }
            }
            let Some(next) = page.next else {
                return Ok(queues);
            };
            match jump.filter(|to| *to > next) {
                Some(to) => (scan.start, scan.after) = (to, None),
                None => scan.after = Some(next),
            }
            if scan.end.as_ref().is_some_and(|end| scan.start >= *end) {
                return Ok(queues);
            }
        }
    }
}
