//! What a service manager is told and asks: that the server is ready, reloads,
//! stops, and that it still works. systemd's protocol (`sd_notify`); without a manager
//! (no `NOTIFY_SOCKET`) nothing is told.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::Signal;

use crate::base::{Clock as _, SystemClock};
use crate::http::liveness::Liveness;
use crate::http::tls::{Certificate, Certificates};

/// Requests are answered at `url`.
pub fn ready(url: &str) {
    let status = format!("serving {url}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The server is on its way down.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells the manager's watchdog that the server works, for as long as it does:
/// twice in the time after which the manager kills it. Ends at once where no manager
/// watches.
pub async fn watch(mut liveness: Liveness) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Between two signs of life lie a pause and a check, each a quarter at most.
    let quarter = limit / 4;
    loop {
        match liveness.hangs(quarter).await {
            None => tell(&[NotifyState::Watchdog]),
            Some(what) => tracing::error!(
                what,
                "the server hangs; the service manager restarts it if that goes on"
            ),
        }
        tokio::time::sleep(quarter).await;
    }
}

/// Reads the certificate anew at each SIGHUP.
pub async fn reload_at(mut hangup: Signal, certificates: Option<Arc<Certificates>>) {
    while hangup.recv().await.is_some() {
        let Some(certificates) = &certificates else {
            tracing::info!("SIGHUP: without TLS there is nothing to read anew");
            continue;
        };
        let now = NotifyState::monotonic_usec_now();
        let now = now.unwrap_or(NotifyState::MonotonicUsec(0));
        tell(&[NotifyState::Reloading, now]);
        match certificates.reload() {
            Ok(certificate) => {
                tracing::info!(
                    names = certificate.names.join(","),
                    not_after = certificate.not_after.to_rfc3339(),
                    "the certificate was read anew"
                );
                warn_of(&certificate);
            }
            Err(error) => tracing::error!(
                %error,
                "the certificate could not be read anew; the one from before stays"
            ),
        }
        tell(&[NotifyState::Ready]);
    }
}

/// Says in the log what clients hold against a certificate.
pub fn warn_of(certificate: &Certificate) {
    if let Some(trouble) = certificate.trouble(SystemClock.now()) {
        tracing::warn!("{trouble}");
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
