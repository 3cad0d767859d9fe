//! What only sled's own counters show.

use super::*;

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
            };
            store.apply(&[write]).unwrap();
        }
        assert!(fsync::calls() >= before + 2, "round {round}");
    }
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
    };
    store.apply(&[write]).unwrap();
    for piece in split::piece_keys(0, 3 * split::PIECE_BYTES) {
        assert!(store.hot.contains_key(piece).unwrap());
        assert_eq!(store.get(Tree::Hot, &piece).unwrap(), None);
    }
    let page = store.scan(&Scan::prefix(Tree::Hot, Key::new())).unwrap();
    assert_eq!(page.rows.len(), 1);
}
