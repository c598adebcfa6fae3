//! Against our own server, with TLS and without.

use std::fs;
use std::sync::Arc;

use rupor_server::rustls::pki_types::CertificateDer;
use rupor_server::rustls::{ClientConfig, RootCertStore};
use rupor_server::{ClientTlsError, CloseCode, Tls, UrlError};

use super::*;

/// A server of ours, stopped when it is dropped.
pub(super) struct Up {
    running: Option<Running>,
    pub(super) address: SocketAddr,
    pub(super) asked: Asked,
    certificate: Option<CertificateDer<'static>>,
}

impl Up {
    pub(super) fn plain() -> Self {
        Self::start(None)
    }

    /// With TLS, by a certificate for localhost that vouches for itself.
    pub(super) fn secure() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let tls = Tls::from_files(&certificate, &key).unwrap();
        Self::start(Some((tls, made.cert.der().clone())))
    }

    fn start(tls: Option<(Tls, CertificateDer<'static>)>) -> Self {
        let asked = Asked::default();
        let mut server = Server::new(|_, _| Echo)
            .admit(asked.clone())
            .workers(1)
            .deflate(DeflateConfig::default());
        let (tls, certificate) = tls.unzip();
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        let running = server.listen("127.0.0.1:0").unwrap().start().unwrap();
        Self {
            address: running.addresses()[0],
            running: Some(running),
            asked,
            certificate,
        }
    }

    pub(super) fn url(&self, host: &str, target: &str) -> String {
        let scheme = if self.certificate.is_some() {
            "wss"
        } else {
            "ws"
        };
        format!("{scheme}://{host}:{}{target}", self.address.port())
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone().unwrap()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.handle().stop();
            running.wait();
        }
    }
}

