#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{fs, sync::Arc};

use super::*;
use crate::{
    base::Instant,
    config::{Config, Sources},
    domain::{Tenant, TenantSlug, retention::Keep},
    service::{
        Code, Scope,
        tenants::NewTenant,
        testing::{Bench, START, bench},
    },
    store::{self, Batch, Tree},
};

async fn backups(folder: &std::path::Path, bench: &Bench) -> Arc<Backups> {
    let mut settings = Config::load(Sources::default()).unwrap().backup;
    settings.folder = folder.to_owned();
    settings.keep = Keep {
        daily: 2,
        weekly: 0,
        monthly: 0,
        manual: 1,
    };
    let store = store::memory().unwrap();
    let apps = Arc::new(Apps::load(bench.core.clone()).await.unwrap());
    let tenants = Arc::new(Tenants::new(bench.core.clone(), Arc::default()));
    Arc::new(Backups::new(bench.core.clone(), store, &settings, tenants, apps).unwrap())
}

async fn made(backups: &Arc<Backups>, kind: Kind, verify: bool) -> String {
    let operation = backups.create(&Caller::Local, kind, verify).unwrap();
    operation.done().await.unwrap();
    operation.id.clone()
}

fn ids(backups: &Backups) -> Vec<String> {
    let all = backups.list(&Caller::Local).unwrap();
    all.into_iter().map(|one| one.manifest.id).collect()
}

const DAY_MS: i64 = 86_400_000;

#[tokio::test]
async fn days_pass_and_old_backups_go() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), bench());
    let backups = backups(&dir.path().join("b"), &bench).await;
    let by_hand = made(&backups, Kind::Manual, false).await;
    let mut daily = Vec::new();
    for _ in 0..4 {
        bench.clock.advance_ms(DAY_MS);
        daily.push(made(&backups, Kind::Scheduled, true).await);
    }
    assert_eq!(ids(&backups), [&*daily[3], &daily[2], &by_hand]);
    // The newest that was found whole stays, whatever comes after it.
    let figures = backups.figures();
    assert_eq!((figures.backups, figures.failed), (3, 0));
    assert!(figures.last_verified_whole);
    for _ in 0..3 {
        bench.clock.advance_ms(DAY_MS);
        daily.push(made(&backups, Kind::Scheduled, false).await);
    }
    assert_eq!(ids(&backups), [&*daily[6], &daily[5], &daily[3], &by_hand]);
}

#[tokio::test]
async fn a_backup_that_failed_is_told_of_and_has_no_file() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), bench());
    let folder = dir.path().join("b");
    let backups = backups(&folder, &bench).await;
    fs::create_dir(&folder).unwrap();
    // The name that the file is to have first is taken by a folder.
    let id = backups.folder().free_id(START);
    let partial = format!("tenantry-{id}.backup.partial");
    fs::create_dir(folder.join(&partial)).unwrap();
    let operation = backups.create(&Caller::Local, Kind::Manual, false).unwrap();
    let error = operation.done().await.unwrap_err();
    assert!(error.contains("cannot be made: File exists"), "{error}");
    let all = backups.list(&Caller::Local).unwrap();
    assert_eq!(all[0].manifest.state, State::Failed);
    assert_eq!(all[0].manifest.error.as_deref(), Some(&*error));
    assert_eq!(all[0].kept_for, [""; 0]);
    let verify = backups.verify(&Caller::Local, &id, None).err().unwrap();
    assert_eq!(verify.code, Code::NotFound);
}

#[tokio::test]
async fn a_file_without_what_is_known_of_it_is_listed_and_one_that_is_none_is_not() {
    let (dir, bench) = (tempfile::tempdir().unwrap(), bench());
    let folder = dir.path().join("b");
    let backups = backups(&folder, &bench).await;
    let id = made(&backups, Kind::Manual, true).await;
    fs::remove_file(folder.join(format!("tenantry-{id}.json"))).unwrap();
    fs::write(folder.join("tenantry-20260101T000000000Z.backup"), "no").unwrap();
    fs::write(folder.join("tenantry-notes.json"), "{}").unwrap();
    let all = backups.list(&Caller::Local).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0].manifest.id, all[0].manifest.keys), (&id, None));
    let operation = backups.verify(&Caller::Local, &id, None).unwrap();
    operation.done().await.unwrap();
    let known = backups.get(&Caller::Local, &id).unwrap();
    assert_eq!(known.manifest.verification.unwrap().result, Outcome::Whole);
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_and_what_a_living_one_has_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder(dir.path().to_owned());
    let living = folder.scratch("20260101T000000000Z").unwrap();
    fs::create_dir(dir.path().join("scratch-20250101T000000000Z")).unwrap();
    let name = |year: u32| {
        dir.path()
            .join(format!("tenantry-{year}0101T000000000Z.backup.partial"))
    };
    let locked = fs::File::create(name(2026)).unwrap();
    locked.lock().unwrap();
    fs::write(name(2025), "half").unwrap();
    fs::write(dir.path().join("other.partial"), "not ours").unwrap();
    folder.sweep();
    assert!(
        living.path().exists() && name(2026).exists() && dir.path().join("other.partial").exists()
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    drop(living);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn an_arrival_that_is_broken_off_is_erased_and_nobody_takes_its_name_meanwhile() {
    let bench = bench();
    let apps = Apps::load(bench.core.clone()).await.unwrap();
    let app = apps.current();
    let slug = TenantSlug::parse("acme").unwrap();
    bench.tenant("neighbour").await;
    let arrival = bench.tenants.arrive(slug.clone(), &app).await.unwrap();
    let mut batch = Batch::default();
    batch.put(Tree::Hot, "acme#ticket#1", "a row");
    batch.put(Tree::Archive, "acme#ticket#2", "another");
    arrival.write(batch).await.unwrap();
    let taken = async || {
        let wish = NewTenant {
            id: "acme".into(),
            ..NewTenant::default()
        };
        let refused = bench
            .tenants
            .create(&Caller::Local, wish)
            .await
            .unwrap_err();
        assert_eq!(refused.code, Code::AlreadyExists, "{refused}");
        assert!(bench.tenants.arrive(slug.clone(), &app).await.is_err());
    };
    taken().await;
    let unseen = bench
        .tenants
        .access(&Caller::Local, "acme", Scope::Read)
        .await;
    assert_eq!(unseen.unwrap_err().code, Code::NotFound);
    // The process dies here; the next one finds it.
    bench.tenants.undo_arrivals().await.unwrap();
    taken().await;
    while bench.tenants.erase_step().await.unwrap() {}
    assert_eq!(bench.rows(Tree::Hot, "acme#").await, [""; 0]);
    assert_eq!(bench.rows(Tree::Archive, "acme#").await, [""; 0]);
    assert_eq!(bench.rows(Tree::Hot, "~#work#").await, [""; 0]);
    // The name is free again.
    let again = bench.tenants.arrive(slug.clone(), &app).await.unwrap();
    again
        .finish(&Tenant::new(slug, Instant(0)), 0)
        .await
        .unwrap();
    assert!(
        bench
            .tenants
            .access(&Caller::Local, "acme", Scope::Read)
            .await
            .is_ok()
    );
}
