//! Backups: of one moment whatever is written meanwhile; refused when anything is wrong
//! with the file; restored without losing what was there.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use age::secrecy::ExposeSecret as _;
use tenantry::{
    base::{Clock as _, SystemClock},
    store::{
        self, Batch, Condition, DiskEngine, Key, OpenStore, Scan, StoreOptions, Tree, Value,
        backup::{self, BackupError, BackupReader, Facts, Identities, Recipients, Trailer},
        codec::decode_counter,
        committer::SEQUENCE_KEY,
    },
};

const ACCOUNTS: u64 = 4_000;
const WRITERS: u64 = 6;
const START: i64 = 1_000;

fn open(dir: &Path, engine: Option<DiskEngine>) -> OpenStore {
    let options = StoreOptions {
        engine,
        cache_bytes: 16 << 20,
        committer: store::CommitterOptions::default(),
    };
    store::open(dir, &options).unwrap()
}

fn facts(encrypted: bool) -> Facts {
    Facts {
        id: "20260301T000000000Z".into(),
        kind: "manual".into(),
        engine: "sled".into(),
        started_ms: 1,
        encrypted,
        version: "0".into(),
    }
}

fn no_watch(_: backup::CreateProgress) -> Result<(), BackupError> {
    Ok(())
}

fn create(store: &OpenStore, path: &Path, recipients: &Recipients) -> Trailer {
    let facts = facts(!recipients.is_empty());
    let made = backup::create(store, &SystemClock, path, &facts, recipients, &mut no_watch);
    let made = made.unwrap();
    assert_eq!(made.bytes, fs::metadata(path).unwrap().len());
    made.trailer
}

fn restored(
    path: &Path,
    dir: &Path,
    identities: Option<&Identities>,
) -> Result<Trailer, BackupError> {
    let mut reader = BackupReader::open(path, identities)?;
    let engine = DiskEngine::ALL[0];
    let done = backup::into_folder(&mut reader, dir, engine, &|_| true, &mut |_| Ok(()))?;
    Ok(done.trailer)
}

async fn rows(store: &OpenStore, tree: Tree, prefix: &str) -> Vec<(Key, Value)> {
    let mut scan = Scan::prefix(tree, Key::copy_from_slice(prefix.as_bytes()));
    let mut rows = Vec::new();
    loop {
        let page = store.engine.scan(&scan).await.unwrap();
        rows.extend(page.rows);
        match page.next {
            Some(next) => scan.after = Some(next),
            None => return rows,
        }
    }
}

/// Half of the accounts are in each tree, so that most transfers cross them.
fn account(number: u64) -> (Tree, Key) {
    let tree = Tree::ALL[(number % 2) as usize];
    // Spread over the keys: a transfer is between a page read long ago and one to come.
    let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (
        tree,
        format!("bank#account#{place:016x}{}", "-".repeat(100)).into(),
    )
}

async fn fill(store: &OpenStore) {
    for first in (0..ACCOUNTS).step_by(500) {
        let mut batch = Batch::default();
        for number in first..first + 500 {
            let (tree, key) = account(number);
            batch.add(tree, key, START);
        }
        store.engine.commit(batch).await.unwrap();
    }
}

/// What a writer was told: when it began a transfer and when that was acknowledged.
#[derive(Debug)]
struct Told {
    name: String,
    began_ms: i64,
    acknowledged_ms: i64,
}

