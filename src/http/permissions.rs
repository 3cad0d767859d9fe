//! What each route demands of its caller: the one table. The middleware holds
//! every request against it before a handler is called; a test walks the OpenAPI
//! document and compares.

use actix_web::http::Method;

use crate::service::{Caller, Code, Error, Result, Scope, unauthenticated};

/// What a route demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Public,
    /// Any known credentials.
    SignedIn,
    /// An operator.
    Operator,
    /// An operator, or a request from the machine itself.
    OperatorOrLoopback,
    /// An operator, or a key of the tenant in the path with this scope.
    Tenant(Scope),
}

use Need::{Operator, OperatorOrLoopback, Public, SignedIn, Tenant};
use Scope::{Admin, Read, Write};

/// Every route. `HEAD` stands where `GET` does.
pub const TABLE: &[(&str, &str, Need)] = &[
    ("GET", "/healthz", Public),
    ("GET", "/readyz", Public),
    ("GET", "/metrics", OperatorOrLoopback),
    ("GET", "/openapi.json", Public),
    ("POST", "/v1/auth/login", Public),
    ("POST", "/v1/auth/logout", SignedIn),
    ("GET", "/v1/auth/me", SignedIn),
    ("GET", "/v1/app", Operator),
    ("PUT", "/v1/app", Operator),
    ("GET", "/v1/app/versions", Operator),
    ("GET", "/v1/app/versions/{version}", Operator),
    ("POST", "/v1/app/rollback", Operator),
    ("GET", "/v1/operators", Operator),
    ("POST", "/v1/operators", Operator),
    ("PATCH", "/v1/operators/{email}", Operator),
    ("DELETE", "/v1/operators/{email}", Operator),
    ("GET", "/v1/tenants", Operator),
    ("POST", "/v1/tenants", Operator),
    ("GET", "/v1/tenants/{tenant}", Tenant(Read)),
    ("PATCH", "/v1/tenants/{tenant}", Tenant(Admin)),
    ("DELETE", "/v1/tenants/{tenant}", Operator),
    ("GET", "/v1/tenants/{tenant}/keys", Tenant(Admin)),
    ("POST", "/v1/tenants/{tenant}/keys", Tenant(Admin)),
    ("DELETE", "/v1/tenants/{tenant}/keys/{key}", Tenant(Admin)),
    ("GET", "/v1/tenants/{tenant}/records/{entity}", Tenant(Read)),
    (
        "POST",
        "/v1/tenants/{tenant}/records/{entity}",
        Tenant(Write),
    ),
    (
        "GET",
        "/v1/tenants/{tenant}/records/{entity}/{id}",
        Tenant(Read),
    ),
    (
        "PUT",
        "/v1/tenants/{tenant}/records/{entity}/{id}",
        Tenant(Write),
    ),
    (
        "PATCH",
        "/v1/tenants/{tenant}/records/{entity}/{id}",
        Tenant(Write),
    ),
    (
        "DELETE",
        "/v1/tenants/{tenant}/records/{entity}/{id}",
        Tenant(Write),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/records/{entity}/{id}/archive",
        Tenant(Write),
    ),
    (
        "POST",
        "/v1/tenants/{tenant}/records/{entity}/{id}/restore",
        Tenant(Write),
    ),
    ("GET", "/v1/tenants/{tenant}/archive", Tenant(Read)),
    ("POST", "/v1/tenants/{tenant}/archive", Operator),
    ("POST", "/v1/tenants/{tenant}/restore", Operator),
    ("GET", "/v1/tenants/{tenant}/archive/plan", Tenant(Read)),
    ("POST", "/v1/tenants/{tenant}/archive/plan", Operator),
    ("GET", "/v1/tenants/{tenant}/archive/receipts", Tenant(Read)),
    ("GET", "/v1/tenants/{tenant}/holds", Tenant(Read)),
    ("POST", "/v1/tenants/{tenant}/holds", Operator),
    ("DELETE", "/v1/tenants/{tenant}/holds/{hold}", Operator),
    ("POST", "/v1/tenants/{tenant}/batch", Tenant(Write)),
    ("POST", "/v1/tenants/{tenant}/import", Tenant(Write)),
    ("GET", "/v1/tenants/{tenant}/export", Tenant(Read)),
    ("POST", "/v1/import", Operator),
    ("GET", "/v1/tenants/{tenant}/reports/{id}/csv", Tenant(Read)),
    ("GET", "/v1/jobs", Operator),
    ("GET", "/v1/jobs/{job}", Operator),
    ("POST", "/v1/jobs/{job}/run", Operator),
    ("POST", "/v1/jobs/{job}/backfill", Operator),
    ("POST", "/v1/jobs/{job}/retry", Operator),
    ("GET", "/v1/tenants/{tenant}/jobs/{job}/secret", Operator),
    ("POST", "/v1/tenants/{tenant}/jobs/{job}/secret", Operator),
    ("GET", "/v1/pauses", Operator),
    ("POST", "/v1/pauses", Operator),
    ("DELETE", "/v1/pauses", Operator),
    ("GET", "/v1/runs", Operator),
    ("GET", "/v1/runs/{run}", Operator),
    ("GET", "/v1/runs/{run}/log", Operator),
    ("POST", "/v1/runs/{run}/cancel", Operator),
    ("POST", "/v1/runs/{run}/retry", Operator),
    ("GET", "/v1/overview", Operator),
    ("GET", "/v1/events", Operator),
    ("GET", "/v1/activity", Operator),
    ("GET", "/v1/config", Operator),
    ("GET", "/v1/tenants/{tenant}/entities", Tenant(Read)),
    ("GET", "/v1/tenants/{tenant}/indexes", Tenant(Read)),
    ("GET", "/v1/backups", Operator),
    ("POST", "/v1/backups", Operator),
    ("GET", "/v1/backups/{id}", Operator),
    ("DELETE", "/v1/backups/{id}", Operator),
    ("POST", "/v1/backups/{id}/verify", Operator),
    ("POST", "/v1/backups/{id}/restore", Operator),
    ("GET", "/v1/store/stats", Operator),
    ("POST", "/v1/store/check", Operator),
];

