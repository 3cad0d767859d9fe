//! What keys may do, and for how long.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::service::testing::{Bench, bench, bench_with};

const ALL: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

async fn caller(bench: &Bench, secret: &str) -> Option<Caller> {
    bench.keys.caller(secret).await.unwrap()
}

#[tokio::test]
async fn a_secret_is_nowhere_in_the_store() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let (id, secret) = bench.key(&acme, &[]).await;
    assert!(
        secret.starts_with("tk_") && secret.len() == 3 + 43,
        "{secret}"
    );
    let everything = Scan::prefix(Tree::Hot, "");
    let page = bench.core.engine.scan(&everything).await.unwrap();
    assert!(page.rows.len() >= 4 && page.next.is_none());
    for (key, value) in page.rows {
        let row = [&key[..], &value[..]].concat();
        let found = row.windows(43).any(|part| part == &secret.as_bytes()[3..]);
        assert!(!found, "{key:?}");
    }
    let listed = bench.keys.list(&acme).await.unwrap();
    assert_eq!((listed.len(), &listed[0].id), (1, &id));
    assert_eq!(listed[0].scopes, [Scope::Read, Scope::Write]);
    assert_eq!(
        caller(&bench, &secret).await,
        Some(Caller::Key {
            tenant: "acme".parse().unwrap(),
            id: id.as_str().into(),
            scopes: [Scope::Read, Scope::Write].into(),
        })
    );
    assert_eq!(caller(&bench, "tk_unknown").await, None);
}

#[tokio::test]
async fn a_revoked_key_is_unknown_at_once_and_no_other() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let (id, secret) = bench.key(&acme, &[]).await;
    let (_, other) = bench.key(&acme, &[]).await;
    // Both are remembered now.
    assert!(caller(&bench, &secret).await.is_some());
    assert!(caller(&bench, &other).await.is_some());
    bench.keys.revoke(&acme, &id).await.unwrap();
    assert_eq!(caller(&bench, &secret).await, None);
    assert!(caller(&bench, &other).await.is_some());
    let again = bench.keys.revoke(&acme, &id).await.unwrap_err();
    assert_eq!(again.code, Code::NotFound);
}

#[tokio::test]
async fn a_revocation_goes_on_when_its_caller_goes_away() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let (id, secret) = bench.key(&acme, &[]).await;
    assert!(caller(&bench, &secret).await.is_some());
    {
        let revoking = bench.keys.revoke(&acme, &id);
        tokio::pin!(revoking);
        // Begun, and dropped before it answers.
        let begun = futures_util::FutureExt::now_or_never(revoking.as_mut());
        assert!(begun.is_none());
    }
    let begun = std::time::Instant::now();
    while caller(&bench, &secret).await.is_some() {
        assert!(begun.elapsed().as_secs() < 30, "the key is known still");
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_was_looked_up_before_a_revocation_is_not_remembered() {
    let cache = KeyCache::default();
    let known = || {
        Arc::new(cache::Known {
            caller: Caller::Local,
            expires_at: None,
            noted_at: 0.into(),
        })
    };
    let before = cache.epoch();
    cache.forget("other");
    cache.remember("hash", known(), before);
    assert!(cache.get("hash").is_none());
    cache.remember("hash", known(), cache.epoch());
    assert!(cache.get("hash").is_some());
    cache.clear();
    assert!(cache.get("hash").is_none());
}

#[tokio::test]
async fn a_key_ends_at_its_moment_also_where_it_is_remembered() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let wish = |at: &str| NewKey {
        expires_at: Some(at.into()),
        ..NewKey::default()
    };
    let made = bench
        .keys
        .create(&acme, &Caller::Local, wish("2026-03-01T01:00:00Z"))
        .await;
    let secret = made.unwrap().1;
    assert!(caller(&bench, &secret).await.is_some());
    bench.clock.advance_ms(3_600_000 - 1);
    assert!(caller(&bench, &secret).await.is_some());
    bench.clock.advance_ms(1);
    assert_eq!(caller(&bench, &secret).await, None);
    for bad in ["2026-03-01T01:00:00Z", "tomorrow", ""] {
        let made = bench.keys.create(&acme, &Caller::Local, wish(bad)).await;
        assert_eq!(made.unwrap_err().code, Code::BadRequest, "{bad}");
    }
}

#[tokio::test]
async fn a_key_gives_no_scope_that_it_lacks() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let (_, secret) = bench.key(&acme, &[Scope::Read, Scope::Admin]).await;
    let admin = caller(&bench, &secret).await.unwrap();
    let give = |scopes: &[Scope]| {
        let wish = NewKey {
            scopes: scopes.to_vec(),
            ..NewKey::default()
        };
        bench.keys.create(&acme, &admin, wish)
    };
    assert!(give(&[Scope::Admin, Scope::Read]).await.is_ok());
    // The default is read and write.
    for more in [&[Scope::Write][..], &ALL, &[]] {
        let refused = give(more).await.unwrap_err();
        assert_eq!(refused.code, Code::InsufficientScope);
        assert_eq!(refused.members["scope"], "write");
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_keys() {
    let bench = bench_with(|config| config.limits.keys_per_tenant_max = 3);
    let acme = bench.tenant("acme").await;
    let neighbour = bench.tenant("acme-2").await;
    let mut first = None;
    for _ in 0..3 {
        let (id, _) = bench.key(&acme, &[]).await;
        first.get_or_insert(id);
    }
    let over = bench.keys.create(&acme, &Caller::Local, NewKey::default());
    assert_eq!(over.await.unwrap_err().code, Code::LimitReached);
    bench.key(&neighbour, &[]).await;
    bench.keys.revoke(&acme, &first.unwrap()).await.unwrap();
    bench.key(&acme, &[]).await;
}

#[tokio::test]
async fn a_keys_last_use_is_written_once_a_minute() {
    let bench = bench();
    let acme = bench.tenant("acme").await;
    let (_, secret) = bench.key(&acme, &[]).await;
    let sequence = || async {
        let key = crate::store::committer::SEQUENCE_KEY.into();
        let value = bench.core.engine.get(Tree::Hot, &key).await.unwrap();
        u64::from_le_bytes(value.unwrap()[..].try_into().unwrap())
    };
    let mut expected = sequence().await;
    for (advance, writes) in [(0, 1), (59_999, 0), (1, 1), (30_000, 0), (30_000, 1)] {
        bench.clock.advance_ms(advance);
        for _ in 0..20 {
            assert!(caller(&bench, &secret).await.is_some());
        }
        expected += writes;
        // Written beside the request, a moment later.
        for _ in 0..1000 {
            if sequence().await == expected {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(sequence().await, expected, "after {advance} ms");
    }
    let listed = bench.keys.list(&acme).await.unwrap();
    assert_eq!(
        listed[0].last_used_at.as_deref(),
        Some("2026-03-01T00:02:00.000Z")
    );
}