/// Moves money between accounts until told to stop, and makes and unmakes accounts.
async fn transfer(
    store: OpenStore,
    writer: u64,
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
) -> Vec<Told> {
    let mut told = Vec::new();
    let mut number = 0_u64;
    while !stop.load(SeqCst) {
        let pick =
            |salt: u64| (number * 31 + writer * 7 + salt).wrapping_mul(2_654_435_761) % ACCOUNTS;
        let (from, to) = (account(pick(1)), account(pick(17)));
        // Before the accounts: whoever reads the log, which grows, still has them to come.
        let name = format!("aaa#log#{writer}-{number:08}");
        let mut batch = Batch::default();
        let amount = (number % 90 + 1) as i64;
        batch.add(from.0, from.1, -amount);
        batch.add(to.0, to.1, amount);
        batch.expect(Tree::Archive, name.clone(), Condition::Absent);
        batch.put(
            Tree::Archive,
            name.clone(),
            vec![b'x'; (number % 700) as usize],
        );
        // A key that comes and goes: its last state has to be the right one.
        let flag = format!("bank#flag#{writer}");
        match number % 2 {
            0 => batch.put(Tree::Hot, flag, number.to_le_bytes().to_vec()),
            _ => batch.delete(Tree::Hot, flag),
        }
        let began_ms = SystemClock.now().0;
        store.engine.commit(batch).await.unwrap();
        let acknowledged_ms = SystemClock.now().0;
        told.push(Told {
            name,
            began_ms,
            acknowledged_ms,
        });
        made.fetch_add(1, SeqCst);
        number += 1;
    }
    told
}

