//! `tenantry app show|history|rollback`.

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use super::apply;
use crate::cli::Context;
use crate::cli::args::App;
use crate::cli::client::Target;
use crate::cli::output::plain;

pub fn run(context: &Context, app: &App) -> Result<()> {
    let session = context.session("app")?;
    match app {
        App::Show => {
            let shown = session.get(&Target::new("/v1/app"))?;
            session.close()?;
            context.out.result(&shown, || plain(&shown["source"]))
        }
        App::History => {
            let versions = session.list(&Target::new("/v1/app/versions"))?;
            session.close()?;
            context
                .out
                .list(versions, &["version", "applied_at", "applied_by"])
        }
        App::Rollback { version } => {
            let target = Target::new("/v1/app/rollback");
            let body: Value = json!({"version": version});
            let applied = session.json(Method::POST, &target, &body)?;
            apply::finish(context, session, applied, false, false)
        }
    }
}
