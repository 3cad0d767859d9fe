//! Whom a request comes from: the connection's other end, or, where that is a proxy
//! named in `[server] trusted_proxies`, whom the proxy speaks for.
//!
//! Every proxy adds to a list whom it got the request from. It is read from its
//! end, one proxy of ours after the other, up to the first address that is none of
//! them. What stands before that the client may have written itself.

use std::net::{IpAddr, SocketAddr};

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName},
};

use super::Services;
use crate::config::{ProxyHeader, Server};

/// More proxies in a row than anybody has.
const HOPS_MAX: usize = 16;

/// Whom a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address; none by the data folder's socket.
    pub address: Option<IpAddr>,
    /// Whether it reached us, or the outermost proxy of ours, over TLS.
    pub secure: bool,
}

impl Client {
    /// Whom this request comes from.
    pub fn of(request: &HttpRequest) -> Self {
        let own_tls = request.app_config().secure();
        match request.app_data::<Services>() {
            Some(app) => client(
                request.peer_addr(),
                own_tls,
                request.headers(),
                &app.config.server,
            ),
            // Nobody is believed by a server that names no proxy.
            None => Self::direct(request.peer_addr(), own_tls),
        }
    }

    fn direct(peer: Option<SocketAddr>, secure: bool) -> Self {
        let address = peer.map(|peer| peer.ip().to_canonical());
        Self { address, secure }
    }

    /// The address as text; `local` by the data folder's socket.
    pub fn address_text(&self) -> String {
        self.address
            .map_or_else(|| "local".to_owned(), |address| address.to_string())
    }
}

/// Whether a request comes from a program on this machine, and not through a proxy on it.
pub fn is_local(request: &HttpRequest) -> bool {
    let forwarded = [header::FORWARDED, header::X_FORWARDED_FOR]
        .iter()
        .any(|name| request.headers().contains_key(name));
    let peer = request.peer_addr();
    peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) && !forwarded
}

fn client(
    peer: Option<SocketAddr>,
    own_tls: bool,
    headers: &HeaderMap,
    settings: &Server,
) -> Client {
    let mut client = Client::direct(peer, own_tls);
    let is_proxy = |client: &Client| {
        let of = |address| {
            settings
                .trusted_proxies
                .iter()
                .any(|p| p.contains(&address))
        };
        client.address.is_some_and(of)
    };
    if !is_proxy(&client) {
        return client;
    }
    for hop in hops(headers, settings.proxy_header) {
        if !is_proxy(&client) {
            break;
        }
        client.secure = hop.secure.unwrap_or(client.secure);
        // Where a proxy of ours does not tell an address, its own has to do.
        let Some(address) = hop.address else { break };
        client.address = Some(address);
    }
    client
}

/// What one proxy said of whom it got the request from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Hop {
    /// None where it is not told, or cannot be read.
    address: Option<IpAddr>,
    secure: Option<bool>,
}

/// What proxies said, the last one first.
fn hops(headers: &HeaderMap, header: ProxyHeader) -> Vec<Hop> {
    if header == ProxyHeader::Forwarded {
        let told = from_the_end(headers, header::FORWARDED);
        return told.into_iter().map(forwarded).collect();
    }
    // One word, by the proxy that speaks to us.
    let proto = from_the_end(headers, header::X_FORWARDED_PROTO);
    let secure = proto
        .first()
        .map(|p| p.trim().eq_ignore_ascii_case("https"));
    let told = from_the_end(headers, header::X_FORWARDED_FOR);
    let mut hops: Vec<Hop> = told
        .into_iter()
        .map(|text| Hop {
            address: address(text.trim()),
            secure: None,
        })
        .collect();
    match hops.first_mut() {
        Some(last) => last.secure = secure,
        None => hops.push(Hop {
            address: None,
            secure,
        }),
    }
    hops
}

/// `for=192.0.2.60;proto=https;by=...`
fn forwarded(element: &str) -> Hop {
    let mut hop = Hop::default();
    // No address and no scheme needs an escape, so there is nothing to undo.
    if element.contains('\\') {
        return hop;
    }
    for pair in element.split(';') {
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        let value = value.trim_matches('"');
        if name.eq_ignore_ascii_case("for") {
            hop.address = address(value);
        } else if name.eq_ignore_ascii_case("proto") {
            hop.secure = Some(value.eq_ignore_ascii_case("https"));
        }
    }
    hop
}