async fn is_of_one_moment(engine: DiskEngine) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"), Some(engine));
    fill(&store).await;
    let (stop, made) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| tokio::spawn(transfer(store.clone(), n, stop.clone(), made.clone())))
        .collect();
    let path = dir.path().join("b.backup");
    // Writers get a turn before the first page, behind each one, and behind the moment.
    let more = |made: &AtomicU64, more: u64| {
        let until = made.load(SeqCst) + more;
        while made.load(SeqCst) < until {
            std::thread::yield_now();
        }
    };
    let (of_thread, file, count) = (store.clone(), path.clone(), made.clone());
    let trailer = tokio::task::spawn_blocking(move || {
        more(&count, 60);
        let none = Recipients::default();
        let mut watch = |_| {
            more(&count, 10);
            Ok(())
        };
        let created = backup::create(
            &of_thread,
            &SystemClock,
            &file,
            &facts(false),
            &none,
            &mut watch,
        );
        more(&count, 60);
        created.unwrap().trailer
    });
    let trailer = trailer.await.unwrap();
    stop.store(true, SeqCst);
    let mut told = Vec::new();
    for writer in writers {
        told.extend(writer.await.unwrap());
    }
    store.close();
    assert!(
        trailer.changes > 100,
        "nothing was written meanwhile: {trailer:?}"
    );

    let target = dir.path().join("restored");
    assert_eq!(restored(&path, &target, None).unwrap(), trailer);
    let copy = open(&target, None);
    let mut sum = 0;
    for tree in Tree::ALL {
        for (_, value) in rows(&copy, tree, "bank#account#").await {
            sum += decode_counter(Some(&value)).unwrap();
        }
    }
    assert_eq!(sum, ACCOUNTS as i64 * START, "money came or went");
    let sequence = copy
        .engine
        .get(Tree::Hot, &SEQUENCE_KEY.into())
        .await
        .unwrap();
    assert_eq!(
        decode_counter(sequence.as_ref()).unwrap() as u64,
        trailer.sequence
    );
    let log = rows(&copy, Tree::Archive, "aaa#log#").await;
    let fills = ACCOUNTS / 500;
    assert_eq!(
        log.len() as u64 + fills,
        trailer.sequence,
        "one commit, one number"
    );
    let log: BTreeSet<_> = log
        .iter()
        .map(|(k, _)| String::from_utf8_lossy(k).into_owned())
        .collect();
    let (mut before, mut after) = (0, 0);
    for one in &told {
        if one.acknowledged_ms < trailer.moment_ms {
            assert!(log.contains(&one.name), "{one:?} is missing, {trailer:?}");
            before += 1;
        }
        if one.began_ms > trailer.moment_ms {
            assert!(!log.contains(&one.name), "{one:?} is too new, {trailer:?}");
            after += 1;
        }
    }
    assert!(before > 50 && after > 10, "{before} {after}");
    // Each writer's flag is as its last transfer in the backup left it.
    for writer in 0..WRITERS {
        let prefix = format!("aaa#log#{writer}-");
        let last = log.iter().rfind(|name| name.starts_with(&prefix));
        let last: Option<u64> = last.map(|name| name[prefix.len()..].parse().unwrap());
        let flag = format!("bank#flag#{writer}").into();
        let flag = copy.engine.get(Tree::Hot, &flag).await.unwrap();
        let wanted = last
            .filter(|n| n % 2 == 0)
            .map(|n| n.to_le_bytes().to_vec());
        assert_eq!(
            flag.map(|v| v.to_vec()),
            wanted,
            "writer {writer}, {last:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_of_one_moment_on_sled() {
    is_of_one_moment(DiskEngine::Sled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_of_one_moment_on_fjall() {
    is_of_one_moment(DiskEngine::Fjall).await;
}

/// Bytes that do not get smaller.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A small store, and a backup of it.
async fn small(dir: &Path, recipients: &Recipients) -> (OpenStore, std::path::PathBuf) {
    let store = open(&dir.join("store"), None);
    for number in 0..60_u32 {
        let mut batch = Batch::default();
        let value = noise(number, 10 + number as usize * 211 % 2_000);
        batch.put(
            Tree::ALL[number as usize % 2],
            format!("a#b#{number}"),
            value,
        );
        store.engine.commit(batch).await.unwrap();
    }
    let path = dir.join("b.backup");
    create(&store, &path, recipients);
    (store, path)
}

#[tokio::test]
async fn everything_comes_back_as_it_was_but_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = small(dir.path(), &Recipients::default()).await;
    let before = [
        rows(&store, Tree::Hot, "").await,
        rows(&store, Tree::Archive, "").await,
    ];
    let mut batch = Batch::default();
    batch.put(Tree::Hot, "~#session#abc", "signed in");
    store.engine.commit(batch).await.unwrap();
    fs::remove_file(&path).unwrap();
    create(&store, &path, &Recipients::default());
    restored(&path, &dir.path().join("copy"), None).unwrap();
    let copy = open(&dir.path().join("copy"), None);
    let mut after = [
        rows(&copy, Tree::Hot, "").await,
        rows(&copy, Tree::Archive, "").await,
    ];
    // The commit of the session counts.
    let sequence = after[0].last_mut().unwrap();
    assert_eq!(sequence.0, SEQUENCE_KEY);
    sequence.1 = before[0].last().unwrap().1.clone();
    assert_eq!(after, before);
}

/// A pair of keys: the public one and the identity file's text.
fn pair() -> (Recipients, String) {
    let key = age::x25519::Identity::generate();
    let text = format!("# created: now\n{}\n", key.to_string().expose_secret());
    (
        Recipients::parse(&[key.to_public().to_string()]).unwrap(),
        text,
    )
}

#[tokio::test]
async fn any_byte_that_is_changed_or_gone_is_found_with_its_place() {
    let (recipients, text) = pair();
    let identities = Identities::parse(&text).unwrap();
    for (recipients, identities) in [
        (Recipients::default(), None),
        (recipients, Some(&identities)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (_store, path) = small(dir.path(), &recipients).await;
        let whole = fs::read(&path).unwrap();
        let bad = dir.path().join("bad");
        let read = |bytes: &[u8]| {
            fs::write(&bad, bytes).unwrap();
            let mut reader = BackupReader::open(&bad, identities)?;
            let mut all = Vec::new();
            loop {
                match reader.frame()? {
                    backup::Next::Writes(writes) => all.extend(writes),
                    backup::Next::End(trailer) => return Ok((all, trailer)),
                }
            }
        };
        let content = read(&whole).unwrap();
        let mut harmless = 0;
        let every = |n: usize| (0..whole.len()).filter(move |at| *at < 200 || at % n == 0);
        for at in every(397) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let error = match read(&bytes) {
                Err(error) => error,
                // zstd has bits in its head that mean nothing.
                Ok(read) => {
                    assert!(read == content, "byte {at} of {}", whole.len());
                    harmless += 1;
                    continue;
                }
            };
            let told = matches!(
                error,
                BackupError::Damaged { .. }
                    | BackupError::CutShort { .. }
                    | BackupError::Foreign(_)
                    | BackupError::Newer { .. }
                    | BackupError::Locked { .. }
            );
            assert!(told, "byte {at}: {error:?}");
        }
        assert!(harmless <= 2, "{harmless}");
        for length in every(389) {
            let error =
                read(&whole[..length]).expect_err(&format!("{length} bytes of {}", whole.len()));
            let text = error.to_string();
            assert!(text.contains(&bad.display().to_string()), "{text}");
            let told = matches!(
                error,
                BackupError::Damaged { .. }
                    | BackupError::CutShort { .. }
                    | BackupError::Foreign(_)
                    | BackupError::Newer { .. }
            );
            assert!(told, "{length} bytes: {error:?}");
        }
        let mut longer = whole.clone();
        longer.extend_from_slice(b"more");
        let error = read(&longer).unwrap_err();
        assert!(matches!(error, BackupError::Damaged { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, path) = small(dir.path(), &Recipients::default()).await;
    let whole = fs::read(&path).unwrap();
    let told = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let read = restored(&path, &dir.path().join(format!("{name}-store")), None);
        read.unwrap_err()
            .to_string()
            .replace(&format!("{}/", dir.path().display()), "")
    };
    let foreign = "is no backup of Tenantry: it does not begin as one.";
    assert_eq!(told("empty", b""), format!("empty {foreign}"));
    assert_eq!(told("png", b"\x89PNG\r\n"), format!("png {foreign}"));
    let newer = told("newer", b"TENANTRY-BACKUP 2\n{}\n");
    assert!(
        newer.starts_with("newer has the format \"2\", which this version"),
        "{newer}"
    );
    let half = whole.len() / 2;
    let short = told("short", &whole[..half]);
    assert!(
        short.starts_with(&format!(
            "short was cut short: it ends at byte {half}, inside frame "
        )),
        "{short}"
    );
    let mut flipped = whole.clone();
    flipped[half] ^= 1;
    let flipped = told("flipped", &flipped);
    assert!(
        flipped.starts_with("flipped is damaged before byte "),
        "{flipped}"
    );
    assert!(flipped.ends_with(" Use another backup."), "{flipped}");
    let folder = BackupReader::open(dir.path(), None).err().unwrap();
    assert!(matches!(folder, BackupError::Foreign(_)), "{folder}");
    let missing = BackupReader::open(&dir.path().join("missing"), None)
        .err()
        .unwrap();
    assert!(
        missing.to_string().contains("cannot be read: No such file"),
        "{missing}"
    );
}

#[tokio::test]
async fn an_encrypted_backup_opens_for_its_identity_only() {
    let dir = tempfile::tempdir().unwrap();
    let (recipients, right) = pair();
    let (_, wrong) = pair();
    let (store, path) = small(dir.path(), &recipients).await;
    let bytes = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes[..400]);
    assert!(text.starts_with("TENANTRY-BACKUP 1\n{\"id\":"), "{text}");
    let with = |name: &str, text: Option<&str>| {
        let identities = text.map(|text| Identities::parse(text).unwrap());
        restored(&path, &dir.path().join(name), identities.as_ref())
    };
    let none = with("none", None).unwrap_err().to_string();
    assert!(
        none.contains("it takes an identity file of age to open it"),
        "{none}"
    );
    let foreign = with("wrong", Some(&wrong)).unwrap_err().to_string();
    assert!(
        foreign.contains("none of the identities that were given opens it"),
        "{foreign}"
    );
    with("right", Some(&right)).unwrap();
    let copy = open(&dir.path().join("right"), None);
    assert_eq!(
        rows(&copy, Tree::Hot, "a#").await,
        rows(&store, Tree::Hot, "a#").await
    );
    let nonsense = Identities::parse("AGE-SECRET-KEY-1NONSENSE")
        .err()
        .unwrap()
        .to_string();
    assert!(
        nonsense.contains("no secret key of age") && !nonsense.contains("NONSENSE"),
        "{nonsense}"
    );
    let nobody = Recipients::parse(&["age1nonsense".into()])
        .err()
        .unwrap()
        .to_string();
    assert!(
        nobody.contains("\"age1nonsense\" is no public key of age"),
        "{nobody}"
    );
}

#[tokio::test]
async fn a_reader_that_falls_behind_breaks_the_backup_and_not_the_writers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = DiskEngine::Fjall.open(dir.path(), 8 << 20).unwrap();
    let committed = store::committer::Committed::start(
        Arc::new(engine) as Arc<dyn store::Embedded>,
        store::CommitterOptions::default(),
    )
    .unwrap();
    let tee = committed.tee(10_000).unwrap();
    assert!(committed.tee(1).is_err(), "two at once");
    use store::Engine as _;
    let put = |number: usize| {
        let mut batch = Batch::default();
        batch.put(Tree::Hot, format!("a#b#{number}"), vec![0; 3_000]);
        committed.commit(batch)
    };
    for number in 0..2 {
        put(number).await.unwrap();
    }
    // The change sequence is written with each.
    assert_eq!(tee.take().unwrap().len(), 4);
    for number in 0..6 {
        put(number).await.unwrap();
    }
    let error = tee.take().unwrap_err().to_string();
    assert!(
        error.contains("writes came faster than the backup could be written"),
        "{error}"
    );
    drop(tee);
    committed.tee(1).unwrap();
}

#[tokio::test]
async fn a_backup_that_is_stopped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = small(dir.path(), &Recipients::default()).await;
    fs::remove_file(&path).unwrap();
    let stopped = backup::create(
        &store,
        &SystemClock,
        &path,
        &facts(false),
        &Recipients::default(),
        &mut |_| Err(BackupError::Stopped),
    );
    assert!(matches!(stopped, Err(BackupError::Stopped)));
    assert_eq!(names(dir.path()), ["store"]);
    create(&store, &path, &Recipients::default());
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn switch(path: &Path, dir: &Path, before: Option<&str>) -> Result<(), BackupError> {
    let mut reader = BackupReader::open(path, None)?;
    backup::switch(&mut reader, dir, DiskEngine::Fjall, before, &mut |_| Ok(())).map(drop)
}

#[tokio::test]
async fn a_restore_takes_the_place_of_a_store_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = small(dir.path(), &Recipients::default()).await;
    let wanted = rows(&store, Tree::Archive, "").await;
    let mut batch = Batch::default();
    batch.put(Tree::Archive, "a#b#later", "written after the backup");
    store.engine.commit(batch).await.unwrap();
    store.close();
    drop(store);
    let live = dir.path().join("store");
    // Without a word on the store that is there, it stays.
    assert!(switch(&path, &live, None).is_err());
    let later = "a#b#later".into();
    let is_there = open(&live, None)
        .engine
        .get(Tree::Archive, &later)
        .await
        .unwrap()
        .is_some();
    assert!(is_there);
    switch(&path, &live, Some("store.before")).unwrap();
    assert_eq!(names(dir.path()), ["b.backup", "store", "store.before"]);
    assert_eq!(names(&live), ["FORMAT", "fjall"]);
    assert_eq!(rows(&open(&live, None), Tree::Archive, "").await, wanted);
    let before = open(&dir.path().join("store.before"), None);
    assert!(
        before
            .engine
            .get(Tree::Archive, &later)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_restore_cut_short_is_taken_back_or_finished() {
    let dir = tempfile::tempdir().unwrap();
    let (store, path) = small(dir.path(), &Recipients::default()).await;
    let wanted = rows(&store, Tree::Hot, "").await;
    store.close();
    drop(store);
    let (live, new) = (dir.path().join("store"), dir.path().join("store.restored"));
    // While it was filled.
    fs::create_dir(&new).unwrap();
    fs::write(new.join("FORMAT"), "1 fjall\n").unwrap();
    assert_eq!(rows(&open(&live, None), Tree::Hot, "").await, wanted);
    assert_eq!(names(dir.path()), ["b.backup", "store"]);
    // Complete, and the store before was put aside.
    restored(&path, &new, None).unwrap();
    fs::File::create(new.join("RESTORED")).unwrap();
    fs::rename(&live, dir.path().join("store.before")).unwrap();
    assert_eq!(rows(&open(&live, None), Tree::Hot, "").await, wanted);
    assert_eq!(names(dir.path()), ["b.backup", "store", "store.before"]);
    assert_eq!(names(&live), ["FORMAT", "sled"]);
    // A damaged file: the store that is there stays.
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(switch(&path, &live, Some("store.other")).is_err());
    assert_eq!(names(dir.path()), ["b.backup", "store", "store.before"]);
    assert_eq!(rows(&open(&live, None), Tree::Hot, "").await, wanted);
}
