//! HTTP/2: WebSockets by extended CONNECT (RFC 8441), and requests.

pub(crate) mod client;
mod flow;
mod life;
mod raw;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ::http::{Request, Response};
use bytes::Bytes;
use h2::ext::Protocol;
use http_body_util::{BodyExt, Full};
use rupor_server::proto::DeflateConfig;
use rupor_server::{Admit, Admitted, Refusal, RequestBody};
use rupor_testkit::{Event, wait_until};
use tower_service::Service;

use self::client::Http2;
use super::tls::Pair;
use super::*;

/// Says method, target, host and the length of the body; `/never` it does not answer.
#[derive(Clone)]
struct Tells;

impl Service<Request<RequestBody>> for Tells {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            if parts.uri.path() == "/never" {
                std::future::pending::<()>().await;
            }
            let body = body.collect().await.unwrap().to_bytes();
            if parts.uri.path() == "/large" {
                return Ok(Response::new(vec![b'x'; 1_000_000].into()));
            }
            let host = parts.headers.get("host").unwrap().to_str().unwrap();
            let target = parts.uri.path_and_query().unwrap();
            let text = format!("{} {target} {host} {}", parts.method, body.len());
            Ok(Response::new(text.into()))
        })
    }
}

fn up2(pair: &Pair, limits: Limits) -> Up {
    let server = server(limits).tls(pair.tls().unwrap()).http(Tells);
    Up::of(server.listen("127.0.0.1:0").unwrap().start().unwrap())
}

fn unlimited() -> Limits {
    Limits {
        messages_per_second: 0,
        bytes_per_second: 0,
        ..Limits::default()
    }
}

/// A CONNECT with a header more, or another one.
fn with(name: &'static str, value: &'static str) -> Request<()> {
    let mut request = Http2::connect_request("/");
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

#[test]
fn messages_of_all_sizes_pass() {
    let pair = Pair::new();
    let up = up2(&pair, unlimited());
    let http2 = Http2::connect(&up, &pair);
    let mut client = http2.open("/");
    for length in [0, 1, 1000, 16_384, 16_385, 65_536] {
        let payload = vec![9; length];
        client.send_binary(&payload);
        assert_eq!(client.receive(), Event::Binary(payload));
    }
    // More than any buffer on the way holds, asked for before any of it is read.
    for _ in 0..40 {
        client.send_text("flood 600000");
    }
    for _ in 0..40 {
        assert_eq!(client.receive_text().len(), 600_000);
    }
    assert_eq!(client.close(1000, "").0, 1000);
    let stats = up.handle().stats();
    assert_eq!((stats.http2_connections, stats.http2_websockets), (1, 1));
}

#[test]
fn one_connection_carries_many_websockets_and_requests() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let page = http2.http("GET", "/page?x=1", b"");
    assert_eq!(page, (200, "GET /page?x=1 localhost 0".to_owned()));
    assert_eq!(up.handle().stats().openings, 1);
    let mut clients: Vec<(Client, ConnectionId)> = (0..5)
        .map(|_| {
            let mut client = http2.open("/id?news");
            let id = client.receive_text().parse().unwrap();
            (client, id)
        })
        .collect();
    for (n, (client, id)) in clients.iter_mut().enumerate() {
        client.send_text(&format!("echo {n}"));
        client.expect_text(&format!("echo {n}"));
        up.handle().send(*id, &text("found")).unwrap();
        client.expect_text("found");
    }
    up.handle()
        .publish(&"news".into(), &text("to all"), None)
        .unwrap();
    for (client, _) in &mut clients {
        client.expect_text("to all");
    }
    let body = vec![b'x'; 200_000];
    let (status, said) = http2.http("POST", "/api", &body);
    assert_eq!((status, said.as_str()), (200, "POST /api localhost 200000"));
    assert_eq!(http2.http("GET", "/large", b"").1.len(), 1_000_000);
    assert_eq!(http2.http("HEAD", "/page", b""), (200, String::new()));
    let stats = up.handle().stats();
    assert_eq!(
        (stats.connections, stats.accepted, stats.openings),
        (5, 1, 0)
    );
    for (client, _) in &mut clients {
        assert_eq!(client.close(1000, "").0, 1000);
    }
    wait_until("their places are free", || {
        up.handle().stats().connections == 0
    });
}

