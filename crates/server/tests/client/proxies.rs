//! By a proxy that the test runs.

use tokio::io::copy_bidirectional;
use tokio::sync::mpsc;

use super::servers::Up;
use super::*;

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that answers each CONNECT with `answer`, and if that is a 200 connects to `server`
/// whatever it was asked for. What it was asked goes to the receiver.
async fn proxy(answer: &'static [u8], server: SocketAddr) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (asked, receiver) = mpsc::channel(10);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = asked.clone();
            tokio::spawn(async move {
                asked.send(read_head(&mut stream).await).await.unwrap();
                // In two pieces, because it may come so.
                let (one, two) = answer.split_at(answer.len() / 2);
                stream.write_all(one).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(two).await.unwrap();
                if answer.starts_with(b"HTTP/1.1 200") {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                }
            });
        }
    });
    (address, receiver)
}

/// Asks by a proxy with that answer; the server is not reached.
async fn refused(answer: &'static [u8]) -> ProxyError {
    let (address, _asked) = proxy(answer, "127.0.0.1:1".parse().unwrap()).await;
    let timeouts = ClientTimeouts {
        proxy_ms: if answer.is_empty() { 50 } else { 10_000 },
        ..ClientTimeouts::default()
    };
    let client = Client::new().timeouts(timeouts).proxy(&address).unwrap();
    match soon(client.connect("ws://example.invalid/")).await {
        Err(ConnectError::Proxy(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn server_is_reached_by_the_proxy_alone() {
    for secure in [false, true] {
        let up = if secure { Up::secure() } else { Up::plain() };
        let (address, mut asked) = proxy(CONNECTED, up.address).await;
        let mut client = Client::new()
            .proxy(&format!("http://Aladdin:open%20sesame@{address}"))
            .unwrap()
            .header("X-Token", "secret")
            .deflate(&DeflateConfig::default());
        if secure {
            client = client.trust([up.certificate()]);
        }
        // The name is the proxy's to look up: it need not be known here.
        let (url, named) = if secure {
            ("wss://localhost/chat", "localhost:443")
        } else {
            ("ws://example.invalid:8000/chat", "example.invalid:8000")
        };
        let mut socket = soon(client.connect(url)).await.unwrap();
        assert_eq!(
            soon(socket.recv()).await.unwrap().as_text(),
            Some("welcome")
        );
        echoes(&mut socket, "hello, мир").await;
        // The proxy hears where to, and its own credentials; nothing of what is for the server.
        let expected = format!(
            "CONNECT {named} HTTP/1.1\r\nHost: {named}\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
        assert_eq!(asked.recv().await.unwrap(), expected);
        let request = up.asked.0.lock().unwrap().pop().unwrap();
        assert_eq!(request.header("x-token"), Some("secret"));
        assert_eq!(request.header("proxy-authorization"), None);
        let shown = format!("{client:?}");
        assert!(
            !shown.contains("sesame") && !shown.contains("Basic"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn refusing_proxy_is_told_by_its_status() {
    for (answer, expected, text) in [
        (&b"HTTP/1.1 403 Forbidden\r\n\r\n"[..], 403, "status 403"),
        (
            b"HTTP/1.1 407 \r\nProxy-Authenticate: Basic\r\n\r\n",
            407,
            "password",
        ),
        (
            b"HTTP/1.0 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
            502,
            "status 502",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n",
            302,
            "status 302",
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            101,
            "status 101",
        ),
    ] {
        let error = refused(answer).await;
        assert!(error.to_string().contains(text), "{error}");
        match error {
            ProxyError::Refused { status } => assert_eq!(status, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_proxy_is_an_error() {
    const HUGE: &[u8] = &[b'x'; 100_000];
    match refused(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await {
        ProxyError::NotHttp => {}
        other => panic!("{other:?}"),
    }
    match refused(HUGE).await {
        ProxyError::NotHttp => {}
        other => panic!("{other:?}"),
    }
    match refused(b"HTTP/1.1 200 OK").await {
        // It closes here: what it said is no whole answer.
        ProxyError::Closed => {}
        other => panic!("{other:?}"),
    }
    match refused(b"").await {
        ProxyError::TimedOut | ProxyError::Closed => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn hanging_proxy_has_its_time() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let timeouts = ClientTimeouts {
        proxy_ms: 50,
        ..ClientTimeouts::default()
    };
    let client = Client::new().timeouts(timeouts);
    let client = client
        .proxy(&hanging.local_addr().unwrap().to_string())
        .unwrap();
    match soon(client.connect("wss://example.invalid/")).await {
        Err(ConnectError::Proxy(ProxyError::TimedOut)) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn proxy_that_is_not_there_is_not_the_server() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let client = Client::new().proxy(&gone.to_string()).unwrap();
    match client.connect("ws://127.0.0.1/").await {
        Err(ConnectError::Proxy(ProxyError::Reach(ReachError::Tcp { address, .. }))) => {
            assert_eq!(address, gone);
        }
        other => panic!("{other:?}"),
    }
}
