//! The HTTP server: one actix-web server on the TCP address and on the data
//! folder's Unix socket.

use std::{io, net::TcpListener, os::unix::net::UnixListener, sync::Arc, time::Duration};

use actix_web::{
    App as ActixApp, HttpServer,
    dev::{Server, ServerHandle},
    middleware::{Compress, Condition, from_fn},
    web,
};

use super::{
    Services,
    activity::Activity,
    authenticate, compress,
    connections::Connections,
    cors,
    events::Streams,
    headers,
    health::Lifecycle,
    metrics::Metrics,
    observe, permissions,
    problem::{self, Allowed},
    routes,
    samples::{self, Samples},
    unread,
};
use crate::app::App;

/// Where the server listens.
pub struct Listeners {
    /// For everybody; a command that serves itself has none.
    pub tcp: Option<TcpListener>,
    /// For the folder's owner.
    pub socket: UnixListener,
}

/// A server that is to be polled, and the way to stop it.
pub struct Running {
    /// Completes when the server has stopped.
    pub server: Server,
    handle: ServerHandle,
    lifecycle: web::Data<Lifecycle>,
}

impl Running {
    /// What stops the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            handle: self.handle.clone(),
            lifecycle: self.lifecycle.clone(),
        }
    }
}

/// Stops a server.
#[derive(Clone)]
pub struct Stopper {
    handle: ServerHandle,
    lifecycle: web::Data<Lifecycle>,
}

impl Stopper {
    /// Takes no further connections, lets requests finish within the stated time,
    /// and completes when the server has stopped.
    pub async fn stop(&self) {
        self.lifecycle.stop();
        self.handle.stop(true).await;
    }
}

/// Starts answering. Must be called within an actix runtime.
pub fn start(app: Arc<App>, listeners: Listeners) -> io::Result<Running> {
    let settings = app.config.server.clone();
    let services = Services::from(app);
    let lifecycle = web::Data::new(Lifecycle::default());
    let metrics = web::Data::new(Metrics::new(&services.job_metrics).map_err(io::Error::other)?);
    let (activity, samples) = (
        web::Data::new(Activity::default()),
        web::Data::new(Samples::default()),
    );
    let streams = web::Data::new(Streams::default());
    let sampling = samples::keep(services.clone(), samples.clone(), lifecycle.stopping());
    actix_web::rt::spawn(sampling);
    let shared = lifecycle.clone();
    let factory = move || {
        ActixApp::new()
            .app_data(services.clone())
            .app_data(shared.clone())
            .app_data(metrics.clone())
            .app_data(activity.clone())
            .app_data(samples.clone())
            .app_data(streams.clone())
            .app_data(web::Data::new(Allowed(permissions::methods)))
            .configure(routes::configure)
            .wrap(from_fn(compress::mark))
            .wrap(Compress::default())
            .wrap(from_fn(compress::tell))
            .wrap(from_fn(authenticate::authenticate))
            .wrap(Condition::new(
                !services.config.cors.origins.is_empty(),
                cors::cors(&services.config.cors),
            ))
            .wrap(from_fn(problem::shape))
            .wrap(from_fn(headers::add))
            .wrap(from_fn(unread::keep))
            .wrap(from_fn(observe::observe))
    };
    let connections = Connections::new(settings.connections_per_address_max);
    let mut server = HttpServer::new(factory)
        .workers(settings.workers)
        .tcp_nodelay(true)
        .keep_alive(Duration::from_secs(settings.keep_alive_s))
        .client_request_timeout(Duration::from_millis(settings.request_timeout_ms))
        .max_connections((settings.connections_max / settings.workers).max(1))
        .shutdown_timeout(settings.shutdown_grace_s)
        .disable_signals()
        .on_connect(move |connection, data| connections.opened(connection, data))
        .listen_uds(listeners.socket)?;
    if let Some(tcp) = listeners.tcp {
        server = server.listen(tcp)?;
    }
    let server = server.run();
    Ok(Running {
        handle: server.handle(),
        server,
        lifecycle,
    })
}
