//! The store's folder: what is opened, what is refused, what is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tenantry::store::{self, DiskEngine, OpenStore, StoreError, StoreOptions, Tree};

use crate::bench::*;

fn refused(dir: &Path) -> String {
    match store::open(dir, &StoreOptions::default()) {
        Err(StoreError::Open(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
}

/// The store as it was made.
fn again(dir: &Path) -> OpenStore {
    store::open(dir, &StoreOptions::default()).unwrap()
}

async fn fill(dir: &Path, engine: DiskEngine, keys: usize, rounds: usize) {
    let store = open(dir, engine);
    for round in 0..rounds {
        for n in 0..keys {
            let value = vec![round as u8; 200 + n * 37 % 9000];
            let mut batch = put(&format!("k{n:04}"), &value);
            batch.put(Tree::Archive, key(&format!("a{n:04}")), value);
            store.engine.commit(batch).await.unwrap();
        }
    }
    store.close();
}

async fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let store = again(dir);
    let mut rows = all(&store.engine, store::Scan::prefix(Tree::Hot, "k")).await;
    rows.extend(all(&store.engine, store::Scan::prefix(Tree::Archive, "a")).await);
    store.close();
    rows
}

#[tokio::test]
async fn everything_is_there_when_opened_again() {
    for engine in DiskEngine::ALL {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), engine, 60, 2).await;
        let first = contents(dir.path()).await;
        assert_eq!(first.len(), 120);
        assert_eq!(contents(dir.path()).await, first);
        let text = fs::read_to_string(dir.path().join("FORMAT")).unwrap();
        assert_eq!(text, format!("1 {}\n", engine.name()));
    }
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("FORMAT"), "2 sled\n").unwrap();
    let why = refused(dir.path());
    assert!(
        why.contains("newer version") && why.contains("format 2"),
        "{why}"
    );
}

#[test]
fn another_engine_a_foreign_folder_and_nonsense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let format = dir.path().join("FORMAT");
    fs::write(&format, "1 oracle\n").unwrap();
    assert!(refused(dir.path()).contains("\"oracle\", which this version"));
    fs::write(&format, "1 fjall\n").unwrap();
    let options = StoreOptions {
        engine: Some(DiskEngine::Sled),
        ..StoreOptions::default()
    };
    let error = store::open(dir.path(), &options).err().unwrap().to_string();
    assert!(error.contains("convert --to sled"), "{error}");
    fs::write(&format, "what?").unwrap();
    assert!(refused(dir.path()).contains("what?"));
    fs::remove_file(&format).unwrap();
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    assert!(refused(dir.path()).contains("no store of Tenantry"));
    assert!(dir.path().join("holiday.jpg").exists());
}

#[tokio::test]
async fn damage_is_an_error_and_no_panic() {
    let engine = DiskEngine::Sled;
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), engine, 40, 1).await;
    let config = dir.path().join("sled/conf");
    let whole = fs::read(&config).unwrap();
    let mut damaged = whole.clone();
    let version = whole.windows(4).position(|w| w == b"0.34").unwrap();
    damaged[version..version + 4].copy_from_slice(b"0.99");
    fs::write(&config, damaged).unwrap();
    let why = refused(dir.path());
    assert!(why.contains("does not open"), "{why}");
    fs::write(&config, whole).unwrap();
    assert_eq!(contents(dir.path()).await.len(), 80);
}

/// sled finds most damage by checksums and stops, or leaves out what follows in its
/// log; in no case does a reader get bytes that were never written.
#[tokio::test]
async fn damaged_data_gives_no_wrong_value_and_no_panic() {
    for engine in DiskEngine::ALL {
        survives_damage(engine).await;
    }
}

