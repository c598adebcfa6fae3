//! From accept to the 101, or to a refusal.

use std::io::{Read, Write};
use std::time::Duration;

use rupor_server::{Admit, Admitted, Refusal, StartError};
use rupor_testkit::Frame as RawFrame;
use rupor_testkit::{opcode, wait_until};

use super::*;

/// Everything that comes until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset behind the answer is an end too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn head_is_held_to_its_limits() {
    let up = up(Limits::default());
    let line = "x".repeat(8192);
    let padding = |head: usize| head - up.opening("/").header("X", "").bytes().len();
    let just = up.opening("/").header("X", &line[..padding(8192)]);
    assert_eq!(just.bytes().len(), 8192);
    just.open();
    let over = up.opening("/").header("X", &line[..padding(8193)]);
    assert_eq!(over.refused().status, 431);

    let with_headers = |count: usize| {
        (5..count).fold(up.opening("/"), |opening, n| {
            opening.header(&format!("X-{n}"), "x")
        })
    };
    with_headers(64).open();
    assert_eq!(with_headers(65).refused().status, 431);

    up.opening(&format!("/{}", &line[..4095])).open();
    assert_eq!(
        up.opening(&format!("/{}", &line[..4096])).refused().status,
        414
    );
    assert_eq!(up.refused("malformed"), 3);
}

