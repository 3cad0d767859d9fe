//! A backup of the whole store, for the installation.

use std::{sync::Arc, time::Duration};

use super::Made;
use crate::{
    domain::job::run::Progress,
    jobs::context::{Context, Failure},
    service::backups::{Backups, Operation},
};

/// How often the run says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Stops the backup where the run ends before it does.
struct Guard(Arc<Operation>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Makes a backup, and waits for it.
pub async fn run(context: &Context, backups: &Arc<Backups>) -> Result<Made, Failure> {
    let guard = Guard(backups.create_scheduled()?);
    let operation = &guard.0;
    context.say(&format!("backup {} begins", operation.id));
    loop {
        tokio::select! {
            ended = operation.done() => {
                let said = ended.map_err(Failure::new)?;
                context.say(&format!("backup {}: {said}", operation.id));
                return Ok(None);
            }
            () = tokio::time::sleep(TELL_EVERY) => {
                let at = operation.progress();
                let total = (at.keys_expected > 0).then_some(at.keys_expected.max(at.keys));
                let done = at.keys;
                context.claimed().live.set_progress(Progress { done, total });
            }
        }
    }
}
