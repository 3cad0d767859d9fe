//! The kinds of jobs: one file each, and one line in [`run`]. Their parameters are
//! read in `domain/job/kind.rs`.

mod archive;
mod backup;
mod moving;
mod purge;
mod report;
#[cfg(test)]
mod testing;
pub mod webhook;

use super::{
    attempt::Workshop,
    context::{Context, Failure},
};
use crate::domain::job::Kind;

/// Entity and id of the record that a run made.
pub type Made = Option<(String, String)>;

/// Does the work of a run's kind.
pub async fn run(context: &Context, workshop: &Workshop) -> Result<Made, Failure> {
    match &context.claimed().job.kind {
        Kind::Report(params) => report::run(context, &workshop.network, params).await,
        Kind::Webhook(params) => webhook::run(context, &workshop.network, params).await,
        Kind::Archive(params) => archive::run(context, params).await,
        Kind::Restore => archive::restore(context).await,
        Kind::Purge(params) => purge::run(context, params).await,
        Kind::Backup => backup::run(context, &workshop.backups).await,
        #[cfg(test)]
        Kind::Testing(does) => testing::run(context, does).await,
    }
}
