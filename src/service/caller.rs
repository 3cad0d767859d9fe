//! Who asks, and what a caller may reach.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Code, Error, Result};
use crate::{domain::TenantSlug, store::keys::TenantKeys};

/// What an API key may do within its tenant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads records.
    Read,
    /// Writes records, archives and restores them.
    Write,
    /// The tenant's own keys and settings.
    Admin,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody that we know.
    Anonymous,
    /// An operator who signed in.
    Operator {
        /// The operator's email address.
        email: Arc<str>,
    },
    /// A command on the machine, through the socket that only the owner can open.
    Local,
    /// A tenant's API key.
    Key {
        /// Whose it is.
        tenant: TenantSlug,
        /// The key's id (not its secret).
        id: Arc<str>,
        /// What it may do.
        scopes: Arc<[Scope]>,
    },
}

impl Caller {
    /// Whether this is an operator, signed in or local.
    pub fn is_operator(&self) -> bool {
        matches!(self, Caller::Operator { .. } | Caller::Local)
    }

    /// A name for logs and for the scope of idempotency keys.
    pub fn credential(&self) -> String {
        match self {
            Caller::Anonymous => "anonymous".into(),
            Caller::Operator { email } => format!("operator:{email}"),
            Caller::Local => "local".into(),
            Caller::Key { id, .. } => format!("key:{id}"),
        }
    }

    /// Fails unless this is an operator.
    pub fn require_operator(&self) -> Result<()> {
        match self {
            Caller::Operator { .. } | Caller::Local => Ok(()),
            Caller::Anonymous => Err(unauthenticated()),
            Caller::Key { .. } => Err(Error::new(
                Code::OperatorOnly,
                "Only operators may do this; sign in as one at POST /v1/auth/login.",
            )),
        }
    }

    /// Whether the caller may act on `tenant` with `scope`. Another tenant's
    /// anything is not found, so that existence does not leak.
    pub fn require_scope(&self, tenant: &str, scope: Scope) -> Result<()> {
        match self {
            Caller::Operator { .. } | Caller::Local => Ok(()),
            Caller::Anonymous => Err(unauthenticated()),
            Caller::Key { tenant: own, .. } if own.as_str() != tenant => {
                Err(Error::not_found(format!("tenant {tenant:?}")))
            }
            Caller::Key { scopes, .. } if scopes.contains(&scope) => Ok(()),
            Caller::Key { .. } => Err(Error::new(
                Code::InsufficientScope,
                format!(
                    "This API key lacks the scope {:?}.",
                    format!("{scope:?}").to_lowercase()
                ),
            )
            .with("scope", scope)),
        }
    }
}

/// The problem of a request without known credentials.
pub fn unauthenticated() -> Error {
    Error::new(
        Code::Unauthenticated,
        "Send an API key or a session token as `Authorization: Bearer ...`.",
    )
}

/// Access to one tenant's data, made by `Tenants::access` after the caller was
/// checked and the tenant found. Whoever holds one can name this tenant's keys
/// and no other's.
#[derive(Debug, Clone)]
pub struct TenantAccess {
    pub(super) keys: TenantKeys,
    pub(super) caller: Caller,
}

impl TenantAccess {
    /// The tenant's slug.
    pub fn tenant(&self) -> &str {
        self.keys.slug()
    }
}
