//! What a new installation begins with, for `init` and the demo: an app, a first
//! tenant with an API key, an operator.

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli::client::{ApiError, Client, Target};

/// The tenant that every installation begins with.
pub const FIRST_TENANT: &str = "demo";

/// Applies the app, makes the tenant with a key, and the operator last: an
/// operator is the sign that an installation is complete, so that an `init` which
/// failed half-way can be repeated. Answers the key.
pub fn set_up(client: &Client, app: String, email: &str, password: &str) -> Result<String> {
    let target = Target::new("/v1/app");
    client.send(Method::PUT, &target, "text/toml", Bytes::from(app))?;
    let tenant = json!({"id": FIRST_TENANT, "name": "Demo"});
    match client.json(Method::POST, &Target::new("/v1/tenants"), &tenant) {
        Err(error) if !has_code(&error, "already_exists") => return Err(error),
        _ => {}
    }
    let key = make_key(client, FIRST_TENANT, &json!({"name": "first"}))?;
    let operator = json!({"email": email, "password": password});
    client.json(Method::POST, &Target::new("/v1/operators"), &operator)?;
    Ok(key)
}

/// Makes an API key and answers its secret.
pub fn make_key(client: &Client, tenant: &str, wish: &Value) -> Result<String> {
    let made = client.json(Method::POST, &keys_of(tenant), wish)?;
    match made["key"].as_str() {
        Some(key) => Ok(key.to_owned()),
        None => bail!("the server's answer holds no key"),
    }
}

/// Where a tenant's keys are.
pub fn keys_of(tenant: &str) -> Target {
    Target::new("/v1/tenants").segment(tenant).segment("keys")
}

/// Whether the server refused with this code.
pub fn has_code(error: &anyhow::Error, code: &str) -> bool {
    let api = error.downcast_ref::<ApiError>();
    api.is_some_and(|api| api.code() == code)
}