async fn survives_damage(engine: DiskEngine) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), engine, 60, 3).await;
    let whole = contents(dir.path()).await;
    let saved = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), saved.path());
    let file = largest_file(&dir.path().join(engine.name()));
    let length = fs::metadata(&file).unwrap().len() as usize;
    let mut noticed = 0;
    for part in 0..12 {
        copy_folder(saved.path(), dir.path());
        let mut bytes = fs::read(&file).unwrap();
        let at = length * part / 12 + 100;
        bytes[at..(at + 600).min(length)].fill(0x5a);
        fs::write(&file, bytes).unwrap();
        let store = match store::open(dir.path(), &StoreOptions::default()) {
            Ok(store) => store,
            Err(StoreError::Open(why)) => {
                assert!(why.contains("does not open"), "{why}");
                noticed += 1;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        for tree in Tree::ALL {
            let mut scan = store::Scan::prefix(tree, if tree == Tree::Hot { "k" } else { "a" });
            scan.limit = 1000;
            scan.bytes_max = usize::MAX;
            match store.engine.scan(&scan).await {
                Ok(page) => {
                    for (key, value) in page.rows {
                        let key = String::from_utf8(key.to_vec()).unwrap();
                        let written = (0..3).map(|round| vec![round as u8; value.len()]);
                        let mut rows = whole.iter();
                        let last = rows.find(|(k, _)| *k == key).expect("a key nobody wrote");
                        assert_eq!(value.len(), last.1.len(), "{key}");
                        assert!(written.into_iter().any(|v| v == value), "{key}");
                    }
                }
                Err(StoreError::Corrupt(_) | StoreError::Io(_)) => noticed += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        store.close();
    }
    assert!(noticed > 0, "some of the damage hit what is read");
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn largest_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let size =
        |entry: &fs::DirEntry| std::os::unix::fs::MetadataExt::blocks(&entry.metadata().unwrap());
    files.max_by_key(size).unwrap().path()
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match from.is_dir() {
            true => copy_folder(&from, &to),
            false => drop(fs::copy(&from, &to).unwrap()),
        }
    }
}

#[tokio::test]
async fn a_torn_snapshot_is_swept_away() {
    let engine = DiskEngine::Sled;
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), engine, 40, 1).await;
    let before = contents(dir.path()).await;
    let torn = dir.path().join("sled/snap.00000000000000FF.generating");
    fs::write(&torn, b"torn").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!torn.exists());
}

#[tokio::test]
async fn compacting_keeps_every_key_and_gives_space_back() {
    for engine in DiskEngine::ALL {
        compacts(engine).await;
    }
}

async fn compacts(engine: DiskEngine) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), engine, 80, 12).await;
    let before = contents(dir.path()).await;
    let copied = store::compact(dir.path(), &mut |_| Ok(())).unwrap();
    assert!(copied.bytes_after < copied.bytes_before, "{copied:?}");
    assert_eq!(copied.keys, 161);
    assert_eq!(contents(dir.path()).await, before);
    // The next start forgets the old files.
    assert_eq!(names(dir.path()), ["FORMAT", engine.name()]);
}

#[tokio::test]
async fn a_compaction_cut_short_is_taken_back_or_finished() {
    for engine in DiskEngine::ALL {
        settles(engine).await;
    }
}

async fn settles(engine: DiskEngine) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), engine, 40, 1).await;
    let before = contents(dir.path()).await;
    // Cut short while it copied.
    let half = dir.path().join(format!("{}.new", engine.name()));
    fs::create_dir(&half).unwrap();
    fs::write(half.join("db"), b"half").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!half.exists());
    // Cut short between its two renames.
    store::compact(dir.path(), &mut |_| Ok(())).unwrap();
    let now = dir.path().join(engine.name());
    let old = dir.path().join(format!("{}.old", engine.name()));
    assert!(old.exists());
    fs::rename(&now, &half).unwrap();
    fs::File::create(half.join("COMPLETE")).unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!half.exists() && !old.exists());
    // Cut short before its first rename.
    copy_folder(&now, &half);
    fs::File::create(half.join("COMPLETE")).unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!half.exists());
}

