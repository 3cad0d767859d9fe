//! `/v1/events`: what changes, told to consoles that listen (server-sent events).
//!
//! Nothing that changed is in an event, only where to look again: what a listener
//! misses it reads anew.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use super::{
    Answer, Services, authenticate,
    authenticate::ReqCaller,
    health::Lifecycle,
    openapi::Refused,
    routes,
    samples::{Sample, Samples},
};
use crate::{
    service::{Code, Error},
    store::keys,
};

/// Listeners at once.
const STREAMS_MAX: usize = 100;
/// How often changes are looked for, and told at most.
const LOOK: Duration = Duration::from_millis(500);
/// Without a word for so long the stream says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Runs under way are told of at every fourth look.
const LOOKS_AT_RUNNING: u64 = 4;
/// A stream ends after this; the browser opens another.
const LASTS: Duration = Duration::from_secs(600);

/// What a listener is told of, and keys of the families that change with it.
const TOPICS: [(&str, &[&str]); 3] = [
    (
        "runs",
        &[
            keys::jobs::RUNS,
            keys::jobs::RUNS_BY,
            keys::jobs::RUNNING,
            keys::jobs::PAUSES,
        ],
    ),
    ("app", &[keys::APP_HEAD, keys::WORK]),
    ("tenants", &[keys::TENANTS]),
];

/// The places of listeners.
#[derive(Default)]
pub struct Streams(Arc<AtomicUsize>);

/// One place; given back when dropped.
struct Seat(Arc<AtomicUsize>);

impl Streams {
    fn seat(&self) -> Option<Seat> {
        let taken = |seats| (seats < STREAMS_MAX).then_some(seats + 1);
        self.0.fetch_update(SeqCst, SeqCst, taken).ok()?;
        Some(Seat(self.0.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// The route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(routes::resource("/v1/events").route(web::get().to(listen)));
}

/// Tells what changes, as server-sent events, for ten minutes at most.
///
/// `changed` has the topics that are to be read anew (`runs`, `app`, `tenants`), told
/// twice a second at most; `sample` has a `Sample` as in the overview, every five
/// seconds. At most 100 listeners at once.
#[utoipa::path(
    get, path = "/v1/events", tag = "server",
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Refused)
)]
pub async fn listen(
    app: Services,
    caller: ReqCaller,
    request: HttpRequest,
    lifecycle: web::Data<Lifecycle>,
    samples: web::Data<Samples>,
    streams: web::Data<Streams>,
) -> Answer {
    caller.0.require_operator()?;
    let seat = streams.seat().ok_or_else(|| {
        let detail = format!("{STREAMS_MAX} consoles listen already; close one.");
        Error::new(Code::Unavailable, detail).retry_after(30)
    })?;
    let now = Instant::now();
    let listener = Listener {
        seen: families(&app),
        token: authenticate::token(&request),
        app,
        samples: samples.newest(),
        stopping: lifecycle.stopping(),
        ends: now + LASTS,
        said: now,
        first: true,
        looks: 0,
        _seat: seat,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let events = listener.next().await?;
        Some((Ok::<_, Infallible>(events), listener))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // A proxy or compression would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .insert_header(header::ContentEncoding::Identity)
        .streaming(Box::pin(events)))
}

/// The state of every topic's families; the engine moves it on with each write.
fn families(app: &Services) -> [Option<Vec<u64>>; TOPICS.len()] {
    TOPICS.map(|(_, of)| {
        let states = of
            .iter()
            .map(|key| app.core.engine.generation(key.as_bytes()));
        states.collect()
    })
}

/// One listener.
struct Listener {
    app: Services,
    /// What it showed; a command on the machine shows nothing.
    token: Option<String>,
    samples: watch::Receiver<Option<Sample>>,
    stopping: watch::Receiver<bool>,
    seen: [Option<Vec<u64>>; TOPICS.len()],
    ends: Instant,
    said: Instant,
    first: bool,
    looks: u64,
    _seat: Seat,
}

impl Listener {
    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if std::mem::take(&mut self.first) {
            return Some("retry: 2000\n\n".into());
        }
        loop {
            let is_new = tokio::select! {
                sampled = self.samples.changed() => sampled.is_ok(),
                () = tokio::time::sleep(LOOK) => false,
                _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            };
            if Instant::now() >= self.ends {
                return None;
            }
            let mut events = String::new();
            if is_new && let Some(sample) = &*self.samples.borrow_and_update() {
                events += &format!("event: sample\ndata: {}\n\n", json!(sample));
            }
            let mut topics = self.changed();
            // How far they have come is not in the families that are looked at.
            if self.looks.is_multiple_of(LOOKS_AT_RUNNING)
                && !topics.contains(&"runs")
                && self.app.job_metrics.running() > 0
            {
                topics.push("runs");
            }
            self.looks += 1;
            if !topics.is_empty() {
                events += &format!("event: changed\ndata: {}\n\n", json!({"topics": topics}));
            }
            if self.said.elapsed() >= KEEP_ALIVE {
                if !self.may_listen().await {
                    return None;
                }
                self.said = Instant::now();
                events += ": still here\n\n";
            }
            if !events.is_empty() {
                return Some(events.into());
            }
        }
    }

    /// The topics that changed since they were looked at. An engine that others write
    /// to as well knows of no change, so all may have.
    fn changed(&mut self) -> Vec<&'static str> {
        let now = families(&self.app);
        let topics = TOPICS.iter().zip(now.iter().zip(&self.seen));
        let changed = topics.filter(|(_, (now, seen))| now.is_none() || now != seen);
        let changed = changed.map(|((topic, _), _)| *topic).collect();
        self.seen = now;
        changed
    }

    /// Whether the session or key still holds.
    async fn may_listen(&self) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let caller = self.app.auth.caller_of_token(token).await;
        caller.is_ok_and(|caller| caller.is_operator())
    }
}
