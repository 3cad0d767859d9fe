//! Killed at random moments, the server loses nothing that it acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, json as run, ok, text};

const ROUNDS: usize = 20;
const WRITERS: usize = 8;
/// Each writer has records of its own, so that what it was told last holds.
const RECORDS: usize = 12;

/// What a writer knows of one of its records.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The acknowledged state: its number, or none where it was deleted.
    acknowledged: Option<u64>,
    /// What was sent and not answered; it may or may not have happened.
    unanswered: Option<Option<u64>>,
}

type World = Arc<Mutex<BTreeMap<String, Known>>>;

async fn write(server: (String, String), writer: usize, world: World, stop: Arc<AtomicBool>) {
    let (url, key) = server;
    let http = crate::server::client();
    let mut number = 0_u64;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        let id = format!("w{writer}-{}", number as usize * 7 % RECORDS);
        let wanted = (number % 5 != 4).then_some(number);
        let path = format!("{url}/v1/tenants/demo/records/ticket/{id}");
        let request = match wanted {
            Some(number) => http.put(&path).json(&json!({
                "subject": number.to_string(),
                "status": (["open", "pending", "closed"][number as usize % 3]),
                "opened_at": format!("2026-03-01T00:00:{:02}Z", number % 60),
                "filler": "x".repeat(number as usize * 131 % 9000),
            })),
            None => http.delete(&path),
        };
        world
            .lock()
            .unwrap()
            .entry(id.clone())
            .or_default()
            .unanswered = Some(wanted);
        let Ok(response) = request.bearer_auth(&key).send().await else {
            return;
        };
        let status = response.status();
        let done = status.is_success() || (wanted.is_none() && status == 404);
        assert!(done, "{status}: {:?}", response.text().await);
        let mut world = world.lock().unwrap();
        let known = world.entry(id).or_default();
        known.acknowledged = wanted;
        known.unanswered = None;
    }
}

fn number_of(record: &Json) -> u64 {
    text(&record["data"]["subject"]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_times_killed_on_sled_nothing_is_lost() {
    twenty_times_killed("sled").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_times_killed_on_fjall_nothing_is_lost() {
    twenty_times_killed("fjall").await;
}

async fn twenty_times_killed(engine: &str) {
    let mut server = Server::start_with(&[("TENANTRY_STORE__ENGINE", engine)]).await;
    let stats = run(&server.data(), &["store", "stats"]);
    assert_eq!(stats["engine"], engine);
    let world: World = Arc::default();
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let to = (server.url.clone(), server.key.clone());
                tokio::spawn(write(to, writer, world.clone(), stop.clone()))
            })
            .collect();
        // Somewhere between the first write and thousands of them.
        tokio::time::sleep(Duration::from_millis(20 + (round as u64 * 37) % 260)).await;
        server.signal(Signal::SIGKILL);
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        server.run();
        let mut found_now = world.lock().unwrap().clone();
        for (id, known) in &mut found_now {
            let path = format!("/v1/tenants/demo/records/ticket/{id}");
            let response = server.by_key(Method::GET, &path).send().await.unwrap();
            let found = match response.status().as_u16() {
                404 => None,
                200 => Some(number_of(&response.json().await.unwrap())),
                other => panic!("{other}"),
            };
            let possible = found == known.acknowledged || known.unanswered == Some(found);
            assert!(possible, "round {round}, {id}: {found:?}, known {known:?}");
            *known = Known {
                acknowledged: found,
                unanswered: None,
            };
        }
        let checked = run(&server.data(), &["store", "check"]);
        assert_eq!(checked["problems"], json!([]), "round {round}");
        let alive = found_now
            .iter()
            .filter(|(_, k)| k.acknowledged.is_some())
            .count();
        let counted = ok(server.get("/v1/tenants/demo/records/ticket?count=true&limit=1")).await;
        assert_eq!(counted["count"], alive);
        *world.lock().unwrap() = found_now;
    }
}
