//! The certificate and its key, read from their files and checked: that they are
//! what they should be, that one belongs to the other, and how long they hold.

use std::{fs, io::Read as _, path::Path};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject as _},
    },
    sign::CertifiedKey,
};
use x509_cert::{
    Certificate as X509,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::{base::Instant, config::TlsFiles};

/// A chain of ten certificates takes a tenth of it.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What the server shows its clients.
#[derive(Debug)]
pub struct Certificate {
    /// The chain with the key to it.
    pub certified: CertifiedKey,
    /// The host names and addresses that it is for.
    pub names: Vec<String>,
    /// Before this moment no client takes it.
    pub not_before: Instant,
    /// After this moment no client takes it.
    pub not_after: Instant,
}

/// What is wrong with the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|(key, what)| format!("{key}: {what}")).collect::<Vec<_>>().join("\n"))]
pub struct CertificateError(pub Vec<(&'static str, String)>);

impl Certificate {
    /// Reads both files; every problem at once, each with the setting it is about.
    pub fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let chain = chain(&files.certificate).map_err(|what| ("tls.certificate", what));
        let key = key(&files.key).map_err(|what| ("tls.key", what));
        let (chain, key) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => {
                let wrong = [chain.err(), key.err()];
                return Err(CertificateError(wrong.into_iter().flatten().collect()));
            }
        };
        let about = |setting, what: String| CertificateError(vec![(setting, what)]);
        let leaf = X509::from_der(&chain[0]).map_err(|error| {
            let path = files.certificate.display();
            about(
                "tls.certificate",
                format!("{path} holds no certificate that can be read: {error}"),
            )
        })?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let (path, other) = (files.key.display(), files.certificate.display());
            about("tls.key", match error {
                rustls::Error::InconsistentKeys(_) => format!(
                    "{path} is not the key of the first certificate in {other}; name the pair that was issued together"
                ),
                error => format!("{path} cannot be used: {error}"),
            })
        })?;
        let validity = leaf.tbs_certificate().validity();
        Ok(Self {
            certified,
            names: names(&leaf),
            not_before: instant(validity.not_before),
            not_after: instant(validity.not_after),
        })
    }

    /// What clients hold against it now, where there is anything.
    pub fn trouble(&self, now: Instant) -> Option<String> {
        if now > self.not_after {
            let expired = self.not_after.to_rfc3339();
            Some(format!(
                "the certificate expired at {expired}: clients refuse it; renew it"
            ))
        } else if now < self.not_before {
            let from = self.not_before.to_rfc3339();
            Some(format!(
                "the certificate holds from {from} on: clients refuse it until then; look at this machine's clock"
            ))
        } else {
            None
        }
    }
}

fn instant(time: x509_cert::time::Time) -> Instant {
    let ms = time.to_unix_duration().as_millis();
    Instant(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn names(leaf: &X509) -> Vec<String> {
    let found = leaf.tbs_certificate().get_extension::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = found else {
        return Vec::new();
    };
    let text = |name: GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => match *bytes.as_bytes() {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            ref long => <[u8; 16]>::try_from(long)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
        },
        _ => None,
    };
    names.into_iter().filter_map(text).collect()
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("{} is no PEM: {error}", path.display()))?;
    match chain.is_empty() {
        false => Ok(chain),
        true => Err(format!(
            "{} holds no certificate; expected PEM with `-----BEGIN CERTIFICATE-----`",
            path.display()
        )),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(path)?;
    if pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
        return Err(format!(
            "{} is encrypted, and nobody is there to type its password; decrypt it (`openssl pkey`) and keep the file readable by the server alone",
            path.display()
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        PemError::NoItemsFound => format!(
            "{} holds no private key; expected PEM with `-----BEGIN PRIVATE KEY-----`",
            path.display()
        ),
        error => format!("{} is no PEM: {error}", path.display()),
    })
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    // Opening a pipe would wait for somebody to write to it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!(
            "{} has more than {FILE_BYTES_MAX} bytes",
            path.display()
        )),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    struct Folder {
        dir: tempfile::TempDir,
        files: TlsFiles,
    }

    fn folder() -> Folder {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("cert.pem"),
            key: dir.path().join("key.pem"),
        };
        Folder { dir, files }
    }

    impl Folder {
        fn write(&self, certificate: &str, key: &str) {
            fs::write(&self.files.certificate, certificate).unwrap();
            fs::write(&self.files.key, key).unwrap();
        }

        fn read(&self) -> Result<Certificate, String> {
            let provider = rustls::crypto::ring::default_provider();
            let folder = format!("{}/", self.dir.path().display());
            Certificate::read(&self.files, &provider)
                .map_err(|error| error.to_string().replace(&folder, ""))
        }
    }

    fn pair(from: i32, to: i32) -> (String, String) {
        let names = ["app.example.com".to_owned(), "10.0.0.7".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_read_with_its_names_and_times() {
        let folder = folder();
        let (certificate, key) = pair(2026, 2027);
        folder.write(&certificate, &key);
        let read = folder.read().unwrap();
        assert_eq!(read.names, ["app.example.com", "10.0.0.7"]);
        let of = |text| Instant::parse_rfc3339(text).unwrap();
        assert_eq!(read.not_before, of("2026-01-01T00:00:00Z"));
        assert_eq!(read.not_after, of("2027-01-01T00:00:00Z"));
        assert_eq!(read.trouble(of("2026-06-01T00:00:00Z")), None);
        let early = read.trouble(of("2025-06-01T00:00:00Z")).unwrap();
        assert!(early.contains("holds from 2026-01-01"), "{early}");
        let late = read.trouble(of("2027-06-01T00:00:00Z")).unwrap();
        assert!(late.contains("expired at 2027-01-01"), "{late}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_setting() {
        let folder = folder();
        assert_eq!(
            folder.read().unwrap_err(),
            "tls.certificate: cert.pem cannot be read: No such file or directory (os error 2)\n\
             tls.key: key.pem cannot be read: No such file or directory (os error 2)"
        );
        let (certificate, key) = pair(2026, 2027);
        let (other, other_key) = pair(2026, 2027);
        let broken = certificate.replace("MII", "M!!");
        let hollow = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let sealed = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let long = "#".repeat(300 << 10);
        for (certificate, key, said) in [
            (
                &*certificate,
                &*other_key,
                "tls.key: key.pem is not the key of the first certificate in cert.pem",
            ),
            (&other, &key, "tls.key: key.pem is not the key"),
            (
                "",
                &key,
                "tls.certificate: cert.pem holds no certificate; expected PEM",
            ),
            (
                &key,
                &key,
                "tls.certificate: cert.pem holds no certificate; expected PEM",
            ),
            (
                &certificate,
                &certificate,
                "tls.key: key.pem holds no private key; expected PEM",
            ),
            (&certificate, &sealed, "tls.key: key.pem is encrypted"),
            (&broken, &key, "tls.certificate: cert.pem is no PEM"),
            (
                hollow,
                &key,
                "tls.certificate: cert.pem holds no certificate that can be read",
            ),
            (&certificate, &long, "tls.key: key.pem has more than"),
        ] {
            folder.write(certificate, key);
            let told = folder.read().unwrap_err();
            assert!(told.starts_with(said), "{said}: {told}");
        }
        fs::remove_file(&folder.files.key).unwrap();
        nix::unistd::mkfifo(&folder.files.key, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(folder.read().unwrap_err().ends_with("key.pem is no file"));
    }
}
