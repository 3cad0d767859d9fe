//! TLS: what the listener speaks, and the certificate it shows, which can be
//! replaced while connections are open.

mod files;

use std::sync::{Arc, PoisonError, RwLock};

pub use files::{Certificate, CertificateError};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::config::TlsFiles;

/// The certificate that new connections get.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files and gives the certificate that they hold beside it.
    pub fn load(files: &TlsFiles) -> Result<(Arc<Self>, Certificate), CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let certificate = Certificate::read(files, &provider)?;
        let certificates = Self {
            files: files.clone(),
            provider,
            current: RwLock::new(Arc::new(certificate.certified.clone())),
        };
        Ok((Arc::new(certificates), certificate))
    }

    /// Reads the files anew. On an error new connections get the certificate that
    /// they got before; open ones are not touched either way.
    pub fn reload(&self) -> Result<Certificate, CertificateError> {
        let certificate = Certificate::read(&self.files, &self.provider)?;
        let fresh = Arc::new(certificate.certified.clone());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(certificate)
    }

    /// How the listener speaks: TLS 1.3 and 1.2, forward secrecy and authenticated
    /// encryption only (rustls has nothing else), the server's order of preference.
    pub fn settings(self: Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut settings = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(self);
        settings.ignore_client_order = true;
        Ok(settings)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(current.clone())
    }
}
