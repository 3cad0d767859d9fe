//! The server inside this process: the store opened, the services built, HTTP on
//! top, upkeep beside it. `serve` runs it until it is told to stop; a command
//! that finds no server running has one of its own for as long as it takes.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_web::rt::{System, spawn};
use anyhow::{Context as _, Result, anyhow};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use super::{logging, supervise};
use crate::{
    app::App,
    base::{Lock, SystemClock, socket},
    config::{Config, TlsFiles},
    http::{
        liveness::Liveness,
        server::{Listeners, Running, Stopper, start},
        tls::Certificates,
    },
    jobs::{background::Background, engine::Engine},
    store::{self, CommitterOptions, DiskEngine, OpenStore, StoreOptions},
};

/// The store's folder within the data folder.
pub const STORE_FOLDER: &str = "store";
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The server inside this process.
pub trait InProcess: Send {
    /// Finishes what runs, flushes, closes the store.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// Builds the app and serves it on `listener` until stopped. The caller holds the
/// folder's lock.
pub fn serve_socket(config: &Config, listener: UnixListener) -> Result<Box<dyn InProcess>> {
    let store = open(config)?;
    let mut config = config.clone();
    // One command at a time asks.
    config.server.workers = 1;
    let (ready, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let listeners = Listeners {
            tcp: None,
            tls: None,
            socket: listener,
        };
        System::new().block_on(run(config, store, listeners, |_, running| {
            // The other end waits for exactly this.
            let _ = ready.send(running.stopper());
        }))
    });
    match started.recv() {
        Ok(stopper) => Ok(Box::new(OwnThread { stopper, thread })),
        // It ended before it was ready; its own error says why.
        Err(_) => Err(joined(thread)
            .err()
            .unwrap_or_else(|| anyhow!("the server did not start"))),
    }
}

/// Serves on `config.server.listen` and on the data folder's socket until SIGTERM
/// or SIGINT; SIGHUP reads the certificate anew. `ready` is called with the URL when
/// requests are answered on both. The lock is held meanwhile.
pub fn serve(config: &Config, lock: Lock, ready: Box<dyn FnOnce(&str) + Send>) -> Result<()> {
    logging::start(&config.log)?;
    let (certificates, tls) = match &config.tls.files {
        Some(files) => {
            let (certificates, tls) = tls(files)?;
            (Some(certificates), Some(tls))
        }
        None => (None, None),
    };
    let patience = Duration::from_millis(config.server.body_timeout_ms);
    let tcp = listen(config.server.listen, patience)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", tcp.local_addr()?);
    let store = open(config)?;
    let listeners = Listeners {
        tcp: Some(tcp),
        tls,
        socket: socket::bind(&config.data)
            .with_context(|| format!("cannot listen in {}", config.data.display()))?,
    };
    let data = config.data.clone();
    let served = System::new().block_on(async {
        let (mut term, mut interrupt, hangup) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        );
        run(config.clone(), store, listeners, |app, running| {
            tracing::info!(url, data = %data.display(), "serving");
            ready(&url);
            supervise::ready(&url);
            let stopper = running.stopper();
            spawn(supervise::watch(Liveness::new(
                app.store.clone(),
                running.pulse(),
            )));
            spawn(supervise::reload_at(hangup, certificates));
            spawn(async move {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!("stopping");
                supervise::stopping();
                stopper.stop().await;
            });
        })
        .await
    });
    // A left socket would be replaced by the next server; it is tidier gone.
    let _ = socket::remove_if_there(&data.join(socket::SERVER_SOCKET));
    drop(lock);
    served
}

fn tls(files: &TlsFiles) -> Result<(Arc<Certificates>, ServerConfig)> {
    let (certificates, certificate) = Certificates::load(files)?;
    supervise::warn_of(&certificate);
    Ok((certificates.clone(), certificates.settings()?))
}

/// Serves until stopped; `ready` is called when requests are answered.
async fn run(
    config: Config,
    store: OpenStore,
    listeners: Listeners,
    ready: impl FnOnce(Arc<App>, &Running),
) -> Result<()> {
    let closing = store.clone();
    let app = App::build(config, store, Arc::new(SystemClock)).await;
    let app = Arc::new(app.map_err(|error| {
        let cause = error.cause.clone().unwrap_or_default();
        anyhow!("the server cannot start: {error} {cause}")
    })?);
    app.tenants
        .undo_arrivals()
        .await
        .map_err(|error| anyhow!("the server cannot start: {error}"))?;
    let upkeep = Background::start(app.core.clone(), app.apps.clone(), app.tenants.clone());
    let folder = app.backups.folder().clone();
    tokio::task::spawn_blocking(move || folder.sweep()).await?;
    // A command that serves itself is no place for jobs.
    let jobs = match listeners.tcp {
        Some(_) => Some(Engine::start(
            app.runs.clone(),
            app.records.clone(),
            app.archive.clone(),
            app.backups.clone(),
            app.apps.clone(),
            app.job_metrics.clone(),
        )?),
        None => None,
    };
    let running = start(app.clone(), listeners)?;
    ready(app.clone(), &running);
    let served = running.server.await;
    if let Some(jobs) = jobs {
        jobs.stop().await;
    }
    app.backups.stop().await;
    upkeep.stop().await;
    closing.close();
    Ok(served?)
}

struct OwnThread {
    stopper: Stopper,
    thread: JoinHandle<Result<()>>,
}

impl InProcess for OwnThread {
    fn stop(self: Box<Self>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(self.stopper.stop());
        joined(self.thread)
    }
}

fn joined(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(anyhow!("the server broke off")))
}

fn open(config: &Config) -> Result<OpenStore> {
    let options = StoreOptions {
        // Every name but "auto", as the configuration has checked.
        engine: DiskEngine::named(&config.store.engine),
        cache_bytes: config.store.cache_bytes,
        committer: CommitterOptions {
            queue_batches: config.store.queue_batches_max,
            cache_bytes: config.store.record_cache_bytes,
            ..CommitterOptions::default()
        },
    };
    Ok(store::open(&config.data.join(STORE_FOLDER), &options)?)
}

fn listen(address: SocketAddr, patience: Duration) -> Result<TcpListener> {
    let bind = || {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart may not have to wait for the last one's connections to be forgotten.
        socket.set_reuse_address(true)?;
        // Connections inherit it from the listener: a client that went away, or
        // that stopped reading its answer, is given up by the system.
        socket.set_tcp_user_timeout(Some(patience))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        std::io::Result::Ok(socket.into())
    };
    bind().with_context(|| {
        format!("cannot listen on {address}; --listen or [server] listen chooses another address")
    })
}