/// The need of a route; `None` where the pattern has no such method.
pub fn need(method: &Method, pattern: &str) -> Option<Need> {
    let method = match *method {
        Method::HEAD => "GET",
        _ => method.as_str(),
    };
    TABLE
        .iter()
        .find(|(m, p, _)| *m == method && *p == pattern)
        .map(|(_, _, need)| *need)
}

/// The methods of a route's pattern, as `Allow` lists them.
pub fn methods(pattern: &str) -> String {
    let mut methods = Vec::new();
    for (method, _, _) in TABLE.iter().filter(|(_, p, _)| *p == pattern) {
        methods.push(*method);
        if *method == "GET" {
            methods.push("HEAD");
        }
    }
    methods.join(", ")
}

/// Fails unless `caller` meets `need`, for the tenant in the path where there is
/// one and for a request that comes from the machine itself where `loopback`.
pub fn check(need: Need, caller: &Caller, tenant: Option<&str>, loopback: bool) -> Result<()> {
    match need {
        Public => Ok(()),
        OperatorOrLoopback if loopback => Ok(()),
        SignedIn if *caller == Caller::Anonymous => Err(unauthenticated()),
        SignedIn => Ok(()),
        // Another tenant's anything is not there, whatever it takes to do it.
        Operator if foreign(caller, tenant) => Err(Error::not_found("such tenant")),
        Operator | OperatorOrLoopback => caller.require_operator(),
        Tenant(scope) => match tenant {
            Some(tenant) => caller.require_scope(tenant, scope),
            None => Err(Error::new(
                Code::Internal,
                "a tenant's route names no tenant",
            )),
        },
    }
}

fn foreign(caller: &Caller, tenant: Option<&str>) -> bool {
    match (caller, tenant) {
        (Caller::Key { tenant: own, .. }, Some(tenant)) => own.as_str() != tenant,
        _ => false,
    }
}
