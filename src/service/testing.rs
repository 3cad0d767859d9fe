//! What the tests of the services about callers work on: the services over a
//! store in memory, with a clock that moves only when told to.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::sync::Arc;

use super::{
    Caller, Core, Scope, TenantAccess,
    auth::Auth,
    keys::{KeyCache, Keys, NewKey},
    operators::Operators,
    passwords::Passwords,
    tenants::{NewTenant, Tenants},
};
use crate::{
    base::{Instant, ManualClock, Random},
    config::{Config, Sources},
    store::{self, Key, OpenStore, Scan, Tree},
};

/// 2026-03-01T00:00:00Z
pub const START: Instant = Instant(1_772_323_200_000);
pub const PASSWORD: &str = "correct horse";

pub struct Bench {
    pub auth: Auth,
    pub clock: Arc<ManualClock>,
    pub core: Core,
    pub keys: Arc<Keys>,
    pub operators: Operators,
    pub tenants: Tenants,
    _store: OpenStore,
}

/// The services with their default settings, but quick hashes.
pub fn bench() -> Bench {
    bench_with(|_| {})
}

pub fn bench_with(change: impl FnOnce(&mut Config)) -> Bench {
    let mut config = Config::load(Sources::default()).unwrap();
    config.auth.argon2_memory_kib = 64;
    config.auth.argon2_passes = 1;
    change(&mut config);
    let store = store::memory().unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let core = Core {
        engine: store.engine.clone(),
        clock: clock.clone(),
        random: Arc::new(Random::system()),
        limits: Arc::new(config.limits),
        dictionaries: Arc::default(),
    };
    let passwords = Arc::new(Passwords::new(&config.auth).unwrap());
    let cache = Arc::new(KeyCache::default());
    let keys = Arc::new(Keys::new(core.clone(), cache.clone()));
    Bench {
        auth: Auth::new(core.clone(), &config.auth, keys.clone(), passwords.clone()),
        clock,
        keys,
        operators: Operators::new(core.clone(), passwords),
        tenants: Tenants::new(core.clone(), cache),
        core,
        _store: store,
    }
}

impl Bench {
    pub async fn tenant(&self, slug: &str) -> TenantAccess {
        let wish = NewTenant {
            id: slug.into(),
            ..NewTenant::default()
        };
        self.tenants.create(&Caller::Local, wish).await.unwrap();
        let access = self.tenants.access(&Caller::Local, slug, Scope::Admin);
        access.await.unwrap()
    }

    /// A key's id and its secret.
    pub async fn key(&self, access: &TenantAccess, scopes: &[Scope]) -> (String, String) {
        let wish = NewKey {
            scopes: scopes.to_vec(),
            ..NewKey::default()
        };
        let made = self.keys.create(access, &Caller::Local, wish).await;
        let (view, secret) = made.unwrap();
        (view.id, secret)
    }

    /// An operator, and a session's token.
    pub async fn operator(&self, email: &str) -> String {
        let added = self.operators.add(&Caller::Local, email, PASSWORD).await;
        added.unwrap();
        self.auth
            .login(email, PASSWORD, "10.0.0.1")
            .await
            .unwrap()
            .token
    }

    /// All keys of a tree that begin with `prefix`, as text.
    pub async fn rows(&self, tree: Tree, prefix: &str) -> Vec<String> {
        let mut scan = Scan::prefix(tree, Key::copy_from_slice(prefix.as_bytes()));
        scan.limit = usize::MAX;
        scan.bytes_max = usize::MAX;
        let page = self.core.engine.scan(&scan).await.unwrap();
        let keys = page.rows.iter().map(|(key, _)| key);
        keys.map(|key| String::from_utf8_lossy(key).into_owned())
            .collect()
    }
}
