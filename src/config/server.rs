//! `[server]` and `[tls]`: who can reach the server, and how safely.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use super::load::cores;
use super::reader::Reader;
use super::{Config, ProxyHeader, Server, Tls, TlsFiles};

const DAY_MS: u64 = 86_400_000;
const YEAR_S: u64 = 31_536_000;
/// Proxies that may be named.
const PROXIES_MAX: usize = 100;

pub(super) fn server(r: &mut Reader) -> Server {
    let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    let workers = r.integer("server.workers", 0, 0..=1024);
    Server {
        listen: r.text_as(
            "server.listen",
            listen,
            "an address and a port such as \"127.0.0.1:8080\"",
        ),
        allow_plain_http: r.boolean("server.allow_plain_http", false),
        workers: if workers == 0 { cores() } else { workers },
        request_timeout_ms: r.integer("server.request_timeout_ms", 5_000, 100..=DAY_MS),
        body_timeout_ms: r.integer("server.body_timeout_ms", 30_000, 100..=DAY_MS),
        keep_alive_s: r.integer("server.keep_alive_s", 15, 1..=3_600),
        shutdown_grace_s: r.integer("server.shutdown_grace_s", 20, 0..=3_600),
        connections_max: r.integer("server.connections_max", 4_096, 1..=1_000_000),
        connections_per_address_max: r.integer(
            "server.connections_per_address_max",
            256,
            0..=1_000_000,
        ),
        trusted_proxies: proxies(r),
        proxy_header: r.parsed(
            "server.proxy_header",
            ProxyHeader::XForwardedFor,
            "\"x-forwarded-for\" or \"forwarded\"",
            |text| match text {
                "x-forwarded-for" => Some(ProxyHeader::XForwardedFor),
                "forwarded" => Some(ProxyHeader::Forwarded),
                _ => None,
            },
        ),
    }
}

fn proxies(r: &mut Reader) -> Vec<IpNet> {
    let named = r.texts_or(
        "server.trusted_proxies",
        &["127.0.0.0/8", "::1"],
        PROXIES_MAX,
        "addresses and networks such as \"10.0.0.7\" or \"10.0.0.0/24\"",
        |text| network(text).is_some(),
    );
    named.iter().filter_map(|text| network(text)).collect()
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

pub(super) fn tls(r: &mut Reader, file: Option<&Path>) -> Tls {
    let certificate = r.optional_path("tls.certificate", file);
    let key = r.optional_path("tls.key", file);
    let hsts_max_age_s = r.integer("tls.hsts_max_age_s", YEAR_S, 0..=10 * YEAR_S);
    for (given, missing, other) in [
        (&certificate, &key, ("tls.key", "tls.certificate")),
        (&key, &certificate, ("tls.certificate", "tls.key")),
    ] {
        if given.is_some() && missing.is_none() {
            let (missing, given) = other;
            r.conflict(
                missing,
                format!("expected a file's path beside {given}, found none"),
            );
        }
    }
    Tls {
        files: certificate
            .zip(key)
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        hsts_max_age_s,
    }
}

/// Passwords, keys and records go to other machines in the clear only where
/// somebody said so.
pub(super) fn check(r: &mut Reader, config: &Config) {
    let Server {
        listen,
        allow_plain_http,
        ..
    } = config.server;
    let stays_here = listen.ip().to_canonical().is_loopback();
    if stays_here || allow_plain_http || config.tls.files.is_some() {
        return;
    }
    r.conflict(
        "server.listen",
        format!(
            "{listen} can be reached from other machines, and without TLS passwords and records \
             would cross the network in the clear; set tls.certificate and tls.key, or listen on \
             127.0.0.1 behind a proxy with TLS on this machine, or, where the proxy is on another \
             one or this is a container, set server.allow_plain_http = true"
        ),
    );
}
