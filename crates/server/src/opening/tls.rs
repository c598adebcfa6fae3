//! Certificates: loading a pair, swapping it under way.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::TlsError;

/// A certificate and its key, from files. Clones share it, so [`reload`](Self::reload) on one is
/// for all.
#[derive(Clone)]
pub struct Tls {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    configs: ArcSwap<Configs>,
}

/// One pair as it is offered: whether HTTP/2 is spoken is for the server to say.
struct Configs {
    with_http2: Arc<ServerConfig>,
    http1_only: Arc<ServerConfig>,
}

impl Configs {
    fn new(mut config: ServerConfig) -> Self {
        // A client that speaks neither gets an alert instead of bytes that it cannot read.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http1_only = Arc::new(config.clone());
        config.alpn_protocols.insert(0, HTTP2.to_vec());
        Self {
            with_http2: Arc::new(config),
            http1_only,
        }
    }
}

/// HTTP/2 over TLS, as ALPN calls it (RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

impl Tls {
    /// Reads a certificate (with those that vouch for it, PEM) and its private key (PEM: PKCS #8,
    /// PKCS #1 or SEC1).
    ///
    /// # Errors
    /// [`TlsError`] names the file that cannot be used, or both when they do not belong together.
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let configs = ArcSwap::from_pointee(Configs::new(load(&certificate, &key)?));
        Ok(Self {
            inner: Arc::new(Inner {
                certificate,
                key,
                configs,
            }),
        })
    }

    /// Reads the same files again. Connections that are open keep what they have; new ones get the
    /// new pair.
    ///
    /// # Errors
    /// [`TlsError`]; then the old pair stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let config = load(&self.inner.certificate, &self.inner.key)?;
        self.inner.configs.store(Arc::new(Configs::new(config)));
        Ok(())
    }

    pub(crate) fn config(&self, http2: bool) -> Arc<ServerConfig> {
        let configs = self.inner.configs.load();
        Arc::clone(if http2 {
            &configs.with_http2
        } else {
            &configs.http1_only
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("certificate", &self.inner.certificate)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

fn load(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file_error = |path: &Path, error: pem::Error| TlsError::File {
        path: path.to_owned(),
        reason: match error {
            pem::Error::Io(error) => error.to_string(),
            pem::Error::NoItemsFound => "holds no key".to_owned(),
            other => format!("is not PEM: {other}"),
        },
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file_error(certificate, error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            certificate: certificate.to_owned(),
        });
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| file_error(key, error))?;
    let pair_error = |source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        },
        source => TlsError::Refused {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        },
    };
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair_error)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(pair_error)
}
