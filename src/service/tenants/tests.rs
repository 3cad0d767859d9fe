//! What tenants are made of, and what is left of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::{
    service::{
        records::stored_until,
        testing::{Bench, START, bench, bench_with},
    },
    store::Value,
};

fn wish(id: &str) -> NewTenant {
    NewTenant {
        id: id.into(),
        ..NewTenant::default()
    }
}

async fn create(bench: &Bench, id: &str) -> Result<Tenant> {
    bench.tenants.create(&Caller::Local, wish(id)).await
}

fn key_of(slug: &str, scopes: &[Scope]) -> Caller {
    Caller::Key {
        tenant: slug.parse().unwrap(),
        id: "k".into(),
        scopes: scopes.into(),
    }
}

#[tokio::test]
async fn a_tenant_is_made_once() {
    let bench = bench();
    let made = bench
        .tenants
        .create(
            &Caller::Local,
            NewTenant {
                name: Some("  ACME, Inc. ".into()),
                timezone: Some("Europe/Vienna".into()),
                meta: [("tier".to_owned(), "gold".to_owned())].into(),
                ..wish("acme")
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (made.name.as_str(), made.locale.as_str()),
        ("  ACME, Inc. ", "en")
    );
    let read = bench.tenants.get(&Caller::Local, "acme").await.unwrap();
    assert_eq!(read, made);
    let again = create(&bench, "acme").await.unwrap_err();
    assert_eq!(again.code, Code::AlreadyExists);
    for bad in ["", "-a", "A", "a#b", "~", "a b", &"a".repeat(64)] {
        let refused = create(&bench, bad).await.unwrap_err();
        assert_eq!(refused.code, Code::BadRequest, "{bad}");
    }
    let mars = NewTenant {
        timezone: Some("Mars/Base".into()),
        ..wish("other")
    };
    let refused = bench
        .tenants
        .create(&Caller::Local, mars)
        .await
        .unwrap_err();
    assert_eq!(refused.members["problems"][0]["pointer"], "/timezone");
}

#[tokio::test]
async fn there_are_so_many_tenants() {
    let bench = bench_with(|config| config.limits.tenants_max = 2);
    create(&bench, "a").await.unwrap();
    create(&bench, "b").await.unwrap();
    let over = create(&bench, "c").await.unwrap_err();
    assert_eq!(over.code, Code::LimitReached);
    // It is its existence that is in the way, not the limit.
    let again = create(&bench, "a").await.unwrap_err();
    assert_eq!(again.code, Code::AlreadyExists);
    let slug = "a".parse().unwrap();
    assert!(
        !bench
            .tenants
            .ensure(&Caller::Local, &slug, "A")
            .await
            .unwrap()
    );
    bench.tenants.delete(&Caller::Local, "b").await.unwrap();
    create(&bench, "c").await.unwrap();
    assert!(create(&bench, "d").await.is_err());
}

#[tokio::test]
async fn tenants_made_at_once_are_all_counted() {
    let bench = bench_with(|config| config.limits.tenants_max = 10);
    let names: Vec<_> = (0..16).map(|n| format!("t{n:02}")).collect();
    let made = names.iter().map(|name| create(&bench, name));
    let made = futures_util::future::join_all(made).await;
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 10);
    let (listed, next) = bench.tenants.list(&Caller::Local, None, 500).await.unwrap();
    assert_eq!((listed.len(), next), (10, None));
}

#[tokio::test]
async fn tenants_are_listed_page_by_page() {
    let bench = bench();
    for slug in ["acme", "acme-2", "b", "c", "d"] {
        create(&bench, slug).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = bench
            .tenants
            .list(&Caller::Local, after.as_deref(), 2)
            .await;
        let (tenants, next) = page.unwrap();
        seen.extend(tenants.into_iter().map(|t| t.id.to_string()));
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["acme", "acme-2", "b", "c", "d"]);
}

#[tokio::test]
async fn a_tenant_is_changed_by_its_own_admins() {
    let bench = bench();
    create(&bench, "acme").await.unwrap();
    let change = TenantChange {
        name: Some("New".into()),
        ..TenantChange::default()
    };
    let by = |caller: Caller| {
        let (tenants, change) = (&bench.tenants, &change);
        async move { tenants.change(&caller, "acme", change).await }
    };
    let refused = by(key_of("acme", &[Scope::Read, Scope::Write])).await;
    assert_eq!(refused.unwrap_err().code, Code::InsufficientScope);
    let refused = by(key_of("acme-2", &[Scope::Admin])).await;
    assert_eq!(refused.unwrap_err().code, Code::NotFound);
    let refused = by(Caller::Anonymous).await;
    assert_eq!(refused.unwrap_err().code, Code::Unauthenticated);
    bench.clock.advance_ms(5);
    let changed = by(key_of("acme", &[Scope::Admin])).await.unwrap();
    assert_eq!(changed.name, "New");
    assert_eq!(changed.updated_at.0 - changed.created_at.0, 5);
    let reader = key_of("acme", &[Scope::Read]);
    let read = bench.tenants.get(&reader, "acme");
    assert_eq!(read.await.unwrap(), changed);
}

