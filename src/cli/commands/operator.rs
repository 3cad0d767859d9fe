//! `tenantry operator add|list|passwd|remove`.

use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli::args::{Operator, Person};
use crate::cli::client::Target;
use crate::cli::{Context, password};

pub fn run(context: &Context, command: &Operator) -> Result<()> {
    let all = Target::new("/v1/operators");
    match command {
        Operator::Add(person) => with_password(context, "operator add", person, |text| {
            let body = json!({"email": person.email, "password": text});
            (Method::POST, all.clone(), body)
        }),
        Operator::Passwd(person) => with_password(context, "operator passwd", person, |text| {
            let target = all.clone().segment(&person.email);
            (Method::PATCH, target, json!({ "password": text }))
        }),
        Operator::List => {
            let session = context.session("operator list")?;
            let items = session.list(&all)?;
            session.close()?;
            context.out.list(items, &["email", "created_at"])
        }
        Operator::Remove { email } => {
            let session = context.session("operator remove")?;
            session.json(Method::DELETE, &all.segment(email), &Value::Null)?;
            session.close()?;
            let result = json!({"removed": email});
            context.out.result(&result, || format!("removed {email}"))
        }
    }
}

/// Asks for the password before the store is held, so that nobody waits for a person.
fn with_password(
    context: &Context,
    name: &str,
    person: &Person,
    request: impl FnOnce(&str) -> (Method, Target, Value),
) -> Result<()> {
    let password = password::obtain(person.password_stdin, true, &person.email)?;
    let session = context.session(name)?;
    let (method, target, body) = request(&password.text);
    session.json(method, &target, &body)?;
    session.close()?;
    let shown = password.made.then_some(&password.text);
    let result = json!({"email": person.email, "password": shown});
    context.out.result(&result, || match shown {
        Some(text) => format!("operator  {}\npassword  {text}", person.email),
        None => format!("operator  {}", person.email),
    })
}