#[tokio::test]
async fn nothing_is_compacted_that_this_version_may_not_touch() {
    let engine = DiskEngine::Sled;
    let dir = tempfile::tempdir().unwrap();
    let why = store::compact(dir.path(), &mut |_| Ok(()))
        .unwrap_err()
        .to_string();
    assert!(why.contains("has no store"), "{why}");
    fill(dir.path(), engine, 5, 1).await;
    let unfinished = dir.path().join("sled.new");
    fs::create_dir(&unfinished).unwrap();
    for (format, wanted) in [("2 sled\n", "newer version"), ("1 oracle\n", "oracle")] {
        fs::write(dir.path().join("FORMAT"), format).unwrap();
        let why = store::compact(dir.path(), &mut |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(why.contains(wanted), "{why}");
        assert!(unfinished.exists(), "nothing was touched");
    }
}

#[tokio::test]
async fn stats_count_what_is_stored() {
    for engine in DiskEngine::ALL {
        counts(engine).await;
    }
}

async fn counts(engine: DiskEngine) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), engine);
    for n in 0..10 {
        store
            .engine
            .commit(put(&format!("k{n}"), &[7; 10_000]))
            .await
            .unwrap();
    }
    let stats = store.maintenance.stats().unwrap();
    let hot = &stats.trees[0];
    // Ten keys and the change sequence.
    assert_eq!((hot.keys, hot.key_bytes), (11, 20 + 5));
    assert_eq!(hot.value_bytes, 100_000 + 8);
    assert_eq!(stats.trees[1].keys, 0);
    assert!(stats.disk_bytes > 0 && stats.space_amplification > 0.0);
    assert_eq!(store.maintenance.verify().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_conversion_copies_every_key_and_keeps_the_old_store_until_told() {
    for (from, to) in [
        (DiskEngine::Sled, DiskEngine::Fjall),
        (DiskEngine::Fjall, DiskEngine::Sled),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), from, 80, 3).await;
        let before = contents(dir.path()).await;
        let copied = store::convert(dir.path(), to, &mut |_| Ok(())).unwrap();
        assert_eq!(copied.keys, 161);
        assert_eq!(contents(dir.path()).await, before);
        assert_eq!(names(dir.path()), ["FORMAT", "fjall", "sled"]);
        let stats = again(dir.path()).maintenance.stats().unwrap();
        assert_eq!(stats.engine, to.name());
        // Back again only when the kept store is given up.
        let again = store::convert(dir.path(), to, &mut |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(again.contains("already"), "{again}");
        let back = store::convert(dir.path(), from, &mut |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(back.contains("--drop-old"), "{back}");
        assert!(store::drop_converted(dir.path()).unwrap() > 0);
        assert_eq!(store::drop_converted(dir.path()).unwrap(), 0);
        assert_eq!(names(dir.path()), ["FORMAT", to.name()]);
        store::convert(dir.path(), from, &mut |_| Ok(())).unwrap();
        assert_eq!(contents(dir.path()).await, before);
    }
}

#[tokio::test]
async fn a_conversion_cut_short_is_taken_back_or_finished() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), DiskEngine::Sled, 40, 1).await;
    let before = contents(dir.path()).await;
    let half = dir.path().join("fjall.new");
    let format = dir.path().join("FORMAT");
    // Cut short while it copied.
    fs::create_dir(&half).unwrap();
    fs::write(half.join("0.jnl"), b"half").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert_eq!(names(dir.path()), ["FORMAT", "sled"]);
    // Cut short between the switch and the rename.
    store::convert(dir.path(), DiskEngine::Fjall, &mut |_| Ok(())).unwrap();
    fs::rename(dir.path().join("fjall"), &half).unwrap();
    fs::File::create(half.join("COMPLETE")).unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert_eq!(names(dir.path()), ["FORMAT", "fjall", "sled"]);
    // Cut short before the switch: what is written from then on must not be lost.
    fs::rename(dir.path().join("fjall"), &half).unwrap();
    fs::File::create(half.join("COMPLETE")).unwrap();
    fs::write(&format, "1 sled\n").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert_eq!(names(dir.path()), ["FORMAT", "sled"]);
}

#[tokio::test]
async fn a_compaction_that_is_stopped_leaves_the_store_as_it_was() {
    for engine in DiskEngine::ALL {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), engine, 40, 1).await;
        let before = contents(dir.path()).await;
        for stage in [
            store::Stage::Counting,
            store::Stage::Copying,
            store::Stage::Comparing,
        ] {
            let mut stages = Vec::new();
            let stopped = store::compact(dir.path(), &mut |at| {
                stages.push(at.stage);
                match at.stage == stage {
                    true => Err(StoreError::Open("enough".into())),
                    false => Ok(()),
                }
            });
            assert_eq!(stopped.unwrap_err().to_string(), "enough");
            assert_eq!(stages.last(), Some(&stage));
            assert_eq!(names(dir.path()), ["FORMAT", engine.name()]);
        }
        assert_eq!(contents(dir.path()).await, before);
    }
}
