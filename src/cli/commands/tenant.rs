//! `tenantry tenant create|list|show|set`.

use anyhow::Result;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::setup::make_key;
use crate::cli::args::Tenant;
use crate::cli::client::Target;
use crate::cli::output::{members, plain};
use crate::cli::{Context, WrongUse};

pub fn run(context: &Context, command: &Tenant) -> Result<()> {
    let all = Target::new("/v1/tenants");
    match command {
        Tenant::Create { tenant, key, .. } => {
            let wish = wish(command)?;
            let session = context.session("tenant create")?;
            let made = session.json(Method::POST, &all, &wish)?;
            let mut result = json!({ "tenant": made });
            if *key {
                result["key"] = make_key(&session, tenant, &json!({}))?.into();
            }
            session.close()?;
            context
                .out
                .result(&result, || match result["key"].as_str() {
                    // Alone, so that a script can take it as it is.
                    Some(key) => key.to_owned(),
                    None => format!("made tenant {}", plain(&result["tenant"]["id"])),
                })
        }
        Tenant::List => {
            let session = context.session("tenant list")?;
            let items = session.list(&all)?;
            session.close()?;
            let columns = ["id", "name", "timezone", "locale", "created_at"];
            context.out.list(items, &columns)
        }
        Tenant::Show { tenant } => {
            let session = context.session("tenant show")?;
            let shown = session.get(&all.segment(tenant))?;
            session.close()?;
            context.out.result(&shown, || members(&shown))
        }
        Tenant::Set { tenant, changes } => {
            let change = change(changes)?;
            let session = context.session("tenant set")?;
            let shown = session.json(Method::PATCH, &all.segment(tenant), &change)?;
            session.close()?;
            context.out.result(&shown, || members(&shown))
        }
    }
}

fn wish(command: &Tenant) -> Result<Value> {
    let Tenant::Create {
        tenant,
        name,
        timezone,
        locale,
        meta,
        ..
    } = command
    else {
        return Ok(Value::Null);
    };
    let mut wish = json!({ "id": tenant });
    for (key, value) in [("name", name), ("timezone", timezone), ("locale", locale)] {
        if let Some(value) = value {
            wish[key] = value.as_str().into();
        }
    }
    let mut notes = Map::new();
    for pair in meta {
        let (key, value) = split(pair)?;
        notes.insert(key.to_owned(), value.into());
    }
    if !notes.is_empty() {
        wish["meta"] = notes.into();
    }
    Ok(wish)
}

/// `name=Acme meta.tier=` as the body of a PATCH.
fn change(changes: &[String]) -> Result<Value> {
    let (mut change, mut notes) = (Map::new(), Map::new());
    for pair in changes {
        let (field, value) = split(pair)?;
        match (field, field.strip_prefix("meta.")) {
            (_, Some(key)) if value.is_empty() => notes.insert(key.to_owned(), Value::Null),
            (_, Some(key)) => notes.insert(key.to_owned(), value.into()),
            (field, None) if field.starts_with("archive.") => {
                own_term(&mut change, field, value)?;
                None
            }
            ("name" | "timezone" | "locale", None) => change.insert(field.to_owned(), value.into()),
            ("weight", None) => {
                let weight: u32 = value
                    .parse()
                    .map_err(|_| WrongUse(format!("weight={value}: expected a whole number")))?;
                change.insert(field.to_owned(), weight.into())
            }
            _ => {
                let text = format!(
                    "unknown field {field:?}: expected name=, timezone=, locale=, weight=, meta.KEY=, archive.ENTITY.after= or archive.ENTITY.purge_after="
                );
                return Err(WrongUse(text).into());
            }
        };
    }
    if !notes.is_empty() {
        change.insert("meta".to_owned(), notes.into());
    }
    Ok(change.into())
}

/// `archive.incident.after=30d`; nothing behind the = goes back to what is declared.
fn own_term(change: &mut Map<String, Value>, field: &str, value: &str) -> Result<()> {
    let mut parts = field.split('.').skip(1);
    let (Some(entity), Some(term), None) = (parts.next(), parts.next(), parts.next()) else {
        let text = format!("{field}: expected archive.ENTITY.after or archive.ENTITY.purge_after");
        return Err(WrongUse(text).into());
    };
    let value = match value {
        "" => Value::Null,
        value => value.into(),
    };
    let own = change.entry("archive").or_insert_with(|| json!({}));
    own[entity][term] = value;
    Ok(())
}

fn split(pair: &str) -> Result<(&str, &str)> {
    let wrong = || WrongUse(format!("expected FIELD=VALUE, found {pair:?}"));
    Ok(pair.split_once('=').ok_or_else(wrong)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn changes_become_a_patch() {
        let pairs = ["name=A=B", "meta.tier=gold", "meta.old="].map(str::to_owned);
        assert_eq!(
            change(&pairs).unwrap(),
            json!({"name": "A=B", "meta": {"tier": "gold", "old": null}})
        );
        let pairs = ["archive.ticket.after=30d", "archive.ticket.purge_after="].map(str::to_owned);
        assert_eq!(
            change(&pairs).unwrap(),
            json!({"archive": {"ticket": {"after": "30d", "purge_after": null}}})
        );
        for wrong in ["name", "id=x", "meta=x", "archive.ticket=x"] {
            let error = change(&[wrong.to_owned()]).unwrap_err();
            assert!(error.is::<WrongUse>(), "{wrong}");
        }
    }
}