#[test]
fn refusals_end_their_stream_and_nothing_else() {
    let pair = Pair::new();
    let up = up2(&pair, Limits::default());
    let http2 = Http2::connect(&up, &pair);
    let mut client = http2.open("/");

    let mut unknown = Http2::connect_request("/");
    let protocol = Protocol::from_static("webtransport");
    unknown.extensions_mut().insert(protocol);
    assert_eq!(http2.refused(unknown).0, 501);

    let mut proxy = Request::new(());
    *proxy.method_mut() = ::http::Method::CONNECT;
    *proxy.uri_mut() = "example.com:443".parse().unwrap();
    assert_eq!(http2.refused(proxy).0, 501);

    let (status, headers) = http2.refused(with("sec-websocket-version", "8"));
    assert_eq!(status, 400);
    assert_eq!(headers.get("sec-websocket-version").unwrap(), "13");
    assert!(headers.get("connection").is_none() && headers.get("upgrade").is_none());

    let mut none = Http2::connect_request("/");
    none.headers_mut().clear();
    assert_eq!(http2.refused(none).0, 400);
    let mut two = Http2::connect_request("/");
    two.headers_mut()
        .append("origin", "https://a".parse().unwrap());
    two.headers_mut()
        .append("origin", "https://b".parse().unwrap());
    assert_eq!(http2.refused(two).0, 400);
    for (name, value) in [
        ("host", "elsewhere"),
        ("content-length", "0"),
        ("content-length", "5"),
        ("sec-websocket-protocol", "a, a"),
    ] {
        assert_eq!(http2.refused(with(name, value)).0, 400, "{name}");
    }
    assert_eq!(up.refused("malformed"), 9);
    client.send_text("still here");
    client.expect_text("still here");
    assert_eq!(up.handle().stats().opened, 1);
}