#[tokio::test]
async fn only_operators_make_list_and_delete_tenants() {
    let bench = bench();
    create(&bench, "acme").await.unwrap();
    let key = key_of("acme", &[Scope::Read, Scope::Write, Scope::Admin]);
    let slug: TenantSlug = "new".parse().unwrap();
    for (caller, code) in [
        (Caller::Anonymous, Code::Unauthenticated),
        (key, Code::OperatorOnly),
    ] {
        let tenants = &bench.tenants;
        let refused = [
            tenants.create(&caller, wish("new")).await.err(),
            tenants.ensure(&caller, &slug, "New").await.err(),
            tenants.list(&caller, None, 10).await.err(),
            tenants.delete(&caller, "acme").await.err(),
        ];
        for error in refused {
            assert_eq!(error.map(|e| e.code), Some(code));
        }
    }
}

/// Fills a tenant with rows of every kind, more than one step erases.
async fn fill(bench: &Bench, slug: &str) -> (TenantAccess, String) {
    let access = bench.tenant(slug).await;
    let mut secret = String::new();
    for _ in 0..5 {
        secret = bench.key(&access, &[Scope::Read]).await.1;
    }
    for tree in Tree::ALL {
        let mut batch = Batch::default();
        for number in 0..600 {
            for row in ["ticket#", "ticket@by#s#", "~count#ticket#", "~run#"] {
                let key = format!("{slug}#{row}{number}");
                batch.put(tree, key, Value::from_static(b"x"));
            }
        }
        bench.core.engine.commit(batch).await.unwrap();
    }
    let mut batch = Batch::default();
    let expires_at = START.plus_ms(86_400_000);
    for number in 0..300 {
        let key = access.keys.idempotency(&number.to_string());
        batch.put(Tree::Hot, keys::expiry(expires_at, &key), Value::new());
        batch.put(Tree::Hot, key, stored_until(expires_at).unwrap());
    }
    bench.core.engine.commit(batch).await.unwrap();
    (access, secret)
}

#[tokio::test]
async fn erasing_leaves_nothing_of_the_tenant_and_all_of_its_neighbours() {
    let bench = bench();
    let (_, secret) = fill(&bench, "acme").await;
    let mut neighbours = Vec::new();
    for slug in ["acme-2", "acm", "acmea"] {
        neighbours.push((slug, fill(&bench, slug).await.1));
    }
    let caller = bench.keys.caller(&secret).await.unwrap().unwrap();
    let hashes = bench.rows(Tree::Hot, "~#key#").await.len();
    let mut before = Vec::new();
    for (slug, _) in &neighbours {
        for tree in Tree::ALL {
            before.push(bench.rows(tree, &format!("{slug}#")).await);
        }
    }

    bench.tenants.delete(&Caller::Local, "acme").await.unwrap();
    // It is gone at once for everybody, before anything is erased.
    let read = bench.tenants.access(&caller, "acme", Scope::Read).await;
    assert_eq!(read.unwrap_err().code, Code::NotFound);
    let erasing = create(&bench, "acme").await.unwrap_err();
    assert_eq!(erasing.code, Code::AlreadyExists);
    assert!(erasing.detail.contains("erased"), "{}", erasing.detail);
    let again = bench.tenants.delete(&Caller::Local, "acme").await;
    assert_eq!(again.unwrap_err().code, Code::NotFound);

    let mut steps = 0;
    while bench.tenants.erase_step().await.unwrap() {
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    for tree in Tree::ALL {
        assert_eq!(bench.rows(tree, "acme#").await, [""; 0]);
    }
    assert_eq!(bench.rows(Tree::Hot, "~#work#").await, [""; 0]);
    assert_eq!(bench.rows(Tree::Hot, "~#key#").await.len(), hashes - 5);
    let expiries = bench.rows(Tree::Hot, keys::EXPIRIES).await;
    assert_eq!(expiries.len(), 3 * 300);
    assert!(!expiries.iter().any(|row| row.contains("#acme#")));
    assert_eq!(bench.keys.caller(&secret).await.unwrap(), None);

    let mut after = Vec::new();
    for (slug, secret) in &neighbours {
        for tree in Tree::ALL {
            after.push(bench.rows(tree, &format!("{slug}#")).await);
        }
        assert!(bench.keys.caller(secret).await.unwrap().is_some());
        assert!(bench.tenants.get(&Caller::Local, slug).await.is_ok());
    }
    assert_eq!(after, before);
    // A new tenant of that name begins with nothing.
    let access = bench.tenant("acme").await;
    assert_eq!(bench.keys.list(&access).await.unwrap(), []);
}

#[tokio::test]
async fn nobody_makes_a_key_for_a_tenant_that_was_deleted_meanwhile() {
    let bench = bench();
    let access = bench.tenant("acme").await;
    bench.tenants.delete(&Caller::Local, "acme").await.unwrap();
    let made = bench.keys.create(
        &access,
        &Caller::Local,
        crate::service::keys::NewKey::default(),
    );
    assert_eq!(made.await.unwrap_err().code, Code::NotFound);
    assert_eq!(bench.rows(Tree::Hot, "~#key#").await, [""; 0]);
}
