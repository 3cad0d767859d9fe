//! `tenantry key create|list|revoke`.

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use super::setup::keys_of;
use crate::cli::Context;
use crate::cli::args::Key;
use crate::cli::output::plain;

pub fn run(context: &Context, command: &Key) -> Result<()> {
    match command {
        Key::Create {
            tenant,
            name,
            scopes,
            expires_at,
        } => {
            let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
            let mut wish = json!({ "scopes": scopes });
            for (member, value) in [("name", name), ("expires_at", expires_at)] {
                if let Some(value) = value {
                    wish[member] = value.as_str().into();
                }
            }
            let session = context.session("key create")?;
            let made = session.json(Method::POST, &keys_of(tenant), &wish)?;
            session.close()?;
            context.out.result(&made, || plain(&made["key"]))
        }
        Key::List { tenant } => {
            let session = context.session("key list")?;
            let items = session.list(&keys_of(tenant))?;
            session.close()?;
            let columns = [
                "id",
                "name",
                "scopes",
                "created_at",
                "expires_at",
                "last_used_at",
            ];
            context.out.list(items, &columns)
        }
        Key::Revoke { tenant, key } => {
            let session = context.session("key revoke")?;
            session.json(Method::DELETE, &keys_of(tenant).segment(key), &Value::Null)?;
            session.close()?;
            let result = json!({"revoked": key});
            context.out.result(&result, || format!("revoked {key}"))
        }
    }
}
