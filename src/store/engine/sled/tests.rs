//! What only sled's own counters show.

use std::sync::Arc;

use super::*;
use crate::store::{Batch, Committed, CommitterOptions, Condition, Engine as _};

/// Ten writes take far less time than sled's own timer for a sync, so each sync
/// but one or two is of a write.
#[test]
fn each_write_is_synced_before_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sled::open(&dir.path().join("sled"), 16 << 20).unwrap();
    for round in 0..10 {
        let before = fsync::calls();
        for tree in Tree::ALL {
            let write = Applied {
                tree,
                key: Key::from(format!("k{round}")),
                value: Some(Value::from_static(b"x")),
                replaced_bytes: None,
            };
            store.apply(&[write]).unwrap();
        }
        assert!(fsync::calls() >= before + 2, "round {round}");
    }
}

/// The number under which a process has a file open.
fn fd_of(file: &Path) -> i32 {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let mut open = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|of| of == file));
    let fd = open.next().unwrap().file_name();
    fd.to_str().unwrap().parse().unwrap()
}

/// sled wakes nobody where the sync of a batch's first buffer fails, once.
#[test]
fn a_write_whose_sync_fails_once_is_answered() {
    // Now and then sled's own timer makes the sync that fails, and no writer meets it.
    let met = (0..12)
        .filter(|round| writer_meets_failing_sync(round % 3))
        .count();
    assert!(met >= 3, "writers met {met} of 12 failing syncs");
}

/// Whether a writer met the failing sync; the writes from then on are refused.
fn writer_meets_failing_sync(after: usize) -> bool {
    // What the round before has left must not meet the opening of this one.
    fsync::failing::plan(-1, 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    let store = Arc::new(Sled::open(&path, 16 << 20).unwrap());
    fsync::failing::plan(fd_of(&path.join("db")), after);
    let (answered, answer) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        for round in 0..4 {
            let done = store.apply(&Tree::ALL.map(|tree| row(tree, &format!("k{round}"), 3000)));
            if answered.send(done).is_err() {
                return;
            }
        }
    });
    let answers: Vec<_> = (0..4)
        .map(|_| answer.recv_timeout(std::time::Duration::from_secs(10)))
        .map(|answer| answer.expect("it hangs"))
        .collect();
    // From the one that failed on, none is taken.
    let Some(failed) = answers.iter().position(Result::is_err) else {
        return false;
    };
    assert!(answers[failed..].iter().all(Result::is_err), "{answers:?}");
    // The next start ends the one that failed.
    writer.join().unwrap();
    fsync::failing::plan(-1, 0);
    let store = Sled::open(&path, 16 << 20).unwrap();
    for tree in Tree::ALL {
        let found = store.get(tree, format!("k{failed}").as_bytes()).unwrap();
        assert_eq!(found.map(|value| value.len()), Some(3000));
    }
    true
}

fn row(tree: Tree, key: &str, bytes: usize) -> Applied {
    Applied {
        tree,
        key: Key::copy_from_slice(key.as_bytes()),
        value: Some(vec![b'x'; bytes].into()),
        replaced_bytes: None,
    }
}

/// As where a page could not be read in the middle of a batch.
#[test]
fn a_group_that_broke_off_is_ended_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    let store = Sled::open(&path, 16 << 20).unwrap();
    let gone = |key| Applied {
        value: None,
        ..row(Tree::Hot, key, 0)
    };
    store.apply(&[row(Tree::Hot, "old", 9_000)]).unwrap();
    let group = [
        row(Tree::Hot, "a", 1),
        gone("old"),
        row(Tree::Archive, "b", 9_000),
    ];
    store.write(&group[..1]).unwrap();
    redo::note(&path, &group).unwrap();
    // Nothing is written after it; if it were, the first one stands.
    redo::note(&path, &[gone("a")]).unwrap();
    drop(store);
    let store = Sled::open(&path, 16 << 20).unwrap();
    let bytes = |tree, key: &str| store.get(tree, key.as_bytes()).unwrap().map(|v| v.len());
    assert_eq!(bytes(Tree::Hot, "a"), Some(1));
    assert_eq!(bytes(Tree::Hot, "old"), None);
    assert_eq!(bytes(Tree::Archive, "b"), Some(9_000));
    assert!(redo::noted(&path).unwrap().is_none());
}

#[test]
fn a_damaged_note_of_a_group_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    drop(Sled::open(&path, 16 << 20).unwrap());
    redo::note(&path, &[row(Tree::Hot, "a", 100)]).unwrap();
    let mut bytes = std::fs::read(path.join("redo")).unwrap();
    bytes[40] ^= 1;
    std::fs::write(path.join("redo"), bytes).unwrap();
    let store = Sled::open(&path, 16 << 20).unwrap();
    assert_eq!(store.get(Tree::Hot, b"a").unwrap(), None);
    assert!(path.join("redo.damaged").exists());
}

/// The keys of pieces are sled's alone: no caller sees them.
#[test]
fn a_piece_of_a_value_is_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sled::open(&dir.path().join("sled"), 16 << 20).unwrap();
    let write = Applied {
        tree: Tree::Hot,
        key: Key::from_static(b"large"),
        value: Some(vec![7; 3 * split::PIECE_BYTES].into()),
        replaced_bytes: None,
    };
    store.apply(&[write]).unwrap();
    for piece in split::piece_keys(0, 3 * split::PIECE_BYTES) {
        assert!(store.hot.contains_key(piece).unwrap());
        assert_eq!(store.get(Tree::Hot, &piece).unwrap(), None);
    }
    let page = store.scan(&Scan::prefix(Tree::Hot, Key::new())).unwrap();
    assert_eq!(page.rows.len(), 1);
}

/// Whether the committer looked at the value before or not, nothing of it stays.
#[test]
fn no_piece_of_a_replaced_value_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Sled::open(&dir.path().join("sled"), 16 << 20).unwrap());
    let committed = Committed::start(store.clone(), CommitterOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let commit = |batch: Batch| runtime.as_ref().unwrap().block_on(committed.commit(batch));
    let large = || vec![7; 3 * split::PIECE_BYTES];
    let pieces = || store.hot.range(..[split::PIECES + 1].as_slice()).count();
    for looked_at in [false, true] {
        for replacement in [Some(large()), Some(vec![1]), None] {
            let mut put = Batch::default();
            put.put(Tree::Hot, "k", large());
            commit(put).unwrap();
            assert_eq!(pieces(), 3);
            let mut replace = Batch::default();
            if looked_at {
                replace.expect(Tree::Hot, "k", Condition::Present);
            }
            let left = replacement
                .as_ref()
                .map_or(0, |v| v.len() / split::PIECE_BYTES);
            match replacement {
                Some(value) => replace.put(Tree::Hot, "k", value),
                None => replace.delete(Tree::Hot, "k"),
            }
            commit(replace).unwrap();
            assert_eq!(pieces(), left);
        }
    }
}