/// `192.0.2.43`, `192.0.2.43:47011`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:47011`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|both| both.ip());
    address.or_else(with_port).map(|ip| ip.to_canonical())
}

/// The items of a list header, the last first, at most as many as there are proxies
/// in a row. Commas within quotes do not part items. Read backwards, what a proxy
/// added cannot be swallowed by a quote that the client left open before it.
fn from_the_end(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    let lines: Vec<_> = headers.get_all(name).collect();
    let mut items = Vec::new();
    for line in lines.into_iter().rev() {
        let line = line.to_str().unwrap_or_default();
        let (mut end, mut quoted) = (line.len(), false);
        for (at, byte) in line.bytes().enumerate().rev() {
            match byte {
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    items.push(&line[at + 1..end]);
                    end = at;
                }
                _ => {}
            }
            if items.len() >= HOPS_MAX {
                return items;
            }
        }
        items.push(if quoted { "" } else { &line[..end] });
    }
    items.truncate(HOPS_MAX);
    items
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::{Config, Sources};

    const OURS: &str = "10.0.0.0/24,127.0.0.0/8,2001:db8::/64";

    fn settings(header: &str) -> Server {
        let env = [
            ("TENANTRY_SERVER__TRUSTED_PROXIES", OURS),
            ("TENANTRY_SERVER__PROXY_HEADER", header),
        ];
        let sources = Sources {
            env: env.map(|(k, v)| (k.into(), v.into())).to_vec(),
            ..Sources::default()
        };
        Config::load(sources).unwrap().server
    }

    /// The address, with `+` where it is secure.
    fn told(header: &str, peer: &str, lines: &[(&str, &str)]) -> String {
        let mut request = TestRequest::default();
        for (name, value) in lines {
            request = request.append_header((*name, *value));
        }
        let request = request.to_http_request();
        let peer = Some(peer.parse().unwrap());
        let client = client(peer, false, request.headers(), &settings(header));
        let mark = if client.secure { "+" } else { "" };
        client.address_text() + mark
    }

    #[test]
    fn x_forwarded_for_is_read_from_its_end_through_our_proxies() {
        const FOR: &str = "x-forwarded-for";
        for (peer, lines, expected) in [
            ("9.9.9.9:1", vec![], "9.9.9.9"),
            // A stranger's word.
            ("9.9.9.9:1", vec![(FOR, "1.2.3.4")], "9.9.9.9"),
            ("10.0.1.7:1", vec![(FOR, "1.2.3.4")], "10.0.1.7"),
            ("10.0.0.7:1", vec![(FOR, "1.2.3.4")], "1.2.3.4"),
            // What the client claims stands before what the proxy adds.
            ("10.0.0.7:1", vec![(FOR, "6.6.6.6, 1.2.3.4")], "1.2.3.4"),
            (
                "10.0.0.7:1",
                vec![(FOR, "6.6.6.6"), (FOR, "1.2.3.4")],
                "1.2.3.4",
            ),
            (
                "10.0.0.7:1",
                vec![(FOR, "6.6.6.6,1.2.3.4, 10.0.0.9")],
                "1.2.3.4",
            ),
            ("10.0.0.7:1", vec![(FOR, "10.0.0.8, 10.0.0.9")], "10.0.0.8"),
            (
                "[::ffff:10.0.0.7]:1",
                vec![(FOR, "::ffff:1.2.3.4")],
                "1.2.3.4",
            ),
            ("[2001:db8::7]:1", vec![(FOR, "2001:db9::1")], "2001:db9::1"),
            ("10.0.0.7:1", vec![(FOR, "1.2.3.4:8080")], "1.2.3.4"),
            (
                "10.0.0.7:1",
                vec![(FOR, "[2001:db9::1]:8080")],
                "2001:db9::1",
            ),
            // Garbage ends the way there, at a proxy that is known.
            ("10.0.0.7:1", vec![(FOR, "nonsense")], "10.0.0.7"),
            ("10.0.0.7:1", vec![(FOR, "")], "10.0.0.7"),
            (
                "10.0.0.7:1",
                vec![(FOR, "1.2.3.4, unknown, 10.0.0.9")],
                "10.0.0.9",
            ),
            ("10.0.0.7:1", vec![(FOR, "\"1.2.3.4")], "10.0.0.7"),
            ("10.0.0.7:1", vec![(FOR, "\", 1.2.3.4")], "1.2.3.4"),
            ("10.0.0.7:1", vec![(FOR, "1.2.3.4/8")], "10.0.0.7"),
            // The other header is anybody's.
            ("10.0.0.7:1", vec![("forwarded", "for=1.2.3.4")], "10.0.0.7"),
            (
                "10.0.0.7:1",
                vec![("forwarded", "for=6.6.6.6;proto=https"), (FOR, "1.2.3.4")],
                "1.2.3.4",
            ),
        ] {
            assert_eq!(
                told("x-forwarded-for", peer, &lines),
                expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn a_proxy_says_whether_the_client_came_by_tls() {
        const PROTO: &str = "x-forwarded-proto";
        let and_for = ("x-forwarded-for", "1.2.3.4");
        for (peer, lines, expected) in [
            ("10.0.0.7:1", vec![(PROTO, "https")], "10.0.0.7+"),
            ("10.0.0.7:1", vec![(PROTO, "https"), and_for], "1.2.3.4+"),
            (
                "10.0.0.7:1",
                vec![(PROTO, "https, http"), and_for],
                "1.2.3.4",
            ),
            ("10.0.0.7:1", vec![(PROTO, "http"), and_for], "1.2.3.4"),
            ("9.9.9.9:1", vec![(PROTO, "https"), and_for], "9.9.9.9"),
        ] {
            assert_eq!(
                told("x-forwarded-for", peer, &lines),
                expected,
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        let of = |value: &str| told("forwarded", "10.0.0.7:1", &[("forwarded", value)]);
        for (value, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"[2001:db9::1]:4711\"", "2001:db9::1"),
            ("for=1.2.3.4;proto=https;by=10.0.0.7", "1.2.3.4+"),
            ("by=10.0.0.7;PROTO=HTTPS;for=1.2.3.4", "1.2.3.4+"),
            ("for=6.6.6.6;proto=https, for=1.2.3.4;proto=http", "1.2.3.4"),
            (
                "for=1.2.3.4;proto=https, for=10.0.0.9;proto=http",
                "1.2.3.4+",
            ),
            (
                "for=6.6.6.6, for=1.2.3.4;host=\"a, for=7.7.7.7\"",
                "1.2.3.4",
            ),
            ("for=\"6.6.6.6, for=1.2.3.4", "1.2.3.4"),
            ("for=\"6.6.6.6\\\"", "10.0.0.7"),
            ("for=unknown", "10.0.0.7"),
            ("for=_hidden;proto=https", "10.0.0.7+"),
            ("proto=https", "10.0.0.7+"),
            ("for", "10.0.0.7"),
            (";;,,;", "10.0.0.7"),
            ("", "10.0.0.7"),
        ] {
            assert_eq!(of(value), expected, "{value}");
        }
        let other = ("x-forwarded-for", "6.6.6.6");
        let both = [other, ("forwarded", "for=1.2.3.4")];
        assert_eq!(told("forwarded", "10.0.0.7:1", &both), "1.2.3.4");
        assert_eq!(told("forwarded", "10.0.0.7:1", &[other]), "10.0.0.7");
        assert_eq!(told("forwarded", "9.9.9.9:1", &both), "9.9.9.9");
    }

    #[test]
    fn a_list_without_end_costs_no_more_than_reading_it() {
        let long = "10.0.0.9,".repeat(10_000) + "10.0.0.9";
        assert_eq!(
            told(
                "x-forwarded-for",
                "10.0.0.7:1",
                &[("x-forwarded-for", &long)]
            ),
            "10.0.0.9"
        );
        let quoted = "\"".to_owned() + &",".repeat(60_000);
        assert_eq!(
            told("forwarded", "10.0.0.7:1", &[("forwarded", &quoted)]),
            "10.0.0.7"
        );
    }
}