#[tokio::test]
async fn what_is_asked_for_arrives_and_what_is_agreed_to_is_used() {
    for secure in [false, true] {
        let up = if secure { Up::secure() } else { Up::plain() };
        let mut client = plain()
            .header("X-Token", "secret")
            .header("Origin", "https://example.org")
            .subprotocols(["chat.v2", "chat.v1"])
            .deflate(&DeflateConfig::default());
        if secure {
            client = client.trust([up.certificate()]);
        }
        let url = up.url("localhost", "/chat?room=1");
        let mut socket = client.connect(&url).await.unwrap();
        assert_eq!(socket.subprotocol(), Some("chat.v2"));
        assert!(socket.has_deflate());
        assert_eq!(socket.stream().tls_connection().is_some(), secure);
        assert!(socket.stream().tcp().nodelay().unwrap());
        // What came right behind the 101.
        let welcome = soon(socket.recv()).await.unwrap();
        assert_eq!(welcome.as_text(), Some("welcome"));
        echoes(&mut socket, &"again and ".repeat(5000)).await;
        assert_eq!(
            socket.close(1000, "bye").await.unwrap().code,
            CloseCode::NORMAL
        );

        let asked = up.asked.0.lock().unwrap().pop().unwrap();
        assert_eq!(asked.target, "/chat?room=1");
        assert_eq!(asked.header("x-token"), Some("secret"));
        assert_eq!(asked.origin(), Some("https://example.org"));
        let host = format!("localhost:{}", up.address.port());
        assert_eq!(asked.host(), Some(host.as_str()));
        assert_eq!(asked.subprotocols, ["chat.v2", "chat.v1"]);
        let shown = format!("{client:?} {socket:?}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}

/// Connecting and talking are at home on any thread of a runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_can_be_a_task_of_its_own() {
    let up = Up::plain();
    let (client, url) = (plain(), up.url("127.0.0.1", "/"));
    let talking = tokio::spawn(async move {
        let mut socket = client.connect(&url).await.unwrap();
        let _ = soon(socket.recv()).await;
        echoes(&mut socket, "from a task").await;
        socket
    });
    let mut socket = soon(talking).await.unwrap();
    echoes(&mut socket, "from another").await;
}

#[tokio::test]
async fn nothing_is_offered_unasked() {
    let up = Up::plain();
    let mut socket = plain().connect(&up.url("127.0.0.1", "")).await.unwrap();
    assert!(socket.subprotocol().is_none() && !socket.has_deflate());
    let _ = soon(socket.recv()).await;
    echoes(&mut socket, "hello").await;
    let asked = up.asked.0.lock().unwrap().pop().unwrap();
    assert_eq!(asked.target, "/");
    let mut names: Vec<_> = asked.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "connection",
        "host",
        "sec-websocket-key",
        "sec-websocket-version",
        "upgrade",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn server_that_nobody_vouches_for_is_not_spoken_to() {
    let up = Up::secure();
    let url = up.url("localhost", "/");
    // Believed by nobody; and believed, but under another name.
    let others = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let by_address = up.url("127.0.0.1", "/");
    let strangers = plain().trust([others.cert.der().clone()]);
    let known = plain().trust([up.certificate()]);
    for (client, url) in [(&strangers, &url), (&known, &by_address)] {
        match client.connect(url).await {
            Err(ConnectError::Tls(ClientTlsError::Handshake(error))) => {
                assert!(error.to_string().contains("certificate"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(up.asked.0.lock().unwrap().is_empty());
    known.connect(&url).await.unwrap();
}

/// RFC 6455 §4.1.
#[tokio::test]
async fn tls_hello_names_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        let hello = tokio_rustls::LazyConfigAcceptor::new(Default::default(), stream);
        let hello = soon(hello).await.unwrap();
        hello.client_hello().server_name().map(str::to_owned)
    };
    let others = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let client = plain().trust([others.cert.der().clone()]);
    let (opened, name) = tokio::join!(client.connect(&url), server);
    assert_eq!(name.as_deref(), Some("localhost"));
    assert!(matches!(opened, Err(ConnectError::Tls(_))), "{opened:?}");
}

#[tokio::test]
async fn configuration_of_the_programs_own_decides_alone() {
    let up = Up::secure();
    let mut authorities = RootCertStore::empty();
    authorities.add(up.certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(authorities)
        .with_no_client_auth();
    let client = plain().tls(Arc::new(config));
    client.connect(&up.url("localhost", "/")).await.unwrap();
}

#[tokio::test]
async fn tls_where_there_is_none_and_none_where_there_is() {
    let (up, secure) = (Up::plain(), Up::secure());
    let client = plain().trust([secure.certificate()]);
    let wrong = format!("wss://localhost:{}/", up.address.port());
    match client.connect(&wrong).await {
        Err(ConnectError::Tls(ClientTlsError::Handshake(_))) => {}
        other => panic!("{other:?}"),
    }
    let wrong = format!("ws://localhost:{}/", secure.address.port());
    match client.connect(&wrong).await {
        Err(ConnectError::Open(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refusal_comes_with_status_and_reason() {
    let up = Up::plain();
    match plain().connect(&up.url("127.0.0.1", "/refused")).await {
        Err(ConnectError::Open(OpenError::Refused(refused))) => {
            assert_eq!(refused.status, 403);
            assert_eq!(refused.body, "you are not on the list\n");
            assert_eq!(refused.to_string(), "status 403: you are not on the list");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_sent() {
    for (client, url) in [
        (
            plain().header("Sec-WebSocket-Key", "mine"),
            "ws://127.0.0.1:1/",
        ),
        (plain().header("Host", "other"), "ws://127.0.0.1:1/"),
        (plain().header("X", "a\r\nY: b"), "ws://127.0.0.1:1/"),
        (plain().subprotocols(["a", "a"]), "ws://127.0.0.1:1/"),
        (plain().subprotocols(["a b"]), "ws://127.0.0.1:1/"),
    ] {
        match client.connect(url).await {
            Err(ConnectError::Request(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    match plain().connect("http://127.0.0.1:1/").await {
        Err(ConnectError::Url(UrlError::Scheme)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn server_that_is_not_there_is_named() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = plain().connect(&format!("ws://{gone}/")).await.unwrap_err();
    match &error {
        ConnectError::Reach(ReachError::Tcp { address, .. }) => assert_eq!(*address, gone),
        other => panic!("{other:?}"),
    }
    assert!(error.to_string().contains(&gone.to_string()), "{error}");
}

/// A server that accepts and says nothing, to TLS nor to the request.
#[tokio::test]
async fn silence_ends_each_stage_with_its_error() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let timeouts = ClientTimeouts {
        tls_ms: 50,
        open_ms: 50,
        ..ClientTimeouts::default()
    };
    let others = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let client = plain()
        .timeouts(timeouts)
        .trust([others.cert.der().clone()]);
    match client.connect(&format!("ws://127.0.0.1:{port}/")).await {
        Err(ConnectError::Open(OpenError::TimedOut)) => {}
        other => panic!("{other:?}"),
    }
    match client.connect(&format!("wss://127.0.0.1:{port}/")).await {
        Err(ConnectError::Tls(ClientTlsError::TimedOut)) => {}
        other => panic!("{other:?}"),
    }
}
