//! Compression in the real program: who gets it, what is compressed, and what the metrics say.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a failure here is the failure of the test that called"
)]

mod program;

use program::start;
use rupor_testkit::{Client, Opening, Process, http, wait_until};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

const OFFER: &str = "permessage-deflate; client_max_window_bits";

struct Site {
    _process: Process,
    address: SocketAddr,
    inlet: BufReader<TcpStream>,
}

impl Site {
    fn demo(flags: &[&str]) -> Self {
        let ports = [
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--inlet",
            "tcp://127.0.0.1:0",
        ];
        let process = start(&[&ports[..], flags].concat());
        let address = process.wait_for_address("listening on ws");
        let inlet = TcpStream::connect(process.wait_for_address("lines on tcp")).unwrap();
        inlet
            .set_read_timeout(Some(rupor_testkit::DEADLINE))
            .unwrap();
        Self {
            _process: process,
            address,
            inlet: BufReader::new(inlet),
        }
    }

    fn connect(&self, target: &str) -> Client {
        Opening::new(self.address, target).extensions(OFFER).open()
    }

    fn line(&mut self, line: &str) -> String {
        writeln!(self.inlet.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.inlet.read_line(&mut answer).unwrap();
        answer
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = http(self.address, "GET", "/metrics", &[], b"").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.expect(name).trim().parse().unwrap()
    }
}

fn long(n: usize) -> String {
    format!("message {n} of many; ").repeat(30)
}

#[test]
fn it_is_off_unless_switched_on() {
    assert_eq!(Site::demo(&[]).connect("/").extensions(), None);
    let site = Site::demo(&["--deflate-enabled"]);
    // Each message on its own, and windows of 4 KiB.
    assert_eq!(
        site.connect("/").extensions(),
        Some(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
        )
    );
    let agent = ("User-Agent", "App/1 CFNetwork/1240.0.4 Darwin/20.6.0");
    let opening = Opening::new(site.address, "/").extensions(OFFER);
    assert_eq!(opening.header(agent.0, agent.1).open().extensions(), None);
}

#[test]
fn publications_are_compressed_once_for_all_who_agreed_and_are_not_where_they_must_not_be() {
    let flags = [
        "--deflate-enabled",
        "--deflate-server-takeover",
        "--deflate-client-takeover",
        "--workers",
        "1",
    ];
    let mut site = Site::demo(&flags);
    let mut clients: Vec<Client> = (0..5)
        .map(|_| site.connect("/silent?user=anna&channel=news"))
        .collect();
    let mut plain = Client::connect(site.address, "/silent?user=anna&channel=news");
    wait_until("they are connected", || {
        site.metric("rupor_deflate_connections ") == 5
    });
    for n in 0..20 {
        let text = long(n);
        for (target, compress) in [
            (r#""user":"anna""#, "true"),
            (r#""channel":"news""#, "false"),
            (r#""all":true"#, "null"),
        ] {
            let line = format!(r#"{{{target},"message":"{text}","compress":{compress}}}"#);
            assert_eq!(site.line(&line), "{\"ok\":true,\"connections\":6}\n");
            for client in &mut clients {
                client.expect_text(&text);
                assert_eq!(client.was_compressed(), compress != "false", "{target}");
            }
            plain.expect_text(&text);
        }
    }
    assert!(
        site.line(r#"{"all":true,"message":"","compress":1}"#)
            .contains("true or false")
    );
    let sent =
        |name: &str| site.metric(&format!("rupor_deflate_{name}_total{{direction=\"sent\"}}"));
    // What a worker did is counted at the end of its turn, after it was sent.
    wait_until("all is counted", || sent("messages") == 200);
    assert_eq!(site.metric("rupor_deflate_compressions_total"), 40);
    assert!(sent("plain_bytes") > 20 * sent("wire_bytes"));
}

#[test]
fn echo_compresses_both_ways_with_the_window_that_the_client_offers() {
    let process = start(&["echo", "--listen", "127.0.0.1:0"]);
    let address = process.wait_for_address("listening on ws");
    for (offer, answer) in [
        ("permessage-deflate", "permessage-deflate"),
        (OFFER, "permessage-deflate; client_max_window_bits=15"),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9",
        ),
    ] {
        let mut client = Opening::new(address, "/").extensions(offer).open();
        assert_eq!(client.extensions(), Some(answer));
        for n in 0..20 {
            for text in [long(n), n.to_string(), String::new()] {
                client.send_text_compressed(&text);
                client.expect_text(&text);
                assert!(client.was_compressed(), "also where it is no shorter");
            }
        }
    }
}
