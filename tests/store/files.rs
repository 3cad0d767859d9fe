//! The store's folder: what is opened, what is refused, what is kept.

use std::{fs, path::Path};

use tenantry::store::{self, StoreError, StoreOptions, Tree};

use crate::bench::*;

fn refused(dir: &Path) -> String {
    match store::open(dir, &StoreOptions::default()) {
        Err(StoreError::Open(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
}

async fn fill(dir: &Path, keys: usize, rounds: usize) {
    let store = sled(dir);
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
    let store = sled(dir);
    let mut rows = all(&store.engine, store::Scan::prefix(Tree::Hot, "k")).await;
    rows.extend(all(&store.engine, store::Scan::prefix(Tree::Archive, "a")).await);
    store.close();
    rows
}

#[tokio::test]
async fn everything_is_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 60, 2).await;
    let first = contents(dir.path()).await;
    assert_eq!(first.len(), 120);
    assert_eq!(contents(dir.path()).await, first);
    let text = fs::read_to_string(dir.path().join("FORMAT")).unwrap();
    assert_eq!(text, "1 sled\n");
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
    fs::write(&format, "1 fjall\n").unwrap();
    assert!(refused(dir.path()).contains("fjall"));
    fs::write(&format, "what?").unwrap();
    assert!(refused(dir.path()).contains("what?"));
    fs::remove_file(&format).unwrap();
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    assert!(refused(dir.path()).contains("no store of Tenantry"));
    assert!(dir.path().join("holiday.jpg").exists());
    let options = StoreOptions {
        engine: "oracle".into(),
        ..StoreOptions::default()
    };
    let error = store::open(tempfile::tempdir().unwrap().path(), &options).err();
    assert!(error.unwrap().to_string().contains("oracle"));
}

#[tokio::test]
async fn damage_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 40, 1).await;
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
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 60, 3).await;
    let whole = contents(dir.path()).await;
    let saved = tempfile::tempdir().unwrap();
    copy_folder(dir.path(), saved.path());
    let file = dir.path().join("sled/db");
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
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 40, 1).await;
    let before = contents(dir.path()).await;
    let torn = dir.path().join("sled/snap.00000000000000FF.generating");
    fs::write(&torn, b"torn").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!torn.exists());
}

#[tokio::test]
async fn compacting_keeps_every_key_and_gives_space_back() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 80, 12).await;
    let before = contents(dir.path()).await;
    let (bytes_before, bytes_after) = store::compact(dir.path()).unwrap();
    assert!(bytes_after < bytes_before, "{bytes_before} {bytes_after}");
    assert_eq!(contents(dir.path()).await, before);
    // The next start forgets the old files.
    let names = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["FORMAT", "sled"]);
}

#[tokio::test]
async fn a_compaction_cut_short_is_taken_back_or_finished() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 40, 1).await;
    let before = contents(dir.path()).await;
    // Cut short while it copied.
    let half = dir.path().join("sled.new");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("db"), b"half").unwrap();
    assert_eq!(contents(dir.path()).await, before);
    assert!(!half.exists());
    // Cut short between its two renames.
    store::compact(dir.path()).unwrap();
    let (now, old) = (dir.path().join("sled"), dir.path().join("sled.old"));
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
    let dir = tempfile::tempdir().unwrap();
    let why = store::compact(dir.path()).unwrap_err().to_string();
    assert!(why.contains("has no store"), "{why}");
    fill(dir.path(), 5, 1).await;
    let unfinished = dir.path().join("sled.new");
    fs::create_dir(&unfinished).unwrap();
    for (format, wanted) in [("2 sled\n", "newer version"), ("1 fjall\n", "fjall")] {
        fs::write(dir.path().join("FORMAT"), format).unwrap();
        let why = store::compact(dir.path()).unwrap_err().to_string();
        assert!(why.contains(wanted), "{why}");
        assert!(unfinished.exists(), "nothing was touched");
    }
}

#[tokio::test]
async fn stats_count_what_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = sled(dir.path());
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