#[test]
fn limits_of_a_head_hold() {
    let mut limits = Limits::default();
    limits.head.target_bytes_max = 100;
    limits.head.headers_max = 20;
    limits.head.head_bytes_max = 2000;
    let pair = Pair::new();
    let up = up2(&pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let target = |length: usize| format!("/{}", "x".repeat(length - 1));
    drop(http2.open(&target(100)));
    let too_long = Http2::connect_request(&target(101));
    assert_eq!(http2.refused(too_long).0, 414);
    let headers = |count: usize| {
        let mut request = Http2::connect_request("/");
        for n in 1..count {
            let name: ::http::HeaderName = format!("x-{n}").parse().unwrap();
            request.headers_mut().insert(name, "y".parse().unwrap());
        }
        request
    };
    assert_eq!(http2.ask(headers(20)).unwrap().response.status, 200);
    assert_eq!(http2.refused(headers(21)).0, 431);
    let mut large = Http2::connect_request("/");
    let value = "x".repeat(2000).parse().unwrap();
    large.headers_mut().insert("x", value);
    assert_eq!(http2.refused(large).0, 431);
    drop(http2.open("/"));
}

/// Admits by what the target says.
struct ByTarget;

impl Admit for ByTarget {
    type Admission = UpgradeRequest;

    async fn admit(&self, request: UpgradeRequest) -> Result<Admitted<UpgradeRequest>, Refusal> {
        assert!(request.secure);
        match request.path() {
            "/no" => Err(Refusal::new(403, "not you")),
            "/never" => std::future::pending().await,
            "/impossible" => Ok(Admitted::new(request).subprotocol(Some("never offered"))),
            _ => {
                assert_eq!(request.host(), Some("localhost"));
                let first = request.subprotocols.first().cloned();
                let mut admitted = Admitted::new(request).subprotocol(first);
                admitted.headers.push(("X-Node".to_owned(), "a".to_owned()));
                Ok(admitted)
            }
        }
    }
}

#[test]
fn admit_decides_as_for_an_upgrade() {
    let pair = Pair::new();
    let limits = Limits {
        admit_timeout_ms: 50,
        ..Limits::default()
    };
    let server = server(limits).admit(ByTarget).tls(pair.tls().unwrap());
    let server = server.listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let http2 = Http2::connect(&up, &pair);
    for (target, status, label) in [
        ("/no", 403, "not_admitted"),
        ("/never", 503, "admit_failed"),
        ("/impossible", 500, "admit_failed"),
    ] {
        let before = up.refused(label);
        assert_eq!(http2.refused(Http2::connect_request(target)).0, status);
        assert_eq!(up.refused(label), before + 1);
    }
    let answered = http2.ask(with("sec-websocket-protocol", "chat, superchat"));
    let mut client = answered.unwrap().open();
    assert_eq!(client.subprotocol(), Some("chat"));
    assert_eq!(client.response().header("x-node"), Some("a"));
    for absent in [
        "sec-websocket-accept",
        "upgrade",
        "connection",
        "content-length",
    ] {
        assert_eq!(client.response().header(absent), None, "{absent}");
    }
    assert!(client.response().header("date").is_some());
    client.send_text("x");
    client.expect_text("x");
    // Without a service a request that is no CONNECT hears what this is.
    assert_eq!(http2.http("GET", "/", b"").0, 404);
}

#[test]
fn deflate_is_agreed_to_and_spoken() {
    let pair = Pair::new();
    let server = server(Limits::default()).deflate(DeflateConfig::default());
    let server = server
        .tls(pair.tls().unwrap())
        .listen("127.0.0.1:0")
        .unwrap();
    let up = Up::of(server.start().unwrap());
    let http2 = Http2::connect(&up, &pair);
    let offer = with("sec-websocket-extensions", "permessage-deflate");
    let mut client = http2.ask(offer).unwrap().open();
    assert!(
        client
            .extensions()
            .unwrap()
            .starts_with("permessage-deflate")
    );
    let long = "compress me ".repeat(100);
    client.send_text_compressed(&long);
    client.expect_text(&long);
    assert!(client.was_compressed());
    assert_eq!(http2.open("/").extensions(), None);
}

/// Tells the test that a connection opens, and waits for its word.
struct Asks {
    opens: mpsc::Sender<()>,
    go: Arc<Mutex<mpsc::Receiver<bool>>>,
}

impl Handler for Asks {
    type Admission = UpgradeRequest;
    type State = ();

    fn on_open(&mut self, connection: &mut Connection<'_>, _: UpgradeRequest) {
        self.opens.send(()).unwrap();
        assert!(self.go.lock().unwrap().recv().unwrap(), "asked for");
        connection.send_text("greeting").unwrap();
    }

    fn on_message(&mut self, _: &mut Connection<'_>, (): &mut (), _: Message<'_>) {}
}

#[test]
fn the_200_leaves_only_when_on_open_has_run() {
    let pair = Pair::new();
    let (opens, opening) = mpsc::channel();
    let (tell, go) = mpsc::channel();
    let go = Arc::new(Mutex::new(go));
    let server = Server::new(move |_, _| Asks {
        opens: opens.clone(),
        go: Arc::clone(&go),
    });
    let server = server.workers(1).tls(pair.tls().unwrap()).http(Tells);
    let server = server.listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let http2 = Http2::connect(&up, &pair);

    let (mut response, _stream) = http2.begin(Http2::connect_request("/"));
    opening.recv_timeout(rupor_testkit::DEADLINE).unwrap();
    // What was asked later is answered, and it is not.
    assert_eq!(http2.http("GET", "/", b"").0, 200);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut response).poll(&mut cx).is_pending());
    tell.send(true).unwrap();
    assert_eq!(http2.in_time(response).unwrap().status(), 200);

    // And one that panics ends its own stream, with a word.
    tell.send(false).unwrap();
    assert_eq!(http2.refused(Http2::connect_request("/")).0, 500);
    tell.send(true).unwrap();
    http2.open("/").expect_text("greeting");
    let stats = up.handle().stats();
    assert_eq!((stats.panics, stats.http2_websockets), (1, 2));
}

#[test]
fn each_websocket_is_a_connection() {
    let pair = Pair::new();
    let limits = Limits {
        connections_max: 3,
        ..Limits::default()
    };
    let up = up2(&pair, limits);
    let http2 = Http2::connect(&up, &pair);
    let first = http2.open("/");
    let _second = http2.open("/");
    assert_eq!(http2.refused(Http2::connect_request("/")).0, 503);
    assert_eq!(up.refused("connections"), 1);
    drop(first);
    wait_until("its place is free", || up.handle().stats().connections == 1);
    drop(http2.open("/"));
}

#[test]
fn reload_leaves_connections_as_they_are() {
    let mut pair = Pair::new();
    let tls = pair.tls().unwrap();
    let server = server(Limits::default()).tls(tls.clone());
    let server = server.listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let http2 = Http2::connect(&up, &pair);
    let mut old = http2.open("/");
    pair.renew();
    tls.reload().unwrap();
    let mut clients = [http2.open("/"), Http2::connect(&up, &pair).open("/")];
    for client in [&mut old].into_iter().chain(&mut clients) {
        client.send_text("here");
        client.expect_text("here");
    }
}