#[test]
fn refused_upgrade_says_why_and_reads_nothing_more() {
    let up = up(Limits::default());
    let mut stream = up.tcp();
    let wrong = up.opening("/").header("Sec-WebSocket-Version", "12");
    stream.write_all(&wrong.bytes()).unwrap();
    stream
        .write_all(b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let answer = rest(&mut stream);
    assert!(
        answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"),
        "{answer}"
    );
    let lower = answer.to_lowercase();
    assert!(
        lower.contains("\r\nsec-websocket-version: 13\r\n"),
        "{answer}"
    );
    // RFC 9110 §15.5.22, §7.8.
    assert!(lower.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    assert!(
        lower.contains("\r\nconnection: close, upgrade\r\n"),
        "{answer}"
    );
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

#[test]
fn what_is_no_http_is_refused() {
    let up = up(Limits::default());
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..],
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\n\n",
    ] {
        let mut stream = up.tcp();
        stream.write_all(bytes).unwrap();
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[test]
fn dribbled_head_is_cut_at_the_deadline() {
    let limits = Limits {
        opening_timeout_ms: 300,
        head_bytes_per_second_min: 0,
        ..Limits::default()
    };
    let up = up(limits);
    let mut stream = up.tcp();
    // A byte now and then, much faster than any idle timeout, never an end.
    let mut feed = stream.try_clone().unwrap();
    let feeder = std::thread::spawn(move || {
        let _ = feed.write_all(b"GET / HTTP/1.1\r\nX: ");
        while feed.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(stream);
    feeder.join().unwrap();
    assert_eq!(up.refused("slow"), 1);
}

#[test]
fn head_below_its_rate_is_cut_before_the_deadline() {
    let limits = Limits {
        // Longer than the test may take.
        opening_timeout_ms: 600_000,
        head_grace_ms: 50,
        ..Limits::default()
    };
    let up = up(limits);
    let mut stream = up.tcp();
    stream.write_all(b"GET /").unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 408 "));
    assert_eq!(up.refused("slow"), 1);
}

#[test]
fn silent_connection_is_cut_at_the_deadline() {
    let up = up(Limits {
        opening_timeout_ms: 100,
        ..Limits::default()
    });
    let mut stream = up.tcp();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 408 "));
    wait_until("the place is free again", || {
        up.handle().stats().openings == 0
    });
}

#[test]
fn frames_behind_the_request_are_kept() {
    let up = up(Limits::default());
    let early: Vec<u8> = (0..100)
        .flat_map(|n| RawFrame::new(opcode::TEXT, format!("early {n}")).encode())
        .collect();
    let mut client = up.opening("/").early(&early).open();
    for n in 0..100 {
        client.expect_text(&format!("early {n}"));
    }
}

#[test]
fn head_may_come_byte_by_byte() {
    let up = up(Limits::default());
    let mut stream = up.tcp();
    stream.set_nodelay(true).unwrap();
    for byte in up.opening("/").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
}

#[test]
fn connections_over_the_limit_are_turned_away_until_one_leaves() {
    let up = up(Limits {
        connections_max: 2,
        ..Limits::default()
    });
    let mut first = up.connect("/");
    let _second = up.connect("/");
    let refused = up.opening("/").refused();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("connection"), Some("close"));
    assert_eq!(up.refused("connections"), 1);
    first.close(1000, "");
    wait_until("a place is free", || up.handle().stats().connections == 1);
    let mut third = up.connect("/");
    third.send_text("in");
    third.expect_text("in");
}

#[test]
fn openings_over_the_limit_are_turned_away() {
    let up = up(Limits {
        openings_max: 1,
        ..Limits::default()
    });
    let _silent = up.tcp();
    wait_until("it is accepted", || up.handle().stats().openings == 1);
    assert_eq!(up.opening("/").refused().status, 503);
    assert_eq!(up.refused("openings"), 1);
}

/// Admits by path.
struct Doorman;

impl Admit for Doorman {
    type Admission = UpgradeRequest;

    async fn admit(&self, request: UpgradeRequest) -> Result<Admitted<UpgradeRequest>, Refusal> {
        match request.path() {
            "/no" => {
                let mut refusal = Refusal::new(403, "not you");
                refusal
                    .headers
                    .push(("X-Reason".to_owned(), "name".to_owned()));
                Err(refusal)
            }
            "/never" => std::future::pending().await,
            "/header" => {
                let mut admitted = Admitted::new(request);
                admitted
                    .headers
                    .push(("X".to_owned(), "a\r\nY: b".to_owned()));
                Ok(admitted)
            }
            "/not-offered" => Ok(Admitted::new(request).subprotocol(Some("other"))),
            _ => {
                let mut admitted = Admitted::new(request.clone());
                admitted
                    .headers
                    .push(("X-Hello".to_owned(), "there".to_owned()));
                Ok(admitted.subprotocol(request.subprotocols.last().cloned()))
            }
        }
    }
}

#[test]
fn admit_decides() {
    let limits = Limits {
        admit_timeout_ms: 50,
        ..Limits::default()
    };
    let server = server(limits).admit(Doorman).listen("127.0.0.1:0").unwrap();
    let up = Up::of(server.start().unwrap());
    let client = up.opening("/").subprotocols(&["soap", "wamp"]).open();
    assert_eq!(client.subprotocol(), Some("wamp"));
    assert_eq!(client.response().header("x-hello"), Some("there"));
    let refused = up.opening("/no").refused();
    assert_eq!((refused.status, refused.text().trim()), (403, "not you"));
    assert_eq!(refused.header("x-reason"), Some("name"));
    assert_eq!(up.opening("/never").refused().status, 503);
    assert_eq!(up.opening("/header").refused().status, 500);
    assert_eq!(up.opening("/not-offered").refused().status, 500);
    assert_eq!(
        (up.refused("not_admitted"), up.refused("admit_failed")),
        (1, 3)
    );
}

/// Many more clients than descriptors: nobody waits for nothing, and who leaves makes room.
#[test]
fn without_descriptors_new_connections_are_turned_away() {
    // `cargo test` builds the examples next to the tests.
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/echo");
    assert!(
        example.exists(),
        "{} is missing: cargo test builds it",
        example.display()
    );
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], rupor_testkit::free_port()));
    let command = format!("ulimit -n 64; exec {} {address}", example.display());
    let _process = rupor_testkit::Process::start("sh", &["-c", &command]);
    wait_until("it listens", || TcpStream::connect(address).is_ok());

    let mut open = Vec::new();
    let mut turned_away = 0;
    while turned_away < 20 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        // Who is turned away may be so before it asked.
        let _ = stream.write_all(&Opening::new(address, "/").bytes());
        let mut start = [0; 12];
        match stream.read_exact(&mut start) {
            Ok(()) if &start == b"HTTP/1.1 101" => open.push(stream),
            _ => turned_away += 1,
        }
    }
    assert!(open.len() > 20, "{} had a place", open.len());
    open.truncate(10);
    wait_until("there is room again", || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        let _ = stream.write_all(&Opening::new(address, "/").bytes());
        let mut start = [0; 12];
        stream.read_exact(&mut start).is_ok() && &start == b"HTTP/1.1 101"
    });
}

#[test]
fn taken_address_is_an_error_that_names_it() {
    let up = up(Limits::default());
    let error = server(Limits::default()).listen(up.address()).unwrap_err();
    assert!(matches!(error, StartError::AddressTaken { address } if address == up.address()));
}

#[test]
fn server_that_cannot_start_says_so() {
    let none = server(Limits::default()).start().unwrap_err();
    assert!(matches!(none, StartError::NoListener));
    for workers in [0, 257] {
        let server = server(Limits::default()).workers(workers);
        let error = server.listen("127.0.0.1:0").unwrap().start().unwrap_err();
        assert!(matches!(error, StartError::Workers { asked } if asked == workers));
    }
    let panics = Server::new(|worker, _| {
        assert!(worker.index() != 1, "asked for");
        Talk
    });
    let error = panics
        .workers(2)
        .listen("127.0.0.1:0")
        .unwrap()
        .start()
        .unwrap_err();
    assert!(matches!(error, StartError::HandlerPanicked));
}
