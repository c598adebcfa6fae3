//! TLS of the client: whom it believes, and the TLS handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ClientTlsError;

/// Whom to believe about who the server is. Clones share what was loaded, and TLS's resumption.
#[derive(Clone, Default)]
pub(super) struct Trust {
    more: Vec<CertificateDer<'static>>,
    /// Made of the system's authorities and of `more` when it is needed first, or given.
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl Trust {
    /// Believes these authorities too.
    pub(super) fn and(mut self, more: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.more.extend(more);
        self.config = Arc::default();
        self
    }

    pub(super) fn of(config: Arc<ClientConfig>) -> Self {
        Self {
            more: Vec::new(),
            config: Arc::new(OnceCell::new_with(Some(config))),
        }
    }

    /// Does the TLS handshake with the server of that name.
    pub(super) async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
        within: Duration,
    ) -> Result<TlsStream<TcpStream>, ClientTlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ClientTlsError::Name {
            host: host.to_owned(),
        })?;
        let handshake = async {
            let config = self
                .config
                .get_or_try_init(|| load(self.more.clone()))
                .await?;
            let connector = TlsConnector::from(Arc::clone(config));
            let handshake = connector.connect(name, tcp);
            handshake.await.map_err(ClientTlsError::Handshake)
        };
        timeout(within, handshake)
            .await
            .unwrap_or(Err(ClientTlsError::TimedOut))
    }
}

/// Reads the system's authorities: files, so not on a thread that others' tasks need.
async fn load(more: Vec<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, ClientTlsError> {
    tokio::task::spawn_blocking(|| config_of_system(more))
        .await
        .unwrap_or(Err(ClientTlsError::NoAuthorities))
}

fn config_of_system(
    more: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, ClientTlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in more {
        authorities
            .add(certificate)
            .map_err(ClientTlsError::Authority)?;
    }
    // Systems have one or the other that is malformed; the rest is good.
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if authorities.is_empty() {
        return Err(ClientTlsError::NoAuthorities);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(ClientTlsError::Authority)?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
