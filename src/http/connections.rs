//! Connections as they are opened: who comes by the socket, and how many come from
//! one address. Over TLS a connection is opened when the handshake is done.

use std::{
    any::Any,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    dev::Extensions,
    rt::net::{TcpStream, UnixStream},
};

use ipnet::IpNet;

use super::{at_once, authenticate::LocalSocket};
use crate::config::Server;

/// Counts connections by address, so that one client cannot take them all.
pub struct Connections {
    open: Mutex<HashMap<IpAddr, usize>>,
    per_address_max: usize,
    proxies: Vec<IpNet>,
}

/// A connection that counts for as long as it lives.
struct Counted {
    connections: Arc<Connections>,
    block: IpAddr,
}

impl Connections {
    /// Limits as the settings have them.
    pub fn new(settings: &Server) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            per_address_max: settings.connections_per_address_max,
            proxies: settings.trusted_proxies.clone(),
        })
    }

    /// Looks at a connection before anything is read of it.
    pub fn opened(self: &Arc<Self>, connection: &dyn Any, data: &mut Extensions) {
        at_once::begin(data);
        if connection.is::<UnixStream>() {
            // Only the folder's owner can open the socket, so who comes by it is trusted.
            data.insert(LocalSocket);
        } else if let Some(stream) = connection.downcast_ref::<TcpStream>() {
            self.accepted(stream, data);
        } else if let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() {
            self.accepted(stream.get_ref().0, data);
        }
    }

    fn accepted(self: &Arc<Self>, stream: &TcpStream, data: &mut Extensions) {
        // A client that is gone by now is told nothing; reading finds that out.
        let Ok(peer) = stream.peer_addr() else { return };
        match self.admit(peer.ip().to_canonical()) {
            Some(counted) => {
                data.insert(counted);
            }
            None => {
                tracing::debug!(%peer, "too many connections from one address");
                let _ = socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Both);
            }
        }
    }

    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let block = block(address);
        let mut open = self.open();
        let count = open.entry(block).or_default();
        let full = self.per_address_max > 0 && *count >= self.per_address_max;
        if full && !self.is_proxy(address) {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Counted {
            connections: self.clone(),
            block,
        })
    }

    /// A proxy speaks for many clients.
    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|proxies| proxies.contains(&address))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some(count) = open.get_mut(&self.block) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.block);
            }
        }
    }
}

/// The addresses that one client has: with IPv6 it is given 64 bits of them.
fn block(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(six) => {
            let network = u128::from(six) & !u128::from(u64::MAX);
            Ipv6Addr::from(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn connections(per_address_max: usize) -> Arc<Connections> {
        Arc::new(Connections {
            open: Mutex::default(),
            per_address_max,
            proxies: vec!["::1/128".parse().unwrap()],
        })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let limited = connections(2);
        let admit = |text: &str| limited.admit(address(text));
        let (one, two) = (admit("192.0.2.1"), admit("192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        drop(one);
        assert!(admit("192.0.2.1").is_some());
        drop(two);
        assert!(limited.open().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_a_proxy_is_many() {
        let single = connections(1);
        let first = single.admit(address("2001:db8::1"));
        assert!(first.is_some());
        assert!(single.admit(address("2001:db8::ffff:2")).is_none());
        assert!(single.admit(address("2001:db8:0:1::1")).is_some());
        let proxied: Vec<_> = (0..3).map(|_| single.admit(address("::1"))).collect();
        assert!(proxied.iter().all(Option::is_some));
        let unlimited = connections(0);
        let many: Vec<_> = (0..9)
            .map(|_| unlimited.admit(address("192.0.2.1")))
            .collect();
        assert!(many.iter().all(Option::is_some));
    }
}
