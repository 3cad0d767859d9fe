//! Tenants, their keys, the operators.

use clap::{Args, Subcommand, ValueEnum};

/// `tenantry tenant`
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// Make a tenant
    Create {
        /// Its slug: lower case letters, digits and hyphens
        tenant: String,
        /// Its name [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// Its time zone, such as Europe/Vienna
        #[arg(long)]
        timezone: Option<String>,
        /// Its language and region, such as de-AT
        #[arg(long)]
        locale: Option<String>,
        /// A note of yours; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        meta: Vec<String>,
        /// Make an API key too and print it
        #[arg(long)]
        key: bool,
    },
    /// List all tenants
    List,
    /// Show a tenant
    Show {
        /// Its slug
        tenant: String,
    },
    /// Change a tenant: name=, timezone=, locale=, weight=, meta.KEY= (nothing after meta.KEY= removes it)
    Set {
        /// Its slug
        tenant: String,
        /// What to change
        #[arg(required = true, value_name = "FIELD=VALUE")]
        changes: Vec<String>,
    },
}

/// `tenantry key`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make an API key; it is shown this once
    Create {
        /// Whose it is
        tenant: String,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// What it may do
        #[arg(long, value_delimiter = ',', default_values_t = [Scope::Read, Scope::Write])]
        scopes: Vec<Scope>,
        /// When it ends, RFC 3339 [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List a tenant's API keys
    List {
        /// Whose they are
        tenant: String,
    },
    /// Revoke an API key, at once
    Revoke {
        /// Whose it is
        tenant: String,
        /// The key's id, as list shows it
        key: String,
    },
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Scope {
    /// Read records
    Read,
    /// Write, archive and restore records
    Write,
    /// The tenant's own keys and settings
    Admin,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// `tenantry operator`
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Add an operator
    Add(Person),
    /// List the operators
    List,
    /// Set an operator's password
    Passwd(Person),
    /// Remove an operator and end their sessions
    Remove {
        /// The email address
        email: String,
    },
}

/// An operator and where the password comes from.
#[derive(Debug, Args)]
#[command(
    after_help = "The password is asked for on a terminal. Without one, and without \
    --password-stdin, it is made and shown once."
)]
pub struct Person {
    /// The email address
    pub email: String,
    /// Read the password from standard input's first line
    #[arg(long)]
    pub password_stdin: bool,
}
